/* One process writes four names into a queue, the next one reads them.
 *
 *     def write(q):
 *         for name in ['Luban', 'Libai', 'Zetian', 'Shangxiang']:
 *             q.put(name)
 *
 *     def read(q):
 *         while not q.empty():
 *             print('read', q.get())
 *
 *     q = Queue()
 *     w = Process(target=write, args=(q,))
 *     r = Process(target=read, args=(q,))
 *     w.start(); w.join()
 *     r.start(); r.join()
 *
 * "while not q.empty()" is right only if the writer has ended before, and in
 * Python not even then for sure: a thread of the writer is still feeding the
 * queue.  Here a message is in the queue when put returns.  And a writer that
 * closes the queue at its end lets the reader run at any time: get answers
 * -EPIPE when the queue is closed and empty. */
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

static int write_names(void *arg)
{
    static const char *const names[] = {"Luban", "Libai", "Zetian",
                                        "Shangxiang"};
    ipc_queue *queue = arg;

    for (int i = 0; i < 4; i++) {
        check(ipc_queue_put(queue, names[i], strlen(names[i]) + 1));
        printf("wrote %s\n", names[i]);
    }
    check(ipc_queue_close(queue, false));
    return 0;
}

static int read_names(void *arg)
{
    ipc_queue *queue = arg;
    char name[32];
    int rc;

    while ((rc = ipc_queue_get(queue, name, sizeof name, NULL)) == 0)
        printf("read %s\n", name);
    if (rc != -EPIPE)
        check(rc);
    return 0;
}

static int run(int (*target)(void *arg), ipc_queue *queue)
{
    ipc_process p;
    int exitcode;

    ipc_process_init(&p, target, queue, NULL);
    check(ipc_process_start(&p));
    check(ipc_process_join(&p));
    check(ipc_process_exitcode(&p, &exitcode));
    ipc_process_close(&p);
    return exitcode;
}

int main(void)
{
    ipc_queue *queue;
    int failed;

    check(ipc_queue_new(NULL, &queue));
    failed = run(write_names, queue);
    failed |= run(read_names, queue);
    printf("all is written and read, %zu are left\n", ipc_queue_size(queue));
    check(ipc_queue_free(queue));
    return failed;
}
