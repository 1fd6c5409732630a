/* Family memory for the library's own use. */
#ifndef IPC_MEMORY_SHARED_H
#define IPC_MEMORY_SHARED_H

#include <stddef.h>

/* As ipc_shared_alloc(), with its error as result: 0, -ENOMEM, -EINVAL,
 * -EXDEV, -ENOSYS. */
int ipc__shared_alloc(size_t size, void **out);

/* The same, but only the first bytes have memory if it is large; the rest is
 * had, and given back, by kernel/memory.h. */
int ipc__shared_reserve(size_t size, size_t present, void **out);

#endif
