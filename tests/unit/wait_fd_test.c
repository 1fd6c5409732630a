/* ipc_..._fd(): descriptors that stand for objects, in loops that know nothing
 * of them: when they are readable, when not, and until when they are good. */
#include "unit/wait_support.h"

#include <sys/epoll.h>

#include "core/waiting.h"
#include "harness/faults.h"

/* It becomes so within a moment; there is no event for that. */
static void expect_unreadable(int fd)
{
    const int64_t end = test_now_ns() + HUNG_MS * NS_PER_MS;
    while (is_readable(fd, 0)) {
        assert_true(test_now_ns() < end);
        poll_pause();
    }
}

static void expect_readable(int fd)
{
    assert_true(is_readable(fd, HUNG_MS));
}

static bool is_open(int fd)
{
    struct pollfd item = {.fd = fd, .events = 0};
    assert_true(poll(&item, 1, 0) >= 0);
    return (item.revents & POLLNVAL) == 0;
}

static int fd_of(int fd)
{
    expect_rc(fd < 0 ? fd : 0, 0);
    return fd;
}

/* ---- each kind ---- */

static void a_queue_is_readable_while_it_has_messages(void)
{
    ipc_queue *queue = new_queue(4);
    ipc__recheck_ns = INT64_MAX;
    put_number(queue, 1);
    const int fd = fd_of(ipc_queue_fd(queue, POLLIN));
    assert_true(is_readable(fd, 0)); /* at once */
    for (uint32_t i = 1; i < 20; i++) {
        expect_readable(fd);
        assert_int_equal(get_number(queue), i);
        expect_readable(fd); /* nobody was refused yet */
        expect_no_number(queue);
        expect_unreadable(fd);
        put_number(queue, i + 1);
    }
    expect_rc(ipc_queue_free(queue), 0);
    assert_false(is_open(fd));
}

static void a_queue_is_readable_while_it_has_room(void)
{
    ipc_queue *queue = new_queue(1);
    uint32_t number = 1;
    ipc__recheck_ns = INT64_MAX;
    const int fd = fd_of(ipc_queue_fd(queue, POLLOUT));
    const int other = fd_of(ipc_queue_fd(queue, POLLIN));
    assert_int_not_equal(fd, other);
    assert_int_equal(ipc_queue_fd(queue, POLLOUT), fd);
    for (int i = 0; i < 10; i++) {
        expect_readable(fd);
        put_number(queue, number);
        expect_rc(ipc_queue_put_until(queue, &number, 4, 1), -ETIMEDOUT);
        expect_unreadable(fd);
        expect_readable(other);
        (void)get_number(queue);
    }
    expect_rc(ipc_queue_fd(queue, POLLIN | POLLOUT), -EINVAL);
    expect_rc(ipc_queue_fd(queue, 0), -EINVAL);
    expect_rc(ipc_queue_close(queue, false), 0);
    expect_readable(fd);
    expect_rc(ipc_queue_free(queue), 0);
    assert_false(is_open(fd));
    assert_false(is_open(other));
}

static void an_event_is_readable_while_it_is_set(void)
{
    ipc_event *event = new_event();
    ipc__recheck_ns = INT64_MAX;
    const int fd = fd_of(ipc_event_fd(event));
    for (int i = 0; i < 10; i++) {
        assert_false(is_readable(fd, 0));
        expect_rc(ipc_event_set(event), 0);
        expect_readable(fd);
        expect_rc(ipc_event_wait_nowait(event), 0);
        expect_readable(fd);
        expect_rc(ipc_event_clear(event), 0);
        expect_unreadable(fd);
    }
    expect_rc(ipc_event_free(event), 0);
    assert_false(is_open(fd));
}

static void a_semaphore_is_readable_while_it_has_permits(void)
{
    static const uint32_t flags[] = {0, IPC_SEMAPHORE_FAIR};
    ipc__recheck_ns = INT64_MAX;
    for (int i = 0; i < 4; i++) {
        ipc_semaphore *semaphore = new_semaphore(1, flags[i % 2]);
        const int fd = fd_of(ipc_semaphore_fd(semaphore));
        expect_readable(fd);
        expect_rc(ipc_semaphore_acquire_nowait(semaphore), 0);
        expect_rc(ipc_semaphore_acquire_nowait(semaphore), -EAGAIN);
        expect_unreadable(fd);
        expect_rc(ipc_semaphore_release(semaphore), 0);
        expect_readable(fd);
        expect_rc(ipc_semaphore_free(semaphore), 0);
        assert_false(is_open(fd));
    }
}

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

static void a_lock_is_readable_while_it_is_free(void)
{
    static const uint32_t flags[] = {0, IPC_LOCK_FAIR};
    ipc__recheck_ns = INT64_MAX;
    for (int i = 0; i < 2; i++) {
        struct holding h = {.lock = new_lock_of(flags[i])};
        pthread_t thread;
        const int fd = fd_of(ipc_lock_fd(h.lock));
        expect_readable(fd);
        assert_int_equal(pthread_create(&thread, NULL, hold_lock, &h), 0);
        meet_wait(&h.held, 1, HUNG_MS);
        expect_rc(ipc_lock_acquire_nowait(h.lock), -EAGAIN);
        expect_unreadable(fd);
        meet_signal(&h.go);
        expect_readable(fd);
        assert_int_equal(pthread_join(thread, NULL), 0);
        expect_rc(ipc_lock_free(h.lock), 0);
        assert_false(is_open(fd));
    }
}

static int wait_for_word(void *word)
{
    meet_wait(word, 1, HUNG_MS);
    return 0;
}

static void a_thread_is_readable_when_it_has_ended(void)
{
    uint32_t go = 0;
    ipc_thread thread;
    ipc__recheck_ns = INT64_MAX;
    expect_rc(ipc_thread_init(&thread, wait_for_word, &go, NULL), 0);
    expect_rc(ipc_thread_fd(&thread), -EINVAL);
    expect_rc(ipc_thread_start(&thread), 0);
    const int fd = fd_of(ipc_thread_fd(&thread));
    assert_false(is_readable(fd, 0));
    meet_signal(&go);
    expect_readable(fd);
    expect_rc(ipc_thread_join(&thread), 0);
    expect_readable(fd);
    expect_rc(ipc_thread_close(&thread), 0);
    assert_false(is_open(fd));
}

static void nothing(void *unused)
{
    (void)unused;
}

static void a_timer_is_readable_when_it_has_run(void)
{
    static ipc_timer timer;
    ipc__recheck_ns = INT64_MAX;
    expect_rc(ipc_timer_start(&timer, ipc_after_ms(20), nothing, NULL, NULL),
              0);
    const int fd = fd_of(ipc_timer_fd(&timer));
    expect_readable(fd);
    expect_rc(ipc_timer_join_nowait(&timer), 0);
    expect_rc(ipc_timer_start(&timer, ipc_after_s(100), nothing, NULL, NULL),
              0);
    expect_rc(ipc_timer_join_nowait(&timer), -EAGAIN);
    expect_unreadable(fd);
    expect_rc(ipc_timer_cancel(&timer), 0);
    expect_readable(fd);
    expect_rc(ipc_fd_close(fd), 0);
    expect_rc(ipc_fd_close(fd), -EINVAL);
    assert_false(is_open(fd));
}

/* ---- in a loop of somebody else's ---- */

enum {
    MESSAGES = 2000
};

static void produce(void *queue)
{
    for (uint32_t i = 1; i <= MESSAGES; i++)
        expect_rc(ipc_queue_put(queue, &i, sizeof i), 0);
}

/* Level-triggered: whatever is left is told of again.  Every message is got,
 * in order, and the loop sleeps when there is none. */
static void epoll_gets_every_message(void)
{
    ipc_queue *queue = new_queue(16);
    struct role role;
    struct epoll_event event = {.events = EPOLLIN};
    ipc__recheck_ns = INT64_MAX;
    const int fd = fd_of(ipc_queue_fd(queue, POLLIN));
    const int loop = epoll_create1(EPOLL_CLOEXEC);
    uint32_t next = 1;
    long rounds = 0;
    assert_int_equal(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event), 0);
    role_start(&role, produce, queue);
    while (next <= MESSAGES) {
        uint32_t number;
        assert_int_equal(epoll_wait(loop, &event, 1, HUNG_MS), 1);
        rounds++;
        for (int i = 0; i < 5; i++) { /* not all that there are */
            const int rc = ipc_queue_get_nowait(queue, &number, 4, NULL);
            if (rc == -EAGAIN)
                break;
            expect_rc(rc, 0);
            assert_int_equal(number, next++);
        }
    }
    role_wait_ok(&role, HUNG_MS);
    test_report("rounds", rounds);
    assert_int_equal(close(loop), 0);
    expect_rc(ipc_queue_free(queue), 0);
}

static void a_quiet_loop_burns_no_cpu(void)
{
    ipc_queue *queue = new_queue(16);
    const int fd = fd_of(ipc_queue_fd(queue, POLLIN));
    expect_no_number(queue);
    expect_unreadable(fd);
    const int64_t before = cpu_ns();
    assert_false(is_readable(fd, 300));
    const int64_t cpu = cpu_ns() - before;
    test_report("cpu_us", cpu / 1000);
    assert_true(cpu < 30 * NS_PER_MS);
    expect_rc(ipc_queue_free(queue), 0);
}

/* ---- who else uses the object ---- */

static void put_and_get(void *queue)
{
    put_number(queue, 1);
    assert_int_equal(get_number(queue), 1);
    put_number(queue, 2);
}

/* Another process was faster: readable for nothing, but not for good. */
static void others_may_be_faster(void)
{
    ipc_queue *queue = new_queue(4);
    const int fd = fd_of(ipc_queue_fd(queue, POLLIN));
    struct role role;
    for (int i = 0; i < 10; i++) {
        role_start(&role, put_and_get, queue);
        expect_readable(fd);
        role_wait_ok(&role, HUNG_MS);
        (void)get_number(queue);
        expect_no_number(queue);
        expect_unreadable(fd);
    }
    expect_rc(ipc_queue_free(queue), 0);
}

struct waiter {
    ipc_semaphore *semaphore;
    uint32_t begun;
    uint32_t got;
};

static void wait_for_permit(void *arg)
{
    struct waiter *waiter = arg;
    ipc__recheck_ns = INT64_MAX;
    meet_signal(&waiter->begun);
    expect_rc(ipc_semaphore_acquire(waiter->semaphore), 0);
    meet_signal(&waiter->got);
}

/* A permit whose wake-up went to the descriptor goes to who waits for it. */
static void a_descriptor_takes_no_wake_up(void)
{
    struct waiter *waiter = test_shared(sizeof *waiter);
    struct role role;
    ipc__recheck_ns = INT64_MAX;
    waiter->semaphore = new_semaphore(0, 0);
    const int fd = fd_of(ipc_semaphore_fd(waiter->semaphore));
    for (uint32_t i = 1; i <= 20; i++) {
        role_start(&role, wait_for_permit, waiter);
        meet_wait(&waiter->begun, i, HUNG_MS);
        wait_until_sleeping(role.pid, HUNG_MS);
        expect_rc(ipc_semaphore_release(waiter->semaphore), 0);
        meet_wait(&waiter->got, i, HUNG_MS);
        role_wait_ok(&role, HUNG_MS);
        expect_rc(ipc_semaphore_acquire_nowait(waiter->semaphore), -EAGAIN);
        expect_unreadable(fd);
    }
    /* Nor when it is closed. */
    role_start(&role, wait_for_permit, waiter);
    meet_wait(&waiter->begun, 21, HUNG_MS);
    wait_until_sleeping(role.pid, HUNG_MS);
    expect_rc(ipc_semaphore_release(waiter->semaphore), 0);
    expect_rc(ipc_fd_close(fd), 0);
    meet_wait(&waiter->got, 21, HUNG_MS);
    role_wait_ok(&role, HUNG_MS);
    expect_rc(ipc_semaphore_free(waiter->semaphore), 0);
}

static void hold_until_killed(void *arg)
{
    struct holding *h = arg;
    expect_rc(ipc_lock_acquire(h->lock), 0);
    meet_signal(&h->held);
    for (;;)
        (void)pause();
}

static void the_death_of_an_owner_is_told(void)
{
    struct holding *h = test_shared(sizeof *h);
    struct role role;
    ipc__recheck_ns = INT64_MAX;
    h->lock = new_lock_of(0);
    role_start(&role, hold_until_killed, h);
    meet_wait(&h->held, 1, HUNG_MS);
    const int fd = fd_of(ipc_lock_fd(h->lock));
    assert_false(is_readable(fd, 0));
    expect_rc(ipc_lock_acquire_nowait(h->lock), -EAGAIN);
    (void)role_kill(&role);
    expect_readable(fd);
    expect_rc(ipc_lock_acquire_nowait(h->lock), IPC_OWNER_DIED);
    expect_rc(ipc_lock_consistent(h->lock), 0);
    expect_rc(ipc_lock_release(h->lock), 0);
    expect_rc(ipc_lock_free(h->lock), 0);
}

/* ---- until when they are good ---- */

static void named_objects_are_let_go(void)
{
    ipc_queue *queue = NULL;
    ipc_event *event = NULL;
    expect_rc(ipc_queue_create("wait-queue", NULL, &queue), 0);
    expect_rc(ipc_event_create("wait-event", NULL, &event), 0);
    const int fds[] = {fd_of(ipc_queue_fd(queue, POLLIN)),
                       fd_of(ipc_queue_fd(queue, POLLOUT)),
                       fd_of(ipc_event_fd(event))};
    expect_no_number(queue);
    expect_rc(ipc_queue_detach(queue), 0);
    assert_false(is_open(fds[0]));
    assert_false(is_open(fds[1]));
    assert_true(is_open(fds[2]));
    expect_rc(ipc_event_close(event), 0);
    assert_false(is_open(fds[2]));
    expect_rc(ipc_queue_unlink("wait-queue"), 0);
    expect_rc(ipc_event_unlink("wait-event"), 0);
}

static void objects_in_private_memory_are_let_go(void)
{
    ipc_event event;
    ipc_lock lock;
    ipc_semaphore semaphore;
    expect_rc(ipc_event_init(&event, NULL), 0);
    expect_rc(ipc_lock_init(&lock, NULL), 0);
    expect_rc(ipc_semaphore_init(&semaphore, 0, NULL), 0);
    const int fds[] = {fd_of(ipc_event_fd(&event)), fd_of(ipc_lock_fd(&lock)),
                       fd_of(ipc_semaphore_fd(&semaphore))};
    expect_rc(ipc_event_fini(&event), 0);
    expect_rc(ipc_lock_fini(&lock), 0);
    expect_rc(ipc_semaphore_fini(&semaphore), 0);
    for (int i = 0; i < 3; i++)
        assert_false(is_open(fds[i]));
}

#if !defined(__SANITIZE_THREAD__)
static void in_a_child(void *arg)
{
    ipc_queue *queue = arg;
    const int fd = fd_of(ipc_queue_fd(queue, POLLIN));
    assert_true(is_readable(fd, 0));
    assert_int_equal(get_number(queue), 5);
    expect_no_number(queue);
    expect_unreadable(fd);
    expect_rc(ipc_fd_close(fd), 0);
}
#endif

static void a_child_has_its_own(void)
{
#if defined(__SANITIZE_THREAD__)
    test_skip("ThreadSanitizer has no threads in forks of threads");
#else
    ipc_queue *queue = new_queue(4);
    const int fd = fd_of(ipc_queue_fd(queue, POLLIN));
    for (int i = 0; i < 3; i++) {
        put_number(queue, 5);
        expect_readable(fd);
        assert_int_equal(role_try(in_a_child, queue, HUNG_MS), 0);
        expect_no_number(queue);
        expect_unreadable(fd);
    }
    expect_rc(ipc_queue_free(queue), 0);
#endif
}

static void no_descriptor_left_is_an_error(void)
{
    ipc_queue *queue = new_queue(4);
    expect_rc(ipc_fd_close(0), -EINVAL);
    fault_fds_left(0);
    expect_rc(ipc_queue_fd(queue, POLLIN), -EMFILE);
    fault_fds_restore();
    const int fd = fd_of(ipc_queue_fd(queue, POLLIN));
    put_number(queue, 1);
    expect_readable(fd);
    expect_rc(ipc_queue_free(queue), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(a_queue_is_readable_while_it_has_messages),
    TEST_CASE(a_queue_is_readable_while_it_has_room),
    TEST_CASE(an_event_is_readable_while_it_is_set),
    TEST_CASE(a_semaphore_is_readable_while_it_has_permits),
    TEST_CASE(a_lock_is_readable_while_it_is_free),
    TEST_CASE(a_thread_is_readable_when_it_has_ended),
    TEST_CASE(a_timer_is_readable_when_it_has_run),
    TEST_CASE(epoll_gets_every_message),
    TEST_CASE(a_quiet_loop_burns_no_cpu),
    TEST_CASE(others_may_be_faster),
    TEST_CASE(a_descriptor_takes_no_wake_up),
    TEST_CASE(the_death_of_an_owner_is_told),
    TEST_CASE(named_objects_are_let_go),
    TEST_CASE(objects_in_private_memory_are_let_go),
    TEST_CASE(a_child_has_its_own),
    TEST_CASE(no_descriptor_left_is_an_error),
};

TEST_MAIN(cases)
