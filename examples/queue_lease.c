/* A consumer is killed; its message comes back.
 *
 *     order = q.get()
 *     os.kill(os.getpid(), SIGKILL)   # while it cooks
 *     ...
 *     q.get()                         # elsewhere: the order is lost
 *
 * So it is in Python, and here with get.  With take the order stays in the
 * queue until it is acknowledged.  Orders that nobody survives are put aside
 * after three attempts. */
#include <ipc/ipc.h>

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void check(int rc, const char *what)
{
    if (rc < 0)
        errx(1, "%s: %s: %s", what, ipc_strerror(rc), ipc_error_detail());
}

static void order(ipc_queue *orders, const char *dish)
{
    check(ipc_queue_put(orders, dish, strlen(dish) + 1), "put");
}

/* Cooks until there is nothing more to come. */
static int cook(void *arg)
{
    ipc_queue *orders = arg;
    ipc_message message;
    int rc;

    while ((rc = ipc_queue_take(orders, &message)) == 0) {
        const char *dish = message.data;

        printf("%-6s attempt %u\n", dish, message.deliveries);
        fflush(stdout);
        if (strcmp(dish, "fugu") == 0 ||
            (strcmp(dish, "soup") == 0 && message.deliveries == 1))
            raise(SIGKILL);
        check(ipc_queue_ack(orders, &message), "ack");
    }
    if (rc != -EPIPE)
        check(rc, "take");
    return 0;
}

/* One cook after the other, until one of them comes home. */
static int count_cooks(ipc_queue *orders)
{
    ipc_process p;
    int exitcode = -1;
    int cooks = 0;

    while (exitcode != 0) {
        ipc_process_init(&p, cook, orders, NULL);
        check(ipc_process_start(&p), "start");
        check(ipc_process_join(&p), "join");
        check(ipc_process_exitcode(&p, &exitcode), "exitcode");
        ipc_process_close(&p);
        cooks++;
    }
    return cooks;
}

int main(void)
{
    ipc_queue_options options = IPC_QUEUE_OPTIONS_INIT;
    ipc_queue *orders;
    ipc_message message;

    options.flags = IPC_QUEUE_LEASES;
    options.max_deliveries = 3;
    check(ipc_queue_new(&options, &orders), "new");
    order(orders, "tea");
    order(orders, "soup");
    order(orders, "fugu");
    order(orders, "rice");
    check(ipc_queue_close(orders, false), "close");

    printf("it took %d cooks\n", count_cooks(orders));
    while (ipc_queue_take_dead(orders, &message) == 0) {
        printf("nobody survives %s\n", (const char *)message.data);
        check(ipc_queue_ack(orders, &message), "ack");
    }
    check(ipc_queue_join_nowait(orders), "join");
    printf("all is done or thrown away\n");
    check(ipc_queue_free(orders), "free");
    return 0;
}
