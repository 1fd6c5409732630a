/* Start all, then join all: ten processes side by side.
 *
 *     p_list = []
 *     for i in range(10):
 *         p = Process(target=eat, args=(i,))
 *         p.start()
 *         p_list.append(p)
 *     for p in p_list:
 *         p.join()
 *
 * The time is that of the slowest one.  For comparison the same ten are run
 * with join() in the loop as well (join_in_loop.c). */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

#define BOWLS 10

static int eat(void *arg)
{
    const int *bowl = arg;

    ipc_sleep_until(ipc_after_ms(20));
    printf("this is bowl %d\n", *bowl);
    return 0;
}

static void start(ipc_process *p, int bowl)
{
    ipc_process_options options = IPC_PROCESS_OPTIONS_INIT;
    int rc;

    options.arg_bytes = sizeof bowl;
    ipc_process_init(p, eat, &bowl, &options);
    rc = ipc_process_start(p);
    if (rc < 0)
        errx(1, "start: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

static void join(ipc_process *p)
{
    int rc = ipc_process_join(p);

    if (rc < 0)
        errx(1, "join: %s: %s", ipc_strerror(rc), ipc_error_detail());
    ipc_process_close(p);
}

int main(void)
{
    ipc_deadline begin, middle, end;
    ipc_process p[BOWLS];

    begin = ipc_now();
    for (int i = 0; i < BOWLS; i++) {
        start(&p[i], i + 1);
        join(&p[i]);
    }

    middle = ipc_now();
    for (int i = 0; i < BOWLS; i++)
        start(&p[i], i + 1);
    for (int i = 0; i < BOWLS; i++)
        join(&p[i]);
    end = ipc_now();

    printf("ten bowls of 20 ms, joined in the loop: %4.0f ms\n",
           (double)(middle - begin) / 1e6);
    printf("ten bowls of 20 ms, joined after it:    %4.0f ms\n",
           (double)(end - middle) / 1e6);
    return 0;
}
