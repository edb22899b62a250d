/* bind_tally.c - counts over all tensors of a model: by the beginnings of names, by quantised layouts. Layer: bind.
 * In C because a file of 100,000 tensors is to be told about in a blink. */
#include "bind.h"

#include <string.h>

enum { MAX_PREFIXES = 256, MAX_USES = 64 };

typedef struct tally tally;
struct tally {
    const char *prefix; /* kept alive by a table of ours on the stack */
    size_t len;
    tally *next; /* that begins with the same byte */
    uint64_t count, numel, bytes, dtypes[ST_DTYPE_COUNT];
};

/* Copies the strings of the list in slot 2 into a table of ours, so that none goes while we look at it. */
static tally *read_prefixes(lua_State *L, size_t *n)
{
    bind_table(L, 2);
    *n = lua_rawlen(L, 2);
    if (*n > MAX_PREFIXES) bind_fail_arg(L, 2, "%zu beginnings of names (at most %d)", *n, MAX_PREFIXES);
    lua_createtable(L, (int)*n, 0); /* 3 */
    tally *list = lua_newuserdatauv(L, (*n + 1) * sizeof *list, 0);
    memset(list, 0, (*n + 1) * sizeof *list);
    for (size_t i = 0; i < *n; i++) {
        if (lua_rawgeti(L, 2, (lua_Integer)i + 1) != LUA_TSTRING) bind_fail_arg(L, 2, "a list of strings expected");
        list[i].prefix = lua_tolstring(L, -1, &list[i].len);
        lua_rawseti(L, 3, (lua_Integer)i + 1);
    }
    return list;
}

/* Most beginnings differ from a name in the first byte: each list is of those that share it. */
static void index_by_byte(tally *list, size_t n, tally *heads[256])
{
    for (tally *t = list + n; t-- > list;) {
        if (t->len == 0) continue; /* what every name has tells nothing */
        t->next = heads[(uint8_t)t->prefix[0]];
        heads[(uint8_t)t->prefix[0]] = t;
    }
}

/* The longest beginning that a name has; `rest` where it has none. */
static tally *place_of(tally *const heads[256], tally *rest, const st_info *info)
{
    tally *best = rest;
    for (tally *t = info->name_len ? heads[(uint8_t)info->name[0]] : NULL; t; t = t->next)
        if (t->len > best->len && t->len <= info->name_len && info->name[t->len - 1] == t->prefix[t->len - 1] &&
            memcmp(info->name, t->prefix, t->len) == 0)
            best = t;
    return best;
}

static void push_tally(lua_State *L, const tally *t)
{
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, (lua_Integer)t->count);
    lua_setfield(L, -2, "count");
    lua_pushinteger(L, (lua_Integer)t->numel);
    lua_setfield(L, -2, "numel");
    lua_pushinteger(L, (lua_Integer)t->bytes);
    lua_setfield(L, -2, "bytes");
    lua_newtable(L);
    for (int d = 0; d < ST_DTYPE_COUNT; d++) {
        if (t->dtypes[d] == 0) continue;
        lua_pushinteger(L, (lua_Integer)t->dtypes[d]);
        lua_setfield(L, -2, st_dtype_name((st_dtype)d));
    }
    lua_setfield(L, -2, "dtypes");
}

/* m:_tally({ prefix, ... }) -> a list of { count = tensors, numel, bytes, dtypes = { F16 = tensors } } for each
 * beginning of names, and behind them one for all other names. A name counts for the longest of its beginnings. */
int bind_model_tally(lua_State *L)
{
    size_t n;
    bind_top(L, 2);
    bind_model_get(L, 1);
    tally *list = read_prefixes(L, &n);
    const st_model *m = bind_model_get(L, 1);
    tally *heads[256] = {NULL};
    index_by_byte(list, n, heads);
    for (size_t i = 0, count = st_model_count(m); i < count; i++) {
        st_info info = st_model_info(m, i);
        tally *t = place_of(heads, &list[n], &info);
        uint64_t numel = 1;
        for (int d = 0; d < info.ndim; d++) numel *= (uint64_t)info.shape[d]; /* checked when it was opened or built */
        t->count++;
        t->numel += numel;
        t->bytes += bind_info_bytes(&info);
        t->dtypes[info.dtype]++;
    }
    lua_createtable(L, (int)n + 1, 0);
    for (size_t i = 0; i <= n; i++) {
        push_tally(L, &list[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* m:_quants() -> a list of { layout =, codes = dtype, scales = dtype, weights =, first = position, beside = position }
 */
int bind_model_quants(lua_State *L)
{
    st_quant_use list[MAX_USES];
    bind_top(L, 1);
    size_t n = st_model_quants(bind_model_get(L, 1), list, MAX_USES);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_createtable(L, 0, 6);
        lua_pushstring(L, list[i].layout);
        lua_setfield(L, -2, "layout");
        lua_pushstring(L, st_dtype_name(list[i].codes));
        lua_setfield(L, -2, "codes");
        lua_pushstring(L, st_dtype_name(list[i].scales));
        lua_setfield(L, -2, "scales");
        lua_pushinteger(L, (lua_Integer)list[i].weights);
        lua_setfield(L, -2, "weights");
        lua_pushinteger(L, (lua_Integer)list[i].first + 1);
        lua_setfield(L, -2, "first");
        lua_pushinteger(L, (lua_Integer)list[i].beside + 1);
        lua_setfield(L, -2, "beside");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}
