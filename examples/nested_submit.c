/* Tasks that submit tasks and wait for them: a merge sort.
 *
 *     def sort(a):
 *         if len(a) < SMALL: return sorted(a)
 *         left = pool.submit(sort, a[:len(a) // 2])
 *         right = sort(a[len(a) // 2:])
 *         return merge(left.result(), right)
 *
 * In Python this hangs as soon as all workers wait for tasks that no worker is
 * left to run.  Here who waits for a task that nobody has begun runs it
 * himself: two workers are enough for any depth.  The numbers lie in family
 * memory, where workers sort them in place. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    COUNT = 300000,
    SMALL = 5000
};

struct part {
    uint32_t *numbers;
    uint32_t *spare; /* as many, for merging */
    size_t count;
};

static int by_size(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void merge(const struct part *part, size_t half)
{
    const uint32_t *numbers = part->numbers;
    size_t left = 0, right = half;

    for (size_t i = 0; i < part->count; i++)
        if (right == part->count ||
            (left < half && numbers[left] <= numbers[right]))
            part->spare[i] = numbers[left++];
        else
            part->spare[i] = numbers[right++];
    memcpy(part->numbers, part->spare, part->count * sizeof *numbers);
}

/* The task: sort a part.  The left half is another task's. */
static int sort(const void *arg, void *result, ipc_task *task)
{
    const struct part *part = arg;
    const size_t half = part->count / 2;
    const struct part left = {part->numbers, part->spare, half};
    const struct part right = {part->numbers + half, part->spare + half,
                               part->count - half};
    ipc_future *future;
    int rc;

    if (part->count < SMALL) {
        qsort(part->numbers, part->count, sizeof *part->numbers, by_size);
        return 0;
    }
    rc = ipc_pool_submit(ipc_task_pool(task), sort, &left, sizeof left, 0,
                         &future);
    if (rc < 0)
        return rc;
    rc = sort(&right, result, task);
    if (rc == 0)
        rc = ipc_future_result(future, NULL, 0, NULL);
    ipc_future_free(future);
    if (rc == 0)
        merge(part, half);
    return rc;
}

static void check(int rc)
{
    if (rc < 0)
        errx(1, "sort: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

static uint32_t *numbers_new(void)
{
    uint32_t *numbers = ipc_shared_alloc(COUNT * sizeof *numbers);

    if (numbers == NULL)
        errx(1, "sort: no memory: %s", ipc_error_detail());
    return numbers;
}

int main(void)
{
    ipc_pool_options options = IPC_POOL_OPTIONS_INIT;
    struct part all = {numbers_new(), numbers_new(), COUNT};
    ipc_pool *pool;

    /* Each number from 0 on once, well shuffled: the step has no divisor in
     * common with the count. */
    for (uint32_t i = 0; i < COUNT; i++)
        all.numbers[i] = (uint32_t)((uint64_t)i * 123457 % COUNT);

    options.workers = 2;
    check(ipc_pool_new(&options, &pool));
    check(ipc_pool_apply(pool, sort, &all, sizeof all, NULL, 0));
    check(ipc_pool_free(pool));

    for (uint32_t i = 0; i < COUNT; i++)
        if (all.numbers[i] != i)
            errx(1, "sort: %u is at place %u", all.numbers[i], i);
    printf("two workers have sorted %d numbers, %d at a time\n", COUNT, SMALL);
    check(ipc_shared_free(all.numbers));
    check(ipc_shared_free(all.spare));
    return 0;
}
