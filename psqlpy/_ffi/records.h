#ifndef PSQ_RECORDS_H
#define PSQ_RECORDS_H

#include <stddef.h>

/* Records as rows of COPY's binary format (manual, COPY, "Binary Format"). The values come by column, as marshal streams of
 * version 2 (CPython, Python/marshal.c) of a list or tuple each: what marshal writes for exactly bool, int, float, str, bytes
 * and None. A value of any other kind, or out of the type's range, is left to Python. */

/* How a column's values are written. RAW: bytes that have their length in front. UUID_INT, DATE, TIME and TIMESTAMP take
 * ints: the UUID's; the date's ordinal; hours, minutes, seconds, microseconds; days, seconds, microseconds since 2000. */
#define PSQ_COLUMN_RAW 0
#define PSQ_COLUMN_BOOL 1
#define PSQ_COLUMN_INT2 2
#define PSQ_COLUMN_INT4 3
#define PSQ_COLUMN_INT8 4
#define PSQ_COLUMN_UINT4 5
#define PSQ_COLUMN_FLOAT4 6
#define PSQ_COLUMN_FLOAT8 7
#define PSQ_COLUMN_TEXT 8
#define PSQ_COLUMN_JSONB 9
#define PSQ_COLUMN_BYTES 10
#define PSQ_COLUMN_NUMERIC 11
#define PSQ_COLUMN_UUID 12
#define PSQ_COLUMN_UUID_INT 13
#define PSQ_COLUMN_DATE 14
#define PSQ_COLUMN_TIME 15
#define PSQ_COLUMN_TIMESTAMP 16

/* The streams a kind of column has at most. */
#define PSQ_COLUMN_STREAMS 4

#define PSQ_RECORDS_ADDED 0
#define PSQ_RECORDS_UNFIT 1
#define PSQ_RECORDS_NO_MEMORY 2

/* `present`: a byte for each row, 0 where the value is NULL and in no stream; NULL if all are there. */
typedef struct {
    int kind;
    int stream_count;
    const char *streams[4];
    size_t sizes[4];
    const char *present;
} psq_column;

/* Zero it. */
typedef struct {
    char *data;
    size_t size;
    size_t capacity;
} psq_records;

/* Append rows, all or none. `*unfit` is the column that has an unfit value. `as_parameters`: not for COPY, but packed as
 * send.h has parameters, TEXT in text and all others in binary; RAW is packed so already. */
int psq_records_add(psq_records *records, int row_count, const psq_column *columns, int column_count, int as_parameters,
                    int *unfit);

/* The same of rows in one stream, a list of lists or tuples; of the kinds there may be none that takes ints for something
 * else, nor BYTES, where marshal writes more than Python's codecs take. */
int psq_records_add_plain(psq_records *records, int row_count, const char *stream, size_t size, const int *kinds,
                          int column_count);

/* Append bytes as they are; 0 without memory. */
int psq_records_append(psq_records *records, const char *data, size_t size);

void psq_records_clear(psq_records *records);

#endif
