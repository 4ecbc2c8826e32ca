/* Only the stable ABI: an instance of a subclass owns a reference to its class, and nothing else tells it from a tuple. */
#define Py_LIMITED_API 0x030A0000
#include <Python.h>

#include "recast.h"

#if defined(Py_GIL_DISABLED) || defined(PYPY_VERSION)

int
psq_recast_rows(size_t rows, size_t type, int is_atomic)
{
    (void) rows, (void) type, (void) is_atomic;
    return 0;
}

#else

static PyObject *
row_at(PyObject *rows, int is_list, Py_ssize_t index)
{
    /* Borrowed references: the list's own. */
    return is_list ? PyList_GetItem(rows, index) : PyTuple_GetItem(rows, index);
}

int
psq_recast_rows(size_t rows_address, size_t type_address, int is_atomic)
{
    PyObject *rows = (PyObject *) rows_address;
    PyTypeObject *type = (PyTypeObject *) type_address;
    int is_list = PyList_CheckExact(rows);
    Py_ssize_t count = is_list ? PyList_Size(rows) : PyTuple_Size(rows);

    for (Py_ssize_t index = 0; index < count; index++) {
        PyObject *row = row_at(rows, is_list, index);

        if (!PyTuple_CheckExact(row) || Py_REFCNT(row) != 1)
            return 0;
    }
    if (is_atomic && !is_list)
        PyObject_GC_UnTrack(rows);
    for (Py_ssize_t index = 0; index < count; index++) {
        PyObject *row = row_at(rows, is_list, index);

        if (is_atomic)
            PyObject_GC_UnTrack(row);
        if (type != &PyTuple_Type) {
            Py_INCREF((PyObject *) type);
            Py_SET_TYPE(row, type);
        }
    }
    return 1;
}

#endif
