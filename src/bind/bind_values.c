/* bind_values.c - methods of tensors that compute: bytes, values, item, totable, force, identical. Layer: bind. */
#include "bind.h"

#include <string.h>

/* A whole-tensor result must fit the budget that core.memory sets. */
static void check_budget(lua_State *L, const char *what, uint64_t items, uint64_t bytes_each)
{
    uint64_t need, budget = st_ctx_memory(bind_context_get(L)->ctx);
    if (__builtin_mul_overflow(items, bytes_each, &need)) need = UINT64_MAX;
    if (need > budget)
        bind_fail(
            L, ST_LIMIT,
            "%s would take %llu bytes, more than the %llu that may be held (ask for a range, or raise core.memory)",
            what, (unsigned long long)need, (unsigned long long)budget);
}

/* Holds a reference of its own: the progress function may close the tensor meanwhile. */
static void export(lua_State *L, int arg, uint64_t start, uint64_t count, st_dtype dtype, void *out)
{
    st_err err;
    st_tensor *t = bind_tensor(L, arg);
    bind_context *c = bind_enter(L);
    st_tensor_ref(t);
    st_status s = st_export(c->ctx, t, start, count, dtype, out, &err);
    st_tensor_unref(t);
    bind_leave(L, c, s, &err);
}

/* t:bytes([dtype [, first [, count]]]): little-endian bytes. */
static int tensor_bytes(lua_State *L)
{
    uint64_t first, count;
    bind_top(L, 4);
    const st_tensor *t = bind_tensor(L, 1);
    st_dtype dtype = lua_isnoneornil(L, 2) ? st_tensor_dtype(t) : bind_dtype(L, 2);
    bind_span(L, 3, (uint64_t)st_tensor_numel(t), &first, &count);
    unsigned bits = st_dtype_bits(dtype);
    check_budget(L, "the text", count, (bits + 7) / 8);
    if (count % 8 * bits % 8)
        return bind_fail(L, ST_ARG, "%llu elements of %s do not fill whole bytes", (unsigned long long)count,
                         st_dtype_name(dtype));
    size_t n = (size_t)(count / 8 * bits + count % 8 * bits / 8);
    luaL_Buffer b;
    char *p = luaL_buffinitsize(L, &b, n);
    export(L, 1, first, count, dtype, p);
    luaL_pushresultsize(&b, n);
    return 1;
}

/* ---------------------------------------------------------------- Lua values */

#define PIECE 8192 /* elements exported at a time */

/* What elements are exported as, for Lua: F64, I64, U64 or BOOL. */
static st_dtype shown_dtype(lua_State *L, const st_tensor *t)
{
    st_dtype d = st_tensor_dtype(t);
    st_kind kind = st_dtype_kind(d);
    if (kind == ST_KIND_RAW || kind == ST_KIND_COMPLEX)
        bind_fail(L, ST_DTYPE, "%s values cannot be shown as numbers (t:bytes() gives them raw)", st_dtype_name(d));
    return kind == ST_KIND_BOOL ? ST_BOOL : kind == ST_KIND_FLOAT ? ST_F64 : d == ST_U64 ? ST_U64 : ST_I64;
}

static void push_value(lua_State *L, st_dtype d, const void *values, size_t i)
{
    uint64_t u;
    if (d == ST_BOOL) {
        lua_pushboolean(L, ((const uint8_t *)values)[i]);
    } else if (d == ST_F64) {
        lua_pushnumber(L, ((const double *)values)[i]);
    } else if (d == ST_I64) {
        lua_pushinteger(L, ((const int64_t *)values)[i]);
    } else if ((u = ((const uint64_t *)values)[i]) <= (uint64_t)LUA_MAXINTEGER) {
        lua_pushinteger(L, (lua_Integer)u);
    } else { /* what a Lua integer cannot hold becomes the nearest float */
        lua_pushnumber(L, (lua_Number)u);
    }
}

void bind_push_element(lua_State *L, st_tensor *t, uint64_t i)
{
    st_err err;
    uint64_t value[1] = {0};
    st_dtype d = shown_dtype(L, t);
    bind_context *c = bind_enter(L);
    st_tensor_ref(t);
    st_status s = st_export(c->ctx, t, i, 1, d, value, &err);
    st_tensor_unref(t);
    bind_leave(L, c, s, &err);
    push_value(L, d, value, 0);
}

/* Elements of a tensor, one after the other, in a buffer of 64 KiB. */
typedef struct cursor {
    uint64_t values[PIECE];
    st_dtype dtype;
    uint64_t at, end;
    size_t used, held;
} cursor;

/* Pushes a cursor over [begin, begin + count) of the tensor in slot 1. */
static cursor *cursor_new(lua_State *L, uint64_t begin, uint64_t count)
{
    st_dtype d = shown_dtype(L, bind_tensor(L, 1));
    cursor *c = lua_newuserdatauv(L, sizeof *c, 0);
    c->dtype = d;
    c->at = begin;
    c->end = begin + count;
    c->used = c->held = 0;
    return c;
}

/* Pushes the next element. The cursor's owner sees to it that there is one. */
static void cursor_push(lua_State *L, cursor *c)
{
    if (c->used == c->held) {
        uint64_t rest = c->end - c->at;
        c->held = rest < PIECE ? (size_t)rest : PIECE;
        c->used = 0;
        export(L, 1, c->at, c->held, c->dtype, c->values);
        c->at += c->held;
    }
    push_value(L, c->dtype, c->values, c->used++);
}

/* Room in a new table: Lua fills it, uninterrupted, and a cancel waits. */
static int slots(uint64_t count) { return count < 1 << 20 ? (int)count : 1 << 20; }

static void check_values(lua_State *L, uint64_t count) { check_budget(L, "the table", count, 16); }

/* t:values([first [, count]]): a flat table of numbers or booleans, in row-major order. */
static int tensor_values(lua_State *L)
{
    uint64_t first, count;
    bind_top(L, 3);
    bind_span(L, 2, (uint64_t)st_tensor_numel(bind_tensor(L, 1)), &first, &count);
    check_values(L, count);
    cursor *c = cursor_new(L, first, count);
    lua_createtable(L, slots(count), 0);
    for (uint64_t i = 1; i <= count; i++) {
        cursor_push(L, c);
        lua_rawseti(L, -2, (lua_Integer)i);
    }
    return 1;
}

/* t:item(): the only element. */
static int tensor_item(lua_State *L)
{
    bind_top(L, 1);
    int64_t n = st_tensor_numel(bind_tensor(L, 1));
    if (n != 1) return bind_fail(L, ST_SHAPE, "item() wants a tensor of one element, this one has %lld", (long long)n);
    bind_push_element(L, bind_tensor(L, 1), 0);
    return 1;
}

static void push_nested(lua_State *L, cursor *c, int ndim, const int64_t *shape)
{
    if (ndim == 0) {
        cursor_push(L, c);
        return;
    }
    luaL_checkstack(L, 8, "nested tables");
    lua_createtable(L, slots((uint64_t)*shape), 0);
    for (int64_t i = 1; i <= *shape; i++) {
        push_nested(L, c, ndim - 1, shape + 1);
        lua_rawseti(L, -2, i);
    }
}

/* t:totable(): nested tables; a tensor without dimensions gives its element. */
static int tensor_totable(lua_State *L)
{
    int64_t shape[ST_MAX_DIMS];
    bind_top(L, 1);
    const st_tensor *t = bind_tensor(L, 1);
    int ndim = st_tensor_ndim(t);
    uint64_t numel = (uint64_t)st_tensor_numel(t), tables = 0, row = 1;
    if (ndim > 0) memcpy(shape, st_tensor_shape(t), (size_t)ndim * sizeof *shape);
    /* A shape such as { 2^40, 0 } has no elements and too many tables. */
    for (int i = 0; i < ndim; i++) {
        if (__builtin_add_overflow(tables, row, &tables) || __builtin_mul_overflow(row, (uint64_t)shape[i], &row)) {
            tables = UINT64_MAX;
            break;
        }
    }
    check_budget(L, "the table", tables, 56);
    check_values(L, numel);
    push_nested(L, cursor_new(L, 0, numel), ndim, shape);
    return 1;
}

/* ---------------------------------------------------------------- whole tensors */

/* Computes and keeps; *grown is by how much the memory in use grew. */
static st_status force(bind_context *c, st_tensor *t, uint64_t *grown, st_err *err)
{
    uint64_t before = st_memory_used();
    st_tensor_ref(t);
    st_status s = st_force(c->ctx, t, err);
    st_tensor_unref(t);
    uint64_t after = st_memory_used();
    *grown = after > before ? after - before : 0;
    return s;
}

/* t:force(): computes the values and keeps them. */
static int tensor_force(lua_State *L)
{
    st_err err;
    uint64_t grown;
    bind_top(L, 1);
    st_tensor *t = bind_tensor(L, 1);
    bind_context *c = bind_enter(L);
    st_status s = force(c, t, &grown, &err);
    if ((s == ST_LIMIT || s == ST_NOMEM) && !c->failed) {
        /* Tensors that nobody uses any more may hold what is missing. */
        c->busy = false;
        lua_gc(L, LUA_GCCOLLECT);
        t = bind_tensor(L, 1);
        c = bind_enter(L);
        s = force(c, t, &grown, &err);
    }
    bind_leave(L, c, s, &err);
    lua_settop(L, 1);
    bind_weigh(L, grown);
    return 1;
}

/* t:identical(u): the same dtype, shape and bytes. */
static int tensor_identical(lua_State *L)
{
    st_err err;
    bool same = false;
    bind_top(L, 2);
    st_tensor *a = bind_tensor(L, 1), *b = bind_tensor(L, 2);
    bind_context *c = bind_enter(L);
    st_tensor_ref(a);
    st_tensor_ref(b);
    st_status s = st_tensor_identical(c->ctx, a, b, &same, &err);
    st_tensor_unref(a);
    st_tensor_unref(b);
    bind_leave(L, c, s, &err);
    lua_pushboolean(L, same);
    return 1;
}

void bind_values_open(lua_State *L, int core)
{
    static const luaL_Reg methods[] = {
        {"bytes", tensor_bytes}, {"values", tensor_values},       {"item", tensor_item}, {"totable", tensor_totable},
        {"force", tensor_force}, {"identical", tensor_identical}, {NULL, NULL},
    };
    (void)core;
    bind_methods(L, BIND_TENSOR, methods);
}
