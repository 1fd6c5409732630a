/* A pipe between two processes: each has an end, and both send and receive.
 *
 *     def cook(conn):
 *         while True:
 *             order = conn.recv()
 *             if order == '':
 *                 break
 *             conn.send(order.upper() + ' is ready')
 *         conn.close()
 *
 *     here, there = Pipe()
 *     p = Process(target=cook, args=(there,))
 *     p.start()
 *     there.close()                          # the cook has it
 *     here.send('soup')
 *     print(here.recv())
 *
 * A message arrives as it was sent, whole or not at all.  When the last process
 * that has the other end is gone, killed or not, recv says -EPIPE: where Python
 * raises EOFError. */
#include <ipc/ipc.h>

#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kitchen {
    ipc_connection *here;
    ipc_connection *there;
};

static void check(int rc)
{
    if (rc < 0)
        errx(1, "pipe: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

/* False: there was none, the kitchen closes. */
static bool cook_one(ipc_connection *waiter)
{
    char answer[64];
    char *order;
    size_t bytes;

    check(ipc_connection_recv(waiter, (void **)&order, &bytes));
    for (char *c = order; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    snprintf(answer, sizeof answer, "%s is ready", order);
    if (bytes != 0)
        check(ipc_connection_send(waiter, answer, strlen(answer)));
    free(order);
    return bytes != 0;
}

static int cook(void *arg)
{
    const struct kitchen *kitchen = arg;

    /* It came with the fork.  With it the cook would never be told that the
     * other side is gone. */
    ipc_connection_close(kitchen->here);
    while (cook_one(kitchen->there))
        ;
    check(ipc_connection_send(kitchen->there, "good night", 10));
    return 0;
}

static void print_answer(ipc_connection *connection)
{
    void *answer; /* has a zero byte behind it */
    size_t bytes;

    check(ipc_connection_recv(connection, &answer, &bytes));
    printf("%s (%zu bytes)\n", (char *)answer, bytes);
    free(answer);
}

int main(void)
{
    static const char *const orders[] = {"soup", "rice", "tea", ""};
    struct kitchen kitchen;
    ipc_process p;
    size_t bytes;

    check(ipc_pipe(NULL, &kitchen.here, &kitchen.there));
    ipc_process_init(&p, cook, &kitchen, NULL);
    check(ipc_process_start(&p));
    ipc_connection_close(kitchen.there);

    for (int i = 0; i < 4; i++)
        check(ipc_connection_send(kitchen.here, orders[i], strlen(orders[i])));
    for (int i = 0; i < 4; i++)
        print_answer(kitchen.here);

    if (ipc_connection_recv_into(kitchen.here, NULL, 0, &bytes) == -EPIPE)
        printf("the kitchen is closed\n");
    check(ipc_process_join(&p));
    ipc_process_close(&p);
    ipc_connection_close(kitchen.here);
    return 0;
}
