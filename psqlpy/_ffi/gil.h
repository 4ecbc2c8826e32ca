#ifndef PSQ_GIL_H
#define PSQ_GIL_H

/* Some functions are called with the GIL (build_ffi.py: KEEP_GIL). Where one has much to do it lets others run meanwhile. */

/* Of it only these two functions are used, which the stable ABI has. */
#include <Python.h>

/* What is done in some tens of microseconds isn't worth giving it up. Bytes to send. */
#define PSQ_WORTH_RELEASING (64 << 10)

/* Returns what psq_take_gil needs; NULL, with the GIL kept, when `worth` is 0. */
static inline PyThreadState *
psq_release_gil(int worth)
{
    return worth ? PyEval_SaveThread() : NULL;
}

static inline void
psq_take_gil(PyThreadState *released)
{
    if (released != NULL)
        PyEval_RestoreThread(released);
}

#endif
