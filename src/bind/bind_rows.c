/* bind_rows.c - m:rows: listings of many tensors, as aligned columns or as JSON. Layer: bind.
 * In C because a file of 100,000 tensors is to be listed in a blink. */
#include "bind.h"

#include <string.h>

#define NAME_SHOWN 512 /* bytes of a name in a table; longer ones lose their middle */
#define NAME_PADDED 96 /* columns a name may widen the table to */

typedef struct widths {
    size_t name, dtype, shape, size;
} widths;

/* Bytes that a terminal shows as they are and st_escape leaves alone. */
static const bool harmless[256] = {[0x20 ... 0x21] = true, [0x23 ... 0x5b] = true, [0x5d ... 0x7e] = true};

/* A name as a table shows it: itself where that is harmless, else escaped in `room`. */
static const char *shown_name(const st_info *info, char room[NAME_SHOWN], size_t *len, size_t *columns)
{
    const char *s = info->name;
    size_t n = info->name_len, i = 0;
    while (i < n && harmless[(unsigned char)s[i]]) i++;
    if (i == n && n < NAME_SHOWN) {
        *len = *columns = n;
        return s;
    }
    st_escape(room, NAME_SHOWN, s, n);
    *len = strlen(room);
    *columns = 0;
    for (i = 0; i < *len; i++) *columns += (room[i] & 0xc0) != 0x80;
    return room;
}

static void add_shape(bind_text *b, const st_info *info, const char *comma)
{
    bind_text_str(b, "[");
    for (int i = 0; i < info->ndim; i++) {
        if (i) bind_text_str(b, comma);
        bind_text_int(b, info->shape[i]);
    }
    bind_text_str(b, "]");
}

static void widen(size_t *w, size_t n)
{
    if (*w < n) *w = n;
}

/* Of the whole model, so that two parts of one listing fit each other. */
static widths measure(const st_model *m)
{
    widths w = {4, 5, 5, 4}; /* the titles: name, dtype, shape, size */
    for (size_t i = 0, n = st_model_count(m); i < n; i++) {
        char name[NAME_SHOWN], scratch[ST_MAX_DIMS * 22 + 32];
        size_t len, columns;
        st_info info = st_model_info(m, i);
        shown_name(&info, name, &len, &columns);
        widen(&w.name, columns < NAME_PADDED ? columns : NAME_PADDED);
        widen(&w.dtype, strlen(st_dtype_name(info.dtype)));
        bind_text b = {.p = scratch, .cap = sizeof scratch};
        add_shape(&b, &info, ", ");
        widen(&w.shape, b.n);
        b.n = 0;
        bind_text_size(&b, bind_info_bytes(&info));
        widen(&w.size, b.n);
    }
    return w;
}

static void pad(bind_text *b, size_t have, size_t want)
{
    if (have < want) bind_text_fill(b, ' ', want - have);
}

/* name  dtype  shape  size, the last flush right. */
static void add_table_row(bind_text *b, const st_info *info, const widths *w)
{
    char room[NAME_SHOWN], size[32];
    size_t len, columns;
    const char *name = shown_name(info, room, &len, &columns), *dtype = st_dtype_name(info->dtype);
    bind_text_add(b, name, len);
    pad(b, columns, w->name + 2);
    if (columns >= w->name + 2) bind_text_str(b, "  ");
    bind_text_str(b, dtype);
    pad(b, strlen(dtype), w->dtype + 2);
    size_t at = b->n;
    add_shape(b, info, ", ");
    pad(b, b->n - at, w->shape + 2);
    bind_text s = {.p = size, .cap = sizeof size};
    bind_text_size(&s, bind_info_bytes(info));
    pad(b, s.n, w->size);
    bind_text_add(b, s.p, s.n);
    bind_text_str(b, "\n");
}

static void add_json_row(bind_text *b, const st_info *info, bool stored)
{
    bind_text_str(b, b->n ? ",{\"name\":" : "{\"name\":");
    bind_text_json(b, info->name, info->name_len);
    bind_text_str(b, ",\"dtype\":\"");
    bind_text_str(b, st_dtype_name(info->dtype));
    bind_text_str(b, "\",\"shape\":");
    add_shape(b, info, ",");
    if (stored) {
        bind_text_str(b, ",\"data_offsets\":[");
        bind_text_uint(b, info->begin);
        bind_text_str(b, ",");
        bind_text_uint(b, info->end);
        bind_text_str(b, "]");
    }
    bind_text_str(b, "}");
}

/* Widths that an earlier part of the listing gave, held to what a row has room for. */
static widths given_widths(lua_State *L, int first)
{
    static const lua_Integer most[] = {NAME_PADDED, 32, ST_MAX_DIMS * 22, 32};
    size_t w[4];
    for (int i = 0; i < 4; i++) w[i] = (size_t)bind_integer(L, first + i, 0, most[i]);
    return (widths){w[0], w[1], w[2], w[3]};
}

/* m:rows([first [, last [, style [, widths...]]]]) -> text. Style "table" (the default) also gives the widths of its
 * columns name, dtype, shape and size, with which the next part is asked for; "json" gives objects { name, dtype,
 * shape, data_offsets } joined by commas. */
int bind_model_rows(lua_State *L)
{
    static const char *const styles[] = {"table", "json"};
    uint64_t begin, end;
    bind_text b;
    widths w = {0};
    bind_top(L, 8);
    bind_range(L, 2, st_model_count(bind_model_get(L, 1)), &begin, &end);
    const char *style = lua_isnoneornil(L, 4) ? "table" : bind_string(L, 4, NULL);
    bool json = strcmp(style, styles[1]) == 0;
    if (!json && strcmp(style, styles[0]) != 0) return bind_fail_arg(L, 4, "style \"table\" or \"json\" expected");
    if (!json) w = lua_isnoneornil(L, 5) ? measure(bind_model_get(L, 1)) : given_widths(L, 5);
    bind_text_init(L, &b);
    for (uint64_t i = begin; i < end; i++) {
        const st_model *m = bind_model_get(L, 1);
        st_info info = st_model_info(m, i); /* entries are never taken away */
        size_t room = json ? info.name_len * 6 : NAME_SHOWN + NAME_PADDED;
        bind_text_reserve(L, &b, room + ST_MAX_DIMS * 22 + w.shape + 256);
        m = bind_model_get(L, 1);
        info = st_model_info(m, i);
        if (json)
            add_json_row(&b, &info, bind_info_stored(m, &info));
        else
            add_table_row(&b, &info, &w);
    }
    bind_text_push(L, &b);
    if (json) return 1;
    lua_pushinteger(L, (lua_Integer)w.name);
    lua_pushinteger(L, (lua_Integer)w.dtype);
    lua_pushinteger(L, (lua_Integer)w.shape);
    lua_pushinteger(L, (lua_Integer)w.size);
    return 5;
}
