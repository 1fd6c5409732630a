/* The client's link, against a server that does what a test wants: replies that
 * are none, references, and who cannot connect. */
#include "manager/fake_server.h"

#include <ipc/list.h>
#include <ipc/managed.h>

static ipc_list *open_list(ipc_manager *manager)
{
    ipc_list *list = NULL;
    assert_int_equal(ipc_manager_list(manager, "list", &list), 0);
    return list;
}

static void close_all(ipc_manager *manager, ipc_list *list)
{
    assert_int_equal(ipc_list_close(list), 0);
    assert_int_equal(ipc_manager_close(manager), 0);
}

/* ---- replies that are none ---- */

static void odd_reply(uint32_t odd, int expected)
{
    struct fake *fake = fake_new();
    fake_start(fake);
    ipc_manager *manager = fake_connect(fake, NULL);
    ipc_list *list = open_list(manager);
    fake->odd = odd;
    const int64_t length = ipc_list_length(list);
    if (length != expected)
        test_fail("reply %u: %lld, %s", odd, (long long)length,
                  ipc_error_detail());
    fake->odd = FAKE_PROPER;
    /* The next one, on a new connection if need be, is none the worse. */
    assert_int_equal(ipc_list_append_i64(list, 1), 0);
    close_all(manager, list);
    fake_stop(fake);
}

static void odd_replies_are_told_and_forgotten(void)
{
    odd_reply(FAKE_WRONG_ID, -EPROTO);
    odd_reply(FAKE_TOO_MANY, -EPROTO);
    odd_reply(FAKE_NO_RESULTS, -EPROTO);
    odd_reply(FAKE_OTHER_TYPE, -EPROTO);
    odd_reply(FAKE_NO_FRAME, -EPROTO);
    odd_reply(FAKE_EMPTY, -EPROTO);
    odd_reply(FAKE_ENDS, -EPROTO);
    odd_reply(FAKE_HUGE_STATUS, -EPROTO);
    odd_reply(FAKE_TOO_LONG, -EPROTO);
}

static void a_reply_that_comes_twice_costs_the_connection(void)
{
    struct fake *fake = fake_new();
    fake_start(fake);
    ipc_manager *manager = fake_connect(fake, NULL);
    ipc_list *list = open_list(manager);
    fake->odd = FAKE_TWICE;
    assert_int_equal(ipc_list_length(list), 1);
    fake->odd = FAKE_PROPER;
    const int64_t length = ipc_list_length(list);
    assert_true(length == 0 || length == -EPROTO);
    assert_int_equal(ipc_list_append_i64(list, 1), 0);
    close_all(manager, list);
    fake_stop(fake);
}

static void a_batch_with_too_few_answers_is_refused(void)
{
    struct fake *fake = fake_new();
    fake_start(fake);
    ipc_manager *manager = fake_connect(fake, NULL);
    ipc_list *list = open_list(manager);
    ipc_calls *calls;
    const ipc_any value = ipc_i64(1);
    assert_int_equal(ipc_calls_new(manager, &calls), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ipc_calls_add(calls, ipc_any_list(list),
                                       IPC_OP_LIST_APPEND, &value, 1),
                         i);
    fake->odd = FAKE_BATCH_SHORT;
    assert_int_equal(ipc_calls_run(calls, IPC_CALLS_ATOMIC), -EPROTO);
    assert_int_equal(ipc_calls_free(calls), 0);
    close_all(manager, list);
    fake_stop(fake);
}

/* ---- references ---- */

static void closed_handles_are_given_back(void)
{
    struct fake *fake = fake_new();
    fake_start(fake);
    ipc_manager *manager = fake_connect(fake, NULL);
    ipc_list *list = open_list(manager);
    ipc_list *copy = NULL;
    for (int i = 0; i < 500; i++) {
        assert_int_equal(ipc_list_copy(list, &copy), 0);
        assert_int_equal(ipc_list_close(copy), 0);
    }
    assert_int_equal(ipc_list_close(list), 0);
    assert_int_equal(ipc_manager_ping(manager, ipc_after_ms(2000)), 0);
    assert_int_equal(fake->dropped, 501);
    assert_int_equal(ipc_manager_close(manager), 0);
    assert_int_equal(fake->goodbyes, 1);
    fake_stop(fake);
}

static void closing_many_handles_without_a_call_between_does_not_block(void)
{
    enum {
        MANY = 3000
    };
    struct fake *fake = fake_new();
    fake->in_flight = 4;
    fake_start(fake);
    ipc_manager *manager = fake_connect(fake, NULL);
    ipc_list *list = open_list(manager);
    ipc_list *copies[MANY];
    for (int i = 0; i < MANY; i++)
        assert_int_equal(ipc_list_copy(list, &copies[i]), 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(ipc_list_close(copies[i]), 0);
    assert_int_equal(ipc_list_length(list), 0);
    close_all(manager, list);
    assert_true(fake->dropped >= MANY);
    fake_stop(fake);
}

static void handles_outlive_the_manager_and_say_so(void)
{
    struct fake *fake = fake_new();
    fake_start(fake);
    ipc_manager *manager = fake_connect(fake, NULL);
    ipc_list *list = open_list(manager);
    ipc_managed *lock;
    assert_int_equal(ipc_manager_lock(manager, "lock", &lock), 1);
    assert_int_equal(ipc_manager_close(manager), 0);
    assert_int_equal(ipc_list_append_i64(list, 1), -ENOTCONN);
    assert_int_equal(ipc_managed_lock_acquire(lock), -ENOTCONN);
    assert_int_equal(ipc_managed_close(lock), 0);
    assert_int_equal(ipc_list_close(list), 0);
    fake_stop(fake);
}

/* ---- connecting ---- */

static int try_connect(const char *address, const char *key)
{
    ipc_manager *manager = NULL;
    const int rc =
        ipc_manager_connect(address, key, strlen(key), NULL, &manager);
    if (rc == 0)
        assert_int_equal(ipc_manager_close(manager), 0);
    else
        assert_null(manager);
    return rc;
}

static void who_cannot_connect_is_told_why(void)
{
    char address[160];
    struct fake *fake = fake_new();
    snprintf(address, sizeof address, "unix:%s/nobody", test_tmpdir());
    assert_int_equal(try_connect(address, FAKE_KEY), -ENOENT);
    assert_int_equal(try_connect("nonsense", FAKE_KEY), -EINVAL);
    assert_int_equal(try_connect("udp://localhost:1", FAKE_KEY), -EINVAL);
    assert_int_equal(try_connect("tcp://localhost", FAKE_KEY), -EINVAL);
    assert_int_equal(try_connect(fake->address, "short"), -EINVAL);
    fake_start(fake);
    assert_int_equal(try_connect(fake->address, FAKE_KEY), 0);
    assert_int_equal(
        try_connect(fake->address, "another key of more than 32 bytes"),
        -EACCES);
    role_kill(&fake->role);
    assert_int_equal(try_connect(fake->address, FAKE_KEY), -ECONNREFUSED);
}

static void options_are_looked_at(void)
{
    struct fake *fake = fake_new();
    ipc_manager *manager = NULL;
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    options.flags = 1u << 30;
    assert_int_equal(ipc_manager_connect(fake->address, FAKE_KEY,
                                         strlen(FAKE_KEY), &options, &manager),
                     -EINVAL);
    struct {
        ipc_manager_connect_options options;
        uint64_t more;
    } newer = {.options = IPC_MANAGER_CONNECT_OPTIONS_INIT, .more = 1};
    newer.options.size = sizeof newer;
    assert_int_equal(ipc_manager_connect(fake->address, FAKE_KEY,
                                         strlen(FAKE_KEY), &newer.options,
                                         &manager),
                     -E2BIG);
    assert_int_equal(ipc_manager_close(NULL), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(odd_replies_are_told_and_forgotten),
    TEST_CASE(a_reply_that_comes_twice_costs_the_connection),
    TEST_CASE(a_batch_with_too_few_answers_is_refused),
    TEST_CASE(closed_handles_are_given_back),
    TEST_CASE(closing_many_handles_without_a_call_between_does_not_block),
    TEST_CASE(handles_outlive_the_manager_and_say_so),
    TEST_CASE(who_cannot_connect_is_told_why),
    TEST_CASE(options_are_looked_at),
};

TEST_MAIN(cases)
