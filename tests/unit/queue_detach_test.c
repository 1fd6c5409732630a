/* Queues by name: what lets go of one, and what does not while this process
 * uses it; and names that are of something else. */
#include "unit/queue_support.h"

#include <poll.h>

#include <ipc/lock.h>
#include <ipc/segment.h>
#include <ipc/wait.h>

#include "queue/users.h"

#define NAME "/ipc-test-detach"

static const uint32_t kinds[] = {0, IPC_QUEUE_RELAXED, IPC_QUEUE_LIFO,
                                 IPC_QUEUE_PRIORITY, IPC_QUEUE_LEASES};

static ipc_queue *create(uint32_t flags)
{
    const ipc_queue_options options = queue_options(2, 40000, flags);
    ipc_queue *queue = NULL;
    expect_rc(ipc_queue_create(NAME, &options, &queue), 0);
    return queue;
}

static void remove_queue(ipc_queue *queue)
{
    expect_rc(ipc_queue_detach(queue), 0);
    expect_rc(ipc_queue_unlink(NAME), 0);
}

static void expect_kept(ipc_queue *queue, const char *why)
{
    expect_rc(ipc_queue_detach(queue), -EBUSY);
    expect_detail(why);
}

/* ---- while a thread of this process waits ---- */

struct waiter {
    ipc_queue *queue;
    int (*wait)(ipc_queue *queue);
    int rc;
};

static int wait_to_get(ipc_queue *queue)
{
    char byte;
    return ipc_queue_get(queue, &byte, 1, NULL);
}

static int wait_to_put(ipc_queue *queue)
{
    return ipc_queue_put(queue, "x", 1);
}

static int wait_to_join(ipc_queue *queue)
{
    return ipc_queue_join(queue);
}

static int wait_for_several(ipc_queue *queue)
{
    ipc_wait_item item = IPC_WAIT_QUEUE(queue);
    return ipc_wait(&item, 1, IPC_TIME_FOREVER) == 1 ? 0 : -EIO;
}

static int wait_for_a_descriptor_too(ipc_queue *queue)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    ipc_wait_item items[] = {IPC_WAIT_FD(ends[0], POLLIN),
                             IPC_WAIT_QUEUE(queue)};
    const int rc = ipc_wait(items, 2, IPC_TIME_FOREVER);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
    return rc == 1 ? 0 : -EIO;
}

static void *wait_in_thread(void *arg)
{
    struct waiter *w = arg;
    w->rc = w->wait(w->queue);
    return NULL;
}

/* Asleep is not enough: on its way there it joins the family, and may sleep
 * over each call that takes. */
static void wait_until_it_waits(const struct waiter *w)
{
    const int64_t end = test_now_ns() + LIMIT_MS * 1000000LL;
    while (!ipc__queue_is_waited_for(w->queue)) {
        assert_true(test_now_ns() < end);
        poll_pause();
    }
}

static void get_one(ipc_queue *queue)
{
    char byte;
    expect_rc(ipc_queue_get_nowait(queue, &byte, 1, NULL), 0);
}

static void fill(ipc_queue *queue)
{
    while (ipc_queue_put_nowait(queue, "x", 1) == 0)
        continue;
}

static void put_one(ipc_queue *queue)
{
    expect_rc(ipc_queue_put_nowait(queue, "x", 1), 0);
}

static void say_all_is_done(ipc_queue *queue)
{
    while (ipc_queue_task_done(queue) == 0)
        continue;
}

static void nothing(ipc_queue *queue)
{
    (void)queue;
}

/* It stays while somebody waits, works on, and goes when nobody does. */
static void expect_kept_while(int (*wait)(ipc_queue *queue),
                              void (*before)(ipc_queue *queue),
                              void (*end)(ipc_queue *queue))
{
    const int threads = threads_at_rest();
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct waiter w = {.queue = create(kinds[i]), .wait = wait};
        before(w.queue);
        const pthread_t thread = start_thread(wait_in_thread, &w);
        wait_until_it_waits(&w);
        expect_kept(w.queue, "is waited for by this process");
        end(w.queue);
        join_thread(thread);
        expect_rc(w.rc, 0);
        remove_queue(w.queue);
    }
    wait_for_helpers(threads);
}

static void a_getter_keeps_it(void)
{
    expect_kept_while(wait_to_get, nothing, put_one);
}

static void a_putter_keeps_it(void)
{
    expect_kept_while(wait_to_put, fill, get_one);
}

static void who_joins_keeps_it(void)
{
    expect_kept_while(wait_to_join, put_one, say_all_is_done);
}

static void who_waits_for_several_keeps_it(void)
{
    expect_kept_while(wait_for_several, nothing, put_one);
    expect_kept_while(wait_for_a_descriptor_too, nothing, put_one);
}

/* Not what others do: they have it mapped themselves. */
static void get_in_another_process(void *arg)
{
    ipc_queue *queue = NULL;
    (void)arg;
    expect_rc(ipc_queue_open(NAME, &queue), 0);
    expect_rc(wait_to_get(queue), 0);
    expect_rc(ipc_queue_detach(queue), 0);
}

static void other_processes_do_not_keep_it(void)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct role role;
        ipc_queue *queue = create(kinds[i]);
        role_start(&role, get_in_another_process, NULL);
        wait_until_sleeping(role.pid, LIMIT_MS);
        expect_rc(ipc_queue_detach(queue), 0);
        expect_rc(ipc_queue_open(NAME, &queue), 0);
        put_one(queue);
        role_wait_ok(&role, LIMIT_MS);
        remove_queue(queue);
    }
}

/* A child has none of its parent's threads. */
static void detach_in_child(void *arg)
{
    expect_rc(ipc_queue_detach(arg), 0);
}

static void a_forked_child_may_let_go(void)
{
    struct role role;
    struct waiter w = {.queue = create(0), .wait = wait_to_get};
    const pthread_t thread = start_thread(wait_in_thread, &w);
    wait_until_it_waits(&w);
    role_start(&role, detach_in_child, w.queue);
    role_wait_ok(&role, LIMIT_MS);
    expect_kept(w.queue, "is waited for");
    put_one(w.queue);
    join_thread(thread);
    remove_queue(w.queue);
}

/* ---- while this process has something of it in its hands ---- */

static void what_is_reserved_keeps_it(void)
{
    static const size_t sizes[] = {SHORT, PAGES};
    for (size_t i = 0; i < 2 * COUNT(kinds); i++) {
        ipc_message message;
        ipc_queue *queue = create(kinds[i / 2]);
        expect_rc(ipc_queue_reserve(queue, sizes[i % 2], &message), 0);
        expect_kept(queue, "reserved");
        if (i % 2 == 0)
            expect_rc(ipc_queue_commit(queue, &message), 0);
        else
            expect_rc(ipc_queue_abort(queue, &message), 0);
        remove_queue(queue);
    }
}

static void what_is_peeked_at_keeps_it(void)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        ipc_message message;
        ipc_queue *queue = create(kinds[i]);
        put_now(queue, SHORT, 1);
        put_now(queue, SHORT, 2);
        expect_rc(ipc_queue_peek(queue, &message), 0);
        expect_kept(queue, "peeked");
        expect_rc(ipc_queue_release(queue, &message), 0);
        remove_queue(queue); /* with a message in it */
    }
}

static void a_lease_keeps_it_until_it_ends(void)
{
    ipc_message message;
    ipc_queue_options options = queue_options(2, 40000, IPC_QUEUE_LEASES);
    ipc_queue *queue = create(IPC_QUEUE_LEASES);
    put_now(queue, SHORT, 1);
    expect_rc(ipc_queue_take(queue, &message), 0);
    expect_kept(queue, "taken");
    expect_rc(ipc_queue_nack(queue, &message), 0);
    remove_queue(queue);
    options.lease_ns = 30 * 1000000LL;
    expect_rc(ipc_queue_create(NAME, &options, &queue), 0);
    put_now(queue, SHORT, 1);
    expect_rc(ipc_queue_take(queue, &message), 0);
    ipc_sleep_until(message.lease);
    remove_queue(queue);
}

static void *peek_and_end(void *arg)
{
    ipc_message message;
    expect_rc(ipc_queue_peek(arg, &message), 0);
    return NULL;
}

struct holder {
    ipc_queue *queue;
    uint32_t holds, ends;
};

static void *peek_and_stay(void *arg)
{
    struct holder *h = arg;
    ipc_message message;
    expect_rc(ipc_queue_peek(h->queue, &message), 0);
    meet_signal(&h->holds);
    meet_wait(&h->ends, 1, LIMIT_MS);
    expect_rc(ipc_queue_release(h->queue, &message), 0);
    return NULL;
}

static void another_thread_s_peek_keeps_it(void)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct holder *h = test_shared(sizeof *h);
        h->queue = create(kinds[i]);
        put_now(h->queue, SHORT, 1);
        const pthread_t thread = start_thread(peek_and_stay, h);
        meet_wait(&h->holds, 1, LIMIT_MS);
        expect_kept(h->queue, "peeked");
        meet_signal(&h->ends);
        join_thread(thread);
        put_now(h->queue, SHORT, 2);
        join_thread(start_thread(peek_and_end, h->queue));
        remove_queue(h->queue); /* that one is dead */
    }
}

static void hold_in_another_process(void *arg)
{
    struct holder *h = arg;
    ipc_message message;
    expect_rc(ipc_queue_open(NAME, &h->queue), 0);
    expect_rc(ipc_queue_peek(h->queue, &message), 0);
    meet_signal(&h->holds);
    for (;;)
        (void)pause();
}

static void what_others_have_does_not_keep_it(void)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct role role;
        struct holder *h = test_shared(sizeof *h);
        ipc_queue *queue = create(kinds[i]);
        put_now(queue, SHORT, 1);
        role_start(&role, hold_in_another_process, h);
        meet_wait(&h->holds, 1, LIMIT_MS);
        remove_queue(queue);
        (void)role_kill(&role);
    }
}

/* Nothing in it is believed. */
static void a_spoilt_one_may_go(void)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        ipc_queue *queue = create(kinds[i]);
        memset(queue, 0x5a, 64);
        remove_queue(queue);
    }
}

/* ---- names of something else ---- */

static void a_name_of_something_else_is_told(void)
{
    ipc_lock *lock = NULL;
    ipc_queue *queue = NULL;
    ipc_segment *segment = NULL;
    expect_rc(ipc_lock_create(NAME, NULL, &lock), 0);
    expect_rc(ipc_queue_open(NAME, &queue), -EINVAL);
    expect_detail("is a lock, not a queue");
    expect_rc(ipc_queue_unlink(NAME), -EINVAL);
    expect_detail("is a lock, not a queue");
    expect_rc(ipc_lock_close(lock), 0);
    expect_rc(ipc_lock_unlink(NAME), 0);
    queue = create(0);
    expect_rc(ipc_lock_open(NAME, &lock), -EINVAL);
    expect_detail("is a queue, not a lock");
    expect_rc(ipc_segment_open(NAME, &segment), -EINVAL);
    expect_detail("is a queue, not a segment");
    expect_rc(ipc_segment_unlink(NAME), -EINVAL);
    remove_queue(queue);
}

static const struct test_case cases[] = {
    TEST_CASE(a_getter_keeps_it),
    TEST_CASE(a_putter_keeps_it),
    TEST_CASE(who_joins_keeps_it),
    TEST_CASE(who_waits_for_several_keeps_it),
    TEST_CASE(other_processes_do_not_keep_it),
    TEST_CASE(a_forked_child_may_let_go),
    TEST_CASE(what_is_reserved_keeps_it),
    TEST_CASE(what_is_peeked_at_keeps_it),
    TEST_CASE(a_lease_keeps_it_until_it_ends),
    TEST_CASE(another_thread_s_peek_keeps_it),
    TEST_CASE(what_others_have_does_not_keep_it),
    TEST_CASE(a_spoilt_one_may_go),
    TEST_CASE(a_name_of_something_else_is_told),
};
TEST_MAIN(cases)
