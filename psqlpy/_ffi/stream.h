#ifndef PSQ_STREAM_H
#define PSQ_STREAM_H

#include <stddef.h>
#include <stdint.h>

/* Writing the stream that Python's marshal.loads reads, value by value, never past the end of the room given. */

/* What became of a cell. */
#define PSQ_CELL_DECODED 0
#define PSQ_CELL_MALFORMED 1
#define PSQ_CELL_NOT_UTF8 2
#define PSQ_CELL_OUT_OF_RANGE 3
#define PSQ_CELL_INFINITE 4
#define PSQ_CELL_LARGE 5
#define PSQ_CELL_NO_ROOM 6  /* the buffer is too small: try again with a larger one */
#define PSQ_CELL_MISMATCH 7 /* there is no such cell, or the result isn't what the plan says */

/* Where the stream is written. */
typedef struct {
    unsigned char *at;
    unsigned char *end;
    int limit; /* bytes a cell may have before it is PSQ_CELL_LARGE */
} psq_writer;

/* All return PSQ_CELL_DECODED or, having written something or nothing, PSQ_CELL_NO_ROOM; psq_write_text PSQ_CELL_NOT_UTF8
 * too. The items of a tuple or list follow its header. */
int psq_write_none(psq_writer *out);
int psq_write_ellipsis(psq_writer *out);
int psq_write_bool(psq_writer *out, int value);
int psq_write_int(psq_writer *out, int64_t number);
int psq_write_long(psq_writer *out, uint64_t magnitude, int negative);
int psq_write_float(psq_writer *out, double number);
int psq_write_bytes(psq_writer *out, const void *data, int length);
int psq_write_text(psq_writer *out, const unsigned char *text, int length);
int psq_write_tuple_header(psq_writer *out, int count);
int psq_write_list_header(psq_writer *out, int count);

/* Where to write ASCII text of at most `limit` bytes, NULL without room; then tell where it ended. */
unsigned char *psq_begin_ascii(psq_writer *out, size_t limit);
void psq_end_ascii(psq_writer *out, size_t limit, unsigned char *end);

#endif
