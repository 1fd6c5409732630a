/* Semaphores of a manager: plain, tracked and bounded ones. */
#include "manager/kinds_support.h"

#define ACQUIRE IPCM__OP_SEMAPHORE_ACQUIRE
#define RELEASE IPCM__OP_SEMAPHORE_RELEASE
#define VALUE   IPCM__OP_SEMAPHORE_VALUE

#define FOREVER ipc_i64(-1)
#define NOW     ipc_i64(0)
#define ONE     ipc_i64(1)

static struct client *a, *b, *c;

static void begin(void)
{
    server_begin();
    a = client_new();
    b = client_new();
    c = client_new();
}

static void permits_are_taken_and_given_back(void)
{
    begin();
    const uint64_t semaphore =
        make(a, "semaphore", "room", ipc_str("value"), ipc_i64(2));
    says(a, VALUE, semaphore, "2");
    does(a, ACQUIRE, semaphore, 0, NOW);
    does(b, ACQUIRE, semaphore, 0, FOREVER);
    does(c, ACQUIRE, semaphore, -EAGAIN, NOW);
    does(c, RELEASE, semaphore, 0, ONE); /* anybody may */
    says(a, VALUE, semaphore, "1");
    does(c, RELEASE, semaphore, 0, ipc_i64(10)); /* as often as he likes */
    says(a, VALUE, semaphore, "11");
    says(a, VALUE, make(a, "semaphore", NULL), "1");
    says(a, VALUE, make(a, "bounded_semaphore", NULL), "1");
    server_end();
}

static void who_comes_first_is_served_first(void)
{
    begin();
    const uint64_t semaphore =
        make(a, "semaphore", NULL, ipc_str("value"), ipc_i64(0));
    const uint64_t of_a = ask(a, ACQUIRE, semaphore, FOREVER);
    const uint64_t of_b = ask(b, ACQUIRE, semaphore, ipc_i64(IPC_MS(10)));
    const uint64_t of_c = ask(c, ACQUIRE, semaphore, FOREVER);
    does(a, RELEASE, semaphore, 0, ONE);
    expect_status(a, of_a, 0);
    expect_status(b, of_b, WAITING);
    pass(10);
    expect_status(b, of_b, -ETIMEDOUT);
    (void)ask_now(a, RELEASE, semaphore, ONE);
    const uint64_t late = ask_now(b, ACQUIRE, semaphore, NOW);
    pass(0);
    expect_status(c, of_c, 0);
    expect_status(b, late, -EAGAIN);
    server_end();
}

static void many_are_served_at_once(void)
{
    begin();
    const uint64_t semaphore =
        make(a, "semaphore", NULL, ipc_str("value"), ipc_i64(0));
    uint64_t ids[10];
    for (int i = 0; i < 10; i++)
        ids[i] = ask(b, ACQUIRE, semaphore, FOREVER);
    does(a, RELEASE, semaphore, 0, ipc_i64(7));
    for (int i = 0; i < 10; i++)
        expect_status(b, ids[i], i < 7 ? 0 : WAITING);
    says(a, VALUE, semaphore, "0");
    server_end();
}

static void there_is_a_bound(void)
{
    begin();
    const uint64_t semaphore =
        make(a, "bounded_semaphore", NULL, ipc_str("value"), ipc_i64(2));
    does(a, RELEASE, semaphore, -EOVERFLOW, ONE);
    does(a, ACQUIRE, semaphore, 0, NOW);
    does(a, RELEASE, semaphore, -EOVERFLOW, ipc_i64(2));
    says(a, VALUE, semaphore, "1");
    does(a, RELEASE, semaphore, 0, ONE);
    const uint64_t plain =
        make(a, "semaphore", NULL, ipc_str("value"), ipc_i64(INT32_MAX - 1));
    does(a, RELEASE, plain, 0, ONE);
    does(a, RELEASE, plain, -EOVERFLOW, ONE);
    says(a, VALUE, plain, "2147483647");
    does(a, RELEASE, plain, -EINVAL, ipc_i64(0));
    does(a, RELEASE, plain, -EINVAL, ipc_i64(-1));
    does(a, RELEASE, plain, -EINVAL);
    does(a, ACQUIRE, plain, -EINVAL, ipc_str("now"));
    does(a, VALUE, plain, -EINVAL, ONE);
    does(a, IPCM__OP_LOCK_RELEASE, plain, -ENOSYS, ONE);
    refuses(a, -EINVAL, "semaphore", ipc_str("value"), ipc_i64(-1));
    refuses(a, -EINVAL, "semaphore", ipc_str("value"),
            ipc_i64((int64_t)INT32_MAX + 1));
    refuses(a, -EINVAL, "bounded_semaphore", ipc_str("tracked"),
            ipc_bool(true));
    server_end();
}

/* ---- deaths ---- */

static void permits_of_the_dead_come_back(void)
{
    begin();
    const uint64_t before = charged();
    const uint64_t bounded =
        make(a, "bounded_semaphore", "bounded", ipc_str("value"), ipc_i64(2));
    const uint64_t tracked =
        make(a, "semaphore", "tracked", ipc_str("value"), ipc_i64(1),
             ipc_str("tracked"), ipc_bool(true));
    does(b, ACQUIRE, bounded, 0, NOW);
    does(b, ACQUIRE, bounded, 0, NOW);
    does(b, ACQUIRE, tracked, 0, NOW);
    const uint64_t of_a = ask(a, ACQUIRE, bounded, FOREVER);
    const uint64_t of_c = ask(c, ACQUIRE, tracked, FOREVER);
    client_die(b);
    expect_status(a, of_a, 0);
    expect_status(c, of_c, 0);
    says(a, VALUE, bounded, "1");
    client_die(c);
    client_die(a);
    assert_int_equal(charged(), before);
    server_end();
}

static void those_of_a_plain_one_do_not(void)
{
    begin();
    const uint64_t semaphore = make(a, "semaphore", "room");
    does(b, ACQUIRE, semaphore, 0, NOW);
    client_die(b);
    says(a, VALUE, semaphore, "0");
    server_end();
}

/* What others have released is not given back again by the death. */
static void released_permits_are_nobodys(void)
{
    begin();
    const uint64_t semaphore =
        make(a, "bounded_semaphore", "room", ipc_str("value"), ipc_i64(4));
    does(b, ACQUIRE, semaphore, 0, NOW); /* the longest */
    does(c, ACQUIRE, semaphore, 0, NOW);
    does(a, ACQUIRE, semaphore, 0, NOW);
    does(c, ACQUIRE, semaphore, 0, NOW);
    does(a, RELEASE, semaphore, 0, ipc_i64(2)); /* a's, and b's */
    says(a, VALUE, semaphore, "2");
    client_die(b);
    says(a, VALUE, semaphore, "2");
    client_die(c);
    says(a, VALUE, semaphore, "4");
    server_end();
}

static void who_dies_waiting_is_forgotten(void)
{
    begin();
    const uint64_t semaphore =
        make(a, "semaphore", "room", ipc_str("value"), ipc_i64(0));
    (void)ask(b, ACQUIRE, semaphore, FOREVER);
    const uint64_t of_c = ask(c, ACQUIRE, semaphore, FOREVER);
    (void)ask_now(a, RELEASE, semaphore, ONE);
    client_die(b); /* it has the permit, and takes it along */
    does(a, RELEASE, semaphore, 0, ONE);
    expect_status(c, of_c, 0);
    server_end();
}

static const struct test_case cases[] = {
    TEST_CASE(permits_are_taken_and_given_back),
    TEST_CASE(who_comes_first_is_served_first),
    TEST_CASE(many_are_served_at_once),
    TEST_CASE(there_is_a_bound),
    TEST_CASE(permits_of_the_dead_come_back),
    TEST_CASE(those_of_a_plain_one_do_not),
    TEST_CASE(released_permits_are_nobodys),
    TEST_CASE(who_dies_waiting_is_forgotten),
};
TEST_MAIN(cases)
