/* bind_factors.c - core.factors: factors of low rank of many matrices at once, for lua/stlua/lora/extract.lua. Layer:
 * bind. Computed at once, for the shapes of the results hang on the values. */
#include "bind.h"

#include <string.h>

static double number(lua_State *L, const char *key, double absent)
{
    lua_pushstring(L, key);
    double x = lua_rawget(L, 2) == LUA_TNUMBER ? lua_tonumber(L, -1) : absent;
    lua_pop(L, 1);
    return x;
}

static st_lowrank_goal goal_of(lua_State *L)
{
    static const char *const known[] = {"rank", "energy", "ratio", "slack", "split", "dtype", "seed", NULL};
    bind_options(L, 2, known);
    st_lowrank_goal g = {.rank = bind_opt_integer(L, 2, "rank", 1, 1, 1 << 24),
                         .energy = number(L, "energy", 0),
                         .ratio = number(L, "ratio", 0),
                         .slack = number(L, "slack", 0.0006),
                         .split = number(L, "split", 0.5),
                         .seed = (uint64_t)bind_opt_integer(L, 2, "seed", 0, LUA_MININTEGER, LUA_MAXINTEGER)};
    lua_pushstring(L, "dtype");
    g.dtype = lua_rawget(L, 2) == LUA_TNIL ? ST_F32 : bind_dtype(L, -1);
    lua_pop(L, 1);
    return g;
}

static void set_number(lua_State *L, const char *key, double x)
{
    lua_pushnumber(L, x);
    lua_setfield(L, -2, key);
}

/* Fills the table on top of the stack with what is known of one matrix; `s` are its singular values. */
static void push_facts(lua_State *L, const st_lowrank *l, const double *s)
{
    lua_pushinteger(L, l->rank);
    lua_setfield(L, -2, "rank");
    lua_pushinteger(L, l->columns);
    lua_setfield(L, -2, "columns");
    set_number(L, "norm", l->norm);
    set_number(L, "retained", l->retained);
    set_number(L, "captured", l->captured);
    set_number(L, "ahead", l->ahead);
    set_number(L, "rounding", l->rounding);
    lua_createtable(L, (int)l->rank, 0);
    for (int64_t i = 0; i < l->rank; i++) {
        lua_pushnumber(L, s[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "s");
}

static void new_factor(lua_State *L, const char *key, st_tensor **slots[], size_t at)
{
    slots[at] = bind_tensor_new(L);
    lua_setfield(L, -2, key);
}

/* core.factors({ t, ... }, { rank =, energy =, ratio =, slack =, split =, dtype =, seed = }): a table for each. The
 * values of singular numbers go into memory of Lua's that was there before: nothing can throw while libst's is held. */
static int core_factors(lua_State *L)
{
    st_err err;
    bind_top(L, 2);
    bind_table(L, 1);
    bind_table(L, 2);
    st_lowrank_goal goal = goal_of(L);
    size_t n = lua_rawlen(L, 1), most = 0;
    st_tensor **list = lua_newuserdatauv(L, n * sizeof *list + 1, 0), ***slots;
    st_lowrank *out = lua_newuserdatauv(L, n * sizeof *out + 1, 0);
    size_t *at = lua_newuserdatauv(L, (n + 1) * sizeof *at, 0);
    slots = lua_newuserdatauv(L, 2 * n * sizeof *slots + 1, 0);
    lua_createtable(L, (int)n, 0);
    int results = lua_gettop(L);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i + 1);
        st_tensor *t = bind_tensor(L, -1);
        int64_t rank = st_tensor_ndim(t) ? st_tensor_shape(t)[0] : 0;
        at[i] = most;
        most += (size_t)(rank < goal.rank ? rank : goal.rank);
        lua_pop(L, 1);
        lua_createtable(L, 0, 10);
        new_factor(L, "left", slots, 2 * i);
        new_factor(L, "right", slots, 2 * i + 1);
        lua_rawseti(L, results, (lua_Integer)i + 1);
    }
    double *s = lua_newuserdatauv(L, most * sizeof *s + 1, 0);
    bind_context *c = bind_enter(L);
    /* From here on nothing of Lua runs but the progress function: own references, against its closing them. */
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i + 1);
        list[i] = st_tensor_ref(*(st_tensor **)lua_touserdata(L, -1));
        lua_pop(L, 1);
    }
    st_status status = st_lowrank_factors(c->ctx, list, n, &goal, out, &err);
    for (size_t i = 0; i < n; i++) {
        st_tensor_unref(list[i]);
        if (status == ST_OK && out[i].left) {
            memcpy(s + at[i], out[i].s, (size_t)out[i].rank * sizeof *s);
            *slots[2 * i] = st_tensor_ref(out[i].left);
            *slots[2 * i + 1] = st_tensor_ref(out[i].right);
        }
        st_lowrank facts = out[i];
        st_lowrank_free(&out[i]);
        out[i] = facts;
        out[i].left = out[i].right = NULL;
        out[i].s = NULL;
    }
    bind_leave(L, c, status, &err);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, results, (lua_Integer)i + 1);
        push_facts(L, &out[i], s + at[i]);
        lua_pop(L, 1);
    }
    lua_pushvalue(L, results);
    return 1;
}

void bind_factors_open(lua_State *L, int core)
{
    lua_pushcfunction(L, core_factors);
    lua_setfield(L, core, "factors");
}
