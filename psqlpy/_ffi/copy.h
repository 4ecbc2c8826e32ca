#ifndef PSQ_COPY_H
#define PSQ_COPY_H

#include <libpq-fe.h>

/* COPY TO STDOUT: rows as the server sent them, one after the other in a buffer; and such rows as a PGresult. */

/* What psq_copy_take ended with. */
#define PSQ_COPY_WAIT 0   /* the socket is empty */
#define PSQ_COPY_FULL 1   /* the buffer is, more may be there */
#define PSQ_COPY_END 2    /* all rows have arrived: PQgetResult says how it ended */
#define PSQ_COPY_BROKEN 3 /* the connection is lost, or there is no memory */

/* `data` has room for `capacity` bytes, `rows` counts messages. `large` is a row that didn't fit, delivered next: zero it. */
typedef struct {
    char *data;
    size_t capacity;
    size_t size;
    int rows;
    char *large;
    int large_size;
} psq_copy_buffer;

/* Empty the buffer and fill it again, never waiting. With `data` NULL rows are thrown away. A row larger than the buffer
 * comes alone: `size` is 0, `large` and `large_size` say where it is until the next call. */
int psq_copy_take(PGconn *conn, psq_copy_buffer *buffer);

/* In COPY FROM STDIN: whether the server has sent an error, which libpq tells only when the data has ended. Looked for in
 * what the socket holds: what libpq has read meanwhile isn't seen. */
int psq_copy_refused(PGconn *conn);

/* Free what psq_copy_take has left. */
void psq_copy_clear(psq_copy_buffer *buffer);

/* The first whole rows of `data`, at most `limit`, as a result with these columns: binary rows without the file's header,
 * or lines of the text format. `*used` is how many bytes they are. NULL when they are malformed or there is no memory. */
PGresult *psq_copy_result(const char *data, size_t size, int limit, int binary, int column_count,
                          const char *const *names, const Oid *types, size_t *used);

#endif
