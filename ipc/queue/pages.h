/* Pages: runs of 4 KiB in a queue, for messages too large to lie with the
 * others.
 *
 * Which are taken is derived: the queue knows it from its messages, and marks
 * them anew when somebody died.  Under the guard of those who put. */
#ifndef IPC_QUEUE_PAGES_H
#define IPC_QUEUE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IPC__PAGE ((size_t)4096)

struct ipc__pages {
    uint64_t *taken; /* a bit for each page */
    char *memory;    /* aligned to a page */
    uint32_t count;
    uint32_t *present; /* pages from here on may have no memory yet */
};

/* Bytes of the bits. */
static inline size_t ipc__pages_bits(uint32_t count)
{
    return (size_t)(count + 63) / 64 * 8;
}

/* Take n pages that lie together, the first that are free: 0; -EAGAIN there
 * are none; -ENOMEM there is no memory for them. */
int ipc__pages_take(const struct ipc__pages *pages, uint32_t n,
                    uint32_t *first);

void ipc__pages_free(const struct ipc__pages *pages, uint32_t first,
                     uint32_t n);

/* For marking anew. */
void ipc__pages_clear(const struct ipc__pages *pages);
void ipc__pages_mark(const struct ipc__pages *pages, uint32_t first,
                     uint32_t n);

static inline bool ipc__pages_hold(const struct ipc__pages *pages,
                                   uint32_t first, uint32_t n)
{
    return n != 0 && first < pages->count && n <= pages->count - first;
}

/* Give back the memory of free pages at the end. */
void ipc__pages_trim(const struct ipc__pages *pages);

#endif
