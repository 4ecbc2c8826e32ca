#ifndef PSQ_SEND_H
#define PSQ_SEND_H

/* Writing requests into libpq's output buffer, one call a flight.
 *
 * Parameters come packed: for each one an int32 length (-1: NULL), an int32 format (0 text, 1 binary), both in native byte
 * order, then the bytes and one NUL (libpq measures text parameters with strlen).
 *
 * All return 1 on success and 0 on failure, with the reason in PQerrorMessage. */

/* Parse under `name` and Describe. */
int psq_send_prepare(PGconn *conn, const char *name, const char *query);

/* Bind and Execute a prepared statement. `result_format`: 0 text, 1 binary. */
int psq_send_execute(PGconn *conn, const char *name, int parameter_count, const char *packed, size_t size,
                     int result_format);

/* Parse (unnamed), Bind, Describe and Execute in one message group; `types` may be NULL: the server infers. */
int psq_send_unnamed(PGconn *conn, const char *query, int parameter_count, const Oid *types, const char *packed,
                     size_t size, int result_format);

/* Several without parameters, each as psq_send_unnamed does it; in `commands` each ends with a NUL. */
int psq_send_commands(PGconn *conn, const char *commands, int count);

/* Ask for the answers so far without a Sync. */
int psq_send_flush_request(PGconn *conn);

/* End the flight: Sync, then send what the socket takes. Returns 0 when all is sent, 1 when some is left, -1 on failure. */
int psq_end_flight(PGconn *conn);

/* The everyday flight: psq_send_execute, then psq_end_flight. Returns what psq_end_flight does, or -1. Called with the
 * GIL. */
int psq_execute_flight(PGconn *conn, const char *name, int parameter_count, const char *packed, size_t size,
                       int result_format);

/* Have the kernel keep what is sent until it is called with 0, 200 ms at most (tcp(7), TCP_CORK). Returns 0 where it can't: on
 * other systems than Linux, and for Unix sockets. */
int psq_cork(PGconn *conn, int on);

/* Bind and Execute `row_count` times with rows packed one after the other; no Sync. */
int psq_send_execute_rows(PGconn *conn, const char *name, int row_count, int parameter_count, const char *packed,
                          size_t size, int result_format);

#endif
