/* program.c - the fused evaluator: compiles expressions to kernel calls on registers, runs them block by block.
 * Layer: exec.
 *
 * A register holds BLOCK elements of one class. Compiling walks the nodes in topological order; a register is given
 * back after its last reader, so that a long chain needs few. A tile is what is read from the files in one go; inside
 * it the blocks run through all kernels while they are in the first-level caches.
 *
 * Nothing is copied that is in place already: values that are registers as they lie in a file's tile or in memory are
 * read there (such a register's number is negative), and an output that is stored as it is computed is computed where
 * it goes. */
#include "program.h"
#include "cut.h"
#include "hold.h"
#include "mem.h"
#include "product.h"
#include "reduce.h"

#include <string.h>

enum {
    BLOCK = 2048,           /* elements at most: 8 KiB of F32 per register */
    BLOCK_MIN = 1024,       /* fewer would make calls of kernels cost something */
    REGS_BYTES = 24 << 10,  /* of all registers together, if it can be had: they stay in the first-level cache */
    TILE_BYTES = 768 << 10, /* raw bytes in and out per tile: they stay in a 1 MiB second-level cache */
    TILE_MIN = 2 * BLOCK,
    TILE_WORK = 4 << 20,     /* kernel calls on one element per tile: a cancel waits for a tile to end */
    TILE_ROWS = 12,          /* of a product, or more: each tile reads its right operand again */
    TILE_MOST = 1 << 18,     /* elements, for the sake of rows */
    GATHER_SIZE = BLOCK * 8, /* the block for gathering and random numbers */
};

typedef enum leaf_kind { LEAF_RANGE, LEAF_PRODUCT, LEAF_MEMORY, LEAF_VIEW, LEAF_RANDOM, LEAF_STEP } leaf_kind;
typedef struct leaf {
    leaf_kind kind;
    const st_tensor *t;
    const char *values; /* MEMORY: raw values; VIEW, STEP: those of its operand */
    size_t width;       /* bytes of an element */
    size_t tile_offset; /* RANGE, PRODUCT: where its bytes of the tile lie in the lane */
    st_gen_fn generate; /* RANDOM */
    st_product *product;
} leaf;

typedef struct instr {
    st_kern_fn fn;
    int leaf;   /* >= 0: src is the leaf's raw block */
    int output; /* >= 0: dst is the output's raw block */
    int dst, src[3], nsrc;
} instr;

typedef struct constant {
    int reg;
    st_reg cls;
    uint64_t value; /* the register's element, in the first bytes */
} constant;

struct st_program {
    uint64_t number; /* of no other program of the context */
    uint64_t numel, tile;
    size_t nouts, nleaves, ninstrs, nconsts;
    int nregs;
    int *home; /* of a register: the output that it lies in, or -1 */
    st_output *outs;
    leaf *leaves;
    instr *instrs;
    constant *consts;
    size_t leaf_cap, instr_cap, const_cap;
    size_t tile_bytes; /* of the raw input buffers in a lane */
    size_t width;      /* bytes of an element in the widest register */
    size_t block;      /* elements that go through all kernels at a time */
};

/* Where a node's value is while compiling. */
typedef struct place {
    const st_tensor *t;
    int reg, uses;
} place;

typedef struct compiler {
    st_program *p;
    st_ctx *ctx;
    st_err *err;
    const st_kernels *k;
    place *places;
    size_t nplaces;
    int *idle; /* registers free for reuse */
    size_t nidle, idle_cap;
    bool fresh;      /* new registers are to be ones that nothing else was computed in */
    int *output_reg; /* of each output that may be computed where it goes; else -1 */
} compiler;

/* ---------------------------------------------------------------- registers and instructions */

static int new_reg(compiler *c) { return c->nidle && !c->fresh ? c->idle[--c->nidle] : c->p->nregs++; }

/* The register that is a leaf's own bytes. */
static int leaf_reg(int index) { return -2 - index; }

static st_status release(compiler *c, int reg)
{
    if (reg < 0) return ST_OK;
    if (!st_grow((void **)&c->idle, &c->idle_cap, c->nidle + 1, sizeof *c->idle))
        return st_fail_nomem(c->err, sizeof *c->idle);
    c->idle[c->nidle++] = reg;
    return ST_OK;
}

static st_status emit(compiler *c, instr in)
{
    st_program *p = c->p;
    if (!in.fn) return st_fail(c->err, ST_INTERNAL, NULL, NULL, "no kernel for a conversion");
    if (!st_grow((void **)&p->instrs, &p->instr_cap, p->ninstrs + 1, sizeof in))
        return st_fail_nomem(c->err, sizeof in);
    p->instrs[p->ninstrs++] = in;
    return ST_OK;
}

static st_status emit_kernel(compiler *c, st_kern_fn fn, int dst, int a, int b, int d, int n)
{
    return emit(c, (instr){.fn = fn, .leaf = -1, .output = -1, .dst = dst, .src = {a, b, d}, .nsrc = n});
}

static place *find_place(compiler *c, const st_tensor *t)
{
    /* Operands lie close below their users: search backwards. */
    for (size_t i = c->nplaces; i-- > 0;)
        if (c->places[i].t == t) return &c->places[i];
    return NULL;
}

/* A constant register of a class. Constants are never released: their blocks are filled once per lane. */
static st_status constant_value(compiler *c, st_reg cls, uint64_t value, int *reg)
{
    st_program *p = c->p;
    for (size_t i = 0; i < p->nconsts; i++)
        if (p->consts[i].cls == cls && p->consts[i].value == value) return *reg = p->consts[i].reg, ST_OK;
    constant k = {.cls = cls, .value = value};
    if (!st_grow((void **)&p->consts, &p->const_cap, p->nconsts + 1, sizeof k)) return st_fail_nomem(c->err, sizeof k);
    *reg = k.reg = p->nregs++;
    p->consts[p->nconsts++] = k;
    return ST_OK;
}

static st_status constant_reg(compiler *c, const st_tensor *t, st_reg cls, int *reg)
{
    double wide = t->dtype == ST_F64 ? t->f : (double)t->i;
    float narrow = (float)wide;
    uint64_t value = cls == ST_R_B8 ? t->i != 0 : (uint64_t)t->i; /* with a fraction, a number has a float class */
    if (cls == ST_R_F64) memcpy(&value, &wide, sizeof wide);
    if (cls == ST_R_F32) value = 0, memcpy(&value, &narrow, sizeof narrow);
    return constant_value(c, cls, value, reg);
}

/* ---------------------------------------------------------------- leaves */

static st_status add_leaf(compiler *c, leaf l, int *index)
{
    st_program *p = c->p;
    if (!st_grow((void **)&p->leaves, &p->leaf_cap, p->nleaves + 1, sizeof l)) return st_fail_nomem(c->err, sizeof l);
    *index = (int)p->nleaves;
    p->leaves[p->nleaves++] = l;
    return ST_OK;
}

/* A view's elements lie scattered in its operand, which is held in memory; dimensions of size 1 never step. */
static st_status view_leaf(compiler *c, const st_tensor *t, int *index)
{
    ST_TRY(st_hold(c->ctx, t->args[0], c->err));
    leaf l = {.kind = LEAF_VIEW, .t = t, .values = st_held(t->args[0])};
    l.width = st_dtype_bits(st_held_dtype(t->args[0])) / 8;
    return add_leaf(c, l, index);
}

/* Its elements are made in the lane's tile, and are read there. */
static st_status product_leaf(compiler *c, const st_tensor *t, int *dst)
{
    int index = -1;
    leaf l = {.kind = LEAF_PRODUCT, .t = t, .width = st_reg_size(st_dtype_reg(t->dtype))};
    ST_TRY(st_product_new(c->ctx, t, &l.product, c->err));
    st_status s = add_leaf(c, l, &index);
    if (s != ST_OK) st_product_free(l.product);
    *dst = leaf_reg(index);
    return s;
}

/* A view of one element: the same everywhere, so it is a constant. */
static bool is_repeated(const st_tensor *t)
{
    if (t->node != ST_N_VIEW || t->forced || t->numel == 0 || st_view_is_plain(t)) return false;
    for (int d = 0; d < t->ndim; d++)
        if (t->shape[d] != 1 && t->strides[d] != 0) return false;
    return st_dtype_reg(t->dtype) != ST_R_NONE;
}

/* It as a register of class `want`, converted once and for all. */
static st_status repeated_reg(compiler *c, const st_tensor *t, st_reg want, int *reg)
{
    st_tensor *of = t->args[0];
    ST_TRY(st_hold(c->ctx, of, c->err));
    st_dtype held = st_held_dtype(of);
    uint64_t value = 0, converted = 0;
    const void *src[3] = {(const char *)st_held(of) + t->start * (int64_t)(st_dtype_bits(held) / 8), NULL, NULL};
    c->k->load[held](&value, src, 1);
    src[0] = &value;
    c->k->conv[st_dtype_reg(held)][want](&converted, src, 1);
    return constant_value(c, want, converted, reg);
}

/* Dtypes that are not computed on can still be views: their bits travel as integers of their width. */
static st_dtype mover(st_dtype d) { return st_dtype_reg(d) != ST_R_NONE ? d : st_dtype_bits(d) == 64 ? ST_U64 : ST_U8; }

static bool copies(const compiler *c, st_kern_fn fn, st_dtype d)
{
    st_reg cls = st_dtype_reg(d);
    return cls != ST_R_NONE && fn == c->k->conv[cls][cls];
}

/* A leaf that nobody reads but outputs that take it as it lies. */
static bool is_taken_raw(const compiler *c, const st_tensor *t, int uses)
{
    for (size_t i = 0; i < c->p->nouts; i++)
        if (c->p->outs[i].t == t) return uses == 1 && c->p->outs[i].may_be_raw;
    return false;
}

static st_status compile_leaf(compiler *c, const st_tensor *t, int uses, int *dst)
{
    st_dtype held;
    int index = -1;
    bool in_place = false;
    if (t->node == ST_N_RANDOM && !t->forced) {
        ST_TRY(add_leaf(c, (leaf){.kind = LEAF_RANDOM, .t = t, .generate = c->k->generate[t->gen]}, &index));
        held = st_held_dtype(t);
    } else if (t->node == ST_N_VIEW && !t->forced) {
        held = st_held_dtype(t->args[0]);
        ST_TRY(view_leaf(c, t, &index));
    } else if (t->node == ST_N_STEP && !t->forced) {
        held = st_held_dtype(t);
        ST_TRY(st_hold(c->ctx, t->args[0], c->err));
        ST_TRY(add_leaf(c, (leaf){.kind = LEAF_STEP, .t = t, .values = st_held(t->args[0])}, &index));
    } else if (st_is_ranged(t)) {
        return product_leaf(c, t, dst);
    } else {
        if (t->node == ST_N_WHOLE) ST_TRY(st_hold(c->ctx, (st_tensor *)t, c->err));
        held = st_held_dtype(t);
        leaf l = {.kind = st_held(t) ? LEAF_MEMORY : LEAF_RANGE,
                  .t = t,
                  .values = st_held(t),
                  .width = st_dtype_bits(held) / 8};
        ST_TRY(add_leaf(c, l, &index));
        in_place = copies(c, c->k->load[held], held) || (held == ST_BF16 && is_taken_raw(c, t, uses));
    }
    *dst = in_place ? leaf_reg(index) : new_reg(c);
    if (in_place) return ST_OK;
    return emit(c, (instr){.fn = c->k->load[mover(held)], .leaf = index, .output = -1, .dst = *dst, .nsrc = 1});
}

/* ---------------------------------------------------------------- nodes */

/* The operand `t` in class `want`: its own register, or *temp (to be released) with a conversion. */
static st_status operand(compiler *c, const st_tensor *t, st_reg want, int *reg, int *temp)
{
    *temp = -1;
    if (t->node == ST_N_NUMBER) return constant_reg(c, t, want, reg);
    place *at = find_place(c, t);
    st_reg have = st_dtype_reg(t->dtype);
    *reg = at->reg;
    if (have == want) return ST_OK;
    if (is_repeated(t)) return repeated_reg(c, t, want, reg);
    *temp = *reg = new_reg(c);
    return emit_kernel(c, c->k->conv[have][want], *reg, at->reg, -1, -1, 1);
}

/* One reader of `t` is done. */
static st_status used(compiler *c, const st_tensor *t)
{
    if (t->node == ST_N_NUMBER) return ST_OK;
    place *at = find_place(c, t);
    return --at->uses == 0 ? release(c, at->reg) : ST_OK;
}

static st_status compile_op(compiler *c, const st_tensor *t, int *dst)
{
    int src[3] = {-1, -1, -1}, temp[3] = {-1, -1, -1};
    for (int i = 0; i < t->nargs; i++) {
        st_reg want = t->op == ST_OP_WHERE && i == 0 ? ST_R_B8 : t->operands;
        ST_TRY(operand(c, t->args[i], want, &src[i], &temp[i]));
    }
    *dst = new_reg(c);
    ST_TRY(emit_kernel(c, c->k->op[t->op][t->operands], *dst, src[0], src[1], src[2], t->nargs));
    /* Integers wrap to their declared width at once; floats keep all bits until a cast or a save. */
    if (!st_dtype_is_float(t->dtype) && c->k->round[t->dtype])
        ST_TRY(emit_kernel(c, c->k->round[t->dtype], *dst, *dst, -1, -1, 1));
    for (int i = 0; i < t->nargs; i++) {
        if (temp[i] >= 0) ST_TRY(release(c, temp[i]));
        ST_TRY(used(c, t->args[i]));
    }
    return ST_OK;
}

/* Emits the value of `t` as the class of `to`, clamped where a cast clamps but not yet rounded: *reg, which is a new
 * register if *owned. The one place that knows what a cast is. */
static st_status cast_steps(compiler *c, const st_tensor *t, st_dtype to, bool saturate, int *reg, bool *owned)
{
    bool from_float = st_dtype_is_float(t->dtype), clamps = saturate && st_dtype_is_float(to);
    int temp;
    /* Floats become integers by saturating, whatever the target's width. */
    clamps |= from_float && !st_dtype_is_float(to);
    st_reg cls = st_dtype_reg(to);
    if (t->node == ST_N_NUMBER && t->dtype == ST_F64 && (cls == ST_R_I64 || cls == ST_R_U64 || cls == ST_R_B8)) {
        int wide;
        ST_TRY(constant_reg(c, t, ST_R_F64, &wide));
        temp = *reg = new_reg(c);
        ST_TRY(emit_kernel(c, c->k->conv[ST_R_F64][cls], *reg, wide, -1, -1, 1));
    } else {
        ST_TRY(operand(c, t, cls, reg, &temp));
    }
    *owned = temp >= 0;
    if (!clamps || !c->k->clamp[to]) return ST_OK;
    int dst = *owned ? *reg : new_reg(c);
    ST_TRY(emit_kernel(c, c->k->clamp[to], dst, *reg, -1, -1, 1));
    *reg = dst;
    *owned = true;
    return ST_OK;
}

static st_kern_fn copy_kernel(const compiler *c, const st_tensor *t)
{
    return c->k->load[st_reg_dtype(st_dtype_reg(t->dtype))];
}

/* `stored`: nobody sees the value but an output's store, which rounds. */
static st_status compile_cast(compiler *c, const st_tensor *t, bool stored, int *dst)
{
    bool owned;
    int reg;
    ST_TRY(cast_steps(c, t->args[0], t->dtype, t->saturate, &reg, &owned));
    if (stored && c->k->round[t->dtype]) return *dst = reg, ST_OK; /* never given back */
    *dst = owned ? reg : new_reg(c);
    st_kern_fn round = c->k->round[t->dtype];
    if (round)
        ST_TRY(emit_kernel(c, round, *dst, reg, -1, -1, 1));
    else if (!owned) /* a copy: the operand's register has its own life */
        ST_TRY(emit_kernel(c, copy_kernel(c, t), *dst, reg, -1, -1, 1));
    return used(c, t->args[0]);
}

/* Another shape over the same elements: in a straight line of kernels, nothing but a copy of the register. */
static st_status compile_plain_view(compiler *c, const st_tensor *t, int *dst)
{
    int reg, temp;
    ST_TRY(operand(c, t->args[0], st_dtype_reg(t->dtype), &reg, &temp));
    *dst = reg < 0 ? reg : new_reg(c);
    if (reg >= 0) ST_TRY(emit_kernel(c, copy_kernel(c, t), *dst, reg, -1, -1, 1));
    return used(c, t->args[0]);
}

/* An output whose store moves the register's bytes as they are. */
static bool is_stored_as_is(const compiler *c, const st_output *o)
{
    st_reg cls = st_dtype_reg(o->dtype);
    return cls == st_dtype_reg(o->t->dtype) && !o->saturate && copies(c, c->k->store[mover(o->dtype)], o->dtype);
}

static bool is_only_stored(const compiler *c, const st_tensor *t, int uses)
{
    for (size_t i = 0; uses == 1 && i < c->p->nouts; i++)
        if (c->p->outs[i].t == t) return c->p->outs[i].dtype == t->dtype && !c->p->outs[i].saturate;
    return false;
}

static st_status compile_node(compiler *c, const st_tensor *t, int uses)
{
    if (t->node == ST_N_NUMBER) return ST_OK;
    int dst = -1;
    c->fresh = false;
    for (size_t i = 0; i < c->p->nouts; i++) c->fresh |= c->p->outs[i].t == t && is_stored_as_is(c, &c->p->outs[i]);
    if (!t->forced && t->node == ST_N_OP) {
        ST_TRY(compile_op(c, t, &dst));
    } else if (!t->forced && t->node == ST_N_CAST) {
        ST_TRY(compile_cast(c, t, is_only_stored(c, t, uses), &dst));
    } else if (!t->forced && st_view_is_plain(t)) {
        ST_TRY(compile_plain_view(c, t, &dst));
    } else if (is_repeated(t)) {
        ST_TRY(repeated_reg(c, t, st_dtype_reg(t->dtype), &dst));
        uses++; /* never given back */
    } else {
        ST_TRY(compile_leaf(c, t, uses, &dst));
    }
    bool computed = !is_repeated(t);
    for (size_t i = 0; c->fresh && computed && dst >= 0 && i < c->p->nouts; i++)
        if (c->p->outs[i].t == t && is_stored_as_is(c, &c->p->outs[i])) c->output_reg[i] = dst;
    c->places[c->nplaces++] = (place){t, dst, uses};
    return ST_OK;
}

static st_status compile_output(compiler *c, size_t i)
{
    const st_output *o = &c->p->outs[i];
    bool owned;
    int reg;
    c->fresh = false;
    ST_TRY(cast_steps(c, o->t, o->dtype, o->saturate, &reg, &owned));
    ST_TRY(emit(
        c, (instr){.fn = c->k->store[mover(o->dtype)], .leaf = -1, .output = (int)i, .src = {reg, -1, -1}, .nsrc = 1}));
    /* The register is not given back: st_program_each hands out those of all outputs together. */
    return ST_OK;
}

/* Counts a reader of `t`, which stands before position `below` of the list. Searched from there: operands are near. */
static void count_use(st_tensor *const *list, size_t below, const st_tensor *t, int *uses)
{
    for (size_t j = below; j-- > 0;)
        if (list[j] == t) {
            uses[j]++;
            return;
        }
}

/* How often each node is read, so that its register can be given back. */
static void count_uses(st_tensor *const *list, size_t n, const st_program *p, int *uses)
{
    for (size_t o = 0; o < p->nouts; o++) count_use(list, n, p->outs[o].t, uses);
    for (size_t i = n; i-- > 0;) {
        const st_tensor *t = list[i];
        bool below = !t->forced && (t->node == ST_N_OP || t->node == ST_N_CAST || st_view_is_plain(t));
        for (int a = 0; below && a < t->nargs; a++) count_use(list, i, t->args[a], uses);
    }
}

static bool is_wide(st_reg r) { return r != ST_R_F32 && r != ST_R_B8; }

/* Element width of the registers, and the length of their blocks: fewer elements where there are many. */
static void size_registers(compiler *c, st_tensor *const *list, size_t n)
{
    st_program *p = c->p;
    bool wide = false;
    for (size_t i = 0; i < n; i++) {
        wide |= is_wide(st_dtype_reg(list[i]->dtype)) && list[i]->node != ST_N_NUMBER;
        wide |= list[i]->node == ST_N_OP && is_wide(list[i]->operands);
    }
    for (size_t i = 0; i < p->nouts; i++) wide |= is_wide(st_dtype_reg(p->outs[i].dtype));
    for (size_t i = 0; i < p->nconsts; i++) wide |= is_wide(p->consts[i].cls);
    p->width = wide ? 8 : 4;
    p->block = BLOCK;
    while (p->block > BLOCK_MIN && p->block * p->width * (size_t)p->nregs > REGS_BYTES) p->block /= 2;
}

/* Remembers which registers lie in outputs. */
static st_status find_homes(compiler *c)
{
    st_program *p = c->p;
    p->home = st_malloc(((size_t)p->nregs + 1) * sizeof *p->home);
    if (!p->home) return st_fail_nomem(c->err, ((size_t)p->nregs + 1) * sizeof *p->home);
    for (int r = 0; r < p->nregs; r++) p->home[r] = -1;
    for (size_t o = p->nouts; o-- > 0;)
        if (c->output_reg[o] >= 0) p->home[c->output_reg[o]] = (int)o;
    return ST_OK;
}

static st_status compile(compiler *c, st_tensor *const *list, size_t n)
{
    st_program *p = c->p;
    int *uses = st_calloc(n + 1, sizeof *uses);
    c->places = st_calloc(n + 1, sizeof *c->places);
    c->output_reg = st_calloc(p->nouts, sizeof *c->output_reg);
    st_status s = uses && c->places && c->output_reg ? ST_OK : st_fail_nomem(c->err, n * sizeof *c->places);
    if (s == ST_OK) count_uses(list, n, p, uses);
    for (size_t o = 0; s == ST_OK && o < p->nouts; o++) c->output_reg[o] = -1;
    for (size_t i = 0; s == ST_OK && i < n; i++) s = compile_node(c, list[i], uses[i]);
    for (size_t o = 0; s == ST_OK && o < p->nouts; o++) s = compile_output(c, o);
    if (s == ST_OK) s = find_homes(c);
    if (s == ST_OK) size_registers(c, list, n);
    st_free(uses);
    st_free(c->output_reg);
    st_free(c->places);
    st_free(c->idle);
    return s;
}

/* ---------------------------------------------------------------- making */

static bool in_tile(const leaf *l) { return l->kind == LEAF_RANGE || l->kind == LEAF_PRODUCT; }

/* A tile is whole rows of the first product, and a few of them. */
static uint64_t whole_rows(const st_program *p, uint64_t tile)
{
    for (size_t i = 0; i < p->nleaves; i++) {
        if (p->leaves[i].kind != LEAF_PRODUCT) continue;
        uint64_t width = st_product_width(p->leaves[i].product), rows = tile / width / TILE_ROWS * TILE_ROWS;
        if (rows == 0) rows = TILE_ROWS;
        return rows * width <= TILE_MOST ? rows * width : tile;
    }
    return tile;
}

/* Tile size and the places of the input buffers in a lane. */
static void lay_out(st_program *p)
{
    uint64_t per_element = 0;
    for (size_t i = 0; i < p->nleaves; i++)
        if (in_tile(&p->leaves[i])) per_element += p->leaves[i].width;
    for (size_t i = 0; i < p->nouts; i++) per_element += st_dtype_bits(p->outs[i].dtype) / 8;
    uint64_t tile = TILE_BYTES / (per_element ? per_element : 1) / BLOCK * BLOCK;
    uint64_t most = TILE_WORK / (p->ninstrs ? p->ninstrs : 1) / BLOCK * BLOCK;
    if (tile > most) tile = most;
    if (tile < TILE_MIN) tile = TILE_MIN;
    tile = whole_rows(p, tile);
    p->tile = tile < p->numel ? tile : p->numel ? p->numel : 1;
    for (size_t i = 0; i < p->nleaves; i++) {
        p->leaves[i].tile_offset = p->tile_bytes;
        if (in_tile(&p->leaves[i])) p->tile_bytes += (p->tile * p->leaves[i].width + 63) / 64 * 64;
    }
}

st_status st_program_new(st_ctx *ctx, const st_output *outs, size_t nouts, st_program **out, st_err *err)
{
    *out = NULL;
    st_program *p = st_calloc(1, sizeof *p);
    st_tensor **roots = st_calloc(nouts, sizeof *roots), **list = NULL;
    size_t n = 0;
    if (p) p->number = st_ctx_number(ctx);
    if (p) p->outs = st_calloc(nouts, sizeof *outs);
    st_status s = p && roots && p->outs ? ST_OK : st_fail_nomem(err, nouts * sizeof *outs);
    for (size_t i = 0; s == ST_OK && i < nouts; i++) {
        roots[i] = st_tensor_ref(outs[i].t);
        p->outs[p->nouts++] = outs[i];
        p->numel = outs[i].t->numel;
    }
    if (s == ST_OK) s = st_reduce_ahead(ctx, roots, nouts, err);
    if (s == ST_OK) s = st_topological(roots, nouts, ST_BELOW_FUSED, &list, &n, err);
    if (s == ST_OK) {
        compiler c = {.p = p, .ctx = ctx, .err = err, .k = st_kern()};
        s = compile(&c, list, n);
    }
    st_free(list);
    st_free(roots);
    if (s != ST_OK) {
        st_program_free(p);
        return s;
    }
    lay_out(p);
    *out = p;
    return ST_OK;
}

void st_program_free(st_program *p)
{
    if (!p) return;
    for (size_t i = 0; i < p->nouts; i++) st_tensor_unref(p->outs[i].t);
    st_free(p->outs);
    for (size_t i = 0; i < p->nleaves; i++) st_product_free(p->leaves[i].product);
    st_free(p->home);
    st_free(p->leaves);
    st_free(p->instrs);
    st_free(p->consts);
    st_free(p);
}

uint64_t st_program_tile(const st_program *p) { return p->tile; }

bool st_program_has_products(const st_program *p)
{
    for (size_t i = 0; i < p->nleaves; i++)
        if (p->leaves[i].kind == LEAF_PRODUCT) return true;
    return false;
}

void st_program_advise(const st_program *p, uint64_t start, uint64_t count, uint64_t ahead)
{
    for (size_t i = 0; i < p->nleaves; i++) {
        const leaf *l = &p->leaves[i];
        if (l->kind == LEAF_RANGE)
            st_source_advise(l->t->source, l->t->offset + start * l->width + ahead, count * l->width);
    }
}

/* ---------------------------------------------------------------- running */

void st_lane_free(st_lane *l)
{
    st_free(l->buf);
    *l = (st_lane){0};
}

/* Fills a block of a constant. */
static void fill(const constant *k, size_t n, void *block)
{
    size_t width = st_reg_size(k->cls);
    for (size_t i = 0; i < n; i++) memcpy((char *)block + i * width, &k->value, width);
}

/* Copies n elements of a view, from its element `start` on, into raw order: by runs along the last dimension, and by
 * whole ones along the one before it. */
static void gather(const leaf *l, uint64_t start, size_t n, char *dst)
{
    const st_tensor *t = l->t;
    int64_t at[ST_MAX_DIMS], from = t->start;
    uint64_t rest = start;
    int last = t->ndim - 1;
    for (int d = last; d >= 0; d--) {
        at[d] = (int64_t)(rest % (uint64_t)t->shape[d]);
        rest /= (uint64_t)t->shape[d];
        from += at[d] * t->strides[d];
    }
    while (n) {
        size_t run = last < 0 ? 1 : (size_t)(t->shape[last] - at[last]), rows = 1;
        int moved = last; /* the dimension along which this goes on */
        if (run > n) run = n;
        if (last > 0 && run == (size_t)t->shape[last]) {
            moved = last - 1;
            rows = (size_t)(t->shape[moved] - at[moved]);
            if (rows > n / run) rows = n / run;
        }
        st_kern_gather_rows(dst, l->values + from * (int64_t)l->width, moved < last ? t->strides[moved] : 0, rows,
                            last < 0 ? 0 : t->strides[last], run, l->width);
        dst += rows * run * l->width;
        n -= rows * run;
        if (last < 0) break;
        int64_t steps = moved < last ? (int64_t)rows : (int64_t)run;
        at[moved] += steps;
        from += steps * t->strides[moved];
        for (int d = moved; d > 0 && at[d] == t->shape[d]; d--) { /* carry */
            from += t->strides[d - 1] - at[d] * t->strides[d];
            at[d] = 0;
            at[d - 1]++;
        }
    }
}

/* A lane holds: the raw tile of every file leaf, the elements of products | one raw block for gathering and random
 * numbers | the registers. */
static st_status reserve(const st_program *p, st_lane *lane, st_err *err)
{
    size_t need = p->tile_bytes + GATHER_SIZE + (size_t)p->nregs * BLOCK * p->width;
    if (lane->size >= need) return ST_OK;
    st_lane_free(lane);
    lane->buf = st_malloc(need);
    if (!lane->buf) return st_fail_nomem(err, need);
    lane->size = need;
    return ST_OK;
}

/* A register in a lane, where registers have `block` elements. */
static void *reg_block(const st_program *p, char *lane, size_t block, int reg)
{
    return lane + p->tile_bytes + GATHER_SIZE + (size_t)reg * block * p->width;
}

/* One call: elements [start, start + n) of the tensors, which begin `b` elements behind what the lane has read. */
typedef struct span {
    const st_program *p;
    char *lane;
    size_t block; /* of the lane's registers */
    uint64_t start;
    size_t b, n;
    void *const *outs; /* NULL: outputs stay in their registers */
} span;

static const void *leaf_block(const span *s, const leaf *l)
{
    if (in_tile(l)) return s->lane + l->tile_offset + s->b * l->width;
    if (l->kind == LEAF_MEMORY) return l->values + s->start * l->width;
    char *block = s->lane + s->p->tile_bytes;
    if (l->kind == LEAF_RANDOM)
        l->generate(block, &l->t->key, s->start, s->n);
    else if (l->kind == LEAF_STEP)
        st_step_fill(l->t, (const double *)(const void *)l->values, s->start, s->n, block);
    else
        gather(l, s->start, s->n, block);
    return block;
}

static void *output_block(const span *s, int output)
{
    return (char *)s->outs[output] + s->b * (st_dtype_bits(s->p->outs[output].dtype) / 8);
}

/* Where a register is: in a leaf, in an output (if that is aligned as the kernels want it), else in the lane. */
static void *place_of(const span *s, int reg)
{
    const st_program *p = s->p;
    if (reg < 0) return (void *)(uintptr_t)leaf_block(s, &p->leaves[-2 - reg]);
    int home = s->outs ? p->home[reg] : -1;
    if (home >= 0 && (uintptr_t)s->outs[home] % 8 == 0) return output_block(s, home);
    return reg_block(p, s->lane, s->block, reg);
}

/* Makes the lane ready: the bytes of every file leaf, and constants, which stay from call to call. */
/* The number (st_tensor_set_origin) of the operation that takes a leaf; 0 where there is none, or no memory to look. */
static uint32_t reader_of(const st_program *p, const st_tensor *bytes)
{
    st_tensor **roots = st_calloc(p->nouts, sizeof *roots), **list = NULL;
    size_t n = 0;
    uint32_t origin = 0;
    for (size_t i = 0; roots && i < p->nouts; i++) roots[i] = p->outs[i].t;
    if (roots && st_topological(roots, p->nouts, ST_BELOW_FUSED, &list, &n, NULL) != ST_OK) n = 0;
    for (size_t i = 0; !origin && i < n; i++)
        for (int a = 0; a < list[i]->nargs; a++)
            if (st_tensor_operation(list[i]->args[a]) == bytes) origin = list[i]->origin;
    st_free(list);
    st_free(roots);
    return origin;
}

static st_status begin(const st_program *p, st_lane *lane, size_t block, uint64_t start, uint64_t count, st_err *err)
{
    ST_TRY(reserve(p, lane, err));
    for (size_t i = 0; i < p->nleaves; i++) {
        const leaf *l = &p->leaves[i];
        if (l->kind == LEAF_PRODUCT) st_product_fill(l->product, start, count, lane->buf + l->tile_offset);
        if (l->kind != LEAF_RANGE) continue;
        st_status s = l->t->source->ops->read(l->t->source, lane->buf + l->tile_offset, l->t->offset + start * l->width,
                                              count * l->width, err);
        if (s != ST_OK) {
            if (err && !err->tensor[0])
                memcpy(err->tensor, l->t->name, strnlen(l->t->name, sizeof err->tensor - 1) + 1);
            if (err && !err->origin) err->origin = reader_of(p, l->t);
            return s;
        }
    }
    if (lane->program == p->number && lane->block == block) return ST_OK;
    for (size_t i = 0; i < p->nconsts; i++)
        fill(&p->consts[i], block, reg_block(p, lane->buf, block, p->consts[i].reg));
    lane->program = p->number;
    lane->block = block;
    return ST_OK;
}

static void run_span(const span *s)
{
    const st_program *p = s->p;
    for (size_t i = 0; i < p->ninstrs; i++) {
        const instr *in = &p->instrs[i];
        const void *src[3] = {NULL, NULL, NULL};
        if (in->output >= 0 && !s->outs) continue;
        if (in->leaf >= 0)
            src[0] = leaf_block(s, &p->leaves[in->leaf]);
        else
            for (int a = 0; a < in->nsrc; a++) src[a] = place_of(s, in->src[a]);
        in->fn(in->output >= 0 ? output_block(s, in->output) : place_of(s, in->dst), src, s->n);
    }
}

st_status st_program_run(const st_program *p, st_lane *lane, uint64_t start, uint64_t count, void *const *outs,
                         st_err *err)
{
    ST_TRY(begin(p, lane, p->block, start, count, err));
    for (size_t b = 0; b < count; b += p->block)
        run_span(&(span){p, lane->buf, p->block, start + b, b, count - b < p->block ? count - b : p->block, outs});
    return ST_OK;
}

bool st_program_is_raw(const st_program *p, size_t i)
{
    if (!p->outs[i].may_be_raw) return false;
    for (size_t k = 0; k < p->ninstrs; k++)
        if (p->instrs[k].output == (int)i) {
            int reg = p->instrs[k].src[0];
            return reg < 0 && p->leaves[-2 - reg].width == sizeof(uint16_t);
        }
    return false;
}

st_status st_program_each(const st_program *p, st_lane *lane, uint64_t start, uint64_t count, uint64_t row,
                          const void **blocks, st_block_fn fn, void *arg, st_err *err)
{
    ST_TRY(begin(p, lane, BLOCK, start, count, err));
    bool computes = p->ninstrs > p->nouts; /* else all that is asked for lies where it is, in any length */
    for (size_t i = 0; i < p->ninstrs; i++) computes |= p->instrs[i].src[0] >= 0;
    uint64_t block = computes ? BLOCK : count;
    for (size_t b = 0; b < count;) {
        uint64_t n = count - b, most = row <= block ? block / row * row : row - (start + b) % row;
        if (most > block) most = block;
        if (n > most) n = most;
        span s = {p, lane->buf, BLOCK, start + b, b, n, NULL};
        run_span(&s);
        for (size_t i = 0; i < p->ninstrs; i++)
            if (p->instrs[i].output >= 0) blocks[p->instrs[i].output] = place_of(&s, p->instrs[i].src[0]);
        fn(arg, b, n);
        b += n;
    }
    return ST_OK;
}
