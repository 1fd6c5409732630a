/* T64: producers and consumers of a ring as fibers of one process, through
 * random interleavings and deaths at any access to shared memory.  A seed that
 * fails is printed; IPC_TEST_SEED brings it back as the first one tried.
 *
 * The ring alone: other orders and leases change under one guard, and are swept
 * instead, see crash/queue_store_sweep_test.c.
 *
 * After each run: nothing torn, lost, doubled or out of order but what the
 * dead explain; no page, unit or byte taken for good; the queue as usable as a
 * new one.  Without deaths nobody may ever need a re-check. */
#include "harness/harness.h"
#include "harness/scale.h"
#include "model/queue_simulator/world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ipc/error.h>

#include "queue/ring.h"

enum {
    SEEDS = 2500,
    PRODUCERS = 3,
    CONSUMERS = 3,
    MESSAGES = 6, /* of a producer at most */
    BATCH = 3,
    MOST_BYTES = 6000,
    WORLD = 1 << 20,
    IDLE_PER_DEATH = 4, /* re-checks that a death may make necessary, */
    IDLE_AT_END = 2     /* and those that bring the fibers below to an end */
};

enum fate {
    UNKNOWN,
    PUT,
    NOT_PUT
};

enum ending {
    CLOSE,
    CLOSE_AT_ONCE,
    PILLS,
    ENDINGS
};

struct message {
    uint32_t sum; /* of the rest */
    uint16_t producer;
    uint16_t number;
    uint32_t bytes;
};

static _Alignas(4096) unsigned char memory[WORLD];
static ipc_queue *const queue = (void *)memory;

/* One run. */
static struct run {
    int producers, consumers, messages;
    size_t most; /* bytes of a message */
    enum ending ending;
    bool with_deaths;
    bool early; /* it is closed while they put */

    int producer_fibers[PRODUCERS];
    int consumer_fibers[CONSUMERS];
    int end_fiber;
    int producers_left;
    unsigned char fate[PRODUCERS][MESSAGES];
    unsigned char came[PRODUCERS][MESSAGES];
    unsigned char may_come_again[PRODUCERS][MESSAGES];
    int last[CONSUMERS][PRODUCERS]; /* number received, + 1 */
    int at_risk[CONSUMERS];         /* messages that its death may take along */
    bool peeks[CONSUMERS];
    struct message holds[CONSUMERS]; /* peeked at and noted; 0 bytes: none */
    int may_lose, may_swap;
    int disorder;
    int pills;
} run;

/* ---- messages ---- */

static uint32_t sum_of(const unsigned char *at, size_t bytes)
{
    uint32_t sum = 2166136261u;
    for (size_t i = sizeof sum; i < bytes; i++)
        sum = (sum ^ at[i]) * 16777619u;
    return sum;
}

static void fill(unsigned char *at, size_t bytes, int producer, int number)
{
    struct message head = {.producer = (uint16_t)producer,
                           .number = (uint16_t)number,
                           .bytes = (uint32_t)bytes};
    memset(at, number * 16 + producer + 1, bytes);
    memcpy(at, &head, sizeof head);
    head.sum = sum_of(at, bytes);
    memcpy(at, &head, sizeof head);
}

static size_t random_size(void)
{
    static const size_t most[] = {40, 40, 100, IPC__INLINE_MAX, MOST_BYTES};
    const size_t limit = most[sim_random(0, 4)];
    return (size_t)sim_random(sizeof(struct message),
                              (long)(limit < run.most ? limit : run.most));
}

/* ---- producers ---- */

static void settle(int producer, int number, int rc, bool forever)
{
    if (rc != 0 && !(rc == -EAGAIN && !forever) && !(rc == -EPIPE && run.early))
        sim_wrong("a put fails");
    run.fate[producer][number] = rc == 0 ? PUT : NOT_PUT;
}

static int put_one(int producer, int number)
{
    unsigned char bytes[MOST_BYTES];
    const size_t size = random_size();
    const bool forever = sim_random(0, 2) != 0;
    fill(bytes, size, producer, number);
    settle(producer, number,
           ipc__ring_put(queue, bytes, size,
                         forever ? IPC_TIME_FOREVER : IPC_TIME_NOW),
           forever);
    return 1;
}

static int put_batch(int producer, int number)
{
    static unsigned char bytes[PRODUCERS][BATCH][MOST_BYTES];
    ipc_queue_item items[BATCH] = {{0}};
    const int left = run.messages - number;
    const int n = left < BATCH ? left : BATCH;
    for (int i = 0; i < n; i++) {
        items[i] = (ipc_queue_item){bytes[producer][i], random_size(), 0};
        fill(items[i].data, items[i].bytes, producer, number + i);
    }
    const int rc = ipc__ring_putv(queue, items, (size_t)n, IPC_TIME_FOREVER);
    if (rc != n && !run.early)
        sim_wrong("putv puts less");
    for (int i = 0; i < n; i++)
        run.fate[producer][number + i] = i < rc ? PUT : NOT_PUT;
    return n;
}

static int put_in_place(int producer, int number)
{
    ipc_message message;
    const size_t size = random_size();
    const bool abort = sim_random(0, 2) == 0;
    const bool longer = size + 20 <= run.most && sim_random(0, 1) == 0;
    if (abort)
        run.fate[producer][number] = NOT_PUT;
    const int rc = ipc__ring_reserve(queue, size + (longer ? 20 : 0), &message,
                                     IPC_TIME_FOREVER);
    if (rc != 0) {
        settle(producer, number, rc, true);
        return 1;
    }
    fill(message.data, size, producer, number);
    message.bytes = size;
    if (ipc__ring_commit(queue, &message, abort) != 0)
        sim_wrong("commit fails");
    if (!abort)
        run.fate[producer][number] = PUT;
    return 1;
}

static void produce(void *arg)
{
    static int (*const ways[])(int, int) = {put_one, put_one, put_batch,
                                            put_in_place};
    const int producer = *(const int *)arg;
    for (int number = 0; number < run.messages;)
        number += ways[sim_random(0, 3)](producer, number);
    run.producers_left--;
}

/* ---- consumers ---- */

/* False: it is a pill. */
static bool note(int consumer, const void *at, size_t bytes)
{
    struct message head;
    if (bytes == 1)
        return false;
    memcpy(&head, at, sizeof head);
    if (bytes < sizeof head || head.bytes != bytes ||
        head.sum != sum_of(at, bytes)) {
        sim_wrong("a message is torn");
        return true;
    }
    const int producer = head.producer;
    const int number = head.number;
    if (number < run.last[consumer][producer])
        run.disorder += run.may_come_again[producer][number] == 0;
    else
        run.last[consumer][producer] = number + 1;
    if (run.came[producer][number]++ != 0 &&
        run.may_come_again[producer][number]-- == 0)
        sim_wrong("a message comes twice");
    if (run.fate[producer][number] == NOT_PUT)
        sim_wrong("a message comes that was not put");
    return true;
}

static void do_task(void)
{
    if (!run.with_deaths && ipc__queue_task_done(queue) != 0)
        sim_wrong("task_done fails");
}

static int get_one(int consumer, ipc_deadline deadline)
{
    unsigned char bytes[MOST_BYTES];
    size_t size;
    run.at_risk[consumer] = 1;
    const int rc = ipc__ring_get(queue, bytes, sizeof bytes, &size, deadline);
    run.at_risk[consumer] = 0;
    if (rc == 0) {
        const bool more = note(consumer, bytes, size);
        do_task();
        return more ? 0 : -EPIPE;
    }
    return rc == -EAGAIN ? 0 : rc;
}

static int get_patiently(int consumer)
{
    return get_one(consumer, IPC_TIME_FOREVER);
}

/* The second time it waits, so that the others get on. */
static int get_now(int consumer)
{
    const int rc = get_one(consumer, IPC_TIME_NOW);
    return rc != 0 ? rc : get_one(consumer, IPC_TIME_FOREVER);
}

static int get_batch(int consumer)
{
    static unsigned char bytes[CONSUMERS][BATCH][MOST_BYTES];
    ipc_queue_item items[BATCH];
    for (int i = 0; i < BATCH; i++)
        items[i] = (ipc_queue_item){bytes[consumer][i], 0, MOST_BYTES};
    run.at_risk[consumer] = BATCH;
    int rc = ipc__ring_getv(queue, items, BATCH, IPC_TIME_FOREVER);
    run.at_risk[consumer] = 0;
    if (rc < 0)
        return rc;
    int pills = 0;
    for (int i = 0; i < rc; i++)
        pills += !note(consumer, items[i].data, items[i].bytes);
    for (int i = 0; i < rc; i++)
        do_task();
    for (int i = 1; i < pills && !run.with_deaths; i++) /* others' */
        if (ipc__ring_put(queue, "", 1, IPC_TIME_FOREVER) != 0)
            sim_wrong("a pill is refused");
    return pills == 0 ? 0 : -EPIPE;
}

static int get_in_place(int consumer)
{
    ipc_message message;
    struct message *holds = &run.holds[consumer];
    run.peeks[consumer] = true;
    int rc = ipc__ring_peek(queue, &message, IPC_TIME_FOREVER);
    if (rc != 0) {
        run.peeks[consumer] = false;
        return rc;
    }
    const bool keep = sim_random(0, 3) == 0;
    bool more = true;
    if (keep) {
        run.may_swap++; /* others may have got what follows it */
    } else {
        more = note(consumer, message.data, message.bytes);
        if (more)
            memcpy(holds, message.data, sizeof *holds);
    }
    if (ipc__ring_release(queue, &message, keep) != 0)
        sim_wrong("release fails");
    run.peeks[consumer] = false;
    holds->bytes = 0;
    if (!keep)
        do_task();
    return more ? 0 : -EPIPE;
}

static int get_too_small(int consumer)
{
    unsigned char byte[2];
    size_t size;
    run.at_risk[consumer] = 1; /* a pill fits */
    const int rc = ipc__ring_get(queue, byte, 1, &size, IPC_TIME_FOREVER);
    run.at_risk[consumer] = 0;
    if (rc == 0)
        do_task();
    return rc == 0 ? -EPIPE : rc == -EMSGSIZE ? 0 : rc;
}

static void consume(void *arg)
{
    static int (*const ways[])(int) = {
        get_patiently, get_patiently, get_now,      get_batch,
        get_in_place,  get_in_place,  get_too_small};
    const int consumer = *(const int *)arg;
    int rc;
    do
        rc = ways[sim_random(0, 6)](consumer);
    while (rc == 0);
    if (rc != -EPIPE)
        sim_wrong("a get fails");
}

/* ---- the dead ---- */

static void died(int fiber)
{
    for (int i = 0; i < run.producers; i++)
        run.producers_left -= run.producer_fibers[i] == fiber;
    for (int i = 0; i < run.consumers; i++) {
        if (run.consumer_fibers[i] != fiber)
            continue;
        const struct message *holds = &run.holds[i];
        run.may_lose += run.at_risk[i];
        run.may_swap += run.peeks[i];
        if (holds->bytes != 0)
            run.may_come_again[holds->producer][holds->number]++;
    }
}

/* ---- the end of a run ---- */

static bool producers_have_left(void)
{
    return run.producers_left == 0;
}

static bool somebody_gets(void)
{
    for (int i = 0; i < run.consumers; i++)
        if (sim_is_there(run.consumer_fibers[i]))
            return true;
    return false;
}

/* One for each; but the dead may take some along. */
static void give_pills(void)
{
    for (int i = 0; i < run.consumers && !run.with_deaths; i++)
        if (ipc__ring_put(queue, "", 1, IPC_TIME_FOREVER) != 0)
            sim_wrong("a pill is refused");
    while (run.with_deaths && somebody_gets())
        (void)!ipc__ring_put(queue, "", 1, sim_now() + 1);
}

/* Lets the consumers go. */
static void end(void *arg)
{
    (void)arg;
    if (!run.early)
        sim_wait_for(producers_have_left);
    if (!run.with_deaths && !run.early && run.ending != CLOSE_AT_ONCE &&
        ipc__queue_join(queue, IPC_TIME_FOREVER) != 0)
        sim_wrong("join fails");
    if (run.ending == PILLS)
        give_pills();
    else if (ipc__ring_close(queue, run.ending == CLOSE_AT_ONCE) != 0)
        sim_wrong("close fails");
}

static bool end_has_left(void)
{
    return !sim_is_there(run.end_fiber);
}

/* Once more: whoever did it may have died in the middle. */
static void end_again(void *arg)
{
    sim_wait_for(end_has_left);
    end(arg);
}

/* A consumer that gets what is left when the others are dead, so that the
 * producers can leave. */
static bool is_needed(void)
{
    return run.producers_left == 0 || !somebody_gets();
}

static void inherit(void *arg)
{
    (void)arg;
    sim_wait_for(is_needed);
    if (somebody_gets())
        return;
    while (run.producers_left != 0)
        (void)get_one(CONSUMERS - 1, sim_now() + 1);
}

static void drain(void)
{
    unsigned char bytes[MOST_BYTES];
    size_t size;
    int rc;
    while ((rc = ipc__ring_get(queue, bytes, sizeof bytes, &size,
                               IPC_TIME_NOW)) == 0)
        (void)note(CONSUMERS - 1, bytes, size);
    if (rc != (run.ending == PILLS ? -EAGAIN : -EPIPE))
        sim_wrong("what is left cannot be got");
    /* What the first call found aborted, the next one frees. */
    if (ipc__ring_get(queue, bytes, sizeof bytes, &size, IPC_TIME_NOW) != rc)
        sim_wrong("there is something after all");
}

/* As many as in a new one, and they come out as they went in. */
static void fill_and_empty(void)
{
    for (int round = 0; round < 3; round++) {
        uint32_t n = 0;
        uint32_t number;
        size_t size;
        for (; ipc__ring_put(queue, &n, sizeof n, IPC_TIME_NOW) == 0; n++)
            continue;
        if (n != queue->capacity)
            sim_wrong("it does not hold as many as a new one");
        for (uint32_t i = 0; i < n; i++)
            if (ipc__ring_get(queue, &number, sizeof number, &size,
                              IPC_TIME_NOW) != 0 ||
                number != i)
                sim_wrong("what was put does not come out");
    }
}

static void expect_nothing_taken(void)
{
    const struct ipc__queue_put *put = &queue->put;
    const struct ipc__queue_get *get = &queue->get;
    struct ipc__ring ring;
    if (ipc__ring_view(queue, &ring) != 0) {
        sim_wrong("it is no queue any more");
        return;
    }
    ipc__ring_trim(&ring);
    for (size_t i = 0; i < ipc__pages_bits(queue->pages) / 8; i++)
        if (ring.pages.taken[i] != 0)
            sim_wrong("pages are taken for good");
    if (put->used != 0)
        sim_wrong("bytes are counted for good");
    if (ipc__place_count(put->at) != ipc__queue_count(queue->tail) ||
        ipc__place_count(get->at) != ipc__queue_count(queue->head) ||
        get->at != put->at || put->freed != put->at || get->cursor != get->at)
        sim_wrong("the places do not agree");
}

static void inspect(void *arg)
{
    (void)arg;
    if (run.ending != CLOSE_AT_ONCE) {
        drain();
        if (run.ending == PILLS)
            fill_and_empty();
        expect_nothing_taken();
    }
}

static void judge(void)
{
    int lost = 0;
    for (int p = 0; p < run.producers; p++)
        for (int i = 0; i < run.messages; i++)
            lost += run.fate[p][i] == PUT && run.came[p][i] == 0;
    if (run.ending != CLOSE_AT_ONCE && lost > run.may_lose)
        sim_wrong("a message is lost");
    if (run.disorder > run.may_swap)
        sim_wrong("messages of one producer are swapped");
}

/* At each switch. */
static void look(void)
{
    if (ipc__queue_ahead(ipc__queue_count(queue->tail),
                         ipc__queue_count(queue->head)) > queue->capacity)
        sim_wrong("there are more messages than there may be");
}

/* ---- runs ---- */

static void make_queue(void)
{
    static const uint64_t bounds[] = {64, 400, 2000, 9000, 30000};
    ipc_queue made = {.kind = IPC__QUEUE_RING};
    made.flags = sim_random(0, 2) == 0 ? IPC_QUEUE_RELAXED : 0;
    made.capacity = (uint32_t)sim_random(1, 4);
    made.bytes = bounds[sim_random(0, 4)];
    ipc__ring_plan(&made);
    const size_t bytes = ipc__ring_bytes(&made);
    assert_true(bytes <= sizeof memory);
    memset(memory, 0, bytes);
    memcpy(queue, &made, sizeof made);
    run.most = made.bytes < MOST_BYTES ? made.bytes : MOST_BYTES;
}

static void start_all(void)
{
    static const int numbers[] = {0, 1, 2};
    for (int i = 0; i < run.producers; i++)
        run.producer_fibers[i] =
            sim_start(produce, (void *)(uintptr_t)&numbers[i], true);
    for (int i = 0; i < run.consumers; i++)
        run.consumer_fibers[i] =
            sim_start(consume, (void *)(uintptr_t)&numbers[i], true);
    run.end_fiber = sim_start(end, NULL, true);
    if (run.with_deaths) {
        (void)sim_start(end_again, NULL, false);
        (void)sim_start(inherit, NULL, false);
    }
}

/* NULL, or what is wrong. */
static const char *try_seed(uint64_t seed, bool with_deaths,
                            enum sim_fault fault, struct sim_result *sum)
{
    struct sim_plan plan = {
        .seed = seed, .fault = fault, .died = died, .look = look};
    struct sim_result result;
    struct test_random random = {seed ^ 0x5eed};
    plan.switch_odds = (int)test_random_between(&random, 1, 12);
    if (with_deaths) {
        plan.kills = (int)test_random_between(&random, 1, 3);
        plan.kill_odds = (int)test_random_between(&random, 20, 400);
    }
    sim_begin(&plan);
    run = (struct run){.with_deaths = with_deaths};
    run.producers = (int)sim_random(1, PRODUCERS);
    run.consumers = (int)sim_random(1, CONSUMERS);
    run.messages = (int)sim_random(1, MESSAGES);
    run.producers_left = run.producers;
    run.ending = (enum ending)sim_random(0, ENDINGS - 1);
    run.early = run.ending != PILLS && sim_random(0, 2) == 0;
    make_queue();
    start_all();
    sim_run(&result);
    if (result.wrong == NULL && !with_deaths && result.idle != 0)
        result.wrong = "somebody was not woken";
    if (result.wrong == NULL &&
        result.idle > IDLE_AT_END + result.kills * IDLE_PER_DEATH)
        result.wrong = "it takes too many re-checks";
    const struct sim_result before = result;
    if (result.wrong == NULL) {
        (void)sim_start(inspect, NULL, false);
        sim_run(&result);
        judge();
        sim_run(&result);
    }
    sum->points += result.points;
    sum->switches += result.switches;
    sum->kills += before.kills;
    sum->idle += before.idle;
    return result.wrong;
}

static void report(long runs, const struct sim_result *sum)
{
    test_report("runs", runs);
    test_report("points", sum->points);
    test_report("switches", sum->switches);
    test_report("kills", sum->kills);
    test_report("rechecks", sum->idle);
}

static void try_seeds(bool with_deaths, long factor)
{
    const uint64_t first = test_seed();
    const long runs = factor * SEEDS * test_scale();
    struct sim_result sum = {0};
    for (long i = 0; i < runs; i++) {
        const uint64_t seed = first + (uint64_t)i;
        const char *wrong = try_seed(seed, with_deaths, SIM_SOUND, &sum);
        if (wrong != NULL)
            test_fail("%s (%s); again with IPC_TEST_SEED=%llu", wrong,
                      ipc_error_detail(), (unsigned long long)seed);
    }
    report(runs, &sum);
    assert_true((sum.kills > 0) == with_deaths);
}

static void t64_nobody_dies(void)
{
    try_seeds(false, 1);
}

static void t64_some_die(void)
{
    try_seeds(true, 2);
}

/* ---- the same seed does the same ---- */

static void t64_a_seed_replays(void)
{
    const uint64_t first = test_seed();
    for (uint64_t i = 0; i < 50; i++) {
        struct sim_result one = {0};
        struct sim_result other = {0};
        (void)try_seed(first + i, true, SIM_SOUND, &one);
        (void)try_seed(first + i, true, SIM_SOUND, &other);
        assert_int_equal(one.points, other.points);
        assert_int_equal(one.switches, other.switches);
        assert_int_equal(one.kills, other.kills);
    }
}

/* ---- what it must find ---- */

static void expect_found(enum sim_fault fault, bool with_deaths,
                         const char *name)
{
    const uint64_t first = test_seed();
    struct sim_result sum = {0};
    for (long i = 1; i <= SEEDS; i++)
        if (try_seed(first + (uint64_t)i, with_deaths, fault, &sum) != NULL) {
            test_report(name, i);
            return;
        }
    test_fail("%s: not found in %d runs", name, (int)SEEDS);
}

static void t64_broken_ones_are_found(void)
{
    expect_found(SIM_CAS_IN_TWO_STEPS, false, "cas_in_two_steps");
    expect_found(SIM_NO_WAKE, false, "no_wake");
    expect_found(SIM_LIVING_SEEM_DEAD, false, "living_seem_dead");
    expect_found(SIM_NO_RECOVERY, true, "no_recovery");
    expect_found(SIM_DEAD_SEEM_ALIVE, true, "dead_seem_alive");
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t64_nobody_dies, 120),
    TEST_CASE_LIMIT(t64_some_die, 120),
    TEST_CASE_LIMIT(t64_a_seed_replays, 60),
    TEST_CASE_LIMIT(t64_broken_ones_are_found, 60),
};
TEST_MAIN(cases)
