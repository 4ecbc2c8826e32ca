#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <libpq-fe.h>

#include "capabilities.h"
#include "gil.h"
#include "pump.h"

/* Reads per call: enough to keep up with a fast server, few enough that others on the event loop get their turn. */
#define PSQ_READS_PER_PUMP 32

/* Results that are only counted, or dropped behind an error. */
#define PSQ_COUNTED_PER_PUMP 4096

/* Of rows that are taken together, about: so many rows may be large ones. Bytes. */
#define PSQ_ROWS_SIZE (4 << 20)

/* An answer of which so much is there at the first look is worth being taken apart. Bytes; less than a packet's. */
#define PSQ_LONG_ANSWER 1000

int
psq_readable_bytes(int fd)
{
    int count = 0;

    return ioctl(fd, FIONREAD, &count) == 0 ? count : -1;
}

int
psq_look(int fd)
{
    struct pollfd look = {fd, POLLIN, 0};
    int ready;

    do
        ready = poll(&look, 1, 0);
    while (ready < 0 && errno == EINTR);
    if (ready <= 0)
        return ready;
    return look.revents & (POLLERR | POLLNVAL) ? -1 : 1;
}

int
psq_wait(int fd, int events, int timeout)
{
    struct pollfd wait = {fd, 0, 0};
    int ready;

    if (events & 1)
        wait.events |= POLLIN;
    if (events & 2)
        wait.events |= POLLOUT;
    ready = poll(&wait, 1, timeout);
    if (ready <= 0)
        return 0;
    /* An error or a hang-up is for libpq to find: both directions count as ready. */
    if (wait.revents & (POLLERR | POLLHUP | POLLNVAL))
        return events;
    return (wait.revents & POLLIN ? 1 : 0) | (wait.revents & POLLOUT ? 2 : 0);
}

/* Adds the rows of one result to another. Returns the bytes that were added, or -1 without memory. */
static long
append_rows(PGresult *rows, const PGresult *more)
{
    int columns = PQnfields(more);
    int count = PQntuples(more);
    long size = 0;

    for (int row = 0; row < count; row++) {
        int at = PQntuples(rows);

        for (int column = 0; column < columns; column++) {
            int length = PQgetisnull(more, row, column) ? -1 : PQgetlength(more, row, column);

            if (!PQsetvalue(rows, at, column, PQgetvalue(more, row, column), length))
                return -1;
            size += length < 0 ? 0 : length;
        }
    }
    return size;
}

static void
deliver(psq_pump_state *state, PGresult *result, int status)
{
    state->results[state->count] = result;
    if (status == PGRES_TUPLES_OK)
        state->row_counts[state->count] = PQntuples(result);
    state->statuses[state->count++] = status;
}

static void
deliver_chunk(psq_pump_state *state)
{
    PGresult *chunk = state->chunk;

    state->chunk = NULL;
    state->chunks++;
    deliver(state, chunk, PSQ_TUPLES_CHUNK);
}

/* Puts a single row to those before it. Returns 0 without memory. */
static int
gather(psq_pump_state *state, PGresult *row)
{
    if (state->chunk == NULL) {
        state->chunk = row;
        state->chunk_size = (long) PQresultMemorySize(row);
    }
    else {
        long added = append_rows(state->chunk, row);

        PQclear(row);
        if (added < 0)
            return 0;
        state->chunk_size += added;
    }
    if (PQntuples(state->chunk) >= PSQ_CHUNK_ROWS || state->chunk_size >= PSQ_ROWS_SIZE)
        deliver_chunk(state);
    return 1;
}

/* Of the flight whose results are only counted: drops one that tells nothing else. Returns whether it did. */
static int
count_result(psq_pump_state *state, PGresult *result, int status)
{
    int last = state->count - 1;

    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        if (last >= 0 && state->statuses[last] < 0)
            state->statuses[last]--;
        else {
            state->results[state->count] = NULL;
            state->statuses[state->count++] = -1;
        }
    }
    /* What follows an error, until the Sync. */
    else if (status != PGRES_PIPELINE_ABORTED)
        return 0;
    PQclear(result);
    return 1;
}

/* Moves what libpq has parsed into the array. Returns 1 when it needs more input. */
static int
collect(PGconn *conn, int *flights, int *counted, psq_pump_state *state)
{
    int empty = 0;

    while (*flights > 0) {
        PGresult *result;
        int status;

        /* One more has room: a chunk is delivered with what comes behind it. */
        if (state->count >= PSQ_PUMP_RESULTS || state->chunks == PSQ_CHUNKS_PER_PUMP ||
            *counted == PSQ_COUNTED_PER_PUMP) {
            state->flags |= PSQ_MORE;
            return 0;
        }
        if (PQisBusy(conn))
            return 1;
        result = PQgetResult(conn);
        if (result == NULL) {
            /* One NULL ends each command. Two in a row: nothing is coming (the connection died). */
            if (++empty > 1)
                return 0;
            continue;
        }
        empty = 0;
        status = (int) PQresultStatus(result);
        if (status == PGRES_SINGLE_TUPLE) {
            if (!gather(state, result)) {
                state->flags |= PSQ_BROKEN;
                return 0;
            }
            continue;
        }
        if (state->chunk != NULL)
            deliver_chunk(state);
        if (state->counting && *flights == 1 && count_result(state, result, status)) {
            ++*counted;
            continue;
        }
        if (status == PSQ_TUPLES_CHUNK)
            state->chunks++;
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
            /* libpq repeats this result for ever in a pipeline. */
            PQclear(result);
            state->flags |= PSQ_COPY;
            return 0;
        }
        if (status == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            result = NULL;
            if (--*flights == 0)
                state->counting = 0;
            state->unheard = 0;
        }
        else if (state->unheard && (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)) {
            PQclear(result);
            continue;
        }
        deliver(state, result, status);
    }
    return 0;
}

/* Flush, read, and deliver the results of at most `flights` flights. */
static void
pump(PGconn *conn, int flights, int what, psq_pump_state *state)
{
    int tls = PQsslInUse(conn);
    int flushed = PQflush(conn);
    int reads = 0, counted = 0;
    int encoding;
    PyThreadState *released = NULL;

    state->count = 0;
    state->flags = 0;
    state->chunks = 0;
    if (flushed > 0)
        state->flags |= PSQ_WANT_WRITE;
    if (what & PSQ_GATHER)
        released = psq_release_gil(1);
    /* Only before the first of an answer is parsed; later libpq refuses, without a word. */
    if ((what & PSQ_GATHER) && psq_readable_bytes(PQsocket(conn)) >= PSQ_LONG_ANSWER &&
        !psq_set_chunked_rows(conn, PSQ_CHUNK_ROWS))
        PQsetSingleRowMode(conn);
    /* Rows that wait to be parsed come first: libpq's buffer would grow, and it moves all of it at each read. */
    if ((what & PSQ_READABLE) && (!(what & PSQ_GATHER) || PQisBusy(conn)) && !PQconsumeInput(conn))
        state->flags |= PSQ_BROKEN;
    while (collect(conn, &flights, &counted, state) && !(state->flags & PSQ_BROKEN)) {
        /* The socket may hold more, or be silent while OpenSSL holds a part of a record: one read more. Stop if there was
         * nothing before it, unless a record arrived at that moment and OpenSSL holds a part of that one. */
        int waiting = psq_readable_bytes(PQsocket(conn));

        if (waiting <= 0 && !tls)
            break;
        if (++reads > PSQ_READS_PER_PUMP) {
            state->flags |= PSQ_MORE;
            break;
        }
        if (released == NULL)
            released = psq_release_gil(1);
        if (!PQconsumeInput(conn))
            state->flags |= PSQ_BROKEN;
        else if (waiting <= 0 && psq_tls_pending(conn) == 0) {
            collect(conn, &flights, &counted, state);
            break;
        }
    }
    if (PQstatus(conn) == CONNECTION_BAD)
        state->flags |= PSQ_BROKEN;
    encoding = PQclientEncoding(conn); /* -1 when the connection is lost */
    if (encoding >= 0 && encoding != state->encoding) {
        state->flags |= PSQ_ENCODING;
        while (state->count > 0)
            PQclear(state->results[--state->count]);
        psq_pump_clear(state);
    }
    state->notify = PQnotifies(conn);
    if (state->notify != NULL)
        state->flags |= PSQ_NOTIFY;
    psq_take_gil(released);
}

void
psq_pump_clear(psq_pump_state *state)
{
    PQclear(state->chunk);
    state->chunk = NULL;
}

PGresult *
psq_pump_one(PGconn *conn, int flights, int what, psq_pump_state *state)
{
    int silent = 0;

    pump(conn, flights, what, state);
    while (silent < state->count && state->results[silent] == NULL && state->statuses[silent] >= 0)
        silent++;
    if (state->count != silent + 2 || state->flags != 0 || state->statuses[silent] != PGRES_TUPLES_OK ||
        state->results[silent + 1] != NULL)
        return NULL;
    state->count = 0;
    state->silent = silent;
    state->rows = state->row_counts[silent];
    return state->results[silent];
}

int
psq_consume(PGconn *conn, int copy_out)
{
    for (int reads = 0; reads < PSQ_READS_PER_PUMP && (copy_out || PQisBusy(conn)); reads++) {
        int empty = psq_readable_bytes(PQsocket(conn)) <= 0;

        if (!PQconsumeInput(conn))
            return 0;
        if (empty && psq_tls_pending(conn) == 0)
            break;
    }
    return 1;
}

int
psq_take_rows(PGconn *conn, int limit, int readable, psq_rows *taken)
{
    int tls = PQsslInUse(conn);
    int empty = 0;
    long size = 0;

    taken->rows = taken->last = NULL;
    for (;;) {
        PGresult *result;
        int status;

        if (PQisBusy(conn)) {
            int waiting = psq_readable_bytes(PQsocket(conn));

            /* As in pump: with TLS one read more. */
            if (!readable && (empty || (waiting <= 0 && !tls)))
                return PSQ_ROWS_WAIT;
            if (!PQconsumeInput(conn))
                return PSQ_ROWS_BROKEN;
            readable = 0;
            empty = waiting <= 0 && psq_tls_pending(conn) == 0;
            continue;
        }
        result = PQgetResult(conn);
        if (result == NULL)
            return PSQ_ROWS_END;
        status = PQresultStatus(result);
        if (status != PGRES_SINGLE_TUPLE) {
            taken->last = result;
            return PSQ_ROWS_LAST;
        }
        if (taken->rows == NULL) {
            taken->rows = result;
            size = (long) PQresultMemorySize(result);
            /* Rows without columns can't be added to one another. */
            if (PQnfields(result) == 0)
                return PSQ_ROWS_FULL;
        }
        else {
            long added = append_rows(taken->rows, result);

            PQclear(result);
            if (added < 0)
                return PSQ_ROWS_BROKEN;
            size += added;
        }
        if (PQntuples(taken->rows) >= limit || size >= PSQ_ROWS_SIZE)
            return PSQ_ROWS_FULL;
    }
}
