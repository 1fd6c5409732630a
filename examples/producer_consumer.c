/* Three cooks, two guests, and a table with room for four dishes.
 *
 *     def cook(q, name):
 *         for i in range(10):
 *             q.put(f'{name} {i}')
 *
 *     def guest(q):
 *         while True:
 *             dish = q.get()
 *             if dish is None:            # the poison pill
 *                 q.task_done()
 *                 break
 *             eat(dish)
 *             q.task_done()
 *
 *     q = JoinableQueue(4)
 *     ...
 *     for c in cooks: c.join()            # all is cooked,
 *     q.join()                            # and all is eaten
 *     for g in guests: q.put(None)
 *     for g in guests: g.join()
 *
 * A pill is a message that says "that was all": here one of no bytes.  There
 * has to be one for each guest, as each message goes to one of them.  join
 * waits until task_done was said once for each message that was ever put. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>
#include <string.h>

enum {
    COOKS = 3,
    GUESTS = 2,
    DISHES = 10,
    PLACES = 4
};

struct kitchen {
    ipc_queue *table;
    int32_t cooks;  /* that have come */
    int32_t eaten;  /* dishes, by all */
    int32_t guests; /* that have left */
};

static void check(int rc)
{
    if (rc < 0)
        errx(1, "table: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

static int cook(void *arg)
{
    static const char *const names[COOKS] = {"soup", "rice", "tea"};
    struct kitchen *kitchen = arg;
    const char *name = names[ipc_atomic_add_i32(&kitchen->cooks, 1)];
    char dish[32];

    for (int i = 0; i < DISHES; i++) {
        snprintf(dish, sizeof dish, "%s %d", name, i);
        check(ipc_queue_put(kitchen->table, dish, strlen(dish) + 1));
    }
    return 0;
}

static int guest(void *arg)
{
    struct kitchen *kitchen = arg;
    const char *name = ipc_process_name(ipc_current_process());
    char dish[32];
    size_t bytes;

    do {
        check(ipc_queue_get(kitchen->table, dish, sizeof dish, &bytes));
        if (bytes > 0) {
            printf("%s eats %s\n", name, dish);
            ipc_atomic_add_i32(&kitchen->eaten, 1);
        }
        check(ipc_queue_task_done(kitchen->table));
    } while (bytes > 0);
    ipc_atomic_add_i32(&kitchen->guests, 1);
    return 0;
}

static void start(ipc_process *p, int count, int (*target)(void *arg),
                  struct kitchen *kitchen)
{
    for (int i = 0; i < count; i++) {
        ipc_process_init(&p[i], target, kitchen, NULL);
        check(ipc_process_start(&p[i]));
    }
}

static void join(ipc_process *p, int count)
{
    for (int i = 0; i < count; i++) {
        check(ipc_process_join(&p[i]));
        ipc_process_close(&p[i]);
    }
}

int main(void)
{
    ipc_queue_options options = IPC_QUEUE_OPTIONS_INIT;
    struct kitchen *kitchen = ipc_shared_alloc(sizeof *kitchen);
    ipc_process guests[GUESTS], cooks[COOKS];
    int eaten, left;

    if (kitchen == NULL)
        errx(1, "no family memory: %s", ipc_error_detail());
    options.capacity = PLACES;
    check(ipc_queue_new(&options, &kitchen->table));

    start(guests, GUESTS, guest, kitchen);
    start(cooks, COOKS, cook, kitchen);
    join(cooks, COOKS);
    check(ipc_queue_join(kitchen->table));
    eaten = ipc_atomic_load_i32(&kitchen->eaten);

    for (int i = 0; i < GUESTS; i++)
        check(ipc_queue_put(kitchen->table, NULL, 0));
    join(guests, GUESTS);
    left = ipc_atomic_load_i32(&kitchen->guests);

    printf("%d dishes were eaten, and %d guests went home\n", eaten, left);
    check(ipc_queue_free(kitchen->table));
    ipc_shared_free(kitchen);
    return eaten != COOKS * DISHES || left != GUESTS;
}
