#include <stdint.h>
#include <string.h>

#include <libpq-fe.h>

#include "cell.h"
#include "container.h"

#define DAY_MICROSECONDS INT64_C(86400000000)
#define ORDINAL_OF_2000 730120  /* datetime.date(2000, 1, 1).toordinal() */
#define ORDINAL_OF_9999 3652059 /* of 31 December */

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
write_char(psq_writer *out, unsigned char byte)
{
    unsigned char encoded[2] = {0xc0 | byte >> 6, 0x80 | (byte & 0x3f)};

    return byte < 0x80 ? psq_write_text(out, &byte, 1) : psq_write_text(out, encoded, 2);
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
write_numeric(psq_writer *out, const unsigned char *value, int length)
{
    int count, weight, sign, scale, upper;
    unsigned char *at;

    if (length < 8)
        return PSQ_CELL_MALFORMED;
    count = read_uint16(value);
    weight = (int16_t) read_uint16(value + 2);
    sign = read_uint16(value + 4);
    scale = read_uint16(value + 6);
    if (sign == 0xc000)
        return psq_write_text(out, (const unsigned char *) "NaN", 3);
    if (sign == 0xd000)
        return psq_write_text(out, (const unsigned char *) "Infinity", 8);
    if (sign == 0xf000)
        return psq_write_text(out, (const unsigned char *) "-Infinity", 9);
    if (length != 8 + 2 * count || (sign != 0 && sign != 0x4000) || scale > 0x3fff)
        return PSQ_CELL_MALFORMED;
    upper = 1 + (weight < 0 ? 1 : 4 * (weight + 1)) + 1 + scale;
    at = psq_begin_ascii(out, (size_t) upper);
    if (at == NULL)
        return PSQ_CELL_NO_ROOM;
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
    psq_end_ascii(out, (size_t) upper, at);
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
write_date(psq_writer *out, int32_t day)
{
    unsigned char state[4];

    if (day == INT32_MAX || day == INT32_MIN)
        return PSQ_CELL_INFINITE;
    if (day < 1 - ORDINAL_OF_2000 || day > ORDINAL_OF_9999 - ORDINAL_OF_2000)
        return PSQ_CELL_OUT_OF_RANGE;
    put_date(state, day);
    return psq_write_bytes(out, state, sizeof state);
}

static int
write_time(psq_writer *out, int64_t microseconds)
{
    unsigned char state[6];

    if (microseconds == DAY_MICROSECONDS)
        return PSQ_CELL_OUT_OF_RANGE;
    if (microseconds < 0 || microseconds > DAY_MICROSECONDS)
        return PSQ_CELL_MALFORMED;
    put_time(state, microseconds);
    return psq_write_bytes(out, state, sizeof state);
}

static int
write_timestamp(psq_writer *out, int64_t microseconds)
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
    return psq_write_bytes(out, state, sizeof state);
}

static int
write_interval(psq_writer *out, const unsigned char *value)
{
    int64_t microseconds = (int64_t) read_uint64(value);
    int32_t day_field = (int32_t) read_uint32(value + 8), months = (int32_t) read_uint32(value + 12);
    int64_t days = (int64_t) months * 30 + day_field + microseconds / DAY_MICROSECONDS;
    int64_t rest = microseconds % DAY_MICROSECONDS;

    /* Infinity since PostgreSQL 17: all three fields at their limit. */
    if ((months == INT32_MAX && day_field == INT32_MAX && microseconds == INT64_MAX) ||
        (months == INT32_MIN && day_field == INT32_MIN && microseconds == INT64_MIN))
        return PSQ_CELL_INFINITE;
    if (rest < 0) {
        rest += DAY_MICROSECONDS;
        days--;
    }
    if (days < -999999999 || days > 999999999)
        return PSQ_CELL_OUT_OF_RANGE;
    return psq_write_tuple_header(out, 3) || psq_write_int(out, days) || psq_write_int(out, rest / 1000000) ||
                   psq_write_int(out, rest % 1000000)
               ? PSQ_CELL_NO_ROOM
               : PSQ_CELL_DECODED;
}

static int
write_uuid(psq_writer *out, const unsigned char *value)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char text[36], *at = text;

    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = (unsigned char) digits[value[i] >> 4];
        *at++ = (unsigned char) digits[value[i] & 0xf];
    }
    return psq_write_text(out, text, sizeof text);
}

/* Bytes that every cell of a kind has; -1 where they differ. */
static int
fixed_length(int kind)
{
    switch (kind) {
    case PSQ_KIND_VOID:
        return 0;
    case PSQ_KIND_CHAR:
    case PSQ_KIND_BOOL:
        return 1;
    case PSQ_KIND_INT2:
        return 2;
    case PSQ_KIND_INT4:
    case PSQ_KIND_UINT4:
    case PSQ_KIND_FLOAT4:
    case PSQ_KIND_DATE:
        return 4;
    case PSQ_KIND_INT8:
    case PSQ_KIND_UINT8:
    case PSQ_KIND_FLOAT8:
        return 8;
    case PSQ_KIND_TIME:
    case PSQ_KIND_TIMESTAMP:
        return 8;
    case PSQ_KIND_INTERVAL:
    case PSQ_KIND_UUID:
        return 16;
    default:
        return -1;
    }
}

int
psq_write_cell(psq_writer *out, const psq_decode_column *column, const unsigned char *value, int length)
{
    int fixed = fixed_length(column->kind);

    if (fixed >= 0 && length != fixed)
        return PSQ_CELL_MALFORMED;
    if (length > out->limit)
        return PSQ_CELL_LARGE;
    switch (column->kind) {
    case PSQ_KIND_VOID:
        return psq_write_none(out);
    case PSQ_KIND_TEXT:
        return psq_write_text(out, value, length);
    case PSQ_KIND_BYTES:
        return psq_write_bytes(out, value, length);
    case PSQ_KIND_CHAR:
        return write_char(out, value[0]);
    case PSQ_KIND_JSONB:
        return length < 1 || value[0] != 1 ? PSQ_CELL_MALFORMED : psq_write_text(out, value + 1, length - 1);
    case PSQ_KIND_BOOL:
        return value[0] > 1 ? PSQ_CELL_MALFORMED : psq_write_bool(out, value[0]);
    case PSQ_KIND_INT2:
        return psq_write_int(out, (int16_t) read_uint16(value));
    case PSQ_KIND_INT4:
        return psq_write_int(out, (int32_t) read_uint32(value));
    case PSQ_KIND_INT8:
        return psq_write_int(out, (int64_t) read_uint64(value));
    case PSQ_KIND_UINT4:
        return psq_write_int(out, (int64_t) read_uint32(value));
    case PSQ_KIND_UINT8:
        return value[0] & 0x80 ? psq_write_long(out, read_uint64(value), 0)
                               : psq_write_int(out, (int64_t) read_uint64(value));
    case PSQ_KIND_FLOAT4:
    case PSQ_KIND_FLOAT8:
        return psq_write_float(out, read_float(value, length));
    case PSQ_KIND_NUMERIC:
        return write_numeric(out, value, length);
    case PSQ_KIND_DATE:
        return write_date(out, (int32_t) read_uint32(value));
    case PSQ_KIND_TIME:
        return write_time(out, (int64_t) read_uint64(value));
    case PSQ_KIND_TIMESTAMP:
        return write_timestamp(out, (int64_t) read_uint64(value));
    case PSQ_KIND_INTERVAL:
        return write_interval(out, value);
    case PSQ_KIND_UUID:
        return write_uuid(out, value);
    case PSQ_KIND_ARRAY:
        return psq_write_array(out, column, value, length);
    case PSQ_KIND_RANGE:
        return psq_write_range(out, column, value, length);
    case PSQ_KIND_MULTIRANGE:
        return psq_write_multirange(out, column, value, length);
    default:
        return PSQ_CELL_MALFORMED;
    }
}
