/* A daemon process ends with the process that started it.
 *
 *     p = Process(target=eat)
 *     p.daemon = True
 *     p.start()
 *     time.sleep(2)
 *     print('the end')
 *
 * The child would eat for a long time.  It ends when main() returns, and also,
 * unlike Python's, when the parent is killed: try kill -9 while it sleeps. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

static int eat(void *arg)
{
    (void)arg;
    for (int meal = 1; meal <= 1000; meal++) {
        printf("child:  meal %d\n", meal);
        fflush(stdout);
        ipc_sleep_until(ipc_after_ms(50));
    }
    return 0;
}

int main(void)
{
    ipc_process_options options = IPC_PROCESS_OPTIONS_INIT;
    ipc_process p;
    int rc;

    options.daemon = true;
    ipc_process_init(&p, eat, NULL, &options);
    rc = ipc_process_start(&p);
    if (rc < 0)
        errx(1, "start: %s: %s", ipc_strerror(rc), ipc_error_detail());

    ipc_sleep_until(ipc_after_ms(120));
    printf("parent: the end\n");
    return 0;
}
