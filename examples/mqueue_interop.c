/* The same calls over a POSIX message queue, and on its other side a program
 * that knows nothing of libipc and makes plain mq_... calls.
 *
 *     mqd_t orders = mq_open("/orders-17", O_RDONLY);
 *     mq_receive(orders, text, sizeof text, &priority);
 *
 * The message of the highest priority comes first.  Other programs could be the
 * other side, in any language: the names are those of mq_overview(7). */
#include <ipc/ipc.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LARGEST = 64 /* bytes of a message */
};

struct names {
    char orders[64]; /* "posix:/..." */
    char answers[64];
};

static void check(int rc)
{
    if (rc < 0)
        errx(1, "queue: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

/* ---- the plain program ---- */

static mqd_t open_plainly(const char *name, int access)
{
    mqd_t mq = mq_open(name + strlen("posix:"), access);
    if (mq < 0)
        err(1, "mq_open");
    return mq;
}

static int plain_program(void *arg)
{
    const struct names *names = arg;
    mqd_t orders = open_plainly(names->orders, O_RDONLY);
    mqd_t answers = open_plainly(names->answers, O_WRONLY);

    for (;;) {
        char order[LARGEST];
        char answer[LARGEST];
        unsigned priority;
        ssize_t bytes = mq_receive(orders, order, sizeof order, &priority);

        if (bytes < 0)
            err(1, "mq_receive");
        if (bytes == 0)
            break;
        int length = snprintf(answer, sizeof answer, "%.*s (priority %u)",
                              (int)bytes, order, priority);
        if (mq_send(answers, answer, (size_t)length, priority) != 0)
            err(1, "mq_send");
    }
    if (mq_send(answers, "bill", 4, 9) != 0)
        err(1, "mq_send");
    mq_close(orders);
    mq_close(answers);
    return 0;
}

/* ---- ours ---- */

static ipc_queue *create(const char *name)
{
    ipc_queue_options options = IPC_QUEUE_OPTIONS_INIT;
    ipc_queue *queue;

    options.capacity = 4;
    options.bytes = (size_t)4 * LARGEST;
    int rc = ipc_queue_create(name, &options, &queue);
    if (rc == -ENOSYS || rc == -EACCES)
        errx(77, "no POSIX message queues here: %s", ipc_error_detail());
    check(rc);
    return queue;
}

static void order(ipc_queue *orders, const char *text, uint32_t priority)
{
    check(ipc_queue_put_priority(orders, text, strlen(text), priority,
                                 ipc_after_ms(5000)));
}

static int print_answers(ipc_queue *answers)
{
    int n = 0;

    for (;;) {
        char answer[LARGEST]; /* as large as any message */
        size_t bytes;

        int rc = ipc_queue_get_nowait(answers, answer, sizeof answer, &bytes);
        if (rc == -EAGAIN)
            return n;
        check(rc);
        printf("%.*s\n", (int)bytes, answer);
        n++;
    }
}

int main(void)
{
    struct names names;
    ipc_process p;

    snprintf(names.orders, sizeof names.orders, "posix:/orders-%d", getpid());
    snprintf(names.answers, sizeof names.answers, "posix:/answers-%d",
             getpid());
    ipc_queue *orders = create(names.orders);
    ipc_queue *answers = create(names.answers);

    order(orders, "soup", 1);
    order(orders, "tea", 1);
    order(orders, "the doctor's coffee", 7);
    order(orders, "", 0); /* that was all */
    printf("full, as it says: %s\n", ipc_queue_full(orders) ? "yes" : "no");

    ipc_process_init(&p, plain_program, &names, NULL);
    check(ipc_process_start(&p));
    check(ipc_process_join(&p));
    ipc_process_close(&p);

    int n = print_answers(answers); /* the bill has the highest priority */
    printf("the plain program went home after %d orders\n", n - 1);

    ipc_queue_detach(orders);
    ipc_queue_detach(answers);
    check(ipc_queue_unlink(names.orders));
    check(ipc_queue_unlink(names.answers));
    return n == 4 ? 0 : 1;
}
