#include <limits.h>
#include <string.h>

#include "decode.h"

/* A cell as it goes into a row: None for NULL, Ellipsis for what can't be written. Returns flags, or -1 without room. */
static inline int
write_result_cell(psq_writer *out, const PGresult *result, const psq_decode_column *column, int row, int index)
{
    int length = PQgetlength(result, row, index), reason;
    unsigned char *start = out->at;

    if (length == 0 && PQgetisnull(result, row, index))
        return psq_write_none(out) == PSQ_CELL_NO_ROOM ? -1 : PSQ_NULLS;
    reason = psq_write_cell(out, column, (const unsigned char *) PQgetvalue(result, row, index), length);
    if (reason == PSQ_CELL_DECODED)
        return 0;
    if (reason == PSQ_CELL_NO_ROOM)
        return -1;
    out->at = start;
    return psq_write_ellipsis(out) == PSQ_CELL_NO_ROOM ? -1 : PSQ_DEFERRED;
}

static int
is_for(const psq_decode_plan *plan, const PGresult *result, int start, int stop)
{
    if (start < 0 || start >= stop || stop > PQntuples(result) || PQnfields(result) != plan->column_count ||
        plan->column_count > PSQ_DECODE_COLUMNS)
        return 0;
    for (int i = 0; i < plan->column_count; i++)
        if (PQfformat(result, i) != plan->format)
            return 0;
    return 1;
}

static int
write_row(psq_writer *out, const PGresult *result, const psq_decode_plan *plan, int row, psq_decode_buffer *buffer)
{
    int all = 0;

    if (psq_write_tuple_header(out, plan->column_count) == PSQ_CELL_NO_ROOM)
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
write_column(psq_writer *out, const PGresult *result, const psq_decode_column *column, int index, int start, int stop)
{
    int all = 0;

    if (psq_write_list_header(out, stop - start) == PSQ_CELL_NO_ROOM)
        return -1;
    for (int row = start; row < stop; row++) {
        int flags = write_result_cell(out, result, column, row, index);

        if (flags < 0)
            return -1;
        all |= flags;
    }
    return all;
}

static psq_writer
writer_open(psq_decode_buffer *buffer, int limit)
{
    unsigned char *data = (unsigned char *) buffer->data;

    return (psq_writer){data, data + buffer->capacity, limit};
}

int
psq_decode_row(const PGresult *result, const psq_decode_plan *plan, int row, psq_decode_buffer *buffer)
{
    psq_writer out = writer_open(buffer, PSQ_DECODE_CELL);
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
    psq_writer out = writer_open(buffer, PSQ_DECODE_CELL);
    int all = 0, flags = 0;

    memset(buffer->column_flags, 0, (size_t) plan->column_count);
    buffer->row_count = stop - start;
    if (psq_write_list_header(&out, by_column ? plan->column_count : stop - start) == PSQ_CELL_NO_ROOM)
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
    int rows, flags;

    if (!is_for(plan, result, start, stop))
        return PSQ_DECODE_MISMATCH;
    rows = stop - start;
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
    psq_writer out = writer_open(buffer, INT_MAX);

    if (!is_for(plan, result, row, row == INT_MAX ? row : row + 1) || column < 0 || column >= plan->column_count)
        return PSQ_CELL_MISMATCH;
    if (PQgetisnull(result, row, column))
        return psq_write_none(&out);
    return psq_write_cell(&out, &plan->columns[column], (const unsigned char *) PQgetvalue(result, row, column),
                          PQgetlength(result, row, column));
}
