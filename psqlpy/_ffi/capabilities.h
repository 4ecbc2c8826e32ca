#ifndef PSQ_CAPABILITIES_H
#define PSQ_CAPABILITIES_H

/* Functions that libpq gained after 15. They are looked up when the module is loaded, not when it is compiled: a module
 * built with libpq 15's headers uses what a newer library at run time offers. */

/* Bits of psq_capabilities(). */
#define PSQ_CAN_CANCEL_ENCRYPTED 1
#define PSQ_CAN_CHUNK_ROWS 2
#define PSQ_CAN_BUFFER_SYNC 4
#define PSQ_CAN_CLOSE_PREPARED 8
#define PSQ_CAN_REPORT_PROTOCOL 16

int psq_capabilities(void);

/* The version of the headers that this was compiled with, 150018 for 15.18; 0 if they don't say. */
int psq_built_with(void);

/* Bytes that OpenSSL has decrypted and libpq hasn't taken: the socket may be silent then. 0 without TLS, and where libpq's
 * OpenSSL doesn't say. */
int psq_tls_pending(PGconn *conn);

#define PSQ_NOT_ENCRYPTED -2

/* What has been decrypted, or can be without waiting, left where it is: its size, at most `size`; 0 or -1 if there is none. */
int psq_tls_peek(PGconn *conn, void *data, int size);

/* Sync without a flush where libpq can (17), otherwise PQpipelineSync, which also sends. 1 or 0. */
int psq_pipeline_sync(PGconn *conn);

/* 1 when the rows of the query whose answer comes next will come in chunks of `rows`, 0 where libpq can't (before 17), or
 * can't any more, since it has begun to read them. */
int psq_set_chunked_rows(PGconn *conn, int rows);

/* Queue a Close message for a prepared statement. 0 where libpq can't (before 17). */
int psq_send_close_prepared(PGconn *conn, const char *name);

/* Ask the server to cancel what `conn` runs; blocks, so it belongs in a thread. Encrypted like the connection where libpq
 * can (17). `cancel` is used otherwise. Returns 1, or 0 with the reason in `message`. */
void *psq_cancel_create(PGconn *conn);
int psq_cancel_run(void *handle, PGcancel *cancel, char *message, int size);
void psq_cancel_finish(void *handle);

#endif
