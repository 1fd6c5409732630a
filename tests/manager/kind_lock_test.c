/* Locks and rlocks of a manager: who has it, who is next, and deaths. */
#include "manager/kinds_support.h"

#define ACQUIRE IPCM__OP_LOCK_ACQUIRE
#define RELEASE IPCM__OP_LOCK_RELEASE
#define CHECK   IPCM__OP_LOCK_CHECK
#define IS_HELD IPCM__OP_LOCK_IS_HELD
#define TOKEN   IPCM__OP_LOCK_TOKEN

#define FOREVER ipc_i64(-1)
#define NOW     ipc_i64(0)
#define ME      ipc_i64(1)

static struct client *a, *b, *c;

static void begin(void)
{
    server_begin();
    a = client_new();
    b = client_new();
    c = client_new();
}

/* ---- one holder ---- */

static void a_free_lock_is_had_at_once(void)
{
    begin();
    const uint64_t lock = make(a, "lock", "door");
    says(a, IS_HELD, lock, "0");
    const uint64_t id = ask(a, ACQUIRE, lock, ME, NOW);
    expect_status(a, id, 0);
    const uint64_t token = number_of(a, id);
    assert_true(token > 0);
    says(b, IS_HELD, lock, "1");
    assert_int_equal(number_of(a, ask(a, TOKEN, lock, ME)), token);
    does(a, RELEASE, lock, 0, ME);
    says(a, IS_HELD, lock, "0");
    server_end();
}

static void a_lock_is_not_had_twice_and_an_rlock_is(void)
{
    begin();
    const uint64_t lock = make(a, "lock", NULL);
    const uint64_t rlock = make(a, "rlock", NULL);
    does(a, ACQUIRE, lock, 0, ME, FOREVER);
    does(a, ACQUIRE, lock, -EDEADLK, ME, FOREVER);
    does(a, ACQUIRE, lock, -EDEADLK, ME, NOW);
    does(a, RELEASE, lock, 0, ME);
    does(a, RELEASE, lock, -EPERM, ME);
    const uint64_t first = ask(a, ACQUIRE, rlock, ME, FOREVER);
    const uint64_t again = ask(a, ACQUIRE, rlock, ME, NOW);
    expect_status(a, again, 0);
    assert_int_equal(number_of(a, first), number_of(a, again));
    does(a, RELEASE, rlock, 0, ME);
    says(a, IS_HELD, rlock, "1");
    does(b, ACQUIRE, rlock, -EAGAIN, ME, NOW);
    does(a, RELEASE, rlock, 0, ME);
    does(a, RELEASE, rlock, -EPERM, ME);
    does(b, ACQUIRE, rlock, 0, ME, NOW);
    server_end();
}

static void holders_of_one_session_are_others(void)
{
    begin();
    const uint64_t lock = make(a, "rlock", NULL);
    does(a, ACQUIRE, lock, 0, ipc_i64(INT64_MIN), FOREVER);
    does(a, ACQUIRE, lock, -EAGAIN, ipc_i64(INT64_MAX), NOW);
    does(a, RELEASE, lock, -EPERM, ipc_i64(0));
    does(a, TOKEN, lock, -EPERM, ipc_i64(0));
    does(a, RELEASE, lock, 0, ipc_i64(INT64_MIN));
    server_end();
}

static void the_detail_says_who_has_it(void)
{
    begin();
    const uint64_t lock = make(a, "lock", "tickets");
    does(a, ACQUIRE, lock, 0, ipc_i64(77), FOREVER);
    const uint64_t id = ask(b, ACQUIRE, lock, ME, NOW);
    expect_detail_of(b, id, "lock \"tickets\"");
    expect_detail_of(b, id, "holder 77");
    server_end();
}

static void wrong_requests_change_nothing(void)
{
    begin();
    const uint64_t lock = make(a, "lock", NULL);
    does(a, ACQUIRE, lock, -EINVAL);
    does(a, ACQUIRE, lock, -EINVAL, ME);
    does(a, ACQUIRE, lock, -EINVAL, ipc_str("me"), NOW);
    does(a, ACQUIRE, lock, -EINVAL, ME, ipc_i64(-2));
    does(a, ACQUIRE, lock, -EINVAL, ME, NOW, NOW);
    does(a, RELEASE, lock, -EINVAL);
    does(a, CHECK, lock, -EINVAL, ipc_i64(-1));
    does(a, IS_HELD, lock, -EINVAL, ME);
    does(a, IPCM__OP_EVENT_SET, lock, -ENOSYS);
    does(a, IPC_OP_LIST_APPEND, lock, -ENOSYS, ME);
    says(a, IS_HELD, lock, "0");
    refuses(a, -EINVAL, "lock", ipc_str("color"), ipc_str("red"));
    refuses(a, -EINVAL, "lock", ipc_str("color"));
    refuses(a, -EINVAL, "lock", ME, ME);
    refuses(a, -ENOTSUP, "lock", ipc_str("durability"), ipc_i64(3));
    server_end();
}

/* ---- the line ---- */

static void who_comes_first_is_served_first(void)
{
    begin();
    const uint64_t lock = make(a, "lock", "door");
    does(a, ACQUIRE, lock, 0, ME, FOREVER);
    const uint64_t of_b = ask(b, ACQUIRE, lock, ME, FOREVER);
    const uint64_t of_c = ask(c, ACQUIRE, lock, ME, FOREVER);
    const uint64_t other = ask(b, ACQUIRE, lock, ipc_i64(2), FOREVER);
    expect_status(b, of_b, WAITING);
    does(a, RELEASE, lock, 0, ME);
    expect_status(b, of_b, 0);
    expect_status(c, of_c, WAITING);
    does(b, RELEASE, lock, 0, ME);
    expect_status(c, of_c, 0);
    expect_status(b, other, WAITING);
    does(c, RELEASE, lock, 0, ME);
    expect_status(b, other, 0);
    does(b, RELEASE, lock, 0, ipc_i64(2));
    server_end();
}

static void nobody_overtakes_in_the_same_turn(void)
{
    begin();
    const uint64_t lock = make(a, "lock", NULL);
    does(a, ACQUIRE, lock, 0, ME, FOREVER);
    const uint64_t of_b = ask(b, ACQUIRE, lock, ME, FOREVER);
    (void)ask_now(a, RELEASE, lock, ME);
    const uint64_t again = ask_now(a, ACQUIRE, lock, ME, FOREVER);
    const uint64_t at_once = ask_now(c, ACQUIRE, lock, ME, NOW);
    pass(0);
    expect_status(b, of_b, 0);
    expect_status(a, again, WAITING);
    expect_status(c, at_once, -EAGAIN);
    does(b, RELEASE, lock, 0, ME);
    expect_status(a, again, 0);
    server_end();
}

static void a_deadline_ends_the_wait(void)
{
    begin();
    const uint64_t lock = make(a, "lock", NULL);
    does(a, ACQUIRE, lock, 0, ME, FOREVER);
    const uint64_t of_b = ask(b, ACQUIRE, lock, ME, ipc_i64(IPC_MS(100)));
    const uint64_t of_c = ask(c, ACQUIRE, lock, ME, ipc_i64(IPC_MS(200)));
    pass(99);
    expect_status(b, of_b, WAITING);
    pass(1);
    expect_status(b, of_b, -ETIMEDOUT);
    expect_status(c, of_c, WAITING);
    does(a, RELEASE, lock, 0, ME);
    expect_status(c, of_c, 0);
    server_end();
}

static void who_is_cancelled_has_no_place_any_more(void)
{
    begin();
    const uint64_t lock = make(a, "lock", NULL);
    does(a, ACQUIRE, lock, 0, ME, FOREVER);
    const uint64_t of_b = ask(b, ACQUIRE, lock, ME, FOREVER);
    const uint64_t of_c = ask(c, ACQUIRE, lock, ME, FOREVER);
    does(b, IPCM__OP_CANCEL, 0, 0, ipc_u64(of_b));
    expect_status(b, of_b, -ECANCELED);
    does(b, IPCM__OP_CANCEL, 0, -ESRCH, ipc_u64(of_b));
    does(a, RELEASE, lock, 0, ME);
    expect_status(c, of_c, 0);
    server_end();
}

static void a_removed_lock_ends_the_wait(void)
{
    begin();
    const uint64_t lock = make(a, "lock", NULL);
    does(a, ACQUIRE, lock, 0, ME, FOREVER);
    const uint64_t other = ask(a, ACQUIRE, lock, ipc_i64(2), FOREVER);
    (void)ask(a, IPCM__OP_DROP, 0, ipc_u64(lock), ipc_i64(1));
    expect_status(a, other, -ESTALE);
    does(a, RELEASE, lock, -ESTALE, ME);
    server_end();
}

/* ---- deaths ---- */

static void the_death_of_the_owner_is_told_to_the_next(void)
{
    begin();
    const uint64_t lock = make(b, "lock", "door");
    const uint64_t of_a = ask(a, ACQUIRE, lock, ME, FOREVER);
    const uint64_t of_b = ask(b, ACQUIRE, lock, ME, FOREVER);
    const uint64_t old = number_of(a, of_a);
    does(b, CHECK, lock, 0, ipc_u64(old));
    client_die(a);
    expect_status(b, of_b, IPC_OWNER_DIED);
    assert_true(number_of(b, of_b) > old);
    does(b, CHECK, lock, -ESTALE, ipc_u64(old));
    does(b, CHECK, lock, 0, ipc_u64(number_of(b, of_b)));
    does(b, RELEASE, lock, 0, ME);
    does(b, CHECK, lock, -ESTALE, ipc_u64(number_of(b, of_b)));
    does(b, ACQUIRE, lock, 0, ME, NOW); /* once */
    server_end();
}

static void it_is_remembered_while_nobody_asks(void)
{
    begin();
    const uint64_t lock = make(b, "rlock", "door");
    does(a, ACQUIRE, lock, 0, ME, FOREVER);
    does(a, ACQUIRE, lock, 0, ME, FOREVER);
    client_die(a);
    says(b, IS_HELD, lock, "0");
    does(b, ACQUIRE, lock, IPC_OWNER_DIED, ME, NOW);
    does(b, RELEASE, lock, 0, ME);
    says(b, IS_HELD, lock, "0");
    server_end();
}

static void who_dies_waiting_is_forgotten(void)
{
    begin();
    const uint64_t lock = make(a, "lock", NULL);
    does(a, ACQUIRE, lock, 0, ME, FOREVER);
    (void)ask(b, ACQUIRE, lock, ME, FOREVER);
    const uint64_t of_c = ask(c, ACQUIRE, lock, ME, FOREVER);
    client_die(b);
    does(a, RELEASE, lock, 0, ME);
    expect_status(c, of_c, 0);
    server_end();
}

static void who_dies_when_it_is_his_turn_passes_it_on(void)
{
    begin();
    const uint64_t lock = make(a, "lock", NULL);
    does(a, ACQUIRE, lock, 0, ME, FOREVER);
    const uint64_t of_b = ask(b, ACQUIRE, lock, ME, FOREVER);
    const uint64_t of_c = ask(c, ACQUIRE, lock, ME, FOREVER);
    (void)ask_now(a, RELEASE, lock, ME);
    (void)of_b;
    client_die(b);
    pass(0);
    expect_status(c, of_c, IPC_OWNER_DIED);
    server_end();
}

static void all_sessions_may_die_at_once(void)
{
    begin();
    const uint64_t lock = make(c, "lock", "door");
    for (int i = 0; i < 20; i++)
        (void)ask(a, ACQUIRE, lock, ipc_i64(i), FOREVER);
    for (int i = 0; i < 20; i++)
        (void)ask(b, ACQUIRE, lock, ipc_i64(i), FOREVER);
    client_die(b);
    client_die(a);
    does(c, ACQUIRE, lock, IPC_OWNER_DIED, ME, NOW);
    server_end();
}

/* ---- coming back ---- */

static void a_lost_connection_keeps_what_is_held(void)
{
    config_begin();
    the_config.limits.local_session_grace_ms = 1000;
    server_open();
    a = client_new();
    b = client_new();
    const uint64_t lock = make(a, "lock", "door");
    does(a, ACQUIRE, lock, 0, ME, FOREVER);
    const uint64_t of_b = ask(b, ACQUIRE, lock, ME, FOREVER);
    client_lose(a);
    pass(500);
    expect_status(b, of_b, WAITING);
    client_return(a);
    does(a, RELEASE, lock, 0, ME);
    expect_status(b, of_b, 0);
    client_lose(b);
    pass(1001);
    does(a, ACQUIRE, lock, IPC_OWNER_DIED, ME, NOW);
    server_end();
}

static const struct test_case cases[] = {
    TEST_CASE(a_free_lock_is_had_at_once),
    TEST_CASE(a_lock_is_not_had_twice_and_an_rlock_is),
    TEST_CASE(holders_of_one_session_are_others),
    TEST_CASE(the_detail_says_who_has_it),
    TEST_CASE(wrong_requests_change_nothing),
    TEST_CASE(who_comes_first_is_served_first),
    TEST_CASE(nobody_overtakes_in_the_same_turn),
    TEST_CASE(a_deadline_ends_the_wait),
    TEST_CASE(who_is_cancelled_has_no_place_any_more),
    TEST_CASE(a_removed_lock_ends_the_wait),
    TEST_CASE(the_death_of_the_owner_is_told_to_the_next),
    TEST_CASE(it_is_remembered_while_nobody_asks),
    TEST_CASE(who_dies_waiting_is_forgotten),
    TEST_CASE(who_dies_when_it_is_his_turn_passes_it_on),
    TEST_CASE(all_sessions_may_die_at_once),
    TEST_CASE(a_lost_connection_keeps_what_is_held),
};
TEST_MAIN(cases)
