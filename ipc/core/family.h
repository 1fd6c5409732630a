/* The family's region: one range of addresses that a process and everything
 * forked from it share. */
#ifndef IPC_CORE_FAMILY_H
#define IPC_CORE_FAMILY_H

#include "core/region.h"

/* The region, made by the first call.  Returns 0, -ENOMEM, or -ENOSYS on
 * kernels that lack what it takes. */
int ipc__family(struct ipc__region **out);

/* Have pages of the region present, so that touching them cannot fail: 0 or
 * -ENOMEM. */
int ipc__family_populate(void *start, size_t size);

/* Give the pages' memory back; they read as zeros afterwards.  The first
 * touched bytes of them may be something else now. */
void ipc__family_release(void *start, size_t size, size_t touched);

#endif
