#include <libpq-fe.h>

#include "connect.h"

void
psq_connect_start(PGconn **cell, const char *const *keywords, const char *const *values)
{
    *cell = PQconnectStartParams(keywords, values, 0);
}

void
psq_finish(PGconn **cell)
{
    PGconn *conn = *cell;

    *cell = NULL;
    PQfinish(conn);
}
