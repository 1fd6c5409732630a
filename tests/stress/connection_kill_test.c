/* Processes that send and receive on one connection are killed at random.
 * Every message carries its sender, its number and a sum of its bytes: none is
 * torn, none comes twice, those of one sender come in order, and none is lost
 * but the one that a killed receiver may take along. */
#include "harness/kills.h"
#include "harness/scale.h"
#include "unit/connection_support.h"

#include <ipc/time.h>

enum {
    SENDERS_MAX = 4,
    RECEIVERS_MAX = 4,
    NUMBERS = 1 << 25, /* messages of a sender; memory that is never touched */
    BIG = 250000,
    TURN_MS = 5 /* the longest that a worker waits in one round */
};

#define load(p)     __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define store(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define add(p, v)   __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)

struct message {
    uint64_t sum; /* of all that follows */
    uint32_t sender;
    uint32_t number;
    unsigned char bytes[];
};

struct field {
    struct ends ends;
    int senders;
    uint32_t begun[SENDERS_MAX]; /* messages that it began to send */
    uint64_t sent;               /* calls that returned 0 */
    uint64_t received;
    uint64_t torn, twice, disorder, failed;
    uint64_t receivers_killed;
    uint32_t last[RECEIVERS_MAX][SENDERS_MAX]; /* received, + 1 */
    unsigned char came[SENDERS_MAX][NUMBERS];
    unsigned char done[SENDERS_MAX][NUMBERS]; /* send returned 0 */
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

/* Mostly small ones; some in two pieces; a few large. */
static size_t random_size(struct test_random *random)
{
    const long kind = test_random_between(random, 0, 49);
    const long most = kind == 0 ? BIG : kind < 10 ? 20000 : 300;
    return (size_t)test_random_between(random, 0, most);
}

static bool is_whole(const struct message *message, size_t bytes)
{
    return bytes >= sizeof *message && message->sum == sum_of(message, bytes) &&
           message->sender < SENDERS_MAX && message->number < NUMBERS;
}

/* ---- workers ---- */

static void send_one(int index, struct message *message,
                     struct test_random *random)
{
    const size_t bytes = sizeof *message + random_size(random);
    const uint32_t number = add(&field->begun[index], 1);
    if (number >= NUMBERS) {
        store(&field->begun[index], NUMBERS);
        return;
    }
    message->sender = (uint32_t)index;
    message->number = number;
    for (size_t i = sizeof *message; i < bytes; i += 64)
        ((unsigned char *)message)[i] = (unsigned char)test_random_next(random);
    message->sum = sum_of(message, bytes);
    const int rc = ipc_connection_send_until(field->ends.a, message, bytes,
                                             ipc_after_ms(TURN_MS));
    if (rc == 0) {
        store(&field->done[index][number], 1);
        (void)add(&field->sent, 1);
    } else if (rc != -ETIMEDOUT) {
        test_fail("send: %d (%s)", rc, ipc_error_detail());
    }
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

/* False: there was none. */
static bool receive_one(int receiver, bool fresh, struct message *buffer,
                        ipc_deadline deadline)
{
    void *data = NULL;
    size_t bytes;
    const int rc = fresh ? ipc_connection_recv_until(field->ends.b, &data,
                                                     &bytes, deadline)
                         : ipc_connection_recv_into_until(field->ends.b, buffer,
                                                          sizeof *buffer + 1000,
                                                          &bytes, deadline);
    if (rc == 0)
        note(fresh ? data : buffer, bytes, receiver);
    else if (rc != -ETIMEDOUT && rc != -EMSGSIZE)
        test_fail("receive: %d (%s)", rc, ipc_error_detail());
    free(data);
    return rc == 0;
}

static void work(void *ctx, int index)
{
    struct test_random random = {(uint64_t)getpid() ^ (uint64_t)test_now_ns()
                                                          << 20};
    struct message *buffer = calloc(1, sizeof *buffer + BIG);
    (void)ctx;
    assert_non_null(buffer);
    for (unsigned i = 0; kills_go_on(); i++) {
        if (index < field->senders)
            send_one(index, buffer, &random);
        else
            (void)receive_one(index - field->senders, i % 3 != 0, buffer,
                              ipc_after_ms(TURN_MS));
    }
    free(buffer);
}

/* ---- deaths, and the end ---- */

static void died(void *ctx, int index, pid_t pid)
{
    (void)ctx;
    (void)pid;
    if (index >= field->senders)
        (void)add(&field->receivers_killed, 1);
}

static uint64_t count_lost(void)
{
    uint64_t lost = 0;
    for (int sender = 0; sender < field->senders; sender++)
        for (uint32_t i = 0; i < field->begun[sender]; i++)
            lost += field->done[sender][i] != 0 && field->came[sender][i] == 0;
    return lost;
}

static void check(void *ctx, struct kills_result *result)
{
    (void)ctx;
    (void)result;
    for (int receiver = RECEIVERS_MAX - 1;
         receive_one(receiver, true, NULL, IPC_TIME_NOW);)
        continue;
    const uint64_t lost = count_lost();
    test_report("sent", (long long)field->sent);
    test_report("received", (long long)field->received);
    test_report("receivers_killed", (long long)field->receivers_killed);
    test_report("lost_with_them", (long long)lost);
    test_report("torn", (long long)field->torn);
    test_report("twice", (long long)field->twice);
    test_report("disorder", (long long)field->disorder);
    assert_true(field->torn == 0);
    assert_true(field->twice == 0);
    assert_true(field->disorder == 0);
    assert_true(lost <= field->receivers_killed);
    assert_true(field->received > 100);
}

static void kill_at_random(int senders, int receivers, long kills)
{
    struct kills plan = {.workers = senders + receivers,
                         .work = work,
                         .died = died,
                         .check = check,
                         .kills = kills_for(kills)};
    struct kills_result result;
    const int before = count_fds();
    field = test_shared(sizeof *field);
    field->ends = new_pipe();
    field->senders = senders;
    kills_run(&plan, &result);
    kills_report(&result);
    assert_int_equal(result.wedges, 0);
    close_both(field->ends);
    assert_int_equal(count_fds(), before);
}

static void three_send_and_three_receive(void)
{
    kill_at_random(3, 3, 1000);
}

static void four_send_and_one_receives(void)
{
    kill_at_random(4, 1, 500);
}

static void one_sends_and_three_receive(void)
{
    kill_at_random(1, 3, 500);
}

/* ---- what these must find ---- */

/* In two packets: who is killed in between leaves half of it. */
static void work_in_halves(void *ctx, int index)
{
    struct message *buffer = calloc(1, sizeof *buffer + 100);
    (void)ctx;
    assert_non_null(buffer);
    while (kills_go_on()) {
        if (index >= field->senders) {
            (void)receive_one(index - field->senders, true, NULL,
                              ipc_after_ms(TURN_MS));
            continue;
        }
        buffer->sum = sum_of(buffer, sizeof *buffer + 100);
        (void)!ipc_connection_send_until(field->ends.a, buffer, sizeof *buffer,
                                         ipc_after_ms(TURN_MS));
        (void)!ipc_connection_send_until(field->ends.a, buffer->bytes, 100,
                                         ipc_after_ms(TURN_MS));
    }
    free(buffer);
}

static void halves_are_found(void)
{
    struct kills plan = {.workers = 4, .work = work_in_halves, .kills = 20};
    struct kills_result result;
    field = test_shared(sizeof *field);
    field->ends = new_pipe();
    field->senders = 2;
    kills_run(&plan, &result);
    test_report("torn", (long long)field->torn);
    assert_true(field->torn > 0);
    close_both(field->ends);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(three_send_and_three_receive, 600),
    TEST_CASE_LIMIT(four_send_and_one_receives, 600),
    TEST_CASE_LIMIT(one_sends_and_three_receive, 600),
    TEST_CASE_LIMIT(halves_are_found, 60),
};
TEST_MAIN(cases)
