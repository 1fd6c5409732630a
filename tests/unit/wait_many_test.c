/* ipc_wait() for many items at once, and for objects in memory together with
 * descriptors: who is told, deadlines, signals, and what it costs. */
#include "unit/wait_support.h"

#include <fcntl.h>

#include "core/waiting.h"
#include "harness/faults.h"

/* ---- a bit of everything ---- */

struct all {
    ipc_queue *queue;
    ipc_queue *full;
    ipc_event *event;
    ipc_semaphore *semaphore;
    ipc_connection *here;
    ipc_connection *there;
    struct ends ends;
};

enum {
    MESSAGE,
    ROOM,
    EVENT,
    PERMIT,
    CONNECTION, /* from here on descriptors */
    DESCRIPTOR,
    KINDS
};

static void make_all(struct all *all, ipc_wait_item items[KINDS])
{
    *all = (struct all){.queue = new_queue(4),
                        .full = new_queue(1),
                        .event = new_event(),
                        .semaphore = new_semaphore(0, 0),
                        .ends = new_ends()};
    expect_rc(ipc_pipe(NULL, &all->here, &all->there), 0);
    put_number(all->full, 1);
    const ipc_wait_item made[KINDS] = {
        IPC_WAIT_QUEUE(all->queue),     IPC_WAIT_QUEUE_ROOM(all->full, 4),
        IPC_WAIT_EVENT(all->event),     IPC_WAIT_SEMAPHORE(all->semaphore),
        IPC_WAIT_CONNECTION(all->here), IPC_WAIT_FD(all->ends.here, POLLIN),
    };
    memcpy(items, made, sizeof made);
}

static void end_all(const struct all *all)
{
    expect_rc(ipc_queue_free(all->queue), 0);
    expect_rc(ipc_queue_free(all->full), 0);
    expect_rc(ipc_event_free(all->event), 0);
    expect_rc(ipc_semaphore_free(all->semaphore), 0);
    expect_rc(ipc_connection_close(all->here), 0);
    expect_rc(ipc_connection_close(all->there), 0);
    close_ends(all->ends);
}

struct doing {
    struct all *all;
    int kind;
};

/* Make one of them ready; take it away again. */
static void make_ready(void *arg)
{
    const struct doing *doing = arg;
    struct all *all = doing->all;
    switch (doing->kind) {
    case MESSAGE:
        put_number(all->queue, 2);
        break;
    case ROOM:
        assert_int_equal(get_number(all->full), 1);
        break;
    case EVENT:
        expect_rc(ipc_event_set(all->event), 0);
        break;
    case PERMIT:
        expect_rc(ipc_semaphore_release(all->semaphore), 0);
        break;
    case CONNECTION:
        expect_rc(ipc_connection_send(all->there, "x", 1), 0);
        break;
    default:
        write_byte(&all->ends);
        break;
    }
}

static void take(struct all *all, int kind)
{
    char byte;
    size_t bytes;
    switch (kind) {
    case MESSAGE:
        assert_int_equal(get_number(all->queue), 2);
        break;
    case ROOM:
        put_number(all->full, 1);
        break;
    case EVENT:
        expect_rc(ipc_event_clear(all->event), 0);
        break;
    case PERMIT:
        expect_rc(ipc_semaphore_acquire_nowait(all->semaphore), 0);
        break;
    case CONNECTION:
        expect_rc(ipc_connection_recv_into_nowait(all->here, &byte, 1, &bytes),
                  0);
        break;
    default:
        read_byte(&all->ends);
        break;
    }
}

static void each_wakes(int from, int to)
{
    struct all all;
    ipc_wait_item items[KINDS];
    make_all(&all, items);
    const size_t n = (size_t)(to - from);
    for (int round = 0; round < 3; round++)
        for (int kind = from; kind < to; kind++) {
            struct doing doing = {&all, kind};
            expect_woken(items + from, n, (size_t)(kind - from), make_ready,
                         &doing);
            take(&all, kind);
        }
    end_all(&all);
}

/* Without the re-check: each wake-up comes. */
static void each_of_the_objects_wakes(void)
{
    ipc__recheck_ns = INT64_MAX;
    each_wakes(MESSAGE, CONNECTION);
}

static void each_of_the_descriptors_wakes(void)
{
    ipc__recheck_ns = INT64_MAX;
    each_wakes(CONNECTION, KINDS);
}

static void each_of_both_wakes(void)
{
    ipc__recheck_ns = INT64_MAX;
    each_wakes(MESSAGE, KINDS);
}

static void all_that_are_ready_are_marked(void)
{
    struct all all;
    ipc_wait_item items[KINDS];
    make_all(&all, items);
    for (int kind = 0; kind < KINDS; kind++) {
        struct doing doing = {&all, kind};
        make_ready(&doing);
        expect_rc(ipc_wait(items, KINDS, IPC_TIME_FOREVER), kind + 1);
        for (int i = 0; i < KINDS; i++)
            assert_int_equal(items[i].ready != 0, i <= kind);
    }
    for (int kind = 0; kind < KINDS; kind++)
        take(&all, kind);
    expect_rc(ipc_wait(items, KINDS, IPC_TIME_NOW), -EAGAIN);
    for (int i = 0; i < KINDS; i++)
        assert_int_equal(items[i].ready, 0);
    end_all(&all);
}

/* ---- deadlines ---- */

static void times_out(ipc_wait_item *items, size_t n)
{
    const ipc_deadline deadline = ipc_after_ms(30);
    expect_rc(ipc_wait(items, n, IPC_TIME_NOW), -EAGAIN);
    expect_rc(ipc_wait(items, n, 1), -ETIMEDOUT);
    expect_rc(ipc_wait(items, n, -1), -ETIMEDOUT);
    expect_rc(ipc_wait(items, n, deadline), -ETIMEDOUT);
    assert_true(ipc_now() >= deadline);
}

static void deadlines_are_kept(void)
{
    struct all all;
    ipc_wait_item items[KINDS];
    make_all(&all, items);
    times_out(items, CONNECTION);
    times_out(items + CONNECTION, KINDS - CONNECTION);
    times_out(items, KINDS);
    end_all(&all);
}

static void deadlines_are_kept_in_a_storm_of_signals(void)
{
    struct all all;
    ipc_wait_item items[KINDS];
    make_all(&all, items);
    storm_start(5000);
    times_out(items, CONNECTION);
    times_out(items + CONNECTION, KINDS - CONNECTION);
    times_out(items, KINDS);
    const long signals = storm_stop();
    test_report("signals", signals);
    assert_true(signals > 20);
    end_all(&all);
}

/* ---- more than one system call takes ---- */

enum {
    MANY = 300
};

static void set_event(void *event)
{
    expect_rc(ipc_event_set(event), 0);
}

static void many_objects(ipc_wait_item *more, size_t n)
{
    static ipc_wait_item items[MANY + 1];
    ipc_event *events = ipc_shared_alloc(MANY * sizeof *events);
    assert_non_null(events);
    for (int i = 0; i < MANY; i++) {
        const ipc_wait_item item = IPC_WAIT_EVENT(&events[i]);
        items[i] = item;
    }
    if (n != 0)
        items[MANY] = *more;
    for (int i = 0; i < MANY; i += 149) {
        struct later later;
        begin_later(&later, set_event, &events[i]);
        expect_rc(ipc_wait(items, MANY + n, ipc_after_ms(HUNG_MS)), 1);
        end_later(&later);
        assert_int_equal(items[i].ready, 1);
        expect_rc(ipc_event_clear(&events[i]), 0);
    }
    expect_rc(ipc_shared_free(events), 0);
}

/* Beyond the 128th by the re-check. */
static void many_objects_are_waited_for(void)
{
    struct ends ends = new_ends();
    ipc_wait_item fd = IPC_WAIT_FD(ends.here, POLLIN);
    many_objects(NULL, 0);
    many_objects(&fd, 1);
    close_ends(ends);
}

static void many_descriptors_are_waited_for(void)
{
    enum {
        N = 60
    };
    struct ends ends[N];
    ipc_wait_item items[N];
    for (int i = 0; i < N; i++) {
        ends[i] = new_ends();
        const ipc_wait_item item = IPC_WAIT_FD(ends[i].here, POLLIN);
        items[i] = item;
    }
    for (int i = 0; i < N; i += 29) {
        expect_woken(items, N, (size_t)i, write_byte, &ends[i]);
        read_byte(&ends[i]);
    }
    for (int i = 0; i < N; i++)
        close_ends(ends[i]);
}

/* One object in several items wakes the caller once, not several that wait. */
static void an_object_may_be_there_twice(void)
{
    ipc_queue *queue = new_queue(4);
    ipc_wait_item items[] = {IPC_WAIT_QUEUE(queue),
                             IPC_WAIT_QUEUE_ROOM(queue, 4),
                             IPC_WAIT_QUEUE(queue)};
    put_number(queue, 1);
    expect_rc(ipc_wait(items, 3, IPC_TIME_FOREVER), 3);
    expect_rc(ipc_queue_free(queue), 0);
}

/* ---- what it costs ---- */

static int64_t cpu_of_wait(ipc_wait_item *items, size_t n, int ms)
{
    const int64_t before = cpu_ns();
    expect_rc(ipc_wait(items, n, ipc_after_ms(ms)), -ETIMEDOUT);
    return cpu_ns() - before;
}

/* A busy wait would take all of the time. */
static void waiting_burns_no_cpu(void)
{
    enum {
        TIME_MS = 300
    };
    struct all all;
    ipc_wait_item items[KINDS];
    make_all(&all, items);
    const int64_t words = cpu_of_wait(items, CONNECTION, TIME_MS);
    const int64_t both = cpu_of_wait(items, KINDS, TIME_MS);
    test_report("words_us", words / 1000);
    test_report("both_us", both / 1000);
    assert_true(words < TIME_MS * NS_PER_MS / 10);
    assert_true(both < TIME_MS * NS_PER_MS / 10);
    end_all(&all);
}

struct in_vain {
    ipc_queue *queue;
    pid_t tid;
    uint32_t begun;
};

static void *wait_in_vain(void *arg)
{
    struct in_vain *v = arg;
    ipc_wait_item item = IPC_WAIT_QUEUE(v->queue);
    v->tid = gettid();
    meet_signal(&v->begun);
    expect_rc(ipc_wait(&item, 1, ipc_after_ms(300)), -ETIMEDOUT);
    return NULL;
}

/* Two that wait for a message that is only reserved do not keep each other
 * awake: wake-ups are handed on once. */
static void two_in_vain_do_not_wake_each_other(void)
{
    ipc_queue *queue = new_queue(4);
    ipc_message message;
    pthread_t threads[2];
    struct in_vain v[2] = {{.queue = queue}, {.queue = queue}};
    const int64_t before = cpu_ns();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, wait_in_vain, &v[i]),
                         0);
        meet_wait(&v[i].begun, 1, HUNG_MS);
        wait_until_sleeping(v[i].tid, HUNG_MS);
    }
    expect_rc(ipc_queue_reserve(queue, 4, &message), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    const int64_t cpu = cpu_ns() - before;
    test_report("cpu_us", cpu / 1000);
    assert_true(cpu < 60 * NS_PER_MS);
    expect_rc(ipc_queue_abort(queue, &message), 0);
    expect_rc(ipc_queue_free(queue), 0);
}

/* ---- when there is nothing to wait with ---- */

static void no_descriptor_left_is_an_error(void)
{
    struct all all;
    ipc_wait_item items[KINDS];
    make_all(&all, items);
    fault_fds_left(0);
    expect_rc(ipc_wait(items, KINDS, ipc_after_ms(10)), -EMFILE);
    expect_rc(ipc_wait(items, CONNECTION, ipc_after_ms(10)), -ETIMEDOUT);
    expect_rc(ipc_wait(items, KINDS, IPC_TIME_NOW), -EAGAIN);
    fault_fds_restore();
    const int fds = count_open_fds();
    struct doing doing = {&all, MESSAGE};
    expect_woken(items, KINDS, MESSAGE, make_ready, &doing);
    assert_int_equal(count_open_fds(), fds);
    end_all(&all);
}

static void without_futex_waitv(void *arg)
{
    struct all *all = arg;
    ipc_wait_item items[KINDS];
    make_all(all, items);
    fault_syscall(449, ENOSYS); /* futex_waitv */
    for (int kind = 0; kind < KINDS; kind++) {
        struct doing doing = {all, kind};
        expect_woken(items, KINDS, (size_t)kind, make_ready, &doing);
        take(all, kind);
    }
    for (int kind = 0; kind < CONNECTION; kind++) {
        struct doing doing = {all, kind};
        expect_woken(items, CONNECTION, (size_t)kind, make_ready, &doing);
        take(all, kind);
    }
    end_all(all);
}

/* By the re-check. */
static void old_kernels_wait_too(void)
{
    struct all all;
    assert_int_equal(role_try(without_futex_waitv, &all, HUNG_MS), 0);
}

/* ---- forks ---- */

#if !defined(__SANITIZE_THREAD__)
static void wait_in_child(void *arg)
{
    const struct all *all = arg;
    ipc_wait_item items[] = {IPC_WAIT_QUEUE(all->queue),
                             IPC_WAIT_FD(all->ends.here, POLLIN)};
    struct later later;
    struct doing doing = {.all = arg, .kind = MESSAGE};
    begin_later(&later, make_ready, &doing);
    expect_rc(ipc_wait(items, 2, ipc_after_ms(HUNG_MS)), 1);
    end_later(&later);
    take(doing.all, MESSAGE);
}
#endif

/* The thread of the parent is not there. */
static void a_child_waits_with_a_thread_of_its_own(void)
{
#if defined(__SANITIZE_THREAD__)
    test_skip("ThreadSanitizer has no threads in forks of threads");
#else
    struct all all;
    ipc_wait_item items[KINDS];
    make_all(&all, items);
    expect_rc(ipc_wait(items, KINDS, ipc_after_ms(5)), -ETIMEDOUT);
    for (int i = 0; i < 3; i++)
        assert_int_equal(role_try(wait_in_child, &all, HUNG_MS), 0);
    expect_rc(ipc_wait(items, KINDS, ipc_after_ms(5)), -ETIMEDOUT);
    end_all(&all);
#endif
}

static const struct test_case cases[] = {
    TEST_CASE(each_of_the_objects_wakes),
    TEST_CASE(each_of_the_descriptors_wakes),
    TEST_CASE(each_of_both_wakes),
    TEST_CASE(all_that_are_ready_are_marked),
    TEST_CASE(deadlines_are_kept),
    TEST_CASE(deadlines_are_kept_in_a_storm_of_signals),
    TEST_CASE(many_objects_are_waited_for),
    TEST_CASE(many_descriptors_are_waited_for),
    TEST_CASE(an_object_may_be_there_twice),
    TEST_CASE(waiting_burns_no_cpu),
    TEST_CASE(two_in_vain_do_not_wake_each_other),
    TEST_CASE(no_descriptor_left_is_an_error),
    TEST_CASE(old_kernels_wait_too),
    TEST_CASE(a_child_waits_with_a_thread_of_its_own),
};

TEST_MAIN(cases)
