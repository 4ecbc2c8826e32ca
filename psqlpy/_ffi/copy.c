#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <libpq-fe.h>

#include "capabilities.h"
#include "copy.h"
#include "pump.h"

/* Reads per call, as in pump.c. */
#define PSQ_READS_PER_TAKE 32

static void
drop_large(psq_copy_buffer *buffer)
{
    if (buffer->large != NULL)
        PQfreemem(buffer->large);
    buffer->large = NULL;
    buffer->large_size = 0;
}

/* Moves the rows that libpq has into the buffer. */
static int
collect_rows(PGconn *conn, psq_copy_buffer *buffer)
{
    for (;;) {
        char *row = NULL;
        int size = PQgetCopyData(conn, &row, 1);

        if (size == 0)
            return PSQ_COPY_WAIT;
        if (size < 0)
            return size == -1 ? PSQ_COPY_END : PSQ_COPY_BROKEN;
        if (buffer->data == NULL) {
            PQfreemem(row);
            continue;
        }
        if ((size_t) size > buffer->capacity - buffer->size) {
            buffer->large = row;
            buffer->large_size = size;
            if (buffer->size == 0)
                buffer->rows = 1;
            return PSQ_COPY_FULL;
        }
        memcpy(buffer->data + buffer->size, row, (size_t) size);
        buffer->size += (size_t) size;
        buffer->rows++;
        PQfreemem(row);
    }
}

int
psq_copy_take(PGconn *conn, psq_copy_buffer *buffer)
{
    /* A row that was too large for what was left of the buffer hasn't been delivered; one that came alone has. */
    int undelivered = buffer->large != NULL && buffer->size > 0;

    buffer->size = 0;
    buffer->rows = 0;
    if (undelivered) {
        buffer->rows = 1;
        if ((size_t) buffer->large_size > buffer->capacity)
            return PSQ_COPY_FULL;
        memcpy(buffer->data, buffer->large, (size_t) buffer->large_size);
        buffer->size = (size_t) buffer->large_size;
    }
    drop_large(buffer);
    for (int reads = 0;; reads++) {
        int state = collect_rows(conn, buffer);
        int waiting;

        if (state != PSQ_COPY_WAIT)
            return state;
        if (reads >= PSQ_READS_PER_TAKE)
            return PSQ_COPY_FULL;
        waiting = psq_readable_bytes(PQsocket(conn));
        if (!PQconsumeInput(conn))
            return PSQ_COPY_BROKEN;
        if (waiting <= 0 && psq_tls_pending(conn) == 0)
            return collect_rows(conn, buffer);
    }
}

static uint32_t
read_uint(const char *at, int bytes)
{
    uint32_t number = 0;

    for (int i = 0; i < bytes; i++)
        number = number << 8 | (unsigned char) at[i];
    return number;
}

static int
is_error(const unsigned char *at, size_t size)
{
    /* ErrorResponse begins with its severity, and is shorter than 64 KB; ReadyForQuery is what follows it. */
    return (size >= 6 && at[0] == 'E' && at[1] == 0 && at[2] == 0 && at[5] == 'S') ||
           (size >= 6 && memcmp(at, "Z\0\0\0\5", 5) == 0 && strchr("ITE", at[5]) != NULL);
}

int
psq_copy_refused(PGconn *conn)
{
    unsigned char data[4096];
    ssize_t size = psq_tls_peek(conn, data, sizeof data);
    size_t at = 0;

    if (size == PSQ_NOT_ENCRYPTED) {
        size = recv(PQsocket(conn), data, sizeof data, MSG_PEEK | MSG_DONTWAIT);
        if (size == 0)
            /* The server is gone: whoever says so to libpq finds out. */
            return 1;
    }
    /* Notices, notifications and settings may come before it. */
    while (size > 0 && at + 6 <= (size_t) size) {
        if (is_error(data + at, (size_t) size - at))
            return 1;
        if (strchr("NAS", data[at]) == NULL)
            return 0;
        at += 1 + (size_t) read_uint((const char *) data + at + 1, 4);
    }
    return 0;
}

void
psq_copy_clear(psq_copy_buffer *buffer)
{
    drop_large(buffer);
    buffer->size = 0;
    buffer->rows = 0;
}

/* One binary row into the result: where it ends, `at` itself for the trailer, NULL if it is malformed. */
static const char *
add_binary_row(PGresult *result, int row, int column_count, const char *at, const char *end)
{
    if (end - at < 2)
        return NULL;
    if (read_uint(at, 2) == 0xffff)
        return at;
    if ((int) read_uint(at, 2) != column_count)
        return NULL;
    at += 2;
    for (int column = 0; column < column_count; column++) {
        int32_t length;

        if (end - at < 4)
            return NULL;
        length = (int32_t) read_uint(at, 4);
        at += 4;
        if (length > end - at ||
            !PQsetvalue(result, row, column, length < 0 ? NULL : (char *) at, length < 0 ? -1 : length))
            return NULL;
        if (length > 0)
            at += length;
    }
    return at;
}

/* Undoes the backslashes of the text format (manual, COPY, "Text Format") from `at` to `end`; returns the length. */
static int
unescape(const char *at, const char *end, char *out)
{
    static const char letters[] = "bfnrtv", meanings[] = "\b\f\n\r\t\v";
    char *start = out;

    while (at < end) {
        const char *found;

        if (*at != '\\' || at + 1 == end) {
            *out++ = *at++;
            continue;
        }
        found = strchr(letters, at[1]);
        if (found != NULL && at[1] != '\0')
            *out++ = meanings[found - letters];
        else
            *out++ = at[1];
        at += 2;
    }
    return (int) (out - start);
}

/* One line of the text format likewise. `scratch` has room for the line. */
static const char *
add_text_row(PGresult *result, int row, int column_count, const char *at, const char *end, char *scratch)
{
    const char *line_end = memchr(at, '\n', (size_t) (end - at));

    if (line_end == NULL)
        return NULL;
    for (int column = 0; column < column_count; column++) {
        const char *tab = memchr(at, '\t', (size_t) (line_end - at));
        const char *cell_end = tab == NULL ? line_end : tab;
        int is_null = cell_end - at == 2 && at[0] == '\\' && at[1] == 'N';
        int length = is_null ? -1 : unescape(at, cell_end, scratch);

        if ((tab == NULL) != (column == column_count - 1) ||
            !PQsetvalue(result, row, column, is_null ? NULL : scratch, length))
            return NULL;
        at = cell_end + 1;
    }
    return column_count == 0 ? line_end + 1 : at;
}

static PGresult *
make_result(int binary, int column_count, const char *const *names, const Oid *types)
{
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc *columns = calloc((size_t) column_count + 1, sizeof *columns);
    int made = result != NULL && columns != NULL;

    for (int i = 0; made && i < column_count; i++) {
        columns[i].name = (char *) names[i];
        columns[i].format = binary;
        columns[i].typid = types[i];
        columns[i].typlen = -1;
        columns[i].atttypmod = -1;
    }
    if (made)
        made = column_count == 0 || PQsetResultAttrs(result, column_count, columns);
    free(columns);
    if (made)
        return result;
    PQclear(result);
    return NULL;
}

PGresult *
psq_copy_result(const char *data, size_t size, int limit, int binary, int column_count, const char *const *names,
                const Oid *types, size_t *used)
{
    PGresult *result = make_result(binary, column_count, names, types);
    char *scratch = binary ? NULL : malloc(size + 1);
    const char *at = data, *end = data + size;

    if (result == NULL || (!binary && scratch == NULL))
        at = NULL;
    for (int row = 0; at != NULL && at < end && row < limit; row++) {
        const char *next = binary ? add_binary_row(result, row, column_count, at, end)
                                  : add_text_row(result, row, column_count, at, end, scratch);

        if (next == at)
            break;
        at = next;
    }
    free(scratch);
    if (at == NULL) {
        PQclear(result);
        return NULL;
    }
    *used = (size_t) (at - data);
    return result;
}
