#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "records.h"

#define LONGEST_NUMERIC 1000 /* digits and zeros; what has more is left to Python */
#define EPOCH_ORDINAL 730120 /* of 2000-01-01 */

typedef struct {
    const unsigned char *at;
    const unsigned char *end;
} reader;

static char *
grow(psq_records *out, size_t size)
{
    size_t capacity = out->capacity < 4096 ? 4096 : out->capacity;
    char *data;

    while (capacity - out->size < size) {
        if (capacity > SIZE_MAX / 2)
            return NULL;
        capacity *= 2;
    }
    data = realloc(out->data, capacity);
    if (data == NULL)
        return NULL;
    out->data = data;
    out->capacity = capacity;
    return out->data + out->size;
}

/* Room for so many bytes behind what is there. */
static inline char *
reserve(psq_records *out, size_t size)
{
    return out->data != NULL && size <= out->capacity - out->size ? out->data + out->size : grow(out, size);
}

int
psq_records_append(psq_records *records, const char *data, size_t size)
{
    char *to = reserve(records, size);

    if (to == NULL)
        return 0;
    memcpy(to, data, size);
    records->size += size;
    return 1;
}

void
psq_records_clear(psq_records *records)
{
    free(records->data);
    records->data = NULL;
    records->size = records->capacity = 0;
}

/* Fixed numbers of bytes, which compilers make one instruction of. */
static inline void
put2(char *to, uint32_t value)
{
    to[0] = (char) (value >> 8);
    to[1] = (char) value;
}

static inline void
put4(char *to, uint32_t value)
{
    to[0] = (char) (value >> 24);
    to[1] = (char) (value >> 16);
    to[2] = (char) (value >> 8);
    to[3] = (char) value;
}

static inline void
put8(char *to, uint64_t value)
{
    put4(to, (uint32_t) (value >> 32));
    put4(to + 4, (uint32_t) value);
}

static inline uint32_t
read2(const unsigned char *at)
{
    return (uint32_t) at[0] | (uint32_t) at[1] << 8;
}

static inline uint32_t
read4(const unsigned char *at)
{
    return (uint32_t) at[0] | (uint32_t) at[1] << 8 | (uint32_t) at[2] << 16 | (uint32_t) at[3] << 24;
}

static inline uint64_t
read8(const unsigned char *at)
{
    return (uint64_t) read4(at) | (uint64_t) read4(at + 4) << 32;
}

/* What a cell ends with. */
enum { WRITTEN = PSQ_RECORDS_ADDED, UNFIT = PSQ_RECORDS_UNFIT, NO_MEMORY = PSQ_RECORDS_NO_MEMORY };

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

static int
write_null(psq_records *out)
{
    char *to = reserve(out, 4);

    if (to == NULL)
        return NO_MEMORY;
    memset(to, 0xff, 4);
    out->size += 4;
    return WRITTEN;
}

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

/* Reads an int of 64 bits, with its code. */
static int
read_int(reader *in, int64_t *value)
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

static int
write_int(psq_records *out, reader *in, int64_t low, int64_t high, int size)
{
    int64_t value;

    if (!read_int(in, &value) || value < low || value > high)
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
    if (!read_int(in, &whole))
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

/* Reads a str ('u') or bytes ('s'). */
static int
read_string(reader *in, int code, const unsigned char **data, size_t *size)
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

    if (!read_string(in, 'u', &data, &size) || !is_storable(data, size))
        return UNFIT;
    return write_string(out, data, size, before, strlen(before));
}

static int
write_bytes(psq_records *out, reader *in)
{
    const unsigned char *data;
    size_t size;

    if (!read_string(in, 's', &data, &size))
        return UNFIT;
    return write_string(out, data, size, "", 0);
}

static int
write_raw(psq_records *out, reader *in)
{
    const unsigned char *data;
    size_t size;

    if (!read_string(in, 's', &data, &size))
        return UNFIT;
    return psq_records_append(out, (const char *) data, size) ? WRITTEN : NO_MEMORY;
}

/* A number in text. `digits` are without the point, `point` is how many of them stand before it. */
typedef struct {
    int negative;
    int count;
    int point;
    int scale;
    unsigned char digits[LONGEST_NUMERIC + 8];
} decimal;

/* Reads `E` and what follows, as Decimal writes it; 0 if it isn't that or too large for us. */
static int
read_exponent(const unsigned char *at, const unsigned char *end, int *exponent)
{
    int negative = 0, value = 0;

    if (at < end && (*at == '+' || *at == '-'))
        negative = *at++ == '-';
    if (at == end)
        return 0;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9' || value > LONGEST_NUMERIC)
            return 0;
        value = value * 10 + (*at - '0');
    }
    *exponent = negative ? -value : value;
    return 1;
}

/* What str() makes of a finite Decimal or an int. */
static int
read_decimal(const unsigned char *at, size_t size, decimal *number)
{
    const unsigned char *end = at + size;
    int exponent = 0, fraction = -1;

    number->negative = at < end && *at == '-';
    at += number->negative;
    number->count = 0;
    for (; at < end && *at != 'E'; at++) {
        if (*at == '.' && fraction < 0) {
            fraction = number->count;
            continue;
        }
        if (*at < '0' || *at > '9' || number->count >= LONGEST_NUMERIC)
            return 0;
        number->digits[number->count++] = *at - '0';
    }
    if (number->count == 0 || fraction == 0 || fraction == number->count ||
        (at < end && !read_exponent(at + 1, end, &exponent)))
        return 0;
    fraction = fraction < 0 ? 0 : number->count - fraction;
    number->point = number->count - fraction + exponent;
    number->scale = fraction - exponent > 0 ? fraction - exponent : 0;
    /* The zeros that an exponent stands for. */
    while (number->count < number->point) {
        if (number->count >= LONGEST_NUMERIC)
            return 0;
        number->digits[number->count++] = 0;
    }
    return 1;
}

/* numeric_recv's form (src/backend/utils/adt/numeric.c): groups of four digits, without those of zeros at both ends. */
static int
write_decimal(psq_records *out, const decimal *number)
{
    int first = 0, count = number->count, groups, weight, shift;
    char *to;

    while (first < count && number->digits[first] == 0)
        first++;
    while (count > first && number->digits[count - 1] == 0)
        count--;
    if (first == count) {
        to = reserve(out, 12);
        if (to == NULL)
            return NO_MEMORY;
        put4(to, 8);
        memset(to + 4, 0, 6);
        put2(to + 10, (uint32_t) number->scale);
        out->size += 12;
        return WRITTEN;
    }
    /* The first digit stands for 10^(point - first - 1): its group, and its place from the group's left. */
    shift = number->point - first - 1;
    weight = shift >= 0 ? shift / 4 : -((3 - shift) / 4);
    shift = 3 - (shift - weight * 4);
    groups = (shift + (count - first) + 3) / 4;
    to = reserve(out, 12 + 2 * (size_t) groups);
    if (to == NULL)
        return NO_MEMORY;
    put4(to, 8 + 2 * (uint32_t) groups);
    put2(to + 4, (uint32_t) groups);
    put2(to + 6, (uint32_t) weight);
    put2(to + 8, number->negative ? 0x4000 : 0);
    put2(to + 10, (uint32_t) number->scale);
    for (int group = 0, digit = first - shift; group < groups; group++) {
        unsigned value = 0;

        for (int i = 0; i < 4; i++, digit++)
            value = value * 10 + (digit >= first && digit < count ? number->digits[digit] : 0);
        put2(to + 12 + 2 * group, value);
    }
    out->size += 12 + 2 * (size_t) groups;
    return WRITTEN;
}

static int
write_numeric(psq_records *out, reader *in)
{
    decimal number;
    const unsigned char *data;
    size_t size;
    int64_t value;
    uint64_t magnitude;

    if (in->at < in->end && *in->at == 'u')
        return read_string(in, 'u', &data, &size) && read_decimal(data, size, &number) ? write_decimal(out, &number)
                                                                                       : UNFIT;
    if (!read_int(in, &value))
        return UNFIT;
    magnitude = value < 0 ? 0 - (uint64_t) value : (uint64_t) value;
    number.negative = value < 0;
    number.scale = 0;
    number.count = number.point = 20;
    for (int i = 19; i >= 0; i--) {
        number.digits[i] = (unsigned char) (magnitude % 10);
        magnitude /= 10;
    }
    return write_decimal(out, &number);
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

    if (!read_string(in, 'u', &data, &size) || size != 36)
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
        if (!read_int(in, &value) || value < 0)
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

static int
write_time(psq_records *out, reader *in)
{
    int64_t hours, minutes, seconds, fraction;

    if (!read_int(in, &hours) || !read_int(in + 1, &minutes) || !read_int(in + 2, &seconds) ||
        !read_int(in + 3, &fraction))
        return UNFIT;
    return write_number(out, (uint64_t) (((hours * 60 + minutes) * 60 + seconds) * 1000000 + fraction), 8);
}

static int
write_timestamp(psq_records *out, reader *in)
{
    int64_t days, seconds, fraction;

    if (!read_int(in, &days) || !read_int(in + 1, &seconds) || !read_int(in + 2, &fraction))
        return UNFIT;
    return write_number(out, (uint64_t) ((days * 86400 + seconds) * 1000000 + fraction), 8);
}

static int
write_date(psq_records *out, reader *in)
{
    int64_t ordinal;

    if (!read_int(in, &ordinal))
        return UNFIT;
    return write_number(out, (uint64_t) (ordinal - EPOCH_ORDINAL), 4);
}

static int
write_cell(psq_records *out, int kind, reader *in)
{
    if (kind != PSQ_COLUMN_RAW && in->at < in->end && *in->at == 'N') {
        in->at++;
        return write_null(out);
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
        return write_numeric(out, in);
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

/* A list or a tuple of so many. */
static int
read_head(reader *in, int count)
{
    if (in->end - in->at < 5 || (*in->at != '[' && *in->at != '(') || (int32_t) read4(in->at + 1) != count)
        return 0;
    in->at += 5;
    return 1;
}

static int
add_row(psq_records *records, const psq_column *columns, reader (*readers)[PSQ_COLUMN_STREAMS], int column_count,
        int row, int *unfit)
{
    char *to = reserve(records, 2);

    if (to == NULL)
        return NO_MEMORY;
    put2(to, (uint32_t) column_count);
    records->size += 2;
    for (int i = 0; i < column_count; i++) {
        int is_null = columns[i].present != NULL && !columns[i].present[row];
        int outcome = is_null ? write_null(records) : write_cell(records, columns[i].kind, readers[i]);

        *unfit = i;
        if (outcome != WRITTEN)
            return outcome;
    }
    return WRITTEN;
}

int
psq_records_add(psq_records *records, int row_count, const psq_column *columns, int column_count, int *unfit)
{
    size_t before = records->size;
    reader(*readers)[PSQ_COLUMN_STREAMS] = calloc((size_t) column_count + 1, sizeof *readers);
    int outcome = readers == NULL ? NO_MEMORY : WRITTEN, count;

    for (int i = 0; i < column_count && outcome == WRITTEN; i++) {
        for (int stream = 0; stream < columns[i].stream_count; stream++) {
            readers[i][stream].at = (const unsigned char *) columns[i].streams[stream];
            readers[i][stream].end = readers[i][stream].at + columns[i].sizes[stream];
            *unfit = i;
            /* One with NULLs that are nowhere is shorter. */
            count = columns[i].present == NULL ? row_count : (int32_t) read4(readers[i][stream].at + 1);
            if (!read_head(&readers[i][stream], count))
                outcome = UNFIT;
        }
    }
    for (int row = 0; row < row_count && outcome == WRITTEN; row++)
        outcome = add_row(records, columns, readers, column_count, row, unfit);
    free(readers);
    if (outcome != WRITTEN)
        records->size = before;
    return outcome;
}

int
psq_records_add_plain(psq_records *records, int row_count, const char *stream, size_t size, const int *kinds,
                      int column_count)
{
    size_t before = records->size;
    reader in = {(const unsigned char *) stream, (const unsigned char *) stream + size};
    int outcome = read_head(&in, row_count) ? WRITTEN : UNFIT;

    for (int row = 0; row < row_count && outcome == WRITTEN; row++) {
        char *to = reserve(records, 2);

        if (to == NULL || !read_head(&in, column_count)) {
            outcome = to == NULL ? NO_MEMORY : UNFIT;
            break;
        }
        put2(to, (uint32_t) column_count);
        records->size += 2;
        for (int i = 0; i < column_count && outcome == WRITTEN; i++)
            outcome = write_cell(records, kinds[i], &in);
    }
    if (outcome != WRITTEN)
        records->size = before;
    return outcome;
}
