/* Rows of COPY TO STDOUT, in binary and in text, as a result: psq_copy_result of copy.c. */

#include "copy.h"
#include "fuzz.h"

#define MOST_COLUMNS 6

static int32_t
read_int32(const char *at)
{
    const uint8_t *bytes = (const uint8_t *) at;

    return (int32_t) ((uint32_t) bytes[0] << 24 | (uint32_t) bytes[1] << 16 | (uint32_t) bytes[2] << 8 | bytes[3]);
}

/* The cells of the result are the data's, one after the other. */
static void
check_binary(const PGresult *result, const char *at)
{
    for (int row = 0; row < PQntuples(result); row++) {
        at += 2;
        for (int column = 0; column < PQnfields(result); column++) {
            int32_t length = read_int32(at);

            at += 4;
            INSIST(PQgetisnull(result, row, column) == (length < 0));
            if (length < 0)
                continue;
            INSIST(PQgetlength(result, row, column) == length);
            INSIST(memcmp(PQgetvalue(result, row, column), at, (size_t) length) == 0);
            at += length;
        }
    }
}

/* What the text format makes of the cells gives the data again, but for escapes that weren't needed. */
static void
check_text(const PGresult *result, size_t used)
{
    size_t size = 0;

    for (int row = 0; row < PQntuples(result); row++)
        for (int column = 0; column < PQnfields(result); column++)
            size += (size_t) PQgetlength(result, row, column) + 1 + 2 * (size_t) PQgetisnull(result, row, column);
    INSIST(size <= used);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[MOST_COLUMNS] = {"a", "b", "c", "d", "e", "f"};
    static const Oid types[MOST_COLUMNS] = {25, 25, 25, 25, 25, 25};
    fuzz_input in = {data, data + size};
    int binary = fuzz_byte(&in) % 2, columns = fuzz_byte(&in) % (MOST_COLUMNS + 1), limit = fuzz_byte(&in);
    size_t length = SIZE_MAX, used = SIZE_MAX;
    char *copied = (char *) fuzz_bytes(&in, &length);
    PGresult *result = psq_copy_result(copied, length, limit, binary, columns, names, types, &used);

    if (result != NULL) {
        INSIST(used <= length);
        INSIST(PQntuples(result) <= limit && PQnfields(result) == columns);
        if (binary)
            check_binary(result, copied);
        else
            check_text(result, used);
    }
    PQclear(result);
    free(copied);
    return 0;
}
