/* Receiving COPY TO STDOUT into a buffer of any size, and looking for a refusal in COPY FROM STDIN: copy.c. libpq's part is
 * played here: it is where the input goes. */

#include <libpq-fe.h>

#include "capabilities.h"
#include "copy.h"
#include "fuzz.h"
#include "pump.h"

#define MOST_TAKES 10000

static fuzz_input script;
static char *delivered;
static size_t delivered_size, given_size;
static char *given;
static int ended;

/* A script of rows with their lengths; 254: nothing yet, 255: the end. */
int
PQgetCopyData(PGconn *conn, char **buffer, int async)
{
    size_t size = (size_t) fuzz_byte(&script);

    INSIST(conn == NULL && async && !ended);
    if (size == 255 || (size == 0 && fuzz_left(&script) == 0)) {
        ended = 1;
        return fuzz_byte(&script) % 2 ? -2 : -1;
    }
    if (size == 254 || size == 0)
        return 0;
    *buffer = (char *) fuzz_bytes(&script, &size);
    if (size == 0) {
        free(*buffer);
        return 0;
    }
    memcpy(given + given_size, *buffer, size);
    given_size += size;
    return (int) size;
}

void
PQfreemem(void *memory)
{
    free(memory);
}

int
PQsocket(const PGconn *conn)
{
    INSIST(conn == NULL);
    return -1;
}

int
PQconsumeInput(PGconn *conn)
{
    INSIST(conn == NULL);
    return fuzz_byte(&script) != 1;
}

int
psq_readable_bytes(int fd)
{
    INSIST(fd == -1);
    return fuzz_byte(&script) - 1;
}

int
psq_tls_pending(PGconn *conn)
{
    INSIST(conn == NULL);
    return fuzz_byte(&script) % 2;
}

int
psq_tls_peek(PGconn *conn, void *data, int size)
{
    size_t found = fuzz_left(&script);

    INSIST(conn == NULL);
    if (found > (size_t) size)
        found = (size_t) size;
    if (found > 0)
        memcpy(data, script.at, found);
    return found > 0 ? (int) found : -1;
}

static void
keep(const char *data, size_t size)
{
    INSIST(delivered_size + size <= given_size);
    if (size > 0)
        memcpy(delivered + delivered_size, data, size);
    delivered_size += size;
}

static void
take_all(size_t capacity)
{
    psq_copy_buffer buffer = {fuzz_room(capacity), capacity, 0, 0, NULL, 0};
    int state = PSQ_COPY_WAIT;

    for (int i = 0; i < MOST_TAKES && !ended; i++) {
        state = psq_copy_take(NULL, &buffer);
        INSIST(buffer.size <= capacity && (buffer.rows > 0) == (buffer.size > 0 || buffer.large != NULL));
        /* One that comes alone: with others in front of it it is for the next time. */
        if (buffer.size > 0)
            keep(buffer.data, buffer.size);
        else if (buffer.large != NULL)
            keep(buffer.large, (size_t) buffer.large_size);
    }
    INSIST(!ended || state == PSQ_COPY_END || state == PSQ_COPY_BROKEN);
    INSIST(delivered_size == given_size && memcmp(delivered, given, given_size) == 0);
    psq_copy_clear(&buffer);
    free(buffer.data);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t capacity;
    psq_copy_buffer nowhere = {0};

    script = (fuzz_input){data, data + size};
    (void) psq_copy_refused(NULL);
    capacity = (size_t) fuzz_byte(&script);
    delivered = fuzz_room(size + 1);
    given = fuzz_room(size + 1);
    delivered_size = given_size = 0;
    ended = 0;
    take_all(capacity + 1);
    /* Thrown away. */
    script = (fuzz_input){data, data + size};
    given_size = 0;
    ended = 0;
    for (int i = 0; i < MOST_TAKES && !ended; i++) {
        psq_copy_take(NULL, &nowhere);
        INSIST(nowhere.size == 0 && nowhere.large == NULL);
    }
    psq_copy_clear(&nowhere);
    free(delivered);
    free(given);
    return 0;
}
