#include <limits.h>
#include <stdint.h>
#include <string.h>

#include <libpq-fe.h>

#include "decode.h"

/* What marshal reads: CPython's Python/marshal.c, the same since version 3.4. */
#define TUPLE_SHORT ')'
#define TUPLE '('
#define LIST '['
#define NONE 'N'
#define ELLIPSIS '.'

#define DAY_MICROSECONDS INT64_C(86400000000)
#define ORDINAL_OF_2000 730120   /* datetime.date(2000, 1, 1).toordinal() */
#define ORDINAL_OF_9999 3652059  /* of 31 December */
#define ARRAY_DIMENSIONS 6       /* PostgreSQL's MAXDIM */

typedef struct {
    unsigned char *at;
    unsigned char *end;
    int limit; /* bytes a cell may have */
} writer;

typedef struct {
    const unsigned char *at;
    const unsigned char *end;
} reader;

static int write_cell(writer *out, const psq_decode_column *column, const unsigned char *value, int length);

static inline uint16_t
read_uint16(const unsigned char *value)
{
    return (uint16_t) (value[0] << 8 | value[1]);
}

static inline uint32_t
read_uint32(const unsigned char *value)
{
    return (uint32_t) value[0] << 24 | (uint32_t) value[1] << 16 | (uint32_t) value[2] << 8 | value[3];
}

static inline uint64_t
read_uint64(const unsigned char *value)
{
    return (uint64_t) read_uint32(value) << 32 | read_uint32(value + 4);
}

static inline int
has_room(const writer *out, size_t size)
{
    return (size_t) (out->end - out->at) >= size;
}

/* The put_ functions need room that the caller has checked. */

static inline void
put_uint32(writer *out, uint32_t number)
{
    *out->at++ = number & 0xff;
    *out->at++ = number >> 8 & 0xff;
    *out->at++ = number >> 16 & 0xff;
    *out->at++ = number >> 24;
}

static inline void
put_header(writer *out, char type, uint32_t size)
{
    *out->at++ = (unsigned char) type;
    put_uint32(out, size);
}

static int
write_byte(writer *out, char type)
{
    if (!has_room(out, 1))
        return PSQ_CELL_NO_ROOM;
    *out->at++ = (unsigned char) type;
    return PSQ_CELL_DECODED;
}

static int
write_sized(writer *out, char type, const void *data, int length)
{
    if (!has_room(out, (size_t) length + 5))
        return PSQ_CELL_NO_ROOM;
    put_header(out, type, (uint32_t) length);
    memcpy(out->at, data, (size_t) length);
    out->at += length;
    return PSQ_CELL_DECODED;
}

static int
write_tuple_header(writer *out, int count)
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

static int
write_list_header(writer *out, int count)
{
    if (!has_room(out, 5))
        return PSQ_CELL_NO_ROOM;
    put_header(out, LIST, (uint32_t) count);
    return PSQ_CELL_DECODED;
}

/* Integers beyond 32 bits are digits of 15 bits, the sign is that of their count. */
static int
write_long(writer *out, uint64_t magnitude, int negative)
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
    memset(count_at + 1, negative ? 0xff : 0, 3);
    return PSQ_CELL_DECODED;
}

static int
write_int(writer *out, int64_t number)
{
    if (number < INT32_MIN || number > INT32_MAX)
        return write_long(out, number < 0 ? 0 - (uint64_t) number : (uint64_t) number, number < 0);
    if (!has_room(out, 5))
        return PSQ_CELL_NO_ROOM;
    put_header(out, 'i', (uint32_t) (int32_t) number);
    return PSQ_CELL_DECODED;
}

static int
write_float(writer *out, double number)
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

static double
read_float(const unsigned char *value, int length)
{
    uint32_t narrow_bits;
    uint64_t wide_bits;
    float narrow;
    double wide;

    if (length == 4) {
        narrow_bits = read_uint32(value);
        memcpy(&narrow, &narrow_bits, sizeof narrow);
        return (double) narrow;
    }
    wide_bits = read_uint64(value);
    memcpy(&wide, &wide_bits, sizeof wide);
    return wide;
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

static int
write_text(writer *out, const unsigned char *text, int length)
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

static int
write_char(writer *out, unsigned char byte)
{
    unsigned char encoded[2] = {byte, 0};

    if (byte < 0x80)
        return write_text(out, encoded, 1);
    encoded[0] = 0xc0 | byte >> 6;
    encoded[1] = 0x80 | (byte & 0x3f);
    return write_sized(out, 'u', encoded, 2);
}

static unsigned char *
put_group(unsigned char *at, int group, int digits)
{
    static const int powers[] = {1000, 100, 10, 1};

    for (int i = 0; i < digits; i++)
        *at++ = (unsigned char) ('0' + group / powers[i] % 10);
    return at;
}

/* src/backend/utils/adt/numeric.c, numeric_send: int16 groups of four digits, weight of the first in groups. */
static int
write_numeric(writer *out, const unsigned char *value, int length)
{
    int count, weight, sign, scale, upper;
    unsigned char *start, *at;

    if (length < 8)
        return PSQ_CELL_MALFORMED;
    count = read_uint16(value);
    weight = (int16_t) read_uint16(value + 2);
    sign = read_uint16(value + 4);
    scale = read_uint16(value + 6);
    if (sign == 0xc000)
        return write_text(out, (const unsigned char *) "NaN", 3);
    if (sign == 0xd000)
        return write_text(out, (const unsigned char *) "Infinity", 8);
    if (sign == 0xf000)
        return write_text(out, (const unsigned char *) "-Infinity", 9);
    if (length != 8 + 2 * count || (sign != 0 && sign != 0x4000) || scale > 0x3fff)
        return PSQ_CELL_MALFORMED;
    upper = 1 + (weight < 0 ? 1 : 4 * (weight + 1)) + 1 + scale;
    if (!has_room(out, (size_t) upper + 5 + 4)) /* the last group may reach over the scale */
        return PSQ_CELL_NO_ROOM;
    start = at = out->at + (upper < 256 ? 2 : 5);
    if (sign)
        *at++ = '-';
    if (weight < 0)
        *at++ = '0';
    value += 8;
    for (int i = weight < 0 ? weight + 1 : 0, left = scale; i <= weight || left > 0; i++) {
        int group = i >= 0 && i < count ? read_uint16(value + 2 * i) : 0;

        if (group > 9999)
            return PSQ_CELL_MALFORMED;
        if (i <= weight) {
            int skip = i == 0 ? (group < 10) + (group < 100) + (group < 1000) : 0;
            unsigned char digits[4];

            put_group(digits, group, 4);
            memcpy(at, digits + skip, (size_t) (4 - skip));
            at += 4 - skip;
        }
        else {
            if (left == scale)
                *at++ = '.';
            at = put_group(at, group, left < 4 ? left : 4);
            left -= left < 4 ? left : 4;
        }
    }
    length = (int) (at - start);
    if (upper < 256) {
        out->at[0] = 'z';
        out->at[1] = (unsigned char) length;
    }
    else {
        put_header(out, 'a', (uint32_t) length);
    }
    out->at = at;
    return PSQ_CELL_DECODED;
}

/* Year, month and day of a day counted from 2000-01-01, which must be in Python's range. */
static void
put_date(unsigned char *at, int64_t day)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    int rest = (int) day + ORDINAL_OF_2000 - 1, year = 1, centuries, years, leap, month;

    year += rest / 146097 * 400;
    rest %= 146097;
    centuries = rest / 36524;
    centuries -= centuries == 4; /* 31 December of a leap century */
    rest -= centuries * 36524;
    year += centuries * 100 + rest / 1461 * 4;
    rest %= 1461;
    years = rest / 365;
    years -= years == 4;
    rest -= years * 365;
    year += years;
    leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    month = rest / 29;
    if (month > 11)
        month = 11;
    while (rest < before[month] + (leap && month >= 2))
        month--;
    at[0] = (unsigned char) (year >> 8);
    at[1] = year & 0xff;
    at[2] = (unsigned char) (month + 1);
    at[3] = (unsigned char) (rest - before[month] - (leap && month >= 2) + 1);
}

static void
put_time(unsigned char *at, int64_t microseconds)
{
    int seconds = (int) (microseconds / 1000000), fraction = (int) (microseconds % 1000000);

    at[0] = (unsigned char) (seconds / 3600);
    at[1] = (unsigned char) (seconds / 60 % 60);
    at[2] = (unsigned char) (seconds % 60);
    at[3] = (unsigned char) (fraction >> 16);
    at[4] = fraction >> 8 & 0xff;
    at[5] = fraction & 0xff;
}

static int
write_date(writer *out, int32_t day)
{
    unsigned char state[4];

    if (day == INT32_MAX || day == INT32_MIN)
        return PSQ_CELL_INFINITE;
    if (day < 1 - ORDINAL_OF_2000 || day > ORDINAL_OF_9999 - ORDINAL_OF_2000)
        return PSQ_CELL_OUT_OF_RANGE;
    put_date(state, day);
    return write_sized(out, 's', state, sizeof state);
}

static int
write_time(writer *out, int64_t microseconds)
{
    unsigned char state[6];

    if (microseconds == DAY_MICROSECONDS)
        return PSQ_CELL_OUT_OF_RANGE;
    if (microseconds < 0 || microseconds > DAY_MICROSECONDS)
        return PSQ_CELL_MALFORMED;
    put_time(state, microseconds);
    return write_sized(out, 's', state, sizeof state);
}

static int
write_timestamp(writer *out, int64_t microseconds)
{
    unsigned char state[10];
    int64_t day = microseconds / DAY_MICROSECONDS, rest = microseconds % DAY_MICROSECONDS;

    if (microseconds == INT64_MAX || microseconds == INT64_MIN)
        return PSQ_CELL_INFINITE;
    if (rest < 0) {
        rest += DAY_MICROSECONDS;
        day--;
    }
    if (day < 1 - ORDINAL_OF_2000 || day > ORDINAL_OF_9999 - ORDINAL_OF_2000)
        return PSQ_CELL_OUT_OF_RANGE;
    put_date(state, day);
    put_time(state + 4, rest);
    return write_sized(out, 's', state, sizeof state);
}

static int
write_interval(writer *out, const unsigned char *value)
{
    int64_t microseconds = (int64_t) read_uint64(value);
    int32_t day_field = (int32_t) read_uint32(value + 8), months = (int32_t) read_uint32(value + 12);
    int64_t days = (int64_t) months * 30 + day_field + microseconds / DAY_MICROSECONDS;
    int64_t rest = microseconds % DAY_MICROSECONDS;

    /* Infinity since PostgreSQL 17: all three fields at their limit. */
    if ((months == INT32_MAX && day_field == INT32_MAX && microseconds == INT64_MAX)
        || (months == INT32_MIN && day_field == INT32_MIN && microseconds == INT64_MIN))
        return PSQ_CELL_INFINITE;
    if (rest < 0) {
        rest += DAY_MICROSECONDS;
        days--;
    }
    if (days < -999999999 || days > 999999999)
        return PSQ_CELL_OUT_OF_RANGE;
    if (!has_room(out, 2 + 3 * 5))
        return PSQ_CELL_NO_ROOM;
    *out->at++ = TUPLE_SHORT;
    *out->at++ = 3;
    put_header(out, 'i', (uint32_t) (int32_t) days);
    put_header(out, 'i', (uint32_t) (rest / 1000000));
    put_header(out, 'i', (uint32_t) (rest % 1000000));
    return PSQ_CELL_DECODED;
}

static int
write_uuid(writer *out, const unsigned char *value)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char text[36], *at = text;

    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = (unsigned char) digits[value[i] >> 4];
        *at++ = (unsigned char) digits[value[i] & 0xf];
    }
    return write_text(out, text, sizeof text);
}

/* One dimension of an array, which the rest of the dimensions nest in. */
static int
write_dimension(writer *out, const psq_decode_column *element, reader *in, const int *sizes, int depth)
{
    int reason = write_list_header(out, sizes[0]);

    for (int i = 0; reason == PSQ_CELL_DECODED && i < sizes[0]; i++) {
        int length;

        if (depth > 1) {
            reason = write_dimension(out, element, in, sizes + 1, depth - 1);
            continue;
        }
        if (in->end - in->at < 4)
            return PSQ_CELL_MALFORMED;
        length = (int) read_uint32(in->at);
        in->at += 4;
        if (length == -1) {
            reason = write_byte(out, NONE);
            continue;
        }
        if (length < 0 || in->end - in->at < length)
            return PSQ_CELL_MALFORMED;
        reason = write_cell(out, element, in->at, length);
        in->at += length;
    }
    return reason;
}

/* src/backend/utils/adt/arrayfuncs.c, array_send: dimensions, flags, element type, (size, lower bound) of each. */
static int
write_array(writer *out, const psq_decode_column *column, const unsigned char *value, int length)
{
    psq_decode_column element = {column->element, PSQ_KIND_VOID, 0};
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
        return in.at == in.end ? write_list_header(out, 0) : PSQ_CELL_MALFORMED;
    for (int i = 0; i < depth; i++, in.at += 8) {
        sizes[i] = (int) read_uint32(in.at);
        /* Every element takes four bytes at least, which also bounds what the lists cost. */
        if (sizes[i] <= 0 || (count *= sizes[i]) > length / 4)
            return PSQ_CELL_MALFORMED;
    }
    reason = write_dimension(out, &element, &in, sizes, depth);
    return reason == PSQ_CELL_DECODED && in.at != in.end ? PSQ_CELL_MALFORMED : reason;
}

/* Bytes that every cell of a kind has; -1 where they differ. */
static int
fixed_length(int kind)
{
    switch (kind) {
        case PSQ_KIND_VOID: return 0;
        case PSQ_KIND_CHAR: case PSQ_KIND_BOOL: return 1;
        case PSQ_KIND_INT2: return 2;
        case PSQ_KIND_INT4: case PSQ_KIND_UINT4: case PSQ_KIND_FLOAT4: case PSQ_KIND_DATE: return 4;
        case PSQ_KIND_INT8: case PSQ_KIND_UINT8: case PSQ_KIND_FLOAT8: return 8;
        case PSQ_KIND_TIME: case PSQ_KIND_TIMESTAMP: return 8;
        case PSQ_KIND_INTERVAL: case PSQ_KIND_UUID: return 16;
        default: return -1;
    }
}

static int
write_cell(writer *out, const psq_decode_column *column, const unsigned char *value, int length)
{
    int fixed = fixed_length(column->kind);

    if (fixed >= 0 && length != fixed)
        return PSQ_CELL_MALFORMED;
    if (length > out->limit)
        return PSQ_CELL_LARGE;
    switch (column->kind) {
        case PSQ_KIND_VOID: return write_byte(out, NONE);
        case PSQ_KIND_TEXT: return write_text(out, value, length);
        case PSQ_KIND_BYTES: return write_sized(out, 's', value, length);
        case PSQ_KIND_CHAR: return write_char(out, value[0]);
        case PSQ_KIND_JSONB:
            return length < 1 || value[0] != 1 ? PSQ_CELL_MALFORMED : write_text(out, value + 1, length - 1);
        case PSQ_KIND_BOOL: return value[0] > 1 ? PSQ_CELL_MALFORMED : write_byte(out, value[0] ? 'T' : 'F');
        case PSQ_KIND_INT2: return write_int(out, (int16_t) read_uint16(value));
        case PSQ_KIND_INT4: return write_int(out, (int32_t) read_uint32(value));
        case PSQ_KIND_INT8: return write_int(out, (int64_t) read_uint64(value));
        case PSQ_KIND_UINT4: return write_int(out, (int64_t) read_uint32(value));
        case PSQ_KIND_UINT8:
            return value[0] & 0x80 ? write_long(out, read_uint64(value), 0)
                                   : write_int(out, (int64_t) read_uint64(value));
        case PSQ_KIND_FLOAT4: case PSQ_KIND_FLOAT8: return write_float(out, read_float(value, length));
        case PSQ_KIND_NUMERIC: return write_numeric(out, value, length);
        case PSQ_KIND_DATE: return write_date(out, (int32_t) read_uint32(value));
        case PSQ_KIND_TIME: return write_time(out, (int64_t) read_uint64(value));
        case PSQ_KIND_TIMESTAMP: return write_timestamp(out, (int64_t) read_uint64(value));
        case PSQ_KIND_INTERVAL: return write_interval(out, value);
        case PSQ_KIND_UUID: return write_uuid(out, value);
        case PSQ_KIND_ARRAY: return write_array(out, column, value, length);
        default: return PSQ_CELL_MALFORMED;
    }
}

/* A cell as it goes into a row: None for NULL, Ellipsis for what can't be written. Returns flags, or -1 without room. */
static inline int
write_result_cell(writer *out, const PGresult *result, const psq_decode_column *column, int row, int index)
{
    int length = PQgetlength(result, row, index), reason;
    unsigned char *start = out->at;

    if (length == 0 && PQgetisnull(result, row, index))
        return write_byte(out, NONE) == PSQ_CELL_NO_ROOM ? -1 : PSQ_NULLS;
    reason = write_cell(out, column, (const unsigned char *) PQgetvalue(result, row, index), length);
    if (reason == PSQ_CELL_DECODED)
        return 0;
    if (reason == PSQ_CELL_NO_ROOM)
        return -1;
    out->at = start;
    return write_byte(out, ELLIPSIS) == PSQ_CELL_NO_ROOM ? -1 : PSQ_DEFERRED;
}

static int
is_for(const psq_decode_plan *plan, const PGresult *result, int start, int stop)
{
    if (start < 0 || start >= stop || stop > PQntuples(result) || PQnfields(result) != plan->column_count
        || plan->column_count > PSQ_DECODE_COLUMNS)
        return 0;
    for (int i = 0; i < plan->column_count; i++)
        if (PQfformat(result, i) != plan->format)
            return 0;
    return 1;
}

static int
write_row(writer *out, const PGresult *result, const psq_decode_plan *plan, int row, psq_decode_buffer *buffer)
{
    int all = 0;

    if (write_tuple_header(out, plan->column_count) == PSQ_CELL_NO_ROOM)
        return -1;
    for (int i = 0; i < plan->column_count; i++) {
        int flags = write_result_cell(out, result, &plan->columns[i], row, i);

        if (flags < 0)
            return -1;
        buffer->column_flags[i] |= (unsigned char) flags;
        all |= flags;
    }
    return all;
}

static int
write_column(writer *out, const PGresult *result, const psq_decode_column *column, int index, int start, int stop)
{
    int all = 0;

    if (write_list_header(out, stop - start) == PSQ_CELL_NO_ROOM)
        return -1;
    for (int row = start; row < stop; row++) {
        int flags = write_result_cell(out, result, column, row, index);

        if (flags < 0)
            return -1;
        all |= flags;
    }
    return all;
}

static writer
writer_open(psq_decode_buffer *buffer, int limit)
{
    unsigned char *data = (unsigned char *) buffer->data;

    return (writer) {data, data + buffer->capacity, limit};
}

int
psq_decode_row(const PGresult *result, const psq_decode_plan *plan, int row, psq_decode_buffer *buffer)
{
    writer out = writer_open(buffer, PSQ_DECODE_CELL);
    int flags;

    if (!is_for(plan, result, row, row == INT_MAX ? row : row + 1))
        return PSQ_DECODE_MISMATCH;
    memset(buffer->column_flags, 0, (size_t) plan->column_count);
    flags = write_row(&out, result, plan, row, buffer);
    buffer->row_count = flags >= 0;
    return flags < 0 ? PSQ_DECODE_NO_ROOM : flags;
}

/* All of the rows or nothing: -1 when they don't fit. */
static int
write_rows(const PGresult *result, const psq_decode_plan *plan, int start, int stop, int by_column,
           psq_decode_buffer *buffer)
{
    writer out = writer_open(buffer, PSQ_DECODE_CELL);
    int all = 0, flags = 0;

    memset(buffer->column_flags, 0, (size_t) plan->column_count);
    buffer->row_count = stop - start;
    if (write_list_header(&out, by_column ? plan->column_count : stop - start) == PSQ_CELL_NO_ROOM)
        return -1;
    if (!by_column) {
        for (int row = start; row < stop && flags >= 0; row++)
            all |= flags = write_row(&out, result, plan, row, buffer);
        return all;
    }
    for (int i = 0; i < plan->column_count && flags >= 0; i++) {
        all |= flags = write_column(&out, result, &plan->columns[i], i, start, stop);
        buffer->column_flags[i] = (unsigned char) flags;
    }
    return all;
}

int
psq_decode_rows(const PGresult *result, const psq_decode_plan *plan, int start, int stop, int by_column,
                psq_decode_buffer *buffer)
{
    size_t row_size;
    int rows = stop - start, flags;

    if (!is_for(plan, result, start, stop))
        return PSQ_DECODE_MISMATCH;
    /* The stream takes about as much as libpq's copy; where it takes more, half the rows are tried. */
    row_size = PQresultMemorySize(result) / (size_t) PQntuples(result) + 1;
    if ((size_t) rows > buffer->capacity / row_size)
        rows = buffer->capacity < row_size ? 1 : (int) (buffer->capacity / row_size);
    for (;; rows /= 2) {
        flags = write_rows(result, plan, start, start + rows, by_column, buffer);
        if (flags >= 0)
            return flags;
        if (rows == 1)
            return PSQ_DECODE_NO_ROOM;
    }
}

int
psq_decode_cell(const PGresult *result, const psq_decode_plan *plan, int row, int column, psq_decode_buffer *buffer)
{
    writer out = writer_open(buffer, INT_MAX);

    if (!is_for(plan, result, row, row == INT_MAX ? row : row + 1) || column < 0 || column >= plan->column_count)
        return PSQ_CELL_MISMATCH;
    if (PQgetisnull(result, row, column))
        return write_byte(&out, NONE);
    return write_cell(&out, &plan->columns[column], (const unsigned char *) PQgetvalue(result, row, column),
                      PQgetlength(result, row, column));
}
