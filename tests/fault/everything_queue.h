/* One use of queues of every kind: a part of everything.c, where DONE() is. */
#ifndef FAULT_EVERYTHING_QUEUE_H
#define FAULT_EVERYTHING_QUEUE_H

#include <sched.h>

#include <ipc/queue.h>
#include <ipc/shared.h>

/* ---- one kind ---- */

/* In all combinations of ways that matter.  False: something stays. */
static bool use_ways(struct load *load, size_t bytes)
{
    for (unsigned i = 0; i < WAYS_TO_GET; i++)
        if (put_one(load, i, bytes) && !get_one(load, i, bytes, i))
            return false;
    return true;
}

static bool use_wrong_buffers(struct load *load, size_t bytes)
{
    static struct content content;
    size_t found = 0;
    if (!put_one(load, 0, bytes))
        return true;
    int rc =
        ipc_queue_get_nowait(load->queue, content.bytes, bytes - 1, &found);
    assert_true(rc == -EMSGSIZE ? found == bytes : !done("get", rc));
    rc = ipc_queue_get_exactly(load->queue, content.bytes, bytes - 1,
                               in_a_moment());
    assert_true(rc == -EMSGSIZE || !done("get", rc));
    return get_one(load, 0, bytes, 0);
}

static bool use_abort(struct load *load, size_t bytes)
{
    ipc_message message;
    const size_t size = ipc_queue_size(load->queue);
    if (DONE(ipc_queue_reserve_nowait(load->queue, bytes, &message)))
        CHECK(ipc_queue_abort(load->queue, &message), 0);
    expect_size(load, size);
    return true;
}

static size_t batch_bytes(unsigned i)
{
    return i == 1 ? LONG_BYTES : SHORT_BYTES;
}

static bool get_batch(struct load *load, unsigned n)
{
    static struct content contents[IN_BATCH];
    const bool last_first = (load->flags & IPC_QUEUE_LIFO) != 0;
    ipc_queue_item items[IN_BATCH];
    unsigned got = 0;
    for (int tries = 0; got < n && tries < 3; tries++) {
        for (unsigned i = 0; i < IN_BATCH; i++)
            items[i] =
                (ipc_queue_item){.data = contents[i].bytes, .room = LONG_BYTES};
        (void)ipc__fail_plain(0);
        const int rc =
            ipc_queue_getv(load->queue, items, IN_BATCH, IPC_TIME_NOW);
        if (!done("getv", rc))
            continue;
        for (int i = 0; i < rc; i++, got++) {
            const unsigned which = last_first ? n - 1 - got : got;
            expect_content(items[i].data, items[i].bytes, batch_bytes(which),
                           which);
        }
        assert_true(rc == (int)n || now->expected != NULL);
    }
    expect_size(load, n - got);
    return got == n;
}

/* The queue is empty. */
static bool use_batches(struct load *load)
{
    static struct content contents[IN_BATCH];
    ipc_queue_item items[IN_BATCH];
    for (unsigned i = 0; i < IN_BATCH; i++) {
        make_content(&contents[i], batch_bytes(i), i);
        items[i] = (ipc_queue_item){.data = contents[i].bytes,
                                    .bytes = batch_bytes(i)};
    }
    (void)ipc__fail_plain(0);
    const int n =
        ipc_queue_putv(load->queue, items, IN_BATCH, IPC_TIME_FOREVER);
    if (!done("putv", n))
        return true;
    assert_true(n == IN_BATCH || (now->expected != NULL && n > 0));
    load->undone += (uint32_t)n;
    expect_size(load, (size_t)n);
    return get_batch(load, (unsigned)n);
}

/* The queue is empty. */
static bool use_bounds(struct load *load)
{
    static struct content content;
    unsigned n = 0;
    size_t bytes;
    int rc = ipc_queue_get_until(load->queue, content.bytes, LONG_BYTES, &bytes,
                                 in_a_moment());
    assert_true(rc == -ETIMEDOUT || !done("get", rc));
    while (n < BOUND && put_one(load, 0, SHORT_BYTES))
        n++;
    if (n == BOUND) {
        rc = ipc_queue_put_nowait(load->queue, "", 1);
        assert_true(rc == -EAGAIN || !done("put", rc));
        rc = ipc_queue_put_until(load->queue, "", 1, in_a_moment());
        assert_true(rc == -ETIMEDOUT || !done("put", rc));
        if (!is_posix(load))
            assert_true(ipc_queue_full(load->queue));
    }
    while (n > 0 && get_one(load, 0, SHORT_BYTES, 0))
        n--;
    return n == 0;
}

/* ---- leases ---- */

static bool take_one(struct load *load, ipc_message *message,
                     uint32_t deliveries)
{
    if (!DONE(ipc_queue_take_nowait(load->queue, message)) &&
        !DONE(ipc_queue_take(load->queue, message)))
        return false;
    expect_content(message->data, message->bytes, LONG_BYTES, 0);
    assert_int_equal(message->deliveries, deliveries);
    return true;
}

static bool take_dead_one(struct load *load, ipc_message *message)
{
    for (int i = 0; i < 2; i++)
        if (DONE(ipc_queue_take_dead(load->queue, message)))
            return true;
    return false;
}

/* Twice nobody acknowledges it. */
static bool use_leases(struct load *load)
{
    ipc_message message;
    int rc = ipc_queue_take_until(load->queue, &message, in_a_moment());
    assert_true(rc == -ETIMEDOUT || !done("take", rc));
    if (!put_one(load, 0, LONG_BYTES))
        return true;
    for (uint32_t i = 1; i <= 2; i++) {
        if (!take_one(load, &message, i))
            return false;
        expect_size(load, 0);
        CHECK(ipc_queue_extend(load->queue, &message, ipc_after_s(1000)), 0);
        CHECK(ipc_queue_nack(load->queue, &message), 0);
    }
    assert_int_equal(ipc_queue_dead(load->queue), 1);
    if (!take_dead_one(load, &message))
        return false;
    expect_content(message.data, message.bytes, LONG_BYTES, 0);
    CHECK(ipc_queue_ack(load->queue, &message), 0);
    load->undone--;
    assert_int_equal(ipc_queue_dead(load->queue), 0);
    return true;
}

/* ---- the whole of it ---- */

static void use_count_of_done(struct load *load)
{
    if (load->undone != 0) {
        int rc = ipc_queue_join_nowait(load->queue);
        assert_true(rc == -EAGAIN || !done("join", rc));
        rc = ipc_queue_join_until(load->queue, in_a_moment());
        assert_true(rc == -ETIMEDOUT || !done("join", rc));
    }
    for (; load->undone > 0; load->undone--)
        CHECK(ipc_queue_task_done(load->queue), 0);
    (void)DONE(ipc_queue_join(load->queue));
}

static void close_for_all(struct load *load)
{
    size_t bytes;
    struct content content;
    if (!DONE(ipc_queue_close(load->queue, false)))
        return;
    assert_true(ipc_queue_is_closed(load->queue));
    int rc = ipc_queue_put_nowait(load->queue, "", 1);
    assert_true(rc == -EPIPE || !done("put", rc));
    if (!ipc_queue_empty(load->queue))
        return;
    rc = ipc_queue_get(load->queue, content.bytes, LONG_BYTES, &bytes);
    assert_true(rc == -EPIPE || !done("get", rc));
}

/* It is empty, unless an earlier user could not get what lies in it. */
static void use_queue(ipc_queue *queue, uint32_t flags)
{
    struct load load = {.queue = queue, .flags = flags};
    if (!ipc_queue_empty(queue))
        return;
    const bool all =
        use_ways(&load, SHORT_BYTES) && use_ways(&load, LONG_BYTES) &&
        use_wrong_buffers(&load, SHORT_BYTES) &&
        use_abort(&load, SHORT_BYTES) && use_abort(&load, LONG_BYTES) &&
        use_batches(&load) && use_bounds(&load);
    if (all && (flags & IPC_QUEUE_LEASES) != 0)
        (void)use_leases(&load);
    use_count_of_done(&load);
}

static void use_queue_to_the_end(ipc_queue *queue, uint32_t flags)
{
    struct load load = {.queue = queue, .flags = flags};
    use_queue(queue, flags);
    close_for_all(&load);
}

/* ---- in all places ---- */

static ipc_queue_options queue_options(uint32_t flags)
{
    return (ipc_queue_options){.size = sizeof(ipc_queue_options),
                               .flags = flags,
                               .capacity = BOUND,
                               .max_deliveries =
                                   (flags & IPC_QUEUE_LEASES) != 0 ? 2 : 0,
                               .bytes = 4 * (size_t)LONG_BYTES,
                               .label = "everything"};
}

static void use_new_queue(uint32_t flags)
{
    const ipc_queue_options options = queue_options(flags);
    ipc_queue *queue;
    if (!DONE(ipc_queue_new(&options, &queue)))
        return;
    use_queue_to_the_end(queue, flags);
    CHECK(ipc_queue_free(queue), 0);
}

/* Unless it is one that could not be unlinked at its end. */
static void use_opened_queue(const char *name, ipc_queue *named, uint32_t flags)
{
    const ipc_queue_options options = queue_options(flags);
    ipc_queue *made;
    const int rc = ipc_queue_create(name, &options, &made);
    assert_true(rc == -EEXIST || !done("create", rc));
    if (ipc_queue_is_closed(named))
        return;
    if (DONE(ipc_queue_open(name, &made))) {
        use_queue(made, flags);
        CHECK(ipc_queue_detach(made), 0);
    }
    use_queue_to_the_end(named, flags);
}

static void use_named_queue(const char *name, uint32_t flags)
{
    const ipc_queue_options options = queue_options(flags);
    ipc_queue *named;
    if (!DONE(ipc_queue_open_or_create(name, &options, &named)))
        return;
    use_opened_queue(name, named, flags);
    CHECK(ipc_queue_detach(named), 0);
    (void)DONE(ipc_queue_unlink(name));
}

/* ---- POSIX message queues ---- */

/* The system has one space for all names: so each case has its own, and where
 * the machine permits it a namespace that goes with it. */
static const char *posix_name_of_everything(void)
{
    static char name[160];
    (void)snprintf(name, sizeof name, "posix:/%s",
                   strrchr(test_tmpdir(), '/') + 1);
    return name;
}

static bool has_posix_queues(void)
{
    return access("/proc/sys/fs/mqueue/queues_max", F_OK) == 0;
}

static void refuse_what_it_has_not(ipc_queue *queue)
{
    ipc_message message;
    CHECK(ipc_queue_reserve_nowait(queue, 1, &message), -ENOTSUP);
    CHECK(ipc_queue_take_nowait(queue, &message), -ENOTSUP);
    CHECK(ipc_queue_join_nowait(queue), -ENOTSUP);
    CHECK(ipc_queue_close(queue, true), -ENOTSUP);
}

static void use_posix_queue(ipc_queue *queue)
{
    struct load load = {.queue = queue, .flags = IPC_QUEUE_POSIX};
    if (use_ways(&load, SHORT_BYTES) && use_ways(&load, POSIX_BYTES))
        (void)use_bounds(&load);
    refuse_what_it_has_not(queue);
}

static void use_posix_queues(void)
{
    const ipc_queue_options options = {.size = sizeof options,
                                       .capacity = BOUND,
                                       .bytes = (size_t)BOUND * POSIX_BYTES};
    const char *name = posix_name_of_everything();
    ipc_queue *made, *named;
    if (!has_posix_queues() ||
        !DONE(ipc_queue_open_or_create(name, &options, &named)))
        return;
    int rc = ipc_queue_create(name, &options, &made);
    assert_true(rc == -EEXIST || !done("create", rc));
    if (DONE(ipc_queue_open(name, &made))) {
        use_posix_queue(made);
        CHECK(ipc_queue_detach(made), 0);
    }
    CHECK(ipc_queue_detach(named), 0);
    (void)DONE(ipc_queue_unlink(name));
}

/* ---- two processes ---- */

enum {
    TRIPS = 40
};

struct trip {
    ipc_queue *queue;
    uint32_t got;
    uint32_t over; /* no more comes */
};

static bool goes_on(struct trip *trip, int rc)
{
    if (rc == -EPIPE)
        return false;
    if (rc == 0 || rc == -ETIMEDOUT || rc == -EAGAIN)
        return rc == 0 || __atomic_load_n(&trip->over, __ATOMIC_ACQUIRE) == 0;
    return now->errors < 2;
}

static int get_all(void *arg)
{
    static struct content content;
    struct trip *trip = arg;
    int rc;
    now->errors = 0;
    do {
        size_t bytes = 0;
        (void)ipc__fail_plain(0);
        rc = ipc_queue_get_until(trip->queue, content.bytes, LONG_BYTES, &bytes,
                                 ipc_after_ms(5));
        if (rc == 0) {
            expect_content(content.bytes, bytes, batch_bytes(trip->got % 3),
                           trip->got);
            trip->got++;
        } else if (rc != -ETIMEDOUT && rc != -EPIPE) {
            (void)done("get", rc);
        }
    } while (goes_on(trip, rc));
    return 0;
}

static uint32_t put_all(ipc_queue *queue)
{
    static struct content content;
    uint32_t put = 0;
    for (int tries = 0; put < TRIPS && tries < TRIPS + 2; tries++) {
        const size_t bytes = batch_bytes(put % 3);
        make_content(&content, bytes, put);
        put += DONE(ipc_queue_put_until(queue, content.bytes, bytes,
                                        ipc_after_ms(LIMIT_MS)));
    }
    return put;
}

static void make_trip(struct trip *trip)
{
    ipc_process process;
    CHECK(ipc_process_init(&process, get_all, trip, NULL), 0);
    const bool started = DONE(ipc_process_start(&process));
    const uint32_t put = started ? put_all(trip->queue) : 0;
    (void)DONE(ipc_queue_close(trip->queue, false));
    __atomic_store_n(&trip->over, 1, __ATOMIC_RELEASE);
    finish(&process, started, 0);
    assert_int_equal(trip->got + ipc_queue_size(trip->queue), put);
}

/* More than fit at once: both sleep now and then. */
static void use_queue_together(void)
{
    const ipc_queue_options options = queue_options(0);
    struct trip *trip = ipc_shared_alloc(sizeof *trip);
    if (trip == NULL) {
        (void)done("ipc_shared_alloc", -ENOMEM);
        return;
    }
    if (DONE(ipc_queue_new(&options, &trip->queue))) {
        make_trip(trip);
        CHECK(ipc_queue_free(trip->queue), 0);
    }
    CHECK(ipc_shared_free(trip), 0);
}

/* ---- all of it ---- */

static void use_queues(void)
{
    static bool apart;
    if (!apart)
        (void)unshare(CLONE_NEWIPC);
    apart = true;
    static const uint32_t kinds[] = {0, IPC_QUEUE_LIFO,
                                     IPC_QUEUE_PRIORITY | IPC_QUEUE_LEASES};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        use_new_queue(kinds[i]);
    use_named_queue("the-queue", IPC_QUEUE_RELAXED);
    use_named_queue("the-store", IPC_QUEUE_LEASES);
    use_posix_queues();
    if (!now->no_processes)
        use_queue_together();
}

static void remove_names_of_queues(void)
{
    (void)ipc_queue_unlink("the-queue");
    (void)ipc_queue_unlink("the-store");
    if (has_posix_queues())
        (void)ipc_queue_unlink(posix_name_of_everything());
}

#endif
