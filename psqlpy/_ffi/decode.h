#ifndef PSQ_DECODE_H
#define PSQ_DECODE_H

/* Rows of a PGresult as a `marshal` stream, which Python's marshal.loads turns into objects: one call and one load for
 * about a thousand rows. Nothing here touches a Python object, and every byte from the server is checked before use.
 *
 * A cell that can't be written (malformed, out of Python's range, over PSQ_DECODE_CELL bytes) becomes Ellipsis in the
 * stream and sets PSQ_DEFERRED for its column; psq_decode_cell says what is wrong with it. */

#define PSQ_DECODE_CELL 65536
#define PSQ_DECODE_COLUMNS 1664

/* What a column's cells are and what they become. Columns in text format are all PSQ_KIND_TEXT. */
#define PSQ_KIND_VOID 0
#define PSQ_KIND_TEXT 1       /* str; UTF-8 without surrogates */
#define PSQ_KIND_BYTES 2      /* bytes */
#define PSQ_KIND_CHAR 3       /* "char": str of one character, Latin-1 */
#define PSQ_KIND_JSONB 4      /* str: the document */
#define PSQ_KIND_BOOL 5       /* bool */
#define PSQ_KIND_INT2 6       /* int */
#define PSQ_KIND_INT4 7       /* int */
#define PSQ_KIND_INT8 8       /* int */
#define PSQ_KIND_UINT4 9      /* int */
#define PSQ_KIND_UINT8 10     /* int */
#define PSQ_KIND_FLOAT4 11    /* float */
#define PSQ_KIND_FLOAT8 12    /* float */
#define PSQ_KIND_NUMERIC 13   /* str that decimal.Decimal reads, scale kept */
#define PSQ_KIND_DATE 14      /* bytes(4), the pickled state of datetime.date */
#define PSQ_KIND_TIME 15      /* bytes(6), of datetime.time */
#define PSQ_KIND_TIMESTAMP 16 /* bytes(10), of datetime.datetime */
#define PSQ_KIND_INTERVAL 17  /* (days, seconds, microseconds); a month is 30 days */
#define PSQ_KIND_UUID 18      /* str */
#define PSQ_KIND_ARRAY 19     /* nested lists of `element` */

/* What psq_decode_cell found. */
#define PSQ_CELL_DECODED 0
#define PSQ_CELL_MALFORMED 1
#define PSQ_CELL_NOT_UTF8 2
#define PSQ_CELL_OUT_OF_RANGE 3
#define PSQ_CELL_INFINITE 4
#define PSQ_CELL_LARGE 5
#define PSQ_CELL_NO_ROOM 6 /* the buffer is too small: try again with a larger one */
#define PSQ_CELL_MISMATCH 7 /* there is no such cell, or the result isn't what the plan says */

/* Bits of what psq_decode_rows returns and of psq_decode_buffer.column_flags. */
#define PSQ_NULLS 1
#define PSQ_DEFERRED 2

/* Failures of psq_decode_rows, which then returns nothing else. */
#define PSQ_DECODE_NO_ROOM 4  /* not even one row fits: try again with a larger buffer */
#define PSQ_DECODE_MISMATCH 8 /* the result has other rows, columns or formats than the plan and the caller say */

typedef struct {
    int kind;
    int element;     /* kind of an array's elements */
    Oid element_oid; /* their type, which the array's own header repeats */
} psq_decode_column;

typedef struct {
    int format; /* of all columns: 0 text, 1 binary */
    int column_count;
    const psq_decode_column *columns;
} psq_decode_plan;

/* Belongs to one call: the GIL isn't held while it runs. */
typedef struct {
    char *data;
    size_t capacity;
    int row_count; /* rows in the stream */
    unsigned char column_flags[1664];
} psq_decode_buffer;

/* One row as one tuple. Returns PSQ_NULLS | PSQ_DEFERRED, or a failure. */
int psq_decode_row(const PGresult *result, const psq_decode_plan *plan, int row, psq_decode_buffer *buffer);

/* As many of the rows from `start` to before `stop` as fit, at least one: a list of row tuples, or if `by_column` a list
 * with one list per column. Returns PSQ_NULLS | PSQ_DEFERRED, or a failure. */
int psq_decode_rows(const PGresult *result, const psq_decode_plan *plan, int start, int stop, int by_column,
                    psq_decode_buffer *buffer);

/* One cell of any size as one object. Returns PSQ_CELL_…. */
int psq_decode_cell(const PGresult *result, const psq_decode_plan *plan, int row, int column,
                    psq_decode_buffer *buffer);

#endif
