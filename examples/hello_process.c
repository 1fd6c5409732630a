/* A function in a process of its own, beside the program that started it.
 *
 *     p = Process(target=task)
 *     p.start()
 *     task()
 *     p.join()
 *
 * Both run the task at the same time: the whole takes as long as one. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

static int task(void *arg)
{
    const char *who = arg;

    printf("%s: I sing\n", who);
    ipc_sleep_until(ipc_after_ms(40));
    printf("%s: I dance\n", who);
    ipc_sleep_until(ipc_after_ms(20));
    printf("%s: I am done\n", who);
    return 0;
}

int main(void)
{
    char child[] = "child", parent[] = "parent";
    const ipc_deadline begin = ipc_now();
    ipc_process p;
    int rc;

    ipc_process_init(&p, task, child, NULL);
    rc = ipc_process_start(&p);
    if (rc < 0)
        errx(1, "start: %s: %s", ipc_strerror(rc), ipc_error_detail());

    task(parent);

    rc = ipc_process_join(&p);
    if (rc < 0)
        errx(1, "join: %s: %s", ipc_strerror(rc), ipc_error_detail());
    ipc_process_close(&p);

    printf("two tasks of 60 ms took %.0f ms\n",
           (double)(ipc_now() - begin) / 1e6);
    return 0;
}
