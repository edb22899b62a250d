/* terminal.c - the module stlua.terminal: lines from a terminal by libedit, with history and Tab. Layer: cli; the only
 * file that knows libedit. A library of its own, loaded for the prompt alone: with what libedit needs it would cost
 * every command half a millisecond.
 *
 * libedit is never jumped over: while it runs, Lua is entered by lua_pcall alone. Signals are held back but for two
 * places: while waiting for a key, which they end (so characters are read here, not by libedit), and within run(),
 * where they interrupt what the user asked for. What lies between is never interrupted half-way. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

enum { HISTORY_LINES = 10000 };

typedef struct terminal {
    EditLine *el;
    History *history;
    lua_State *L; /* who reads: slot 1 the prompt, slot 2 the function that completes */
    const char *prompt;
    bool reading, stopped, holding;
} terminal;

/* One per process, as long as it: el_end would lose the names that EL_ADDFN copied. */
static terminal the_terminal;

/* ---------------------------------------------------------------- signals while a line is read */

static volatile sig_atomic_t resized, continued;

static void on_change(int number)
{
    if (number == SIGWINCH)
        resized = 1;
    else
        continued = 1;
}

static const int let_in[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGWINCH, SIGCONT};

static sigset_t outside; /* the mask where signals are let in */

static void hold(terminal *t)
{
    sigset_t block, before;
    sigemptyset(&block);
    for (size_t i = 0; i < sizeof let_in / sizeof *let_in; i++) sigaddset(&block, let_in[i]);
    sigprocmask(SIG_BLOCK, &block, &before);
    if (!t->holding) outside = before;
    t->holding = true;
}

static void release(terminal *t)
{
    if (t->holding) sigprocmask(SIG_SETMASK, &outside, NULL);
    t->holding = false;
}

/* What was to be done about a new size and after a stop. */
typedef struct saved {
    struct sigaction winch, cont;
} saved;

static void enter(saved *s)
{
    struct sigaction act = {.sa_handler = on_change};
    sigemptyset(&act.sa_mask);
    sigaction(SIGWINCH, &act, &s->winch);
    sigaction(SIGCONT, &act, &s->cont);
}

static void leave(const saved *s)
{
    sigaction(SIGWINCH, &s->winch, NULL);
    sigaction(SIGCONT, &s->cont, NULL);
}

/* After a stop the shell's settings are in force; a new size asks for a new layout. */
static void follow_changes(EditLine *el)
{
    if (continued) {
        continued = 0;
        el_set(el, EL_PREP_TERM, 1);
        el_set(el, EL_REFRESH);
    }
    if (resized) {
        resized = 0;
        el_resize(el);
    }
}

/* One byte of standard input: 1, 0 at its end, -1 for an error or when a signal wants to be heard. */
static int get_byte(terminal *t, char *c)
{
    for (;;) {
        follow_changes(t->el);
        if (cli_signal_pending()) {
            t->stopped = true;
            return -1;
        }
        struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
        if (ppoll(&in, 1, NULL, &outside) < 0) {
            if (errno == EINTR) continue;
            return -1;
        }
        ssize_t n = read(STDIN_FILENO, c, 1);
        if (n >= 0 || (errno != EINTR && errno != EAGAIN)) return (int)n;
    }
}

/* EL_GETCFN: one character in the locale's encoding. */
static int get_character(EditLine *el, wchar_t *out)
{
    terminal *t;
    mbstate_t state = {0};
    el_get(el, EL_CLIENTDATA, &t);
    for (size_t n = 0; n < MB_LEN_MAX; n++) {
        char c;
        int got = get_byte(t, &c);
        if (got <= 0) return got;
        size_t r = mbrtowc(out, &c, 1, &state);
        if (r == 0 || r == 1) return 1;
        if (r == (size_t)-1) break;
    }
    *out = L'?'; /* no character of this locale */
    return 1;
}

/* ---------------------------------------------------------------- Tab */

typedef struct tab {
    const char *line;
    size_t len, cursor;
    char *insert, *listing; /* copies; NULL for nothing */
} tab;

static char *copy(lua_State *L, int slot)
{
    const char *s = lua_tostring(L, slot);
    return s && *s ? strdup(s) : NULL;
}

/* Runs protected: complete(line, cursor) -> text to insert, listing to show. */
static int call_complete(lua_State *L)
{
    tab *tb = lua_touserdata(L, 2);
    lua_pushvalue(L, 1);
    lua_pushlstring(L, tb->line, tb->len);
    lua_pushinteger(L, (lua_Integer)tb->cursor);
    lua_call(L, 2, 2);
    tb->insert = copy(L, -2);
    tb->listing = copy(L, -1);
    return 0;
}

/* EL_ADDFN: what Tab does. */
static unsigned char on_tab(EditLine *el, int ch)
{
    terminal *t;
    unsigned char result = CC_ERROR;
    (void)ch;
    el_get(el, EL_CLIENTDATA, &t);
    const LineInfo *li = el_line(el);
    tab tb = {
        .line = li->buffer, .len = (size_t)(li->lastchar - li->buffer), .cursor = (size_t)(li->cursor - li->buffer)};
    if (!lua_checkstack(t->L, 4)) return CC_ERROR;
    int top = lua_gettop(t->L);
    lua_pushcfunction(t->L, call_complete);
    lua_pushvalue(t->L, 2);
    lua_pushlightuserdata(t->L, &tb);
    if (lua_pcall(t->L, 2, 0, 0) == LUA_OK) {
        if (tb.insert && el_insertstr(el, tb.insert) == 0) result = CC_REFRESH;
        if (tb.listing) {
            printf("\n%s\n", tb.listing);
            fflush(stdout);
            result = CC_REDISPLAY;
        }
    }
    lua_settop(t->L, top);
    free(tb.insert);
    free(tb.listing);
    return result;
}

/* ---------------------------------------------------------------- the editor */

static char *prompt_of(EditLine *el)
{
    static char none[] = "";
    terminal *t;
    el_get(el, EL_CLIENTDATA, &t);
    return t->prompt ? (char *)(uintptr_t)t->prompt : none;
}

/* What the terminals of our time send for the keys that libedit's tables lack. */
static const char *const keys[][2] = {
    {"^I", "stlua-complete"},     {"^R", "em-inc-search-prev"}, {"\\e[3~", "ed-delete-next-char"},
    {"\\e[1~", "ed-move-to-beg"}, {"\\e[H", "ed-move-to-beg"},  {"\\e[4~", "ed-move-to-end"},
    {"\\e[F", "ed-move-to-end"},  {"\\e[1;5D", "ed-prev-word"}, {"\\e[1;5C", "em-next-word"},
};

static void open_editor(lua_State *L, terminal *t)
{
    HistEvent ev;
    t->history = history_init();
    t->el = t->history ? el_init("stlua", stdin, stdout, stderr) : NULL;
    if (!t->el) luaL_error(L, "the line editor cannot be started");
    history(t->history, &ev, H_SETSIZE, HISTORY_LINES);
    history(t->history, &ev, H_SETUNIQUE, 1);
    el_set(t->el, EL_CLIENTDATA, t);
    el_set(t->el, EL_EDITOR, "emacs");
    el_set(t->el, EL_HIST, history, t->history);
    el_set(t->el, EL_PROMPT_ESC, prompt_of, '\1');
    el_set(t->el, EL_GETCFN, get_character);
    el_set(t->el, EL_ADDFN, "stlua-complete", "completes what stands before the cursor", on_tab);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        el_set(t->el, EL_BIND, keys[i][0], keys[i][1], (char *)NULL);
    el_source(t->el, NULL); /* ~/.editrc has the last word */
}

static terminal *self(lua_State *L)
{
    terminal *t = &the_terminal;
    if (t->reading) luaL_error(L, "a line is being read");
    if (!t->el) open_editor(L, t);
    return t;
}

/* readline(prompt, complete) -> line; or nil and "interrupt", "end" (Ctrl-D) or "signal". Escape sequences in the
 * prompt stand between \1 and \1. */
static int readline(lua_State *L)
{
    terminal *t = self(L);
    saved s;
    int count = 0;
    t->prompt = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    t->L = L;
    t->reading = true;
    t->stopped = false;
    hold(t);
    enter(&s);
    const char *line = el_gets(t->el, &count);
    leave(&s);
    t->reading = false;
    t->prompt = NULL;
    if (t->stopped) {
        int number = cli_signal_pending();
        if (number == SIGINT) cli_signal_answered();
        lua_pushnil(L);
        lua_pushstring(L, number == SIGINT ? "interrupt" : "signal");
        return 2;
    }
    if (!line || count <= 0) {
        lua_pushnil(L);
        lua_pushliteral(L, "end");
        return 2;
    }
    size_t n = strcspn(line, "\r\n");
    lua_pushlstring(L, line, n);
    return 1;
}

/* remember(line): the history of this session has it. */
static int remember(lua_State *L)
{
    HistEvent ev;
    const char *line = luaL_checkstring(L, 1);
    terminal *t = self(L);
    if (*line) history(t->history, &ev, H_ENTER, line);
    return 0;
}

/* run(f, ...) -> what pcall gives. Signals are let in meanwhile; an interrupt ends with it. */
static int run(lua_State *L)
{
    terminal *t = self(L);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    release(t);
    bool ok = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0) == LUA_OK;
    hold(t);
    if (cli_signal_pending() == SIGINT) cli_signal_answered();
    lua_pushboolean(L, ok);
    lua_replace(L, 1);
    return lua_gettop(L);
}

/* done(): signals are as they were before the first line was read. */
static int done(lua_State *L)
{
    release(self(L));
    return 0;
}

/* width() -> columns of the terminal */
static int width(lua_State *L)
{
    struct winsize w;
    lua_pushinteger(L, ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80);
    return 1;
}

/* private_file(path) -> true where the file is there afterwards, readable by its owner alone; folders are made. */
static int private_file(lua_State *L)
{
    size_t len;
    const char *path = luaL_checklstring(L, 1, &len);
    char folder[PATH_MAX];
    if (len == 0 || len >= sizeof folder) return 0;
    memcpy(folder, path, len + 1);
    for (char *p = folder + 1; (p = strchr(p, '/')) != NULL; *p++ = '/') {
        *p = '\0';
        mkdir(folder, 0700); /* where it cannot, opening tells */
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && fchmod(fd, 0600) == 0;
    if (fd >= 0) close(fd);
    lua_pushboolean(L, ok);
    return 1;
}

int luaopen_stlua_terminal(lua_State *L);

__attribute__((visibility("default"))) int luaopen_stlua_terminal(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"readline", readline}, {"remember", remember},         {"run", run}, {"done", done},
        {"width", width},       {"private_file", private_file}, {NULL, NULL}};
    /* Characters as the user's terminal has them, at the prompt alone; numbers stay with a point in every country. */
    setlocale(LC_CTYPE, "");
    luaL_newlib(L, functions);
    return 1;
}
