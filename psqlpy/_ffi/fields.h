#ifndef PSQ_FIELDS_H
#define PSQ_FIELDS_H

#include <libpq-fe.h>

#include "decode.h"

/* A value of a composite type in binary (src/backend/utils/adt/rowtypes.c, record_send) as a tuple in a `marshal` stream,
 * NULL as None. It must have `count` fields of the given types. Returns PSQ_CELL_…: PSQ_CELL_MISMATCH if the type has
 * other fields; otherwise, after a failure, buffer->row_count is the number of the field, from 0, or -1. */
int psq_decode_fields(const char *value, size_t length, int count, const Oid *types, const psq_decode_column *columns,
                      psq_decode_buffer *buffer);

#endif
