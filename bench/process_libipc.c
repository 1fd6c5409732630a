/* The processes of libipc, as a program uses them: from init to close. */
#include "process_peer.h"

#include <ipc/error.h>
#include <ipc/process.h>

#include <err.h>
#include <stdlib.h>

/* What a copied argument may look like. */
struct order {
    int exitcode;
    char text[60];
};

static void check(int rc, const char *call)
{
    if (rc != 0)
        errx(EXIT_FAILURE, "%s: %s %s", call, ipc_strerror(rc),
             ipc_error_detail());
}

static int end_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static int end_as_ordered(void *arg)
{
    const struct order *order = arg;

    return order->exitcode;
}

IPC_ENTRY(end_at_once);

static void join_and_close(ipc_process *process)
{
    int exitcode;

    check(ipc_process_join(process), "ipc_process_join");
    check(ipc_process_exitcode(process, &exitcode), "ipc_process_exitcode");
    if (exitcode != 0)
        errx(EXIT_FAILURE, "a child ended with %d", exitcode);
    check(ipc_process_close(process), "ipc_process_close");
}

static void one_plain(void)
{
    ipc_process process;

    (void)ipc_process_init(&process, end_at_once, NULL, NULL);
    check(ipc_process_start(&process), "ipc_process_start");
    join_and_close(&process);
}

static void one_with_args(void)
{
    ipc_process_options options = IPC_PROCESS_OPTIONS_INIT;
    struct order order = {0, "a copied argument"};
    ipc_process process;

    options.arg_bytes = sizeof order;
    (void)ipc_process_init(&process, end_as_ordered, &order, &options);
    check(ipc_process_start(&process), "ipc_process_start");
    join_and_close(&process);
}

static void one_daemon(void)
{
    ipc_process_options options = IPC_PROCESS_OPTIONS_INIT;
    ipc_process process;

    options.daemon = true;
    (void)ipc_process_init(&process, end_at_once, NULL, &options);
    check(ipc_process_start(&process), "ipc_process_start");
    join_and_close(&process);
}

static void one_by(uint32_t method)
{
    ipc_process_options options = IPC_PROCESS_OPTIONS_INIT;
    ipc_process process;

    options.start_method = method;
    (void)ipc_process_init(&process, end_at_once, NULL, &options);
    check(ipc_process_start(&process), "ipc_process_start");
    join_and_close(&process);
}

static void one_served(void)
{
    one_by(IPC_START_FORKSERVER);
}

static void one_spawned(void)
{
    one_by(IPC_START_SPAWN);
}

static void many_by(uint32_t method)
{
    ipc_process_options options = IPC_PROCESS_OPTIONS_INIT;
    ipc_process processes[PROCESS_MANY];

    options.start_method = method;
    for (int i = 0; i < PROCESS_MANY; i++) {
        (void)ipc_process_init(&processes[i], end_at_once, NULL, &options);
        check(ipc_process_start(&processes[i]), "ipc_process_start");
    }
    for (int i = 0; i < PROCESS_MANY; i++)
        join_and_close(&processes[i]);
}

static void many_plain(void)
{
    many_by(IPC_START_FORK);
}

static void many_served(void)
{
    many_by(IPC_START_FORKSERVER);
}

static void many_spawned(void)
{
    many_by(IPC_START_SPAWN);
}

const struct process_peer process_peers_libipc[] = {
    {"libipc", NULL, one_plain, many_plain},
    {"libipc-args", NULL, one_with_args, NULL},
    {"libipc-daemon", NULL, one_daemon, NULL},
    {"libipc-forkserver", NULL, one_served, many_served},
    {"libipc-spawn", NULL, one_spawned, many_spawned},
    {0},
};
