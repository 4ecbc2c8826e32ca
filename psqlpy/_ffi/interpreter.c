/* Both functions are in the stable ABI. */
#include <Python.h>

#include "interpreter.h"

int
psq_in_main_interpreter(void)
{
    return PyInterpreterState_GetID(PyInterpreterState_Get()) == 0;
}
