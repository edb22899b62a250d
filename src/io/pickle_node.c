/* pickle_node.c - the nodes of a pickle: made, and looked at. Layer: io; may touch memory only. */
#include "pickle_node.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>

/* ---------------------------------------------------------------- making */

bool st_pickle_make(st_pickle *p, st_pcell cell, st_pnode *out)
{
    if (p->n == p->nblocks * ST_PBLOCK) {
        if (!st_grow((void **)&p->blocks, &p->block_cap, p->nblocks + 1, sizeof *p->blocks)) return false;
        st_pcell *b = st_malloc(ST_PBLOCK * sizeof *b);
        if (!b) return false;
        p->blocks[p->nblocks++] = b;
    }
    *st_pcell_at(p, p->n) = cell;
    *out = p->n++;
    return true;
}

bool st_pickle_start(st_pickle *p)
{
    static const st_pcell first[ST_PN_FIRST] = {
        [ST_PN_NONE] = {.kind = ST_P_NONE},
        [ST_PN_TRUE] = {.kind = ST_P_BOOL, .i = 1},
        [ST_PN_FALSE] = {.kind = ST_P_BOOL},
        [ST_PN_EMPTY] = {.kind = ST_P_TUPLE},
    };
    st_pnode n;
    for (int i = 0; i < ST_PN_FIRST; i++)
        if (!st_pickle_make(p, first[i], &n)) return false;
    return true;
}

bool st_pickle_make_text(st_pickle *p, st_pkind kind, const void *s, size_t n, st_pnode *out)
{
    return st_pickle_make(p, (st_pcell){.kind = (uint8_t)kind, .a = (uint32_t)n, .s = s}, out);
}

/* Room for n more kids. Number 0 is none. */
static bool reserve_kids(st_pickle *p, size_t n)
{
    if (p->nkids == 0) n++;
    if (p->nkids + n > UINT32_MAX || !st_grow((void **)&p->kids, &p->kid_cap, p->nkids + n, sizeof *p->kids))
        return false;
    if (p->nkids == 0) p->kids[p->nkids++] = 0;
    return true;
}

bool st_pickle_make_tuple(st_pickle *p, const uint32_t *kids, size_t n, st_pnode *out)
{
    if (n == 0) return *out = ST_PN_EMPTY, true;
    if (!reserve_kids(p, n)) return false;
    uint32_t first = (uint32_t)p->nkids;
    memcpy(p->kids + first, kids, n * sizeof *kids);
    p->nkids += n;
    return st_pickle_make(p, (st_pcell){.kind = ST_P_TUPLE, .a = (uint32_t)n, .lo = first}, out);
}

/* What a call's object is given beyond its arguments. */
static st_pcell *extra_of(st_pickle *p, st_pnode call)
{
    st_pnode extra;
    if (!st_pcell_at(p, call)->hi) {
        if (!st_pickle_make(p, (st_pcell){.kind = ST_P_EXTRA}, &extra)) return NULL;
        st_pcell_at(p, call)->hi = extra;
    }
    return st_pcell_at(p, st_pcell_at(p, call)->hi);
}

bool st_pickle_extend(st_pickle *p, st_pnode to, const uint32_t *kids, size_t n, bool pairs)
{
    st_pcell *c = st_pcell_at(p, to);
    bool call = c->kind == ST_P_CALL;
    if (n == 0) return true;
    if (call && !(c = extra_of(p, to))) return false;
    if (!reserve_kids(p, n + 2)) return false;
    uint32_t batch = (uint32_t)p->nkids, *k = p->kids + batch, *head = call ? &c->lo : &c->a,
             *tail = call ? &c->hi : &c->lo;
    k[0] = (uint32_t)n;
    memcpy(k + 1, kids, n * sizeof *kids);
    k[n + 1] = 0;
    p->nkids += n + 2;
    if (*tail)
        p->kids[*tail] = batch;
    else
        *head = batch;
    *tail = batch + (uint32_t)n + 1;
    if (call)
        c->flag = pairs;
    else
        c->hi += (uint32_t)n;
    return true;
}

bool st_pickle_set_state(st_pickle *p, st_pnode call, st_pnode state)
{
    st_pcell *extra = extra_of(p, call);
    if (extra) extra->a = state;
    return extra != NULL;
}

bool st_pickle_make_global(st_pickle *p, const char *key, size_t len, size_t module_len, st_pnode *out)
{
    int64_t old = st_strmap_find(&p->names, key, len);
    if (old >= 0) return *out = (st_pnode)old, true;
    st_pnode module, name;
    return st_pickle_make_text(p, ST_P_TEXT, key, module_len, &module) &&
           st_pickle_make_text(p, ST_P_TEXT, key + module_len + 1, len - module_len - 1, &name) &&
           st_pickle_make(p, (st_pcell){.kind = ST_P_GLOBAL, .a = module, .lo = name}, out) &&
           st_grow((void **)&p->globals, &p->global_cap, p->nglobals + 1, sizeof *p->globals) &&
           st_strmap_add(&p->names, key, len, *out, &old, NULL) == ST_OK && (p->globals[p->nglobals++] = *out, true);
}

void st_pickle_free(st_pickle *p)
{
    if (!p) return;
    for (size_t i = 0; i < p->nblocks; i++) st_free(p->blocks[i]);
    st_free(p->blocks);
    st_free(p->kids);
    st_free(p->globals);
    st_strmap_free(&p->names);
    st_arena_free(&p->text);
    st_free(p);
}

/* ---------------------------------------------------------------- looking */

st_pnode st_pickle_root(const st_pickle *p) { return p->root; }
size_t st_pickle_nodes(const st_pickle *p) { return p->n; }
st_pkind st_pickle_kind(const st_pickle *p, st_pnode n) { return (st_pkind)st_pcell_at(p, n)->kind; }
int64_t st_pickle_int(const st_pickle *p, st_pnode n) { return st_pcell_at(p, n)->i; }
double st_pickle_float(const st_pickle *p, st_pnode n) { return st_pcell_at(p, n)->f; }

st_text st_pickle_text(const st_pickle *p, st_pnode n)
{
    const st_pcell *c = st_pcell_at(p, n);
    bool has = c->kind == ST_P_TEXT || c->kind == ST_P_BYTES || c->kind == ST_P_BIG;
    return has ? (st_text){c->s, c->a} : (st_text){"", 0};
}

static bool is(st_text t, const char *word) { return t.len == strlen(word) && memcmp(t.ptr, word, t.len) == 0; }

bool st_pickle_is_text(const st_pickle *p, st_pnode n, const char *word)
{
    return st_pickle_kind(p, n) == ST_P_TEXT && is(st_pickle_text(p, n), word);
}

size_t st_pickle_count(const st_pickle *p, st_pnode n)
{
    const st_pcell *c = st_pcell_at(p, n);
    switch (c->kind) {
    case ST_P_TUPLE: return c->a;
    case ST_P_LIST:
    case ST_P_SET: return c->hi;
    case ST_P_DICT: return c->hi / 2;
    default: return 0;
    }
}

st_pnode st_pickle_item(const st_pickle *p, st_pnode tuple, size_t i)
{
    const st_pcell *c = st_pcell_at(p, tuple);
    return c->kind == ST_P_TUPLE && i < c->a ? p->kids[c->lo + i] : 0;
}

st_pnode st_pickle_id(const st_pickle *p, st_pnode n)
{
    const st_pcell *c = st_pcell_at(p, n);
    return c->kind == ST_P_PERSISTENT ? c->a : 0;
}

st_pnode st_pickle_get(const st_pickle *p, st_pnode dict, const char *key, size_t len)
{
    st_pnode k, v, found = 0;
    st_pitems it = st_pickle_items(p, dict);
    while (st_pickle_next(&it, &k, &v)) {
        st_text t = k ? st_pickle_text(p, k) : (st_text){"", 0};
        if (k && st_pickle_kind(p, k) == ST_P_TEXT && t.len == len && memcmp(t.ptr, key, len) == 0) found = v;
    }
    return found;
}

void st_pickle_name(const st_pickle *p, st_pnode n, st_text *module, st_text *name)
{
    const st_pcell *c = st_pcell_at(p, n);
    bool global = c->kind == ST_P_GLOBAL;
    *module = global ? st_pickle_text(p, c->a) : (st_text){"", 0};
    *name = global ? st_pickle_text(p, c->lo) : (st_text){"", 0};
}

bool st_pickle_is_global(const st_pickle *p, st_pnode n, const char *module, const char *name)
{
    st_text m, k;
    st_pickle_name(p, n, &m, &k);
    return is(m, module) && is(k, name);
}

static const st_pcell *call_at(const st_pickle *p, st_pnode n)
{
    const st_pcell *c = st_pcell_at(p, n);
    return c->kind == ST_P_CALL ? c : NULL;
}

st_pnode st_pickle_callee(const st_pickle *p, st_pnode n)
{
    const st_pcell *c = call_at(p, n);
    return c ? c->a : 0;
}

st_pnode st_pickle_args(const st_pickle *p, st_pnode n)
{
    const st_pcell *c = call_at(p, n);
    return c ? c->lo : 0;
}

st_pnode st_pickle_state(const st_pickle *p, st_pnode n)
{
    const st_pcell *c = call_at(p, n);
    return c && c->hi ? st_pcell_at(p, c->hi)->a : 0;
}

size_t st_pickle_globals(const st_pickle *p) { return p->nglobals; }
st_pnode st_pickle_global(const st_pickle *p, size_t i) { return p->globals[i]; }
st_pnode st_pickle_first_call(const st_pickle *p, st_pnode n)
{
    const st_pcell *c = st_pcell_at(p, n);
    return c->kind == ST_P_GLOBAL ? c->hi : 0;
}

st_pitems st_pickle_items(const st_pickle *p, st_pnode n)
{
    const st_pcell *c = st_pcell_at(p, n);
    st_pitems it = {.p = p};
    if (c->kind == ST_P_TUPLE)
        it = (st_pitems){.p = p, .i = c->lo, .end = c->lo + c->a, .tuple = true};
    else if (c->kind == ST_P_LIST || c->kind == ST_P_DICT || c->kind == ST_P_SET)
        it = (st_pitems){.p = p, .batch = c->a, .pairs = c->kind == ST_P_DICT};
    else if (c->kind == ST_P_CALL && c->hi)
        it = (st_pitems){.p = p, .batch = st_pcell_at(p, c->hi)->lo, .pairs = st_pcell_at(p, c->hi)->flag};
    return it;
}

bool st_pickle_next(st_pitems *it, st_pnode *key, st_pnode *value)
{
    const uint32_t *kids = it->p->kids;
    if (it->i == it->end) { /* of the batch: the place behind it names the next */
        if (it->tuple || (it->i == 0 && it->batch == 0)) return false;
        uint32_t next = it->i == 0 ? it->batch : kids[it->end];
        if (next == 0) return false;
        it->i = next + 1;
        it->end = next + 1 + kids[next];
    }
    *key = it->pairs ? kids[it->i++] : 0;
    *value = kids[it->i++];
    return true;
}

/* ---------------------------------------------------------------- showing */

enum { SHOW_DEPTH = 4, SHOW_ITEMS = 8 };

typedef struct shown {
    const st_pickle *p;
    char *dst;
    size_t n, cap;
    bool cut;
} shown;

static void add(shown *s, const char *text)
{
    size_t n = strlen(text);
    if (s->cut || n >= s->cap - s->n) {
        s->cut = true;
        return;
    }
    memcpy(s->dst + s->n, text, n + 1);
    s->n += n;
}

static void add_escaped(shown *s, st_text t)
{
    char text[160];
    st_escape(text, sizeof text, t.ptr, t.len);
    add(s, text);
}

static void show(shown *s, st_pnode n, int depth);

static void show_items(shown *s, st_pnode n, const char *open, const char *close, int depth)
{
    st_pnode key, value;
    st_pitems it = st_pickle_items(s->p, n);
    add(s, open);
    for (int i = 0; st_pickle_next(&it, &key, &value); i++) {
        if (i) add(s, ", ");
        if (i == SHOW_ITEMS || depth == 0) {
            add(s, "...");
            break;
        }
        if (key) {
            show(s, key, depth - 1);
            add(s, ": ");
        }
        show(s, value, depth - 1);
    }
    add(s, close);
}

static void show_global(shown *s, st_pnode n)
{
    st_text module, name;
    st_pickle_name(s->p, n, &module, &name);
    add_escaped(s, module);
    add(s, ".");
    add_escaped(s, name);
}

static void show_number(shown *s, st_pnode n, bool whole)
{
    char text[40];
    if (whole)
        snprintf(text, sizeof text, "%lld", (long long)st_pickle_int(s->p, n));
    else
        snprintf(text, sizeof text, "%g", st_pickle_float(s->p, n));
    add(s, text);
}

static void show_call(shown *s, st_pnode n, int depth)
{
    st_pnode args = st_pickle_args(s->p, n);
    if (depth == 0) return add(s, "...");
    show(s, st_pickle_callee(s->p, n), depth - 1);
    if (st_pickle_kind(s->p, args) == ST_P_TUPLE) return show_items(s, args, "(", ")", depth - 1);
    add(s, "(*");
    show(s, args, depth - 1);
    add(s, ")");
}

static void show(shown *s, st_pnode n, int depth)
{
    if (s->cut) return;
    switch (st_pickle_kind(s->p, n)) {
    case ST_P_NONE: return add(s, "None");
    case ST_P_BOOL: return add(s, st_pickle_int(s->p, n) ? "True" : "False");
    case ST_P_INT: return show_number(s, n, true);
    case ST_P_FLOAT: return show_number(s, n, false);
    case ST_P_BIG: return add(s, "a large number");
    case ST_P_BYTES: add(s, "b"); /* fall through */
    case ST_P_TEXT:
        add(s, "\"");
        add_escaped(s, st_pickle_text(s->p, n));
        return add(s, "\"");
    case ST_P_TUPLE: return show_items(s, n, "(", st_pickle_count(s->p, n) == 1 ? ",)" : ")", depth);
    case ST_P_LIST: return show_items(s, n, "[", "]", depth);
    case ST_P_DICT:
    case ST_P_SET: return show_items(s, n, "{", "}", depth);
    case ST_P_GLOBAL: return show_global(s, n);
    case ST_P_CALL: return show_call(s, n, depth);
    case ST_P_PERSISTENT: return add(s, "<storage>");
    case ST_P_EXTRA: break;
    }
}

void st_pickle_show(const st_pickle *p, st_pnode n, char *dst, size_t cap)
{
    shown s = {.p = p, .dst = dst, .cap = cap - 3};
    dst[0] = '\0';
    show(&s, n, SHOW_DEPTH);
    if (s.cut) memcpy(dst + s.n, "...", 4);
}
