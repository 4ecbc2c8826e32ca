#ifndef PSQ_INTERPRETER_H
#define PSQ_INTERPRETER_H

/* Whether the caller is in the process's main interpreter: the only one in which libpq's callbacks can call Python. To be
 * called with the GIL. */
int psq_in_main_interpreter(void);

#endif
