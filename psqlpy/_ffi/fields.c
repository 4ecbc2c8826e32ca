#include <limits.h>
#include <stdint.h>

#include "fields.h"

static inline uint32_t
read_uint32(const unsigned char *value)
{
    return (uint32_t) value[0] << 24 | (uint32_t) value[1] << 16 | (uint32_t) value[2] << 8 | value[3];
}

int
psq_decode_fields(const char *value, size_t length, int count, const Oid *types, const psq_decode_column *columns,
                  psq_decode_buffer *buffer)
{
    psq_writer out = {(unsigned char *) buffer->data, (unsigned char *) buffer->data + buffer->capacity, INT_MAX};
    const unsigned char *at = (const unsigned char *) value, *end = at + length;

    buffer->row_count = -1;
    if (length < 4)
        return PSQ_CELL_MALFORMED;
    if (read_uint32(at) != (uint32_t) count)
        return PSQ_CELL_MISMATCH;
    at += 4;
    if (psq_write_tuple_header(&out, count) == PSQ_CELL_NO_ROOM)
        return PSQ_CELL_NO_ROOM;
    for (int i = 0; i < count; i++) {
        int size, reason;

        if (end - at < 8)
            return PSQ_CELL_MALFORMED;
        if (read_uint32(at) != types[i])
            return PSQ_CELL_MISMATCH;
        size = (int) read_uint32(at + 4);
        at += 8;
        if (size < -1 || end - at < size)
            return PSQ_CELL_MALFORMED;
        if (size == -1) {
            reason = psq_write_none(&out);
        }
        else {
            reason = psq_write_cell(&out, &columns[i], at, size);
            at += size;
        }
        if (reason != PSQ_CELL_DECODED) {
            buffer->row_count = i;
            return reason;
        }
    }
    return at == end ? PSQ_CELL_DECODED : PSQ_CELL_MALFORMED;
}
