/* bind_index.c - t[i], t[{ i, {first, last, step}, {} }], and assignment to them. Layer: bind. */
#include "bind.h"

#include <string.h>

/* ---------------------------------------------------------------- what an index means */

/* Dimension `dim` of the place is left out: only its element `at` is of interest. */
static void select_one(st_place *p, int dim, uint64_t at)
{
    size_t behind = (size_t)(p->ndim - dim - 1);
    p->start += (int64_t)at * p->strides[dim];
    memmove(p->shape + dim, p->shape + dim + 1, behind * sizeof *p->shape);
    memmove(p->strides + dim, p->strides + dim + 1, behind * sizeof *p->strides);
    p->ndim--;
}

/* Position `i` of dimension `number` (for messages), which has n elements. */
static uint64_t position(lua_State *L, lua_Integer i, uint64_t n, int number, bool slack)
{
    uint64_t at;
    if (!bind_convert(i, n, slack, &at))
        bind_fail(L, ST_ARG, "index %lld of dimension %d is out of range: there are %llu", (long long)i, number,
                  (unsigned long long)n);
    return at;
}

/* Field k of the slice on top of the stack. */
static lua_Integer slice_field(lua_State *L, int k, lua_Integer absent, int number)
{
    int ok = 1, type = lua_rawgeti(L, -1, k);
    lua_Integer v = type == LUA_TNIL ? absent : lua_tointegerx(L, -1, &ok);
    if (!ok || (type != LUA_TNIL && type != LUA_TNUMBER))
        bind_fail(L, ST_ARG, "the slice of dimension %d: integers {first, last, step} expected, got a %s", number,
                  bind_type_name(L, -1));
    lua_pop(L, 1);
    return v;
}

/* {first, last, step}, all optional and inclusive, on top of the stack: narrows dimension `dim`. */
static void apply_slice(lua_State *L, st_place *p, int dim, int number)
{
    st_err err;
    uint64_t n = (uint64_t)p->shape[dim];
    if (lua_rawlen(L, -1) > 3)
        bind_fail(L, ST_ARG, "the slice of dimension %d: {first, last, step} expected, got %d numbers", number,
                  (int)lua_rawlen(L, -1));
    lua_Integer step = slice_field(L, 3, 1, number);
    if (step == 0 || step == LUA_MININTEGER) bind_fail(L, ST_ARG, "the slice of dimension %d: the step is 0", number);
    lua_Integer first = slice_field(L, 1, step > 0 ? 1 : -1, number);
    lua_Integer last = slice_field(L, 2, step > 0 ? -1 : 1, number);
    /* As half-open numbers: from `begin`, and `end` one behind the last in the direction of the step. */
    int64_t begin, end;
    if (step > 0) {
        begin = (int64_t)position(L, first, n, number, true);
        end = last == 0 || (last == -1 && n == 0) ? 0 : (int64_t)position(L, last, n, number, false) + 1;
    } else {
        begin = n == 0 && first == -1 ? -1 : (int64_t)position(L, first, n, number, false);
        end = last == (lua_Integer)n + 1 ? (int64_t)n - 1 : (int64_t)position(L, last, n, number, n == 0) - 1;
    }
    int64_t distance = step > 0 ? end - begin : begin - end, by = step > 0 ? step : -step;
    if (distance < 0)
        bind_fail(L, ST_ARG, "the slice of dimension %d ends before it begins: {%lld, %lld}", number, (long long)first,
                  (long long)last);
    int64_t count = distance / by + (distance % by != 0);
    if (st_place_narrow(p, dim, count ? begin : 0, count, step, &err) != ST_OK) bind_throw(L, &err);
}

/* Applies a table of integers and slices in slot `key`. */
static void apply_table(lua_State *L, int key, st_place *p)
{
    lua_Unsigned n = lua_rawlen(L, key);
    int dim = 0, given = p->ndim;
    if (n > (lua_Unsigned)given)
        bind_fail(L, ST_ARG, "%d indices for a tensor of %d dimensions", (int)(n > 1000 ? 1000 : n), given);
    for (int number = 1; number <= (int)n; number++) {
        int ok = 0, type = lua_rawgeti(L, key, number);
        lua_Integer i = type == LUA_TNUMBER ? lua_tointegerx(L, -1, &ok) : 0;
        if (ok)
            select_one(p, dim, position(L, i, (uint64_t)p->shape[dim], number, false));
        else if (type == LUA_TTABLE)
            apply_slice(L, p, dim++, number);
        else
            bind_fail(L, ST_ARG, "index %d: an integer or a slice {first, last, step} expected, got a %s", number,
                      bind_type_name(L, -1));
        lua_pop(L, 1);
    }
}

/* Moves the place of the tensor in slot 1 to what the key in slot 2 means. */
static void apply_key(lua_State *L, st_place *p)
{
    int ok = 0;
    lua_Integer i = lua_type(L, 2) == LUA_TNUMBER ? lua_tointegerx(L, 2, &ok) : 0;
    if (!ok && !lua_istable(L, 2))
        bind_fail(L, ST_ARG,
                  "a tensor is indexed by an integer or a table such as {i, j} or {{first, last}, {}}, not by a %s%s",
                  bind_type_name(L, 2),
                  bind_is_tensor(L, 2) ? " (see masked_select, masked_fill and index_select)" : "");
    if (st_dtype_bits(st_tensor_dtype(p->of)) % 8 != 0)
        bind_fail(L, ST_DTYPE, "parts of %s values, which share bytes, cannot be taken",
                  st_dtype_name(st_tensor_dtype(p->of)));
    if (!ok) {
        apply_table(L, 2, p);
        return;
    }
    if (p->ndim == 0) bind_fail(L, ST_ARG, "a tensor without dimensions cannot be indexed (t:item() gives its value)");
    select_one(p, 0, position(L, i, (uint64_t)p->shape[0], 1, false));
}

/* ---------------------------------------------------------------- reading */

/* t[key]: a method, an element (a number or boolean), or a view. */
static int tensor_index(lua_State *L)
{
    st_place p;
    lua_settop(L, 2);
    if (lua_type(L, 2) == LUA_TSTRING) {
        lua_rawget(L, lua_upvalueindex(1));
        return 1;
    }
    bind_tensor_root(L, 1, &p);
    int before = p.ndim;
    apply_key(L, &p);
    if (p.ndim == 0 && before > 0) {
        st_place now;
        bind_push_element(L, bind_tensor_root(L, 1, &now), (uint64_t)p.start);
    } else {
        bind_tensor_view(L, 1, &p);
    }
    return 1;
}

/* t:select(dim, index): a view with one dimension less; of a vector, one without dimensions. */
static int tensor_select(lua_State *L)
{
    st_place p;
    bind_top(L, 3);
    bind_tensor_root(L, 1, &p);
    if (st_dtype_bits(st_tensor_dtype(p.of)) % 8 != 0)
        return bind_fail(L, ST_DTYPE, "parts of %s values, which share bytes, cannot be taken",
                         st_dtype_name(st_tensor_dtype(p.of)));
    int dim = (int)bind_position(L, 2, (uint64_t)p.ndim);
    select_one(&p, dim, bind_position(L, 3, (uint64_t)p.shape[dim]));
    bind_tensor_view(L, 1, &p);
    return 1;
}

/* ---------------------------------------------------------------- writing */

/* Assigns the operand in slot `value` to a place of the tensor in slot 1. */
static void assign(lua_State *L, const st_place *p, int value)
{
    st_err err;
    st_tensor *v = NULL;
    bind_check_operand(L, value);
    bind_context *c = bind_enter(L);
    c->busy = false; /* what follows may throw */
    bind_tensor_writable(L, 1);
    uint64_t before = st_memory_used();
    c->busy = true;
    st_status s = bind_operand(L, value, &v, &err); /* before the target lets go of its node: it may be the operand */
    if (s == ST_OK) s = st_assign(c->ctx, bind_tensor_write(L, 1), p, v, &err);
    st_tensor_unref(v);
    uint64_t after = st_memory_used();
    bind_leave(L, c, s, &err);
    bind_weigh(L, after > before ? after - before : 0);
}

/* t[key] = value */
static int tensor_newindex(lua_State *L)
{
    st_place p;
    lua_settop(L, 3);
    bind_tensor_root(L, 1, &p);
    if (lua_type(L, 2) == LUA_TSTRING)
        return bind_fail(L, ST_ARG, "a tensor has no field \"%s\" to assign to", lua_tostring(L, 2));
    if (lua_istable(L, 3))
        return bind_fail(L, ST_ARG,
                         "t[...] = value: a tensor, number or boolean expected, not a table "
                         "(st.tensor makes a tensor of it)");
    bind_check_operand(L, 3);
    bind_tensor_root(L, 1, &p);
    apply_key(L, &p);
    assign(L, &p, 3);
    return 0;
}

/* core.assign(t, value): all of it; returns t. What methods that end in _ do. */
static int core_assign(lua_State *L)
{
    st_place p;
    bind_top(L, 2);
    bind_tensor_root(L, 1, &p);
    assign(L, &p, 2);
    lua_settop(L, 1);
    return 1;
}

void bind_index_open(lua_State *L, int core)
{
    static const luaL_Reg methods[] = {{"select", tensor_select}, {NULL, NULL}};
    bind_methods(L, BIND_TENSOR, methods);
    luaL_getmetatable(L, BIND_TENSOR);
    lua_getfield(L, core, "Tensor");
    lua_pushcclosure(L, tensor_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, tensor_newindex);
    lua_setfield(L, -2, "__newindex");
    lua_pop(L, 1);
    lua_pushcfunction(L, core_assign);
    lua_setfield(L, core, "assign");
}
