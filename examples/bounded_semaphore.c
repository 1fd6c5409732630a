/* A semaphore that notices one release too many.
 *
 *     s = BoundedSemaphore(2)
 *     s.acquire()
 *     s.release()
 *     s.release()         # ValueError: Semaphore released too many times
 *
 * A plain one takes it for a new permit: with two tills and three permits,
 * three cashiers would work at two tills, and nobody would know why. */
#include <ipc/ipc.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>

#define TILLS 2

static void check(int rc, const char *what)
{
    if (rc < 0)
        errx(1, "%s: %s: %s", what, ipc_strerror(rc), ipc_error_detail());
}

/* Twice back what was taken once: a typical mistake in a way out that is
 * seldom taken.  Returns what the second release gave. */
static int be_careless(ipc_semaphore *tills)
{
    check(ipc_semaphore_acquire(tills), "acquire");
    check(ipc_semaphore_release(tills), "release");
    return ipc_semaphore_release(tills);
}

static int try_kind(const char *kind, unsigned flags)
{
    ipc_semaphore_options options = IPC_SEMAPHORE_OPTIONS_INIT;
    ipc_semaphore *tills;
    int rc;

    options.flags = flags;
    options.label = "tills";
    check(ipc_semaphore_new(TILLS, &options, &tills), "new");

    rc = be_careless(tills);
    if (rc == 0)
        printf("%s: one release too many went unnoticed\n", kind);
    else
        printf("%s: one release too many is refused: %s\n", kind,
               ipc_error_detail());
    printf("%s: %u permits for %d tills\n", kind, ipc_semaphore_value(tills),
           TILLS);
    check(ipc_semaphore_free(tills), "free");
    return rc;
}

int main(void)
{
    const int plain = try_kind("plain", 0);
    const int bounded = try_kind("bounded", IPC_SEMAPHORE_BOUNDED);

    return plain == 0 && bounded == -EOVERFLOW ? 0 : 1;
}
