/* zmodel.c - see zmodel.h. */
#include "zmodel.h"

#include "header.h"
#include "mem.h"
#include "zcodec.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static st_err err;

static float gauss(rng *r)
{
    double u = ((double)(rng_next(r) >> 11) + 0.5) / 9007199254740992.0, v = (double)(rng_next(r) >> 11);
    return (float)(0.02 * sqrt(-2 * log(u)) * cos(v * 6.283185307179586 / 9007199254740992.0));
}

static void fill(unsigned char *p, size_t n, char kind, uint64_t seed)
{
    rng r = {seed};
    for (size_t i = 0; i < n; i++) {
        if (kind == 'n') p[i] = (unsigned char)rng_next(&r);
        if (kind == 'z') p[i] = 0;
        if (kind == 'r') p[i] = i < 1000 ? (unsigned char)rng_next(&r) : p[i - 1000];
        if (kind == 'N') p[i] = i % 4 < 2 ? 0 : i % 4 == 2 ? 0xc0 : 0x7f;
        if (kind != 'w' && kind != 'f') continue;
        float x = gauss(&r);
        uint32_t b;
        memcpy(&b, &x, sizeof b);
        if (kind == 'f' && n - i >= 4) memset(p + i, 0, 2), i += 2;
        p[i] = (unsigned char)(b >> 16);
        if (++i < n) p[i] = (unsigned char)(b >> 24);
    }
}

static unsigned char *put_together(st_header_entry *e, size_t count, const char *kinds, size_t *n)
{
    uint64_t data;
    char *head;
    size_t len;
    assert_ok(st_header_layout(e, count, "zmodel", &data, &err));
    st_meta_pair meta = {{"format", 6}, {"pt", 2}};
    assert_ok(st_header_write(e, count, &meta, 1, 0, "zmodel", &head, &len, &err));
    *n = len + (size_t)data;
    unsigned char *p = malloc(*n);
    memcpy(p, head, len);
    st_free(head);
    for (size_t i = 0; i < count; i++)
        fill(p + len + e[i].begin, (size_t)(e[i].end - e[i].begin), kinds[e[i].tag % strlen(kinds)], e[i].tag + 1);
    return p;
}

unsigned char *zmodel_make(const char *kinds, const size_t *sizes, size_t *n)
{
    size_t count = strlen(kinds);
    st_header_entry *e = calloc(count, sizeof *e);
    char(*names)[24] = calloc(count, sizeof *names);
    int64_t *shapes = calloc(count, sizeof *shapes);
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "t%04zu", i);
        shapes[i] = (int64_t)sizes[i];
        e[i] = (st_header_entry){
            .name = names[i], .name_len = strlen(names[i]), .dtype = ST_U8, .ndim = 1, .shape = &shapes[i], .tag = i};
    }
    unsigned char *p = put_together(e, count, kinds, n);
    free(e);
    free(names);
    free(shapes);
    return p;
}

unsigned char *zmodel_zoo(size_t *n)
{
    enum { EACH = 14, COUNT = ST_DTYPE_COUNT * EACH };
    static const int64_t shapes[][2] = {{0, 3}, {8, 1}, {64, 50}, {300, 200}};
    st_header_entry *e = calloc(COUNT, sizeof *e);
    char(*names)[40] = calloc(COUNT, sizeof *names);
    for (size_t i = 0; i < COUNT; i++) {
        size_t d = i / EACH, k = i % EACH;
        int which = k == 0 ? 0 : k == 1 ? 3 : k == 2 ? 2 : 1;
        bool scalar = k > 8 && st_dtype_bits((st_dtype)d) >= 8;
        snprintf(names[i], sizeof names[i], "%s.%zu", st_dtype_name((st_dtype)d), k);
        e[i] = (st_header_entry){.name = names[i],
                                 .name_len = strlen(names[i]),
                                 .dtype = (st_dtype)d,
                                 .ndim = scalar ? 0 : 2,
                                 .shape = shapes[which],
                                 .tag = i};
    }
    unsigned char *p = put_together(e, COUNT, "nwzrfN", n);
    free(e);
    free(names);
    return p;
}

unsigned char *zmodel_frames(const unsigned char *p, size_t n, size_t frame, bool checksum, size_t *made)
{
    size_t count = (n + frame - 1) / frame, cap = count * st_zstd_bound(frame), at = 0;
    unsigned char *out = malloc(cap);
    st_zstd *z;
    assert_ok(st_zstd_new("zmodel", &z, &err));
    for (size_t off = 0; off < n; off += frame) {
        size_t part = n - off < frame ? n - off : frame, one;
        assert_ok(st_zstd_compress(z, ST_ZSTD_LEVEL3, checksum, p + off, part, out + at, cap - at, &one, &err));
        at += one;
    }
    st_zstd_free(z);
    *made = at;
    return out;
}

static void put32(unsigned char *p, uint32_t x)
{
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(x >> 8 * i);
}

unsigned char *zmodel_seekable(const unsigned char *p, size_t n, size_t frame, bool checksum, bool sums, size_t *made)
{
    size_t count = (n + frame - 1) / frame, width = sums ? 12 : 8, at = 0;
    unsigned char *out = malloc(count * (st_zstd_bound(frame) + width) + 17);
    uint32_t *sizes = calloc(count, sizeof *sizes);
    for (size_t i = 0; i < count; i++) {
        size_t one, part = n - i * frame < frame ? n - i * frame : frame;
        unsigned char *c = zmodel_frames(p + i * frame, part, part, checksum, &one);
        memcpy(out + at, c, one);
        free(c);
        sizes[i] = (uint32_t)one;
        at += one;
    }
    put32(out + at, 0x184d2a5e);
    put32(out + at + 4, (uint32_t)(count * width + 9));
    at += 8;
    for (size_t i = 0; i < count; i++, at += width) {
        size_t part = n - i * frame < frame ? n - i * frame : frame;
        put32(out + at, sizes[i]);
        put32(out + at + 4, (uint32_t)part);
        if (sums) put32(out + at + 8, (uint32_t)XXH64(p + i * frame, part, 0));
    }
    put32(out + at, (uint32_t)count);
    out[at + 4] = sums ? 0x80 : 0;
    put32(out + at + 5, 0x8f92eab1);
    free(sizes);
    *made = at + 9;
    return out;
}

bool have_zstd(void) { return system("zstd --version >/dev/null 2>&1") == 0; }

int run_zstd(const char *arguments)
{
    char line[4096];
    snprintf(line, sizeof line, "zstd -q %s >/dev/null 2>&1", arguments);
    return system(line);
}
