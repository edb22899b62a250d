/* header_place.c - what lies at a place of a file, for messages about bytes that are damaged. Layer: io. */
#include "header.h"

#include <stdio.h>

size_t st_header_at(const st_header *h, uint64_t off)
{
    uint64_t start = st_header_data_start(h), at = off > start ? off - start : 0;
    size_t low = 0, high = st_header_count(h); /* ends ascend; those below `low` are not behind the place */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (st_header_info(h, mid).end <= at)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

st_status st_header_fail_place(const st_header *h, const char *label, uint64_t begin, uint64_t end, st_err *err,
                               const char *fmt, ...)
{
    char text[400], others[40] = "";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const unsigned long long from = begin, to = end;
    if (!h || begin < st_header_data_start(h))
        return st_fail(err, ST_FORMAT, label, NULL, "bytes %llu to %llu of the plain file%s, %s", from, to,
                       h || begin == 0 ? ", its header" : "", text);
    size_t first = st_header_at(h, begin), last = end > begin ? st_header_at(h, end - 1) : first;
    if (first >= st_header_count(h))
        return st_fail(err, ST_FORMAT, label, NULL, "byte %llu of the plain file, behind the last tensor, %s", from,
                       text);
    if (last > first) snprintf(others, sizeof others, " (and %zu behind it)", last - first);
    st_info t = st_header_info(h, first);
    return st_fail_named(err, ST_FORMAT, label, t.name, t.name_len, "bytes %llu to %llu of the plain file%s, %s", from,
                         to, others, text);
}
