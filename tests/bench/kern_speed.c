/* kern_speed.c - speed of the kernels at every SIMD level, in cache: GB/s of bytes read and written.
 * make .build/bench/kern_speed; .build/bench/kern_speed [SUBSTRING] shows the kernels whose name holds it. */
#include "every_kernel.h"

#include <string.h>
#include <time.h>

enum { N = 2048 }; /* the evaluator's block */

static _Alignas(64) unsigned char src[3][N * 8], out[N * 8];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds per call: the best of several runs of some milliseconds. */
static double seconds(st_kern_fn fn)
{
    const void *from[3] = {src[0], src[1], src[2]};
    double best = 1;
    for (int run = 0; run < 5; run++) {
        unsigned calls = 0;
        double start = now(), spent;
        do {
            for (int i = 0; i < 64; i++) fn(out, from, N);
            calls += 64;
            spent = now() - start;
        } while (spent < 0.002);
        if (spent / calls < best) best = spent / calls;
    }
    return best;
}

/* Small positive numbers, whichever type reads them: none that a processor is slow on. */
static void fill(const st_any_kernel *k)
{
    bool is_float = strstr(k->name, "F") && !k->raw_in;
    for (int s = 0; s < k->sources; s++) {
        for (size_t i = 0; i < N; i++) {
            float f = (float)(i % 640 + 1) * 0.01f;
            double d = f;
            uint64_t u = i % 50 + 1;
            const void *value = !is_float ? (const void *)&u : k->in[s] == 4 ? (const void *)&f : (const void *)&d;
            if (k->flag[s]) u = i & 1, value = &u;
            memcpy(src[s] + i * k->in[s], value, k->in[s]);
        }
    }
}

int main(int argc, char **argv)
{
    printf("%-20s", "GB/s");
    for (unsigned l = 0; st_kern_level(l); l++) printf(" %10s", st_kern_level(l)->name);
    putchar('\n');
    st_any_kernel k;
    for (unsigned i = 0; st_kernel_at(st_kern_level(0), i, &k); i++) {
        if (!k.fn || (argc > 1 && !strstr(k.name, argv[1]))) continue;
        fill(&k);
        printf("%-20s", k.name);
        for (unsigned l = 0; st_kern_level(l); l++) {
            st_kernel_at(st_kern_level(l), i, &k);
            printf(" %10.1f", (double)((k.in[0] + k.in[1] + k.in[2] + k.out) * N) / seconds(k.fn) * 1e-9);
        }
        putchar('\n');
    }
    return 0;
}
