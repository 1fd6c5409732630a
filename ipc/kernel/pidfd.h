/* Processes by descriptor: a pidfd names one process and never another. */
#ifndef IPC_KERNEL_PIDFD_H
#define IPC_KERNEL_PIDFD_H

#include <ipc/time.h>

/* Returns a close-on-exec descriptor or a negative errno. */
int ipc__pidfd_open(int pid);

/* A new descriptor, or a negative errno as it is: give it another number if it
 * is 0, 1 or 2, which are not the library's to take when a program has closed
 * them.  Returns it, close-on-exec then, or a negative errno. */
int ipc__fd_above_standard(int fd);

/* Returns 0 or a negative errno; -ESRCH when it has ended and was waited
 * for. */
int ipc__pidfd_signal(int fd, int sig);

/* Close it, unless the program has closed it before and the number belongs to
 * something else by now.  Negative numbers are fine. */
void ipc__pidfd_close(int fd);

/* Wait until it has ended.  Returns 0, -ETIMEDOUT, or a negative errno. */
int ipc__pidfd_wait(int fd, ipc_deadline deadline);

/* The wait status of a process that has ended and was waited for.  -ENOTTY,
 * -EINVAL and the like before Linux 6.15. */
int ipc__pidfd_exit_status(int fd, int *status);

#endif
