/* Start and join in one loop: ten processes, one after the other.
 *
 *     for i in range(10):
 *         p = Process(target=eat, args=(i,))
 *         p.start()
 *         p.join()
 *
 * Each join() waits before the next start(), so the time is the sum of all
 * ten.  join_after.c does it better, and measures both. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

static int eat(void *arg)
{
    const int *bowl = arg;

    ipc_sleep_until(ipc_after_ms(20));
    printf("this is bowl %d\n", *bowl);
    return 0;
}

int main(void)
{
    const ipc_deadline begin = ipc_now();
    int rc;

    for (int bowl = 1; bowl <= 10; bowl++) {
        ipc_process p;

        ipc_process_init(&p, eat, &bowl, NULL);
        rc = ipc_process_start(&p);
        if (rc < 0)
            errx(1, "start: %s: %s", ipc_strerror(rc), ipc_error_detail());
        rc = ipc_process_join(&p);
        if (rc < 0)
            errx(1, "join: %s: %s", ipc_strerror(rc), ipc_error_detail());
        ipc_process_close(&p);
    }

    printf("ten bowls of 20 ms, joined in the loop: %.0f ms\n",
           (double)(ipc_now() - begin) / 1e6);
    return 0;
}
