#ifndef PSQ_CONNECT_H
#define PSQ_CONNECT_H

/* A connection's beginning and end, in cells that Python owns beforehand: a signal's exception that strikes when a call returns
 * finds it there, not in what the call would have returned. */

/* PQconnectStartParams into `*cell`. */
void psq_connect_start(PGconn **cell, const char *const *keywords, const char *const *values);

/* PQfinish, once. */
void psq_finish(PGconn **cell);

#endif
