/* A lock that its owner may acquire again.
 *
 *     ll = tl = RLock()               # one lock under two names
 *     def run():
 *         with tl:
 *             with ll:                # a plain Lock would wait for itself
 *                 func()              # which takes both once more
 *
 * An RLock counts how many times its owner holds it, and is free for others
 * after the last release.  A plain ipc_lock answers -EDEADLK instead. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

static void check(int rc)
{
    if (rc < 0)
        errx(1, "%s: %s", ipc_strerror(rc), ipc_error_detail());
}

static void func(ipc_rlock *lock, const char *name)
{
    int rc;

    check(ipc_rlock_acquire(lock));
    printf("%s: in func(), depth %u\n", name, ipc_rlock_depth(lock));

    /* The same with a scope: released however the block is left. */
    IPC_WITH_RLOCK(lock, rc)
        printf("%s: with the scope, depth %u\n", name, ipc_rlock_depth(lock));
    check(rc);
    check(ipc_rlock_release(lock));
}

static int run(void *arg)
{
    const char *name = ipc_process_name(ipc_current_process());
    ipc_rlock *lock = arg;

    check(ipc_rlock_acquire(lock));
    check(ipc_rlock_acquire(lock));
    printf("%s: begins, depth %u\n", name, ipc_rlock_depth(lock));
    func(lock, name);
    printf("%s: ends, depth %u\n", name, ipc_rlock_depth(lock));
    fflush(stdout); /* before somebody else prints */
    check(ipc_rlock_release(lock));
    check(ipc_rlock_release(lock));
    return 0;
}

int main(void)
{
    ipc_process p[2];
    ipc_rlock *lock;
    int exitcode, failed = 0;

    check(ipc_rlock_new(NULL, &lock));
    for (int i = 0; i < 2; i++) {
        ipc_process_init(&p[i], run, lock, NULL);
        check(ipc_process_start(&p[i]));
    }
    for (int i = 0; i < 2; i++) {
        check(ipc_process_join(&p[i]));
        check(ipc_process_exitcode(&p[i], &exitcode));
        failed |= exitcode != 0;
        ipc_process_close(&p[i]);
    }
    check(ipc_rlock_free(lock));
    return failed;
}
