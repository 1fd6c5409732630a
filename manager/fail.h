/* Failing with a detail line, for ipc_error_detail(). */
#ifndef IPC_MANAGER_FAIL_H
#define IPC_MANAGER_FAIL_H

#include <ipc/error.h>
#include <ipc/remote.h>

/* Remember the line and be the error, a negative errno. */
#define ipcm__fail(error, ...) (ipc_remote_detail(__VA_ARGS__), (error))

#endif
