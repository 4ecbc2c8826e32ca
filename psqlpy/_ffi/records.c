#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "record_cell.h"
#include "records.h"

#define ANY -1

char *
psq_records_grow(psq_records *out, size_t size)
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

/* A list or a tuple of so many; of any number with `count` ANY. */
static int
read_head(reader *in, int count)
{
    if (in->end - in->at < 5 || (*in->at != '[' && *in->at != '(') ||
        (count != ANY && (int32_t) read4(in->at + 1) != count))
        return 0;
    in->at += 5;
    return 1;
}

static int
add_cell(psq_records *records, int kind, reader *in, int is_null)
{
    return is_null ? psq_write_record_null(records) : psq_write_record_cell(records, kind, in);
}

/* The cell becomes a parameter: send.h's head is four bytes longer than COPY's, which is overwritten. */
static int
add_parameter(psq_records *records, int kind, reader *in, int is_null)
{
    size_t before = records->size;
    int32_t head[2];
    int outcome;

    if (kind == PSQ_COLUMN_RAW)
        return add_cell(records, kind, in, is_null);
    if (reserve(records, 4) == NULL)
        return NO_MEMORY;
    records->size += 4;
    outcome = add_cell(records, kind, in, is_null);
    if (outcome != WRITTEN)
        return outcome;
    if (reserve(records, 1) == NULL)
        return NO_MEMORY;
    records->data[records->size++] = 0;
    head[0] = (int32_t) read4_network((const unsigned char *) records->data + before + 4);
    head[1] = head[0] >= 0 && kind != PSQ_COLUMN_TEXT;
    memcpy(records->data + before, head, sizeof head);
    return WRITTEN;
}

static int
add_row(psq_records *records, const psq_column *columns, reader (*readers)[PSQ_COLUMN_STREAMS], int column_count,
        int row, int as_parameters, int *unfit)
{
    if (!as_parameters) {
        char *to = reserve(records, 2);

        if (to == NULL)
            return NO_MEMORY;
        put2(to, (uint32_t) column_count);
        records->size += 2;
    }
    for (int i = 0; i < column_count; i++) {
        int is_null = columns[i].present != NULL && !columns[i].present[row];
        int outcome = (as_parameters ? add_parameter : add_cell)(records, columns[i].kind, readers[i], is_null);

        *unfit = i;
        if (outcome != WRITTEN)
            return outcome;
    }
    return WRITTEN;
}

int
psq_records_add(psq_records *records, int row_count, const psq_column *columns, int column_count, int as_parameters,
                int *unfit)
{
    size_t before = records->size;
    reader(*readers)[PSQ_COLUMN_STREAMS] = calloc((size_t) column_count + 1, sizeof *readers);
    int outcome = readers == NULL ? NO_MEMORY : WRITTEN;

    for (int i = 0; i < column_count && outcome == WRITTEN; i++) {
        for (int stream = 0; stream < columns[i].stream_count; stream++) {
            readers[i][stream].at = (const unsigned char *) columns[i].streams[stream];
            readers[i][stream].end = readers[i][stream].at + columns[i].sizes[stream];
            *unfit = i;
            /* One with NULLs that are nowhere is shorter. */
            if (!read_head(&readers[i][stream], columns[i].present == NULL ? row_count : ANY))
                outcome = UNFIT;
        }
    }
    for (int row = 0; row < row_count && outcome == WRITTEN; row++)
        outcome = add_row(records, columns, readers, column_count, row, as_parameters, unfit);
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
            outcome = psq_write_record_cell(records, kinds[i], &in);
    }
    if (outcome != WRITTEN)
        records->size = before;
    return outcome;
}
