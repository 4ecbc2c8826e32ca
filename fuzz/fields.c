/* Values of composite types with any bytes: fields.c, once as they come and once with the types that they announce. */

#include "fields.h"
#include "fuzz.h"

#define MOST_FIELDS 6

static Oid
read_oid(const uint8_t *at)
{
    return (Oid) at[0] << 24 | (Oid) at[1] << 16 | (Oid) at[2] << 8 | at[3];
}

/* The types that the value says its fields have, so that the fuzzer needn't guess them. */
static void
find_types(const uint8_t *value, size_t length, Oid *types)
{
    size_t at = 4;

    for (int i = 0; i < MOST_FIELDS && at + 8 <= length; i++) {
        int32_t size = (int32_t) read_oid(value + at + 4);

        types[i] = read_oid(value + at);
        at += 8;
        if (size > 0 && (size_t) size > length - at)
            return;
        at += size > 0 ? (size_t) size : 0;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, data + size};
    int count = fuzz_byte(&in) % (MOST_FIELDS + 1);
    int announced = fuzz_byte(&in) % 8 != 0;
    size_t capacity = (size_t) fuzz_short(&in), length = SIZE_MAX;
    psq_decode_column columns[MOST_FIELDS];
    Oid types[MOST_FIELDS] = {0};
    psq_decode_buffer *buffer = fuzz_room(sizeof *buffer);
    uint8_t *value;
    int reason;

    for (int i = 0; i < MOST_FIELDS; i++)
        columns[i] = (psq_decode_column){fuzz_byte(&in) % (PSQ_KIND_MULTIRANGE + 1), fuzz_byte(&in) % 22, 23,
                                         fuzz_byte(&in) % 22};
    value = fuzz_bytes(&in, &length);
    if (announced)
        find_types(value, length, types);
    buffer->data = fuzz_room(capacity);
    buffer->capacity = capacity;
    reason = psq_decode_fields((const char *) value, length, count, types, columns, buffer);
    INSIST(reason >= PSQ_CELL_DECODED && reason <= PSQ_CELL_MISMATCH && reason != PSQ_CELL_LARGE);
    INSIST(buffer->row_count >= -1 && buffer->row_count < count);
    if (reason == PSQ_CELL_DECODED)
        fuzz_check_marshal((const uint8_t *) buffer->data, (const uint8_t *) buffer->data + capacity);
    free(buffer->data);
    free(buffer);
    free(value);
    return 0;
}
