/* bind_model.c - the model's userdata: names, tensors, metadata, files. Layer: bind. */
#include "bind.h"

#include <string.h>

static bind_model *model_new(lua_State *L)
{
    bind_model *b = lua_newuserdatauv(L, sizeof *b, 0);
    *b = (bind_model){0};
    luaL_setmetatable(L, BIND_MODEL);
    return b;
}

bind_model *bind_model_slot(lua_State *L, int arg)
{
    bind_model *b = luaL_testudata(L, arg, BIND_MODEL);
    if (!b) bind_fail_arg(L, arg, "%s expected, got %s", BIND_MODEL, bind_type_name(L, arg));
    return b;
}

st_model *bind_model_get(lua_State *L, int arg)
{
    bind_model *b = bind_model_slot(L, arg);
    if (!b->m) bind_fail_arg(L, arg, "the model was closed");
    return b->m;
}

/* For those who change it. */
static st_model *model_own(lua_State *L, int arg)
{
    st_model *m = bind_model_get(L, arg);
    if (bind_model_slot(L, arg)->lent) bind_fail(L, ST_ARG, "the model is being saved");
    return m;
}

static int model_close(lua_State *L)
{
    bind_model *b = bind_model_slot(L, 1);
    if (b->lent) return bind_fail(L, ST_ARG, "the model is being saved");
    st_model *m = b->m;
    b->m = NULL;
    st_model_free(m);
    return 0;
}

/* ---------------------------------------------------------------- opening */

typedef st_status (*opener)(const char *path, const st_open_opts *o, st_model **out, st_err *err);

/* A text among the options, or NULL; it stays on the stack. */
static const char *text_option(lua_State *L, int arg, const char *key)
{
    size_t n;
    lua_pushstring(L, key);
    if (lua_rawget(L, arg) == LUA_TNIL) return NULL;
    const char *s = bind_string(L, lua_gettop(L), &n);
    if (strlen(s) != n) bind_fail(L, ST_ARG, "option '%s': a NUL in it", key);
    return s;
}

/* { base =, tensors_only =, skip =, key =, dtype = } */
static st_open_opts open_options(lua_State *L, int arg)
{
    static const char *const known[] = {"base", "tensors_only", "skip", "key", "dtype", NULL};
    st_open_opts o = {0};
    if (lua_isnoneornil(L, arg)) return o;
    bind_options(L, arg, known);
    o.tensors_only = bind_opt_boolean(L, arg, "tensors_only", false);
    o.skip = bind_opt_boolean(L, arg, "skip", false);
    o.key = text_option(L, arg, "key");
    o.base = text_option(L, arg, "base");
    o.has_dtype = text_option(L, arg, "dtype") != NULL;
    if (o.has_dtype) o.dtype = bind_dtype(L, lua_gettop(L));
    return o;
}

/* core.open_file(path [, opts]), core.open_index(path [, opts]) */
static int open_with(lua_State *L, opener open)
{
    st_err err;
    bind_top(L, 2);
    const char *path = bind_path(L, 1);
    st_open_opts opts = open_options(L, 2);
    bind_model *b = model_new(L);
    uint64_t before = st_memory_used();
    if (open(path, &opts, &b->m, &err) != ST_OK) return bind_throw(L, &err);
    uint64_t after = st_memory_used();
    if (after > before) bind_weigh(L, after - before);
    return 1;
}

static int core_open_file(lua_State *L) { return open_with(L, st_model_open_with); }
static int core_open_index(lua_State *L) { return open_with(L, st_model_open_index_with); }

/* core.model(): an empty one. */
static int core_model(lua_State *L)
{
    st_err err;
    bind_top(L, 0);
    bind_model *b = model_new(L);
    if (st_model_new(&b->m, &err) != ST_OK) return bind_throw(L, &err);
    return 1;
}

/* ---------------------------------------------------------------- tensors */

static int push_tensor(lua_State *L, size_t i)
{
    st_err err;
    st_tensor **slot = bind_tensor_new(L);
    st_model *m = bind_model_get(L, 1);
    if (i >= st_model_count(m)) return bind_fail(L, ST_ARG, "the model changed meanwhile");
    if (st_model_tensor(m, i, slot, &err) != ST_OK) return bind_throw(L, &err);
    bind_tensor_freeze(L, -1);
    return 1;
}

static int model_count(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)st_model_count(bind_model_get(L, 1)));
    return 1;
}

/* m:name(i) */
static int model_name(lua_State *L)
{
    const st_model *m = bind_model_get(L, 1);
    st_info info = st_model_info(m, bind_position(L, 2, st_model_count(m)));
    lua_pushlstring(L, info.name, info.name_len);
    return 1;
}

uint64_t bind_info_bytes(const st_info *info)
{
    uint64_t n = 1;
    if (info->end) return info->end - info->begin;
    for (int i = 0; i < info->ndim; i++) n *= (uint64_t)info->shape[i]; /* checked by libst when it was built */
    return n / 8 * st_dtype_bits(info->dtype) + n % 8 * st_dtype_bits(info->dtype) / 8;
}

bool bind_info_stored(const st_model *m, const st_info *info)
{
    if (info->end) return true;
    bool plain = st_model_files(m) > 0 && strcmp(st_file_format(st_model_file(m, 0)), "safetensors") == 0;
    return plain && bind_info_bytes(info) == 0;
}

/* m:info(i) -> name, dtype, shape, nbytes [, begin, end]: offsets as the file's header has them. */
static int model_info(lua_State *L)
{
    const st_model *m = bind_model_get(L, 1);
    st_info info = st_model_info(m, bind_position(L, 2, st_model_count(m)));
    uint64_t bytes = bind_info_bytes(&info);
    bool stored = bind_info_stored(m, &info);
    int64_t shape[ST_MAX_DIMS];
    if (info.ndim > 0) memcpy(shape, info.shape, (size_t)info.ndim * sizeof *shape);
    lua_pushlstring(L, info.name, info.name_len);
    lua_pushstring(L, st_dtype_name(info.dtype));
    bind_push_shape(L, info.ndim, shape);
    lua_pushinteger(L, (lua_Integer)bytes);
    if (!stored) return 4;
    lua_pushinteger(L, (lua_Integer)info.begin);
    lua_pushinteger(L, (lua_Integer)info.end);
    return 6;
}

/* m:dtype_counts() -> { BF16 = 199, I64 = 1 } */
static int model_dtype_counts(lua_State *L)
{
    lua_Integer counts[ST_DTYPE_COUNT] = {0};
    bind_top(L, 1);
    const st_model *m = bind_model_get(L, 1);
    for (size_t i = 0, n = st_model_count(m); i < n; i++) counts[st_model_info(m, i).dtype]++;
    lua_newtable(L);
    for (int d = 0; d < ST_DTYPE_COUNT; d++) {
        if (counts[d] == 0) continue;
        lua_pushinteger(L, counts[d]);
        lua_setfield(L, -2, st_dtype_name((st_dtype)d));
    }
    return 1;
}

static int64_t find(lua_State *L)
{
    size_t n;
    const char *name = bind_string(L, 2, &n);
    return st_model_find(bind_model_get(L, 1), name, n);
}

/* m:find(name) -> position or nil */
static int model_find(lua_State *L)
{
    int64_t i = find(L);
    if (i < 0)
        lua_pushnil(L);
    else
        lua_pushinteger(L, i + 1);
    return 1;
}

/* m:get(name) */
static int model_get(lua_State *L)
{
    int64_t i = find(L);
    if (i >= 0) return push_tensor(L, (size_t)i);
    size_t n;
    char shown[256];
    const char *name = bind_string(L, 2, &n);
    st_escape(shown, sizeof shown, name, n);
    return bind_fail(L, ST_NAME, "no tensor \"%s\" in this model", shown);
}

/* m:tensor(i) */
static int model_tensor(lua_State *L)
{
    return push_tensor(L, (size_t)bind_position(L, 2, st_model_count(bind_model_get(L, 1))));
}

/* m[name]: a method, else a tensor, else nil. */
static int model_index(lua_State *L)
{
    bind_model_slot(L, 1);
    if (lua_type(L, 2) != LUA_TSTRING) return 0;
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
    int64_t i = find(L);
    return i < 0 ? 0 : push_tensor(L, (size_t)i);
}

/* The iterator of pairs(m): the position is its upvalue. */
static int model_next(lua_State *L)
{
    lua_Integer i = lua_tointeger(L, lua_upvalueindex(1));
    const st_model *m = bind_model_get(L, 1);
    if ((size_t)i >= st_model_count(m)) return 0;
    lua_pushinteger(L, i + 1);
    lua_replace(L, lua_upvalueindex(1));
    st_info info = st_model_info(m, (size_t)i);
    lua_pushlstring(L, info.name, info.name_len);
    push_tensor(L, (size_t)i);
    return 2;
}

static int model_pairs(lua_State *L)
{
    bind_model_get(L, 1);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, model_next, 1);
    lua_pushvalue(L, 1);
    return 2;
}

typedef st_status (*putter)(st_model *m, const char *name, size_t len, st_tensor *t, st_err *err);

static int put(lua_State *L, putter put_in)
{
    st_err err;
    size_t n;
    bind_top(L, 3);
    st_model *m = model_own(L, 1);
    const char *name = bind_string(L, 2, &n);
    if (put_in(m, name, n, bind_tensor(L, 3), &err) != ST_OK) return bind_throw(L, &err);
    lua_settop(L, 1);
    return 1;
}

/* m:add(name, t) appends; m:set(name, t) replaces, too. */
static int model_add(lua_State *L) { return put(L, st_model_add); }
static int model_set(lua_State *L) { return put(L, st_model_set); }

/* ---------------------------------------------------------------- metadata and files */

static bool meta_at(lua_State *L, size_t i, st_text *key, st_text *value)
{
    const st_model *m = bind_model_get(L, 1);
    if (i >= st_model_meta_count(m)) return false;
    st_model_meta(m, i, key, value);
    return true;
}

/* m:metadata() -> { key = value }, { key, key, ... } in the file's order */
static int model_metadata(lua_State *L)
{
    st_text key, value;
    bind_top(L, 1);
    bind_model_get(L, 1);
    lua_newtable(L);
    lua_newtable(L);
    for (size_t i = 0; meta_at(L, i, &key, &value); i++) {
        lua_pushlstring(L, key.ptr, key.len);
        lua_pushvalue(L, -1);
        lua_rawseti(L, 3, (lua_Integer)i + 1);
        if (!meta_at(L, i, &key, &value)) break;
        lua_pushlstring(L, value.ptr, value.len);
        lua_rawset(L, 2);
    }
    lua_settop(L, 3);
    return 2;
}

/* m:set_meta(key, value | nil) */
static int model_set_meta(lua_State *L)
{
    st_err err;
    size_t klen, vlen = 0;
    bind_top(L, 3);
    st_model *m = model_own(L, 1);
    const char *key = bind_string(L, 2, &klen);
    const char *value = lua_isnoneornil(L, 3) ? NULL : bind_string(L, 3, &vlen);
    if (st_model_set_meta(m, key, klen, value, vlen, &err) != ST_OK) return bind_throw(L, &err);
    lua_settop(L, 1);
    return 1;
}

static void set_integer(lua_State *L, const char *key, uint64_t v)
{
    lua_pushinteger(L, (lua_Integer)v);
    lua_setfield(L, -2, key);
}

/* Of a packed file: { base, base_sha256, has_base }. */
static void set_packed(lua_State *L, const st_file *f)
{
    st_pack_info info;
    if (!st_file_packed(f, &info)) return;
    lua_createtable(L, 0, 3);
    lua_pushstring(L, info.base);
    lua_setfield(L, -2, "base");
    lua_pushstring(L, info.base_sha256);
    lua_setfield(L, -2, "base_sha256");
    lua_pushboolean(L, info.has_base);
    lua_setfield(L, -2, "has_base");
    lua_setfield(L, -2, "packed");
}

/* m:files() -> list of { path, format, size, header_bytes, data_start }; of a compressed file, whose size is that of
 * the plain one, also compression = "zstd" or "pack", stored = bytes on the disk, seeks = whether any place can be read
 * by itself, cut = whether its end seems to be missing, packed = { base, base_sha256, has_base }. */
static int model_files(lua_State *L)
{
    bind_top(L, 1);
    lua_newtable(L);
    for (size_t i = 0; i < st_model_files(bind_model_get(L, 1)); i++) {
        lua_createtable(L, 0, 5);
        const st_file *f = st_model_file(bind_model_get(L, 1), i);
        uint64_t size = st_file_size(f), start = st_file_data_start(f), stored = st_file_stored(f);
        uint64_t header = st_file_header_bytes(f);
        const char *compression = st_file_compression(f); /* a constant */
        bool seeks = st_file_seeks(f), cut = st_file_cut(f);
        lua_pushstring(L, st_file_path(f));
        lua_setfield(L, -2, "path");
        lua_pushstring(L, st_file_format(st_model_file(bind_model_get(L, 1), i)));
        lua_setfield(L, -2, "format");
        set_integer(L, "size", size);
        set_integer(L, "header_bytes", header);
        set_integer(L, "data_start", start);
        if (compression) {
            lua_pushstring(L, compression);
            lua_setfield(L, -2, "compression");
            set_integer(L, "stored", stored);
            lua_pushboolean(L, seeks);
            lua_setfield(L, -2, "seeks");
            lua_pushboolean(L, cut);
            lua_setfield(L, -2, "cut");
        }
        set_packed(L, st_model_file(bind_model_get(L, 1), i));
        lua_rawseti(L, 2, (lua_Integer)i + 1);
    }
    return 1;
}

static const st_file *file_at(lua_State *L, size_t i)
{
    const st_model *m = bind_model_get(L, 1);
    return i < st_model_files(m) ? st_model_file(m, i) : NULL;
}

/* m:findings() -> list of { kind, text, file }: what was seen in files that are not safetensors */
static int model_findings(lua_State *L)
{
    lua_Integer n = 0;
    bind_top(L, 1);
    lua_newtable(L);
    for (size_t i = 0; file_at(L, i); i++)
        for (size_t k = 0; k < st_file_notes(file_at(L, i)); k++) {
            st_note kind;
            st_text text;
            lua_createtable(L, 0, 3);
            const st_file *f = file_at(L, i);
            if (!f || k >= st_file_notes(f)) return bind_fail(L, ST_ARG, "the model changed meanwhile");
            st_file_note(f, k, &kind, &text);
            lua_pushlstring(L, text.ptr, text.len);
            lua_setfield(L, -2, "text");
            lua_pushstring(L, st_note_name(kind));
            lua_setfield(L, -2, "kind");
            lua_pushinteger(L, (lua_Integer)i + 1);
            lua_setfield(L, -2, "file");
            lua_rawseti(L, 2, ++n);
        }
    return 1;
}

static void push_name(lua_State *L, const st_file *f, size_t i)
{
    st_info info = st_file_info(f, i);
    lua_pushlstring(L, info.name, info.name_len);
}

/* m:tied() -> list of { name, name, ... }, each of tensors that a file stores once, in its order */
static int model_tied(lua_State *L)
{
    st_err err;
    bind_top(L, 1);
    lua_newtable(L);
    for (size_t i = 0; file_at(L, i); i++) {
        size_t n = st_file_count(file_at(L, i));
        size_t *first = lua_newuserdatauv(L, n * sizeof *first, 0);
        lua_newtable(L); /* 4: the first of a group -> its list */
        const st_file *f = file_at(L, i);
        if (!f || st_file_count(f) != n) return bind_fail(L, ST_ARG, "the model changed meanwhile");
        if (st_file_tied(f, first, &err) != ST_OK) return bind_throw(L, &err);
        for (size_t k = 0; k < n; k++) {
            if (first[k] == k) continue;
            if (lua_rawgeti(L, 4, (lua_Integer)first[k]) == LUA_TNIL) {
                lua_newtable(L);
                lua_replace(L, -2);
                push_name(L, file_at(L, i), first[k]);
                lua_rawseti(L, -2, 1);
                lua_pushvalue(L, -1);
                lua_rawseti(L, 4, (lua_Integer)first[k]);
                lua_pushvalue(L, -1);
                lua_rawseti(L, 2, (lua_Integer)lua_rawlen(L, 2) + 1);
            }
            push_name(L, file_at(L, i), k);
            lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
            lua_settop(L, 4);
        }
        lua_settop(L, 2);
    }
    return 1;
}

/* m:check() holds the files behind a model against the checksums in them, where they have any. */
static int model_check(lua_State *L)
{
    st_err err;
    st_status s = ST_OK;
    bind_model *b = bind_model_slot(L, 1);
    st_model *m = bind_model_get(L, 1);
    bind_context *c = bind_enter(L);
    b->lent = true;
    for (size_t i = 0; s == ST_OK && i < st_model_files(m); i++) s = st_file_check(st_model_file(m, i), NULL, &err);
    b->lent = false;
    bind_leave(L, c, s, &err);
    lua_settop(L, 1);
    return 1;
}

typedef st_status (*hasher)(st_file *f, char out[65], st_err *err);

static int push_hash(lua_State *L, hasher hash)
{
    st_err err;
    char digest[65];
    st_model *m = bind_model_get(L, 1);
    size_t i = (size_t)bind_position(L, 2, st_model_files(m));
    if (hash(st_model_file(m, i), digest, &err) != ST_OK) return bind_throw(L, &err);
    lua_pushstring(L, digest);
    return 1;
}

/* m:header_sha256(i) of the i-th file, m:file_sha256(i) of all its bytes */
static int model_header_sha256(lua_State *L) { return push_hash(L, st_file_header_sha256); }
static int model_file_sha256(lua_State *L) { return push_hash(L, st_file_sha256); }

void bind_model_open(lua_State *L, int core)
{
    static const luaL_Reg meta[] = {{"__gc", model_close},
                                    {"__close", model_close},
                                    {"__len", model_count},
                                    {"__pairs", model_pairs},
                                    {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"count", model_count},
        {"name", model_name},
        {"info", model_info},
        {"_outline", bind_model_outline},
        {"_tally", bind_model_tally},
        {"_quants", bind_model_quants},
        {"find", model_find},
        {"get", model_get},
        {"tensor", model_tensor},
        {"add", model_add},
        {"set", model_set},
        {"metadata", model_metadata},
        {"set_meta", model_set_meta},
        {"files", model_files},
        {"findings", model_findings},
        {"tied", model_tied},
        {"check", model_check},
        {"rows", bind_model_rows},
        {"header_sha256", model_header_sha256},
        {"dtype_counts", model_dtype_counts},
        {"file_sha256", model_file_sha256},
        {"close", model_close},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"open_file", core_open_file}, {"open_index", core_open_index}, {"model", core_model}, {NULL, NULL}};
    luaL_newmetatable(L, BIND_MODEL);
    luaL_setfuncs(L, meta, 0);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, core, "Model");
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "methods"); /* for completion, which looks without running code */
    lua_pushcclosure(L, model_index, 1);
    lua_setfield(L, -2, "__index");
    lua_setfield(L, core, "model_meta");
    bind_methods(L, BIND_MODEL, methods);
    lua_pushvalue(L, core);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}
