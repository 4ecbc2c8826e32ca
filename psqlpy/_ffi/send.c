#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libpq-fe.h>

#include "capabilities.h"
#include "gil.h"
#include "send.h"

/* Enough for nearly every statement without a malloc. */
#define PSQ_STACK_PARAMETERS 32

typedef struct {
    const char **values;
    int *lengths;
    int *formats;
    void *memory;
    const char *stack_values[PSQ_STACK_PARAMETERS];
    int stack_numbers[2 * PSQ_STACK_PARAMETERS];
} psq_parameters;

static int
parameters_open(psq_parameters *parameters, int count)
{
    parameters->memory = NULL;
    if (count <= PSQ_STACK_PARAMETERS) {
        parameters->values = parameters->stack_values;
        parameters->lengths = parameters->stack_numbers;
        parameters->formats = parameters->stack_numbers + PSQ_STACK_PARAMETERS;
        return 1;
    }
    parameters->memory = malloc((size_t) count * (sizeof(char *) + 2 * sizeof(int)));
    if (parameters->memory == NULL)
        return 0;
    parameters->values = parameters->memory;
    parameters->lengths = (int *) (parameters->values + count);
    parameters->formats = parameters->lengths + count;
    return 1;
}

/* Points the arrays into `packed`; returns where the next row starts, or NULL when the packing is malformed. */
static const char *
parameters_read(psq_parameters *parameters, int count, const char *packed, const char *end)
{
    int32_t header[2];

    for (int i = 0; i < count; i++) {
        if ((size_t) (end - packed) < sizeof header)
            return NULL;
        memcpy(header, packed, sizeof header);
        packed += sizeof header;
        parameters->lengths[i] = header[0] < 0 ? 0 : header[0];
        parameters->formats[i] = header[1];
        parameters->values[i] = header[0] < 0 ? NULL : packed;
        if ((size_t) (end - packed) < (size_t) parameters->lengths[i] + 1)
            return NULL;
        packed += parameters->lengths[i];
        if (*packed++ != '\0')
            return NULL;
    }
    return packed;
}

int
psq_send_prepare(PGconn *conn, const char *name, const char *query)
{
    return PQsendPrepare(conn, name, query, 0, NULL) && PQsendDescribePrepared(conn, name);
}

int
psq_send_execute(PGconn *conn, const char *name, int parameter_count, const char *packed, size_t size,
                 int result_format)
{
    return psq_send_execute_rows(conn, name, 1, parameter_count, packed, size, result_format);
}

int
psq_send_execute_rows(PGconn *conn, const char *name, int row_count, int parameter_count, const char *packed,
                      size_t size, int result_format)
{
    psq_parameters parameters;
    const char *end = packed + size;
    int sent = parameters_open(&parameters, parameter_count);

    for (int row = 0; sent && row < row_count; row++) {
        packed = parameters_read(&parameters, parameter_count, packed, end);
        sent = packed != NULL && PQsendQueryPrepared(conn, name, parameter_count, parameters.values, parameters.lengths,
                                                     parameters.formats, result_format);
    }
    free(parameters.memory);
    return sent;
}

int
psq_send_unnamed(PGconn *conn, const char *query, int parameter_count, const Oid *types, const char *packed,
                 size_t size, int result_format)
{
    psq_parameters parameters;
    int sent = parameters_open(&parameters, parameter_count);

    if (sent && parameters_read(&parameters, parameter_count, packed, packed + size) == NULL)
        sent = 0;
    if (sent)
        sent = PQsendQueryParams(conn, query, parameter_count, types, parameters.values, parameters.lengths,
                                 parameters.formats, result_format);
    free(parameters.memory);
    return sent;
}

int
psq_send_commands(PGconn *conn, const char *commands, int count)
{
    for (; count > 0; count--, commands += strlen(commands) + 1)
        if (!PQsendQueryParams(conn, commands, 0, NULL, NULL, NULL, NULL, 0))
            return 0;
    return 1;
}

int
psq_send_flush_request(PGconn *conn)
{
    return PQsendFlushRequest(conn);
}

int
psq_end_flight(PGconn *conn)
{
    if (!psq_pipeline_sync(conn))
        return -1;
    return PQflush(conn);
}

int
psq_execute_flight(PGconn *conn, const char *name, int parameter_count, const char *packed, size_t size,
                   int result_format)
{
    PyThreadState *released = psq_release_gil(size > PSQ_WORTH_RELEASING);
    int sent = psq_send_execute(conn, name, parameter_count, packed, size, result_format);
    int flushed = sent ? psq_end_flight(conn) : -1;

    psq_take_gil(released);
    return flushed;
}

int
psq_cork(PGconn *conn, int on)
{
#ifdef TCP_CORK
    return setsockopt(PQsocket(conn), IPPROTO_TCP, TCP_CORK, &on, sizeof(on)) == 0;
#else
    (void) conn;
    (void) on;
    return 0;
#endif
}
