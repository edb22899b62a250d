/* sniff.c - naming the files that people mistake for safetensors. Layer: io; may touch nothing but the bytes it is
 * given. */
#include "sniff.h"

#include <stdbool.h>
#include <string.h>

#define CONVERT "`stlua convert` makes it safetensors"

/* Magic numbers at the start of a file, the longest first where one begins another. */
static const struct {
    const char *magic;
    size_t len;
    const char *what;
} magics[] = {
#define M(text, what)               \
    {                               \
        text, sizeof text - 1, what \
    }
    M("version https://git-lfs",
      "it is a git-LFS pointer, a few lines that stand for the model: fetch the model itself with `git lfs pull`"),
    M("GGUF", "it is a GGUF model (llama.cpp): " CONVERT),
    M("GGML", "it is an old GGML model (llama.cpp): download the .safetensors version of it"),
    M("ggjt", "it is an old GGML model (llama.cpp): download the .safetensors version of it"),
    M("PK\3\4", "it is a zip archive, most likely a PyTorch checkpoint (.pt, .ckpt, .bin): " CONVERT),
    M("PK\5\6", "it is an empty zip archive"),
    M("\x93NUMPY", "it is a NumPy array (.npy): " CONVERT),
    M("\x89HDF\r\n\x1a\n", "it is an HDF5 file (Keras .h5): convert it to safetensors with the program that wrote it"),
    M("\177ELF", "it is a program or a library (ELF), not a model"),
    M("%PDF-", "it is a PDF document, not a model"),
    M("\x28\xb5\x2f\xfd", "it is zstd-compressed: unpack it with `zstd -d` first"),
    M("\x1f\x8b", "it is gzip-compressed: unpack it with `gzip -d` first"),
    M("\3757zXZ", "it is xz-compressed: unpack it with `xz -d` first"),
    M("7z\xbc\xaf\x27\x1c", "it is a 7z archive: unpack it first"),
    M("Rar!", "it is a RAR archive: unpack it first"),
    M("\xef\xbb\xbf", "it is a text file (it begins with a byte order mark)"),
    M("Entry not found",
      "it is a web server's answer \"Entry not found\": the address it was downloaded from is wrong"),
    M("Repository not found",
      "it is a web server's answer \"Repository not found\": the address it was downloaded from is wrong"),
    M("Invalid username or password", "it is a web server's refusal: log in, then download the model again"),
    M("Access to model", "it is a web server's refusal: ask for access to the model, log in, then download it again"),
#undef M
};

/* Case-insensitive search for an ASCII word in the head. */
static bool mentions(const char *p, size_t n, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= n; i++) {
        size_t k = 0;
        while (k < len && (p[i + k] | (p[i + k] >= 'A' && p[i + k] <= 'Z' ? 0x20 : 0)) == word[k]) k++;
        if (k == len) return true;
    }
    return false;
}

static bool all_zero(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0) return false;
    return true;
}

/* Text that begins with an angle bracket or a brace, white space apart. NUL in the first bytes: a length, not text. */
static const char *sniff_text(const char *p, size_t n)
{
    size_t i = 0;
    if (memchr(p, '\0', n < 8 ? n : 8)) return NULL;
    while (i < n && (p[i] == ' ' || p[i] == '\t' || p[i] == '\r' || p[i] == '\n')) i++;
    if (i == n) return NULL;
    if (p[i] == '<') {
        if (mentions(p, n, "<!doctype html") || mentions(p, n, "<html"))
            return "it is a web page: the page was saved instead of the file; use its download link, or log in and "
                   "download again";
        return "it is an XML or HTML text, perhaps a server's error message: download the model again";
    }
    if (p[i] == '{') {
        if (mentions(p, n, "\"weight_map\"") || mentions(p, n, "\"total_size\""))
            return "it is the index of a sharded model: name it model.safetensors.index.json, or open one of the "
                   "shards it lists";
        if (mentions(p, n, "\"error\"")) return "it is a server's error message in JSON: download the model again";
        return "it is a JSON text, not a model";
    }
    return NULL;
}

const char *st_sniff(const void *head, size_t n, uint64_t file_size)
{
    const char *p = head;
    if (file_size == 0) return "it is empty: the download or copy never began, or the disk was full";
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if (n >= magics[i].len && memcmp(p, magics[i].magic, magics[i].len) == 0) return magics[i].what;
    if (n >= 262 && memcmp(p + 257, "ustar", 5) == 0) return "it is a tar archive: unpack it first";
    /* PROTO 2..5, then a memo'd opcode of a torch or plain pickle. */
    if (n >= 3 && (unsigned char)p[0] == 0x80 && p[1] >= 2 && p[1] <= 5)
        return "it is a Python pickle, most likely an old PyTorch checkpoint: " CONVERT;
    for (size_t i = 1; i + 4 <= n; i++)
        if (memcmp(p + i, "PK\3\4", 4) == 0)
            return "it is a zip archive behind some other bytes, most likely a PyTorch checkpoint: cut them off, or "
                   "download it again";
    if (n >= 8 && all_zero(p, n))
        return "it begins with zeros: the download or copy was never finished; fetch it again";
    return sniff_text(p, n);
}
