/* Setting the thread's error detail line. */
#ifndef IPC_CORE_ERROR_H
#define IPC_CORE_ERROR_H

#include <ipc/error.h>

/* Remember the line for ipc_error_detail(). */
void ipc__set_detail(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* Remember the line and be the error, a negative errno, so that failing reads
 * as one expression.  A macro so that the compiler sees which value comes
 * back. */
#define ipc__fail(error, ...) (ipc__set_detail(__VA_ARGS__), (error))

/* Fail with nothing to add. */
int ipc__fail_plain(int error);

#endif
