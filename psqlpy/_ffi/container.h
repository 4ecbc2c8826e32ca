#ifndef PSQ_CONTAINER_H
#define PSQ_CONTAINER_H

#include "cell.h"

/* Values that are made of other values, which psq_write_cell writes; what holds for it holds here. */

/* Bits of a range's flags (src/include/utils/rangetypes.h). The server sets others for itself, which aren't passed on. */
#define PSQ_RANGE_EMPTY 1
#define PSQ_RANGE_LOWER_INCLUSIVE 2
#define PSQ_RANGE_UPPER_INCLUSIVE 4
#define PSQ_RANGE_LOWER_INFINITE 8
#define PSQ_RANGE_UPPER_INFINITE 16

/* Nested lists. */
int psq_write_array(psq_writer *out, const psq_decode_column *column, const unsigned char *value, int length);

/* (flags, lower, upper); a bound that isn't there is None. */
int psq_write_range(psq_writer *out, const psq_decode_column *column, const unsigned char *value, int length);

/* A tuple of these. */
int psq_write_multirange(psq_writer *out, const psq_decode_column *column, const unsigned char *value, int length);

#endif
