/* make_model.c - writes a model of random weights with a given layout, quickly: for benchmarks.
 *
 *   make_model OUT SEED DTYPE MAX-BYTES <layout.tsv
 *
 * The layout has a line `name<TAB>dtype<TAB>AxBxC` per tensor, after one line of headings. Floating tensors become
 * DTYPE unless it is `-`; tensors past MAX-BYTES (0: no limit) are left out. Values look like weights: normal, with a
 * standard deviation of 0.02. The same arguments give the same bytes. Stands alone, so that a benchmark's input owes
 * nothing to what is measured. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TENSORS = 1 << 20, CHUNK = 1 << 20 };

typedef struct tensor {
    char *name;
    char dtype[8];
    char shape[64]; /* as JSON: 3,4 */
    uint64_t count, bytes;
    unsigned size;
} tensor;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static unsigned size_of(const char *dtype)
{
    if (!strcmp(dtype, "F32")) return 4;
    if (!strcmp(dtype, "I64")) return 8;
    if (!strcmp(dtype, "F16") || !strcmp(dtype, "BF16")) return 2;
    fprintf(stderr, "make_model: dtype %s is not supported\n", dtype);
    exit(1);
}

/* Larger elements first, then by name: the order of the format's own writer for these dtypes (BF16 and F16 do not
 * meet). */
static int by_size_and_name(const void *a, const void *b)
{
    const tensor *x = a, *y = b;
    if (x->size != y->size) return x->size < y->size ? 1 : -1;
    return strcmp(x->name, y->name);
}

static size_t read_layout(tensor *list, const char *dtype, uint64_t limit)
{
    char line[1024], name[600], own[16], shape[64];
    uint64_t total = 0;
    size_t n = 0;
    if (!fgets(line, sizeof line, stdin)) return 0;
    while (n < MAX_TENSORS && fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%599[^\t]\t%15[^\t]\t%63s", name, own, shape) < 2) continue;
        tensor t = {.count = 1};
        const char *use = *dtype != '-' && own[0] != 'I' ? dtype : own;
        t.size = size_of(use);
        snprintf(t.dtype, sizeof t.dtype, "%.7s", use);
        if (strcmp(shape, "-") == 0) shape[0] = '\0'; /* a scalar */
        for (char *p = shape; *p;) {
            t.count *= strtoull(p, &p, 10);
            if (*p == 'x') *p++ = ',';
        }
        snprintf(t.shape, sizeof t.shape, "%s", shape);
        t.bytes = t.count * t.size;
        if (limit && total + t.bytes > limit) continue;
        total += t.bytes;
        t.name = strdup(name);
        if (!t.name) die("memory");
        list[n++] = t;
    }
    return n;
}

static void write_header(FILE *f, const tensor *list, size_t n)
{
    size_t cap = 1024 + n * 800, o = 8;
    char *text = malloc(cap);
    if (!text) die("memory");
    o += (size_t)snprintf(text + o, cap - o, "{\"__metadata__\":{\"format\":\"pt\"}");
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        o += (size_t)snprintf(
            text + o, cap - o, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%llu,%llu]}", list[i].name,
            list[i].dtype, list[i].shape, (unsigned long long)at, (unsigned long long)(at + list[i].bytes));
        at += list[i].bytes;
    }
    text[o++] = '}';
    while (o % 8) text[o++] = ' ';
    uint64_t len = o - 8;
    for (int i = 0; i < 8; i++) text[i] = (char)(len >> (8 * i));
    if (fwrite(text, 1, o, f) != o) die("write");
    free(text);
}

static uint64_t state;
static uint64_t next_random(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* The normal distribution by rejection is too slow for gigabytes: sixteen random bits choose among 65,536 values. */
static float weights[65536];
static uint16_t halves[65536], brains[65536];

static void fill_tables(void)
{
    for (int i = 0; i < 65536; i++) {
        double u = (double)next_random() * 0x1p-64 + 1e-12, v = (double)next_random() * 0x1p-64;
        float x = (float)(0.02 * sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
        uint32_t bits;
        memcpy(&bits, &x, 4);
        weights[i] = x;
        brains[i] = (uint16_t)(bits >> 16);
        int exponent = (int)(bits >> 23 & 255) - 112; /* F16's bias is 112 less; what is too small becomes zero */
        halves[i] =
            (uint16_t)((bits >> 16 & 0x8000) | (exponent > 0 ? (uint32_t)exponent << 10 | (bits >> 13 & 0x3ff) : 0));
    }
}

static void fill(const tensor *t, void *chunk, uint64_t first, size_t count)
{
    if (t->size == 8) {
        for (size_t i = 0; i < count; i++) ((int64_t *)chunk)[i] = (int64_t)(first + i);
    } else if (t->size == 4) {
        /* Low mantissa bits of their own, so that F32 does not look like widened BF16. */
        for (size_t i = 0; i < count; i++) {
            uint64_t r = next_random();
            ((float *)chunk)[i] = weights[r & 0xffff] * (1 + (float)(r >> 40) * 0x1p-30f);
        }
    } else {
        const uint16_t *table = t->dtype[0] == 'B' ? brains : halves;
        uint16_t *out = chunk;
        for (size_t i = 0; i < count; i += 4) {
            uint64_t r = next_random();
            for (size_t j = 0; j < 4 && i + j < count; j++) out[i + j] = table[r >> (16 * j) & 0xffff];
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: make_model OUT SEED DTYPE MAX-BYTES <layout.tsv\n");
        return 2;
    }
    tensor *list = calloc(MAX_TENSORS, sizeof *list);
    char *chunk = malloc(CHUNK);
    if (!list || !chunk) die("memory");
    size_t n = read_layout(list, argv[3], strtoull(argv[4], NULL, 10));
    qsort(list, n, sizeof *list, by_size_and_name);
    state = strtoull(argv[2], NULL, 10);
    fill_tables();

    FILE *f = fopen(argv[1], "wb");
    if (!f) die(argv[1]);
    write_header(f, list, n);
    for (size_t i = 0; i < n; i++) {
        const size_t step = CHUNK / list[i].size;
        for (uint64_t at = 0; at < list[i].count; at += step) {
            size_t count = list[i].count - at < step ? (size_t)(list[i].count - at) : step;
            fill(&list[i], chunk, at, count);
            if (fwrite(chunk, list[i].size, count, f) != count) die(argv[1]);
        }
    }
    if (fclose(f)) die(argv[1]);
    return 0;
}
