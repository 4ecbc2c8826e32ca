#ifndef PSQ_FUZZ_H
#define PSQ_FUZZ_H

#include <libpq-fe.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the targets share: how they take libFuzzer's bytes apart, and how they say that something is wrong. Each target is a
 * program of its own (see ../CONTRIBUTING.md, "Fuzzing"). */

#define INSIST(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: doesn't hold: %s\n", __FILE__, __LINE__, #condition);                              \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* What is left of the input. Past its end there are zeros. */
typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} fuzz_input;

static inline int
fuzz_byte(fuzz_input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static inline int
fuzz_short(fuzz_input *in)
{
    int high = fuzz_byte(in);

    return high << 8 | fuzz_byte(in);
}

static inline size_t
fuzz_left(const fuzz_input *in)
{
    return (size_t) (in->end - in->at);
}

static inline void *
fuzz_room(size_t size)
{
    void *room = malloc(size);

    INSIST(room != NULL || size == 0);
    return room;
}

/* The next `size` bytes, or what there is, in memory of exactly their size, where the sanitizer sees who reads past it. */
static inline uint8_t *
fuzz_bytes(fuzz_input *in, size_t *size)
{
    uint8_t *copy;

    if (*size > fuzz_left(in))
        *size = fuzz_left(in);
    copy = fuzz_room(*size);
    if (*size > 0)
        memcpy(copy, in->at, *size);
    in->at += *size;
    return copy;
}

/* Insists that Python's marshal reads one object from `at`, with nothing that it refuses; returns where that ends. */
const uint8_t *fuzz_check_marshal(const uint8_t *at, const uint8_t *end);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
