/* pickle.c - reads a pickle into inert nodes: the stack machine of Python's pickle module, without its hands. Layer:
 * io; may touch memory only. */
#include "pickle.h"
#include "mem.h"
#include "pickle_node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct machine {
    st_pickle *p;
    const char *label;
    const uint8_t *base, *at, *end;
    st_pnode *stack;
    size_t n, cap;
    uint32_t *marks; /* heights of the stack */
    size_t nmarks, mark_cap;
    st_pnode *memo; /* 0: free */
    size_t memo_len, memo_cap, memo_used;
    bool cut; /* the bytes ended too early */
    st_err *err;
} machine;

static void say(machine *m, st_status code, const char *fmt, ...) ST_PRINTF(3, 4);
static void say(machine *m, st_status code, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    st_fail(m->err, code, m->label, NULL, "broken pickle: byte %llu: %s", (unsigned long long)(m->at - m->base), text);
}
/* So that the compiler sees that it is no success. */
#define fail(m, code, ...) (say(m, code, __VA_ARGS__), (code))

static st_status nomem(machine *m) { return st_fail_nomem(m->err, m->p->n * sizeof(st_pcell)), ST_NOMEM; }

/* ---------------------------------------------------------------- bytes */

static st_status take(machine *m, uint64_t n, const uint8_t **p)
{
    if (n > (uint64_t)(m->end - m->at)) {
        m->cut = true;
        return fail(m, ST_FORMAT, "it was cut short: %llu more bytes are wanted, %llu are left", (unsigned long long)n,
                    (unsigned long long)(m->end - m->at));
    }
    *p = m->at;
    m->at += n;
    return ST_OK;
}

static st_status take_le(machine *m, unsigned width, uint64_t *v)
{
    const uint8_t *p;
    ST_TRY(take(m, width, &p));
    *v = 0;
    for (unsigned i = width; i-- > 0;) *v = *v << 8 | p[i];
    return ST_OK;
}

static st_status take_line(machine *m, st_text *line)
{
    const uint8_t *nl = m->at < m->end ? memchr(m->at, '\n', (size_t)(m->end - m->at)) : NULL;
    if (!nl) {
        m->cut = true;
        return fail(m, ST_FORMAT, "it was cut short: a line has no end");
    }
    *line = (st_text){(const char *)m->at, (size_t)(nl - m->at)};
    m->at = nl + 1;
    return ST_OK;
}

/* ---------------------------------------------------------------- the stack */

static size_t fence(const machine *m) { return m->nmarks ? m->marks[m->nmarks - 1] : 0; }

static st_status push(machine *m, st_pnode n)
{
    if (!st_grow((void **)&m->stack, &m->cap, m->n + 1, sizeof *m->stack)) return nomem(m);
    m->stack[m->n++] = n;
    return ST_OK;
}

static st_status pop(machine *m, st_pnode *n)
{
    if (m->n <= fence(m)) return fail(m, ST_FORMAT, "an operand is missing on the stack");
    *n = m->stack[--m->n];
    return ST_OK;
}

static st_status top(machine *m, st_pnode *n)
{
    ST_TRY(pop(m, n));
    m->n++;
    return ST_OK;
}

/* What lies above the last mark, which is taken away with it: valid until the next push. */
static st_status pop_mark(machine *m, const st_pnode **items, size_t *n)
{
    if (!m->nmarks) return fail(m, ST_FORMAT, "no mark on the stack");
    size_t from = m->marks[--m->nmarks];
    *items = m->stack + from;
    *n = m->n - from;
    m->n = from;
    return ST_OK;
}

static st_status push_cell(machine *m, st_pcell cell)
{
    st_pnode n;
    return st_pickle_make(m->p, cell, &n) ? push(m, n) : nomem(m);
}

static st_status push_text(machine *m, st_pkind kind, const void *s, size_t len)
{
    st_pnode n;
    return st_pickle_make_text(m->p, kind, s, len, &n) ? push(m, n) : nomem(m);
}

static st_status push_tuple(machine *m, const st_pnode *items, size_t count)
{
    st_pnode n;
    return st_pickle_make_tuple(m->p, items, count, &n) ? push(m, n) : nomem(m);
}

/* ---------------------------------------------------------------- constants */

static st_status op_constant(machine *m, unsigned node) { return push(m, node); }

enum { SIGNED = 16 };

static st_status op_int(machine *m, unsigned width)
{
    uint64_t v;
    ST_TRY(take_le(m, width & 15, &v));
    return push_cell(m, (st_pcell){.kind = ST_P_INT, .i = width & SIGNED ? (int32_t)(uint32_t)v : (int64_t)v});
}

/* The length of what follows, which is there. */
static st_status take_length(machine *m, unsigned width, uint64_t *n)
{
    const uint8_t *there;
    ST_TRY(take_le(m, width, n));
    ST_TRY(take(m, *n, &there));
    m->at = there;
    return ST_OK;
}

static st_status op_long(machine *m, unsigned width)
{
    uint64_t n, v = 0;
    const uint8_t *p;
    ST_TRY(take_length(m, width, &n));
    ST_TRY(take(m, n, &p));
    if (n > 8) return push_text(m, ST_P_BIG, p, n);
    for (uint64_t i = n; i-- > 0;) v = v << 8 | p[i];
    if (n > 0 && n < 8 && p[n - 1] & 0x80) v |= UINT64_MAX << (8 * n);
    return push_cell(m, (st_pcell){.kind = ST_P_INT, .i = (int64_t)v});
}

enum { BYTES = 16 };

static st_status op_text(machine *m, unsigned width)
{
    uint64_t n;
    const uint8_t *p;
    ST_TRY(take_length(m, width & 15, &n));
    ST_TRY(take(m, n, &p));
    return push_text(m, width & BYTES ? ST_P_BYTES : ST_P_TEXT, p, n);
}

static st_status op_float(machine *m, unsigned unused)
{
    const uint8_t *p;
    uint64_t v = 0;
    double d;
    (void)unused;
    ST_TRY(take(m, 8, &p));
    for (int i = 0; i < 8; i++) v = v << 8 | p[i];
    memcpy(&d, &v, 8);
    return push_cell(m, (st_pcell){.kind = ST_P_FLOAT, .f = d});
}

/* ---------------------------------------------------------------- constants as text: protocol 0 */

/* A short line with a NUL behind it. */
static st_status take_short_line(machine *m, char text[64], st_text *line)
{
    ST_TRY(take_line(m, line));
    size_t n = line->len < 63 ? line->len : 63;
    memcpy(text, line->ptr, n);
    text[n] = '\0';
    return ST_OK;
}

static st_status op_line_float(machine *m, unsigned unused)
{
    char text[64], *end;
    st_text line;
    (void)unused;
    ST_TRY(take_short_line(m, text, &line));
    double d = strtod(text, &end);
    if (end == text || (size_t)(end - text) != line.len) return fail(m, ST_FORMAT, "a line that is no number");
    return push_cell(m, (st_pcell){.kind = ST_P_FLOAT, .f = d});
}

/* "12", of Python 2 "12L"; with `booleans` 00 and 01 are such. */
static st_status op_line_int(machine *m, unsigned booleans)
{
    char text[64], *end;
    st_text line;
    ST_TRY(take_short_line(m, text, &line));
    if (booleans && line.len == 2 && text[0] == '0' && (text[1] == '0' || text[1] == '1'))
        return push(m, text[1] == '1' ? ST_PN_TRUE : ST_PN_FALSE);
    size_t i = line.len > 0 && (line.ptr[0] == '-' || line.ptr[0] == '+'), n = line.len;
    if (n > i + 1 && line.ptr[n - 1] == 'L') n--;
    bool digits = n > i;
    for (; digits && i < n; i++) digits = line.ptr[i] >= '0' && line.ptr[i] <= '9';
    if (!digits) return fail(m, ST_FORMAT, "a line that is no whole number");
    if (n > 20) return push_text(m, ST_P_BIG, line.ptr, n);
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno) return push_text(m, ST_P_BIG, line.ptr, n);
    return push_cell(m, (st_pcell){.kind = ST_P_INT, .i = v});
}

/* V: raw-unicode-escape, Latin-1 but for \u and \U. S: a literal of Python 2 in quotes. Both become UTF-8. */
static st_status op_line_text(machine *m, unsigned quoted)
{
    st_text line;
    ST_TRY(take_line(m, &line));
    if (quoted) {
        char q = line.len ? line.ptr[0] : '\0';
        if (line.len < 2 || (q != '\'' && q != '"') || line.ptr[line.len - 1] != q)
            return fail(m, ST_FORMAT, "a text without its quotes");
        line.ptr++;
        line.len -= 2;
    }
    st_text text;
    if (!st_pickle_unescape(&m->p->text, line, !quoted, &text)) return nomem(m);
    return push_text(m, ST_P_TEXT, text.ptr, text.len);
}

/* ---------------------------------------------------------------- containers */

static st_status op_mark(machine *m, unsigned unused)
{
    (void)unused;
    if (!st_grow((void **)&m->marks, &m->mark_cap, m->nmarks + 1, sizeof *m->marks)) return nomem(m);
    m->marks[m->nmarks++] = (uint32_t)m->n;
    return ST_OK;
}

static st_status op_pop(machine *m, unsigned unused)
{
    st_pnode n;
    (void)unused;
    if (m->nmarks && fence(m) == m->n) return m->nmarks--, ST_OK;
    return pop(m, &n);
}

static st_status op_pop_mark(machine *m, unsigned unused)
{
    const st_pnode *items;
    size_t n;
    (void)unused;
    return pop_mark(m, &items, &n);
}

static st_status op_dup(machine *m, unsigned unused)
{
    st_pnode n;
    (void)unused;
    ST_TRY(top(m, &n));
    return push(m, n);
}

static st_status op_empty(machine *m, unsigned kind) { return push_cell(m, (st_pcell){.kind = (uint8_t)kind}); }

/* The last `count` of the stack. */
static st_status op_tuple(machine *m, unsigned count)
{
    st_pnode items[3];
    for (unsigned i = count; i-- > 0;) ST_TRY(pop(m, &items[i]));
    return push_tuple(m, items, count);
}

static st_status op_mark_tuple(machine *m, unsigned unused)
{
    const st_pnode *items;
    size_t n;
    (void)unused;
    ST_TRY(pop_mark(m, &items, &n));
    return push_tuple(m, items, n);
}

static st_status extend(machine *m, st_pnode to, const st_pnode *items, size_t n)
{
    st_pkind kind = st_pickle_kind(m->p, to);
    if (kind == ST_P_DICT && n % 2) return fail(m, ST_FORMAT, "a key without a value");
    return st_pickle_extend(m->p, to, items, n, kind == ST_P_DICT) ? ST_OK : nomem(m);
}

static st_status op_mark_container(machine *m, unsigned kind)
{
    const st_pnode *items;
    st_pnode c;
    size_t n;
    ST_TRY(pop_mark(m, &items, &n));
    if (!st_pickle_make(m->p, (st_pcell){.kind = (uint8_t)kind}, &c)) return nomem(m);
    ST_TRY(extend(m, c, items, n));
    return push(m, c);
}

/* Items for the container, or the object, on top of the stack. */
static st_status add_items(machine *m, const st_pnode *items, size_t n, st_pkind kind)
{
    st_pnode to;
    ST_TRY(top(m, &to));
    const st_pcell *c = st_pcell_at(m->p, to);
    if (c->kind != kind && c->kind != ST_P_CALL) return fail(m, ST_FORMAT, "items for what takes none");
    if (kind == ST_P_DICT && n % 2) return fail(m, ST_FORMAT, "a key without a value");
    const st_pcell *extra = c->kind == ST_P_CALL && c->hi ? st_pcell_at(m->p, c->hi) : NULL;
    bool pairs = kind == ST_P_DICT;
    if (extra && extra->lo && extra->flag != pairs) return fail(m, ST_FORMAT, "an object that is a list and a dict");
    return st_pickle_extend(m->p, to, items, n, pairs) ? ST_OK : nomem(m);
}

static st_status op_add(machine *m, unsigned kind)
{
    st_pnode items[2];
    unsigned n = kind == ST_P_DICT ? 2 : 1;
    for (unsigned i = n; i-- > 0;) ST_TRY(pop(m, &items[i]));
    return add_items(m, items, n, (st_pkind)kind);
}

static st_status op_mark_add(machine *m, unsigned kind)
{
    const st_pnode *items;
    size_t n;
    ST_TRY(pop_mark(m, &items, &n));
    return add_items(m, items, n, (st_pkind)kind);
}

/* ---------------------------------------------------------------- the memo */

/* Every entry takes a byte of the pickle at least, so that a number beyond its length is no honest one. */
static st_status put(machine *m, uint64_t i)
{
    st_pnode n;
    ST_TRY(top(m, &n));
    if (i >= (uint64_t)(m->end - m->base))
        return fail(m, ST_LIMIT, "memo entry %llu of a pickle of %llu bytes", (unsigned long long)i,
                    (unsigned long long)(m->end - m->base));
    if (i >= m->memo_len) {
        if (!st_grow((void **)&m->memo, &m->memo_cap, i + 1, sizeof *m->memo)) return nomem(m);
        memset(m->memo + m->memo_len, 0, (i + 1 - m->memo_len) * sizeof *m->memo);
        m->memo_len = i + 1;
    }
    m->memo_used += m->memo[i] == 0;
    m->memo[i] = n;
    return ST_OK;
}

static st_status get(machine *m, uint64_t i)
{
    if (i >= m->memo_len || !m->memo[i])
        return fail(m, ST_FORMAT, "memo entry %llu is not there", (unsigned long long)i);
    return push(m, m->memo[i]);
}

static st_status take_index(machine *m, unsigned width, uint64_t *i)
{
    char text[64], *end;
    st_text line;
    if (width) return take_le(m, width, i);
    ST_TRY(take_short_line(m, text, &line));
    errno = 0;
    *i = strtoull(text, &end, 10);
    bool number = text[0] >= '0' && text[0] <= '9' && (size_t)(end - text) == line.len && !errno;
    return number ? ST_OK : fail(m, ST_FORMAT, "a memo entry without a number");
}

static st_status op_get(machine *m, unsigned width)
{
    uint64_t i;
    ST_TRY(take_index(m, width, &i));
    return get(m, i);
}

static st_status op_put(machine *m, unsigned width)
{
    uint64_t i;
    ST_TRY(take_index(m, width, &i));
    return put(m, i);
}

static st_status op_memoize(machine *m, unsigned unused)
{
    (void)unused;
    return put(m, m->memo_used);
}

/* ---------------------------------------------------------------- names and calls, none of which happens */

static st_status make_global(machine *m, const char *key, size_t len, size_t module_len, st_pnode *out)
{
    return st_pickle_make_global(m->p, key, len, module_len, out) ? ST_OK : nomem(m);
}

/* Two lines, module and name, lie in the pickle as the key of a name does. */
static st_status take_global(machine *m, st_pnode *out)
{
    st_text module, name;
    ST_TRY(take_line(m, &module));
    ST_TRY(take_line(m, &name));
    return make_global(m, module.ptr, module.len + 1 + name.len, module.len, out);
}

static st_status global_of(machine *m, st_text module, st_text name, st_pnode *out)
{
    char *key = st_arena_take(&m->p->text, module.len + name.len + 1);
    if (!key) return nomem(m);
    memcpy(key, module.ptr, module.len);
    key[module.len] = '\n';
    memcpy(key + module.len + 1, name.ptr, name.len);
    return make_global(m, key, module.len + 1 + name.len, module.len, out);
}

static st_status op_global(machine *m, unsigned unused)
{
    st_pnode n;
    (void)unused;
    ST_TRY(take_global(m, &n));
    return push(m, n);
}

static st_status op_stack_global(machine *m, unsigned unused)
{
    st_pnode module, name, n;
    (void)unused;
    ST_TRY(pop(m, &name));
    ST_TRY(pop(m, &module));
    if (st_pickle_kind(m->p, module) != ST_P_TEXT || st_pickle_kind(m->p, name) != ST_P_TEXT)
        return fail(m, ST_FORMAT, "a name that is no text");
    ST_TRY(global_of(m, st_pickle_text(m->p, module), st_pickle_text(m->p, name), &n));
    return push(m, n);
}

/* A name by its number in a registry of the Python that reads. */
static st_status op_extension(machine *m, unsigned width)
{
    uint64_t code;
    char name[32];
    st_pnode n;
    ST_TRY(take_le(m, width, &code));
    int len = snprintf(name, sizeof name, "extension %llu", (unsigned long long)code);
    ST_TRY(global_of(m, (st_text){"copyreg", 7}, (st_text){name, (size_t)len}, &n));
    return push(m, n);
}

enum { HANDED = 4 }; /* of the arguments of a call, those that it may call: _rebuild_from_type_v2 does its first */

/* The call of a name is worth more than one that it is handed to. */
static void set_called(machine *m, st_pnode global, st_pnode call)
{
    st_pcell *c = st_pcell_at(m->p, global);
    if (c->kind != ST_P_GLOBAL) return;
    bool direct = st_pickle_callee(m->p, call) == global;
    if (!c->hi || (direct && st_pickle_callee(m->p, c->hi) != global)) c->hi = call;
}

/* An object that calling `callee` would make. */
static st_status push_call(machine *m, st_pnode callee, st_pnode args)
{
    st_pnode n;
    if (!st_pickle_make(m->p, (st_pcell){.kind = ST_P_CALL, .a = callee, .lo = args}, &n)) return nomem(m);
    set_called(m, callee, n);
    for (size_t i = 0; i < HANDED; i++) {
        st_pnode arg = st_pickle_item(m->p, args, i);
        if (arg) set_called(m, arg, n);
    }
    return push(m, n);
}

static st_status op_reduce(machine *m, unsigned unused)
{
    st_pnode callee, args;
    (void)unused;
    ST_TRY(pop(m, &args));
    ST_TRY(pop(m, &callee));
    return push_call(m, callee, args);
}

static st_status op_newobj_ex(machine *m, unsigned unused)
{
    st_pnode callee, args[2], both;
    (void)unused;
    ST_TRY(pop(m, &args[1]));
    ST_TRY(pop(m, &args[0]));
    ST_TRY(pop(m, &callee));
    if (!st_pickle_make_tuple(m->p, args, 2, &both)) return nomem(m);
    return push_call(m, callee, both);
}

/* callee and arguments behind a mark */
static st_status op_obj(machine *m, unsigned unused)
{
    const st_pnode *items;
    st_pnode args, callee;
    size_t n;
    (void)unused;
    ST_TRY(pop_mark(m, &items, &n));
    if (n == 0) return fail(m, ST_FORMAT, "an object without a class");
    callee = items[0];
    if (!st_pickle_make_tuple(m->p, items + 1, n - 1, &args)) return nomem(m);
    return push_call(m, callee, args);
}

static st_status op_inst(machine *m, unsigned unused)
{
    const st_pnode *items;
    st_pnode args, callee;
    size_t n;
    (void)unused;
    ST_TRY(take_global(m, &callee));
    ST_TRY(pop_mark(m, &items, &n));
    if (!st_pickle_make_tuple(m->p, items, n, &args)) return nomem(m);
    return push_call(m, callee, args);
}

/* What is no call's object has no state that would mean anything here. */
static st_status op_build(machine *m, unsigned unused)
{
    st_pnode state, object;
    (void)unused;
    ST_TRY(pop(m, &state));
    ST_TRY(top(m, &object));
    if (st_pickle_kind(m->p, object) != ST_P_CALL) return ST_OK;
    return st_pickle_set_state(m->p, object, state) ? ST_OK : nomem(m);
}

static st_status op_persistent(machine *m, unsigned unused)
{
    st_pnode id;
    (void)unused;
    ST_TRY(pop(m, &id));
    return push_cell(m, (st_pcell){.kind = ST_P_PERSISTENT, .a = id});
}

static st_status op_line_persistent(machine *m, unsigned unused)
{
    st_text line;
    (void)unused;
    ST_TRY(take_line(m, &line));
    ST_TRY(push_text(m, ST_P_TEXT, line.ptr, line.len));
    return op_persistent(m, 0);
}

/* ---------------------------------------------------------------- the frame around */

static st_status op_proto(machine *m, unsigned unused)
{
    uint64_t v;
    (void)unused;
    ST_TRY(take_le(m, 1, &v));
    return v <= 5 ? ST_OK : fail(m, ST_FORMAT, "protocol %llu is not known", (unsigned long long)v);
}

static st_status op_frame(machine *m, unsigned unused)
{
    uint64_t n;
    (void)unused;
    return take_length(m, 8, &n);
}

static st_status op_buffer(machine *m, unsigned unused)
{
    (void)unused;
    return fail(m, ST_FORMAT, "a buffer that is not in the file");
}

typedef st_status (*operation)(machine *m, unsigned arg);
static const struct {
    operation run;
    unsigned arg;
} ops[256] = {
    ['('] = {op_mark, 0},
    ['0'] = {op_pop, 0},
    ['1'] = {op_pop_mark, 0},
    ['2'] = {op_dup, 0},
    ['F'] = {op_line_float, 0},
    ['G'] = {op_float, 0},
    ['I'] = {op_line_int, 1},
    ['L'] = {op_line_int, 0},
    ['J'] = {op_int, 4 | SIGNED},
    ['K'] = {op_int, 1},
    ['M'] = {op_int, 2},
    [0x8a] = {op_long, 1},
    [0x8b] = {op_long, 4},
    ['N'] = {op_constant, ST_PN_NONE},
    [0x88] = {op_constant, ST_PN_TRUE},
    [0x89] = {op_constant, ST_PN_FALSE},
    [')'] = {op_constant, ST_PN_EMPTY},
    ['S'] = {op_line_text, 1},
    ['V'] = {op_line_text, 0},
    ['T'] = {op_text, 4},
    ['U'] = {op_text, 1},
    ['X'] = {op_text, 4},
    [0x8c] = {op_text, 1},
    [0x8d] = {op_text, 8},
    ['B'] = {op_text, 4 | BYTES},
    ['C'] = {op_text, 1 | BYTES},
    [0x8e] = {op_text, 8 | BYTES},
    [0x96] = {op_text, 8 | BYTES},
    [']'] = {op_empty, ST_P_LIST},
    ['}'] = {op_empty, ST_P_DICT},
    [0x8f] = {op_empty, ST_P_SET},
    ['t'] = {op_mark_tuple, 0},
    [0x85] = {op_tuple, 1},
    [0x86] = {op_tuple, 2},
    [0x87] = {op_tuple, 3},
    ['l'] = {op_mark_container, ST_P_LIST},
    ['d'] = {op_mark_container, ST_P_DICT},
    [0x91] = {op_mark_container, ST_P_SET},
    ['a'] = {op_add, ST_P_LIST},
    ['e'] = {op_mark_add, ST_P_LIST},
    ['s'] = {op_add, ST_P_DICT},
    ['u'] = {op_mark_add, ST_P_DICT},
    [0x90] = {op_mark_add, ST_P_SET},
    ['g'] = {op_get, 0},
    ['h'] = {op_get, 1},
    ['j'] = {op_get, 4},
    ['p'] = {op_put, 0},
    ['q'] = {op_put, 1},
    ['r'] = {op_put, 4},
    [0x94] = {op_memoize, 0},
    ['c'] = {op_global, 0},
    [0x93] = {op_stack_global, 0},
    [0x82] = {op_extension, 1},
    [0x83] = {op_extension, 2},
    [0x84] = {op_extension, 4},
    ['R'] = {op_reduce, 0},
    [0x81] = {op_reduce, 0},
    [0x92] = {op_newobj_ex, 0},
    ['o'] = {op_obj, 0},
    ['i'] = {op_inst, 0},
    ['b'] = {op_build, 0},
    ['Q'] = {op_persistent, 0},
    ['P'] = {op_line_persistent, 0},
    [0x80] = {op_proto, 0},
    [0x95] = {op_frame, 0},
    [0x97] = {op_buffer, 0},
    [0x98] = {op_buffer, 0},
};

static st_status run(machine *m)
{
    const uint8_t *op;
    for (uint64_t n = 0;; n++) {
        if (n == ST_PICKLE_OPS_MAX) return fail(m, ST_LIMIT, "more than %u operations", ST_PICKLE_OPS_MAX);
        ST_TRY(take(m, 1, &op));
        if (*op == '.') return pop(m, &m->p->root);
        if (!ops[*op].run) {
            m->at--;
            return fail(m, ST_FORMAT, "0x%02x is no operation of a pickle", *op);
        }
        ST_TRY(ops[*op].run(m, ops[*op].arg));
    }
}

st_status st_pickle_read(const char *label, const void *bytes, size_t len, st_pickle **out, size_t *used, st_err *err)
{
    *out = NULL;
    *used = 0;
    if (len > ST_PICKLE_MAX)
        return st_fail(err, ST_LIMIT, label, NULL, "a pickle of %zu bytes, the limit is %u", len, ST_PICKLE_MAX);
    machine m = {.label = label, .base = bytes, .at = bytes, .end = (const uint8_t *)bytes + len, .err = err};
    m.p = st_calloc(1, sizeof *m.p);
    if (!m.p) return st_fail_nomem(err, sizeof *m.p);
    bool room = st_grow((void **)&m.stack, &m.cap, 64, sizeof *m.stack) && st_pickle_start(m.p);
    st_status s = room ? run(&m) : nomem(&m);
    st_free(m.stack);
    st_free(m.marks);
    st_free(m.memo);
    *used = m.cut ? len + 1 : (size_t)(m.at - m.base);
    if (s != ST_OK) {
        st_pickle_free(m.p);
        return s;
    }
    *out = m.p;
    return ST_OK;
}
