/* Copying elements between shared memory and the caller's, none of them torn
 * that has 1, 2, 4 or 8 bytes. */
#ifndef IPC_MEMORY_ARRAY_COPY_H
#define IPC_MEMORY_ARRAY_COPY_H

#include <stddef.h>

/* bytes is a multiple of size, that of an element.  shared is aligned to size
 * where that is 1, 2, 4 or 8. */
void ipc__elements_read(void *mine, const char *shared, size_t size,
                        size_t bytes);
void ipc__elements_write(char *shared, const void *mine, size_t size,
                         size_t bytes);

#endif
