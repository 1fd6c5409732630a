/* One use of fresh images and of the template: a part of everything.c, where
 * DONE() is. */
#ifndef FAULT_EVERYTHING_START_H
#define FAULT_EVERYTHING_START_H

#include <fcntl.h>

#include <ipc/process.h>

IPC_ENTRY(return_it);
IPC_ENTRY(sleep_for_good);

static int write_into_it(void *arg)
{
    return write(*(int *)arg, "x", 1) != 1;
}

IPC_ENTRY(write_into_it);

static int prepare_template(void *unused)
{
    (void)unused;
    return 0;
}

IPC_ENTRY(prepare_template);

/* ---- each kind of child ---- */

static void start_fresh(uint32_t method, bool daemon)
{
    int number = 5;
    const ipc_process_options options = {.size = sizeof options,
                                         .arg_bytes = sizeof number,
                                         .daemon = daemon && !now->no_threads,
                                         .start_method = method};
    ipc_process p;
    const bool ready = DONE(ipc_process_init(&p, return_it, &number, &options));
    const bool started = DONE(ipc_process_start(&p));
    assert_true(ready || !started);
    finish(&p, started, 5);
}

static void start_with_pipe(uint32_t method)
{
    int ends[2];
    char c = 0;
    ipc_process p;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    const ipc_process_options options = {.size = sizeof options,
                                         .arg_bytes = sizeof ends[1],
                                         .fds = &ends[1],
                                         .fd_count = 1,
                                         .start_method = method};
    const bool ready =
        DONE(ipc_process_init(&p, write_into_it, &ends[1], &options));
    const bool started = DONE(ipc_process_start(&p));
    assert_true(ready || !started);
    finish(&p, started, 0);
    if (started && !now->blind)
        assert_int_equal(read(ends[0], &c, 1), 1);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void start_and_end(uint32_t method)
{
    const ipc_process_options options = {.size = sizeof options,
                                         .start_method = method};
    ipc_process p;
    CHECK(ipc_process_init(&p, sleep_for_good, NULL, &options), 0);
    const bool started = DONE(ipc_process_start(&p));
    if (started && !DONE(ipc_process_terminate(&p)))
        CHECK(ipc_process_kill(&p), 0);
    if (started)
        assert_true(end_of(&p) < 0);
    else
        CHECK(ipc_process_close(&p), 0);
}

static void start_each(uint32_t method)
{
    start_fresh(method, false);
    start_fresh(method, true);
    start_with_pipe(method);
    start_and_end(method);
    assert_int_equal(ipc_active_children(NULL, 0), 0);
}

/* ---- the template ---- */

static void use_template(void)
{
    const ipc_forkserver_options options = {.size = sizeof options,
                                            .preload = prepare_template};
    (void)DONE(ipc_forkserver_start(&options));
    start_each(IPC_START_FORKSERVER);
    (void)DONE(ipc_forkserver_stop());
    assert_int_equal(ipc_forkserver_pid(), 0);
}

static void use_starts(void)
{
    start_each(IPC_START_SPAWN);
    use_template();
    if (!now->no_threads)
        use_pool(IPC_POOL_PROCESSES, IPC_START_SPAWN, BY_TERMINATE);
}

#endif
