/* bind.h - what the files of the binding share. Layer: bind (sees st.h, lua.h and cJSON alone).
 *
 * Three rules hold everywhere in this layer:
 *   - Any call that allocates in Lua may run a finalizer, hence any Lua code, hence close any object. So a pointer got
 * from a userdata is asked for again after such a call, or what it points at is copied to the C stack first.
 *   - Lua throws by longjmp. Memory of libst that outlives one line belongs to a userdata, which is made closed (NULL)
 * and opened once it has its metatable. libst itself is never jumped over: callbacks run in lua_pcall.
 *   - Whatever is thrown is an error object (bind_error.c).
 */
#ifndef BIND_H
#define BIND_H

#include "st.h"

#include <lauxlib.h>
#include <lua.h>

#define BIND_TENSOR "stlua.Tensor"
#define BIND_MODEL "stlua.Model"
#define BIND_ERROR "stlua.Error"

/* ---------------------------------------------------------------- errors (bind_error.c) */

/* Throw what libst reported, or what was found here. The int lets a caller write `return bind_throw(...)`. */
_Noreturn int bind_throw(lua_State *L, const st_err *err);
_Noreturn int bind_fail(lua_State *L, st_status code, const char *fmt, ...) ST_PRINTF(3, 4);
_Noreturn int bind_fail_arg(lua_State *L, int arg, const char *fmt, ...) ST_PRINTF(3, 4);
/* Remembers the line of the script for the tensor on top of the stack, just made by an operation that is computed
 * later: an error it meets then names the line as `built`. */
void bind_built_here(lua_State *L);
void bind_error_open(lua_State *L, int core);

/* ---------------------------------------------------------------- arguments (bind_args.c) */

/* Each throws when the argument is not what it says. Nothing is converted: "1" is no integer and 1 is no string. */
lua_Integer bind_integer(lua_State *L, int arg, lua_Integer lo, lua_Integer hi);
const char *bind_string(lua_State *L, int arg, size_t *len);
const char *bind_path(lua_State *L, int arg); /* not empty, without NUL */
bool bind_boolean(lua_State *L, int arg, bool absent);
void bind_table(lua_State *L, int arg);
const char *bind_type_name(lua_State *L, int arg); /* with our own types told apart */
void bind_top(lua_State *L, int max);              /* no more than `max` arguments */
st_dtype bind_dtype(lua_State *L, int arg);
/* The one place where Lua's positions (1-based, negative from the end) become C's (0-based). */
uint64_t bind_position(lua_State *L, int arg, uint64_t n);
/* The same of a number: 1 .. n and -n .. -1 count, with `slack` one more at the end. False if there is no such
 * position. */
bool bind_convert(lua_Integer i, uint64_t n, bool slack, uint64_t *out);
/* A table of sizes of at least `least`; returns how many. */
int bind_shape(lua_State *L, int arg, int64_t shape[ST_MAX_DIMS], int64_t least);
/* (first, last), both optional and inclusive -> [*begin, *end); first = last + 1 is empty. */
void bind_range(lua_State *L, int arg, uint64_t n, uint64_t *begin, uint64_t *end);
/* (first, count), both optional -> [*begin, *begin + *count). */
void bind_span(lua_State *L, int arg, uint64_t n, uint64_t *begin, uint64_t *count);

/* Option tables are read raw, so that reading runs no code. `known` ends in NULL; another key throws. */
void bind_options(lua_State *L, int arg, const char *const *known);
bool bind_opt_boolean(lua_State *L, int arg, const char *key, bool absent);
lua_Integer bind_opt_integer(lua_State *L, int arg, const char *key, lua_Integer absent, lua_Integer lo,
                             lua_Integer hi);

/* ---------------------------------------------------------------- context (bind_context.c) */

/* Pushes the metatable, kept as `name`, of userdata that own memory of libst, which `gc` gives back. */
void bind_owner_type(lua_State *L, const char *name, lua_CFunction gc);

/* One per Lua state. */
typedef struct bind_context {
    st_ctx *ctx;
    lua_State *L; /* the coroutine that called into libst: progress is reported there */
    bool busy;    /* libst is running below us */
    bool failed;  /* the progress function threw; the error lies on top of L's stack */
    bool eager;   /* STLUA_EAGER=1: every operation is computed at once, to hunt a defect of the evaluators */
} bind_context;

void bind_context_new(lua_State *L);
void bind_context_open(lua_State *L, int core);
bind_context *bind_context_get(lua_State *L);
/* Around every call of libst that computes. Leave throws the progress function's error, else libst's. Between the two
 * nothing may throw. Enter itself never runs the collector. */
bind_context *bind_enter(lua_State *L);
void bind_leave(lua_State *L, bind_context *c, st_status status, const st_err *err);
/* Ends a function that made a tensor, on top of the stack: computes it if everything is to be computed at once. */
int bind_made(lua_State *L, st_tensor *t);
/* For long loops in C: throws if a cancel has come. */
void bind_poll(lua_State *L);
/* Tells the collector about memory that it cannot see, so that it runs as often as if the memory were its own. */
void bind_weigh(lua_State *L, uint64_t bytes);

/* ---------------------------------------------------------------- text under construction (bind_text.c) */

/* A growing text that lives in a slot of the Lua stack: nothing to free when Lua throws. Only reserve and push may run
 * the collector; the others need room reserved before. */
typedef struct bind_text {
    char *p;
    size_t n, cap;
    int slot;
} bind_text;

void bind_text_init(lua_State *L, bind_text *b);
void bind_text_reserve(lua_State *L, bind_text *b, size_t more);
void bind_text_push(lua_State *L, const bind_text *b);
void bind_text_add(bind_text *b, const char *s, size_t n);
void bind_text_str(bind_text *b, const char *s);
void bind_text_fill(bind_text *b, char c, size_t n);
void bind_text_uint(bind_text *b, uint64_t v); /* at most 20 bytes */
void bind_text_int(bind_text *b, int64_t v);   /* at most 20 bytes */
/* A JSON string with its quotes, fit for a terminal: control characters of all kinds are escaped, bytes that are no
 * UTF-8 become U+FFFD. At most 6 n + 2 bytes. */
void bind_text_json(bind_text *b, const char *s, size_t n);
/* "86.0 MiB": at most 24 bytes. */
void bind_text_size(bind_text *b, uint64_t bytes);
void bind_text_open(lua_State *L, int core);

/* ---------------------------------------------------------------- the other files */

typedef struct bind_model {
    st_model *m; /* NULL: closed */
    bool lent;   /* being saved: neither closed nor changed now */
} bind_model;

/* Pushes a closed tensor; the caller fills the slot. */
st_tensor **bind_tensor_new(lua_State *L);
st_tensor *bind_tensor(lua_State *L, int arg);
bool bind_is_tensor(lua_State *L, int arg);
/* Pushes a view of the tensor in slot `arg`, at a place that bind_tensor_root gave and that may have moved since. */
void bind_tensor_view(lua_State *L, int arg, const st_place *p);
/* What a tensor is a view of (itself, where it is none), and where in it it lies. */
st_tensor *bind_tensor_root(lua_State *L, int arg, st_place *p);
/* Throws for tensors that were closed or frozen. */
void bind_tensor_writable(lua_State *L, int arg);
/* The root's node of such a tensor, for st_assign at once. A view lets go of its own: operands are taken before. */
st_tensor **bind_tensor_write(lua_State *L, int arg);
void bind_tensor_freeze(lua_State *L, int arg);
void bind_tensor_open(lua_State *L, int core);
void bind_values_open(lua_State *L, int core);  /* bind_values.c: more methods of tensors */
void bind_reduce_open(lua_State *L, int core);  /* bind_reduce.c: reductions, sorting */
void bind_linalg_open(lua_State *L, int core);  /* bind_linalg.c: linear algebra, Fourier transforms, random numbers */
void bind_factors_open(lua_State *L, int core); /* bind_factors.c: factors of many matrices */
void bind_ops_open(lua_State *L, int core);     /* bind_ops.c: operations and arithmetic */
void bind_view_open(lua_State *L, int core);    /* bind_view.c: other shapes, joins */
void bind_index_open(lua_State *L, int core);   /* bind_index.c: t[i], t[{...}], assignment */
/* Pushes element i of a tensor, in row-major order, as a number or boolean. */
void bind_push_element(lua_State *L, st_tensor *t, uint64_t i);
/* Tensor, number or boolean: check throws, operand makes a new reference and calls nothing of Lua that may throw. */
void bind_check_operand(lua_State *L, int arg);
st_status bind_operand(lua_State *L, int arg, st_tensor **out, st_err *err);

bind_model *bind_model_slot(lua_State *L, int arg);
st_model *bind_model_get(lua_State *L, int arg);
void bind_model_open(lua_State *L, int core);
int bind_model_rows(lua_State *L);    /* bind_rows.c */
int bind_model_outline(lua_State *L); /* bind_outline.c */
int bind_model_tally(lua_State *L);   /* bind_tally.c */
int bind_model_quants(lua_State *L);
/* Bytes of an entry as it would be saved. */
uint64_t bind_info_bytes(const st_info *info);
/* Whether an entry is a range of a file and has offsets to tell. */
bool bind_info_stored(const st_model *m, const st_info *info);

void bind_save_open(lua_State *L, int core);
void bind_pack_open(lua_State *L, int core);
void bind_compress_open(lua_State *L, int core);
void bind_npy_open(lua_State *L, int core);
void bind_json_open(lua_State *L, int core);
void bind_fs_open(lua_State *L, int core);
void bind_hash_open(lua_State *L, int core);
void bind_meta_open(lua_State *L, int core);

/* Pushes a list of integers. */
void bind_push_shape(lua_State *L, int ndim, const int64_t *shape);
/* Sets the functions of `l` in the methods table of a type and of the module's field `core[field]`. */
void bind_methods(lua_State *L, const char *type, const luaL_Reg *l);

#endif
