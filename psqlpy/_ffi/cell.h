#ifndef PSQ_CELL_H
#define PSQ_CELL_H

#include <libpq-fe.h>

#include "stream.h"

/* One value of PostgreSQL's binary format as an object in a `marshal` stream. Every byte is checked before use, and nothing
 * is written past the end of the room given. */

/* What a column's cells are and what they become. Columns in text format are all PSQ_KIND_TEXT. */
#define PSQ_KIND_VOID 0
#define PSQ_KIND_TEXT 1        /* str; UTF-8 without surrogates */
#define PSQ_KIND_BYTES 2       /* bytes */
#define PSQ_KIND_CHAR 3        /* "char": str of one character, Latin-1 */
#define PSQ_KIND_JSONB 4       /* str: the document */
#define PSQ_KIND_BOOL 5        /* bool */
#define PSQ_KIND_INT2 6        /* int */
#define PSQ_KIND_INT4 7        /* int */
#define PSQ_KIND_INT8 8        /* int */
#define PSQ_KIND_UINT4 9       /* int */
#define PSQ_KIND_UINT8 10      /* int */
#define PSQ_KIND_FLOAT4 11     /* float */
#define PSQ_KIND_FLOAT8 12     /* float */
#define PSQ_KIND_NUMERIC 13    /* str that decimal.Decimal reads, scale kept */
#define PSQ_KIND_DATE 14       /* bytes(4), the pickled state of datetime.date */
#define PSQ_KIND_TIME 15       /* bytes(6), of datetime.time */
#define PSQ_KIND_TIMESTAMP 16  /* bytes(10), of datetime.datetime */
#define PSQ_KIND_INTERVAL 17   /* (days, seconds, microseconds); a month is 30 days */
#define PSQ_KIND_UUID 18       /* str */
#define PSQ_KIND_ARRAY 19      /* nested lists of `element` */
#define PSQ_KIND_RANGE 20      /* (flags, lower, upper), see container.h; the bounds are of kind `element` */
#define PSQ_KIND_MULTIRANGE 21 /* tuple of what a range becomes */

typedef struct {
    int kind;
    int element;     /* kind of an array's elements, of a range's bounds */
    Oid element_oid; /* type of an array's elements, which the array's own header repeats */
    int bound;       /* kind of the bounds of the ranges that are an array's elements */
} psq_decode_column;

/* Returns PSQ_CELL_…. After a failure the writer's `at` is anywhere: set it back. */
int psq_write_cell(psq_writer *out, const psq_decode_column *column, const unsigned char *value, int length);

#endif
