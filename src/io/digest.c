/* digest.c - SHA-256 of memory and of files. Layer: io; may touch libcrypto and sources. */
#include "digest.h"
#include "context.h"
#include "lazy.h"
#include "mem.h"

#include <openssl/evp.h>

#define CRYPTO(X) \
    X(EVP_MD_CTX_new) X(EVP_MD_CTX_free) X(EVP_sha256) X(EVP_DigestInit_ex) X(EVP_DigestUpdate) X(EVP_DigestFinal_ex)
ST_LAZY(crypto, "libcrypto (OpenSSL)", "crypto", "3", "1.1", CRYPTO);

enum { PIECE = 256 * 1024 };

static st_status fail_digest(st_err *err, const char *label)
{
    return st_fail(err, ST_INTERNAL, label, NULL, "libcrypto refused to compute SHA-256");
}

static st_status finish(EVP_MD_CTX *ctx, const char *label, char out[65], st_err *err)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (crypto_fn.EVP_DigestFinal_ex(ctx, sum, &len) != 1 || len != 32) return fail_digest(err, label);
    for (unsigned i = 0; i < len; i++) {
        out[2 * i] = digits[sum[i] >> 4];
        out[2 * i + 1] = digits[sum[i] & 15];
    }
    out[64] = '\0';
    return ST_OK;
}

static EVP_MD_CTX *start(void)
{
    EVP_MD_CTX *ctx = crypto_fn.EVP_MD_CTX_new();
    if (ctx && crypto_fn.EVP_DigestInit_ex(ctx, crypto_fn.EVP_sha256(), NULL) != 1) {
        crypto_fn.EVP_MD_CTX_free(ctx);
        ctx = NULL;
    }
    return ctx;
}

/* A digest is libcrypto's own context under another name. */
static EVP_MD_CTX *context_of(st_digest *d) { return (EVP_MD_CTX *)d; }

st_status st_digest_new(st_digest **out, st_err *err)
{
    *out = NULL;
    ST_TRY(st_lazy_load(&crypto, err));
    *out = (st_digest *)start();
    return *out ? ST_OK : st_fail_nomem(err, sizeof(void *));
}

st_status st_digest_add(st_digest *d, const void *p, size_t n, st_err *err)
{
    return crypto_fn.EVP_DigestUpdate(context_of(d), p, n) == 1 ? ST_OK : fail_digest(err, NULL);
}

st_status st_digest_end(st_digest *d, char out[65], st_err *err) { return finish(context_of(d), NULL, out, err); }

void st_digest_free(st_digest *d)
{
    if (d) crypto_fn.EVP_MD_CTX_free(context_of(d));
}

st_status st_sha256_hex(const void *data, size_t n, char out[65], st_err *err)
{
    ST_TRY(st_lazy_load(&crypto, err));
    EVP_MD_CTX *ctx = start();
    if (!ctx) return st_fail_nomem(err, sizeof(void *));
    st_status s = crypto_fn.EVP_DigestUpdate(ctx, data, n) == 1 ? finish(ctx, NULL, out, err) : fail_digest(err, NULL);
    crypto_fn.EVP_MD_CTX_free(ctx);
    return s;
}

static st_status feed(EVP_MD_CTX *md, const st_ctx *ctx, st_source *src, uint64_t off, uint64_t n, char *buf,
                      st_err *err)
{
    while (n > 0) {
        size_t now = n < PIECE ? (size_t)n : PIECE;
        if (ctx && st_ctx_stopped(ctx)) return st_fail_cancelled(err);
        ST_TRY(src->ops->read(src, buf, off, now, err));
        if (crypto_fn.EVP_DigestUpdate(md, buf, now) != 1) return fail_digest(err, src->label);
        off += now;
        n -= now;
    }
    return ST_OK;
}

st_status st_sha256_source(const st_ctx *ctx, st_source *src, uint64_t off, uint64_t n, char out[65], st_err *err)
{
    ST_TRY(st_lazy_load(&crypto, err));
    char *buf = st_malloc(PIECE);
    EVP_MD_CTX *md = start();
    st_status s = buf && md ? feed(md, ctx, src, off, n, buf, err) : st_fail_nomem(err, PIECE);
    if (s == ST_OK) s = finish(md, src->label, out, err);
    crypto_fn.EVP_MD_CTX_free(md);
    st_free(buf);
    return s;
}
