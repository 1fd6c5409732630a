/* Twenty tasks for a pool of five worker processes.
 *
 *     p = ProcessPoolExecutor(5)
 *     futures = [p.submit(longest, n * 1000) for n in range(1, 21)]
 *     for f in futures:
 *         print(f.result())
 *
 * submit hands over a function and the bytes for it, and returns a future at
 * once; result waits.  Who asks for each result right after its submit has
 * them run one after the other: submit all, then ask. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

enum {
    WORKERS = 5,
    TASKS = 20
};

struct chain {
    uint32_t start;
    uint32_t steps;
};

/* Halve a number if it is even, else take three times as many and one more,
 * until it is 1: how many steps is that? */
static uint32_t steps_from(uint64_t number)
{
    uint32_t steps = 0;

    for (; number != 1; steps++)
        number = number % 2 == 0 ? number / 2 : 3 * number + 1;
    return steps;
}

/* The task: the start below a limit from where it takes the most of them. */
static int longest(const void *arg, void *result, ipc_task *task)
{
    const uint32_t *limit = arg;
    struct chain *best = result;

    (void)task;
    for (uint32_t start = 1; start < *limit; start++) {
        const uint32_t steps = steps_from(start);

        if (steps > best->steps)
            *best = (struct chain){start, steps};
    }
    return 0;
}

static void check(int rc)
{
    if (rc < 0)
        errx(1, "pool: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

int main(void)
{
    ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
    ipc_future *futures[TASKS];
    ipc_pool *pool;

    options.workers = WORKERS;
    check(ipc_pool_new(&options, &pool));

    for (uint32_t i = 0; i < TASKS; i++) {
        const uint32_t limit = (i + 1) * 1000;

        check(ipc_pool_submit(pool, longest, &limit, sizeof limit,
                              sizeof(struct chain), &futures[i]));
    }
    for (uint32_t i = 0; i < TASKS; i++) {
        struct chain best;

        check(ipc_future_result(futures[i], &best, sizeof best, NULL));
        printf("below %5u: %u steps from %u\n", (i + 1) * 1000, best.steps,
               best.start);
        check(ipc_future_free(futures[i]));
    }
    check(ipc_pool_free(pool));
    return 0;
}
