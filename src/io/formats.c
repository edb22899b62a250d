/* formats.c - the table of formats besides safetensors. Layer: io; reads the source it is given. */
#include "formats.h"
#include "gguf.h"
#include "header.h"
#include "mem.h"
#include "npy.h"
#include "torch.h"

#include <string.h>

/* Whether the first bytes are a length that fits and JSON: then it is safetensors, whatever else they could be. */
static bool is_safetensors(const unsigned char *head, size_t n, uint64_t file_size)
{
    uint64_t len = 0;
    if (n < 9) return false;
    for (int i = 7; i >= 0; i--) len = len << 8 | head[i];
    return len > 0 && len <= ST_HEADER_MAX && len <= file_size - 8 && memchr("{ \t\r\n", head[8], 5);
}

static bool is_zip(const unsigned char *head, size_t n)
{
    return n >= 4 && (memcmp(head, "PK\3\4", 4) == 0 || memcmp(head, "PK\5\6", 4) == 0);
}

static bool is_npy(const unsigned char *head, size_t n) { return n >= 6 && memcmp(head, "\x93NUMPY", 6) == 0; }
static bool is_gguf(const unsigned char *head, size_t n) { return n >= 4 && memcmp(head, "GGUF", 4) == 0; }

static bool is_pickle(const unsigned char *head, size_t n)
{
    return n >= 3 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5;
}

/* Protocols 0 and 1 begin with nothing in particular: a mark, a container, a name. If it turns out to be none after
 * all, it is not for us to say what is wrong with it. */
static bool may_be_pickle(const unsigned char *head, size_t n) { return n >= 3 && memchr("(c]})", head[0], 5); }

static st_status read_zip(st_source *src, const st_open_opts *opts, st_listing *l, st_err *err)
{
    st_zip zip;
    ST_TRY(st_zip_read(src, &zip, err));
    st_status s;
    if (st_torch_find_pickle(&zip))
        s = st_torch_zip(src, &zip, opts, l, err);
    else if (st_npz_is(&zip))
        s = st_npz_read(src, &zip, opts, l, err);
    else
        s = st_fail(err, ST_FORMAT, src->label, NULL,
                    "a zip archive, but neither a PyTorch checkpoint (data.pkl in one folder) nor NumPy arrays: unpack "
                    "it first");
    st_zip_free(&zip);
    return s;
}

static const struct {
    bool (*is)(const unsigned char *head, size_t n);
    st_status (*read)(st_source *src, const st_open_opts *opts, st_listing *l, st_err *err);
    bool guess;
} formats[] = {
    {is_zip, read_zip, false},           {is_npy, st_npy_read, false},           {is_gguf, st_gguf_read, false},
    {is_pickle, st_torch_legacy, false}, {may_be_pickle, st_torch_legacy, true},
};

st_status st_format_read(st_source *src, const void *head, size_t n, const st_open_opts *opts, st_listing **out,
                         st_err *err)
{
    static const st_open_opts none;
    *out = NULL;
    if (is_safetensors(head, n, src->size)) return ST_OK;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (!formats[i].is(head, n)) continue;
        st_listing *l = st_calloc(1, sizeof *l);
        if (!l) return st_fail_nomem(err, sizeof *l);
        st_status s = formats[i].read(src, opts ? opts : &none, l, err);
        if (s == ST_OK) s = st_listing_close(l, err);
        if (s == ST_OK)
            *out = l;
        else
            st_listing_free(l);
        return s == ST_FORMAT && formats[i].guess ? ST_OK : s;
    }
    return ST_OK;
}

st_status st_format_check(st_source *src, bool *all, st_err *err)
{
    unsigned char head[4];
    st_zip zip;
    *all = false;
    if (src->size < sizeof head) return ST_OK;
    ST_TRY(src->ops->read(src, head, 0, sizeof head, err));
    if (!is_zip(head, sizeof head)) return ST_OK;
    ST_TRY(st_zip_read(src, &zip, err));
    st_status s = ST_OK;
    *all = true; /* what is compressed holds no tensor */
    for (size_t i = 0; s == ST_OK && i < zip.count; i++)
        if (zip.entries[i].method == 0) s = st_zip_check(src, &zip.entries[i], err);
    st_zip_free(&zip);
    return s;
}
