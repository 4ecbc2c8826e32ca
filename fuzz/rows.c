/* Results of several rows and columns, by row and by column, into buffers of any size: decode.c. */

#include <limits.h>

#include "decode.h"
#include "fuzz.h"

#define MOST_COLUMNS 5
#define MOST_ROWS 12
#define MUCH 4096

static PGresult *
make_result(fuzz_input *in, int rows, int columns, int format)
{
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc described[MOST_COLUMNS] = {0};

    for (int i = 0; i < columns; i++) {
        described[i].name = "x";
        described[i].format = format;
    }
    INSIST(result != NULL && (columns == 0 || PQsetResultAttrs(result, columns, described)));
    for (int i = 0; columns > 0 && i < rows * columns; i++) {
        int announced = fuzz_byte(in);
        size_t length = (size_t) announced;
        uint8_t *cell = fuzz_bytes(in, &length);

        INSIST(PQsetvalue(result, i / columns, i % columns, (char *) cell, announced == 255 ? -1 : (int) length));
        free(cell);
    }
    return result;
}

static psq_decode_buffer *
make_buffer(size_t capacity)
{
    psq_decode_buffer *buffer = fuzz_room(sizeof *buffer);

    buffer->data = fuzz_room(capacity);
    buffer->capacity = capacity;
    return buffer;
}

static void
free_buffer(psq_decode_buffer *buffer)
{
    free(buffer->data);
    free(buffer);
}

static const uint8_t *
check(const psq_decode_buffer *buffer)
{
    const uint8_t *data = (const uint8_t *) buffer->data;

    return fuzz_check_marshal(data, data + buffer->capacity);
}

/* A row alone is what it is among others, as it had no more room there; returns where it ends there. */
static const uint8_t *
check_row(const PGresult *result, const psq_decode_plan *plan, int row, const uint8_t *among, size_t capacity)
{
    psq_decode_buffer *buffer = make_buffer(capacity);
    int flags = psq_decode_row(result, plan, row, buffer);
    size_t size;

    INSIST(flags < PSQ_DECODE_NO_ROOM && buffer->row_count == 1);
    size = (size_t) (check(buffer) - (const uint8_t *) buffer->data);
    INSIST(memcmp(buffer->data, among, size) == 0);
    free_buffer(buffer);
    return among + size;
}

static void
check_cells(const PGresult *result, const psq_decode_plan *plan, int row)
{
    for (int column = -1; column <= plan->column_count; column++) {
        psq_decode_buffer *buffer = make_buffer(MUCH);
        int reason = psq_decode_cell(result, plan, row, column, buffer);

        INSIST(reason != PSQ_CELL_LARGE);
        INSIST((reason == PSQ_CELL_MISMATCH) == (column < 0 || column == plan->column_count));
        if (reason == PSQ_CELL_DECODED)
            check(buffer);
        free_buffer(buffer);
    }
}

static void
check_rows(const PGresult *result, const psq_decode_plan *plan, int start, int stop, int by_column, size_t capacity)
{
    psq_decode_buffer *buffer = make_buffer(capacity);
    int flags = psq_decode_rows(result, plan, start, stop, by_column, buffer);
    int fits = start >= 0 && start < stop && stop <= PQntuples(result);

    INSIST((flags == PSQ_DECODE_MISMATCH) == !fits);
    if (flags < PSQ_DECODE_NO_ROOM) {
        const uint8_t *at = (const uint8_t *) buffer->data + 5, *end = check(buffer);

        INSIST(buffer->row_count > 0 && buffer->row_count <= stop - start);
        for (int row = start; !by_column && row < start + buffer->row_count; row++)
            at = check_row(result, plan, row, at, capacity);
        INSIST(by_column || at == end);
    }
    free_buffer(buffer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, data + size};
    int columns = fuzz_byte(&in) % (MOST_COLUMNS + 1), rows = fuzz_byte(&in) % (MOST_ROWS + 1);
    int format = fuzz_byte(&in) % 2, by_column = fuzz_byte(&in) % 2;
    int start = (int8_t) fuzz_byte(&in) % (MOST_ROWS + 2), stop = (int8_t) fuzz_byte(&in) % (MOST_ROWS + 2);
    size_t capacity = (size_t) fuzz_short(&in) % MUCH;
    psq_decode_column described[MOST_COLUMNS];
    psq_decode_plan plan = {format, columns, described};
    PGresult *result;

    for (int i = 0; i < columns; i++) {
        described[i] = (psq_decode_column){fuzz_byte(&in) % (PSQ_KIND_MULTIRANGE + 1), fuzz_byte(&in) % 22, 23,
                                           fuzz_byte(&in) % 22};
        if (format == 0)
            described[i].kind = PSQ_KIND_TEXT;
    }
    result = make_result(&in, rows, columns, format);
    check_rows(result, &plan, start, stop, by_column, capacity);
    check_rows(result, &plan, 0, rows, by_column, MUCH);
    if (PQntuples(result) > 0)
        check_cells(result, &plan, PQntuples(result) - 1);
    check_rows(result, &plan, INT_MAX, INT_MIN, by_column, MUCH);
    check_rows(result, &plan, -1, rows, by_column, MUCH);
    PQclear(result);
    return 0;
}
