/* ipc_connection: several use one end at once, as threads and as processes;
 * some of them die. */
#include "unit/connection_support.h"

#include <pthread.h>

enum {
    SENDERS = 3,
    RECEIVERS = 3,
    EACH = 300 /* messages of a sender */
};

struct mark {
    uint32_t sender;
    uint32_t number;
};

struct crowd {
    struct ends ends;
    uint32_t came[SENDERS][EACH]; /* how often */
    uint32_t wrong;               /* torn, or not in order */
    uint32_t next_sender;
};

/* ---- senders and receivers ---- */

static size_t size_of(uint32_t number)
{
    static const size_t sizes[] = {0, 5, 300, 5000, 20, 90000, 7};
    return sizes[number % COUNT(sizes)] + (number % 60 == 59 ? 300000 : 0);
}

static void *send_all(void *arg)
{
    struct crowd *crowd = arg;
    const uint32_t sender =
        __atomic_fetch_add(&crowd->next_sender, 1, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < EACH; i++) {
        const struct mark mark = {sender, i};
        const size_t bytes = sizeof mark + size_of(i);
        char *message = new_message(bytes, i);
        memcpy(message, &mark, sizeof mark);
        if (ipc_connection_send(crowd->ends.a, message, bytes) != 0)
            (void)__atomic_fetch_add(&crowd->wrong, 1, __ATOMIC_SEQ_CST);
        free(message);
    }
    return NULL;
}

static bool is_good(char *message, size_t bytes, struct mark *mark)
{
    if (bytes < sizeof *mark)
        return false;
    memcpy(mark, message, sizeof *mark);
    fill_message(message, sizeof *mark, mark->number);
    return mark->sender < SENDERS && mark->number < EACH &&
           bytes == sizeof *mark + size_of(mark->number) &&
           is_message(message, bytes, mark->number);
}

/* Into a buffer that is too small at first, or into fresh memory. */
static int receive_one(ipc_connection *c, bool fresh, void **out, size_t *bytes)
{
    if (fresh)
        return ipc_connection_recv(c, out, bytes);
    size_t capacity = 10;
    for (;;) {
        void *buffer = malloc(capacity);
        const int rc = ipc_connection_recv_into(c, buffer, capacity, bytes);
        if (rc == 0) {
            *out = buffer;
            return 0;
        }
        free(buffer);
        if (rc != -EMSGSIZE)
            return rc;
        capacity = *bytes;
    }
}

static void *receive_all(void *arg)
{
    struct crowd *crowd = arg;
    int64_t last[SENDERS] = {-1, -1, -1};
    void *data;
    size_t bytes;
    for (unsigned i = 0;
         receive_one(crowd->ends.b, i % 2 == 0, &data, &bytes) == 0; i++) {
        struct mark mark;
        if (!is_good(data, bytes, &mark) || mark.number <= last[mark.sender]) {
            (void)__atomic_fetch_add(&crowd->wrong, 1, __ATOMIC_SEQ_CST);
        } else {
            last[mark.sender] = mark.number;
            (void)__atomic_fetch_add(&crowd->came[mark.sender][mark.number], 1,
                                     __ATOMIC_SEQ_CST);
        }
        free(data);
    }
    return NULL;
}

static void expect_each_once(const struct crowd *crowd)
{
    assert_int_equal(crowd->wrong, 0);
    for (int sender = 0; sender < SENDERS; sender++)
        for (int i = 0; i < EACH; i++)
            assert_int_equal(crowd->came[sender][i], 1);
}

static struct crowd *new_crowd(void)
{
    struct crowd *crowd = test_shared(sizeof *crowd);
    crowd->ends = new_pipe();
    return crowd;
}

/* ---- all at once ---- */

static void threads_share_both_ends(void)
{
    struct crowd *crowd = new_crowd();
    pthread_t threads[SENDERS + RECEIVERS];
    for (int i = 0; i < SENDERS + RECEIVERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL,
                                        i < SENDERS ? send_all : receive_all,
                                        crowd),
                         0);
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    expect_rc(ipc_connection_close(crowd->ends.a), 0);
    for (int i = SENDERS; i < SENDERS + RECEIVERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    expect_each_once(crowd);
    expect_rc(ipc_connection_close(crowd->ends.b), 0);
}

static void sender(void *arg)
{
    struct crowd *crowd = arg;
    expect_rc(ipc_connection_close(crowd->ends.b), 0);
    (void)send_all(crowd);
}

static void receiver(void *arg)
{
    struct crowd *crowd = arg;
    expect_rc(ipc_connection_close(crowd->ends.a), 0);
    (void)receive_all(crowd);
}

static void processes_share_both_ends(void)
{
    struct crowd *crowd = new_crowd();
    struct role roles[SENDERS + RECEIVERS];
    for (int i = 0; i < SENDERS + RECEIVERS; i++)
        role_start(&roles[i], i < SENDERS ? sender : receiver, crowd);
    close_both(crowd->ends);
    for (int i = 0; i < SENDERS + RECEIVERS; i++)
        role_wait_ok(&roles[i], LIMIT_MS);
    expect_each_once(crowd);
}

/* ---- who has an end dies ---- */

static void hold_the_other_end(void *arg)
{
    struct crowd *crowd = arg;
    expect_rc(ipc_connection_close(crowd->ends.b), 0);
    send_message(crowd->ends.a, FLAT, 1);
    send_message(crowd->ends.a, SPILLED, 2);
    for (;;)
        (void)pause();
}

static void the_end_comes_with_the_death_of_the_last_one(void)
{
    struct crowd *crowd = new_crowd();
    struct role one;
    struct role two;
    role_start(&one, hold_the_other_end, crowd);
    recv_message(crowd->ends.b, FLAT, 1);
    recv_message(crowd->ends.b, SPILLED, 2);
    role_start(&two, hold_the_other_end, crowd);
    expect_rc(ipc_connection_close(crowd->ends.a), 0);
    recv_message(crowd->ends.b, FLAT, 1);
    (void)role_kill(&one);
    recv_message(crowd->ends.b, SPILLED, 2);
    expect_empty(crowd->ends.b);
    expect_rc(ipc_connection_poll(crowd->ends.b, ipc_after_ms(20)), 0);
    (void)role_kill(&two);
    expect_end(crowd->ends.b);
    expect_rc(ipc_connection_send(crowd->ends.b, "x", 1), -EPIPE);
    expect_rc(ipc_connection_close(crowd->ends.b), 0);
}

static void wait_for_end(void *arg)
{
    struct crowd *crowd = arg;
    expect_rc(ipc_connection_close(crowd->ends.a), 0);
    expect_end(crowd->ends.b);
}

static void hold(void *arg)
{
    (void)arg;
    for (;;)
        (void)pause();
}

static void who_waits_is_told_of_the_death(void)
{
    struct crowd *crowd = new_crowd();
    struct role waiter;
    struct role holder;
    role_start(&holder, hold, crowd);
    role_start(&waiter, wait_for_end, crowd);
    expect_rc(ipc_connection_close(crowd->ends.a), 0);
    wait_until_blocked(waiter.pid, LIMIT_MS);
    (void)role_kill(&holder);
    role_wait_ok(&waiter, WEDGE_MS);
    expect_rc(ipc_connection_close(crowd->ends.b), 0);
}

/* The dead one slept on the end; those who share it with him go on. */
static void a_receiver_that_dies_asleep_takes_nothing_along(void)
{
    struct crowd *crowd = new_crowd();
    struct role dead;
    struct role heir;
    role_start(&dead, wait_for_end, crowd);
    role_start(&heir, wait_for_end, crowd);
    wait_until_blocked(dead.pid, LIMIT_MS);
    wait_until_blocked(heir.pid, LIMIT_MS);
    (void)role_kill(&dead);
    expect_rc(ipc_connection_send(crowd->ends.b, "x", 1), 0);
    recv_message(crowd->ends.a, 1, 'x');
    expect_rc(ipc_connection_close(crowd->ends.a), 0);
    role_wait_ok(&heir, WEDGE_MS);
    expect_rc(ipc_connection_close(crowd->ends.b), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(threads_share_both_ends),
    TEST_CASE(processes_share_both_ends),
    TEST_CASE(the_end_comes_with_the_death_of_the_last_one),
    TEST_CASE(who_waits_is_told_of_the_death),
    TEST_CASE(a_receiver_that_dies_asleep_takes_nothing_along),
};
TEST_MAIN(cases)
