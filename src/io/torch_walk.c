/* torch_walk.c - finds the tensors of a checkpoint and gives them names; notes what else there is. Layer: io; may touch
 * memory only.
 *
 * A name is the keys on the way, joined by dots. What is shared by several ways is walked once, under the first: a
 * pickle can be made to have more ways than there are atoms. A tensor that stands in several places has several
 * names. */
#include "callables.h"
#include "mem.h"
#include "torch.h"

#include <stdio.h>
#include <string.h>

enum {
    NAME_ROOM = 16,    /* bytes of names for each byte of the pickle: more is no checkpoint, but an attack */
    TENSOR_BYTES = 16, /* that a tensor takes in the pickle, at least, on an average */
    SPARE = 1024,
    SHOWN = 100,
};

typedef struct frame {
    st_pitems it;
    st_pnode state; /* of the object, to be walked after its items */
    size_t name_len;
    uint64_t i;
    bool couples, names; /* items are lists of a key and a value; have keys or attributes, not numbers */
} frame;

typedef struct walk {
    const char *label;
    const st_pickle *p;
    const st_open_opts *opts;
    const st_torch_finder *finder;
    st_listing *l;
    uint32_t *seen; /* by node: the round in which it was met */
    uint32_t round;
    frame *stack;
    size_t depth, cap;
    char *name;
    size_t name_cap;
    uint64_t name_left, tensors_left;
    int64_t sizes[2 * ST_MAX_DIMS]; /* of the tensor at hand */
    size_t skipped;
    st_err *err;
} walk;

static st_text key_of(const walk *w, st_pnode n) { return st_pickle_text(w->p, n); }
static bool is(st_text t, const char *word) { return t.len == strlen(word) && memcmp(t.ptr, word, t.len) == 0; }

static const char *escaped(char *room, size_t cap, st_text t)
{
    st_escape(room, cap, t.ptr, t.len);
    return room;
}

static st_status nomem(walk *w) { return st_fail_nomem(w->err, w->cap * sizeof *w->stack); }

/* ---------------------------------------------------------------- going through */

static bool is_container(const walk *w, st_pnode n)
{
    switch (st_pickle_kind(w->p, n)) {
    case ST_P_TUPLE:
    case ST_P_LIST:
    case ST_P_DICT:
    case ST_P_SET: return true;
    case ST_P_CALL: return !st_torch_is_tensor(w->p, n);
    default: return false;
    }
}

static st_status push(walk *w, frame f)
{
    if (w->depth == ST_PICKLE_DEPTH)
        return st_fail(w->err, ST_LIMIT, w->label, NULL, "its pickle is nested deeper than %d levels", ST_PICKLE_DEPTH);
    if (!st_grow((void **)&w->stack, &w->cap, w->depth + 1, sizeof f)) return nomem(w);
    w->stack[w->depth++] = f;
    return ST_OK;
}

/* OrderedDict([[key, value], ...]), as Python 2 wrote it: the list. */
static st_pnode list_of_couples(const walk *w, st_pnode n)
{
    st_pnode args = st_pickle_args(w->p, n), first = args ? st_pickle_item(w->p, args, 0) : 0;
    bool ordered = args && st_pickle_is_global(w->p, st_pickle_callee(w->p, n), "collections", "OrderedDict");
    return ordered && first && st_pickle_kind(w->p, first) == ST_P_LIST ? first : 0;
}

/* A container that was not met in this round: its elements are next. */
static st_status enter(walk *w, st_pnode n, size_t name_len)
{
    if (w->seen[n] == w->round) return ST_OK;
    w->seen[n] = w->round;
    st_pnode couples = st_pickle_kind(w->p, n) == ST_P_CALL ? list_of_couples(w, n) : 0;
    frame f = {.it = st_pickle_items(w->p, couples ? couples : n), .name_len = name_len, .couples = couples != 0};
    f.state = st_pickle_kind(w->p, n) == ST_P_CALL ? st_pickle_state(w->p, n) : 0;
    f.names = f.it.pairs || f.couples;
    return push(w, f);
}

/* The three dicts of a torch.nn.Module, whose names do not count. */
static bool is_part_of_module(st_text key)
{
    return is(key, "_parameters") || is(key, "_buffers") || is(key, "_modules");
}

/* A list of a key and a value. */
static bool read_couple(const walk *w, st_pnode list, st_pnode *key, st_pnode *value)
{
    st_pnode unused;
    st_pitems it = st_pickle_items(w->p, list);
    return !it.pairs && st_pickle_next(&it, &unused, key) && st_pickle_next(&it, &unused, value);
}

/* The next element of the innermost container; its key is 0 where elements are numbered. */
static bool next(walk *w, frame *f, st_pnode *key, st_pnode *value)
{
    while (st_pickle_next(&f->it, key, value)) {
        f->i++;
        if (!f->couples || read_couple(w, *value, key, value)) return true;
    }
    return false;
}

/* Puts `.key` behind the first `from` bytes of the name. False where a key is neither text nor a number. */
static st_status add_key(walk *w, size_t from, st_pnode key, uint64_t number, bool *usable, size_t *len)
{
    char digits[24];
    st_text t;
    *usable = true;
    if (key && st_pickle_kind(w->p, key) == ST_P_TEXT) {
        t = key_of(w, key);
    } else if (!key || st_pickle_kind(w->p, key) == ST_P_INT) {
        long long v = key ? (long long)st_pickle_int(w->p, key) : (long long)number;
        t = (st_text){digits, (size_t)snprintf(digits, sizeof digits, "%lld", v)};
    } else {
        return *usable = false, ST_OK;
    }
    *len = from + (from > 0) + t.len;
    if (!st_grow((void **)&w->name, &w->name_cap, *len + 1, 1)) return nomem(w);
    if (from) w->name[from] = '.';
    memcpy(w->name + *len - t.len, t.ptr, t.len);
    return ST_OK;
}

/* ---------------------------------------------------------------- tensors */

static st_status skip(walk *w, st_text name, const st_torch_tensor *t)
{
    char shown[200], what[100];
    w->skipped++;
    return st_listing_note(w->l, ST_NOTE_SKIPPED, w->err, "%s: %s%s%s", escaped(shown, sizeof shown, name),
                           escaped(what, sizeof what, t->what), t->what.len ? " " : "", t->why);
}

static st_status add_tensor(walk *w, st_pnode n, size_t name_len)
{
    st_torch_tensor t;
    uint64_t at = 0;
    st_text name = {w->name, name_len};
    if (name_len > w->name_left || w->tensors_left == 0)
        return st_fail(w->err, ST_LIMIT, w->label, NULL,
                       "%zu tensors, or names of them, are more than its pickle can honestly hold", w->l->count + 1);
    w->name_left -= name_len;
    w->tensors_left--;
    ST_TRY(st_torch_tensor_of(w->label, w->p, n, name, w->sizes, &t, w->err));
    if (t.why) return skip(w, name, &t);
    ST_TRY(w->finder->find(w->finder->arg, &t.storage, name, &at, w->err));
    return st_listing_add(w->l, w->label,
                          &(st_listed){.name = name.ptr,
                                       .len = (uint32_t)name.len,
                                       .dtype = (uint8_t)t.dtype,
                                       .ndim = (uint8_t)t.ndim,
                                       .shape = t.shape,
                                       .strides = t.strides,
                                       .offset = at + t.offset,
                                       .bytes = t.bytes},
                          w->err);
}

/* Small values beside the tensors that were taken. */
static st_status note_beside(walk *w, size_t name_len, st_pnode value)
{
    char name[120], shown[SHOWN];
    if (st_pickle_kind(w->p, value) == ST_P_PERSISTENT) return ST_OK;
    st_pickle_show(w->p, value, shown, sizeof shown);
    return st_listing_note(w->l, ST_NOTE_BESIDE, w->err, "%s = %s",
                           escaped(name, sizeof name, (st_text){w->name, name_len}), shown);
}

/* "array", "scalar": what NumPy's value is, whose bytes stand in the pickle; or NULL. */
static const char *numpy_kind(const walk *w, st_pnode n)
{
    static const struct {
        const char *module, *name, *kind;
    } makers[] = {
        {"numpy.core.multiarray", "_reconstruct", "array"}, {"numpy._core.multiarray", "_reconstruct", "array"},
        {"numpy.core.numeric", "_frombuffer", "array"},     {"numpy._core.numeric", "_frombuffer", "array"},
        {"numpy.ma.core", "_mareconstruct", "array"},       {"numpy.core.multiarray", "scalar", "scalar"},
        {"numpy._core.multiarray", "scalar", "scalar"},
    };
    st_pnode callee = st_pickle_callee(w->p, n);
    for (size_t i = 0; callee && i < sizeof makers / sizeof *makers; i++)
        if (st_pickle_is_global(w->p, callee, makers[i].module, makers[i].name)) return makers[i].kind;
    return NULL;
}

static st_status note_numpy(walk *w, size_t name_len, st_pnode value)
{
    char name[120];
    const char *kind = numpy_kind(w, value);
    if (!kind) return ST_OK;
    return st_listing_note(w->l, ST_NOTE_LEFT, w->err, "\"%s\": a NumPy %s",
                           escaped(name, sizeof name, (st_text){w->name, name_len}), kind);
}

/* One element of the innermost container. With `count` tensors are only counted. */
static st_status visit(walk *w, frame *f, st_pnode key, st_pnode value, size_t *count)
{
    size_t from = f->name_len, len;
    bool usable = true, outermost = w->depth == 1;
    bool tensor = st_torch_is_tensor(w->p, value), container = is_container(w, value);
    if (!tensor && !container && !outermost) return ST_OK;
    if (count) return tensor ? ++*count, ST_OK : container ? enter(w, value, 0) : ST_OK;
    if (key && is_part_of_module(key_of(w, key)))
        len = from;
    else
        ST_TRY(add_key(w, from, key, f->i - 1, &usable, &len));
    if (!usable) return ST_OK;
    if (tensor) return add_tensor(w, value, len);
    if (!container) return note_beside(w, len, value);
    ST_TRY(note_numpy(w, len, value));
    return enter(w, value, len);
}

/* All tensors below a node: named and listed, or counted. */
static st_status walk_from(walk *w, st_pnode n, size_t *count)
{
    if (st_torch_is_tensor(w->p, n)) {
        if (count) return ++*count, ST_OK;
        static const char name[] = "tensor";
        if (!st_grow((void **)&w->name, &w->name_cap, sizeof name, 1)) return nomem(w);
        memcpy(w->name, name, sizeof name);
        return add_tensor(w, n, sizeof name - 1);
    }
    if (!is_container(w, n)) return ST_OK;
    ST_TRY(enter(w, n, 0));
    while (w->depth) {
        frame *f = &w->stack[w->depth - 1];
        st_pnode key, value;
        if (next(w, f, &key, &value)) {
            ST_TRY(visit(w, f, key, value, count));
            continue;
        }
        st_pnode state = f->state;
        size_t name_len = f->name_len;
        w->depth--;
        if (state && is_container(w, state)) ST_TRY(enter(w, state, name_len));
    }
    return ST_OK;
}

static st_status count_tensors(walk *w, st_pnode n, size_t *count)
{
    *count = 0;
    return walk_from(w, n, count);
}

/* ---------------------------------------------------------------- the part that is the model */

/* Where training programs put a model's tensors, the best first. */
static const char *const wrappers[] = {
    "state_dict", "model_state_dict", "params_ema",  "params-ema", "params",    "model",   "module",
    "net",        "network",          "model_state", "g_ema",      "generator", "weights",
};
enum { SURE = 2, LEVELS = 4 }; /* the first ones are taken whatever stands beside them */

/* What such programs put beside it: the beginnings of keys. */
static const char *const companions[] = {
    "optim",  "opt",  "lr_s",   "sched",      "scaler", "amp",    "callbacks", "loops",  "ema",   "model_ema",
    "params", "rng",  "random", "state_dict", "hparam", "config", "g",         "d",      "disc",  "teacher",
    "best",   "args", "epoch",  "step",       "iter",   "global", "trainer",   "train_", "extra", "cuda_rng",
};

/* "params_ema", "g_ema": an average of what is under another key. */
static bool is_average(st_text key)
{
    const char *end = key.ptr + key.len;
    return key.len > 4 && (end[-4] == '_' || end[-4] == '-') && memcmp(end - 3, "ema", 3) == 0;
}

static bool is_wrapper(st_text key)
{
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++)
        if (is(key, wrappers[i])) return true;
    return false;
}

static bool is_companion(st_text key)
{
    if (is_average(key)) return true;
    for (size_t i = 0; i < sizeof companions / sizeof *companions; i++) {
        size_t n = strlen(companions[i]);
        if (key.len >= n && memcmp(key.ptr, companions[i], n) == 0 && (n > 1 || key.len == 1)) return true;
    }
    return false;
}

/* Whether there are tensors beside `key` that taking it would lose without anybody knowing why. Beside an average they
 * are what it is the average of. */
static st_status loses(walk *w, st_pnode dict, const char *key, bool *yes)
{
    st_pitems it = st_pickle_items(w->p, dict);
    st_pnode k, v;
    bool average = is_average((st_text){key, strlen(key)});
    *yes = false;
    w->round++;
    while (!*yes && st_pickle_next(&it, &k, &v)) {
        st_text t = key_of(w, k);
        size_t n;
        if (is(t, key) || is_companion(t) || (average && is_wrapper(t))) continue;
        ST_TRY(count_tensors(w, v, &n));
        *yes = n > 0;
    }
    return ST_OK;
}

static bool is_dict(const walk *w, st_pnode n)
{
    st_pitems it = st_pickle_items(w->p, n);
    return it.pairs;
}

/* The wrapper in a dict, or 0. */
static st_status find_wrapper(walk *w, st_pnode dict, st_pnode *inner, const char **key)
{
    *inner = 0;
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++) {
        size_t n;
        bool lost = false;
        st_pnode v = st_pickle_get(w->p, dict, wrappers[i], strlen(wrappers[i]));
        if (!v || !is_container(w, v)) continue;
        w->round++;
        ST_TRY(count_tensors(w, v, &n));
        if (n == 0) continue;
        if (i >= SURE) ST_TRY(loses(w, dict, wrappers[i], &lost));
        if (lost) return ST_OK; /* nor would another one do: all is taken */
        *inner = v;
        *key = wrappers[i];
        return ST_OK;
    }
    return ST_OK;
}

/* What stands beside the part that is taken, of one dict. */
static st_status note_siblings(walk *w, st_pnode dict, st_text taken)
{
    st_pitems it = st_pickle_items(w->p, dict);
    st_pnode k, v;
    w->round++;
    while (st_pickle_next(&it, &k, &v)) {
        char name[120], shown[SHOWN];
        st_text t = k ? key_of(w, k) : (st_text){"", 0};
        size_t n;
        if (t.len == taken.len && memcmp(t.ptr, taken.ptr, t.len) == 0) continue;
        if (k)
            st_pickle_show(w->p, k, name, sizeof name);
        else
            snprintf(name, sizeof name, "an element");
        ST_TRY(count_tensors(w, v, &n));
        st_pickle_show(w->p, v, shown, sizeof shown);
        ST_TRY(n ? st_listing_note(w->l, ST_NOTE_LEFT, w->err, "%s: %zu tensor%s", name, n, n == 1 ? "" : "s")
                 : st_listing_note(w->l, ST_NOTE_BESIDE, w->err, "%s = %s", name, shown));
    }
    return ST_OK;
}

enum { PARTS_SHOWN = 8 };

/* The keys of a dict that may be given, those with tensors, behind the `before` that led to it. */
static st_status show_parts(walk *w, st_pnode dict, st_text before, char *dst, size_t cap)
{
    st_pitems it = st_pickle_items(w->p, dict);
    st_pnode k, v;
    size_t len = 0, found = 0;
    char first[100];
    escaped(first, sizeof first, before);
    dst[0] = '\0';
    w->round++;
    while (st_pickle_next(&it, &k, &v)) {
        char name[100];
        size_t n;
        ST_TRY(count_tensors(w, v, &n));
        if (!k || st_pickle_kind(w->p, k) != ST_P_TEXT || n == 0 || found++ >= PARTS_SHOWN || len >= cap) continue;
        len += (size_t)snprintf(dst + len, cap - len, "%s\"%s%s\" (%zu tensor%s)", found > 1 ? ", " : "", first,
                                escaped(name, sizeof name, key_of(w, k)), n, n == 1 ? "" : "s");
    }
    if (found > PARTS_SHOWN && len < cap) snprintf(dst + len, cap - len, ", and %zu more", found - PARTS_SHOWN);
    return ST_OK;
}

static st_status no_such_part(walk *w, st_pnode node, size_t before)
{
    char shown[200], have[PARTS_SHOWN * 240] = "";
    if (is_dict(w, node)) ST_TRY(show_parts(w, node, (st_text){w->opts->key, before}, have, sizeof have));
    st_escape(shown, sizeof shown, w->opts->key, strlen(w->opts->key));
    if (!have[0])
        return st_fail(w->err, ST_NAME, w->label, NULL, "it has no part \"%s\", nor others that have names", shown);
    return st_fail(w->err, ST_NAME, w->label, NULL, "it has no part \"%s\"; --key takes %s", shown, have);
}

/* The part that the user names: a key with dots in it wins over a way of several keys. */
static st_status find_key(walk *w, st_pnode *node)
{
    const char *rest = w->opts->key;
    while (*rest) {
        size_t n = strlen(rest), cut = n;
        bool dict = is_dict(w, *node);
        st_pnode v = dict ? st_pickle_get(w->p, *node, rest, n) : 0;
        for (size_t dot = strcspn(rest, "."); dict && !v && dot < n; dot += 1 + strcspn(rest + dot + 1, ".")) {
            v = st_pickle_get(w->p, *node, rest, dot);
            cut = dot;
        }
        if (!v) return no_such_part(w, *node, (size_t)(rest - w->opts->key));
        ST_TRY(note_siblings(w, *node, (st_text){rest, cut}));
        *node = v;
        rest += cut + (rest[cut] == '.');
    }
    return ST_OK;
}

static st_status choose(walk *w, st_pnode *node)
{
    char taken[200] = "";
    size_t n = 0;
    if (w->opts->key) {
        ST_TRY(find_key(w, node));
        st_escape(taken, sizeof taken, w->opts->key, strlen(w->opts->key));
    }
    for (int level = 0; !w->opts->key && level < LEVELS && is_dict(w, *node); level++) {
        const char *key;
        st_pnode inner;
        ST_TRY(find_wrapper(w, *node, &inner, &key));
        if (!inner) break;
        ST_TRY(note_siblings(w, *node, (st_text){key, strlen(key)}));
        n += (size_t)snprintf(taken + n, sizeof taken - n, "%s%s", n ? "." : "", key);
        *node = inner;
    }
    return taken[0] ? st_listing_note(w->l, ST_NOTE_TAKEN, w->err, "%s", taken) : ST_OK;
}

/* ---------------------------------------------------------------- what it would run */

/* What a name that is refused is said to do. */
static void say_danger(char *room, size_t cap, st_callable c, bool called, const char *shown)
{
    if (c == ST_CALLABLE_SUSPECT)
        snprintf(room, cap, "%s %s, which is not known to be harmless,", called ? "calls" : "reaches for", shown);
    else
        snprintf(room, cap, "%s %s", called ? "tries to run" : "reaches for", shown);
}

/* Names with dots are refused all: the reason, which takes a search, is told of the first danger alone. */
static st_callable kind_of(const walk *w, st_pnode global, bool reason)
{
    st_text module, name;
    st_pickle_name(w->p, global, &module, &name);
    bool dotted = name.len && memchr(name.ptr, '.', name.len);
    return dotted && !reason ? ST_CALLABLE_SUSPECT
                             : st_callable_of(module, name, st_pickle_first_call(w->p, global) != 0);
}

static st_status note_globals(walk *w)
{
    char first[400] = "";
    size_t dangers = 0;
    for (size_t i = 0; i < st_pickle_globals(w->p); i++) {
        char shown[300];
        st_pnode g = st_pickle_global(w->p, i), call = st_pickle_first_call(w->p, g);
        st_callable c = kind_of(w, g, dangers == 0);
        if (c == ST_CALLABLE_KNOWN) continue;
        bool danger = c != ST_CALLABLE_UNKNOWN, called = call && st_pickle_callee(w->p, call) == g;
        st_pickle_show(w->p, danger && called ? call : g, shown, sizeof shown);
        if (danger && !dangers++) say_danger(first, sizeof first, c, called, shown);
        ST_TRY(st_listing_note(w->l, danger ? ST_NOTE_DANGER : ST_NOTE_UNKNOWN, w->err, "%s", shown));
    }
    if (!dangers || w->opts->tensors_only) return ST_OK;
    char more[64] = "";
    if (dangers > 1) snprintf(more, sizeof more, " and %zu other thing%s", dangers - 1, dangers > 2 ? "s" : "");
    return st_fail(w->err, ST_UNSAFE, w->label, NULL,
                   "this file %s%s when PyTorch loads it; nothing was run here (see `stlua info`; `stlua convert "
                   "--tensors-only` takes its tensors and nothing else)",
                   first, more);
}

static st_status check_skipped(walk *w)
{
    if (!w->skipped || w->opts->skip) return ST_OK;
    const char *first = "";
    for (size_t i = 0; i < w->l->nnotes; i++)
        if (w->l->notes[i].kind == ST_NOTE_SKIPPED) {
            first = w->l->notes[i].text.ptr;
            break;
        }
    return st_fail(w->err, ST_DTYPE, w->label, NULL,
                   "%zu of its tensors cannot be had: %s%s (leave them out: `stlua convert --skip`)", w->skipped, first,
                   w->skipped > 1 ? ", ..." : "");
}

static st_status walk_all(walk *w)
{
    st_pnode node = st_pickle_root(w->p);
    ST_TRY(note_globals(w));
    ST_TRY(choose(w, &node));
    w->round++;
    ST_TRY(walk_from(w, node, NULL));
    /* As whoever loads tensors with PyTorch expects to find it. */
    ST_TRY(st_listing_meta(w->l, w->label, (st_text){"format", 6}, (st_text){"pt", 2}, w->err));
    return check_skipped(w);
}

st_status st_torch_walk(const char *label, const st_pickle *p, size_t bytes, const st_open_opts *opts,
                        const st_torch_finder *f, st_listing *l, st_err *err)
{
    static const st_open_opts none;
    walk w = {.label = label,
              .p = p,
              .opts = opts ? opts : &none,
              .finder = f,
              .l = l,
              .name_left = (uint64_t)bytes * NAME_ROOM + SPARE,
              .tensors_left = bytes / TENSOR_BYTES + SPARE,
              .err = err};
    w.seen = st_calloc(st_pickle_nodes(p), sizeof *w.seen);
    st_status s = w.seen ? walk_all(&w) : st_fail_nomem(err, st_pickle_nodes(p) * sizeof *w.seen);
    st_free(w.seen);
    st_free(w.stack);
    st_free(w.name);
    return s;
}
