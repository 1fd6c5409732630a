/* The client's link, against a server that does what a test wants: odd replies,
 * connections that end at any byte, and who gets to know what. */
#include "manager/fake_server.h"

#include <pthread.h>

#include <ipc/list.h>
#include <ipc/managed.h>
#include <ipc/process.h>

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

/* ---- coming back ---- */

static void append_cut_at(int64_t at, bool resume)
{
    struct fake *fake = fake_new();
    fake->resume = resume;
    fake_start(fake);
    ipc_manager *manager = fake_connect(fake, NULL);
    ipc_list *list = open_list(manager);
    fake->cut_op = IPC_OP_LIST_APPEND;
    fake->cut_at = at;
    const int rc = ipc_list_append_i64(list, 111);
    assert_int_equal(rc, resume ? 0 : -ECONNRESET);
    assert_int_equal(fake->appended, 1);
    assert_int_equal(ipc_list_append_i64(list, 222), 0);
    assert_int_equal(fake->appended, 2);
    close_all(manager, list);
    fake_stop(fake);
}

static void a_retried_append_is_applied_once_wherever_it_was_cut(void)
{
    for (int64_t at = 0; at <= 7; at++)
        append_cut_at(at, true);
}

static void a_change_whose_session_is_lost_says_so(void)
{
    for (int64_t at = 0; at < 7; at++)
        append_cut_at(at, false);
}

static void reading_is_repeated_whatever_became_of_the_session(void)
{
    for (int64_t at = 0; at <= 9; at++) {
        struct fake *fake = fake_new();
        fake->resume = at % 2 == 0;
        fake_start(fake);
        ipc_manager *manager = fake_connect(fake, NULL);
        ipc_list *list = open_list(manager);
        assert_int_equal(ipc_list_append_i64(list, 1), 0);
        fake->cut_op = IPC_OP_LIST_LENGTH;
        fake->cut_at = at;
        assert_int_equal(ipc_list_length(list), 1);
        close_all(manager, list);
        fake_stop(fake);
    }
}

static void opening_is_repeated_when_the_connection_is_lost(void)
{
    for (int64_t at = 0; at < 12; at++) {
        struct fake *fake = fake_new();
        fake->resume = at % 2 == 0;
        fake_start(fake);
        ipc_manager *manager = fake_connect(fake, NULL);
        fake->cut_op = IPCM__OP_OPEN;
        fake->cut_at = at;
        ipc_list *list = open_list(manager);
        assert_int_equal(ipc_list_append_i64(list, 1), 0);
        close_all(manager, list);
        fake_stop(fake);
    }
}

static void acquiring_is_repeated_as_the_session_took_it_along(void)
{
    struct fake *fake = fake_new();
    fake_start(fake);
    ipc_manager *manager = fake_connect(fake, NULL);
    ipc_managed *lock;
    assert_int_equal(ipc_manager_lock(manager, "lock", &lock), 1);
    fake->cut_op = IPCM__OP_LOCK_ACQUIRE;
    fake->cut_at = 2;
    assert_int_equal(ipc_managed_lock_acquire(lock), 0);
    assert_int_equal(ipc_managed_close(lock), 0);
    assert_int_equal(ipc_manager_close(manager), 0);
    fake_stop(fake);
}

static void a_server_that_refuses_for_a_while_is_found_again(void)
{
    struct fake *fake = fake_new();
    fake->resume = true;
    fake_start(fake);
    ipc_manager *manager = fake_connect(fake, NULL);
    ipc_list *list = open_list(manager);
    fake->refusals = 3;
    fake->cut_at = 0;
    assert_int_equal(ipc_list_append_i64(list, 1), 0);
    assert_int_equal(fake->appended, 1);
    assert_int_equal(fake->connections, 5);
    close_all(manager, list);
    fake_stop(fake);
}

static void restart_server(void *arg)
{
    fake_main(arg);
}

static void a_server_that_was_killed_is_found_again(void)
{
    struct fake *fake = fake_new();
    fake_start(fake);
    ipc_manager *manager = fake_connect(fake, NULL);
    ipc_list *list = open_list(manager);
    assert_int_equal(ipc_list_append_i64(list, 1), 0);
    fake_stop(fake);
    fake->instance = 2;
    fake->ready = 0;
    role_start(&fake->role, restart_server, fake);
    assert_int_equal(ipc_list_length(list), 1);
    assert_int_equal(ipc_list_append_i64(list, 2), 0);
    close_all(manager, list);
    fake_stop(fake);
}

static void what_is_not_there_after_a_restart_is_opened_by_name(void)
{
    struct fake *fake = fake_new();
    fake_start(fake);
    ipc_manager *manager = fake_connect(fake, NULL);
    ipc_list *list = open_list(manager);
    ipc_list *nameless = NULL;
    assert_int_equal(ipc_manager_list(manager, NULL, &nameless), 0);
    fake_stop(fake);
    fake->instance = 2;
    fake->odd = FAKE_UNKNOWN_OBJECT;
    fake->odd_from = IPCM__OP_REFER;
    fake_start(fake);
    assert_int_equal(ipc_list_append_i64(list, 2), 0);
    assert_int_equal(ipc_list_append_i64(nameless, 2), -ESTALE);
    assert_int_equal(fake->appended, 1);
    assert_int_equal(ipc_list_close(nameless), 0);
    close_all(manager, list);
    fake_stop(fake);
}

static void a_request_that_always_costs_the_connection_is_given_up(void)
{
    for (int resume = 0; resume < 2; resume++) {
        struct fake *fake = fake_new();
        fake->resume = resume != 0;
        fake_start(fake);
        ipc_manager *manager = fake_connect(fake, NULL);
        ipc_list *list = open_list(manager);
        fake->odd = FAKE_HANGS_UP;
        fake->odd_from = IPC_OP_LIST_LENGTH;
        assert_int_equal(ipc_list_length(list), -ENOTCONN);
        fake->odd_from = IPC_OP_LIST_APPEND;
        assert_int_equal(ipc_list_append_i64(list, 1), -ECONNRESET);
        fake->odd = FAKE_PROPER;
        assert_int_equal(ipc_list_append_i64(list, 1), 0);
        assert_true(fake->connections < 60);
        close_all(manager, list);
        fake_stop(fake);
    }
}

/* ---- a server that is gone ---- */

static void calls_fail_when_the_server_does_not_come_back(void)
{
    struct fake *fake = fake_new();
    fake_start(fake);
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    options.reconnect_ms = 100;
    ipc_manager *manager = fake_connect(fake, &options);
    ipc_list *list = open_list(manager);
    fake_stop(fake);
    const int64_t start = test_now_ns();
    assert_int_equal(ipc_list_append_i64(list, 1), -ENOTCONN);
    assert_true(strlen(ipc_error_detail()) > 0);
    assert_true(test_now_ns() - start < 1100000000);
    /* And from then on at once. */
    assert_int_equal(ipc_list_length(list), -ENOTCONN);
    close_all(manager, list);
}

static void who_does_not_want_to_reconnect_does_not(void)
{
    struct fake *fake = fake_new();
    fake->resume = true;
    fake_start(fake);
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    options.reconnect_ms = UINT32_MAX;
    ipc_manager *manager = fake_connect(fake, &options);
    ipc_list *list = open_list(manager);
    fake->cut_at = 0;
    assert_int_equal(ipc_list_append_i64(list, 1), -ECONNRESET);
    assert_int_equal(ipc_list_length(list), -ENOTCONN);
    assert_int_equal(fake->connections, 1);
    close_all(manager, list);
    fake_stop(fake);
}

static void a_silent_server_is_given_up(void)
{
    struct fake *fake = fake_new();
    fake->resume = true;
    fake_start(fake);
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    options.reply_ms = 100;
    ipc_manager *manager = fake_connect(fake, &options);
    ipc_list *list = open_list(manager);
    fake->odd = FAKE_SILENT;
    assert_int_equal(ipc_list_append_i64(list, 1), -ECONNRESET);
    assert_int_equal(ipc_list_length(list), -ENOTCONN);
    fake->odd = FAKE_PROPER;
    assert_int_equal(ipc_list_append_i64(list, 1), 0);
    close_all(manager, list);
    fake_stop(fake);
}

static void a_ping_that_is_late_costs_nothing_else(void)
{
    struct fake *fake = fake_new();
    fake_start(fake);
    ipc_manager *manager = fake_connect(fake, NULL);
    ipc_list *list = open_list(manager);
    fake->odd = FAKE_SILENT;
    assert_int_equal(ipc_manager_ping(manager, ipc_after_ms(50)), -ETIMEDOUT);
    fake->odd = FAKE_PROPER;
    assert_int_equal(ipc_manager_ping(manager, ipc_after_ms(2000)), 0);
    assert_int_equal(ipc_list_append_i64(list, 1), 0);
    assert_int_equal(fake->connections, 1);
    close_all(manager, list);
    fake_stop(fake);
}

/* ---- threads ---- */

enum {
    THREADS = 8,
    CALLS = 300
};

static void *append_many(void *arg)
{
    for (int i = 0; i < CALLS; i++)
        if (ipc_list_append_i64(arg, i) != 0 || ipc_list_length(arg) < 1)
            return arg;
    return NULL;
}

static void run_threads(struct fake *fake)
{
    fake_start(fake);
    ipc_manager *manager = fake_connect(fake, NULL);
    ipc_list *list = open_list(manager);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, append_many, list),
                         0);
    for (int i = 0; i < THREADS; i++) {
        void *failed = list;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(fake->appended, THREADS * CALLS);
    close_all(manager, list);
    fake_stop(fake);
}

static void many_threads_use_one_link(void)
{
    run_threads(fake_new());
}

static void many_threads_use_one_link_with_few_in_flight(void)
{
    struct fake *fake = fake_new();
    fake->in_flight = 2;
    run_threads(fake);
}

static void many_threads_go_on_after_the_connection_was_lost(void)
{
    struct fake *fake = fake_new();
    fake->resume = true;
    fake->cut_op = IPC_OP_LIST_APPEND;
    fake->cut_at = 2003;
    run_threads(fake);
}

static void *wait_for_reply(void *arg)
{
    return (void *)(intptr_t)ipc_list_length(arg);
}

static void a_manager_in_use_is_not_closed(void)
{
    struct fake *fake = fake_new();
    fake_start(fake);
    ipc_manager *manager = fake_connect(fake, NULL);
    ipc_list *list = open_list(manager);
    const uint32_t before = fake->requests;
    pthread_t thread;
    fake->odd = FAKE_SILENT;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_reply, list), 0);
    while (__atomic_load_n(&fake->requests, __ATOMIC_RELAXED) == before)
        poll_pause();
    assert_int_equal(ipc_manager_close(manager), -EBUSY);
    fake->odd = FAKE_PROPER;
    fake_stop(fake);
    fake_start(fake);
    void *length = NULL;
    assert_int_equal(pthread_join(thread, &length), 0);
    assert_true((intptr_t)length >= 0);
    close_all(manager, list);
    fake_stop(fake);
}

static const struct test_case cases[] = {
    TEST_CASE(a_retried_append_is_applied_once_wherever_it_was_cut),
    TEST_CASE(a_change_whose_session_is_lost_says_so),
    TEST_CASE(reading_is_repeated_whatever_became_of_the_session),
    TEST_CASE(opening_is_repeated_when_the_connection_is_lost),
    TEST_CASE(acquiring_is_repeated_as_the_session_took_it_along),
    TEST_CASE(a_server_that_refuses_for_a_while_is_found_again),
    TEST_CASE(a_server_that_was_killed_is_found_again),
    TEST_CASE(what_is_not_there_after_a_restart_is_opened_by_name),
    TEST_CASE(a_request_that_always_costs_the_connection_is_given_up),
    TEST_CASE(calls_fail_when_the_server_does_not_come_back),
    TEST_CASE(who_does_not_want_to_reconnect_does_not),
    TEST_CASE(a_silent_server_is_given_up),
    TEST_CASE(a_ping_that_is_late_costs_nothing_else),
    TEST_CASE(many_threads_use_one_link),
    TEST_CASE(many_threads_use_one_link_with_few_in_flight),
    TEST_CASE(many_threads_go_on_after_the_connection_was_lost),
    TEST_CASE(a_manager_in_use_is_not_closed),
};

TEST_MAIN(cases)
