/* Setting the thread's error detail line. */
#ifndef IPC_CORE_ERROR_H
#define IPC_CORE_ERROR_H

#include <ipc/error.h>

/* Remember the line for ipc_error_detail() and return error, a negative
 * errno, so that failing reads as one statement. */
int ipc__fail(int error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Fail with nothing to add. */
int ipc__fail_plain(int error);

#endif
