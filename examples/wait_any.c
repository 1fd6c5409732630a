/* Wait for whatever comes first: an order, the bell, or the end of the cook.
 *
 *     wait([orders._reader, cook.sentinel], timeout)
 *
 * is what Python has for that; its queues show their pipe for it only by the
 * back door, and its events and locks have none.  Here all of them may stand
 * in one list, beside sockets and other descriptors. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

enum {
    ORDERS = 3
};

struct kitchen {
    ipc_queue *orders;
    ipc_event *bell;
};

static int cook(void *arg)
{
    const struct kitchen *kitchen = arg;

    for (int number = 1; number <= ORDERS; number++)
        if (IPC_QUEUE_PUT(kitchen->orders, number) != 0)
            return 1;
    return ipc_event_set(kitchen->bell) == 0 ? 0 : 1;
}

static void check(int rc, const char *what)
{
    if (rc < 0)
        errx(1, "%s: %s: %s", what, ipc_strerror(rc), ipc_error_detail());
}

int main(void)
{
    struct kitchen kitchen;
    ipc_process process;
    int orders = 0, rings = 0, ended = 0;

    check(ipc_queue_new(NULL, &kitchen.orders), "queue");
    check(ipc_event_new(NULL, &kitchen.bell), "event");
    check(ipc_process_init(&process, cook, &kitchen, NULL), "init");
    check(ipc_process_start(&process), "start");

    while (orders < ORDERS || rings == 0 || !ended) {
        ipc_wait_item items[] = {
            IPC_WAIT_QUEUE(kitchen.orders),
            IPC_WAIT_EVENT(kitchen.bell),
            IPC_WAIT_PROCESS(&process),
        };
        int number;

        /* The end of the cook would be ready for ever. */
        check(ipc_wait(items, ended ? 2 : 3, ipc_after_s(10)), "wait");
        /* Somebody else might have got it; here there is nobody. */
        while (items[0].ready &&
               ipc_queue_get_exactly(kitchen.orders, &number, sizeof number,
                                     IPC_TIME_NOW) == 0) {
            printf("order %d\n", number);
            orders++;
        }
        if (items[1].ready) {
            printf("the bell rings\n");
            check(ipc_event_clear(kitchen.bell), "clear");
            rings++;
        }
        if (!ended && items[2].ready) {
            check(ipc_process_join(&process), "join");
            printf("the cook has gone home\n");
            ended = 1;
        }
    }
    printf("%d orders, %d ring, and the cook is gone\n", orders, rings);
    check(ipc_process_close(&process), "close");
    check(ipc_event_free(kitchen.bell), "free");
    check(ipc_queue_free(kitchen.orders), "free");
    return 0;
}
