/* bind_outline.c - m:_outline: the names of a model as a tree, in which numbered blocks of one structure are one.
 * Layer: bind. In C because a model of 100,000 tensors is to be printed in a blink. */
#include "bind.h"

#include <string.h>

enum {
    DEPTH = 64, /* segments of a name; what is left of a longer one is one segment */
    DIGITS = 9, /* of a segment that counts as a number */
};

typedef struct node {
    uint32_t parent, first, last, next; /* 0: none; the root is 0 */
    uint32_t key, key_len;              /* in the texts */
    uint32_t leaf, leaf_len;            /* "BF16 [4, 4]" */
    uint64_t count, bytes, numel;       /* of all below */
    uint64_t own_bytes, own_numel;
    uint64_t structure; /* equal for equal structures, up to collisions of a hash */
} node;

/* A growing array in a slot of the Lua stack. */
typedef struct array {
    char *p;
    size_t n, cap; /* bytes */
    int slot;
} array;

typedef struct tree {
    array nodes, texts, table; /* table: open addressing, positions of nodes by parent and key; 0 is free */
    size_t mask;
    lua_Integer most; /* blocks of a list */
} tree;

static void array_init(lua_State *L, array *a, size_t cap)
{
    *a = (array){.p = lua_newuserdatauv(L, cap, 0), .cap = cap};
    a->slot = lua_gettop(L);
}

/* May run the collector. */
static void array_reserve(lua_State *L, array *a, size_t more)
{
    if (a->cap - a->n >= more) return;
    size_t cap = a->cap * 2 > a->n + more ? a->cap * 2 : a->n + more;
    if (cap > UINT32_MAX) bind_fail(L, ST_LIMIT, "the names of this model are too many for an outline");
    char *p = lua_newuserdatauv(L, cap, 0);
    memcpy(p, a->p, a->n);
    lua_replace(L, a->slot);
    a->p = p;
    a->cap = cap;
}

static node *nodes(const tree *t) { return (node *)(void *)t->nodes.p; }
static size_t node_count(const tree *t) { return t->nodes.n / sizeof(node); }

static uint32_t add_text(tree *t, const char *s, size_t n)
{
    memcpy(t->texts.p + t->texts.n, s, n);
    t->texts.n += n;
    return (uint32_t)(t->texts.n - n);
}

/* ---------------------------------------------------------------- building */

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t hash(const char *s, size_t n)
{
    uint64_t h = n, part;
    for (; n >= 8; n -= 8, s += 8) {
        memcpy(&part, s, 8);
        h = mix(h ^ part);
    }
    part = 0;
    memcpy(&part, s, n);
    return mix(h ^ part);
}

static uint32_t *place_of(const tree *t, uint32_t parent, const char *key, size_t len)
{
    uint32_t *table = (uint32_t *)(void *)t->table.p;
    size_t i = (size_t)mix(hash(key, len) + parent) & t->mask;
    for (; table[i]; i = (i + 1) & t->mask) {
        const node *n = &nodes(t)[table[i]];
        if (n->parent == parent && n->key_len == len && memcmp(t->texts.p + n->key, key, len) == 0) break;
    }
    return &table[i];
}

static void make_table(lua_State *L, tree *t, size_t slots)
{
    array_reserve(L, &t->table, slots * sizeof(uint32_t)); /* its n stays 0: nothing is kept */
    memset(t->table.p, 0, slots * sizeof(uint32_t));
    t->mask = slots - 1;
    for (uint32_t i = 1; i < node_count(t); i++) {
        const node *n = &nodes(t)[i];
        *place_of(t, n->parent, t->texts.p + n->key, n->key_len) = i;
    }
}

/* Room for all that one name may add. */
static void reserve(lua_State *L, tree *t, size_t name_len)
{
    array_reserve(L, &t->nodes, DEPTH * sizeof(node));
    array_reserve(L, &t->texts, name_len + ST_MAX_DIMS * 24 + 64);
    if (2 * (node_count(t) + DEPTH) > t->mask) make_table(L, t, 4 * (t->mask + 1));
}

static uint32_t child(tree *t, uint32_t parent, const char *key, size_t len)
{
    uint32_t last = nodes(t)[parent].last;
    const node *n = &nodes(t)[last];
    if (last && n->key_len == len && memcmp(t->texts.p + n->key, key, len) == 0) return last;
    uint32_t *place = place_of(t, parent, key, len), found = *place;
    if (found) return found;
    uint32_t i = (uint32_t)node_count(t);
    t->nodes.n += sizeof(node);
    nodes(t)[i] = (node){.parent = parent, .key = add_text(t, key, len), .key_len = (uint32_t)len};
    if (last)
        nodes(t)[last].next = i;
    else
        nodes(t)[parent].first = i;
    nodes(t)[parent].last = i;
    return *place = i;
}

static void add_leaf(tree *t, uint32_t at, const st_info *info)
{
    bind_text b = {.p = t->texts.p + t->texts.n, .cap = t->texts.cap - t->texts.n};
    node *n = &nodes(t)[at];
    uint64_t numel = 1;
    bind_text_str(&b, st_dtype_name(info->dtype));
    bind_text_str(&b, " [");
    for (int i = 0; i < info->ndim; i++) {
        if (i) bind_text_str(&b, ", ");
        bind_text_int(&b, info->shape[i]);
        numel *= (uint64_t)info->shape[i];
    }
    bind_text_str(&b, "]");
    n->leaf = (uint32_t)t->texts.n;
    n->leaf_len = (uint32_t)b.n;
    t->texts.n += b.n;
    n->count++;
    n->bytes = n->own_bytes = bind_info_bytes(info);
    n->numel = n->own_numel = numel;
}

static void add_name(tree *t, const st_info *info)
{
    const char *s = info->name, *end = s + info->name_len, *dot;
    uint32_t at = 0;
    for (int depth = 1; depth < DEPTH && (dot = memchr(s, '.', (size_t)(end - s))) != NULL; depth++, s = dot + 1)
        at = child(t, at, s, (size_t)(dot - s));
    add_leaf(t, child(t, at, s, (size_t)(end - s)), info);
}

/* Sums, and what tells structures apart, from the last nodes to the first: children come after their parents. */
static void measure(const tree *t)
{
    for (size_t i = node_count(t); i-- > 1;) {
        node *n = &nodes(t)[i], *up = &nodes(t)[n->parent];
        if (n->leaf_len) n->structure += hash(t->texts.p + n->leaf, n->leaf_len);
        n->structure = mix(n->structure);
        up->structure += mix(n->structure ^ hash(t->texts.p + n->key, n->key_len));
        up->count += n->count;
        up->bytes += n->bytes;
        up->numel += n->numel;
    }
}

/* ---------------------------------------------------------------- giving it to Lua */

static void set_integer(lua_State *L, const char *key, uint64_t v)
{
    lua_pushinteger(L, (lua_Integer)v);
    lua_setfield(L, -2, key);
}

static void add_integer(lua_State *L, const char *key, uint64_t v)
{
    lua_getfield(L, -1, key);
    v += (uint64_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    set_integer(L, key, v);
}

static bool is_number(const tree *t, const node *n, lua_Integer *out)
{
    const char *s = t->texts.p + n->key;
    *out = 0;
    if (n->key_len == 0 || n->key_len > DIGITS) return false;
    for (uint32_t i = 0; i < n->key_len; i++) {
        if (s[i] < '0' || s[i] > '9') return false;
        *out = *out * 10 + (s[i] - '0');
    }
    return true;
}

static void push_blocks(lua_State *L, const tree *t, uint32_t at);

static void push_block(lua_State *L, const tree *t, uint32_t at, bool number)
{
    const node *n = &nodes(t)[at];
    lua_createtable(L, 0, 10);
    lua_pushlstring(L, t->texts.p + n->key, n->key_len);
    lua_setfield(L, -2, "key");
    if (n->leaf_len) {
        lua_pushlstring(L, t->texts.p + n->leaf, n->leaf_len);
        lua_setfield(L, -2, "leaf");
        set_integer(L, "own_bytes", n->own_bytes);
        set_integer(L, "own_numel", n->own_numel);
    }
    set_integer(L, "count", n->count);
    if (number) {
        lua_newtable(L);
        lua_setfield(L, -2, "numbers");
    }
    push_blocks(L, t, at);
    lua_setfield(L, -2, "below");
}

/* Pushes the list of blocks below a node. Of those with one structure the first stands for all. */
static void push_blocks(lua_State *L, const tree *t, uint32_t at)
{
    luaL_checkstack(L, 12, "an outline");
    lua_newtable(L); /* the list */
    lua_newtable(L); /* structure -> block */
    lua_Integer count = 0;
    for (uint32_t i = nodes(t)[at].first, next; i; i = next) {
        const node *n = &nodes(t)[i];
        lua_Integer number;
        bool numbered = is_number(t, n, &number);
        next = n->next;
        if (!numbered || lua_rawgeti(L, -1, (lua_Integer)n->structure) == LUA_TNIL) {
            if (numbered) lua_pop(L, 1);
            if (count >= t->most) {
                lua_pushvalue(L, -2);
                add_integer(L, "left_out", 1);
                lua_pop(L, 1);
                continue;
            }
            push_block(L, t, i, numbered);
            if (numbered) {
                lua_pushvalue(L, -1);
                lua_rawseti(L, -3, (lua_Integer)n->structure);
            }
            lua_pushvalue(L, -1);
            lua_rawseti(L, -4, ++count);
        }
        add_integer(L, "times", 1);
        add_integer(L, "bytes", n->bytes);
        if (numbered) {
            lua_getfield(L, -1, "numbers");
            lua_pushinteger(L, number);
            lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* m:_outline([most]) -> a list of blocks, and the bytes of all. A block is { key, below = a list of blocks, times,
 * count = tensors in one of them, bytes = of all of them, leaf = dtype and shape, own_bytes, own_numel, numbers = the
 * keys that it stands for }. Of longer lists than `most` the rest is counted in a field left_out. */
int bind_model_outline(lua_State *L)
{
    tree t = {0};
    bind_top(L, 2);
    bind_model_get(L, 1);
    t.most = lua_isnoneornil(L, 2) ? LUA_MAXINTEGER : bind_integer(L, 2, 1, LUA_MAXINTEGER);
    array_init(L, &t.nodes, 256 * sizeof(node));
    array_init(L, &t.texts, 4096);
    array_init(L, &t.table, 4096);
    nodes(&t)[0] = (node){0};
    t.nodes.n = sizeof(node);
    make_table(L, &t, 1024);
    for (size_t i = 0; i < st_model_count(bind_model_get(L, 1)); i++) {
        reserve(L, &t, st_model_info(bind_model_get(L, 1), i).name_len);
        st_info info = st_model_info(bind_model_get(L, 1), i); /* entries are never taken away */
        add_name(&t, &info);
    }
    measure(&t);
    push_blocks(L, &t, 0);
    lua_pushinteger(L, (lua_Integer)nodes(&t)[0].bytes);
    return 2;
}
