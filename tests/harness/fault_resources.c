/* A full /dev/shm, no descriptors left, another user. */
#include "harness/faults.h"

#include "harness/internal.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

void fault_small_shm(size_t size_bytes, long inodes)
{
    char options[96];
    int length =
        snprintf(options, sizeof options, "mode=1777,size=%zu", size_bytes);
    if (inodes > 0)
        (void)snprintf(options + length, sizeof options - (size_t)length,
                       ",nr_inodes=%ld", inodes);
    if (!test__own_shm(options))
        test_skip("no mount namespaces here: %m");
}

/* ---- descriptors ---- */

static struct rlimit fds_before;

/* The kernel limits the number, not the count: find the number below which so
 * many are free. */
void fault_fds_left(int count)
{
    if (getrlimit(RLIMIT_NOFILE, &fds_before) != 0)
        test_fail("getrlimit: %m");
    rlim_t number = 0;
    for (;; number++)
        if (fcntl((int)number, F_GETFD) < 0 && count-- == 0)
            break;
    struct rlimit limit = {number, fds_before.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        test_fail("setrlimit: %m");
}

void fault_fds_restore(void)
{
    if (setrlimit(RLIMIT_NOFILE, &fds_before) != 0)
        test_fail("setrlimit: %m");
}

/* ---- users ---- */

void become_nobody(void)
{
    enum {
        NOBODY = 65534
    };
    if (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) != 0)
        test_skip("only root can become another user");
    /* The change of user made us opaque to /proc and ended the promise to die
     * with the parent. */
    (void)prctl(PR_SET_DUMPABLE, 1);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}
