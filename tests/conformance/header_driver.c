/* header_driver.c - the C side of headers.py: reads files from standard input, each as a 32-bit length and its bytes,
 * and prints what st_header_parse makes of it, one line for each. Part of the tests; sees only st.h.
 *
 *   accepted: "ok" TAB tensors TAB metadata     of name:dtype:1,2:begin:end and of key=value, apart by blanks
 *   refused:  "no" TAB code TAB message         names, keys and values are hexadecimal
 *
 * With --cases it writes the pinned corpus instead: verdict (a digit), text, NUL, 32-bit length, bytes; and so on. */
#include "st.h"

#include "../c/header_cases.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void hex(const char *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        putchar(digits[(unsigned char)p[i] >> 4]);
        putchar(digits[(unsigned char)p[i] & 15]);
    }
}

static void print_tensor(st_info t)
{
    hex(t.name, t.name_len);
    printf(":%s:", st_dtype_name(t.dtype));
    for (int i = 0; i < t.ndim; i++) printf("%s%" PRId64, i ? "," : "", t.shape[i]);
    printf(":%" PRIu64 ":%" PRIu64, t.begin, t.end);
}

static void print_header(const st_header *h)
{
    printf("ok\t");
    for (size_t i = 0; i < st_header_count(h); i++) {
        if (i) putchar(' ');
        print_tensor(st_header_info(h, i));
    }
    putchar('\t');
    for (size_t i = 0; i < st_header_meta_count(h); i++) {
        st_text key, value;
        st_header_meta(h, i, &key, &value);
        if (i) putchar(' ');
        hex(key.ptr, key.len);
        putchar('=');
        hex(value.ptr, value.len);
    }
    putchar('\n');
}

/* A block of exactly the blob's size, so that a sanitizer sees a read beyond it. */
static int one(size_t n)
{
    unsigned char *blob = malloc(n ? n : 1);
    if (!blob || fread(blob, 1, n, stdin) != n) return 1;
    st_header *h;
    st_err err;
    st_status s = st_header_parse("blob", blob, n, n, &h, &err);
    if (s == ST_OK)
        print_header(h);
    else
        printf("no\t%s\t%s\n", st_status_code(s), err.message);
    st_header_free(h);
    free(blob);
    return 0;
}

static int write_cases(void)
{
    for (size_t i = 0; i < HEADER_CASES; i++) {
        const header_case *c = &header_cases[i];
        size_t n = case_size(c);
        unsigned char *blob = malloc(n);
        if (!blob) return 1;
        case_build(c, blob);
        printf("%d%d: %s", (int)c->verdict, c->group, c->why);
        for (int shift = -8; shift < 32; shift += 8) putchar(shift < 0 ? 0 : (int)(n >> shift & 255));
        fwrite(blob, 1, n, stdout);
        free(blob);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--cases") == 0) return write_cases();
    unsigned char p[4];
    while (fread(p, 1, sizeof p, stdin) == sizeof p)
        if (one((size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24)) return 1;
    return st_memory_used() == 0 ? 0 : 1;
}
