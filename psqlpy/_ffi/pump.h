#ifndef PSQ_PUMP_H
#define PSQ_PUMP_H

/* Receiving: one call takes everything that is there. */

#define PSQ_PUMP_RESULTS 64

/* Bits of psq_pump_state.flags. */
#define PSQ_BROKEN 1     /* the connection is lost; results that had arrived were still delivered */
#define PSQ_WANT_WRITE 2 /* output is left: call again when the socket is writable */
#define PSQ_MORE 4       /* the array is full or the budget used up: call again without waiting */
#define PSQ_COPY 8       /* COPY data in a pipeline, where libpq can't handle it: close the connection */
#define PSQ_NOTIFY 16    /* a notification has arrived: it is in `notify`, more may follow with PQnotifies */
#define PSQ_ENCODING 32  /* client_encoding isn't `encoding` any more: nothing was delivered, it may be in that one */

/* Bits of what psq_pump_one is told. */
#define PSQ_READABLE 1 /* there may be something to read */
#define PSQ_GATHER 2 /* if the oldest flight's answer is long, deliver its rows in chunks, before their end has come */

/* Status of a chunk of rows; libpq has it from 17 on. With older ones chunks are made here, of single rows. */
#define PSQ_TUPLES_CHUNK 12

/* Rows in a chunk, and chunks in a pump: what it takes to decode them is what the event loop stands still for. */
#define PSQ_CHUNK_ROWS 512
#define PSQ_CHUNKS_PER_PUMP 2

/* results[i] is NULL for the Sync that ends a flight; statuses[i] is its ExecStatusType. Where statuses[i] is negative,
 * so many results without an error were counted and dropped. `notify` is the caller's to free. */
typedef struct {
    int count;
    int flags;
    int counting; /* of the last of the flights results without an error are only counted; 0 again with its Sync */
    int rows;     /* of the result that psq_pump_one returned; of the others row_counts has them */
    int silent;   /* flights that ended before that one's, with nothing to tell */
    int encoding; /* libpq's number of the session's client_encoding */
    int unheard;  /* until the next Sync nobody wants to know what has succeeded */
    PGnotify *notify;
    PGresult *chunk; /* begun, of single rows; psq_pump_clear frees it */
    long chunk_size; /* bytes */
    int chunks;      /* delivered by this pump */
    PGresult *results[65];
    int statuses[65];
    int row_counts[65]; /* of those with rows, which are TUPLES_OK */
} psq_pump_state;

/* Flush, read, and deliver the results of at most `flights` flights (one Sync each). The caller owns the results. When there
 * is just one, TUPLES_OK, and its Sync, which is the everyday answer, returns it and leaves the state empty but for `rows` and
 * `silent`; otherwise NULL, and the state says what there was. Never blocks. Called with the GIL. */
PGresult *psq_pump_one(PGconn *conn, int flights, int what, psq_pump_state *state);

/* Free what was begun, when the connection is of no use any more. */
void psq_pump_clear(psq_pump_state *state);

/* Outside a pipeline: read until PQgetResult or PQgetCopyData won't block, or the socket is empty. `copy_out`: only read.
 * Returns 0 when the connection is lost. */
int psq_consume(PGconn *conn, int copy_out);

/* Outside a pipeline, of a query in single-row mode: what psq_take_rows found. */
#define PSQ_ROWS_WAIT 0   /* more input is needed */
#define PSQ_ROWS_FULL 1   /* as many rows as were asked for, or very large ones */
#define PSQ_ROWS_LAST 2   /* `last` is the result that ends the rows, an error too */
#define PSQ_ROWS_END 3    /* the server is ready for the next query */
#define PSQ_ROWS_BROKEN 4 /* the connection is lost */

typedef struct {
    PGresult *rows; /* at least one row, or NULL; rows may come with any outcome */
    PGresult *last;
} psq_rows;

/* Take at most `limit` rows into one result, reading while there is something to read; `readable`: read in any case. The
 * caller owns both results. Never blocks. */
int psq_take_rows(PGconn *conn, int limit, int readable, psq_rows *taken);

/* Bytes that can be read from the socket without waiting; 0 at end of file too, -1 on error. */
int psq_readable_bytes(int fd);

/* A zero-timeout look: 1 readable (input or end of file), 0 quiet, -1 the socket is broken. */
int psq_look(int fd);

/* poll(2) one socket. `events`: 1 read, 2 write. Returns the ready ones, 0 after `timeout` milliseconds (-1: none) or when
 * a signal arrived. */
int psq_wait(int fd, int events, int timeout);

#endif
