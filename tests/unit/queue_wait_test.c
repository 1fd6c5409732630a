/* Queues: those who wait for a message, or for room.  The re-check is off where
 * the case does not say otherwise: nobody is found by looking again. */
#include "unit/queue_support.h"

#include "harness/faults.h"

#include <sched.h>
#include <signal.h>
#include <time.h>

#include "core/waiting.h"
#include "queue/ring.h"

enum {
    MOST = 12
};

/* In memory that all share; the queue is made before the forks. */
struct stage {
    ipc_queue *queue;
    uint32_t ready;
    uint32_t go;
    uint32_t served;
    size_t bytes;
    int rc;
};

static struct stage *stage;
static struct role roles[MOST];

static void set_stage(uint32_t capacity, size_t bytes, uint32_t flags)
{
    ipc__recheck_ns = INT64_MAX;
    stage = test_shared(sizeof *stage);
    stage->queue = new_queue(capacity, bytes, flags);
    stage->bytes = SHORT;
}

static void strike_stage(void)
{
    free_queue(stage->queue);
}

static void start_asleep(int i, void (*fn)(void *arg), void *arg)
{
    role_start(&roles[i], fn, arg);
    wait_until_sleeping(roles[i].pid, LIMIT_MS);
}

static void all_end(int n)
{
    for (int i = 0; i < n; i++)
        role_wait_ok(&roles[i], LIMIT_MS);
}

static void getter(void *arg)
{
    char buffer[PAGES];
    size_t bytes;
    (void)arg;
    expect_rc(ipc_queue_get(stage->queue, buffer, sizeof buffer, &bytes), 0);
    if (!is_message(buffer, bytes, number_of(buffer)))
        test_fail("torn");
    meet_signal(&stage->served);
}

static void putter(void *arg)
{
    (void)arg;
    void *message = new_message(stage->bytes, 1);
    expect_rc(ipc_queue_put(stage->queue, message, stage->bytes), 0);
    free(message);
    meet_signal(&stage->served);
}

/* ---- woken by the other side ---- */

static void each_message_wakes_one_who_waits(void)
{
    static const size_t kinds[] = {SHORT, LONG};
    for (unsigned k = 0; k < COUNT(kinds); k++) {
        set_stage(8, 0, 0);
        for (int i = 0; i < 4; i++)
            start_asleep(i, getter, NULL);
        for (unsigned i = 0; i < 4; i++) {
            put_now(stage->queue, kinds[k], i);
            meet_wait(&stage->served, i + 1, WEDGE_MS);
        }
        all_end(4);
        strike_stage();
    }
}

static void messages_at_once_wake_all_who_wait(void)
{
    set_stage(8, 0, 0);
    for (int i = 0; i < 4; i++)
        start_asleep(i, getter, NULL);
    for (unsigned i = 0; i < 4; i++)
        put_now(stage->queue, SHORT, i);
    all_end(4);
    strike_stage();
}

static void a_batch_wakes_as_many_as_it_has(void)
{
    unsigned number[4] = {1, 2, 3, 4};
    ipc_queue_item items[4];
    set_stage(8, 0, 0);
    for (int i = 0; i < 4; i++) {
        start_asleep(i, getter, NULL);
        items[i] = (ipc_queue_item){&number[i], sizeof number[i], 0};
    }
    expect_rc(ipc_queue_putv(stage->queue, items, 4, IPC_TIME_NOW), 4);
    all_end(4);
    strike_stage();
}

static void each_message_got_wakes_one_who_waits_for_room(void)
{
    static const size_t kinds[] = {SHORT, LONG};
    for (unsigned k = 0; k < COUNT(kinds); k++) {
        set_stage(4, 0, 0);
        stage->bytes = kinds[k];
        for (unsigned i = 0; i < 4; i++)
            put_now(stage->queue, kinds[k], 1);
        for (int i = 0; i < 4; i++)
            start_asleep(i, putter, NULL);
        for (unsigned i = 0; i < 4; i++) {
            get_now(stage->queue, kinds[k], 1);
            meet_wait(&stage->served, i + 1, WEDGE_MS);
        }
        for (unsigned i = 0; i < 4; i++)
            get_now(stage->queue, kinds[k], 1);
        all_end(4);
        strike_stage();
    }
}

static void a_batch_got_wakes_as_many_as_were_in_it(void)
{
    static char buffer[4][SHORT];
    ipc_queue_item items[4];
    set_stage(4, 0, 0);
    for (int i = 0; i < 4; i++) {
        put_now(stage->queue, SHORT, 1);
        items[i] = (ipc_queue_item){buffer[i], 0, SHORT};
    }
    for (int i = 0; i < 4; i++)
        start_asleep(i, putter, NULL);
    expect_rc(ipc_queue_getv(stage->queue, items, 4, IPC_TIME_NOW), 4);
    all_end(4);
    for (unsigned i = 0; i < 4; i++)
        get_now(stage->queue, SHORT, 1);
    strike_stage();
}

/* One message goes, which is room for the little ones, who sleep behind one
 * who wants more. */
static void one_who_wants_much_does_not_hold_up_those_who_want_little(void)
{
    static const size_t much = 3200;
    set_stage(100, 4000, 0);
    for (unsigned i = 0; i < 4; i++)
        put_now(stage->queue, 992, 1);
    stage->bytes = much;
    start_asleep(0, putter, NULL);
    stage->bytes = 200;
    start_asleep(1, putter, NULL);
    start_asleep(2, putter, NULL);
    stage->bytes = 3000;
    start_asleep(3, putter, NULL);
    get_now(stage->queue, 992, 1);
    meet_wait(&stage->served, 2, WEDGE_MS);
    for (unsigned i = 0; i < 3; i++)
        get_now(stage->queue, 992, 1);
    get_now(stage->queue, 200, 1);
    get_now(stage->queue, 200, 1);
    void *data;
    size_t bytes;
    for (unsigned i = 0; i < 2; i++) {
        expect_rc(ipc_queue_get_alloc(stage->queue, &data, &bytes,
                                      ipc_after_ms(WEDGE_MS)),
                  0);
        assert_true(bytes >= 3000);
        free(data);
    }
    all_end(4);
    strike_stage();
}

/* ---- somebody writes for long ---- */

static ipc_message message;

static void reserve_and_stop(void *arg)
{
    (void)arg;
    expect_rc(ipc_queue_reserve(stage->queue, SHORT, &message), 0);
    meet_signal(&stage->ready);
    meet_wait(&stage->go, 1, LIMIT_MS);
    fill_message(message.data, SHORT, 7);
    expect_rc(ipc_queue_commit(stage->queue, &message), 0);
}

static void t30_a_stopped_producer_holds_up_a_strict_queue(void)
{
    set_stage(8, 0, 0);
    ipc__recheck_ns = IPC__RECHECK_NS;
    role_start(&roles[0], reserve_and_stop, NULL);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    role_stop(&roles[0]);
    for (unsigned i = 0; i < 3; i++)
        put_now(stage->queue, SHORT, i);
    const int64_t start = test_now_ns();
    expect_rc(
        ipc_queue_get_until(stage->queue, NULL, 0, NULL, ipc_after_ms(350)),
        -ETIMEDOUT);
    assert_true(test_now_ns() - start >= 350 * 1000000LL);
    expect_rc(ipc_queue_get_nowait(stage->queue, NULL, 0, NULL), -EAGAIN);
    start_asleep(1, getter, NULL);
    meet_signal(&stage->go);
    assert_false(role_dead_within(&roles[1], 250, &stage->rc));
    role_cont(&roles[0]);
    role_wait_ok(&roles[0], LIMIT_MS);
    role_wait_ok(&roles[1], WEDGE_MS); /* it has got number 7 */
    for (unsigned i = 0; i < 3; i++)
        get_now(stage->queue, SHORT, i);
    expect_empty(stage->queue);
    strike_stage();
}

static void t30_a_stopped_producer_does_not_hold_up_a_relaxed_one(void)
{
    set_stage(10, 0, IPC_QUEUE_RELAXED);
    ipc__recheck_ns = IPC__RECHECK_NS;
    role_start(&roles[0], reserve_and_stop, NULL);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    role_stop(&roles[0]);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 3; i++)
            put_now(stage->queue, i == 1 ? LONG : SHORT, i);
        for (unsigned i = 0; i < 3; i++)
            get(stage->queue, i == 1 ? LONG : SHORT, i);
        expect_rc(
            ipc_queue_get_until(stage->queue, NULL, 0, NULL, ipc_after_ms(110)),
            -ETIMEDOUT);
    }
    expect_full(stage->queue); /* their room comes back behind his */
    meet_signal(&stage->go);
    role_cont(&roles[0]);
    role_wait_ok(&roles[0], LIMIT_MS);
    get_now(stage->queue, SHORT, 7);
    expect_empty(stage->queue);
    strike_stage();
}

/* Who is dead holds up nobody, whatever it had in its hands. */
static void hold_something(void *arg)
{
    const int what = *(int *)arg;
    if (what == 0)
        expect_rc(ipc_queue_reserve(stage->queue, stage->bytes, &message), 0);
    else
        expect_rc(ipc_queue_peek(stage->queue, &message), 0);
    meet_signal(&stage->ready);
    for (;;)
        (void)pause();
}

static void room_of_the_dead_is_found_without_waiting(void)
{
    static const size_t kinds[] = {SHORT, LONG};
    for (unsigned k = 0; k < COUNT(kinds); k++) {
        int what = 0;
        set_stage(1, 2000, 0);
        stage->bytes = kinds[k];
        role_start(&roles[0], hold_something, &what);
        meet_wait(&stage->ready, 1, LIMIT_MS);
        expect_full(stage->queue);
        (void)role_kill(&roles[0]);
        put_now(stage->queue, kinds[k], 1);
        get_now(stage->queue, kinds[k], 1);
        role_start(&roles[0], hold_something, &what);
        meet_wait(&stage->ready, 2, LIMIT_MS);
        (void)role_kill(&roles[0]);
        expect_rc(try_put(stage->queue, kinds[k], 1, 1), 0);
        get_now(stage->queue, kinds[k], 1);
        strike_stage();
    }
}

static void those_who_sleep_for_room_see_its_owner_die(void)
{
    int what = 0;
    set_stage(2, 2000, 0);
    for (int i = 0; i < 2; i++)
        role_start(&roles[i], hold_something, &what);
    meet_wait(&stage->ready, 2, LIMIT_MS);
    start_asleep(2, putter, NULL);
    start_asleep(3, putter, NULL);
    (void)role_kill(&roles[0]);
    (void)role_kill(&roles[1]);
    role_wait_ok(&roles[2], WEDGE_MS);
    role_wait_ok(&roles[3], WEDGE_MS);
    get_now(stage->queue, SHORT, 1);
    get_now(stage->queue, SHORT, 1);
    strike_stage();
}

static void those_who_sleep_for_a_message_see_its_peeker_die(void)
{
    int what = 1;
    set_stage(2, 2000, 0);
    put_now(stage->queue, SHORT, 1);
    role_start(&roles[0], hold_something, &what);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    start_asleep(1, getter, NULL);
    (void)role_kill(&roles[0]);
    role_wait_ok(&roles[1], WEDGE_MS);
    strike_stage();
}

/* More of them than anybody can watch at once. */
static void whoever_of_many_is_first_wakes_who_waits(void)
{
    ipc_message many[MOST];
    set_stage(2 * MOST, 0, IPC_QUEUE_RELAXED);
    for (int i = 0; i < MOST; i++)
        expect_rc(ipc_queue_reserve(stage->queue, SHORT, &many[i]), 0);
    for (int i = MOST - 1; i >= 0; i--) {
        start_asleep(0, getter, NULL);
        fill_message(many[i].data, SHORT, (unsigned)i);
        expect_rc(ipc_queue_commit(stage->queue, &many[i]), 0);
        role_wait_ok(&roles[0], WEDGE_MS);
    }
    strike_stage();
}

/* Many look at messages; the next one is being written. */
static void peekers_do_not_hide_who_writes(void)
{
    ipc_message many[MOST], last;
    set_stage(2 * MOST, 0, 0);
    for (unsigned i = 0; i < MOST; i++)
        put_now(stage->queue, SHORT, i);
    for (int i = 0; i < MOST; i++)
        expect_rc(ipc_queue_peek(stage->queue, &many[i]), 0);
    expect_rc(ipc_queue_reserve(stage->queue, SHORT, &last), 0);
    start_asleep(0, getter, NULL);
    fill_message(last.data, SHORT, 99);
    expect_rc(ipc_queue_commit(stage->queue, &last), 0);
    role_wait_ok(&roles[0], WEDGE_MS);
    for (int i = 0; i < MOST; i++)
        expect_rc(ipc_queue_release(stage->queue, &many[i]), 0);
    expect_empty(stage->queue);
    strike_stage();
}

/* ---- time ---- */

static void many_interrupted(void)
{
    set_stage(1, 0, 0);
    ipc__recheck_ns = IPC__RECHECK_NS;
    storm_start(1000);
    for (int full = 0; full < 2; full++) {
        const int64_t start = test_now_ns();
        if (full)
            expect_rc(try_put(stage->queue, 1, 1, ipc_after_ms(300)),
                      -ETIMEDOUT);
        else
            expect_rc(ipc_queue_get_until(stage->queue, NULL, 0, NULL,
                                          ipc_after_ms(300)),
                      -ETIMEDOUT);
        const int64_t ms = (test_now_ns() - start) / 1000000;
        test_report(full ? "put_ms" : "get_ms", ms);
        assert_true(ms >= 300 && ms < 300 + WEDGE_MS);
        if (!full)
            put_now(stage->queue, 1, 1);
    }
    test_report("signals", storm_stop());
    strike_stage();
}

static void t32_signals_do_not_move_a_deadline(void)
{
    many_interrupted();
}

static void t32_signals_do_not_lose_a_message(void)
{
    set_stage(1, 0, 0);
    ipc__recheck_ns = IPC__RECHECK_NS;
    stage->bytes = SHORT;
    role_start(&roles[0], putter, NULL);
    role_start(&roles[1], putter, NULL);
    role_start(&roles[2], putter, NULL);
    storm_start(1000);
    for (int i = 0; i < 3; i++)
        get(stage->queue, SHORT, 1);
    (void)storm_stop();
    all_end(3);
    strike_stage();
}

static void an_idle_one_sleeps(void)
{
    struct timespec used;
    set_stage(1, 0, 0);
    ipc__recheck_ns = IPC__RECHECK_NS;
    expect_rc(
        ipc_queue_get_until(stage->queue, NULL, 0, NULL, ipc_after_ms(500)),
        -ETIMEDOUT);
    put_now(stage->queue, 1, 1);
    expect_rc(try_put(stage->queue, 1, 1, ipc_after_ms(500)), -ETIMEDOUT);
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used), 0);
    test_report("cpu_us", used.tv_nsec / 1000);
    assert_true(used.tv_sec == 0 && used.tv_nsec < 200000000);
    strike_stage();
}

/* Closed, but what is in it is not there yet. */
static void one_who_waits_for_the_last_message_sleeps(void)
{
    set_stage(4, 0, 0);
    role_start(&roles[0], reserve_and_stop, NULL);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    expect_rc(ipc_queue_close(stage->queue, false), 0);
    start_asleep(1, getter, NULL);
    meet_signal(&stage->go);
    role_wait_ok(&roles[0], LIMIT_MS);
    role_wait_ok(&roles[1], WEDGE_MS);
    expect_rc(ipc_queue_get(stage->queue, NULL, 0, NULL), -EPIPE);
    strike_stage();
}

static const struct test_case cases[] = {
    TEST_CASE(each_message_wakes_one_who_waits),
    TEST_CASE(messages_at_once_wake_all_who_wait),
    TEST_CASE(a_batch_wakes_as_many_as_it_has),
    TEST_CASE(each_message_got_wakes_one_who_waits_for_room),
    TEST_CASE(a_batch_got_wakes_as_many_as_were_in_it),
    TEST_CASE(one_who_wants_much_does_not_hold_up_those_who_want_little),
    TEST_CASE(t30_a_stopped_producer_holds_up_a_strict_queue),
    TEST_CASE(t30_a_stopped_producer_does_not_hold_up_a_relaxed_one),
    TEST_CASE(room_of_the_dead_is_found_without_waiting),
    TEST_CASE(those_who_sleep_for_room_see_its_owner_die),
    TEST_CASE(those_who_sleep_for_a_message_see_its_peeker_die),
    TEST_CASE(whoever_of_many_is_first_wakes_who_waits),
    TEST_CASE(peekers_do_not_hide_who_writes),
    TEST_CASE(t32_signals_do_not_move_a_deadline),
    TEST_CASE(t32_signals_do_not_lose_a_message),
    TEST_CASE(an_idle_one_sleeps),
    TEST_CASE(one_who_waits_for_the_last_message_sleeps),
};
TEST_MAIN(cases)
