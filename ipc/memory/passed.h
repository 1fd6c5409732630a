/* Passed regions: without a name, for processes that are given a descriptor. */
#ifndef IPC_MEMORY_PASSED_H
#define IPC_MEMORY_PASSED_H

#include "memory/named.h"

/* Make one, as ipc__named_create() does (what->name is for messages), in a memfd
 * that nobody can resize.  The descriptor is close-on-exec and the caller's. */
int ipc__passed_create(const struct ipc__named *what, int *fd,
                       struct ipc__region **out);

/* Map the one behind a descriptor, which stays the caller's.  Closed as a named
 * one.  Errors: -EBADF no descriptor; -EUCLEAN no such region, or one that
 * somebody could resize; -EINVAL another kind; those of ipc__region_check(). */
int ipc__passed_attach(int fd, const struct ipc__named *what,
                       struct ipc__region **out);

#endif
