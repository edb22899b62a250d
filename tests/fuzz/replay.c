/* replay.c - runs a fuzz target over the files of a folder, without a fuzzer: the corpus as a plain test.
 * Prints TAP; a crash leaves the plan unfulfilled. Part of the tests. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }
static int is_input(const struct dirent *e) { return e->d_name[0] != '.'; }

/* The target gets a block of the exact size, so that a read past the end is seen. */
static int replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) return -1;
    long n = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    uint8_t *data = n < 0 ? NULL : malloc(n ? (size_t)n : 1);
    rewind(f);
    int ok = data && fread(data, 1, (size_t)n, f) == (size_t)n;
    fclose(f);
    if (ok) LLVMFuzzerTestOneInput(data, (size_t)n);
    free(data);
    return ok ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    int n = argc == 2 ? scandir(argv[1], &entries, is_input, by_name) : -1;
    if (n < 0) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    printf("1..%d\n", n);
    int bad = 0;
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
        int status = replay(path);
        printf("%s %d - %s\n", status ? "not ok" : "ok", i + 1, entries[i]->d_name);
        fflush(stdout);
        bad |= status;
        free(entries[i]);
    }
    free(entries);
    return bad ? 1 : 0;
}
