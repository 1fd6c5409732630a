/* Processes that put and take on leases are killed at random.  Every message
 * carries its producer, its number and a sum of its bytes: none is torn, none
 * that was put is lost before it was acknowledged, none is acknowledged twice,
 * and it is delivered again only after a death, or when its lease was over. */
#include "harness/kills.h"
#include "harness/scale.h"
#include "unit/queue_store_support.h"

enum {
    PRODUCERS_MAX = 4,
    NUMBERS = 1 << 22, /* messages of a producer; memory that is not touched */
    BIG = 20000,
    TURN_MS = 5 /* the longest that a worker waits in one round */
};

#define load(p)     __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define store(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define add(p, v)   __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)

struct message {
    uint64_t sum; /* of all that follows */
    uint32_t producer;
    uint32_t number;
    unsigned char bytes[];
};

/* What is known of a message. */
enum {
    PUT = 1,    /* put returned 0 */
    ACKING = 2, /* somebody began to acknowledge it */
    ACKED = 4   /* and ack returned 0 */
};

struct field {
    ipc_queue *queue;
    int producers;
    uint32_t begun[PRODUCERS_MAX];
    uint64_t put, taken, acked, nacked, stale, late, dead;
    uint64_t torn, twice, miscounted, acked_twice;
    uint64_t consumers_killed;
    unsigned char came[PRODUCERS_MAX][NUMBERS];
    unsigned char known[PRODUCERS_MAX][NUMBERS];
};

static struct field *field;

/* ---- messages ---- */

static uint64_t sum_of(const struct message *message, size_t bytes)
{
    const unsigned char *at = (const unsigned char *)&message->producer;
    uint64_t sum = 14695981039346656037u;
    for (size_t left = bytes - offsetof(struct message, producer); left > 0;
         left--)
        sum = (sum ^ *at++) * 1099511628211u;
    return sum;
}

static size_t random_size(struct test_random *random)
{
    const long kind = test_random_between(random, 0, 49);
    const long most = kind == 0 ? BIG : kind < 10 ? 3000 : 200;
    return (size_t)test_random_between(random, 0, most);
}

static bool is_whole(const struct message *message, size_t bytes)
{
    return bytes >= sizeof *message && message->sum == sum_of(message, bytes) &&
           message->producer < PRODUCERS_MAX && message->number < NUMBERS;
}

static unsigned char *known(const struct message *message)
{
    return &field->known[message->producer][message->number];
}

/* ---- producers ---- */

static void write_message(struct message *message, size_t bytes, int producer,
                          struct test_random *random)
{
    message->producer = (uint32_t)producer;
    message->number = add(&field->begun[producer], 1) % NUMBERS;
    for (size_t i = sizeof *message; i < bytes; i += 64)
        ((unsigned char *)message)[i] = (unsigned char)test_random_next(random);
    message->sum = sum_of(message, bytes);
}

static void was_put(const struct message *message, int rc)
{
    if (rc == 0) {
        (void)__atomic_fetch_or(known(message), PUT, __ATOMIC_SEQ_CST);
        (void)add(&field->put, 1);
    } else if (rc != -ETIMEDOUT) {
        test_fail("put: %d (%s)", rc, ipc_error_detail());
    }
}

static void put_one(int producer, struct message *message,
                    struct test_random *random)
{
    const size_t bytes = sizeof *message + random_size(random);
    write_message(message, bytes, producer, random);
    const uint32_t priority = (uint32_t)test_random_between(random, 0, 3);
    was_put(message, ipc_queue_put_priority(field->queue, message, bytes,
                                            priority, ipc_after_ms(TURN_MS)));
}

static void reserve_one(int producer, struct message *copy,
                        struct test_random *random)
{
    const size_t bytes = sizeof *copy + random_size(random);
    ipc_message place;
    int rc = ipc_queue_reserve_until(field->queue, bytes, &place,
                                     ipc_after_ms(TURN_MS));
    if (rc == -ETIMEDOUT)
        return;
    if (rc == 0 && test_random_between(random, 0, 9) == 0) {
        expect_rc(ipc_queue_abort(field->queue, &place), 0);
        return;
    }
    write_message(copy, bytes, producer, random);
    if (rc == 0) {
        memcpy(place.data, copy, bytes);
        rc = ipc_queue_commit(field->queue, &place);
    }
    was_put(copy, rc);
}

/* ---- consumers ---- */

static void settle(const struct message *message, ipc_message *lease,
                   struct test_random *random)
{
    unsigned char *state = known(message);
    const long what = test_random_between(random, 0, 9);
    int rc = 0;
    if (what == 0) {
        rc = ipc_queue_nack(field->queue, lease);
        (void)add(&field->nacked, rc == 0);
    } else {
        if (what == 1)
            rc = ipc_queue_extend(field->queue, lease, ipc_after_ms(50));
        (void)__atomic_fetch_or(state, ACKING, __ATOMIC_SEQ_CST);
        if (rc == 0)
            rc = ipc_queue_ack(field->queue, lease);
        if (rc == 0) {
            (void)add(&field->acked, 1);
            if ((__atomic_fetch_or(state, ACKED, __ATOMIC_SEQ_CST) & ACKED) !=
                0)
                (void)add(&field->acked_twice, 1);
        } else {
            (void)__atomic_fetch_and(state, (unsigned char)~ACKING,
                                     __ATOMIC_SEQ_CST);
        }
    }
    (void)add(&field->stale, rc == -ESTALE);
    if (rc != 0 && rc != -ESTALE)
        test_fail("settle: %d (%s)", rc, ipc_error_detail());
}

/* What it says of itself, as long as the lease held while it was looked at:
 * afterwards its memory may be another message's.  NULL: it did not. */
static const struct message *look_at(const ipc_message *lease,
                                     struct message *copy)
{
    const struct message *message = lease->data;
    const bool whole = is_whole(message, lease->bytes);
    memcpy(copy, message, sizeof *copy);
    if (ipc_now() >= lease->lease) {
        (void)add(&field->late, 1);
        return NULL;
    }
    if (!whole) {
        (void)add(&field->torn, 1);
        return NULL;
    }
    return copy;
}

static void note(const struct message *message, const ipc_message *lease)
{
    unsigned char *came = &field->came[message->producer][message->number];
    const bool acked = (load(known(message)) & ACKED) != 0;
    const bool miscounted = add(came, 1) + 1u > lease->deliveries;
    (void)add(&field->taken, 1);
    if (ipc_now() >= lease->lease)
        return; /* somebody else may have it, and be done with it, by now */
    (void)add(&field->twice, acked);
    (void)add(&field->miscounted, miscounted);
}

static void take_one(struct test_random *random)
{
    ipc_message lease;
    struct message copy;
    int rc = ipc_queue_take_until(field->queue, &lease, ipc_after_ms(TURN_MS));
    const bool dead = rc == -ETIMEDOUT;
    if (dead)
        rc = ipc_queue_take_dead(field->queue, &lease);
    if (dead && rc == -EAGAIN)
        return;
    expect_rc(rc, 0);
    (void)add(&field->dead, dead);
    const struct message *message = look_at(&lease, &copy);
    if (message == NULL)
        return; /* it comes again */
    if (!dead)
        note(message, &lease);
    settle(message, &lease, random);
}

/* ---- who is killed ---- */

static void work(void *ctx, int index)
{
    struct test_random random = {(uint64_t)getpid() ^ (uint64_t)test_now_ns()
                                                          << 20};
    struct message *buffer = calloc(1, sizeof *buffer + BIG);
    (void)ctx;
    assert_non_null(buffer);
    for (unsigned i = 0; kills_go_on(); i++) {
        if (index >= field->producers)
            take_one(&random);
        else if (i % 4 == 0)
            reserve_one(index, buffer, &random);
        else
            put_one(index, buffer, &random);
    }
    free(buffer);
}

static void died(void *ctx, int index, pid_t pid)
{
    (void)ctx;
    (void)pid;
    if (index >= field->producers)
        (void)add(&field->consumers_killed, 1);
}

/* Those whose consumer was killed while it acknowledged them are gone or will
 * come: both is right. */
static uint64_t count_lost(void)
{
    uint64_t lost = 0;
    for (int producer = 0; producer < field->producers; producer++)
        for (uint32_t i = 0; i < field->begun[producer]; i++)
            lost += field->known[producer][i] == PUT;
    return lost;
}

static void take_what_is_left(void)
{
    ipc_message lease;
    int rc;
    while ((rc = ipc_queue_take_nowait(field->queue, &lease)) == 0 ||
           (rc = ipc_queue_take_dead(field->queue, &lease)) == 0) {
        (void)__atomic_fetch_or(known(lease.data), ACKED, __ATOMIC_SEQ_CST);
        expect_rc(ipc_queue_ack(field->queue, &lease), 0);
    }
    expect_rc(rc, -EAGAIN);
}

static void check(void *ctx, struct kills_result *result)
{
    (void)ctx;
    (void)result;
    if (field->queue->lease_ns != 0)
        ipc_sleep_until(ipc_after_ns(field->queue->lease_ns));
    take_what_is_left();
    const uint64_t lost = count_lost();
    test_report("put", (long long)field->put);
    test_report("taken", (long long)field->taken);
    test_report("acked", (long long)field->acked);
    test_report("nacked", (long long)field->nacked);
    test_report("stale", (long long)field->stale);
    test_report("late", (long long)field->late);
    test_report("dead_letters", (long long)field->dead);
    test_report("consumers_killed", (long long)field->consumers_killed);
    test_report("again", (long long)field->taken - (long long)field->acked);
    test_report("lost", (long long)lost);
    test_report("torn", (long long)field->torn);
    test_report("twice",
                (long long)field->twice + (long long)field->acked_twice);
    assert_true(lost == 0);
    assert_true(field->torn == 0);
    assert_true(field->acked_twice == 0);
    assert_true(field->twice == 0);
    assert_true(field->miscounted == 0);
    assert_true(field->taken > 100);
    expect_rc(ipc_queue_join_nowait(field->queue), 0);
    expect_all_room(field->queue);
}

static void make_field(const ipc_queue_options *options, int producers)
{
    field = test_shared(sizeof *field);
    field->queue = new_queue(options);
    field->producers = producers;
}

static void kill_at_random(const ipc_queue_options *options, int producers,
                           int consumers, long kills)
{
    const struct kills plan = {.workers = producers + consumers,
                               .work = work,
                               .died = died,
                               .check = check,
                               .kills = kills_for(kills)};
    struct kills_result result;
    make_field(options, producers);
    kills_run(&plan, &result);
    kills_report(&result);
    assert_int_equal(result.wedges, 0);
    expect_rc(ipc_queue_free(field->queue), 0);
}

static void leases_until_death(void)
{
    const ipc_queue_options options = store_options(IPC_QUEUE_LEASES, 16);
    kill_at_random(&options, 3, 3, 1000);
}

/* Leases so short that some run out under who lives. */
static void short_leases_by_priority(void)
{
    ipc_queue_options options = store_options(
        IPC_QUEUE_LEASES | IPC_QUEUE_PRIORITY | IPC_QUEUE_RELAXED, 64);
    options.lease_ns = NS_PER_MS / 4;
    options.max_deliveries = 3;
    options.bytes = 100000;
    kill_at_random(&options, 2, 4, 500);
}

static void the_last_one_first(void)
{
    const ipc_queue_options options =
        store_options(IPC_QUEUE_LEASES | IPC_QUEUE_LIFO, 4);
    kill_at_random(&options, 3, 2, 300);
}

/* ---- what these must find ---- */

/* Got, and only then worked on. */
static void work_without_lease(void *ctx, int index)
{
    struct test_random random = {(uint64_t)getpid()};
    struct message *buffer = calloc(1, sizeof *buffer + BIG);
    size_t bytes;
    (void)ctx;
    assert_non_null(buffer);
    while (kills_go_on()) {
        if (index < field->producers) {
            put_one(index, buffer, &random);
        } else if (ipc_queue_get_until(field->queue, buffer,
                                       sizeof *buffer + BIG, &bytes,
                                       ipc_after_ms(TURN_MS)) == 0) {
            const int64_t end = test_now_ns() + NS_PER_MS / 2;
            while (test_now_ns() < end)
                continue;
            (void)__atomic_fetch_or(known(buffer), ACKED, __ATOMIC_SEQ_CST);
        }
    }
    free(buffer);
}

static void consumers_without_leases_lose_messages(void)
{
    const struct kills plan = {
        .workers = 4, .work = work_without_lease, .kills = 30};
    const ipc_queue_options options = store_options(IPC_QUEUE_LEASES, 16);
    struct kills_result result;
    make_field(&options, 2);
    kills_run(&plan, &result);
    take_what_is_left();
    test_report("lost", (long long)count_lost());
    assert_true(count_lost() > 0);
    expect_rc(ipc_queue_free(field->queue), 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(leases_until_death, 600),
    TEST_CASE_LIMIT(short_leases_by_priority, 600),
    TEST_CASE_LIMIT(the_last_one_first, 600),
    TEST_CASE_LIMIT(consumers_without_leases_lose_messages, 60),
};
TEST_MAIN(cases)
