/* ipc_wait(): each kind of item alone and among others, in all forms; what ends
 * a wait; what is no item. */
#include "unit/wait_support.h"

#include <fcntl.h>
#include <signal.h>

#include "harness/faults.h"

/* ---- what other threads do meanwhile ---- */

static void put_one(void *queue)
{
    put_number(queue, 7);
}

static void get_one(void *queue)
{
    (void)get_number(queue);
}

static void close_queue(void *queue)
{
    expect_rc(ipc_queue_close(queue, false), 0);
}

static void set_event(void *event)
{
    expect_rc(ipc_event_set(event), 0);
}

static void set_and_clear_event(void *event)
{
    expect_rc(ipc_event_set(event), 0);
    expect_rc(ipc_event_clear(event), 0);
}

static void release_permit(void *semaphore)
{
    expect_rc(ipc_semaphore_release(semaphore), 0);
}

static void cancel_timer(void *timer)
{
    expect_rc(ipc_timer_cancel(timer), 0);
}

static void send_message(void *connection)
{
    expect_rc(ipc_connection_send(connection, "hello", 5), 0);
}

static void close_connection(void *connection)
{
    expect_rc(ipc_connection_close(connection), 0);
}

static void signal_word(void *word)
{
    meet_signal(word);
}

/* ---- queues ---- */

static void a_message_makes_a_queue_ready(void)
{
    ipc_queue *queue = new_queue(4);
    ipc_wait_item item = IPC_WAIT_QUEUE(queue);
    expect_woken(&item, 1, 0, put_one, queue);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_FOREVER), 1); /* it is still there */
    assert_int_equal(get_number(queue), 7);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), -EAGAIN);
    assert_int_equal(item.ready, 0);
    expect_rc(ipc_queue_free(queue), 0);
}

static void room_makes_a_full_queue_ready(void)
{
    ipc_queue *queue = new_queue(2);
    ipc_wait_item items[] = {IPC_WAIT_QUEUE_ROOM(queue, 4),
                             IPC_WAIT_QUEUE_ROOM(queue, (1 << 24) + 1)};
    put_number(queue, 1);
    expect_rc(ipc_wait(items, 1, IPC_TIME_NOW), 1);
    put_number(queue, 2);
    expect_woken(items, 1, 0, get_one, queue);
    /* What never fits would not wait either. */
    expect_rc(ipc_wait(items + 1, 1, IPC_TIME_NOW), 1);
    expect_rc(ipc_queue_put_nowait(queue, items, (1 << 24) + 1), -EMSGSIZE);
    expect_rc(ipc_queue_free(queue), 0);
}

/* The memory of long messages is taken for the look, and given back. */
static void looking_for_room_takes_none(void)
{
    enum {
        LONG = 1 << 20
    };
    static char message[LONG];
    ipc_queue_options options = IPC_QUEUE_OPTIONS_INIT;
    ipc_queue *queue = NULL;
    options.bytes = (size_t)4 * LONG;
    expect_rc(ipc_queue_new(&options, &queue), 0);
    ipc_wait_item item = IPC_WAIT_QUEUE_ROOM(queue, LONG);
    for (int i = 0; i < 20; i++)
        expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), 1);
    for (int i = 0; i < 4; i++)
        expect_rc(ipc_queue_put_nowait(queue, message, LONG), 0);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), -EAGAIN);
    expect_rc(ipc_queue_free(queue), 0);
}

static void closing_makes_a_queue_ready(void)
{
    ipc_queue *queue = new_queue(1);
    ipc_queue *full = new_queue(1);
    ipc_wait_item items[] = {IPC_WAIT_QUEUE(queue),
                             IPC_WAIT_QUEUE_ROOM(full, 4)};
    put_number(full, 1);
    expect_woken(items, 2, 0, close_queue, queue);
    expect_woken(items + 1, 1, 0, close_queue, full);
    expect_rc(ipc_queue_free(queue), 0);
    expect_rc(ipc_queue_free(full), 0);
}

struct reserved {
    ipc_queue *queue;
    ipc_message message;
    uint32_t done;
    uint32_t go;
};

static void *reserve_and_commit(void *arg)
{
    struct reserved *r = arg;
    expect_rc(ipc_queue_reserve(r->queue, 4, &r->message), 0);
    meet_signal(&r->done);
    meet_wait(&r->go, 1, HUNG_MS);
    expect_rc(ipc_queue_commit(r->queue, &r->message), 0);
    return NULL;
}

/* In a strict queue a message that is being written holds up those behind it,
 * and is not ready itself. */
static void a_reserved_message_is_not_ready(void)
{
    struct reserved r = {.queue = new_queue(4)};
    ipc_wait_item item = IPC_WAIT_QUEUE(r.queue);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, reserve_and_commit, &r), 0);
    meet_wait(&r.done, 1, HUNG_MS);
    put_number(r.queue, 2);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), -EAGAIN);
    expect_rc(ipc_wait(&item, 1, ipc_after_ms(10)), -ETIMEDOUT);
    expect_woken(&item, 1, 0, signal_word, &r.go);
    assert_int_equal(pthread_join(thread, NULL), 0);
    expect_rc(ipc_queue_free(r.queue), 0);
}

static void what_is_no_queue_is_ready(void)
{
    static uint64_t garbage[128] __attribute__((aligned(128)));
    ipc_wait_item item = IPC_WAIT_QUEUE((ipc_queue *)garbage);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_FOREVER), 1);
    expect_rc(ipc_queue_get_nowait((ipc_queue *)garbage, garbage, 1, NULL),
              -EUCLEAN);
}

/* ---- locks ---- */

struct holding {
    ipc_lock *lock;
    uint32_t held;
    uint32_t go;
};

static void *hold_lock(void *arg)
{
    struct holding *h = arg;
    expect_rc(ipc_lock_acquire(h->lock), 0);
    meet_signal(&h->held);
    meet_wait(&h->go, 1, HUNG_MS);
    expect_rc(ipc_lock_release(h->lock), 0);
    return NULL;
}

static void wait_for_lock(uint32_t flags)
{
    struct holding h = {.lock = new_lock_of(flags)};
    ipc_wait_item item = IPC_WAIT_LOCK(h.lock);
    pthread_t thread;
    expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), 1);
    assert_int_equal(pthread_create(&thread, NULL, hold_lock, &h), 0);
    meet_wait(&h.held, 1, HUNG_MS);
    expect_woken(&item, 1, 0, signal_word, &h.go);
    assert_int_equal(pthread_join(thread, NULL), 0);
    expect_rc(ipc_lock_acquire_nowait(h.lock), 0);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), 1); /* -EDEADLK is no wait */
    expect_rc(ipc_lock_release(h.lock), 0);
    expect_rc(ipc_lock_free(h.lock), 0);
}

static void a_release_makes_a_lock_ready(void)
{
    wait_for_lock(0);
    wait_for_lock(IPC_LOCK_FAIR);
}

static void an_rlock_is_ready_for_its_owner(void)
{
    ipc_rlock *rlock = NULL;
    expect_rc(ipc_rlock_new(NULL, &rlock), 0);
    ipc_wait_item item = IPC_WAIT_RLOCK(rlock);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), 1);
    expect_rc(ipc_rlock_acquire(rlock), 0);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_FOREVER), 1);
    expect_rc(ipc_rlock_release(rlock), 0);
    expect_rc(ipc_rlock_free(rlock), 0);
}

static void hold_until_killed(void *arg)
{
    struct holding *h = arg;
    expect_rc(ipc_lock_acquire(h->lock), 0);
    meet_signal(&h->held);
    for (;;)
        (void)pause();
}

static void kill_role(void *arg)
{
    struct role *role = arg;
    assert_int_equal(kill(role->pid, SIGKILL), 0);
}

static void a_dead_owner_makes_a_lock_ready(void)
{
    struct holding *h = test_shared(sizeof *h);
    struct role role;
    h->lock = new_lock_of(0);
    ipc_wait_item item = IPC_WAIT_LOCK(h->lock);
    role_start(&role, hold_until_killed, h);
    meet_wait(&h->held, 1, HUNG_MS);
    expect_woken(&item, 1, 0, kill_role, &role);
    (void)role_kill(&role);
    expect_rc(ipc_lock_acquire_nowait(h->lock), IPC_OWNER_DIED);
    expect_rc(ipc_lock_release(h->lock), 0); /* not consistent */
    expect_rc(ipc_wait(&item, 1, IPC_TIME_FOREVER), 1);
    expect_rc(ipc_lock_acquire_nowait(h->lock), -ENOTRECOVERABLE);
    expect_rc(ipc_lock_reset(h->lock), 0);
    expect_rc(ipc_lock_free(h->lock), 0);
}

/* ---- semaphores ---- */

static void wait_for_permit(uint32_t flags)
{
    ipc_semaphore *semaphore = new_semaphore(1, flags);
    ipc_wait_item item = IPC_WAIT_SEMAPHORE(semaphore);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), 1);
    expect_rc(ipc_semaphore_acquire_nowait(semaphore), 0);
    if ((flags & IPC_SEMAPHORE_TRACKED) == 0)
        expect_woken(&item, 1, 0, release_permit, semaphore);
    else
        expect_rc(ipc_wait(&item, 1, ipc_after_ms(5)), -ETIMEDOUT);
    if ((flags & IPC_SEMAPHORE_TRACKED) != 0)
        expect_rc(ipc_semaphore_release(semaphore), 0);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), 1);
    expect_rc(ipc_semaphore_acquire_nowait(semaphore), 0);
    expect_rc(ipc_semaphore_release(semaphore), 0);
    expect_rc(ipc_semaphore_free(semaphore), 0);
}

static void a_permit_makes_a_semaphore_ready(void)
{
    wait_for_permit(0);
    wait_for_permit(IPC_SEMAPHORE_BOUNDED);
    wait_for_permit(IPC_SEMAPHORE_FAIR);
    wait_for_permit(IPC_SEMAPHORE_TRACKED);
    wait_for_permit(IPC_SEMAPHORE_TRACKED | IPC_SEMAPHORE_FAIR);
}

struct permit {
    ipc_semaphore *semaphore;
    uint32_t held;
};

static void hold_permit(void *arg)
{
    struct permit *permit = arg;
    expect_rc(ipc_semaphore_acquire(permit->semaphore), 0);
    meet_signal(&permit->held);
    for (;;)
        (void)pause();
}

static void a_dead_holder_makes_a_tracked_semaphore_ready(void)
{
    struct permit *permit = test_shared(sizeof *permit);
    struct role role;
    permit->semaphore = new_semaphore(1, IPC_SEMAPHORE_TRACKED);
    ipc_wait_item item = IPC_WAIT_SEMAPHORE(permit->semaphore);
    role_start(&role, hold_permit, permit);
    meet_wait(&permit->held, 1, HUNG_MS);
    expect_woken(&item, 1, 0, kill_role, &role);
    (void)role_kill(&role);
    expect_rc(ipc_semaphore_acquire_nowait(permit->semaphore), 0);
    expect_rc(ipc_semaphore_release(permit->semaphore), 0);
    expect_rc(ipc_semaphore_free(permit->semaphore), 0);
}

/* ---- events ---- */

static void an_event_is_ready_when_it_is_set(void)
{
    ipc_event *event = new_event();
    ipc_wait_item item = IPC_WAIT_EVENT(event);
    expect_woken(&item, 1, 0, set_event, event);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), 1);
    expect_rc(ipc_event_clear(event), 0);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), -EAGAIN);
    expect_woken(&item, 1, 0, set_and_clear_event, event);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), -EAGAIN);
    expect_rc(ipc_event_free(event), 0);
}

/* ---- threads, timers, processes ---- */

static int wait_for_word(void *word)
{
    meet_wait(word, 1, HUNG_MS);
    return 3;
}

static void a_thread_is_ready_when_it_has_ended(void)
{
    uint32_t go = 0;
    ipc_thread thread;
    ipc_wait_item item = IPC_WAIT_THREAD(&thread);
    expect_rc(ipc_thread_init(&thread, wait_for_word, &go, NULL), 0);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), -EINVAL);
    expect_rc(ipc_thread_start(&thread), 0);
    expect_woken(&item, 1, 0, signal_word, &go);
    expect_rc(ipc_thread_join_nowait(&thread), 0);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), 1);
    expect_rc(ipc_thread_close(&thread), 0);
}

static void nothing(void *unused)
{
    (void)unused;
}

static void a_timer_is_ready_when_it_has_run(void)
{
    static ipc_timer timer;
    ipc_wait_item item = IPC_WAIT_TIMER(&timer);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), -EINVAL);
    expect_rc(ipc_timer_start(&timer, ipc_after_ms(20), nothing, NULL, NULL),
              0);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), -EAGAIN);
    expect_rc(ipc_wait(&item, 1, ipc_after_ms(HUNG_MS)), 1);
    expect_rc(ipc_timer_join_nowait(&timer), 0);
    expect_rc(ipc_timer_start(&timer, ipc_after_s(100), nothing, NULL, NULL),
              0);
    expect_woken(&item, 1, 0, cancel_timer, &timer);
}

static int end_when_told(void *word)
{
    meet_wait(word, 1, HUNG_MS);
    return 3;
}

static void a_process_is_ready_when_it_has_ended(void)
{
    uint32_t *go = test_shared(sizeof *go);
    ipc_process process;
    ipc_wait_item item = IPC_WAIT_PROCESS(&process);
    expect_rc(ipc_process_init(&process, end_when_told, go, NULL), 0);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), -EINVAL);
    expect_rc(ipc_process_start(&process), 0);
    expect_woken(&item, 1, 0, signal_word, go);
    expect_rc(ipc_process_join_nowait(&process), 0);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_NOW), 1);
    expect_rc(ipc_process_close(&process), 0);
}

/* ---- connections and descriptors ---- */

static void a_connection_is_ready_when_something_came(void)
{
    ipc_connection *a = NULL, *b = NULL;
    ipc_pipe_options options = IPC_PIPE_OPTIONS_INIT;
    char text[8];
    size_t bytes;
    expect_rc(ipc_pipe(NULL, &a, &b), 0);
    ipc_wait_item item = IPC_WAIT_CONNECTION(a);
    expect_woken(&item, 1, 0, send_message, b);
    expect_rc(ipc_connection_recv_into_nowait(a, text, 8, &bytes), 0);
    expect_woken(&item, 1, 0, close_connection, b);
    expect_rc(ipc_connection_recv_into_nowait(a, text, 8, &bytes), -EPIPE);
    expect_rc(ipc_connection_close(a), 0);

    options.flags = IPC_PIPE_ONE_WAY;
    expect_rc(ipc_pipe(&options, &a, &b), 0);
    ipc_wait_item sender = IPC_WAIT_CONNECTION(b);
    expect_rc(ipc_wait(&sender, 1, IPC_TIME_NOW), -EBADF);
    expect_rc(ipc_connection_close(a), 0);
    expect_rc(ipc_connection_close(b), 0);
}

static void descriptors_are_ready_as_poll_says(void)
{
    struct ends ends = new_ends();
    ipc_wait_item item = IPC_WAIT_FD(ends.here, POLLIN);
    expect_woken(&item, 1, 0, write_byte, &ends);
    assert_int_equal(item.ready, POLLIN);
    read_byte(&ends);
    ipc_wait_item both = IPC_WAIT_FD(ends.here, POLLIN | POLLOUT);
    expect_rc(ipc_wait(&both, 1, IPC_TIME_FOREVER), 1);
    assert_int_equal(both.ready, POLLOUT);
    assert_int_equal(close(ends.there), 0);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_FOREVER), 1);
    assert_true((item.ready & POLLHUP) != 0);
    assert_int_equal(close(ends.here), 0);
    expect_rc(ipc_wait(&item, 1, IPC_TIME_FOREVER), -EBADF);
    assert_non_null(strstr(ipc_error_detail(), "item 0"));
    ipc_wait_item none = IPC_WAIT_FD(-1, POLLIN);
    expect_rc(ipc_wait(&none, 1, IPC_TIME_FOREVER), -EBADF);
}

/* ---- nonsense ---- */

static void nonsense_is_refused(void)
{
    static ipc_wait_item zero;
    ipc_event *event = new_event();
    ipc_wait_item items[] = {IPC_WAIT_EVENT(event), IPC_WAIT_EVENT(event)};
    expect_rc(ipc_wait(items, 0, IPC_TIME_FOREVER), -EINVAL);
    expect_rc(ipc_wait(&zero, 1, IPC_TIME_FOREVER), -EINVAL);
    items[1].object = NULL;
    expect_rc(ipc_wait(items, 2, IPC_TIME_FOREVER), -EINVAL);
    assert_non_null(strstr(ipc_error_detail(), "item 1 of 2"));
    items[1] = items[0];
    items[1].what = UINT32_MAX;
    expect_rc(ipc_wait(items, 2, IPC_TIME_FOREVER), -EINVAL);
    expect_rc(ipc_event_free(event), 0);
}

static void in_a_child(void *arg)
{
    ipc_wait_item *items = arg;
    expect_rc(ipc_wait(items, 1, IPC_TIME_FOREVER), -ECHILD);
    expect_rc(ipc_wait(items + 1, 1, IPC_TIME_FOREVER), -ECHILD);
    expect_rc(ipc_wait(items + 2, 1, IPC_TIME_FOREVER), -ECHILD);
}

static void what_is_the_parents_is_refused(void)
{
    static ipc_timer timer;
    uint32_t *go = test_shared(sizeof *go);
    ipc_thread thread;
    ipc_process process;
    ipc_wait_item items[] = {IPC_WAIT_THREAD(&thread),
                             IPC_WAIT_PROCESS(&process),
                             IPC_WAIT_TIMER(&timer)};
    expect_rc(ipc_thread_init(&thread, wait_for_word, go, NULL), 0);
    expect_rc(ipc_process_init(&process, end_when_told, go, NULL), 0);
    expect_rc(ipc_process_start(&process), 0);
    expect_rc(ipc_thread_start(&thread), 0);
    expect_rc(ipc_timer_start(&timer, ipc_after_s(100), nothing, NULL, NULL),
              0);
    assert_int_equal(role_try(in_a_child, items, HUNG_MS), 0);
    meet_signal(go);
    expect_rc(ipc_timer_cancel(&timer), 0);
    expect_rc(ipc_thread_join(&thread), 0);
    expect_rc(ipc_process_join(&process), 0);
    expect_rc(ipc_thread_close(&thread), 0);
    expect_rc(ipc_process_close(&process), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(a_message_makes_a_queue_ready),
    TEST_CASE(room_makes_a_full_queue_ready),
    TEST_CASE(looking_for_room_takes_none),
    TEST_CASE(closing_makes_a_queue_ready),
    TEST_CASE(a_reserved_message_is_not_ready),
    TEST_CASE(what_is_no_queue_is_ready),
    TEST_CASE(a_release_makes_a_lock_ready),
    TEST_CASE(an_rlock_is_ready_for_its_owner),
    TEST_CASE(a_dead_owner_makes_a_lock_ready),
    TEST_CASE(a_permit_makes_a_semaphore_ready),
    TEST_CASE(a_dead_holder_makes_a_tracked_semaphore_ready),
    TEST_CASE(an_event_is_ready_when_it_is_set),
    TEST_CASE(a_thread_is_ready_when_it_has_ended),
    TEST_CASE(a_timer_is_ready_when_it_has_run),
    TEST_CASE(a_process_is_ready_when_it_has_ended),
    TEST_CASE(a_connection_is_ready_when_something_came),
    TEST_CASE(descriptors_are_ready_as_poll_says),
    TEST_CASE(nonsense_is_refused),
    TEST_CASE(what_is_the_parents_is_refused),
};

TEST_MAIN(cases)
