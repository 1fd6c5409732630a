/* Family memory for the library's own use. */
#ifndef IPC_MEMORY_SHARED_H
#define IPC_MEMORY_SHARED_H

#include <stddef.h>

/* As ipc_shared_alloc(), with its error as result: 0, -ENOMEM, -EINVAL,
 * -EXDEV, -ENOSYS. */
int ipc__shared_alloc(size_t size, void **out);

#endif
