/* zcodec.c - libzstd, loaded at its first use. Layer: io; may touch memory. */
#define ZSTD_STATIC_LINKING_ONLY /* contexts in counted memory; every libzstd.so has them */
#include <zstd.h>
#include <zstd_errors.h>

#include "zcodec.h"
#include "lazy.h"
#include "mem.h"

#include <math.h>
#include <string.h>

#define PACKING(X) \
    X(ZSTD_createCCtx_advanced) X(ZSTD_freeCCtx) X(ZSTD_CCtx_setParameter) X(ZSTD_CCtx_reset) X(ZSTD_compress2)
#define UNPACKING(X) X(ZSTD_createDCtx_advanced) X(ZSTD_freeDCtx) X(ZSTD_DCtx_setParameter) X(ZSTD_decompressDCtx)
#define BOTH(X) X(ZSTD_decompressStream) X(ZSTD_findFrameCompressedSize) X(ZSTD_isError) X(ZSTD_getErrorCode)
#define ZSTD(X) PACKING(X) UNPACKING(X) BOTH(X)
ST_LAZY(zstd, "libzstd", "zstd", "1", "1", ZSTD);

/* Values of ZSTD_cParameter and its kin that stand in the header's experimental part under changing names. */
enum { LITERAL_MODE = 1002, LITERALS_ALWAYS = 1 };

enum {
    SKIP_ALL = 131072, /* bytes from one try to match to the next */
    WORDS_TABLE = 17,  /* log of its entries: with 14, the library's choice, F32 that holds BF16 takes 2 % more */
    WORDS_LENGTH = 5,  /* bytes */
    SAMPLE = 64 << 10,
};

struct st_zstd {
    const char *label;
    ZSTD_CCtx *c;
    ZSTD_DCtx *d;
    int mode; /* that `c` is set to; -1: none */
    bool checksum;
};

static void *take(void *opaque, size_t n)
{
    (void)opaque;
    return st_malloc(n);
}
static void give(void *opaque, void *p)
{
    (void)opaque;
    st_free(p);
}
static const ZSTD_customMem memory = {take, give, NULL};

st_status st_zstd_load(st_err *err) { return st_lazy_load(&zstd, err); }

st_status st_zstd_new(const char *label, st_zstd **z, st_err *err)
{
    *z = NULL;
    ST_TRY(st_lazy_load(&zstd, err));
    st_zstd *x = st_calloc(1, sizeof *x);
    if (!x) return st_fail_nomem(err, sizeof *x);
    x->label = label;
    x->mode = -1;
    *z = x;
    return ST_OK;
}

void st_zstd_free(st_zstd *z)
{
    if (!z) return;
    if (z->c) zstd_fn.ZSTD_freeCCtx(z->c);
    if (z->d) zstd_fn.ZSTD_freeDCtx(z->d);
    st_free(z);
}

static st_status fail_library(const st_zstd *z, size_t code, st_err *err)
{
    if (zstd_fn.ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation) return st_fail_nomem(err, 1 << 20);
    return st_fail(err, ST_INTERNAL, z->label, NULL, "libzstd refused to compress (error %d)",
                   (int)zstd_fn.ZSTD_getErrorCode(code));
}

/* ---------------------------------------------------------------- compressing */

/* As ZSTD_COMPRESSBOUND, with the checksum. */
size_t st_zstd_bound(size_t n) { return n + (n >> 8) + (n < 131072 ? (131072 - n) >> 11 : 0) + 4; }

static void set(st_zstd *z, int parameter, int value)
{
    zstd_fn.ZSTD_CCtx_setParameter(z->c, (ZSTD_cParameter)parameter, value);
}

/* Without the switch for literals, which a library may lack, level 1 comes nearest. */
static void set_literals(st_zstd *z)
{
    if (zstd_fn.ZSTD_isError(zstd_fn.ZSTD_CCtx_setParameter(z->c, (ZSTD_cParameter)LITERAL_MODE, LITERALS_ALWAYS)))
        return;
    set(z, ZSTD_c_strategy, ZSTD_fast);
    set(z, ZSTD_c_targetLength, SKIP_ALL);
    set(z, ZSTD_c_hashLog, 6);
}

static void set_words(st_zstd *z)
{
    set(z, ZSTD_c_strategy, ZSTD_fast);
    set(z, ZSTD_c_hashLog, WORDS_TABLE);
    set(z, ZSTD_c_minMatch, WORDS_LENGTH);
}

static st_status set_mode(st_zstd *z, st_zstd_mode mode, bool checksum, st_err *err)
{
    if (!z->c && !(z->c = zstd_fn.ZSTD_createCCtx_advanced(memory))) return st_fail_nomem(err, 1 << 20);
    if (z->mode == (int)mode && z->checksum == checksum) return ST_OK;
    zstd_fn.ZSTD_CCtx_reset(z->c, ZSTD_reset_session_and_parameters);
    set(z, ZSTD_c_compressionLevel, mode == ST_ZSTD_LEVEL3 ? 3 : 1);
    set(z, ZSTD_c_contentSizeFlag, 1);
    set(z, ZSTD_c_checksumFlag, checksum);
    if (mode == ST_ZSTD_LITERALS) set_literals(z);
    if (mode == ST_ZSTD_WORDS) set_words(z);
    z->mode = (int)mode;
    z->checksum = checksum;
    return ST_OK;
}

st_status st_zstd_compress(st_zstd *z, st_zstd_mode mode, bool checksum, const void *src, size_t n, void *dst,
                           size_t cap, size_t *out, st_err *err)
{
    ST_TRY(set_mode(z, mode, checksum, err));
    size_t r = zstd_fn.ZSTD_compress2(z->c, dst, cap, src, n);
    if (zstd_fn.ZSTD_isError(r)) return fail_library(z, r, err);
    *out = r;
    return ST_OK;
}

/* ---------------------------------------------------------------- do matches pay? */

enum {
    SLOTS = 4096,
    RUNS = 8,     /* of words one behind the other */
    RUN = 128,    /* words of 4 bytes */
    OFTEN = 64,   /* one word in so many that was seen before is enough */
    PICKED = 15,  /* of words of 8 bytes one in 16 is looked at, chosen by its value: a later copy is chosen, too */
    PART = 1024,  /* words: picked at a time, without a branch for each */
    SMALL = 4096, /* bytes: of less, all ways are tried */
};

static uint32_t slot_of(uint32_t hash) { return hash >> 20; } /* of SLOTS */
static uint32_t hash(uint64_t x) { return (uint32_t)(x * 0x9e3779b97f4a7c15u >> 32); }

static bool seen_near(const unsigned char *p, size_t n, uint32_t *slots)
{
    unsigned again = 0;
    memset(slots, 0, SLOTS * sizeof *slots);
    for (size_t r = 0; r < RUNS; r++) {
        const unsigned char *at = p + (n - RUN * 4) / (RUNS - 1) / 8 * 8 * r;
        for (size_t i = 0; i < RUN; i++) {
            uint32_t w;
            memcpy(&w, at + i * 4, sizeof w);
            uint32_t *s = &slots[slot_of(hash(w))];
            again += *s == w;
            *s = w;
        }
    }
    return again > RUNS * RUN / OFTEN;
}

/* Rows that come again far behind, for which a sample of neighbours is blind. */
static bool seen_far(const unsigned char *p, size_t n, uint32_t *slots)
{
    unsigned again = 0, looked = 0;
    memset(slots, 0, SLOTS * sizeof *slots);
    for (size_t words = n / 8; words > 0;) {
        uint32_t picked[PART];
        size_t part = words < PART ? words : PART, k = 0;
        for (size_t i = 0; i < part; i++) {
            uint64_t w;
            memcpy(&w, p + i * 8, sizeof w);
            uint32_t h = picked[k] = hash(w);
            k += (h & PICKED) == 0;
        }
        for (size_t i = 0; i < k; i++) {
            uint32_t *s = &slots[slot_of(picked[i])];
            again += *s == picked[i];
            *s = picked[i];
        }
        looked += (unsigned)k;
        p += part * 8;
        words -= part;
    }
    return again > looked / OFTEN;
}

bool st_zstd_repeats(const void *src, size_t n)
{
    uint32_t slots[SLOTS];
    return n < SMALL || seen_near(src, n, slots) || seen_far(src, n, slots);
}

/* What a code for single bytes makes of n bytes: about what LITERALS gives. */
static double literal_size(const unsigned char *p, size_t n)
{
    uint32_t count[4][256] = {{0}};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++) count[k][p[i + k]]++;
    for (; i < n; i++) count[0][p[i]]++;
    double bits = 0;
    for (int k = 0; k < 256; k++) {
        double c = (double)count[0][k] + count[1][k] + count[2][k] + count[3][k];
        if (c > 0) bits -= c * log2(c / (double)n);
    }
    return bits < (double)n ? (double)n / 8 : bits / 8; /* a symbol takes a bit at least */
}

/* Of the modes with matches the one that does better on a sample. */
static st_status choose(st_zstd *z, const void *src, size_t n, void *dst, size_t cap, st_zstd_mode *mode, st_err *err)
{
    size_t sample = n < SAMPLE ? n : SAMPLE, words, level3;
    ST_TRY(st_zstd_compress(z, ST_ZSTD_LEVEL3, false, src, sample, dst, cap, &level3, err));
    ST_TRY(st_zstd_compress(z, ST_ZSTD_WORDS, false, src, sample, dst, cap, &words, err));
    *mode = words <= level3 ? ST_ZSTD_WORDS : ST_ZSTD_LEVEL3;
    return ST_OK;
}

st_status st_zstd_compress_best(st_zstd *z, bool checksum, const void *src, size_t n, void *dst, size_t cap,
                                size_t *out, st_err *err)
{
    st_zstd_mode mode;
    size_t made;
    if (!st_zstd_repeats(src, n)) return st_zstd_compress(z, ST_ZSTD_LITERALS, checksum, src, n, dst, cap, out, err);
    ST_TRY(choose(z, src, n, dst, cap, &mode, err));
    ST_TRY(st_zstd_compress(z, mode, checksum, src, n, dst, cap, &made, err));
    *out = made;
    if (literal_size(src, n) >= (double)made) return ST_OK;
    ST_TRY(st_zstd_compress(z, ST_ZSTD_LITERALS, checksum, src, n, dst, cap, out, err));
    return *out <= made ? ST_OK : st_zstd_compress(z, mode, checksum, src, n, dst, cap, out, err);
}

/* ---------------------------------------------------------------- heads of frames */

static uint64_t little(const unsigned char *p, size_t n)
{
    uint64_t x = 0;
    while (n-- > 0) x = x << 8 | p[n];
    return x;
}

static uint64_t window_of(unsigned descriptor)
{
    uint64_t base = 1ull << (10 + (descriptor >> 3));
    return base + base / 8 * (descriptor & 7);
}

const char *st_zstd_parse_head(const void *src, size_t n, st_zstd_head *h)
{
    static const char cut_off[] = "it is cut off", no_frame[] = "no frame begins there";
    static const unsigned char id_bytes[] = {0, 1, 2, 4}, size_bytes[] = {0, 2, 4, 8};
    const unsigned char *p = src;
    if (n < 5) return cut_off;
    uint32_t magic = (uint32_t)little(p, 4);
    *h = (st_zstd_head){.skippable = (magic & ~15u) == ST_ZSTD_SKIPPABLE, .content = ST_ZSTD_UNKNOWN};
    if (h->skippable) {
        if (n < 8) return cut_off;
        h->variant = magic & 15;
        h->bytes = 8;
        h->content = little(p + 4, 4);
        return NULL;
    }
    if (magic != ST_ZSTD_MAGIC) return no_frame;
    unsigned d = p[4];
    bool single = d & 0x20;
    size_t id = id_bytes[d & 3], size = d >> 6 || !single ? size_bytes[d >> 6] : 1, at = 5 + !single;
    h->bytes = at + id + size;
    if (d & 0x18) return "bits of its head that mean nothing are set";
    if (n < h->bytes) return cut_off;
    h->checksum = d & 4;
    h->dictionary = little(p + at, id) != 0;
    if (size) h->content = little(p + at + id, size) + (size == 2 ? 256 : 0);
    h->window = single ? h->content : window_of(p[5]);
    return NULL;
}

/* ---------------------------------------------------------------- decompressing */

/* Half a sentence for what the library found; NOMEM is no fault of the bytes. */
static st_status fail_bytes(size_t code, const char **why, st_err *err)
{
    switch (zstd_fn.ZSTD_getErrorCode(code)) {
    case ZSTD_error_memory_allocation: return st_fail_nomem(err, 1 << 20);
    case ZSTD_error_checksum_wrong: *why = "its checksum does not match"; break;
    case ZSTD_error_dictionary_wrong: *why = "it was made with a dictionary, which is not supported"; break;
    default: *why = "its bytes are damaged";
    }
    return ST_FORMAT;
}

static const char *check_frame(const void *src, size_t n, size_t size)
{
    st_zstd_head h;
    const char *why = st_zstd_parse_head(src, n, &h);
    if (why) return why;
    if (h.skippable) return "it is a skippable frame";
    if (h.dictionary) return "it was made with a dictionary, which is not supported";
    if (h.content != ST_ZSTD_UNKNOWN && h.content != size) return "its head tells another size";
    size_t r = zstd_fn.ZSTD_findFrameCompressedSize(src, n);
    if (zstd_fn.ZSTD_isError(r)) return "its bytes are damaged";
    return r == n ? NULL : "it ends too early";
}

st_status st_zstd_decompress(st_zstd *z, const void *src, size_t n, void *dst, size_t size, const char **why,
                             st_err *err)
{
    char none;
    if (!z->d && !(z->d = zstd_fn.ZSTD_createDCtx_advanced(memory))) return st_fail_nomem(err, 1 << 17);
    if ((*why = check_frame(src, n, size))) return ST_FORMAT;
    size_t r = zstd_fn.ZSTD_decompressDCtx(z->d, size ? dst : &none, size, src, n);
    if (zstd_fn.ZSTD_isError(r)) return fail_bytes(r, why, err);
    if (r == size) return ST_OK;
    *why = "it holds fewer bytes than it should";
    return ST_FORMAT;
}

/* ---------------------------------------------------------------- streams */

struct st_zstd_stream {
    ZSTD_DCtx *d;
};

st_status st_zstd_stream_new(uint64_t window, st_zstd_stream **s, st_err *err)
{
    int log = 10;
    *s = NULL;
    ST_TRY(st_lazy_load(&zstd, err));
    st_zstd_stream *x = st_calloc(1, sizeof *x);
    if (!x || !(x->d = zstd_fn.ZSTD_createDCtx_advanced(memory))) {
        st_free(x);
        return st_fail_nomem(err, 1 << 17);
    }
    while (log < 31 && 1ull << log < window) log++;
    zstd_fn.ZSTD_DCtx_setParameter(x->d, ZSTD_d_windowLogMax, log);
    *s = x;
    return ST_OK;
}

void st_zstd_stream_free(st_zstd_stream *s)
{
    if (!s) return;
    zstd_fn.ZSTD_freeDCtx(s->d);
    st_free(s);
}

st_status st_zstd_stream_run(st_zstd_stream *s, const void *src, size_t n, size_t *used, void *dst, size_t cap,
                             size_t *made, bool *ended, const char **why, st_err *err)
{
    ZSTD_inBuffer in = {src, n, *used};
    ZSTD_outBuffer out = {dst, cap, *made};
    size_t r = zstd_fn.ZSTD_decompressStream(s->d, &out, &in);
    if (zstd_fn.ZSTD_isError(r)) return fail_bytes(r, why, err);
    *used = in.pos;
    *made = out.pos;
    *ended = r == 0;
    return ST_OK;
}
