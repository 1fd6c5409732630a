/* The family's region: one range of addresses that a process and everything
 * started from it share. */
#ifndef IPC_CORE_FAMILY_H
#define IPC_CORE_FAMILY_H

#include "core/region.h"

/* The region, made by the first call.  Returns 0, -ENOMEM, or -ENOSYS on
 * kernels that lack what it takes. */
int ipc__family(struct ipc__region **out);

/* Where it is, for a fresh image of the program. */
struct ipc__family_place {
    uint64_t address;
    uint64_t size;
    uint64_t id;
    int32_t fd; /* of its memfd */
    uint32_t reserved;
};

/* Returns 0; -EBADF when the program has closed the descriptor; as
 * ipc__family(). */
int ipc__family_place(struct ipc__family_place *out);

/* The descriptor of its memfd, or -EBADF. */
int ipc__family_fd(void);

/* It has another number now. */
void ipc__family_fd_moved(int fd);

/* In a fresh image, before it has a family: be a member of this one.  Returns
 * 0, -EEXIST when the addresses are taken, or what is wrong with it. */
int ipc__family_enter(const struct ipc__family_place *place);

#endif
