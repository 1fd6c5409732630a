/* The three ways to start a process, and what of its parent each child has.
 *
 *     multiprocessing.set_start_method("spawn")
 *     p = Process(target=look, args=(9.5,))
 *
 * A fork is a copy of the parent.  The others begin as a fresh image of the
 * program: they have what they are given (bytes, descriptors) and what the
 * family shares, and nothing else, whatever the parent's memory and threads
 * are like. */
#include <ipc/ipc.h>

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static double rate = 1.0; /* an ordinary variable */

/* What the child gets as bytes. */
struct order {
    double rate;
    int *seen;     /* in family memory */
    int passed_fd; /* named in the options */
    int other_fd;  /* open, and not named */
};

static const char *yes_no(bool yes)
{
    return yes ? "yes" : "no";
}

static int look(void *arg)
{
    const struct order *order = arg;

    ++*order->seen;
    printf("  argument: %g, variable: %g%s\n", order->rate, rate,
           rate == order->rate ? "" : " (as at the beginning)");
    printf("  the passed descriptor: %s, the other one: %s\n",
           yes_no(fcntl(order->passed_fd, F_GETFD) >= 0),
           yes_no(fcntl(order->other_fd, F_GETFD) >= 0));
    printf("  started by %s, its kernel's parent: %s\n",
           ipc_process_name(ipc_parent_process()),
           getppid() == ipc_getppid() ? "the same" : "the template");
    return 0;
}
IPC_ENTRY(look); /* may run in a fresh image */

static void check(int rc, const char *what)
{
    if (rc < 0)
        errx(1, "%s: %s: %s", what, ipc_strerror(rc), ipc_error_detail());
}

static void start_by(enum ipc_start_method method, struct order *order)
{
    ipc_process_options options = IPC_PROCESS_OPTIONS_INIT;
    const ipc_deadline begin = ipc_now();
    ipc_process p;

    options.start_method = method;
    options.arg_bytes = sizeof *order;
    options.fds = &order->passed_fd;
    options.fd_count = 1;
    check(ipc_process_init(&p, look, order, &options), "init");
    check(ipc_process_start(&p), "start");
    check(ipc_process_join(&p), "join");
    check(ipc_process_close(&p), "close");
    printf("  took %.0f us\n", (double)(ipc_now() - begin) / 1e3);
}

int main(int argc, char **argv)
{
    /* First: in a fresh image it runs the target, and does not return. */
    ipc_spawn_main(argc, argv);

    struct order order = {.rate = 9.5,
                          .seen = ipc_shared_alloc(sizeof(int)),
                          .passed_fd = open("/dev/null", O_RDONLY | O_CLOEXEC),
                          .other_fd = open("/dev/null", O_RDONLY | O_CLOEXEC)};

    if (order.seen == NULL)
        errx(1, "family memory: %s", ipc_error_detail());
    rate = 9.5;

    printf("fork:\n");
    start_by(IPC_START_FORK, &order);

    /* Without this the first child would start it. */
    check(ipc_forkserver_start(NULL), "forkserver");
    printf("forkserver:\n");
    start_by(IPC_START_FORKSERVER, &order);
    check(ipc_forkserver_stop(), "forkserver");

    printf("spawn:\n");
    start_by(IPC_START_SPAWN, &order);

    printf("family memory: %d children were there\n", *order.seen);
    close(order.passed_fd);
    close(order.other_fd);
    return ipc_shared_free(order.seen) == 0 ? 0 : 1;
}
