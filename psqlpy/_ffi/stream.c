#include <string.h>

#include "stream.h"

/* What marshal reads: CPython's Python/marshal.c, the same since version 3.4. */
#define TUPLE_SHORT ')'
#define TUPLE '('
#define LIST '['
#define NONE 'N'
#define ELLIPSIS '.'

static inline int
has_room(const psq_writer *out, size_t size)
{
    return (size_t) (out->end - out->at) >= size;
}

/* The put_ functions need room that the caller has checked. */

static inline void
put_uint32(psq_writer *out, uint32_t number)
{
    *out->at++ = number & 0xff;
    *out->at++ = number >> 8 & 0xff;
    *out->at++ = number >> 16 & 0xff;
    *out->at++ = number >> 24;
}

static inline void
put_header(psq_writer *out, char type, uint32_t size)
{
    *out->at++ = (unsigned char) type;
    put_uint32(out, size);
}

static int
write_byte(psq_writer *out, char type)
{
    if (!has_room(out, 1))
        return PSQ_CELL_NO_ROOM;
    *out->at++ = (unsigned char) type;
    return PSQ_CELL_DECODED;
}

static int
write_sized(psq_writer *out, char type, const void *data, int length)
{
    if (!has_room(out, (size_t) length + 5))
        return PSQ_CELL_NO_ROOM;
    put_header(out, type, (uint32_t) length);
    memcpy(out->at, data, (size_t) length);
    out->at += length;
    return PSQ_CELL_DECODED;
}

int
psq_write_none(psq_writer *out)
{
    return write_byte(out, NONE);
}

int
psq_write_ellipsis(psq_writer *out)
{
    return write_byte(out, ELLIPSIS);
}

int
psq_write_tuple_header(psq_writer *out, int count)
{
    if (!has_room(out, 5))
        return PSQ_CELL_NO_ROOM;
    if (count < 256) {
        *out->at++ = TUPLE_SHORT;
        *out->at++ = (unsigned char) count;
    }
    else
        put_header(out, TUPLE, (uint32_t) count);
    return PSQ_CELL_DECODED;
}

int
psq_write_list_header(psq_writer *out, int count)
{
    if (!has_room(out, 5))
        return PSQ_CELL_NO_ROOM;
    put_header(out, LIST, (uint32_t) count);
    return PSQ_CELL_DECODED;
}

/* Integers beyond 32 bits are digits of 15 bits, the sign is that of their count. */
int
psq_write_long(psq_writer *out, uint64_t magnitude, int negative)
{
    unsigned char *count_at = out->at + 1;
    int count = 0;

    if (!has_room(out, 5 + 2 * 5))
        return PSQ_CELL_NO_ROOM;
    put_header(out, 'l', 0);
    for (; magnitude != 0; magnitude >>= 15, count++) {
        *out->at++ = magnitude & 0xff;
        *out->at++ = magnitude >> 8 & 0x7f;
    }
    count_at[0] = (unsigned char) (negative ? -count : count);
    memset(count_at + 1, negative && count > 0 ? 0xff : 0, 3);
    return PSQ_CELL_DECODED;
}

int
psq_write_int(psq_writer *out, int64_t number)
{
    if (number < INT32_MIN || number > INT32_MAX)
        return psq_write_long(out, number < 0 ? 0 - (uint64_t) number : (uint64_t) number, number < 0);
    if (!has_room(out, 5))
        return PSQ_CELL_NO_ROOM;
    put_header(out, 'i', (uint32_t) (int32_t) number);
    return PSQ_CELL_DECODED;
}

int
psq_write_float(psq_writer *out, double number)
{
    uint64_t bits;

    if (!has_room(out, 9))
        return PSQ_CELL_NO_ROOM;
    memcpy(&bits, &number, sizeof bits);
    *out->at++ = 'g';
    put_uint32(out, (uint32_t) bits);
    put_uint32(out, (uint32_t) (bits >> 32));
    return PSQ_CELL_DECODED;
}

static int
ascii_length(const unsigned char *text, int length)
{
    int at = 0;
    uint64_t word;

    for (; length - at >= 8; at += 8) {
        memcpy(&word, text + at, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            break;
    }
    while (at < length && text[at] < 0x80)
        at++;
    return at;
}

/* Unicode's table 3-7: no overlong forms, no surrogates, nothing past U+10FFFF. */
static int
is_utf8(const unsigned char *at, const unsigned char *end)
{
    while (at < end) {
        unsigned char lead = *at, low = 0x80, high = 0xbf;
        int more;

        if (lead < 0x80) {
            at += ascii_length(at, (int) (end - at));
            continue;
        }
        if (lead < 0xc2 || lead > 0xf4)
            return 0;
        more = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        if (lead == 0xe0)
            low = 0xa0;
        else if (lead == 0xed)
            high = 0x9f;
        else if (lead == 0xf0)
            low = 0x90;
        else if (lead == 0xf4)
            high = 0x8f;
        if (end - at <= more || at[1] < low || at[1] > high)
            return 0;
        for (int i = 2; i <= more; i++)
            if (at[i] < 0x80 || at[i] > 0xbf)
                return 0;
        at += more + 1;
    }
    return 1;
}

int
psq_write_text(psq_writer *out, const unsigned char *text, int length)
{
    int ascii = ascii_length(text, length);

    if (ascii < length) {
        if (!is_utf8(text + ascii, text + length))
            return PSQ_CELL_NOT_UTF8;
        return write_sized(out, 'u', text, length);
    }
    if (length > 255)
        return write_sized(out, 'a', text, length);
    if (!has_room(out, (size_t) length + 2))
        return PSQ_CELL_NO_ROOM;
    *out->at++ = 'z';
    *out->at++ = (unsigned char) length;
    memcpy(out->at, text, (size_t) length);
    out->at += length;
    return PSQ_CELL_DECODED;
}

int
psq_write_bytes(psq_writer *out, const void *data, int length)
{
    return write_sized(out, 's', data, length);
}

int
psq_write_bool(psq_writer *out, int value)
{
    return write_byte(out, value ? 'T' : 'F');
}

unsigned char *
psq_begin_ascii(psq_writer *out, size_t limit)
{
    return has_room(out, limit + 5) ? out->at + (limit < 256 ? 2 : 5) : NULL;
}

void
psq_end_ascii(psq_writer *out, size_t limit, unsigned char *end)
{
    size_t length = (size_t) (end - out->at) - (limit < 256 ? 2 : 5);

    if (limit < 256) {
        out->at[0] = 'z';
        out->at[1] = (unsigned char) length;
    }
    else
        put_header(out, 'a', (uint32_t) length);
    out->at = end;
}
