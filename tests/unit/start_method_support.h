/* What the tests of start methods have in common.  A fresh image has none of
 * the case's memory: what is looked at lies in family memory. */
#ifndef START_METHOD_SUPPORT_H
#define START_METHOD_SUPPORT_H

#include "unit/process_support.h"

#include <ipc/shared.h>

static const uint32_t methods[] = {IPC_START_FORK, IPC_START_FORKSERVER,
                                   IPC_START_SPAWN};
enum {
    METHODS = 3,
    FRESH = 1 /* the first method that is not fork */
};

static inline void *family(size_t size)
{
    void *memory = ipc_shared_alloc(size);
    assert_non_null(memory);
    return memory;
}

static inline ipc_process_options by(uint32_t method)
{
    return (ipc_process_options){.size = sizeof(ipc_process_options),
                                 .start_method = method};
}

static inline void start_by(uint32_t method, ipc_process *process,
                            int (*target)(void *arg), void *arg)
{
    const ipc_process_options options = by(method);
    start_with(process, target, arg, &options);
}

static inline int run_by(uint32_t method, int (*target)(void *arg), void *arg)
{
    ipc_process process;
    start_by(method, &process, target, arg);
    return end_of(&process);
}

static inline int run_with(const ipc_process_options *options,
                           int (*target)(void *arg), void *arg)
{
    ipc_process process;
    start_with(&process, target, arg, options);
    return end_of(&process);
}

/* Starting it fails, and leaves nothing. */
static inline void expect_no_start(const ipc_process_options *options,
                                   int (*target)(void *arg), void *arg,
                                   int error)
{
    ipc_process p;
    const int fds = count_fds();
    CHECK(ipc_process_init(&p, target, arg, options), 0);
    for (int i = 0; i < 2; i++) {
        CHECK(ipc_process_start(&p), error);
        assert_true(strlen(ipc_error_detail()) > 0);
        assert_int_equal(ipc_process_pid(&p), 0);
        assert_int_equal(ipc_active_children(NULL, 0), 0);
    }
    CHECK(ipc_process_close(&p), 0);
    if (ipc_forkserver_pid() == 0)
        assert_int_equal(count_fds(), fds);
}

/* The end of a case. */
static inline void no_server(void)
{
    CHECK(ipc_forkserver_stop(), 0);
    assert_int_equal(ipc_forkserver_pid(), 0);
}

#endif
