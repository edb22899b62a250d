/* test_bind_memory.c - the binding without memory: the n-th allocation of Lua, then of libst, fails, for every n, once
 * and from then on. Every run ends in an error about memory or in success; nothing leaks, no target is changed. */
#include "support.h"

#include "mem.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int luaopen_stlua_core(lua_State *L);

static const char script[] =
    "local core, dir = require 'stlua.core', ...\n"
    "local old = core.open_file(dir .. '/in')\n"
    "local t = old['b']\n"
    "local u = ((t + 1) * 2):cast 'F16'\n"
    "u:totable() u:values() u:bytes() u:force() u:identical(t)\n"
    "old:rows() old:rows(1, -1, 'json') old:metadata() old:files() old:info(1) old:dtype_counts()\n"
    "for name, v in pairs(old) do assert(name and v) end\n"
    "local w = t:clone() w[1][2] = 5 w[{ {}, { 3, 1, -2 } }] = w[1][{ { 1, 2 } }] core.assign(w:permute(2, 1), 3)\n"
    "core.cat({ w, t, u:reshape(-1):view(2, 3) }, 2):totable() core.broadcast(core.iota(3), { 2, 3 })[2]:values()\n"
    "core.json_encode(core.json_decode '{\"b\":[1,{\"c\":\"d\"}],\"a\":{}}', { indent = 2 })\n"
    "local m = core.model():add('x', u):set_meta('k', 'v')\n"
    "core.progress(function() return {} end)\n"
    "core.save { { model = m, path = dir .. '/out', sync = false } }\n"
    "core.listdir(dir) core.stat(dir) core.escape 'a\\n'\n"
    "assert(not pcall(old.get, old, 'none'))\n";

static const char make_input[] =
    "local core, dir = require 'stlua.core', ...\n"
    "local m = core.model():add('b', core.tensor('F32', { 2, 3 }, ('\\0'):rep(24))):set_meta('note', 'x')\n"
    "core.save { { model = m, path = dir .. '/in' } }\n";

static char *dir;

/* ---------------------------------------------------------------- an allocator that fails */

static struct {
    uint64_t count, fail_at;
    bool onwards;
    int64_t blocks;
} lua_mem;

static void *allocate(void *user, void *p, size_t old, size_t n)
{
    (void)user;
    if (n == 0) {
        lua_mem.blocks -= p != NULL;
        free(p);
        return NULL;
    }
    /* Lua takes for granted that a block can shrink. */
    if (!p || n > old) {
        uint64_t i = ++lua_mem.count;
        if (lua_mem.fail_at && (lua_mem.onwards ? i >= lua_mem.fail_at : i == lua_mem.fail_at)) return NULL;
    }
    void *q = realloc(p, n);
    lua_mem.blocks += !p && q;
    return q;
}

/* ---------------------------------------------------------------- one run */

static void check_message(lua_State *L, uint64_t n)
{
    const char *message = luaL_tolstring(L, -1, NULL);
    if (!strstr(message, "memory")) fail_msg("allocation %llu: %s", (unsigned long long)n, message);
}

/* Runs `code` with failures set up by `arm`; true if it got through. */
static bool run(const char *code, void (*arm)(uint64_t n, bool onwards), uint64_t n, bool onwards)
{
    uint64_t used = st_memory_used();
    int64_t blocks = lua_mem.blocks;
    lua_State *L = lua_newstate(allocate, NULL);
    assert_non_null(L);
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_stlua_core);
    lua_setfield(L, -2, "stlua.core");
    assert_int_equal(luaL_loadstring(L, code), LUA_OK);
    lua_pushstring(L, dir);
    if (arm) arm(n, onwards);
    int status = lua_pcall(L, 1, 0, 0);
    if (arm) arm(0, false);
    if (status != LUA_OK) check_message(L, n);
    lua_close(L);
    assert_int_equal(lua_mem.blocks, blocks);
    assert_int_equal(st_memory_used(), used);
    return status == LUA_OK;
}

static uint64_t last_count; /* allocations asked for in the last run */

/* Fails allocation 1, 2, ... until the script gets through without meeting the failure. */
static void sweep(void (*arm)(uint64_t n, bool onwards))
{
    for (int onwards = 0; onwards <= 1; onwards++) {
        uint64_t n = 1, failures = 0;
        for (;; n++) {
            bool ok = run(script, arm, n, onwards);
            failures += !ok;
            if (ok && last_count < n) break;
            assert_true(n < 100000);
        }
        assert_int_equal(count_entries(dir), 2); /* in and out: no temporary file */
        /* A single failure of Lua's is mostly mended by the collection that it sets off. */
        if (onwards) assert_true(failures > 20);
        print_message("# %llu allocations, %llu runs failed\n", (unsigned long long)n - 1,
                      (unsigned long long)failures);
    }
}

static void arm_lua(uint64_t n, bool onwards)
{
    last_count = lua_mem.count;
    lua_mem.count = 0;
    lua_mem.fail_at = n;
    lua_mem.onwards = onwards;
}

static void arm_libst(uint64_t n, bool onwards)
{
    last_count = st_mem_calls();
    st_mem_fail_at(n, onwards);
}

static void test_lua_allocations(void **state)
{
    (void)state;
    sweep(arm_lua);
}

static void test_libst_allocations(void **state)
{
    (void)state;
    sweep(arm_libst);
}

static int setup(void **state)
{
    (void)state;
    dir = scratch_new();
    return !run(make_input, NULL, 0, false);
}

static int teardown(void **state)
{
    (void)state;
    st_mem_fail_at(0, false);
    scratch_free(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lua_allocations),
        cmocka_unit_test(test_libst_allocations),
    };
    return cmocka_run_group_tests_name("bind_memory", tests, setup, teardown);
}
