#ifndef PSQ_DECODE_H
#define PSQ_DECODE_H

#include <libpq-fe.h>

#include "cell.h"

/* Rows of a PGresult as a `marshal` stream, which Python's marshal.loads turns into objects: one call and one load for
 * about a thousand rows. Nothing here touches a Python object, and every byte from the server is checked before use.
 *
 * A cell that can't be written (malformed, out of Python's range, over PSQ_DECODE_CELL bytes) becomes Ellipsis in the
 * stream and sets PSQ_DEFERRED for its column; psq_decode_cell says what is wrong with it. */

#define PSQ_DECODE_CELL 65536
#define PSQ_DECODE_COLUMNS 1664

/* Bits of what psq_decode_rows returns and of psq_decode_buffer.column_flags. */
#define PSQ_NULLS 1
#define PSQ_DEFERRED 2

/* Failures of psq_decode_rows, which then returns nothing else. */
#define PSQ_DECODE_NO_ROOM 4  /* not even one row fits: try again with a larger buffer */
#define PSQ_DECODE_MISMATCH 8 /* the result has other rows, columns or formats than the plan and the caller say */

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
