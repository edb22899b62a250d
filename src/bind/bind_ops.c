/* bind_ops.c - operations on tensors: core.apply, core.cast, one method per operation, arithmetic. Layer: bind. */
#include "bind.h"

#include <string.h>

#define MAX_ARITY 3

static const struct {
    const char *name;
    int arity;
    const char *result;
} ops[] = {
#define SAME "same"
#define FLOAT "float"
#define BOOL "bool"
#define WHERE "where"
#define X(id, name, arity, result) {name, arity, result},
    ST_OPS(X)
#undef X
#undef SAME
#undef FLOAT
#undef BOOL
#undef WHERE
};

/* ---------------------------------------------------------------- operands */

/* Operands other than tensors: an integer or a float is a number of torch's weak kind; a boolean is a BOOL tensor
 * without dimensions, whose dtype gives way to every other. */
void bind_check_operand(lua_State *L, int arg)
{
    int type = lua_type(L, arg);
    if (type == LUA_TNUMBER || type == LUA_TBOOLEAN) return;
    if (!bind_is_tensor(L, arg))
        bind_fail_arg(L, arg, "tensor, number or boolean expected, got %s", bind_type_name(L, arg));
    bind_tensor(L, arg);
}

/* A new reference to a checked operand. Calls nothing of Lua that may throw. */
st_status bind_operand(lua_State *L, int arg, st_tensor **out, st_err *err)
{
    if (lua_isboolean(L, arg)) {
        uint8_t v = (uint8_t)lua_toboolean(L, arg);
        return st_tensor_new(ST_BOOL, 0, NULL, &v, 1, out, err);
    }
    if (lua_isinteger(L, arg)) return st_integer(lua_tointeger(L, arg), out, err);
    if (lua_type(L, arg) == LUA_TNUMBER) return st_number(lua_tonumber(L, arg), out, err);
    *out = st_tensor_ref(*(st_tensor **)lua_touserdata(L, arg));
    return ST_OK;
}

/* Pushes ops[op] applied to the operands in slots first, first + 1, ... */
static int apply(lua_State *L, st_op op, int first)
{
    st_tensor *args[MAX_ARITY] = {NULL};
    st_err err;
    st_status s = ST_OK;
    int n = ops[op].arity, tensors = 0;
    st_tensor **slot = bind_tensor_new(L); /* first: making it may close an operand */
    for (int i = 0; i < n; i++) {
        bind_check_operand(L, first + i);
        tensors += bind_is_tensor(L, first + i);
    }
    if (tensors == 0) return bind_fail(L, ST_ARG, "'%s' wants at least one tensor", ops[op].name);
    for (int i = 0; i < n && s == ST_OK; i++) s = bind_operand(L, first + i, &args[i], &err);
    if (s == ST_OK) s = st_apply(op, args, slot, &err);
    for (int i = 0; i < n; i++) st_tensor_unref(args[i]);
    if (s != ST_OK) return bind_throw(L, &err);
    bind_built_here(L);
    return bind_made(L, *slot);
}

static void check_count(lua_State *L, st_op op, int given)
{
    if (given != ops[op].arity)
        bind_fail(L, ST_ARG, "'%s' takes %d operand%s, got %d", ops[op].name, ops[op].arity,
                  ops[op].arity == 1 ? "" : "s", given);
}

/* core.apply(name, a [, b [, c]]) */
static int core_apply(lua_State *L)
{
    size_t len;
    const char *name = bind_string(L, 1, &len);
    for (int op = 0; op < ST_OP_COUNT; op++) {
        if (strlen(ops[op].name) != len || memcmp(ops[op].name, name, len) != 0) continue;
        check_count(L, (st_op)op, lua_gettop(L) - 1);
        return apply(L, (st_op)op, 2);
    }
    char shown[64];
    st_escape(shown, sizeof shown, name, len);
    return bind_fail_arg(L, 1, "unknown operation \"%s\"", shown);
}

/* t:add(u), mask:where(a, b), t:exp(): the operation is the upvalue. */
static int op_method(lua_State *L)
{
    st_op op = (st_op)lua_tointeger(L, lua_upvalueindex(1));
    bind_tensor(L, 1);
    check_count(L, op, lua_gettop(L));
    return apply(L, op, 1);
}

/* __add and its like. With a model on either side the model's metamethod, written in Lua, does the work. */
static int op_arith(lua_State *L)
{
    st_op op = (st_op)lua_tointeger(L, lua_upvalueindex(1));
    lua_settop(L, ops[op].arity); /* __unm and __bnot get their operand twice */
    if (luaL_testudata(L, 1, BIND_MODEL) || luaL_testudata(L, lua_gettop(L), BIND_MODEL)) {
        luaL_getmetatable(L, BIND_MODEL);
        lua_pushvalue(L, lua_upvalueindex(2));
        if (lua_rawget(L, -2) == LUA_TFUNCTION) {
            lua_replace(L, -2);
            lua_insert(L, 1);
            lua_call(L, lua_gettop(L) - 1, 1);
            return 1;
        }
    }
    for (int i = 1; i <= ops[op].arity; i++) {
        int type = lua_type(L, i);
        if (type != LUA_TNUMBER && type != LUA_TBOOLEAN && !bind_is_tensor(L, i))
            return bind_fail(L, ST_ARG, "arithmetic on a tensor and a %s value", bind_type_name(L, i));
    }
    return apply(L, op, 1);
}

/* ---------------------------------------------------------------- casts */

static int cast(lua_State *L, st_dtype dtype, bool saturate)
{
    st_err err;
    st_tensor **slot = bind_tensor_new(L);
    if (st_cast(bind_tensor(L, 1), dtype, saturate, slot, &err) != ST_OK) return bind_throw(L, &err);
    return bind_made(L, *slot);
}

/* core.cast(t, dtype [, saturate]) */
static int core_cast(lua_State *L)
{
    bind_top(L, 3);
    bind_tensor(L, 1);
    return cast(L, bind_dtype(L, 2), bind_boolean(L, 3, false));
}

/* t:cast(dtype [, { saturate = true }]) */
static int tensor_cast(lua_State *L)
{
    static const char *const known[] = {"saturate", NULL};
    bool saturate = false;
    bind_top(L, 3);
    bind_tensor(L, 1);
    st_dtype dtype = bind_dtype(L, 2);
    if (!lua_isnoneornil(L, 3)) {
        bind_options(L, 3, known);
        saturate = bind_opt_boolean(L, 3, "saturate", false);
    }
    return cast(L, dtype, saturate);
}

void bind_ops_open(lua_State *L, int core)
{
    static const struct {
        const char *name;
        st_op op;
    } metamethods[] = {{"__add", ST_OP_ADD},        {"__sub", ST_OP_SUB},           {"__mul", ST_OP_MUL},
                       {"__div", ST_OP_DIV},        {"__pow", ST_OP_POW},           {"__unm", ST_OP_NEG},
                       {"__mod", ST_OP_REMAINDER},  {"__idiv", ST_OP_FLOOR_DIVIDE}, {"__band", ST_OP_BITWISE_AND},
                       {"__bor", ST_OP_BITWISE_OR}, {"__bxor", ST_OP_BITWISE_XOR},  {"__bnot", ST_OP_BITWISE_NOT},
                       {"__shl", ST_OP_LEFT_SHIFT}, {"__shr", ST_OP_RIGHT_SHIFT}};
    static const luaL_Reg methods[] = {{"cast", tensor_cast}, {NULL, NULL}};
    bind_methods(L, BIND_TENSOR, methods);
    luaL_getmetatable(L, BIND_TENSOR);
    for (size_t i = 0; i < sizeof metamethods / sizeof *metamethods; i++) {
        lua_pushinteger(L, metamethods[i].op);
        lua_pushstring(L, metamethods[i].name);
        lua_pushcclosure(L, op_arith, 2);
        lua_setfield(L, -2, metamethods[i].name);
    }
    lua_getfield(L, core, "Tensor");
    lua_createtable(L, ST_OP_COUNT, 0); /* core.ops */
    for (int op = 0; op < ST_OP_COUNT; op++) {
        lua_pushinteger(L, op);
        lua_pushcclosure(L, op_method, 1);
        lua_setfield(L, -3, ops[op].name);
        lua_createtable(L, 0, 3);
        lua_pushstring(L, ops[op].name);
        lua_setfield(L, -2, "name");
        lua_pushinteger(L, ops[op].arity);
        lua_setfield(L, -2, "arity");
        lua_pushstring(L, ops[op].result);
        lua_setfield(L, -2, "result");
        lua_rawseti(L, -2, op + 1);
    }
    lua_setfield(L, core, "ops");
    lua_pop(L, 2);
    lua_pushcfunction(L, core_apply);
    lua_setfield(L, core, "apply");
    lua_pushcfunction(L, core_cast);
    lua_setfield(L, core, "cast");
}
