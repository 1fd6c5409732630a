/* Be called when a result is there, instead of waiting for it.
 *
 *     def show(future):
 *         print(future.result())
 *
 *     future = p.submit(triangles, 840)
 *     future.add_done_callback(show)
 *
 * A callback is called once, also if the task is done already or has failed, in
 * the process that has added it, by a thread that calls nothing but callbacks:
 * one at a time, so they need no lock among themselves.  shutdown waits for
 * them. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

enum {
    PERIMETER = 1000
};

struct answer {
    int perimeter;
    int triangles;
};

/* The task: how many right triangles with whole sides have this perimeter? */
static int triangles(const void *arg, void *result, ipc_task *task)
{
    const int perimeter = *(const int *)arg;
    struct answer *answer = result;

    (void)task;
    answer->perimeter = perimeter;
    for (int a = 1; a < perimeter / 3; a++)
        for (int b = a; b < (perimeter - a) / 2; b++) {
            const int c = perimeter - a - b;

            if (a * a + b * b == c * c)
                answer->triangles++;
        }
    return 0;
}

static void check(int rc)
{
    if (rc < 0)
        errx(1, "pool: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

/* Zero-filled is free.  A future that was done already is shown by main's
 * thread, others by the library's. */
static ipc_lock lock;

static void show(ipc_future *future, void *arg)
{
    struct answer *most = arg;
    struct answer answer;

    check(ipc_future_result_nowait(future, &answer, sizeof answer, NULL));
    check(ipc_lock_acquire(&lock));
    printf("perimeter %d: %d triangles\n", answer.perimeter, answer.triangles);
    if (answer.triangles > most->triangles)
        *most = answer;
    check(ipc_lock_release(&lock));
    check(ipc_future_free(future)); /* nobody else knows it */
}

int main(void)
{
    struct answer most = {0, 0};
    ipc_pool *pool;

    check(ipc_pool_new(NULL, &pool));
    for (int perimeter = 120; perimeter <= PERIMETER; perimeter += 120) {
        ipc_future *future;

        check(ipc_pool_submit(pool, triangles, &perimeter, sizeof perimeter,
                              sizeof(struct answer), &future));
        check(ipc_future_add_done_callback(future, show, &most));
    }
    check(ipc_pool_shutdown(pool, true, false));
    check(ipc_pool_free(pool));

    printf("the most has perimeter %d: %d triangles\n", most.perimeter,
           most.triangles);
    return 0;
}
