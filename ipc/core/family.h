/* The family's region: one range of addresses that a process and everything
 * forked from it share. */
#ifndef IPC_CORE_FAMILY_H
#define IPC_CORE_FAMILY_H

#include "core/region.h"

/* The region, made by the first call.  Returns 0, -ENOMEM, or -ENOSYS on
 * kernels that lack what it takes. */
int ipc__family(struct ipc__region **out);

#endif
