#include <math.h>
#include <stdint.h>
#include <string.h>

#include "record_cell.h"

#define EPOCH_ORDINAL 730120 /* of 2000-01-01 */

/* The 15-bit digits of an int that has more than 32 bits: their number, negative for a negative int, and where they are. */
static int
read_digits(reader *in, int *count, const unsigned char **digits)
{
    int32_t found;
    size_t size;

    if (in->end - in->at < 4)
        return 0;
    found = (int32_t) read4(in->at);
    size = 2 * (size_t) (found < 0 ? -(int64_t) found : found);
    if ((size_t) (in->end - in->at - 4) < size)
        return 0;
    *count = found;
    *digits = in->at + 4;
    in->at += 4 + size;
    return 1;
}

int
psq_read_record_int(reader *in, int64_t *value)
{
    int count, negative;
    const unsigned char *digits;
    uint64_t magnitude = 0;

    if (in->at < in->end && *in->at == 'i' && in->end - in->at >= 5) {
        *value = (int32_t) read4(in->at + 1);
        in->at += 5;
        return 1;
    }
    if (in->at >= in->end || *in->at++ != 'l' || !read_digits(in, &count, &digits))
        return 0;
    negative = count < 0;
    count = negative ? -count : count;
    if (count > 5)
        return 0;
    for (int i = count - 1; i >= 0; i--) {
        if (magnitude >> 49)
            return 0;
        magnitude = magnitude << 15 | read2(digits + 2 * (size_t) i);
    }
    if (magnitude > (uint64_t) INT64_MAX + (uint64_t) negative)
        return 0;
    *value = negative ? (int64_t) (0 - magnitude) : (int64_t) magnitude;
    return 1;
}

int
psq_read_record_string(reader *in, int code, const unsigned char **data, size_t *size)
{
    if (in->end - in->at < 5 || *in->at != code)
        return 0;
    *size = (size_t) read4(in->at + 1);
    *data = in->at + 5;
    if ((size_t) (in->end - in->at - 5) < *size)
        return 0;
    in->at += 5 + *size;
    return 1;
}

/* A cell of 1, 2, 4 or 8 bytes. */
static inline int
write_number(psq_records *out, uint64_t value, int size)
{
    char *to = reserve(out, 12);

    if (to == NULL)
        return NO_MEMORY;
    put4(to, (uint32_t) size);
    if (size == 8)
        put8(to + 4, value);
    else if (size == 4)
        put4(to + 4, (uint32_t) value);
    else if (size == 2)
        put2(to + 4, (uint32_t) value);
    else
        to[4] = (char) value;
    out->size += 4 + (size_t) size;
    return WRITTEN;
}

int
psq_write_record_null(psq_records *out)
{
    char *to = reserve(out, 4);

    if (to == NULL)
        return NO_MEMORY;
    memset(to, 0xff, 4);
    out->size += 4;
    return WRITTEN;
}

static int
write_int(psq_records *out, reader *in, int64_t low, int64_t high, int size)
{
    int64_t value;

    if (!psq_read_record_int(in, &value) || value < low || value > high)
        return UNFIT;
    return write_number(out, (uint64_t) value, size);
}

static int
write_bool(psq_records *out, reader *in)
{
    int code = in->at < in->end ? *in->at++ : 0;

    if (code != 'T' && code != 'F')
        return UNFIT;
    return write_number(out, code == 'T', 1);
}

static int
read_float(reader *in, double *value)
{
    int64_t whole;
    uint64_t bits;

    if (in->at < in->end && *in->at == 'g' && in->end - in->at >= 9) {
        bits = read8(in->at + 1);
        memcpy(value, &bits, 8);
        in->at += 9;
        return 1;
    }
    if (!psq_read_record_int(in, &whole))
        return 0;
    *value = (double) whole;
    return 1;
}

static int
write_float(psq_records *out, reader *in, int size)
{
    double value;
    float single;
    uint64_t bits = 0;
    uint32_t single_bits;

    if (!read_float(in, &value))
        return UNFIT;
    if (size == 8) {
        memcpy(&bits, &value, 8);
        return write_number(out, bits, 8);
    }
    single = (float) value;
    if ((isinf(single) && !isinf(value)) || (single == 0 && value != 0))
        return UNFIT;
    memcpy(&single_bits, &single, 4);
    return write_number(out, single_bits, 4);
}

/* Whether PostgreSQL can store it: no NUL, and no lone surrogates, which marshal lets pass. */
static int
is_storable(const unsigned char *data, size_t size)
{
    const unsigned char *end = data + size;

    if (memchr(data, 0, size) != NULL)
        return 0;
    while ((data = memchr(data, 0xed, (size_t) (end - data))) != NULL) {
        if (++data < end && *data >= 0xa0)
            return 0;
    }
    return 1;
}

static int
write_string(psq_records *out, const unsigned char *data, size_t size, const char *before, size_t before_size)
{
    char *to;

    if (size > INT32_MAX - before_size)
        return UNFIT;
    to = reserve(out, 4 + before_size + size);
    if (to == NULL)
        return NO_MEMORY;
    put4(to, (uint32_t) (before_size + size));
    memcpy(to + 4, before, before_size);
    memcpy(to + 4 + before_size, data, size);
    out->size += 4 + before_size + size;
    return WRITTEN;
}

static int
write_text(psq_records *out, reader *in, const char *before)
{
    const unsigned char *data;
    size_t size;

    if (!psq_read_record_string(in, 'u', &data, &size) || !is_storable(data, size))
        return UNFIT;
    return write_string(out, data, size, before, strlen(before));
}

static int
write_bytes(psq_records *out, reader *in)
{
    const unsigned char *data;
    size_t size;

    if (!psq_read_record_string(in, 's', &data, &size))
        return UNFIT;
    return write_string(out, data, size, "", 0);
}

static int
write_raw(psq_records *out, reader *in)
{
    const unsigned char *data;
    size_t size;

    if (!psq_read_record_string(in, 's', &data, &size))
        return UNFIT;
    return psq_records_append(out, (const char *) data, size) ? WRITTEN : NO_MEMORY;
}

static int
hex_digit(int letter)
{
    if (letter >= '0' && letter <= '9')
        return letter - '0';
    letter |= 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* A UUID with its four hyphens; other spellings are left to Python. */
static int
write_uuid(psq_records *out, reader *in)
{
    const unsigned char *data;
    size_t size;
    unsigned char bytes[16];
    int digits = 0;

    if (!psq_read_record_string(in, 'u', &data, &size) || size != 36)
        return UNFIT;
    for (int i = 0; i < 36; i++) {
        int value = hex_digit(data[i]);

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (data[i] != '-')
                return UNFIT;
            continue;
        }
        if (value < 0)
            return UNFIT;
        bytes[digits / 2] = (unsigned char) (digits % 2 ? bytes[digits / 2] | value : value << 4);
        digits++;
    }
    return write_string(out, bytes, 16, "", 0);
}

static int
write_uuid_int(psq_records *out, reader *in)
{
    uint64_t high = 0, low = 0;
    unsigned char bytes[16];
    const unsigned char *digits;
    int count;
    int64_t value;

    if (in->at < in->end && *in->at == 'i') {
        if (!psq_read_record_int(in, &value) || value < 0)
            return UNFIT;
        low = (uint64_t) value;
    }
    else {
        if (in->at >= in->end || *in->at++ != 'l' || !read_digits(in, &count, &digits) || count < 0 || count > 9)
            return UNFIT;
        while (count-- > 0) {
            if (high >> 49)
                return UNFIT;
            high = high << 15 | low >> 49;
            low = low << 15 | read2(digits + 2 * (size_t) count);
        }
    }
    put8((char *) bytes, high);
    put8((char *) bytes + 8, low);
    return write_string(out, bytes, 16, "", 0);
}

/* Whole units of so many seconds each, and what is left. Values that no date or time has wrap around. */
static uint64_t
in_microseconds(uint64_t units, uint64_t unit_seconds, int64_t seconds, int64_t fraction)
{
    return (units * unit_seconds + (uint64_t) seconds) * 1000000 + (uint64_t) fraction;
}

static int
write_time(psq_records *out, reader *in)
{
    int64_t hours, minutes, seconds, fraction;

    if (!psq_read_record_int(in, &hours) || !psq_read_record_int(in + 1, &minutes) ||
        !psq_read_record_int(in + 2, &seconds) || !psq_read_record_int(in + 3, &fraction))
        return UNFIT;
    return write_number(out, in_microseconds((uint64_t) hours * 60 + (uint64_t) minutes, 60, seconds, fraction), 8);
}

static int
write_timestamp(psq_records *out, reader *in)
{
    int64_t days, seconds, fraction;

    if (!psq_read_record_int(in, &days) || !psq_read_record_int(in + 1, &seconds) ||
        !psq_read_record_int(in + 2, &fraction))
        return UNFIT;
    return write_number(out, in_microseconds((uint64_t) days, 86400, seconds, fraction), 8);
}

static int
write_date(psq_records *out, reader *in)
{
    int64_t ordinal;

    if (!psq_read_record_int(in, &ordinal))
        return UNFIT;
    return write_number(out, (uint64_t) ordinal - EPOCH_ORDINAL, 4);
}

int
psq_write_record_cell(psq_records *out, int kind, reader *in)
{
    if (kind != PSQ_COLUMN_RAW && in->at < in->end && *in->at == 'N') {
        in->at++;
        return psq_write_record_null(out);
    }
    switch (kind) {
    case PSQ_COLUMN_RAW:
        return write_raw(out, in);
    case PSQ_COLUMN_BOOL:
        return write_bool(out, in);
    case PSQ_COLUMN_INT2:
        return write_int(out, in, INT16_MIN, INT16_MAX, 2);
    case PSQ_COLUMN_INT4:
        return write_int(out, in, INT32_MIN, INT32_MAX, 4);
    case PSQ_COLUMN_INT8:
        return write_int(out, in, INT64_MIN, INT64_MAX, 8);
    case PSQ_COLUMN_UINT4:
        return write_int(out, in, 0, UINT32_MAX, 4);
    case PSQ_COLUMN_FLOAT4:
        return write_float(out, in, 4);
    case PSQ_COLUMN_FLOAT8:
        return write_float(out, in, 8);
    case PSQ_COLUMN_TEXT:
        return write_text(out, in, "");
    case PSQ_COLUMN_JSONB:
        return write_text(out, in, "\1");
    case PSQ_COLUMN_BYTES:
        return write_bytes(out, in);
    case PSQ_COLUMN_NUMERIC:
        return psq_write_record_numeric(out, in);
    case PSQ_COLUMN_UUID:
        return write_uuid(out, in);
    case PSQ_COLUMN_UUID_INT:
        return write_uuid_int(out, in);
    case PSQ_COLUMN_DATE:
        return write_date(out, in);
    case PSQ_COLUMN_TIME:
        return write_time(out, in);
    case PSQ_COLUMN_TIMESTAMP:
        return write_timestamp(out, in);
    default:
        return UNFIT;
    }
}
