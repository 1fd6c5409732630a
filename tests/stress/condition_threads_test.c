/* Conditions and events hammered by threads of one process: for the thread
 * sanitizer, which sees no more than that, and to be sure of the counts. */
#include "harness/scale.h"
#include "unit/condition_support.h"

#include <sched.h>

#include <ipc/event.h>

enum {
    THREADS = 4,
    ROUNDS = 2000
};

struct thread {
    void *shared;
    int index;
    pthread_t id;
};

static long rounds(void)
{
    return ROUNDS * test_scale();
}

static void run(void *(*work)(void *arg), void *shared, int count)
{
    struct thread threads[2 * THREADS];
    for (int i = 0; i < count; i++) {
        threads[i] = (struct thread){.shared = shared, .index = i};
        assert_int_equal(
            pthread_create(&threads[i].id, NULL, work, &threads[i]), 0);
    }
    for (int i = 0; i < count; i++)
        assert_int_equal(pthread_join(threads[i].id, NULL), 0);
}

/* ---- a bounded buffer ---- */

/* Nothing of it is atomic: lock and conditions make it come out right. */
struct buffer {
    ipc_lock lock;
    ipc_condition not_empty, not_full;
    long items[3];
    long put, got;
    long sum;
    int putters_left;
};

#define ROOM ((long)(sizeof((struct buffer *)0)->items / sizeof(long)))

static bool is_not_full(void *arg)
{
    const struct buffer *buffer = arg;
    return buffer->put - buffer->got < ROOM;
}

static void put_items(struct buffer *buffer)
{
    for (long i = 1; i <= rounds(); i++) {
        expect_rc(ipc_lock_acquire(&buffer->lock), 0);
        expect_rc(ipc_condition_wait_for(&buffer->not_full, &buffer->lock,
                                         is_not_full, buffer),
                  0);
        buffer->items[buffer->put++ % ROOM] = i;
        expect_rc(ipc_condition_notify(&buffer->not_empty, 1), 0);
        expect_rc(ipc_lock_release(&buffer->lock), 0);
    }
    expect_rc(ipc_lock_acquire(&buffer->lock), 0);
    buffer->putters_left--;
    expect_rc(ipc_lock_release(&buffer->lock), 0);
    expect_rc(ipc_condition_notify_all(&buffer->not_empty), 0);
}

/* The notifier does not hold the lock here. */
static bool get_item(struct buffer *buffer)
{
    expect_rc(ipc_lock_acquire(&buffer->lock), 0);
    while (buffer->put == buffer->got && buffer->putters_left > 0)
        expect_rc(ipc_condition_wait(&buffer->not_empty, &buffer->lock), 0);
    const bool got = buffer->put != buffer->got;
    if (got)
        buffer->sum += buffer->items[buffer->got++ % ROOM];
    expect_rc(ipc_lock_release(&buffer->lock), 0);
    expect_rc(ipc_condition_notify(&buffer->not_full, 1), 0);
    return got;
}

static void *use_buffer(void *arg)
{
    const struct thread *thread = arg;
    if (thread->index % 2 == 0)
        put_items(thread->shared);
    else
        while (get_item(thread->shared))
            ;
    return NULL;
}

static void a_buffer_of_three_between_four_threads(void)
{
    static struct buffer buffer;
    const long n = rounds();
    buffer.putters_left = THREADS / 2;
    run(use_buffer, &buffer, THREADS);
    assert_int_equal(buffer.put, n * THREADS / 2);
    assert_int_equal(buffer.got, buffer.put);
    assert_int_equal(buffer.sum, THREADS / 2 * (n * (n + 1) / 2));
    test_report("items", buffer.got);
}

/* ---- taking turns ---- */

struct turns {
    ipc_rlock rlock;
    ipc_condition changed;
    long turn; /* not atomic */
};

struct player {
    struct turns *turns;
    long index;
};

static bool is_my_turn(void *arg)
{
    const struct player *player = arg;
    return player->turns->turn % THREADS == player->index;
}

static void *take_turns(void *arg)
{
    const struct thread *thread = arg;
    struct turns *turns = thread->shared;
    struct player player = {turns, thread->index};
    for (long i = 0; i < rounds() / 4; i++) {
        const uint32_t levels = 1 + (uint32_t)i % 3;
        for (uint32_t level = 0; level < levels; level++)
            expect_rc(ipc_rlock_acquire(&turns->rlock), 0);
        expect_rc(ipc_condition_wait_for_rlock(&turns->changed, &turns->rlock,
                                               is_my_turn, &player),
                  0);
        assert_int_equal(ipc_rlock_depth(&turns->rlock), levels);
        turns->turn++;
        expect_rc(ipc_condition_notify_all(&turns->changed), 0);
        for (uint32_t level = 0; level < levels; level++)
            expect_rc(ipc_rlock_release(&turns->rlock), 0);
    }
    return NULL;
}

static void threads_take_turns(void)
{
    static struct turns turns;
    run(take_turns, &turns, THREADS);
    assert_int_equal(turns.turn, rounds() / 4 * THREADS);
}

/* ---- notifications meet deadlines ---- */

/* Impatient ones give up all the time, patient ones wait behind them.  As long
 * as a patient one waits who was not called, each notification must bring back
 * exactly one: a call that goes to somebody whose deadline passes at that very
 * moment counts as his, or goes to another one. */
struct patience {
    ipc_lock lock;
    ipc_condition condition;
    long patient;  /* wait without a deadline */
    long notified; /* calls made while somebody was sure to get them */
    long back;     /* waits that ended by a call */
    long timeouts;
    bool over;
};

static void *wait_with_deadline(void *arg)
{
    struct patience *p = ((const struct thread *)arg)->shared;
    expect_rc(ipc_lock_acquire(&p->lock), 0);
    while (!p->over) {
        const int rc =
            ipc_condition_wait_until(&p->condition, &p->lock, ipc_after_us(30));
        if (rc == 0)
            p->back++;
        else if (rc == -ETIMEDOUT)
            p->timeouts++;
        else
            test_fail("wait: %d", rc);
    }
    expect_rc(ipc_lock_release(&p->lock), 0);
    return NULL;
}

static void *wait_patiently(void *arg)
{
    struct patience *p = ((const struct thread *)arg)->shared;
    expect_rc(ipc_lock_acquire(&p->lock), 0);
    while (!p->over) {
        p->patient++;
        expect_rc(ipc_condition_wait(&p->condition, &p->lock), 0);
        p->patient--;
        p->back++;
    }
    expect_rc(ipc_lock_release(&p->lock), 0);
    return NULL;
}

static bool notify_one(struct patience *p, bool *one_timed_out)
{
    expect_rc(ipc_lock_acquire(&p->lock), 0);
    *one_timed_out = p->timeouts > 0;
    const bool sure = p->patient > p->notified - p->back;
    if (sure) {
        p->notified++;
        expect_rc(ipc_condition_notify(&p->condition, 1), 0);
    }
    expect_rc(ipc_lock_release(&p->lock), 0);
    return sure;
}

static void *notify_many(void *arg)
{
    struct patience *p = ((const struct thread *)arg)->shared;
    int64_t since = test_now_ns();
    bool one_timed_out = false;
    for (long i = 0; i < rounds() || !one_timed_out;) {
        if (notify_one(p, &one_timed_out)) {
            since = test_now_ns();
            i++;
        } else if (test_now_ns() - since > LIMIT_MS * NS_PER_MS) {
            test_fail("%ld were notified, %ld came back", p->notified, p->back);
        } else {
            (void)sched_yield();
        }
    }
    /* All are back; and they do not come back for nothing. */
    for (bool even = false; !even;) {
        expect_rc(ipc_lock_acquire(&p->lock), 0);
        even = p->back >= p->notified;
        p->over = even;
        expect_rc(ipc_lock_release(&p->lock), 0);
        assert_true(test_now_ns() - since < LIMIT_MS * NS_PER_MS);
    }
    assert_int_equal(p->back, p->notified);
    expect_rc(ipc_condition_notify_all(&p->condition), 0);
    return NULL;
}

static void *by_index(void *arg)
{
    const struct thread *thread = arg;
    return thread->index == 0  ? notify_many(arg)
           : thread->index < 3 ? wait_patiently(arg)
                               : wait_with_deadline(arg);
}

static void no_call_is_lost_to_a_deadline(void)
{
    static struct patience patience;
    run(by_index, &patience, 6);
    test_report("notified", patience.notified);
    test_report("timeouts", patience.timeouts);
    assert_true(patience.timeouts > 0);
}

/* ---- events ---- */

struct relay {
    ipc_event full, empty;
    long value; /* not atomic: the events hand it over */
    long sum;
};

static void *fill_and_drain(void *arg)
{
    const struct thread *thread = arg;
    struct relay *relay = thread->shared;
    for (long i = 1; i <= rounds(); i++) {
        if (thread->index == 0) {
            expect_rc(ipc_event_wait(&relay->empty), 0);
            expect_rc(ipc_event_clear(&relay->empty), 0);
            relay->value = i;
            expect_rc(ipc_event_set(&relay->full), 0);
        } else {
            expect_rc(ipc_event_wait(&relay->full), 0);
            expect_rc(ipc_event_clear(&relay->full), 0);
            relay->sum += relay->value;
            expect_rc(ipc_event_set(&relay->empty), 0);
        }
    }
    return NULL;
}

static void events_hand_data_over(void)
{
    static struct relay relay;
    const long n = rounds();
    expect_rc(ipc_event_set(&relay.empty), 0);
    run(fill_and_drain, &relay, 2);
    assert_int_equal(relay.sum, n * (n + 1) / 2);
}

/* What many wait for, once each time.  The event of the round before is cleared
 * before the next one is set. */
struct starts {
    ipc_event gun[2];
    long value; /* not atomic */
    uint32_t back;
};

static void start_all(struct starts *starts, uint32_t round)
{
    starts->value = round;
    expect_rc(ipc_event_clear(&starts->gun[1 - round % 2]), 0);
    expect_rc(ipc_event_set(&starts->gun[round % 2]), 0);
    meet_wait(&starts->back, (round + 1) * (THREADS - 1), LIMIT_MS);
}

static void start_on_gun(struct starts *starts, uint32_t round)
{
    expect_rc(ipc_event_wait(&starts->gun[round % 2]), 0);
    assert_int_equal(starts->value, round);
    /* The signal is the kernel's: the sanitizer does not see it. */
    (void)__atomic_add_fetch(&starts->back, 0, __ATOMIC_SEQ_CST);
    meet_signal(&starts->back);
}

static void *start_and_run(void *arg)
{
    const struct thread *thread = arg;
    for (uint32_t round = 0; round < (uint32_t)rounds() / 4; round++) {
        if (thread->index == 0)
            start_all(thread->shared, round);
        else
            start_on_gun(thread->shared, round);
    }
    return NULL;
}

static void one_event_starts_many(void)
{
    static struct starts starts;
    run(start_and_run, &starts, THREADS);
}

/* Wait, clear, look; against: change, set.  A set that finds the event set
 * already must not overtake the change before it: the one that waits would
 * clear it, see no change, and wait for good. */
struct mailbox {
    ipc_event event;
    uint64_t begun __attribute__((aligned(64)));
    uint64_t ended __attribute__((aligned(64)));
    uint64_t mail __attribute__((aligned(64))); /* atomic, but orders nothing */
};

/* Spins: the two are to meet within nanoseconds. */
static void wait_until_is(const uint64_t *word, uint64_t round)
{
    for (int i = 1; __atomic_load_n(word, __ATOMIC_SEQ_CST) != round; i++)
        if (i % 1024 == 0)
            (void)sched_yield();
}

static void send(struct mailbox *box, uint64_t round)
{
    __atomic_store_n(&box->begun, round, __ATOMIC_SEQ_CST);
    expect_rc(ipc_event_set(&box->event), 0);
    for (volatile uint64_t i = 0; i < round % 97; i++)
        ;
    __atomic_store_n(&box->mail, round, __ATOMIC_RELAXED);
    expect_rc(ipc_event_set(&box->event), 0);
    wait_until_is(&box->ended, round);
}

static uint64_t look(const struct mailbox *box)
{
    return __atomic_load_n(&box->mail, __ATOMIC_RELAXED);
}

static void receive(struct mailbox *box, uint64_t round)
{
    wait_until_is(&box->begun, round);
    do {
        const int rc =
            ipc_event_wait_until(&box->event, ipc_after_ms(WEDGE_MS));
        if (rc != 0 && look(box) == round)
            test_fail("the set of round %lu is lost", (unsigned long)round);
        expect_rc(ipc_event_clear(&box->event), 0);
    } while (look(box) != round);
    __atomic_store_n(&box->ended, round, __ATOMIC_SEQ_CST);
}

static void *send_and_receive(void *arg)
{
    const struct thread *thread = arg;
    const uint64_t last = 25 * (uint64_t)rounds();
    for (uint64_t round = 1; round <= last; round++) {
        if (thread->index == 0)
            send(thread->shared, round);
        else
            receive(thread->shared, round);
    }
    return NULL;
}

static void no_set_is_lost_between_wait_and_clear(void)
{
    static struct mailbox box;
    run(send_and_receive, &box, 2);
    test_report("mails", (long long)box.mail);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(a_buffer_of_three_between_four_threads, 300),
    TEST_CASE_LIMIT(threads_take_turns, 300),
    TEST_CASE_LIMIT(no_call_is_lost_to_a_deadline, 300),
    TEST_CASE_LIMIT(events_hand_data_over, 300),
    TEST_CASE_LIMIT(one_event_starts_many, 300),
    TEST_CASE_LIMIT(no_set_is_lost_between_wait_and_clear, 300),
};
TEST_MAIN(cases)
