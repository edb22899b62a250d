/* cli_compiled.c - our modules and argparse as `make` has compiled them: what starts the program in half the time.
 * Layer: cli.
 *
 * The file `compiled` lies beside core.so and is trusted as much. src/cli/compile.lua writes it: strings of a length
 * (4 bytes, in the machine's order) and that many bytes. The first is the Lua that made it; the second is the
 * directory, for each module its chunk's name and the string of two numbers (4 bytes each), the lengths of its source
 * and its code; the third is all of these, one after the other. Code is used for a source that is the same byte by
 * byte: a file that was edited or moved since is compiled anew.
 */
#include "cli.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct part {
    const char *data;
    size_t len;
} part;

static part directory, texts; /* of the mapped file, which stays until the program ends */

/* Takes one string off `rest`; false at the end, and where what is left is too short. */
static bool take(part *rest, part *dst)
{
    uint32_t len;
    if (rest->len < sizeof len) return false;
    memcpy(&len, rest->data, sizeof len);
    if (rest->len - sizeof len < len) return false;
    *dst = (part){rest->data + sizeof len, len};
    *rest = (part){dst->data + len, rest->len - sizeof len - len};
    return true;
}

static bool equals(part p, const char *text) { return p.len == strlen(text) && memcmp(p.data, text, p.len) == 0; }

void cli_compiled_open(const char *file)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0) {
        void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        part rest = {map, map == MAP_FAILED ? 0 : (size_t)st.st_size}, made_by;
        if (!take(&rest, &made_by) || !equals(made_by, lua_ident) || !take(&rest, &directory) || !take(&rest, &texts))
            directory.len = 0;
    }
    if (fd >= 0) close(fd);
}

/* The source and the code of a chunk; false if it is not there. */
static bool find(const char *chunk, part *source, part *code)
{
    uint32_t len[2];
    part rest = directory, name, lens;
    size_t at = 0;
    while (take(&rest, &name) && take(&rest, &lens) && lens.len == sizeof len) {
        memcpy(len, lens.data, sizeof len);
        if (texts.len - at < (uint64_t)len[0] + len[1]) return false;
        *source = (part){texts.data + at, len[0]};
        *code = (part){texts.data + at + len[0], len[1]};
        if (equals(name, chunk)) return true;
        at += (size_t)len[0] + len[1];
    }
    return false;
}

/* True if `file` holds just these bytes. */
static bool holds(lua_State *L, const char *file, part source)
{
    bool same = false;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && (uint64_t)st.st_size == source.len) {
        char *text = lua_newuserdatauv(L, source.len + 1, 0);
        same = read(fd, text, source.len + 1) == (ssize_t)source.len && memcmp(text, source.data, source.len) == 0;
        lua_pop(L, 1);
    }
    if (fd >= 0) close(fd);
    return same;
}

int cli_compiled_load(lua_State *L, const char *file)
{
    part source, code;
    const char *chunk = lua_pushfstring(L, "@%s", file);
    bool found = find(chunk, &source, &code) && holds(L, file, source) &&
                 luaL_loadbufferx(L, code.data, code.len, chunk, "b") == LUA_OK;
    if (!found) return luaL_loadfilex(L, file, "t");
    lua_remove(L, -2);
    return LUA_OK;
}

int cli_compiled_module(lua_State *L)
{
    lua_createtable(L, 0, 1);
    lua_pushstring(L, lua_ident);
    lua_setfield(L, -2, "made_by");
    return 1;
}
