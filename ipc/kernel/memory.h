/* Memory behind pages that several processes map: have it, and give it back. */
#ifndef IPC_KERNEL_MEMORY_H
#define IPC_KERNEL_MEMORY_H

#include <stddef.h>

/* Have pages present, so that touching them cannot fail: 0; -ENOMEM; -ENOSYS,
 * the kernel is too old. */
int ipc__memory_populate(void *start, size_t size);

/* Give the pages' memory back; they read as zeros afterwards.  The first
 * touched bytes of them may be something else now. */
void ipc__memory_release(void *start, size_t size, size_t touched);

#endif
