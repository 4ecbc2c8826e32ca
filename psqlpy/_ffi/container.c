#include <stdint.h>

#include <libpq-fe.h>

#include "container.h"

#define ARRAY_DIMENSIONS 6 /* PostgreSQL's MAXDIM */
#define RANGE_FLAGS                                                                                                    \
    (PSQ_RANGE_EMPTY | PSQ_RANGE_LOWER_INCLUSIVE | PSQ_RANGE_UPPER_INCLUSIVE | PSQ_RANGE_LOWER_INFINITE |              \
     PSQ_RANGE_UPPER_INFINITE)

typedef struct {
    const unsigned char *at;
    const unsigned char *end;
} reader;

static inline uint32_t
read_uint32(const unsigned char *value)
{
    return (uint32_t) value[0] << 24 | (uint32_t) value[1] << 16 | (uint32_t) value[2] << 8 | value[3];
}

/* The length of the item that comes next, -1 of a NULL; returns 0 if there isn't all of it. */
static int
read_length(reader *in, int *length)
{
    if (in->end - in->at < 4)
        return 0;
    *length = (int) read_uint32(in->at);
    in->at += 4;
    return *length >= -1 && in->end - in->at >= *length;
}

/* One dimension of an array, which the rest of the dimensions nest in. */
static int
write_dimension(psq_writer *out, const psq_decode_column *element, reader *in, const int *sizes, int depth)
{
    int reason = psq_write_list_header(out, sizes[0]);

    for (int i = 0; reason == PSQ_CELL_DECODED && i < sizes[0]; i++) {
        int length;

        if (depth > 1) {
            reason = write_dimension(out, element, in, sizes + 1, depth - 1);
            continue;
        }
        if (!read_length(in, &length))
            return PSQ_CELL_MALFORMED;
        if (length == -1) {
            reason = psq_write_none(out);
            continue;
        }
        reason = psq_write_cell(out, element, in->at, length);
        in->at += length;
    }
    return reason;
}

/* src/backend/utils/adt/arrayfuncs.c, array_send: dimensions, flags, element type, (size, lower bound) of each. */
int
psq_write_array(psq_writer *out, const psq_decode_column *column, const unsigned char *value, int length)
{
    psq_decode_column element = {column->element, column->bound, 0, PSQ_KIND_VOID};
    reader in = {value, value + length};
    int sizes[ARRAY_DIMENSIONS];
    int64_t count = 1;
    int depth, reason;

    if (length < 12 || read_uint32(value) > ARRAY_DIMENSIONS || column->element == PSQ_KIND_ARRAY)
        return PSQ_CELL_MALFORMED;
    depth = (int) read_uint32(value);
    if (length < 12 + 8 * depth || read_uint32(value + 8) != column->element_oid)
        return PSQ_CELL_MALFORMED;
    in.at += 12;
    if (depth == 0)
        return in.at == in.end ? psq_write_list_header(out, 0) : PSQ_CELL_MALFORMED;
    for (int i = 0; i < depth; i++, in.at += 8) {
        sizes[i] = (int) read_uint32(in.at);
        /* Every element takes four bytes at least, which also bounds what the lists cost. */
        if (sizes[i] <= 0 || (count *= sizes[i]) > length / 4)
            return PSQ_CELL_MALFORMED;
    }
    reason = write_dimension(out, &element, &in, sizes, depth);
    return reason == PSQ_CELL_DECODED && in.at != in.end ? PSQ_CELL_MALFORMED : reason;
}

static int
write_bound(psq_writer *out, const psq_decode_column *bound, reader *in, int absent)
{
    int length, reason;

    if (absent)
        return psq_write_none(out);
    if (!read_length(in, &length) || length < 0)
        return PSQ_CELL_MALFORMED;
    reason = psq_write_cell(out, bound, in->at, length);
    in->at += length;
    return reason;
}

/* src/backend/utils/adt/rangetypes.c, range_send: flags, and the bounds that there are. */
int
psq_write_range(psq_writer *out, const psq_decode_column *column, const unsigned char *value, int length)
{
    psq_decode_column bound = {column->element, PSQ_KIND_VOID, 0, PSQ_KIND_VOID};
    reader in = {value + 1, value + length};
    int flags, reason;

    if (length < 1)
        return PSQ_CELL_MALFORMED;
    flags = value[0] & RANGE_FLAGS;
    if (psq_write_tuple_header(out, 3) || psq_write_int(out, flags))
        return PSQ_CELL_NO_ROOM;
    reason = write_bound(out, &bound, &in, flags & (PSQ_RANGE_EMPTY | PSQ_RANGE_LOWER_INFINITE));
    if (reason == PSQ_CELL_DECODED)
        reason = write_bound(out, &bound, &in, flags & (PSQ_RANGE_EMPTY | PSQ_RANGE_UPPER_INFINITE));
    return reason == PSQ_CELL_DECODED && in.at != in.end ? PSQ_CELL_MALFORMED : reason;
}

/* src/backend/utils/adt/multirangetypes.c, multirange_send: how many, and each with its length. */
int
psq_write_multirange(psq_writer *out, const psq_decode_column *column, const unsigned char *value, int length)
{
    reader in = {value + 4, value + length};
    int count, reason;

    if (length < 4 || read_uint32(value) > (uint32_t) length / 5) /* five bytes at least each */
        return PSQ_CELL_MALFORMED;
    count = (int) read_uint32(value);
    reason = psq_write_tuple_header(out, count);
    for (int i = 0; reason == PSQ_CELL_DECODED && i < count; i++) {
        int range_length;

        if (!read_length(&in, &range_length) || range_length < 0)
            return PSQ_CELL_MALFORMED;
        reason = psq_write_range(out, column, in.at, range_length);
        in.at += range_length;
    }
    return reason == PSQ_CELL_DECODED && in.at != in.end ? PSQ_CELL_MALFORMED : reason;
}
