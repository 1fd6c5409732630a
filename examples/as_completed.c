/* Results in the order in which they come, not in that of the questions.
 *
 *     futures = {p.submit(queens, n): n for n in sizes}
 *     for f in as_completed(futures):
 *         print(futures[f], f.result())
 *
 * The iterator says which future is done by its index: there lies what the
 * program knows about the question.  The whole has one deadline here. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

/* The task: in how many ways can n queens stand on a board of n times n and
 * none attack another?  One row after the other; the bits are columns and
 * diagonals that are taken. */
static uint32_t place(uint32_t all, uint32_t columns, uint32_t left,
                      uint32_t right)
{
    uint32_t ways = 0;

    if (columns == all)
        return 1;
    for (uint32_t free = all & ~(columns | left | right); free != 0;
         free &= free - 1) {
        const uint32_t here = free & -free;

        ways +=
            place(all, columns | here, (left | here) << 1, (right | here) >> 1);
    }
    return ways;
}

static int queens(const void *arg, void *result, ipc_task *task)
{
    const uint32_t *n = arg;
    uint32_t *ways = result;

    (void)task;
    *ways = place((1u << *n) - 1, 0, 0, 0);
    return 0;
}

static void check(int rc)
{
    if (rc < 0)
        errx(1, "queens: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

int main(void)
{
    static const uint32_t sizes[] = {12, 11, 4, 10, 6, 9, 5, 8, 7};
    enum {
        COUNT = sizeof sizes / sizeof sizes[0]
    };
    const ipc_deadline deadline = ipc_after_s(30);
    ipc_future *futures[COUNT];
    ipc_as_completed *next;
    ipc_progress_bar bar; /* on a terminal only */
    uint32_t ways, sum = 0;
    ipc_pool *pool;
    size_t i;
    int rc;

    check(ipc_pool_new(NULL, &pool));
    for (i = 0; i < COUNT; i++)
        check(ipc_pool_submit(pool, queens, &sizes[i], sizeof sizes[i],
                              sizeof ways, &futures[i]));

    check(ipc_progress_bar_begin(&bar, "boards", COUNT, NULL));
    check(ipc_as_completed_begin(futures, COUNT, &next));
    ipc_as_completed_progress(next, ipc_progress_bar_show, &bar);
    while ((rc = ipc_as_completed_next(next, deadline, &i)) > 0) {
        check(ipc_future_result(futures[i], &ways, sizeof ways, NULL));
        printf("%2u queens: %u ways\n", sizes[i], ways);
        sum += ways;
    }
    check(rc);
    ipc_as_completed_end(next);
    ipc_progress_bar_end(&bar);
    check(ipc_pool_free(pool));

    printf("4 to 12 queens: %u ways together\n", sum);
    return 0;
}
