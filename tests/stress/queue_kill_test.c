/* T29: producers and consumers of one queue are killed at random.
 *
 * Every message carries its producer, its number and a checksum; every worker
 * writes down in shared memory what it is about to do and what has become of
 * it.  So at the end it is known of each message: a put that returned is there
 * once, one that was refused or aborted is not, those of one producer come in
 * order, and what is lost went down with a consumer that was killed in the
 * middle of a get, one message for each; with peek and release nothing is. */
#include "harness/kills.h"
#include "harness/role.h"
#include "harness/scale.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ipc/error.h>
#include <ipc/queue.h>

#include "queue/ring.h"

enum {
    PRODUCERS = 4,
    CONSUMERS = 4,
    NUMBERS = 1 << 25, /* of a producer; memory that is never touched */
    BIG = 65536,
    BATCH = 4,
    CAPACITY = 64,
    BYTES = 1 << 20,
    TURN_MS = 300, /* a wait that takes longer is given up, and counted */
    PHASE_NS = 20000000,
    STALL_MS = 10000 /* it hangs */
};

#define load(p)     __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define store(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define add(p, v)   __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)

struct message {
    uint64_t sum; /* of all that follows */
    uint32_t producer;
    uint32_t number;
    uint64_t bytes[];
};

/* What has become of a message, by its producer. */
enum fate {
    BEGUN, /* who knows, if its producer died */
    PUT,
    NOT_PUT
};

struct field {
    ipc_queue *queue;
    bool in_place;               /* consumers peek */
    bool in_batches;             /* they get several */
    uint32_t begun[PRODUCERS];   /* its numbers so far */
    uint32_t at_risk[CONSUMERS]; /* messages that its death may take along */
    uint32_t peeks[CONSUMERS];   /* it is between peek and release */
    uint32_t last[CONSUMERS][PRODUCERS]; /* number received, + 1 */
    uint64_t produced, received, long_ones, aborted, timeouts;
    uint64_t torn, disorder;
    uint64_t may_lose, may_come_back; /* messages, for all who were killed */
    unsigned char fate[PRODUCERS][NUMBERS];
    unsigned char came[PRODUCERS][NUMBERS];
};

static struct field *field;

/* ---- messages ---- */

static uint64_t sum_of(const struct message *message, size_t bytes)
{
    const unsigned char *at = (const unsigned char *)&message->producer;
    size_t left = bytes - offsetof(struct message, producer);
    uint64_t sum = 14695981039346656037u + left;
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        sum = (sum ^ word) * 1099511628211u;
        sum ^= sum >> 29;
    }
    for (; left > 0; left--)
        sum = (sum ^ *at++) * 1099511628211u;
    return sum;
}

/* 1 B to 64 KiB behind the head: short, as long as lies in the ring, long. */
static size_t random_size(struct test_random *random)
{
    static const long most[] = {32, 32, 1000, 1000, 1500, BIG};
    const long kind = test_random_between(random, 0, 5);
    return sizeof(struct message) +
           (size_t)test_random_between(random, 1, most[kind]);
}

static void fill(struct message *message, size_t bytes, int producer,
                 uint32_t number)
{
    const uint64_t seed = (uint64_t)number << 8 | (uint64_t)producer;
    message->producer = (uint32_t)producer;
    message->number = number;
    for (size_t i = 0; i < (bytes - sizeof *message) / 8; i++)
        message->bytes[i] = seed * (i + 1);
    message->sum = sum_of(message, bytes);
}

static bool is_whole(const struct message *message, size_t bytes)
{
    return bytes > sizeof *message && message->sum == sum_of(message, bytes);
}

/* ---- producers ---- */

static ipc_deadline turn(void)
{
    return ipc_after_ms(TURN_MS);
}

/* The next n numbers; false: there are no more. */
static bool begin(int producer, uint32_t n, uint32_t *number)
{
    *number = load(&field->begun[producer]);
    if (*number > NUMBERS - n)
        return false;
    store(&field->begun[producer], *number + n);
    return true;
}

static void settle(int producer, uint32_t number, enum fate fate)
{
    store(&field->fate[producer][number], (unsigned char)fate);
    if (fate == PUT)
        (void)add(&field->produced, 1);
}

static void expect_timeout(int rc, const char *what)
{
    if (rc != -ETIMEDOUT)
        test_fail("%s: %d (%s)", what, rc, ipc_error_detail());
    (void)add(&field->timeouts, 1);
}

static void put_one(int producer, struct message *buffer, size_t bytes)
{
    uint32_t number;
    if (!begin(producer, 1, &number))
        return;
    fill(buffer, bytes, producer, number);
    const int rc = ipc_queue_put_until(field->queue, buffer, bytes, turn());
    if (rc != 0)
        expect_timeout(rc, "put");
    settle(producer, number, rc == 0 ? PUT : NOT_PUT);
}

static void put_batch(int producer, struct message *buffer,
                      struct test_random *random)
{
    ipc_queue_item items[BATCH];
    unsigned char *at = (unsigned char *)buffer;
    uint32_t first;
    if (!begin(producer, BATCH, &first))
        return;
    for (uint32_t i = 0; i < BATCH; i++) {
        items[i].bytes = random_size(random);
        items[i].data = at;
        fill((void *)at, items[i].bytes, producer, first + i);
        at += (items[i].bytes + 7) / 8 * 8;
    }
    const int rc = ipc_queue_putv(field->queue, items, BATCH, turn());
    if (rc < 0)
        expect_timeout(rc, "putv");
    for (int i = 0; i < BATCH; i++)
        settle(producer, first + (uint32_t)i, i < rc ? PUT : NOT_PUT);
}

static void put_in_place(int producer, size_t bytes, bool abort)
{
    ipc_message message;
    uint32_t number;
    if (!begin(producer, 1, &number))
        return;
    if (abort)
        settle(producer, number, NOT_PUT);
    int rc = ipc_queue_reserve_until(field->queue, bytes, &message, turn());
    if (rc != 0) {
        expect_timeout(rc, "reserve");
        settle(producer, number, NOT_PUT);
        return;
    }
    fill(message.data, bytes, producer, number);
    rc = abort ? ipc_queue_abort(field->queue, &message)
               : ipc_queue_commit(field->queue, &message);
    if (rc != 0)
        test_fail("end of a reservation: %d (%s)", rc, ipc_error_detail());
    if (abort)
        (void)add(&field->aborted, 1);
    else
        settle(producer, number, PUT);
}

static void produce(int producer, struct message *buffer,
                    struct test_random *random)
{
    const long kind = test_random_between(random, 0, 9);
    const size_t bytes = random_size(random);
    if (kind < 5)
        put_one(producer, buffer, bytes);
    else if (kind < 7)
        put_batch(producer, buffer, random);
    else
        put_in_place(producer, bytes, kind == 9);
}

/* ---- consumers ---- */

static void note(const struct message *message, size_t bytes, int consumer)
{
    const uint32_t producer = load(&message->producer);
    const uint32_t number = load(&message->number);
    if (producer >= PRODUCERS || number >= NUMBERS ||
        !is_whole(message, bytes)) {
        (void)add(&field->torn, 1);
        return;
    }
    uint32_t *last = &field->last[consumer][producer];
    if (number < *last)
        (void)add(&field->disorder, 1);
    else
        store(last, number + 1);
    (void)add(&field->came[producer][number], 1);
    (void)add(&field->received, 1);
    if (bytes > IPC__INLINE_MAX)
        (void)add(&field->long_ones, 1);
}

static bool get_one(int consumer, struct message *buffer, ipc_deadline deadline)
{
    size_t bytes;
    store(&field->at_risk[consumer], 1);
    const int rc =
        deadline == IPC_TIME_NOW
            ? ipc_queue_get_nowait(field->queue, buffer, sizeof *buffer + BIG,
                                   &bytes)
            : ipc_queue_get_until(field->queue, buffer, sizeof *buffer + BIG,
                                  &bytes, deadline);
    if (rc == 0)
        note(buffer, bytes, consumer);
    store(&field->at_risk[consumer], 0);
    if (rc != 0 && deadline != IPC_TIME_NOW)
        expect_timeout(rc, "get");
    return rc == 0;
}

static void get_batch(int consumer, struct message *buffer)
{
    ipc_queue_item items[BATCH];
    const size_t room = sizeof *buffer + BIG;
    for (size_t i = 0; i < BATCH; i++)
        items[i] = (ipc_queue_item){(char *)buffer + i * room, 0, room};
    store(&field->at_risk[consumer], BATCH);
    const int rc = ipc_queue_getv(field->queue, items, BATCH, turn());
    for (int i = 0; i < rc; i++)
        note(items[i].data, items[i].bytes, consumer);
    store(&field->at_risk[consumer], 0);
    if (rc < 0)
        expect_timeout(rc, "getv");
}

static void peek_one(int consumer)
{
    ipc_message message;
    store(&field->peeks[consumer], 1);
    int rc = ipc_queue_peek_until(field->queue, &message, turn());
    if (rc == 0) {
        note(message.data, message.bytes, consumer);
        rc = ipc_queue_release(field->queue, &message);
        if (rc != 0)
            test_fail("release: %d (%s)", rc, ipc_error_detail());
    } else {
        expect_timeout(rc, "peek");
    }
    store(&field->peeks[consumer], 0);
}

static void consume(int consumer, struct message *buffer,
                    struct test_random *random)
{
    if (field->in_place)
        peek_one(consumer);
    else if (field->in_batches && test_random_between(random, 0, 1) == 0)
        get_batch(consumer, buffer);
    else
        (void)get_one(consumer, buffer, turn());
}

/* ---- workers ---- */

/* Now one side is faster, now the other one: the queue is full and empty in
 * turn. */
static void think(bool producer, struct test_random *random)
{
    const bool slow = (test_now_ns() / PHASE_NS % 2 == 0) == producer;
    const long most = slow ? 20000 : 200;
    for (volatile long i = test_random_between(random, 0, most); i > 0; i--)
        ;
}

static void work(void *ctx, int index)
{
    struct test_random random = {(uint64_t)getpid() ^ (uint64_t)test_now_ns()
                                                          << 20};
    struct message *buffer = malloc(BATCH * (sizeof *buffer + BIG));
    (void)ctx;
    assert_non_null(buffer);
    while (kills_go_on()) {
        if (index < PRODUCERS)
            produce(index, buffer, &random);
        else
            consume(index - PRODUCERS, buffer, &random);
        think(index < PRODUCERS, &random);
    }
    free(buffer);
}

static void died(void *ctx, int index, pid_t pid)
{
    (void)ctx;
    (void)pid;
    if (index < PRODUCERS)
        return;
    field->may_lose += load(&field->at_risk[index - PRODUCERS]);
    field->may_come_back += load(&field->peeks[index - PRODUCERS]);
    store(&field->at_risk[index - PRODUCERS], 0);
    store(&field->peeks[index - PRODUCERS], 0);
}

/* ---- the end ---- */

/* How many messages of this size there is room for; and they all come out. */
static long room_for(ipc_queue *queue, struct message *buffer, size_t bytes)
{
    long n = 0;
    size_t got;
    while (ipc_queue_put_nowait(queue, buffer, bytes) == 0)
        n++;
    for (long i = 0; i < n; i++)
        if (ipc_queue_get_nowait(queue, buffer, bytes, &got) != 0 ||
            got != bytes)
            test_fail("message %ld of %ld: %s", i, n, ipc_error_detail());
    assert_true(ipc_queue_empty(queue));
    return n;
}

/* All of its room is still there: messages, bytes, units and pages. */
static void expect_as_new(ipc_queue *queue, struct message *buffer)
{
    static const size_t sizes[] = {0, 1, 1024, 1025, 16000, BIG};
    const ipc_queue_options options = {
        .size = sizeof options, .capacity = CAPACITY, .bytes = BYTES};
    ipc_queue *fresh;
    assert_int_equal(ipc_queue_new(&options, &fresh), 0);
    for (size_t i = 0; i < 3 * sizeof sizes / sizeof sizes[0]; i++) {
        const size_t bytes = sizes[i % (sizeof sizes / sizeof sizes[0])];
        const long n = room_for(queue, buffer, bytes);
        const long as_new = room_for(fresh, buffer, bytes);
        if (n != as_new)
            test_fail("room for %ld messages of %zu bytes, as new for %ld", n,
                      bytes, as_new);
    }
    assert_int_equal(ipc_queue_free(fresh), 0);
}

struct account {
    uint64_t lost, twice, ghosts;
};

static struct account account_for_all(void)
{
    struct account account = {0};
    for (int p = 0; p < PRODUCERS; p++)
        for (uint32_t i = 0; i < field->begun[p]; i++) {
            const unsigned came = field->came[p][i];
            account.lost += field->fate[p][i] == PUT && came == 0;
            account.ghosts += field->fate[p][i] == NOT_PUT && came != 0;
            account.twice += came > 1 ? came - 1 : 0;
        }
    return account;
}

static void report_account(const struct account *account)
{
    test_report("produced", (long long)field->produced);
    test_report("received", (long long)field->received);
    test_report("long_ones", (long long)field->long_ones);
    test_report("aborted", (long long)field->aborted);
    test_report("timeouts", (long long)field->timeouts);
    test_report("lost", (long long)account->lost);
    test_report("may_lose", (long long)field->may_lose);
    test_report("twice", (long long)account->twice);
    test_report("disorder", (long long)field->disorder);
    test_report("may_come_back", (long long)field->may_come_back);
    test_report("torn", (long long)field->torn);
    test_report("ghosts", (long long)account->ghosts);
}

static void drain(struct message *buffer)
{
    for (int consumer = CONSUMERS - 1; get_one(consumer, buffer, IPC_TIME_NOW);)
        continue;
    assert_true(ipc_queue_empty(field->queue));
}

static void check(void *ctx, struct kills_result *result)
{
    struct message *buffer = calloc(1, sizeof *buffer + BIG);
    (void)ctx;
    (void)result;
    assert_non_null(buffer);
    drain(buffer);
    const struct account account = account_for_all();
    report_account(&account);
    assert_true(field->torn == 0);
    assert_true(account.ghosts == 0);
    assert_true(account.lost <= field->may_lose);
    /* One that a dead one had peeked at comes again, behind others. */
    assert_true(account.twice <= field->may_come_back);
    assert_true(field->disorder <= field->may_come_back);
    assert_true(field->received > 100 && field->long_ones > 10);
    expect_as_new(field->queue, buffer);
    free(buffer);
}

/* ---- the cases ---- */

static void open_field(uint32_t flags)
{
    const ipc_queue_options options = {.size = sizeof options,
                                       .flags = flags,
                                       .capacity = CAPACITY,
                                       .bytes = BYTES};
    field = test_shared(sizeof *field);
    assert_int_equal(ipc_queue_new(&options, &field->queue), 0);
}

static void kill_at_random(long kills)
{
    struct kills plan = {.workers = PRODUCERS + CONSUMERS,
                         .work = work,
                         .died = died,
                         .check = check,
                         .kills = kills_for(kills),
                         .stall_limit_ms = STALL_MS};
    struct kills_result result;
    kills_run(&plan, &result);
    kills_report(&result);
    assert_int_equal(result.wedges, 0);
    assert_int_equal(ipc_queue_free(field->queue), 0);
}

static void t29_get_loses_one_per_killed_consumer_at_most(void)
{
    open_field(0);
    kill_at_random(1000);
}

static void t29_peek_and_release_lose_nothing(void)
{
    open_field(0);
    field->in_place = true;
    kill_at_random(600);
    assert_true(field->may_lose == 0);
}

static void t29_batches_of_a_relaxed_queue(void)
{
    open_field(IPC_QUEUE_RELAXED);
    field->in_batches = true;
    kill_at_random(600);
}

/* ---- what these must find ---- */

/* Commits before it writes; releases before it notes. */
static void work_in_wrong_order(void *ctx, int index)
{
    struct test_random random = {(uint64_t)getpid()};
    ipc_message message;
    (void)ctx;
    while (kills_go_on()) {
        const size_t bytes = random_size(&random);
        if (index < PRODUCERS) {
            uint32_t number;
            if (!begin(index, 1, &number) ||
                ipc_queue_reserve_until(field->queue, bytes, &message,
                                        turn()) != 0)
                continue;
            struct message *at = message.data;
            assert_int_equal(ipc_queue_commit(field->queue, &message), 0);
            fill(at, bytes, index, number);
            settle(index, number, PUT);
        } else if (ipc_queue_peek_until(field->queue, &message, turn()) == 0) {
            const struct message *at = message.data;
            const size_t size = message.bytes;
            assert_int_equal(ipc_queue_release(field->queue, &message), 0);
            note(at, size, index - PRODUCERS);
        }
    }
}

static void torn_and_lost_ones_are_found(void)
{
    struct kills plan = {.workers = PRODUCERS + CONSUMERS,
                         .work = work_in_wrong_order,
                         .kills = 100};
    struct kills_result result;
    open_field(0);
    kills_run(&plan, &result);
    const struct account account = account_for_all();
    report_account(&account);
    assert_true(field->torn > 0);
    assert_true(account.lost > CAPACITY);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t29_get_loses_one_per_killed_consumer_at_most, 60),
    TEST_CASE_LIMIT(t29_peek_and_release_lose_nothing, 60),
    TEST_CASE_LIMIT(t29_batches_of_a_relaxed_queue, 60),
    TEST_CASE_LIMIT(torn_and_lost_ones_are_found, 60),
};
TEST_MAIN(cases)
