/* gil.h without Python: nobody waits for the GIL here. */

#include "gil.h"

PyThreadState *
PyEval_SaveThread(void)
{
    return NULL;
}

void
PyEval_RestoreThread(PyThreadState *state)
{
    (void) state;
}
