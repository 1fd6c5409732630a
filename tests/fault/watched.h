/* The nth system call of a kind fails, in a process and all that it starts:
 * threads that have all signals blocked, children, fresh images.
 *
 * A seccomp filter has the kernel ask the case's process about each such call;
 * that one counts them.  The call must not be one that this file makes while it
 * is being watched: futex, and those of the harness. */
#ifndef FAULT_WATCHED_H
#define FAULT_WATCHED_H

#include "harness/harness.h"
#include "harness/role.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#    define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#    define SYS_pidfd_getfd 438
#endif

/* In memory from test_shared(). */
struct watched {
    int number; /* of the call */
    int error;
    long first; /* from this one on, */
    long last;  /* to this one, they fail */
    long calls; /* so many were made so far */

    int listener; /* its descriptor in the role */
    uint32_t is_set;
    uint32_t goes;
    uint32_t over;
};

/* ---- in the role that is watched ---- */

static inline void watched_begin(struct watched *watched)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)watched->number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof code[0], code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        test_fail("no_new_privs: %m");
    watched->listener =
        (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                     SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    meet_signal(&watched->is_set);
    if (watched->listener < 0)
        test_skip("no seccomp listeners here: %m");
    meet_wait(&watched->goes, 1, 10000);
    (void)close(watched->listener);
}

/* No more faults; returns how many calls there were. */
static inline long watched_end(struct watched *watched)
{
    __atomic_store_n(&watched->over, 1, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&watched->calls, __ATOMIC_SEQ_CST);
}

/* ---- in the case ---- */

static inline bool watched_fails(struct watched *watched)
{
    if (__atomic_load_n(&watched->over, __ATOMIC_SEQ_CST) != 0)
        return false;
    const long call = __atomic_add_fetch(&watched->calls, 1, __ATOMIC_SEQ_CST);
    return call >= watched->first && call <= watched->last;
}

/* Who has asked may have been killed meanwhile. */
static inline void watched_answer(struct watched *watched, int listener)
{
    struct seccomp_notif question;
    struct seccomp_notif_resp answer;
    memset(&question, 0, sizeof question);
    memset(&answer, 0, sizeof answer);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &question) != 0)
        return;
    answer.id = question.id;
    if (watched_fails(watched))
        answer.error = -watched->error;
    else
        answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    (void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

static inline int watched_listener(const struct watched *watched,
                                   const struct role *role)
{
    const int pidfd = (int)syscall(SYS_pidfd_open, role->pid, 0);
    const int fd = (int)syscall(SYS_pidfd_getfd, pidfd, watched->listener, 0);
    if (fd < 0)
        test_skip("no descriptors of other processes here: %m");
    (void)close(pidfd);
    return fd;
}

/* Until all that is watched has ended, but for so long at most. */
static inline void watched_serve(struct watched *watched,
                                 const struct role *role, int limit_ms)
{
    const int64_t end = test_now_ns() + (int64_t)limit_ms * 1000000;
    meet_wait(&watched->is_set, 1, limit_ms);
    if (watched->listener < 0)
        return;
    struct pollfd pollfd = {.fd = watched_listener(watched, role),
                            .events = POLLIN};
    meet_signal(&watched->goes);
    while (test_now_ns() < end) {
        if (poll(&pollfd, 1, 100) <= 0)
            continue;
        if ((pollfd.revents & POLLIN) == 0)
            break;
        watched_answer(watched, pollfd.fd);
    }
    (void)close(pollfd.fd);
}

#endif
