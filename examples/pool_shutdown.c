/* The end of a pool: when all is done, or as soon as it can be.
 *
 *     p.shutdown()                        # all that was submitted is done
 *     p.shutdown(cancel_futures=True)     # only what has been begun
 *
 * Results can be asked for after that too, until the pool is freed; new tasks
 * are refused. */
#include <ipc/ipc.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>

enum {
    TASKS = 20,
    NUMBERS = 5000 /* of each task */
};

static uint32_t sum_of_divisors(uint32_t number)
{
    uint32_t sum = number > 1;

    for (uint32_t i = 2; i * i <= number; i++)
        if (number % i == 0)
            sum += i * i == number ? i : i + number / i;
    return sum;
}

/* The task: how many of the numbers from arg on are amicable, each of a pair
 * the sum of the other's divisors, as 220 and 284? */
static int amicable(const void *arg, void *result, ipc_task *task)
{
    const uint32_t *first = arg;
    uint32_t *count = result;

    (void)task;
    for (uint32_t number = *first; number < *first + NUMBERS; number++) {
        const uint32_t other = sum_of_divisors(number);

        if (other != number && sum_of_divisors(other) == number)
            *count += 1;
    }
    return 0;
}

static void check(int rc)
{
    if (rc < 0)
        errx(1, "pool: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

static ipc_pool *submit_all(ipc_future **futures)
{
    ipc_pool *pool;

    check(ipc_pool_new(NULL, &pool));
    for (uint32_t i = 0; i < TASKS; i++) {
        const uint32_t first = i * NUMBERS;

        check(ipc_pool_submit(pool, amicable, &first, sizeof first,
                              sizeof(uint32_t), &futures[i]));
    }
    return pool;
}

static void finish_all(void)
{
    ipc_future *futures[TASKS];
    ipc_pool *pool = submit_all(futures);
    uint32_t count, sum = 0;

    check(ipc_pool_shutdown(pool, true, false));
    for (int i = 0; i < TASKS; i++) {
        check(ipc_future_result_nowait(futures[i], &count, sizeof count, NULL));
        sum += count;
    }
    if (ipc_pool_submit(pool, amicable, &count, sizeof count, sizeof count,
                        NULL) != -EPIPE)
        errx(1, "a pool that is shut down has taken a task");
    printf("all done: %u amicable numbers below %d\n", sum, TASKS * NUMBERS);
    check(ipc_pool_free(pool));
}

static void drop_pending(void)
{
    ipc_future *futures[TASKS];
    ipc_pool *pool = submit_all(futures);
    int done = 0, cancelled = 0;
    uint32_t count;

    check(ipc_pool_shutdown(pool, true, true));
    for (int i = 0; i < TASKS; i++)
        if (ipc_future_cancelled(futures[i])) {
            cancelled++;
        } else {
            check(ipc_future_result_nowait(futures[i], &count, sizeof count,
                                           NULL));
            done++;
        }
    check(ipc_pool_free(pool));
    printf("in a hurry: %d begun and done, %d dropped\n", done, cancelled);
}

int main(void)
{
    finish_all();
    drop_pending();
    return 0;
}
