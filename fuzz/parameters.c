/* Packed parameters, any bytes of them: send.c. libpq's part is played here, and touches all that it is given. */

#include <libpq-fe.h>

#include "capabilities.h"
#include "fuzz.h"
#include "send.h"

static const char *packed_start, *packed_end;
static int wanted_count, sent;

static int
touch(int count, const char *const *values, const int *lengths, const int *formats)
{
    INSIST(count == wanted_count);
    for (int i = 0; i < count; i++) {
        if (values[i] == NULL)
            continue;
        INSIST(lengths[i] >= 0 && values[i] >= packed_start && values[i] + lengths[i] < packed_end);
        /* In text format it takes what comes before the first NUL. */
        INSIST(formats[i] != 0 || strlen(values[i]) <= (size_t) lengths[i]);
    }
    sent++;
    return 1;
}

int
PQsendQueryPrepared(PGconn *conn, const char *name, int count, const char *const *values, const int *lengths,
                    const int *formats, int result_format)
{
    INSIST(conn == NULL && strcmp(name, "name") == 0 && result_format == 1);
    return touch(count, values, lengths, formats);
}

int
PQsendQueryParams(PGconn *conn, const char *query, int count, const Oid *types, const char *const *values,
                  const int *lengths, const int *formats, int result_format)
{
    INSIST(conn == NULL && types == NULL && strlen(query) < 1000 && (result_format == 1 || count == 0));
    return count == 0 ? ++sent : touch(count, values, lengths, formats);
}

int
psq_pipeline_sync(PGconn *conn)
{
    return conn == NULL;
}

int
PQflush(PGconn *conn)
{
    return conn != NULL;
}

static void
send_commands(fuzz_input *in)
{
    size_t size = (size_t) fuzz_byte(in);
    char *commands = (char *) fuzz_bytes(in, &size);
    int count = 0;

    for (size_t i = 0; i < size; i++)
        count += commands[i] == 0;
    sent = wanted_count = 0;
    INSIST(psq_send_commands(NULL, commands, count) && sent == count);
    free(commands);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, data + size};
    size_t length = SIZE_MAX;
    int rows = fuzz_byte(&in), count = fuzz_byte(&in), whole;
    char *packed;

    send_commands(&in);
    packed = (char *) fuzz_bytes(&in, &length);
    packed_start = packed;
    packed_end = packed + length;
    wanted_count = count;
    sent = 0;
    whole = psq_send_execute_rows(NULL, "name", rows, count, packed, length, 1);
    INSIST(whole ? sent == rows : sent < rows);
    sent = 0;
    if (count > 0)
        INSIST(psq_send_unnamed(NULL, "query", count, NULL, packed, length, 1) == sent);
    sent = 0;
    INSIST(psq_execute_flight(NULL, "name", count, packed, length, 1) == sent - 1);
    free(packed);
    return 0;
}
