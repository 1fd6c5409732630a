/* A queue in an event loop that knows nothing of it: plain epoll here; libuv,
 * libevent and GLib take a descriptor just as well.
 *
 *     loop.add_reader(orders._reader.fileno(), on_order)
 *
 * The descriptor is readable while there are messages.  Get them with _nowait
 * until that says -EAGAIN: from then on it is not, and the loop sleeps. */
#include <ipc/ipc.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    MESSAGES = 1000
};

static int produce(void *queue)
{
    for (int i = 1; i <= MESSAGES; i++)
        if (IPC_QUEUE_PUT(queue, i) != 0)
            return 1;
    return 0;
}

static int check(int rc, const char *what)
{
    if (rc < 0)
        errx(1, "%s: %s: %s", what, ipc_strerror(rc), ipc_error_detail());
    return rc;
}

/* All that there are for now. */
static int drain(ipc_queue *queue, long *sum)
{
    int number, count = 0, rc;

    while ((rc = ipc_queue_get_exactly(queue, &number, sizeof number,
                                       IPC_TIME_NOW)) == 0) {
        *sum += number;
        count++;
    }
    if (rc != -EAGAIN)
        check(rc, "get");
    return count;
}

static void watch(int loop, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) != 0)
        err(1, "epoll_ctl");
}

int main(void)
{
    ipc_queue *queue;
    ipc_process producer;
    long sum = 0;
    int messages = 0, ended = 0;

    check(ipc_queue_new(NULL, &queue), "queue");
    check(ipc_process_init(&producer, produce, queue, NULL), "init");
    check(ipc_process_start(&producer), "start");

    const int loop = epoll_create1(EPOLL_CLOEXEC);
    const int queue_fd = check(ipc_queue_fd(queue, POLLIN), "queue_fd");
    const int end_fd = check(ipc_process_fd(&producer), "process_fd");
    if (loop < 0)
        err(1, "epoll_create1");
    watch(loop, queue_fd);
    watch(loop, end_fd);

    while (messages < MESSAGES || !ended) {
        struct epoll_event event;

        if (epoll_wait(loop, &event, 1, 10000) <= 0)
            errx(1, "nothing happens");
        if (event.data.fd == queue_fd) {
            messages += drain(queue, &sum);
        } else {
            ended = 1;
            if (epoll_ctl(loop, EPOLL_CTL_DEL, end_fd, NULL) != 0)
                err(1, "epoll_ctl");
        }
    }
    printf("%d messages came through the loop, their sum is %ld\n", messages,
           sum);
    check(ipc_process_join(&producer), "join");
    check(ipc_process_close(&producer), "close");
    check(ipc_queue_free(queue), "free"); /* closes its descriptor */
    close(loop);
    return 0;
}
