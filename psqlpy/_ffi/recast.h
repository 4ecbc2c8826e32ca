#ifndef PSQ_RECAST_H
#define PSQ_RECAST_H

#include <stddef.h>

/* The only function here that touches Python objects: tuples become instances of a subclass, where they are. To make new
 * ones takes time and twice the memory for a while, and the garbage collector looks at all of them.
 *
 * `rows` is the address of a list or a tuple, `type` that of a subclass of tuple that adds nothing to its layout (_record.py
 * looks at that), or of tuple itself. Each row has to be an exact tuple to which nobody else refers: if any isn't, none is
 * changed, and the caller makes new ones. With `is_atomic` nothing in the rows can refer to them, so that the garbage
 * collector needn't look at them, nor at `rows` if it is a tuple, as it finds out by itself of exact tuples only.
 *
 * Returns whether it was done. To be called with the GIL; where there is none, or another interpreter than CPython, never. */
int psq_recast_rows(size_t rows, size_t type, int is_atomic);

#endif
