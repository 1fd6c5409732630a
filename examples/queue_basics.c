/* A queue of five messages: full, refused, counted, taken out.
 *
 *     q = Queue(5)
 *     for i in range(1, 6):
 *         q.put(f'order {i}')
 *     try:
 *         q.put_nowait('order 6')
 *     except queue.Full:
 *         print('the queue is full')
 *     print(q.qsize(), q.empty())
 *     print(q.get())
 *     print(q.get_nowait())
 *
 * What Python tells by an exception is a result here: -EAGAIN, there is no
 * room, or no message.  size, empty and full are exact, also between
 * processes; but while others put and get they are already past. */
#include <ipc/ipc.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void check(int rc)
{
    if (rc < 0)
        errx(1, "queue: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

static const char *yes_or_no(bool answer)
{
    return answer ? "yes" : "no";
}

static void fill(ipc_queue *queue)
{
    char order[24];
    int rc, n = 0;

    do {
        snprintf(order, sizeof order, "order %d", ++n);
        rc = ipc_queue_put_nowait(queue, order, strlen(order) + 1);
    } while (rc == 0);
    if (rc != -EAGAIN)
        check(rc);
    printf("%s is refused: the queue is full\n", order);
}

int main(void)
{
    ipc_queue_options options = IPC_QUEUE_OPTIONS_INIT;
    ipc_queue *queue;
    char order[24];
    int rc, n = 2;

    options.capacity = 5;
    check(ipc_queue_new(&options, &queue));
    fill(queue);
    printf("size: %zu of %u, full: %s, empty: %s\n", ipc_queue_size(queue),
           ipc_queue_capacity(queue), yes_or_no(ipc_queue_full(queue)),
           yes_or_no(ipc_queue_empty(queue)));

    check(ipc_queue_get(queue, order, sizeof order, NULL));
    printf("get: %s\n", order);
    check(ipc_queue_get_nowait(queue, order, sizeof order, NULL));
    printf("get_nowait: %s\n", order);

    while ((rc = ipc_queue_get_nowait(queue, order, sizeof order, NULL)) == 0)
        n++;
    if (rc != -EAGAIN)
        check(rc);
    printf("after %d messages, empty: %s\n", n,
           yes_or_no(ipc_queue_empty(queue)));
    check(ipc_queue_free(queue));
    return 0;
}
