/* A buffer with room for three, between producers and consumers.
 *
 *     with lock:                          with lock:
 *         not_full.wait_for(room)             not_empty.wait_for(items)
 *         buffer.append(item)                 item = buffer.popleft()
 *         not_empty.notify()                  not_full.notify()
 *
 * Who finds it full, or empty, waits in a condition, which releases the lock
 * meanwhile, until somebody says that there is room, or an item. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

#define ROOM      3
#define PRODUCERS 2
#define CONSUMERS 2
#define ITEMS     10 /* of each producer */

/* In family memory; zero-filled is empty. */
struct buffer {
    ipc_lock lock;
    ipc_condition not_full, not_empty;
    int items[ROOM];
    int put, got; /* how many, since the beginning */
    int sum;      /* of those got */
};

static void check(int rc)
{
    if (rc != 0)
        errx(1, "buffer: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

static bool has_room(void *arg)
{
    const struct buffer *b = arg;
    return b->put - b->got < ROOM;
}

static bool has_items_or_is_done(void *arg)
{
    const struct buffer *b = arg;
    return b->put > b->got || b->got == PRODUCERS * ITEMS;
}

static int produce(void *arg)
{
    struct buffer *b = arg;

    for (int item = 1; item <= ITEMS; item++) {
        check(ipc_lock_acquire(&b->lock));
        check(ipc_condition_wait_for(&b->not_full, &b->lock, has_room, b));
        b->items[b->put++ % ROOM] = item;
        check(ipc_condition_notify(&b->not_empty, 1));
        check(ipc_lock_release(&b->lock));
    }
    return 0;
}

static int consume(void *arg)
{
    struct buffer *b = arg;
    bool done = false;

    while (!done) {
        check(ipc_lock_acquire(&b->lock));
        check(ipc_condition_wait_for(&b->not_empty, &b->lock,
                                     has_items_or_is_done, b));
        if (b->put > b->got)
            b->sum += b->items[b->got++ % ROOM];
        check(ipc_condition_notify(&b->not_full, 1));
        done = b->got == PRODUCERS * ITEMS;
        if (done) /* the other consumers too */
            check(ipc_condition_notify_all(&b->not_empty));
        check(ipc_lock_release(&b->lock));
    }
    return 0;
}

int main(void)
{
    ipc_process p[PRODUCERS + CONSUMERS];
    struct buffer *b = ipc_shared_alloc(sizeof *b);

    if (b == NULL)
        errx(1, "no family memory: %s", ipc_error_detail());
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++) {
        ipc_process_init(&p[i], i < PRODUCERS ? produce : consume, b, NULL);
        check(ipc_process_start(&p[i]));
    }
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++) {
        check(ipc_process_join(&p[i]));
        ipc_process_close(&p[i]);
    }
    printf("%d items, together %d, went through a buffer of %d\n", b->got,
           b->sum, ROOM);
    return 0;
}
