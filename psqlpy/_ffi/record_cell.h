#ifndef PSQ_RECORD_CELL_H
#define PSQ_RECORD_CELL_H

#include <stddef.h>
#include <stdint.h>

#include "records.h"

/* How one value of a record is read from a marshal stream and written as a cell; only for records.c, record_cell.c and
 * record_numeric.c. */

typedef struct {
    const unsigned char *at;
    const unsigned char *end;
} reader;

/* What a cell ends with. */
enum { WRITTEN = PSQ_RECORDS_ADDED, UNFIT = PSQ_RECORDS_UNFIT, NO_MEMORY = PSQ_RECORDS_NO_MEMORY };

/* Enlarge the buffer: where its data ends, with room for `size` bytes, NULL without memory. */
char *psq_records_grow(psq_records *out, size_t size);

/* The next value of a column of this kind; NULL too. */
int psq_write_record_cell(psq_records *out, int kind, reader *in);

/* A numeric: an int, or the text of an int or Decimal. */
int psq_write_record_numeric(psq_records *out, reader *in);

int psq_write_record_null(psq_records *out);

/* Reads an int of 64 bits, with its code. */
int psq_read_record_int(reader *in, int64_t *value);

/* Reads a str ('u') or bytes ('s'). */
int psq_read_record_string(reader *in, int code, const unsigned char **data, size_t *size);

/* Room for so many bytes behind what is there. */
static inline char *
reserve(psq_records *out, size_t size)
{
    return out->data != NULL && size <= out->capacity - out->size ? out->data + out->size : psq_records_grow(out, size);
}

/* Fixed numbers of bytes, which compilers make one instruction of. */
static inline void
put2(char *to, uint32_t value)
{
    to[0] = (char) (value >> 8);
    to[1] = (char) value;
}

static inline void
put4(char *to, uint32_t value)
{
    to[0] = (char) (value >> 24);
    to[1] = (char) (value >> 16);
    to[2] = (char) (value >> 8);
    to[3] = (char) value;
}

static inline void
put8(char *to, uint64_t value)
{
    put4(to, (uint32_t) (value >> 32));
    put4(to + 4, (uint32_t) value);
}

static inline uint32_t
read2(const unsigned char *at)
{
    return (uint32_t) at[0] | (uint32_t) at[1] << 8;
}

static inline uint32_t
read4(const unsigned char *at)
{
    return (uint32_t) at[0] | (uint32_t) at[1] << 8 | (uint32_t) at[2] << 16 | (uint32_t) at[3] << 24;
}

static inline uint32_t
read4_network(const unsigned char *at)
{
    return (uint32_t) at[0] << 24 | (uint32_t) at[1] << 16 | (uint32_t) at[2] << 8 | (uint32_t) at[3];
}

static inline uint64_t
read8(const unsigned char *at)
{
    return (uint64_t) read4(at) | (uint64_t) read4(at + 4) << 32;
}

#endif
