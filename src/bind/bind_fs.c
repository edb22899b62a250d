/* bind_fs.c - the little of a file system that Lua lacks: listdir, stat, isatty. Layer: bind. */
#include "bind.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail_errno(lua_State *L, int errnum, const char *path, const char *doing)
{
    char shown[300], text[128];
    st_escape(shown, sizeof shown, path, strlen(path));
    /* The GNU strerror_r: it may use `text` or not. */
    return bind_fail(L, errnum == ENOMEM ? ST_NOMEM : ST_IO, "%s: cannot %s: %s", shown, doing,
                     strerror_r(errnum, text, sizeof text));
}

static const char *type_name(mode_t mode) { return S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "dir" : "other"; }

/* ---------------------------------------------------------------- listdir */

/* A folder's entries, owned by a userdata. */
typedef struct listing {
    struct dirent **entries;
    int count;
} listing;

#define LISTING "stlua.Listing"

static int listing_gc(lua_State *L)
{
    listing *l = luaL_testudata(L, 1, LISTING);
    if (!l) return 0;
    for (int i = 0; i < l->count; i++) free(l->entries[i]);
    free(l->entries);
    *l = (listing){0};
    return 0;
}

static int not_dots(const struct dirent *e) { return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0; }

/* By bytes: alphasort would follow the locale. */
static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

/* core.listdir(path) -> sorted list of { name =, type = "file" | "dir" | "other" }; a link counts as what it leads to.
 */
static int listdir(lua_State *L)
{
    bind_top(L, 1);
    const char *path = bind_path(L, 1);
    listing *l = lua_newuserdatauv(L, sizeof *l, 0);
    *l = (listing){0};
    luaL_setmetatable(L, LISTING);
    int n = scandir(path, &l->entries, not_dots, by_name);
    if (n < 0) return fail_errno(L, errno, path, "read the folder");
    l->count = n;
    size_t len = strlen(path);
    const char *slash = path[len - 1] == '/' ? "" : "/";
    lua_createtable(L, n, 0);
    for (int i = 0; i < n; i++) {
        struct stat st;
        lua_createtable(L, 0, 2);
        const char *full = lua_pushfstring(L, "%s%s%s", path, slash, l->entries[i]->d_name);
        const char *type = stat(full, &st) == 0 ? type_name(st.st_mode) : "other";
        lua_pop(L, 1);
        lua_pushstring(L, l->entries[i]->d_name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, type);
        lua_setfield(L, -2, "type");
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* ---------------------------------------------------------------- stat, isatty */

/* core.stat(path) -> { type =, size =, mtime =, links = names that the file has, id = equal for the same file, identity
 * = equal as long as its bytes are the same }, or nil where nothing is. Links are followed. */
static int path_stat(lua_State *L)
{
    struct stat st;
    bind_top(L, 1);
    const char *path = bind_path(L, 1);
    if (stat(path, &st) != 0) {
        if (errno != ENOENT && errno != ENOTDIR) return fail_errno(L, errno, path, "look at it");
        lua_pushnil(L);
        return 1;
    }
    lua_createtable(L, 0, 6);
    lua_pushfstring(L, "%I:%I", (LUAI_UACINT)st.st_dev, (LUAI_UACINT)st.st_ino);
    lua_setfield(L, -2, "id");
    lua_pushfstring(L, "%I:%I:%I:%I.%d:%I.%d", (LUAI_UACINT)st.st_dev, (LUAI_UACINT)st.st_ino, (LUAI_UACINT)st.st_size,
                    (LUAI_UACINT)st.st_mtim.tv_sec, (int)st.st_mtim.tv_nsec, (LUAI_UACINT)st.st_ctim.tv_sec,
                    (int)st.st_ctim.tv_nsec);
    lua_setfield(L, -2, "identity");
    lua_pushinteger(L, (lua_Integer)st.st_nlink);
    lua_setfield(L, -2, "links");
    lua_pushstring(L, type_name(st.st_mode));
    lua_setfield(L, -2, "type");
    lua_pushinteger(L, (lua_Integer)st.st_size);
    lua_setfield(L, -2, "size");
    lua_pushinteger(L, (lua_Integer)st.st_mtime);
    lua_setfield(L, -2, "mtime");
    return 1;
}

/* core.mkdir(path, shared) -> whether it was made; false where something of that name is. For this user alone, or for
 * whom the umask says. */
static int make_folder(lua_State *L)
{
    bind_top(L, 2);
    const char *path = bind_path(L, 1);
    bool made = mkdir(path, bind_boolean(L, 2, false) ? 0777 : 0700) == 0;
    if (!made && errno != EEXIST) return fail_errno(L, errno, path, "make the folder");
    lua_pushboolean(L, made);
    return 1;
}

/* core.isatty(descriptor) */
static int fd_isatty(lua_State *L)
{
    bind_top(L, 1);
    lua_pushboolean(L, isatty((int)bind_integer(L, 1, 0, 1 << 20)));
    return 1;
}

void bind_fs_open(lua_State *L, int core)
{
    static const luaL_Reg functions[] = {
        {"listdir", listdir}, {"stat", path_stat}, {"mkdir", make_folder}, {"isatty", fd_isatty}, {NULL, NULL}};
    bind_owner_type(L, LISTING, listing_gc);
    lua_pop(L, 1);
    lua_pushvalue(L, core);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}
