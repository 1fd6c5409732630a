/* Conditions of a manager: with their own lock and with another object's. */
#include "manager/kinds_support.h"

#define ACQUIRE IPCM__OP_LOCK_ACQUIRE
#define RELEASE IPCM__OP_LOCK_RELEASE
#define IS_HELD IPCM__OP_LOCK_IS_HELD
#define CHECK   IPCM__OP_LOCK_CHECK
#define WAIT    IPCM__OP_CONDITION_WAIT
#define NOTIFY  IPCM__OP_CONDITION_NOTIFY

#define FOREVER ipc_i64(-1)
#define NOW     ipc_i64(0)
#define ME      ipc_i64(1)
#define ALL     ipc_i64(-1)

#define NOT_IN_TIME 2

static struct client *a, *b, *c, *d;

static void begin(void)
{
    server_begin();
    a = client_new();
    b = client_new();
    c = client_new();
    d = client_new();
}

/* Acquires, and waits. */
static uint64_t begin_to_wait(struct client *client, uint64_t condition,
                              int64_t ns)
{
    does(client, ACQUIRE, condition, 0, ME, FOREVER);
    const uint64_t id = ask(client, WAIT, condition, ME, ipc_i64(ns));
    expect_status(client, id, WAITING);
    return id;
}

static void notify(struct client *client, uint64_t condition, int64_t n)
{
    does(client, ACQUIRE, condition, 0, ME, FOREVER);
    does(client, NOTIFY, condition, 0, ME, ipc_i64(n));
    does(client, RELEASE, condition, 0, ME);
}

static void waiting_gives_up_the_lock_and_has_it_again(void)
{
    begin();
    const uint64_t condition = make(a, "condition", "box");
    const uint64_t of_b = begin_to_wait(b, condition, -1);
    says(a, IS_HELD, condition, "0");
    does(a, ACQUIRE, condition, 0, ME, FOREVER);
    does(a, NOTIFY, condition, 0, ME, ipc_i64(1));
    expect_status(b, of_b, WAITING); /* the notifier has the lock */
    does(a, RELEASE, condition, 0, ME);
    expect_status(b, of_b, 0);
    does(b, CHECK, condition, 0, ipc_u64(number_of(b, of_b)));
    does(b, RELEASE, condition, 0, ME);
    server_end();
}

static void those_who_have_waited_longest_are_notified(void)
{
    begin();
    const uint64_t named = make(a, "condition", "x");
    const uint64_t of_b = begin_to_wait(b, named, -1);
    const uint64_t of_c = begin_to_wait(c, named, -1);
    const uint64_t of_d = begin_to_wait(d, named, -1);
    notify(a, named, 2);
    expect_status(b, of_b, 0);
    expect_status(c, of_c, WAITING); /* b has the lock */
    does(b, RELEASE, named, 0, ME);
    expect_status(c, of_c, 0);
    does(c, RELEASE, named, 0, ME);
    expect_status(d, of_d, WAITING);
    notify(a, named, 5);
    expect_status(d, of_d, 0);
    does(d, RELEASE, named, 0, ME);
    notify(a, named, 1); /* nobody */
    server_end();
}

static void notify_all_and_none(void)
{
    begin();
    const uint64_t condition = make(a, "condition", "x");
    const uint64_t of_b = begin_to_wait(b, condition, -1);
    const uint64_t of_c = begin_to_wait(c, condition, -1);
    notify(a, condition, 0);
    expect_status(b, of_b, WAITING);
    notify(a, condition, -1);
    expect_status(b, of_b, 0);
    does(b, RELEASE, condition, 0, ME);
    expect_status(c, of_c, 0);
    server_end();
}

static void the_lock_must_be_held(void)
{
    begin();
    const uint64_t condition = make(a, "condition", "x");
    does(a, WAIT, condition, -EPERM, ME, FOREVER);
    does(a, NOTIFY, condition, -EPERM, ME, ALL);
    does(a, ACQUIRE, condition, 0, ME, FOREVER);
    does(b, WAIT, condition, -EPERM, ME, FOREVER);
    does(a, WAIT, condition, -EPERM, ipc_i64(2), FOREVER);
    does(a, WAIT, condition, -EINVAL, ME);
    does(a, NOTIFY, condition, -EINVAL, ME);
    does(a, NOTIFY, condition, -EINVAL, ME, ipc_i64(-2));
    does(a, IPCM__OP_EVENT_SET, condition, -ENOSYS);
    does(a, RELEASE, condition, 0, ME);
    refuses(a, -EINVAL, "condition", ipc_str("lock"), ipc_i64(4711));
    refuses(a, -EINVAL, "condition", ipc_str("lock"), ipc_u64(condition));
    refuses(a, -EINVAL, "condition", ipc_str("parties"), ipc_i64(1));
    server_end();
}

/* All levels of an rlock are given up, and had again. */
static void all_levels_are_given_up(void)
{
    begin();
    const uint64_t condition = make(a, "condition", "x");
    does(a, ACQUIRE, condition, 0, ME, FOREVER);
    does(a, ACQUIRE, condition, 0, ME, FOREVER);
    does(a, ACQUIRE, condition, 0, ME, FOREVER);
    const uint64_t id = ask(a, WAIT, condition, ME, FOREVER);
    says(b, IS_HELD, condition, "0");
    notify(b, condition, 1);
    expect_status(a, id, 0);
    for (int i = 0; i < 3; i++)
        does(a, RELEASE, condition, 0, ME);
    does(a, RELEASE, condition, -EPERM, ME);
    server_end();
}

/* ---- time ---- */

static void a_deadline_ends_the_wait_with_the_lock_held(void)
{
    begin();
    const uint64_t condition = make(a, "condition", "x");
    const uint64_t of_b = begin_to_wait(b, condition, IPC_MS(100));
    pass(99);
    expect_status(b, of_b, WAITING);
    pass(1);
    expect_status(b, of_b, NOT_IN_TIME);
    says(a, IS_HELD, condition, "1");
    does(b, RELEASE, condition, 0, ME);
    notify(a, condition, 1); /* is not kept for anybody */
    server_end();
}

static void after_its_deadline_it_still_waits_for_the_lock(void)
{
    begin();
    const uint64_t condition = make(a, "condition", "x");
    const uint64_t of_b = begin_to_wait(b, condition, IPC_MS(100));
    does(a, ACQUIRE, condition, 0, ME, FOREVER);
    pass(100);
    pass(1000);
    expect_status(b, of_b, WAITING);
    does(a, NOTIFY, condition, 0, ME, ALL); /* too late */
    does(a, RELEASE, condition, 0, ME);
    expect_status(b, of_b, NOT_IN_TIME);
    server_end();
}

static void a_deadline_after_the_notification_means_nothing(void)
{
    begin();
    const uint64_t condition = make(a, "condition", "x");
    const uint64_t of_b = begin_to_wait(b, condition, IPC_MS(100));
    does(a, ACQUIRE, condition, 0, ME, FOREVER);
    does(a, NOTIFY, condition, 0, ME, ALL);
    pass(1000);
    expect_status(b, of_b, WAITING);
    does(a, RELEASE, condition, 0, ME);
    expect_status(b, of_b, 0);
    server_end();
}

static void not_at_all_is_a_wait_too(void)
{
    begin();
    const uint64_t condition = make(a, "condition", "x");
    does(a, ACQUIRE, condition, 0, ME, FOREVER);
    does(a, WAIT, condition, NOT_IN_TIME, ME, NOW);
    const uint64_t of_b = ask(b, ACQUIRE, condition, ME, FOREVER);
    const uint64_t id = ask(a, WAIT, condition, ME, NOW);
    expect_status(b, of_b, 0); /* came first */
    expect_status(a, id, WAITING);
    does(b, RELEASE, condition, 0, ME);
    expect_status(a, id, NOT_IN_TIME);
    server_end();
}

/* ---- another object's lock ---- */

static void several_conditions_share_a_lock(void)
{
    begin();
    const uint64_t lock = make(a, "lock", "the-lock");
    const uint64_t full =
        make(a, "condition", "full", ipc_str("lock"), ipc_u64(lock));
    const uint64_t empty =
        make(a, "condition", "empty", ipc_str("lock"), ipc_u64(lock));
    does(b, ACQUIRE, lock, 0, ME, FOREVER);
    const uint64_t of_b = ask(b, WAIT, full, ME, FOREVER);
    does(c, ACQUIRE, full, 0, ME, FOREVER);
    const uint64_t of_c = ask(c, WAIT, empty, ME, FOREVER);
    does(a, ACQUIRE, empty, 0, ME, FOREVER);
    does(a, NOTIFY, empty, 0, ME, ALL);
    does(a, NOTIFY, full, 0, ME, ALL);
    const uint64_t of_d = ask(d, ACQUIRE, lock, ME, FOREVER);
    does(a, RELEASE, lock, 0, ME);
    expect_status(c, of_c, 0); /* in the order of notification */
    expect_status(b, of_b, WAITING);
    does(c, RELEASE, empty, 0, ME);
    expect_status(b, of_b, 0);
    expect_status(d, of_d, WAITING);
    does(b, RELEASE, full, 0, ME);
    expect_status(d, of_d, 0);
    server_end();
}

static void the_lock_lives_as_long_as_its_condition(void)
{
    begin();
    const uint64_t lock = make(a, "rlock", NULL);
    const uint64_t condition =
        make(a, "condition", NULL, ipc_str("lock"), ipc_u64(lock));
    (void)ask(a, IPCM__OP_DROP, 0, ipc_u64(lock), ipc_i64(1));
    does(a, ACQUIRE, condition, 0, ME, FOREVER);
    does(a, WAIT, condition, NOT_IN_TIME, ME, NOW);
    says(a, IS_HELD, lock, "1");
    does(a, RELEASE, condition, 0, ME);
    (void)ask(a, IPCM__OP_DROP, 0, ipc_u64(condition), ipc_i64(1));
    does(a, IS_HELD, lock, -ESTALE);
    server_end();
}

/* ---- deaths ---- */

static void who_dies_waiting_is_forgotten(void)
{
    begin();
    const uint64_t condition = make(a, "condition", "x");
    (void)begin_to_wait(b, condition, -1);
    const uint64_t of_c = begin_to_wait(c, condition, -1);
    client_die(b);
    notify(a, condition, 1);
    expect_status(c, of_c, 0);
    server_end();
}

static void the_notification_of_the_dead_goes_to_the_next(void)
{
    begin();
    const uint64_t condition = make(a, "condition", "x");
    (void)begin_to_wait(b, condition, -1);
    const uint64_t of_c = begin_to_wait(c, condition, -1);
    const uint64_t of_d = begin_to_wait(d, condition, -1);
    does(a, ACQUIRE, condition, 0, ME, FOREVER);
    does(a, NOTIFY, condition, 0, ME, ipc_i64(1));
    client_die(b);
    does(a, RELEASE, condition, 0, ME);
    expect_status(c, of_c, 0);
    does(c, RELEASE, condition, 0, ME);
    expect_status(d, of_d, WAITING);
    server_end();
}

static void who_waits_is_told_that_the_owner_died(void)
{
    begin();
    const uint64_t condition = make(b, "condition", "x");
    const uint64_t of_b = begin_to_wait(b, condition, -1);
    const uint64_t of_c = begin_to_wait(c, condition, IPC_MS(10));
    does(a, ACQUIRE, condition, 0, ME, FOREVER);
    does(a, NOTIFY, condition, 0, ME, ipc_i64(1));
    pass(10);
    client_die(a);
    expect_status(b, of_b, IPC_OWNER_DIED);
    does(b, CHECK, condition, 0, ipc_u64(number_of(b, of_b)));
    client_die(b);
    expect_status(c, of_c, IPC_OWNER_DIED | NOT_IN_TIME);
    does(c, CHECK, condition, 0, ipc_u64(number_of(c, of_c)));
    server_end();
}

static void a_removed_condition_ends_the_wait(void)
{
    begin();
    const uint64_t condition = make(a, "condition", NULL);
    does(a, ACQUIRE, condition, 0, ME, FOREVER);
    const uint64_t id = ask(a, WAIT, condition, ME, FOREVER);
    (void)ask(a, IPCM__OP_DROP, 0, ipc_u64(condition), ipc_i64(1));
    expect_status(a, id, -ESTALE);
    server_end();
}

/* ---- coming back ---- */

/* The same request again: the lock was given up by the first, and whatever was
 * notified meanwhile is looked for by the client itself. */
static void who_comes_back_has_the_lock_and_looks(void)
{
    config_begin();
    the_config.limits.local_session_grace_ms = 1000;
    server_open();
    a = client_new();
    b = client_new();
    const uint64_t condition = make(a, "condition", "x");
    does(b, ACQUIRE, condition, 0, ME, FOREVER);
    does(b, ACQUIRE, condition, 0, ME, FOREVER);
    const uint64_t id = ask(b, WAIT, condition, ME, FOREVER);
    client_lose(b);
    notify(a, condition, 1);
    client_return(b);
    b->last = id - 1;
    assert_int_equal(ask(b, WAIT, condition, ME, FOREVER), id);
    expect_status(b, id, 0);
    does(b, RELEASE, condition, 0, ME);
    does(b, RELEASE, condition, 0, ME);
    does(b, RELEASE, condition, -EPERM, ME);
    does(b, WAIT, condition, -EPERM, ME, FOREVER); /* another request */
    server_end();
}

static void who_does_not_come_back_leaves_nothing(void)
{
    config_begin();
    the_config.limits.local_session_grace_ms = 1000;
    server_open();
    a = client_new();
    b = client_new();
    c = client_new();
    const uint64_t condition = make(a, "condition", "x");
    (void)begin_to_wait(b, condition, -1);
    client_lose(b);
    const uint64_t of_c = begin_to_wait(c, condition, -1);
    pass(2000);
    notify(a, condition, 1);
    expect_status(c, of_c, 0);
    server_end();
}

static const struct test_case cases[] = {
    TEST_CASE(waiting_gives_up_the_lock_and_has_it_again),
    TEST_CASE(those_who_have_waited_longest_are_notified),
    TEST_CASE(notify_all_and_none),
    TEST_CASE(the_lock_must_be_held),
    TEST_CASE(all_levels_are_given_up),
    TEST_CASE(a_deadline_ends_the_wait_with_the_lock_held),
    TEST_CASE(after_its_deadline_it_still_waits_for_the_lock),
    TEST_CASE(a_deadline_after_the_notification_means_nothing),
    TEST_CASE(not_at_all_is_a_wait_too),
    TEST_CASE(several_conditions_share_a_lock),
    TEST_CASE(the_lock_lives_as_long_as_its_condition),
    TEST_CASE(who_dies_waiting_is_forgotten),
    TEST_CASE(the_notification_of_the_dead_goes_to_the_next),
    TEST_CASE(who_waits_is_told_that_the_owner_died),
    TEST_CASE(a_removed_condition_ends_the_wait),
    TEST_CASE(who_comes_back_has_the_lock_and_looks),
    TEST_CASE(who_does_not_come_back_leaves_nothing),
};
TEST_MAIN(cases)
