/* A task that never ends is cut off.
 *
 * A future of Python can be waited for with a timeout, but what it stands for
 * runs on, and keeps a worker busy until the program is killed.
 *
 * Here a task has a time to run.  When that is up its worker is sent SIGTERM,
 * and SIGKILL if it still runs a grace later; another worker takes its place.
 * No other task is touched.  (A thread cannot be killed: it is asked, see
 * ipc_task_is_cancelled().) */
#include <ipc/ipc.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>

enum {
    ROOTS = 8
};

static void check(int rc)
{
    if (rc < 0)
        errx(1, "pool: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

/* The task: the whole number whose square is arg.  It looks at all of them, and
 * forgets to stop when they have become too large. */
static int root(const void *arg, void *result, ipc_task *task)
{
    const uint32_t *square = arg;
    volatile uint32_t number = 0; /* an endless loop that is meant */

    (void)task;
    while (number * number != *square)
        number++;
    *(uint32_t *)result = number;
    return 0;
}

static ipc_future *submit(ipc_pool *pool, uint32_t square)
{
    ipc_future *future;

    check(ipc_pool_submit(pool, root, &square, sizeof square, sizeof(uint32_t),
                          &future));
    return future;
}

int main(void)
{
    ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
    ipc_exception exception = IPC_EXCEPTION_INIT;
    ipc_future *runaway, *futures[ROOTS];
    uint32_t number;
    ipc_pool *pool;

    options.workers = 2;
    options.task_ns = (int64_t)200 * 1000 * 1000;
    options.grace_ns = (int64_t)100 * 1000 * 1000;
    check(ipc_pool_new(&options, &pool));

    runaway = submit(pool, 1000003);
    for (uint32_t i = 0; i < ROOTS; i++)
        futures[i] = submit(pool, (1000 + i) * (1000 + i));

    for (int i = 0; i < ROOTS; i++) {
        check(ipc_future_result(futures[i], &number, sizeof number, NULL));
        printf("the root of %u is %u\n", number * number, number);
    }
    if (ipc_future_result(runaway, &number, sizeof number, NULL) != -ETIME)
        errx(1, "1000003 has a root");
    check(ipc_future_exception(runaway, &exception, IPC_TIME_FOREVER));
    printf("the root of 1000003: %s\n", exception.message);

    check(ipc_pool_apply(pool, root, &(uint32_t){144}, sizeof(uint32_t),
                         &number, sizeof number));
    printf("and the pool works on: the root of 144 is %u\n", number);
    check(ipc_pool_free(pool));
    return 0;
}
