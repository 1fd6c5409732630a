/* A process dies inside; its permit comes back.
 *
 *     s = Semaphore(1)
 *     with s:
 *         os.kill(os.getpid(), SIGKILL)
 *     ...
 *     s.acquire()                     # elsewhere: waits for ever
 *
 * A plain semaphore counts, and does not know who holds what: so it is in
 * Python, in POSIX, and here.  A tracked one knows. */
#include <ipc/ipc.h>

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>

static void check(int rc, const char *what)
{
    if (rc < 0)
        errx(1, "%s: %s: %s", what, ipc_strerror(rc), ipc_error_detail());
}

static int come_and_die(void *arg)
{
    ipc_semaphore *room = arg;

    check(ipc_semaphore_acquire(room), "acquire");
    raise(SIGKILL);
    check(ipc_semaphore_release(room), "release"); /* never gets here */
    return 0;
}

static void lose_a_process_in(ipc_semaphore *room)
{
    ipc_process p;
    int exitcode = 0;

    ipc_process_init(&p, come_and_die, room, NULL);
    check(ipc_process_start(&p), "start");
    check(ipc_process_join(&p), "join");
    check(ipc_process_exitcode(&p, &exitcode), "exitcode");
    ipc_process_close(&p);
    if (exitcode != -SIGKILL)
        errx(1, "the child ended with %d", exitcode);
}

/* What the next one who comes gets, if it waits for a moment. */
static int come_next(ipc_semaphore *room)
{
    const int rc = ipc_semaphore_acquire_until(room, ipc_after_ms(300));

    if (rc == 0)
        check(ipc_semaphore_release(room), "release");
    return rc;
}

static int try_kind(unsigned flags)
{
    ipc_semaphore_options options = IPC_SEMAPHORE_OPTIONS_INIT;
    ipc_semaphore *room;
    int rc;

    options.flags = flags;
    check(ipc_semaphore_new(1, &options, &room), "new");
    lose_a_process_in(room);
    rc = come_next(room);
    check(ipc_semaphore_free(room), "free");
    return rc;
}

int main(void)
{
    const int plain = try_kind(0);
    const int tracked = try_kind(IPC_SEMAPHORE_TRACKED);

    printf("plain:   the permit of a killed holder %s\n",
           plain == 0 ? "is back" : "is lost");
    printf("tracked: the permit of a killed holder %s\n",
           tracked == 0 ? "is back" : "is lost");
    return plain == -ETIMEDOUT && tracked == 0 ? 0 : 1;
}
