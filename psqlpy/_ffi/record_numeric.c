#include <stdint.h>
#include <string.h>

#include "record_cell.h"

#define LONGEST_NUMERIC 1000 /* digits and zeros; what has more is left to Python */

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

int
psq_write_record_numeric(psq_records *out, reader *in)
{
    decimal number;
    const unsigned char *data;
    size_t size;
    int64_t value;
    uint64_t magnitude;

    if (in->at < in->end && *in->at == 'u')
        return psq_read_record_string(in, 'u', &data, &size) && read_decimal(data, size, &number)
                   ? write_decimal(out, &number)
                   : UNFIT;
    if (!psq_read_record_int(in, &value))
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
