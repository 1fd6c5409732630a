/* Processes that put into and get from a POSIX message queue are killed at
 * random, some of them in the middle of plain mq_... calls.  Every message
 * carries its sender, its number and a sum of its bytes: none is torn, none
 * comes twice, those of one sender come in order, and none is lost but the one
 * that a killed receiver takes along. */
#include "harness/kills.h"
#include "harness/scale.h"
#include "unit/queue_posix_support.h"

#include <time.h>

#include <ipc/time.h>

enum {
    SENDERS = 3,
    RECEIVERS = 3,
    CAPACITY = 10,
    LARGEST = 1024,
    NUMBERS = 1 << 25, /* messages of a sender; memory that is never touched */
    TURN_MS = 5        /* the longest that a worker waits in one round */
};

#define load(p)     __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define store(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define add(p, v)   __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)

struct message {
    uint64_t sum; /* of all that follows */
    uint32_t sender;
    uint32_t number;
    unsigned char bytes[LARGEST - 16];
};

struct field {
    char name[64]; /* "posix:/..." */
    ipc_queue *queue;
    mqd_t plain;             /* the same queue, blocking */
    uint32_t begun[SENDERS]; /* messages that it began to put */
    uint64_t sent;           /* calls that returned 0 */
    uint64_t received;
    uint64_t torn, twice, disorder;
    uint64_t receivers_killed;
    uint32_t last[RECEIVERS][SENDERS]; /* received, + 1 */
    unsigned char came[SENDERS][NUMBERS];
    unsigned char done[SENDERS][NUMBERS]; /* put returned 0 */
};

static struct field *field;

/* ---- messages ---- */

static uint64_t sum_of(const struct message *message, size_t bytes)
{
    const unsigned char *at = (const unsigned char *)&message->sender;
    uint64_t sum = 14695981039346656037u;
    for (size_t left = bytes - offsetof(struct message, sender); left > 0;
         left--)
        sum = (sum ^ *at++) * 1099511628211u;
    return sum;
}

static bool is_whole(const struct message *message, size_t bytes)
{
    return bytes >= offsetof(struct message, bytes) &&
           message->sum == sum_of(message, bytes) &&
           message->sender < SENDERS && message->number < NUMBERS;
}

static void note(const struct message *message, size_t bytes, int receiver)
{
    if (!is_whole(message, bytes)) {
        (void)add(&field->torn, 1);
        return;
    }
    uint32_t *last = &field->last[receiver][message->sender];
    if (message->number < *last)
        (void)add(&field->disorder, 1);
    *last = message->number + 1;
    if (add(&field->came[message->sender][message->number], 1) != 0)
        (void)add(&field->twice, 1);
    (void)add(&field->received, 1);
}

/* ---- the calls: the last of each side makes plain ones ---- */

static struct timespec wall_clock_turn(void)
{
    struct timespec at;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &at), 0);
    at.tv_nsec += TURN_MS * 1000000L;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    return at;
}

/* Each has a priority of its own. */
static int put(int sender, const void *data, size_t bytes)
{
    if (sender != SENDERS - 1)
        return ipc_queue_put_priority(field->queue, data, bytes,
                                      (uint32_t)sender, ipc_after_ms(TURN_MS));
    const struct timespec at = wall_clock_turn();
    return mq_timedsend(field->plain, data, bytes, (unsigned)sender, &at) == 0
               ? 0
               : -errno;
}

static int get(int receiver, void *buffer, size_t *bytes)
{
    if (receiver != RECEIVERS - 1)
        return ipc_queue_get_until(field->queue, buffer, LARGEST, bytes,
                                   ipc_after_ms(TURN_MS));
    const struct timespec at = wall_clock_turn();
    const ssize_t n = mq_timedreceive(field->plain, buffer, LARGEST, NULL, &at);
    *bytes = n > 0 ? (size_t)n : 0;
    return n >= 0 ? 0 : -errno;
}

/* ---- workers ---- */

static void send_one(int index, struct message *message,
                     struct test_random *random)
{
    const size_t bytes = (size_t)test_random_between(
        random, offsetof(struct message, bytes), sizeof *message);
    const uint32_t number = add(&field->begun[index], 1);
    if (number >= NUMBERS) {
        store(&field->begun[index], NUMBERS);
        return;
    }
    message->sender = (uint32_t)index;
    message->number = number;
    for (size_t i = 0; i < sizeof message->bytes; i += 64)
        message->bytes[i] = (unsigned char)test_random_next(random);
    message->sum = sum_of(message, bytes);
    const int rc = put(index, message, bytes);
    if (rc == 0) {
        store(&field->done[index][number], 1);
        (void)add(&field->sent, 1);
    } else if (rc != -ETIMEDOUT) {
        test_fail("put: %d (%s)", rc, ipc_error_detail());
    }
}

static void receive_one(int receiver)
{
    struct message message;
    size_t bytes;
    const int rc = get(receiver, &message, &bytes);
    if (rc == 0)
        note(&message, bytes, receiver);
    else if (rc != -ETIMEDOUT)
        test_fail("get: %d (%s)", rc, ipc_error_detail());
}

static struct test_random own_random(void)
{
    return (struct test_random){(uint64_t)getpid() ^ (uint64_t)test_now_ns()
                                                         << 20};
}

static void work(void *ctx, int index)
{
    struct test_random random = own_random();
    struct message message = {0};
    (void)ctx;
    while (kills_go_on()) {
        if (index < SENDERS)
            send_one(index, &message, &random);
        else
            receive_one(index - SENDERS);
    }
}

static void died(void *ctx, int index, pid_t pid)
{
    (void)ctx;
    (void)pid;
    if (index >= SENDERS)
        (void)add(&field->receivers_killed, 1);
}

static uint64_t count_lost(void)
{
    uint64_t lost = 0;
    for (int sender = 0; sender < SENDERS; sender++)
        for (uint32_t i = 0; i < field->begun[sender]; i++)
            lost += field->done[sender][i] != 0 && field->came[sender][i] == 0;
    return lost;
}

static void check(void *ctx, struct kills_result *result)
{
    (void)ctx;
    (void)result;
    while (!ipc_queue_empty(field->queue))
        receive_one(0);
    const uint64_t lost = count_lost();
    test_report("sent", (long long)field->sent);
    test_report("received", (long long)field->received);
    test_report("receivers_killed", (long long)field->receivers_killed);
    test_report("lost_with_them", (long long)lost);
    test_report("torn", (long long)field->torn);
    test_report("twice", (long long)field->twice);
    test_report("disorder", (long long)field->disorder);
    assert_true(field->received > 0);
    assert_true(lost <= field->receivers_killed);
    assert_int_equal(field->torn, 0);
    assert_int_equal(field->twice, 0);
    assert_int_equal(field->disorder, 0);
}

static bool begin(void)
{
    const bool own = posix_begin();
    field = test_shared(sizeof *field);
    memcpy(field->name, posix_name(0)->text, sizeof field->name);
    return own;
}

static void make_queue(void)
{
    field->queue = posix_create(0, CAPACITY, LARGEST);
    field->plain = mq_open(posix_name(0)->mq_name, O_RDWR | O_CLOEXEC);
    assert_true(field->plain >= 0);
}

static void remove_queue(void)
{
    assert_int_equal(mq_close(field->plain), 0);
    posix_remove(0, field->queue);
}

static void t33_both_sides_are_killed(void)
{
    const bool own = begin();
    struct kills plan = {.workers = SENDERS + RECEIVERS,
                         .work = work,
                         .died = died,
                         .check = check};
    struct kills_result result;
    make_queue();
    kills_run(&plan, &result);
    kills_report(&result);
    remove_queue();
    assert_int_equal(result.wedges, 0);
    posix_end(own);
}

/* ---- opening, creating, removing ---- */

static void expect_one_of(int rc, int expected)
{
    if (rc != 0 && rc != expected)
        test_fail("%d (%s)", rc, ipc_error_detail());
}

static void open_and_remove(void *ctx, int index)
{
    struct test_random random = own_random();
    const ipc_queue_options options = {
        .size = sizeof options, .capacity = 4, .bytes = 4 * sizeof(uint64_t)};
    (void)ctx;
    while (kills_go_on()) {
        ipc_queue *queue = NULL;
        uint64_t value = (uint64_t)index;
        assert_int_equal(
            ipc_queue_open_or_create(field->name, &options, &queue), 0);
        expect_one_of(ipc_queue_put_nowait(queue, &value, sizeof value),
                      -EAGAIN);
        expect_one_of(
            ipc_queue_get_exactly(queue, &value, sizeof value, IPC_TIME_NOW),
            -EAGAIN);
        assert_true(value < 4);
        if (test_random_between(&random, 0, 3) == 0)
            expect_one_of(ipc_queue_unlink(field->name), -ENOENT);
        assert_int_equal(ipc_queue_detach(queue), 0);
    }
}

/* How many queues this user may still make, up to so many. */
static int room_for_queues(void)
{
    enum {
        MOST = 200
    };
    ipc_queue *queues[MOST];
    int n = 0;
    for (; n < MOST; n++) {
        if (ipc_queue_create(field->name, NULL, &queues[n]) != 0)
            break;
        assert_int_equal(ipc_queue_unlink(field->name), 0);
    }
    for (int i = 0; i < n; i++)
        assert_int_equal(ipc_queue_detach(queues[i]), 0);
    return n;
}

static void t33_who_opens_and_removes_is_killed(void)
{
    const bool own = begin();
    struct kills plan = {
        .workers = 4, .work = open_and_remove, .kills = kills_for(200)};
    struct kills_result result;
    const int room = room_for_queues();
    kills_run(&plan, &result);
    kills_report(&result);
    expect_one_of(ipc_queue_unlink(field->name), -ENOENT);
    const int room_now = room_for_queues();
    test_report("room_before", room);
    test_report("room_after", room_now);
    assert_int_equal(result.wedges, 0);
    assert_true(!own || room_now == room);
    posix_end(own);
}

/* ---- what these must find ---- */

/* As two messages: others come in between, and one is half. */
static void work_in_halves(void *ctx, int index)
{
    struct message message = {.sender = (uint32_t)index};
    const size_t half = sizeof message / 2;
    (void)ctx;
    message.sum = sum_of(&message, sizeof message);
    while (kills_go_on()) {
        if (index >= SENDERS)
            receive_one(index - SENDERS);
        else if (put(index, &message, half) == 0)
            (void)!put(index, (const char *)&message + half, half);
    }
}

static void halves_are_found(void)
{
    const bool own = begin();
    struct kills plan = {
        .workers = SENDERS + RECEIVERS, .work = work_in_halves, .kills = 20};
    struct kills_result result;
    make_queue();
    kills_run(&plan, &result);
    remove_queue();
    test_report("torn", (long long)field->torn);
    assert_true(field->torn > 0);
    posix_end(own);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t33_both_sides_are_killed, 60),
    TEST_CASE_LIMIT(t33_who_opens_and_removes_is_killed, 60),
    TEST_CASE_LIMIT(halves_are_found, 60),
};
TEST_MAIN(cases)
