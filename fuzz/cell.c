/* One cell of any kind, with any bytes: cell.c, container.c, stream.c. */

#include "cell.h"
#include "fuzz.h"

#define LONGEST_NUMERIC 160000 /* what eight bytes can announce */

static int
write_in(size_t capacity, const psq_decode_column *column, const uint8_t *value, int length, uint8_t **data,
         size_t *size)
{
    int reason;
    psq_writer out = {NULL, NULL, INT32_MAX};

    *data = out.at = fuzz_room(capacity);
    out.end = out.at + capacity;
    reason = psq_write_cell(&out, column, value, length);
    INSIST(reason >= PSQ_CELL_DECODED && reason <= PSQ_CELL_NO_ROOM && reason != PSQ_CELL_LARGE);
    INSIST(out.at <= out.end);
    *size = (size_t) (out.at - *data);
    if (reason == PSQ_CELL_DECODED)
        INSIST(fuzz_check_marshal(*data, out.at) == out.at);
    return reason;
}

/* Days since 0000-03-01 by counting months of a year that begins in March: another way than the one in cell.c. */
static int64_t
count_days(int year, int month, int day)
{
    int64_t years = month <= 2 ? year - 1 : year;

    return 365 * years + years / 4 - years / 100 + years / 400 + (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 +
           day - 1;
}

static int64_t
read_big_endian(const uint8_t *at, int size)
{
    uint64_t value = at[0] & 0x80 ? ~UINT64_C(0) : 0;

    for (int i = 0; i < size; i++)
        value = value << 8 | at[i];
    return (int64_t) value;
}

/* datetime's constructors look at little more than the month of a pickled state. */
static int64_t
check_date(const uint8_t *state)
{
    INSIST(state[2] >= 1 && state[2] <= 12 && state[3] >= 1 && state[3] <= 31);
    INSIST(state[0] << 8 | state[1]);
    return count_days(state[0] << 8 | state[1], state[2], state[3]) - count_days(2000, 1, 1);
}

static int64_t
check_time(const uint8_t *state)
{
    INSIST(state[0] < 24 && state[1] < 60 && state[2] < 60);
    return ((state[0] * 60 + state[1]) * INT64_C(60) + state[2]) * 1000000 +
           (state[3] << 16 | state[4] << 8 | state[5]);
}

static void
check_value(int kind, const uint8_t *value, const uint8_t *stream)
{
    if (kind == PSQ_KIND_DATE)
        INSIST(check_date(stream + 5) == read_big_endian(value, 4));
    if (kind == PSQ_KIND_TIME)
        INSIST(check_time(stream + 5) == read_big_endian(value, 8));
    if (kind == PSQ_KIND_TIMESTAMP)
        INSIST(check_date(stream + 5) * INT64_C(86400000000) + check_time(stream + 9) == read_big_endian(value, 8));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, data + size};
    psq_decode_column column = {fuzz_byte(&in) % (PSQ_KIND_MULTIRANGE + 2), fuzz_byte(&in) % (PSQ_KIND_MULTIRANGE + 1),
                                23, fuzz_byte(&in) % (PSQ_KIND_MULTIRANGE + 1)};
    size_t capacity = (size_t) fuzz_byte(&in), length = SIZE_MAX, little_size, much_size;
    int numeric =
        column.kind == PSQ_KIND_NUMERIC || column.element == PSQ_KIND_NUMERIC || column.bound == PSQ_KIND_NUMERIC;
    uint8_t *value = fuzz_bytes(&in, &length), *little, *much;
    int first = write_in(capacity, &column, value, (int) length, &little, &little_size);
    int second = write_in(column.kind == PSQ_KIND_NUMERIC ? LONGEST_NUMERIC : 64 + 16 * length, &column, value,
                          (int) length, &much, &much_size);

    /* Only numbers become many times as long as they are. */
    INSIST(second != PSQ_CELL_NO_ROOM || (numeric && column.kind != PSQ_KIND_NUMERIC));
    /* The room decides about nothing else. */
    INSIST(first == second || first == PSQ_CELL_NO_ROOM || second == PSQ_CELL_NO_ROOM);
    if (first == PSQ_CELL_DECODED && second == PSQ_CELL_DECODED)
        INSIST(little_size == much_size && memcmp(little, much, much_size) == 0);
    if (second == PSQ_CELL_DECODED)
        check_value(column.kind, value, much);
    free(little);
    free(much);
    free(value);
    return 0;
}
