/* Named regions: files in /dev/shm that unrelated processes map. */
#ifndef IPC_MEMORY_NAMED_H
#define IPC_MEMORY_NAMED_H

#include <stddef.h>

#include "core/region.h"

/* What to make, or what to expect. */
struct ipc__named {
    const char *name;
    enum ipc__region_kind kind;
    size_t size;    /* of the data: to make, or the least to accept */
    size_t least;   /* to accept, if that is less; 0: size */
    size_t present; /* so much of it has memory when it is made; 0: all */
    uint32_t flags;
    /* Fill the zeroed data of a new region, before anybody can see it.  May
     * be NULL. */
    void (*fill)(void *data, const void *arg);
    const void *arg;
};

/* As the functions of segment.h.  A named region is mapped and known to the
 * process on success. */
int ipc__named_create(const struct ipc__named *what, struct ipc__region **out);
int ipc__named_open(const struct ipc__named *what, struct ipc__region **out);
int ipc__named_open_or_create(const struct ipc__named *what,
                              struct ipc__region **out);
void ipc__named_close(struct ipc__region *region);
int ipc__named_unlink(const char *name, enum ipc__region_kind kind);
int ipc__named_gc(void);

#endif
