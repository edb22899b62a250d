/* bind_core.c - luaopen_stlua_core: the module that everything in lua/stlua stands on. Layer: bind. */
#include "bind.h"

int luaopen_stlua_core(lua_State *L);

static const char core_key;

/* core.dtype_words: what torch and NumPy call dtypes -> the format's name. */
static void push_dtype_words(lua_State *L)
{
    st_dtype d;
    const char *word;
    lua_newtable(L);
    for (size_t k = 0; (word = st_dtype_word(k, &d)); k++) {
        lua_pushstring(L, st_dtype_name(d));
        lua_setfield(L, -2, word);
    }
}

/* core.dtypes: a list of { name =, bits =, kind = }, in the format's order. */
static void push_dtypes(lua_State *L)
{
    static const char *const kinds[] = {
        [ST_KIND_BOOL] = "bool",   [ST_KIND_UINT] = "uint",       [ST_KIND_INT] = "int",
        [ST_KIND_FLOAT] = "float", [ST_KIND_COMPLEX] = "complex", [ST_KIND_RAW] = "raw",
    };
    lua_createtable(L, ST_DTYPE_COUNT, 0);
    for (int d = 0; d < ST_DTYPE_COUNT; d++) {
        lua_createtable(L, 0, 3);
        lua_pushstring(L, st_dtype_name((st_dtype)d));
        lua_setfield(L, -2, "name");
        lua_pushinteger(L, st_dtype_bits((st_dtype)d));
        lua_setfield(L, -2, "bits");
        lua_pushstring(L, kinds[st_dtype_kind((st_dtype)d)]);
        lua_setfield(L, -2, "kind");
        lua_rawseti(L, -2, d + 1);
    }
}

static void build(lua_State *L)
{
    lua_newtable(L);
    int core = lua_gettop(L);
    lua_pushliteral(L, ST_VERSION);
    lua_setfield(L, core, "version");
    push_dtypes(L);
    lua_setfield(L, core, "dtypes");
    push_dtype_words(L);
    lua_setfield(L, core, "dtype_words");
    bind_error_open(L, core); /* first: from here on errors can be thrown */
    bind_context_new(L);      /* before tensors and models: finalizers run in the opposite order */
    bind_context_open(L, core);
    bind_text_open(L, core);
    bind_tensor_open(L, core);
    bind_values_open(L, core);
    bind_ops_open(L, core);
    bind_reduce_open(L, core);
    bind_linalg_open(L, core);
    bind_factors_open(L, core);
    bind_view_open(L, core);
    bind_index_open(L, core);
    bind_model_open(L, core);
    bind_save_open(L, core);
    bind_pack_open(L, core);
    bind_compress_open(L, core);
    bind_npy_open(L, core);
    bind_json_open(L, core);
    bind_fs_open(L, core);
    bind_hash_open(L, core);
    bind_meta_open(L, core);
}

/* The same table for every require of one Lua state, also after package.loaded was cleared. */
__attribute__((visibility("default"))) int luaopen_stlua_core(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &core_key) == LUA_TTABLE) return 1;
    build(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &core_key);
    return 1;
}
