/* Records for COPY FROM STDIN, and rows of parameters, out of any streams: records.c, record_cell.c, record_numeric.c. What
 * is written is rows of the binary format, or parameters as send.h has them, and each cell is of its column's type: what
 * reads copied rows and cells reads them. */

#include "cell.h"
#include "copy.h"
#include "fuzz.h"
#include "records.h"

#define MOST_COLUMNS 4
#define LARGEST 200000 /* room for any numeric */

/* The type that a kind of column writes, by the kind that reads it. */
static const int readers[] = {
    [PSQ_COLUMN_BOOL] = PSQ_KIND_BOOL,       [PSQ_COLUMN_INT2] = PSQ_KIND_INT2,
    [PSQ_COLUMN_INT4] = PSQ_KIND_INT4,       [PSQ_COLUMN_INT8] = PSQ_KIND_INT8,
    [PSQ_COLUMN_UINT4] = PSQ_KIND_UINT4,     [PSQ_COLUMN_FLOAT4] = PSQ_KIND_FLOAT4,
    [PSQ_COLUMN_FLOAT8] = PSQ_KIND_FLOAT8,   [PSQ_COLUMN_TEXT] = PSQ_KIND_BYTES,
    [PSQ_COLUMN_JSONB] = PSQ_KIND_BYTES,     [PSQ_COLUMN_BYTES] = PSQ_KIND_BYTES,
    [PSQ_COLUMN_NUMERIC] = PSQ_KIND_NUMERIC, [PSQ_COLUMN_UUID] = PSQ_KIND_UUID,
    [PSQ_COLUMN_UUID_INT] = PSQ_KIND_UUID,   [PSQ_COLUMN_DATE] = PSQ_KIND_DATE,
    [PSQ_COLUMN_TIME] = PSQ_KIND_TIME,       [PSQ_COLUMN_TIMESTAMP] = PSQ_KIND_TIMESTAMP,
};

static void
check_cell(int kind, const uint8_t *cell, int length)
{
    static uint8_t room[LARGEST];
    psq_writer out = {room, room + sizeof room, INT32_MAX};
    psq_decode_column reader = {readers[kind], 0, 0, 0};
    int reason = psq_write_cell(&out, &reader, cell, length);

    /* What Python has no value of comes of values that it can't have. */
    INSIST(reason == PSQ_CELL_DECODED || kind == PSQ_COLUMN_DATE || kind == PSQ_COLUMN_TIME ||
           kind == PSQ_COLUMN_TIMESTAMP);
    if (reason == PSQ_CELL_DECODED)
        INSIST(fuzz_check_marshal(room, out.at) == out.at);
}

static void
check_written(const psq_records *records, size_t before, int rows, int columns, const int *kinds)
{
    static const char *const names[MOST_COLUMNS] = {"a", "b", "c", "d"};
    static const Oid types[MOST_COLUMNS] = {0};
    size_t size = records->size - before, used = 0;
    PGresult *result;

    for (int i = 0; i < columns; i++)
        if (kinds[i] == PSQ_COLUMN_RAW)
            return;
    if (columns == 0) {
        INSIST(size == 2 * (size_t) rows);
        return;
    }
    result = psq_copy_result(records->data + before, size, rows + 1, 1, columns, names, types, &used);
    INSIST(result != NULL && used == size && PQntuples(result) == rows);
    for (int i = 0; i < rows * columns; i++) {
        int row = i / columns, column = i % columns;

        if (!PQgetisnull(result, row, column))
            check_cell(kinds[column], (const uint8_t *) PQgetvalue(result, row, column),
                       PQgetlength(result, row, column));
    }
    PQclear(result);
}

static void
check_parameters(const psq_records *records, size_t before, int rows, int columns, const int *kinds)
{
    const char *at = records->data + before, *end = records->data + records->size;

    for (int i = 0; i < columns; i++)
        if (kinds[i] == PSQ_COLUMN_RAW)
            return;
    for (int i = 0; i < rows * columns; i++) {
        int kind = kinds[i % columns];
        int32_t head[2];

        INSIST(end - at > (ptrdiff_t) sizeof head);
        memcpy(head, at, sizeof head);
        at += sizeof head;
        INSIST(head[0] >= -1 && end - at > (head[0] < 0 ? 0 : head[0]));
        INSIST(head[1] == (head[0] >= 0 && kind != PSQ_COLUMN_TEXT));
        if (head[0] >= 0) {
            check_cell(kind, (const uint8_t *) at, head[0]);
            at += head[0];
        }
        INSIST(*at++ == 0);
    }
    INSIST(at == end);
}

static void
add_columns(psq_records *records, fuzz_input *in, int rows, int columns, const int *kinds, int as_parameters)
{
    psq_column described[MOST_COLUMNS] = {0};
    uint8_t *kept[MOST_COLUMNS * (PSQ_COLUMN_STREAMS + 1)];
    int count = 0, outcome, unfit = -1;
    size_t before = records->size;

    for (int i = 0; i < columns; i++) {
        int what = fuzz_byte(in);

        described[i].kind = kinds[i];
        described[i].stream_count = what % (PSQ_COLUMN_STREAMS + 1);
        for (int stream = 0; stream < described[i].stream_count; stream++) {
            described[i].sizes[stream] = (size_t) fuzz_byte(in);
            kept[count] = fuzz_bytes(in, &described[i].sizes[stream]);
            described[i].streams[stream] = (const char *) kept[count++];
        }
        if (what & 0x80) {
            size_t size = (size_t) rows;

            kept[count] = fuzz_bytes(in, &size);
            if (size == (size_t) rows)
                described[i].present = (const char *) kept[count];
            count++;
        }
    }
    outcome = psq_records_add(records, rows, described, columns, as_parameters, &unfit);
    if (outcome == PSQ_RECORDS_ADDED)
        (as_parameters ? check_parameters : check_written)(records, before, rows, columns, kinds);
    else
        INSIST(outcome == PSQ_RECORDS_UNFIT && records->size == before && unfit >= 0 && unfit < columns);
    while (count > 0)
        free(kept[--count]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, data + size};
    psq_records records = {0};
    int columns = fuzz_byte(&in) % (MOST_COLUMNS + 1), rows = fuzz_byte(&in), mode = fuzz_byte(&in);
    int kinds[MOST_COLUMNS];
    size_t length = SIZE_MAX;

    for (int i = 0; i < columns; i++)
        kinds[i] = fuzz_byte(&in) % (PSQ_COLUMN_TIMESTAMP + 1);
    INSIST(psq_records_append(&records, "before", 6));
    if (mode % 2 == 0)
        add_columns(&records, &in, rows, columns, kinds, mode & 2);
    else {
        uint8_t *stream = fuzz_bytes(&in, &length);
        int simple = 1;

        for (int i = 0; i < columns; i++)
            simple = simple && kinds[i] != PSQ_COLUMN_TIME && kinds[i] != PSQ_COLUMN_TIMESTAMP;
        if (simple &&
            psq_records_add_plain(&records, rows, (const char *) stream, length, kinds, columns) == PSQ_RECORDS_ADDED)
            check_written(&records, 6, rows, columns, kinds);
        else
            INSIST(records.size == 6);
        free(stream);
    }
    INSIST(memcmp(records.data, "before", 6) == 0);
    psq_records_clear(&records);
    return 0;
}
