#include "kernel/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <time.h>

#include "kernel/syscall.h"

#ifndef SYS_pidfd_open
#    define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#    define SYS_pidfd_send_signal 424
#endif

/* The kernel's struct pidfd_info in its first version, which old headers
 * lack. */
struct pidfd_info_0 {
    uint64_t mask;
    uint64_t cgroup;
    uint32_t ids[11];
    int32_t exit_code;
};

#define PIDFD_GET_INFO_0  _IOWR(0xff, 11, struct pidfd_info_0)
#define PIDFD_INFO_EXIT_0 ((uint64_t)1 << 3)

_Static_assert(sizeof(struct pidfd_info_0) == 64, "PIDFD_INFO_SIZE_VER0");

int ipc__pidfd_exit_status(int fd, int *status)
{
    struct pidfd_info_0 info = {.mask = PIDFD_INFO_EXIT_0};
    const long rc = ipc__syscall3(SYS_ioctl, fd, PIDFD_GET_INFO_0, &info);
    if (rc < 0)
        return (int)rc;
    if ((info.mask & PIDFD_INFO_EXIT_0) == 0)
        return -EINVAL;
    *status = info.exit_code;
    return 0;
}

int ipc__fd_above_standard(int fd)
{
    if (fd < 0 || fd > 2)
        return fd;
    const long high = ipc__syscall3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
    (void)ipc__syscall1(SYS_close, fd);
    return (int)high;
}

int ipc__pidfd_open(int pid)
{
    return ipc__fd_above_standard((int)ipc__syscall2(SYS_pidfd_open, pid, 0));
}

int ipc__pidfd_signal(int fd, int sig)
{
    return (int)ipc__syscall4(SYS_pidfd_send_signal, fd, sig, 0, 0);
}

void ipc__pidfd_close(int fd)
{
    if (fd >= 0 && ipc__pidfd_signal(fd, 0) != -EBADF)
        (void)ipc__syscall1(SYS_close, fd);
}

int ipc__pidfd_wait(int fd, ipc_deadline deadline)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    for (;;) {
        struct timespec left;
        const int64_t ns = ipc_time_left(deadline);
        left.tv_sec = ns / 1000000000;
        left.tv_nsec = ns % 1000000000;
        const int rc =
            ppoll(&item, 1, deadline == IPC_TIME_FOREVER ? NULL : &left, NULL);
        if (rc > 0)
            return (item.revents & POLLNVAL) != 0 ? -EBADF : 0;
        if (rc == 0) {
            if (ipc_time_left(deadline) == 0)
                return -ETIMEDOUT;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
}
