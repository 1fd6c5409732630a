/* What the tests of futures have in common. */
#ifndef FUTURE_SUPPORT_H
#define FUTURE_SUPPORT_H

#include "unit/thread_support.h"

#include <ipc/future.h>
#include <ipc/pool.h>
#include <ipc/shared.h>
#include <ipc/wait.h>

#include "harness/scale.h"

enum {
    SOON_MS = 20, /* for a wait that is to time out */
    SLACK_MS = 1000
};

#define NS_PER_MS INT64_C(1000000)

static inline ipc_future *new_promise(size_t bytes)
{
    ipc_future *promise = NULL;
    CHECK(ipc_promise_new(bytes, &promise), 0);
    assert_false(ipc_future_done(promise));
    return promise;
}

/* One with an int for its result. */
static inline ipc_future *new_number(void)
{
    return new_promise(sizeof(int));
}

static inline void set_number(ipc_future *promise, int number)
{
    CHECK(ipc_promise_set_result(promise, &number, sizeof number), 0);
}

static inline int number_of(ipc_future *future)
{
    int number = -1;
    size_t bytes = 0;
    CHECK(ipc_future_result_until(future, &number, sizeof number, &bytes,
                                  ipc_after_ms(LIMIT_MS)),
          0);
    assert_int_equal(bytes, sizeof number);
    return number;
}

static inline void expect_status(ipc_future *future, int status)
{
    CHECK(
        ipc_future_result_until(future, NULL, 0, NULL, ipc_after_ms(LIMIT_MS)),
        status);
}

static inline void expect_says(const char *part)
{
    if (strstr(ipc_error_detail(), part) == NULL)
        test_fail("\"%s\" does not say \"%s\"", ipc_error_detail(), part);
}

static inline ipc_exception exception_of(ipc_future *future)
{
    ipc_exception exception = IPC_EXCEPTION_INIT;
    CHECK(ipc_future_exception(future, &exception, ipc_after_ms(LIMIT_MS)), 0);
    return exception;
}

static inline void free_future(ipc_future *future)
{
    CHECK(ipc_future_free(future), 0);
}

static inline void free_futures(ipc_future **futures, size_t n)
{
    for (size_t i = 0; i < n; i++)
        CHECK(ipc_future_free(futures[i]), 0);
}

static inline uint64_t allocations(void)
{
    ipc_shared_info info = IPC_SHARED_INFO_INIT;
    CHECK(ipc_shared_query(&info), 0);
    return info.count;
}

/* ---- something done once a thread sleeps ---- */

struct later {
    void (*act)(void *arg);
    void *arg;
    pid_t sleeper;
    pthread_t thread;
};

static inline void *do_later(void *arg)
{
    struct later *later = arg;
    wait_until_blocked(later->sleeper, LIMIT_MS);
    later->act(later->arg);
    return NULL;
}

static inline void begin_later(struct later *later, void (*act)(void *arg),
                               void *arg)
{
    *later = (struct later){.act = act, .arg = arg, .sleeper = gettid()};
    assert_int_equal(pthread_create(&later->thread, NULL, do_later, later), 0);
}

static inline void end_later(struct later *later)
{
    assert_int_equal(pthread_join(later->thread, NULL), 0);
}

static inline void set_seven(void *promise)
{
    set_number(promise, 7);
}

#endif
