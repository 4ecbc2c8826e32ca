/* The writer of marshal streams: any values in any order, into any room. What is read back is what was written. */

#include "fuzz.h"
#include "stream.h"

#define MOST_VALUES 20

static uint64_t
take_number(fuzz_input *in)
{
    int size = fuzz_byte(in) % 9;
    uint64_t number = 0;

    for (int i = 0; i < size; i++)
        number = number << 8 | (uint64_t) fuzz_byte(in);
    return number;
}

/* An int of either code as magnitude and sign. */
static uint64_t
read_magnitude(const uint8_t *at, int *negative)
{
    uint64_t magnitude = 0;
    int32_t narrow =
        (int32_t) ((uint32_t) at[1] | (uint32_t) at[2] << 8 | (uint32_t) at[3] << 16 | (uint32_t) at[4] << 24);
    int64_t count = narrow < 0 ? -(int64_t) narrow : narrow;

    *negative = narrow < 0;
    if (*at == 'i')
        return narrow < 0 ? 0 - (uint64_t) (int64_t) narrow : (uint64_t) narrow;
    for (int64_t i = count - 1; i >= 0; i--)
        magnitude = magnitude << 15 | (uint64_t) at[5 + 2 * i] | (uint64_t) at[6 + 2 * i] << 8;
    return magnitude;
}

static int
write_int(psq_writer *out, fuzz_input *in)
{
    const uint8_t *start = out->at;
    int64_t number = (int64_t) take_number(in);
    int negative, outcome = psq_write_int(out, number);
    uint64_t magnitude = number < 0 ? 0 - (uint64_t) number : (uint64_t) number;

    if (outcome == PSQ_CELL_DECODED)
        INSIST(read_magnitude(start, &negative) == magnitude && negative == (number < 0));
    return outcome;
}

static int
write_long(psq_writer *out, fuzz_input *in)
{
    const uint8_t *start = out->at;
    uint64_t magnitude = take_number(in);
    int negative, wanted = fuzz_byte(in) & 1, outcome = psq_write_long(out, magnitude, wanted);

    if (outcome == PSQ_CELL_DECODED)
        INSIST(read_magnitude(start, &negative) == magnitude && (magnitude == 0 || negative == wanted));
    return outcome;
}

static int
write_float(psq_writer *out, fuzz_input *in)
{
    uint64_t bits = take_number(in);
    double number;

    memcpy(&number, &bits, 8);
    return psq_write_float(out, number);
}

static int
write_string(psq_writer *out, fuzz_input *in, int text)
{
    size_t length = (size_t) fuzz_short(in);
    uint8_t *data = fuzz_bytes(in, &length);
    int outcome = text ? psq_write_text(out, data, (int) length) : psq_write_bytes(out, data, (int) length);

    if (outcome == PSQ_CELL_DECODED && length > 0)
        INSIST(memcmp(out->at - length, data, length) == 0);
    free(data);
    return outcome;
}

static int
write_ascii(psq_writer *out, fuzz_input *in)
{
    size_t limit = (size_t) fuzz_short(in), used = limit > 0 ? (size_t) fuzz_short(in) % (limit + 1) : 0;
    uint8_t *at = psq_begin_ascii(out, limit);

    if (at == NULL)
        return PSQ_CELL_NO_ROOM;
    memset(at, '7', used);
    psq_end_ascii(out, limit, at + used);
    return PSQ_CELL_DECODED;
}

/* With items, so that it is whole. */
static int
write_header(psq_writer *out, fuzz_input *in, int tuple)
{
    int count = fuzz_short(in) % 300;
    int outcome = tuple ? psq_write_tuple_header(out, count) : psq_write_list_header(out, count);

    for (int i = 0; outcome == PSQ_CELL_DECODED && i < count; i++)
        outcome = psq_write_none(out);
    return outcome;
}

static int
write_one(psq_writer *out, fuzz_input *in)
{
    switch (fuzz_byte(in) % 11) {
    case 0:
        return psq_write_none(out);
    case 1:
        return psq_write_ellipsis(out);
    case 2:
        return psq_write_bool(out, fuzz_byte(in));
    case 3:
        return write_int(out, in);
    case 4:
        return write_long(out, in);
    case 5:
        return write_float(out, in);
    case 6:
        return write_string(out, in, 0);
    case 7:
        return write_string(out, in, 1);
    case 8:
        return write_ascii(out, in);
    case 9:
        return write_header(out, in, 0);
    default:
        return write_header(out, in, 1);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, data + size};
    size_t capacity = (size_t) fuzz_short(&in) % 4096;
    uint8_t *room = fuzz_room(capacity);
    psq_writer out = {room, room + capacity, INT32_MAX};

    for (int i = 0; i < MOST_VALUES && fuzz_left(&in) > 0; i++) {
        const uint8_t *start = out.at;
        int outcome = write_one(&out, &in);

        INSIST(out.at >= start && out.at <= out.end);
        if (outcome == PSQ_CELL_NO_ROOM)
            break;
        INSIST(outcome == PSQ_CELL_DECODED || (outcome == PSQ_CELL_NOT_UTF8 && out.at == start));
        if (outcome == PSQ_CELL_DECODED)
            INSIST(fuzz_check_marshal(start, out.at) == out.at);
    }
    free(room);
    return 0;
}
