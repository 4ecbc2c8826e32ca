#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* for dladdr and RTLD_NOLOAD */
#endif

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include <libpq-fe.h>

#if defined(__has_include)
#if __has_include(<pg_config.h>)
#include <pg_config.h>
#endif
#endif

#include "capabilities.h"

typedef struct pg_cancel_conn psq_cancel_conn;

/* In the library that PQlibVersion came from and those that it is linked with, never in the whole process. */
static void *
find(const char *name)
{
    static void *handle = NULL;
    Dl_info info;

    if (handle == NULL && dladdr((void *) PQlibVersion, &info) != 0)
        handle = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    return handle != NULL ? dlsym(handle, name) : NULL;
}

#if defined(__APPLE__)

/* No weak imports across library versions here. */
#define OPTIONAL(result, name, arguments)                                                                              \
    static result(*find_##name(void)) arguments                                                                        \
    {                                                                                                                  \
        static result(*found) arguments = NULL;                                                                        \
        if (found == NULL)                                                                                             \
            found = (result(*) arguments) find(#name);                                                                 \
        return found;                                                                                                  \
    }

#else

/* A weak symbol that no library defines is NULL. Declared under an alias so that newer headers, which declare the function
 * with their own types, don't clash. */
#define OPTIONAL(result, name, arguments)                                                                              \
    extern result psq_weak_##name arguments __asm__(#name) __attribute__((weak));                                      \
    static result(*find_##name(void)) arguments                                                                        \
    {                                                                                                                  \
        return psq_weak_##name;                                                                                        \
    }

#endif

OPTIONAL(psq_cancel_conn *, PQcancelCreate, (PGconn *) )
OPTIONAL(int, PQcancelBlocking, (psq_cancel_conn *) )
OPTIONAL(char *, PQcancelErrorMessage, (const psq_cancel_conn *) )
OPTIONAL(void, PQcancelFinish, (psq_cancel_conn *) )
OPTIONAL(int, PQsetChunkedRowsMode, (PGconn *, int) )
OPTIONAL(int, PQsendPipelineSync, (PGconn *) )
OPTIONAL(int, PQsendClosePrepared, (PGconn *, const char *) )
OPTIONAL(int, PQfullProtocolVersion, (const PGconn *) )

int
psq_capabilities(void)
{
    int found = 0;

    if (find_PQcancelCreate() && find_PQcancelBlocking() && find_PQcancelErrorMessage() && find_PQcancelFinish())
        found |= PSQ_CAN_CANCEL_ENCRYPTED;
    if (find_PQsetChunkedRowsMode())
        found |= PSQ_CAN_CHUNK_ROWS;
    if (find_PQsendPipelineSync())
        found |= PSQ_CAN_BUFFER_SYNC;
    if (find_PQsendClosePrepared())
        found |= PSQ_CAN_CLOSE_PREPARED;
    if (find_PQfullProtocolVersion())
        found |= PSQ_CAN_REPORT_PROTOCOL;
    return found;
}

int
psq_tls_pending(PGconn *conn)
{
    static int (*pending)(void *) = NULL;
    void *tls = PQsslStruct(conn, "OpenSSL");

    if (tls == NULL)
        return 0;
    if (pending == NULL)
        pending = (int (*)(void *)) find("SSL_pending");
    return pending != NULL ? pending(tls) : 0;
}

int
psq_tls_peek(PGconn *conn, void *data, int size)
{
    static int (*peek)(void *, void *, int) = NULL;
    void *tls = PQsslStruct(conn, "OpenSSL");

    if (tls == NULL)
        return PSQ_NOT_ENCRYPTED;
    if (peek == NULL)
        peek = (int (*)(void *, void *, int)) find("SSL_peek");
    return peek != NULL ? peek(tls, data, size) : 0;
}

int
psq_built_with(void)
{
#ifdef PG_VERSION_NUM
    return PG_VERSION_NUM;
#else
    return 0;
#endif
}

int
psq_pipeline_sync(PGconn *conn)
{
    if (find_PQsendPipelineSync())
        return find_PQsendPipelineSync()(conn);
    return PQpipelineSync(conn);
}

int
psq_set_chunked_rows(PGconn *conn, int rows)
{
    return find_PQsetChunkedRowsMode() ? find_PQsetChunkedRowsMode()(conn, rows) : 0;
}

int
psq_send_close_prepared(PGconn *conn, const char *name)
{
    return find_PQsendClosePrepared() ? find_PQsendClosePrepared()(conn, name) : 0;
}

void *
psq_cancel_create(PGconn *conn)
{
    return find_PQcancelCreate() ? find_PQcancelCreate()(conn) : NULL;
}

int
psq_cancel_run(void *handle, PGcancel *cancel, char *message, int size)
{
    int done;

    if (handle == NULL)
        return cancel != NULL ? PQcancel(cancel, message, size) : 0;
    done = find_PQcancelBlocking()(handle);
    if (!done && size > 0)
        snprintf(message, (size_t) size, "%s", find_PQcancelErrorMessage()(handle));
    return done;
}

void
psq_cancel_finish(void *handle)
{
    if (handle != NULL)
        find_PQcancelFinish()(handle);
}
