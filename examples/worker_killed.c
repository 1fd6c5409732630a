/* What becomes of a pool when one of its workers is killed.
 *
 * Python's ProcessPoolExecutor is broken from then on: every future of it fails
 * with BrokenProcessPool, and submit does too.  Pool of multiprocessing waits
 * for ever for the lost result.
 *
 * Here the task that the worker was running fails, and its future tells how.
 * The other tasks do not notice, and another worker takes the place of the dead
 * one.  A task that may be begun more than once can say so: it is begun
 * again. */
#include <ipc/ipc.h>

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>

enum {
    OTHERS = 10
};

static void check(int rc)
{
    if (rc < 0)
        errx(1, "pool: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

static uint64_t sum_of_divisors(uint64_t number)
{
    uint64_t sum = number > 1;

    for (uint64_t i = 2; i * i <= number; i++)
        if (number % i == 0)
            sum += i * i == number ? i : i + number / i;
    return sum;
}

/* A short task: is the number perfect, the sum of its divisors? */
static int is_perfect(const void *arg, void *result, ipc_task *task)
{
    const uint64_t *number = arg;
    int *answer = result;

    (void)task;
    *answer = sum_of_divisors(*number) == *number;
    return 0;
}

/* A very long one: the first odd perfect number.  Nobody has found one. */
static int find_odd_perfect(const void *arg, void *result, ipc_task *task)
{
    ipc_event *const *begun = arg;
    uint64_t number = 3;

    (void)task;
    check(ipc_event_set(*begun));
    while (sum_of_divisors(number) != number)
        number += 2;
    *(uint64_t *)result = number;
    return 0;
}

/* One that has bad luck the first time. */
static int unlucky(const void *arg, void *result, ipc_task *task)
{
    if (ipc_task_attempt(task) == 1)
        raise(SIGKILL);
    return is_perfect(arg, result, task);
}

static ipc_future *submit_search(ipc_pool *pool, ipc_event *begun)
{
    ipc_future *search;

    check(ipc_pool_submit(pool, find_odd_perfect, &begun, sizeof(ipc_event *),
                          sizeof(uint64_t), &search));
    return search;
}

static ipc_future *submit_unlucky(ipc_pool *pool)
{
    ipc_task_options options = IPC_TASK_OPTIONS_INIT;
    const uint64_t number = 8128;
    ipc_future *lucky;

    options.retries = 1;
    check(ipc_pool_submit_with(pool, &options, unlucky, &number, sizeof number,
                               sizeof(int), &lucky));
    return lucky;
}

static void kill_who_runs(ipc_pool *pool, ipc_task_function *fn)
{
    ipc_worker_info workers[2];
    const size_t n = ipc_pool_workers(pool, workers, 2);

    for (size_t i = 0; i < n && i < 2; i++)
        if (workers[i].fn == fn)
            kill(workers[i].pid, SIGKILL);
}

int main(void)
{
    ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
    ipc_exception exception = IPC_EXCEPTION_INIT;
    ipc_pool_stats stats = IPC_POOL_STATS_INIT;
    ipc_future *search, *lucky, *others[OTHERS];
    int answer, perfect = 0;
    ipc_event *begun;
    ipc_pool *pool;

    options.workers = 2;
    check(ipc_event_new(NULL, &begun));
    check(ipc_pool_new(&options, &pool));

    search = submit_search(pool, begun);
    check(ipc_event_wait(begun));
    for (uint64_t i = 0; i < OTHERS; i++) {
        const uint64_t number = 490 + i;

        check(ipc_pool_submit(pool, is_perfect, &number, sizeof number,
                              sizeof answer, &others[i]));
    }
    kill_who_runs(pool, find_odd_perfect);

    if (ipc_future_result(search, NULL, 0, NULL) != -EOWNERDEAD)
        errx(1, "the search has not failed");
    check(ipc_future_exception(search, &exception, IPC_TIME_FOREVER));
    printf("the search: %s\n", exception.message);
    printf("signal %d, begun %u time\n", exception.signal, exception.attempts);

    for (int i = 0; i < OTHERS; i++) {
        check(ipc_future_result(others[i], &answer, sizeof answer, NULL));
        perfect += answer;
    }
    printf("%d others were not disturbed: %d perfect number\n", OTHERS,
           perfect);

    lucky = submit_unlucky(pool);
    check(ipc_future_result(lucky, &answer, sizeof answer, NULL));
    printf("8128 is%s perfect, though a worker had to die for that\n",
           answer ? "" : " not");

    check(ipc_pool_query(pool, &stats));
    printf("%d tasks done, %d failed, %d begun again; the pool is %s\n",
           (int)stats.done, (int)stats.failed, (int)stats.retried,
           stats.broken ? "broken" : "whole");
    check(ipc_pool_free(pool));
    check(ipc_event_free(begun));
    return 0;
}
