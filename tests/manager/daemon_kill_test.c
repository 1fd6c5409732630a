/* ipc-managerd, killed: what it has acknowledged is there when it is started
 * again. */
#include "manager/daemon_support.h"

#include "harness/scale.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <ipc/error.h>
#include <ipc/managed.h>

static void ok(int64_t rc)
{
    if (rc < 0)
        test_fail("%s: %s", ipc_strerror((int)rc), ipc_error_detail());
}

static struct daemon durable(const char *level)
{
    return (struct daemon){
        .words = {"--listen", daemon_address(), "--store", daemon_file("store"),
                  "--durability", level, "--snapshot-bytes", "4K", "--limit",
                  "local_session_grace_ms=10000", "--log-level", "debug"}};
}

struct load {
    uint32_t ended;    /* it is to end */
    uint64_t appended; /* acknowledged */
};

/* What the server must have: 1, 2, 3, ... as far as they were acknowledged, and
 * perhaps `more` behind it.  Returns how many. */
static uint64_t expect_items(uint64_t appended, uint64_t more)
{
    ipc_manager *manager = daemon_connect(daemon_address(), NULL);
    ipc_list *list;
    ipc_anys all;
    ok(ipc_manager_list(manager, "data", &list));
    const int64_t length = ipc_list_length(list);
    ok(length);
    if ((uint64_t)length < appended || (uint64_t)length > appended + more)
        test_fail("%lld are there, %llu were acknowledged", (long long)length,
                  (unsigned long long)appended);
    ok(ipc_list_slice(list, 0, length, 1, &all));
    for (size_t i = 0; i < all.count; i++)
        assert_int_equal(all.items[i].i64, i + 1);
    ipc_anys_free(&all);
    ok(ipc_list_close(list));
    ok(ipc_manager_close(manager));
    return (uint64_t)length;
}

/* ---- who appends until the server dies ---- */

static void append_on(void *arg)
{
    struct load *load = arg;
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    options.reconnect_ms = UINT32_MAX;
    ipc_manager *manager = daemon_connect(daemon_address(), &options);
    ipc_list *list;
    ok(ipc_manager_list(manager, "data", &list));
    int rc;
    while ((rc = ipc_list_append_i64(list, (int64_t)load->appended + 1)) >= 0)
        __atomic_fetch_add(&load->appended, 1, __ATOMIC_RELEASE);
    if (rc != -ENOTCONN && rc != -ECONNRESET)
        ok(rc);
    (void)ipc_list_close(list);
    (void)ipc_manager_close(manager);
}

static void wait_for_items(const struct load *load, uint64_t count,
                           const struct role *client)
{
    while (__atomic_load_n(&load->appended, __ATOMIC_ACQUIRE) < count) {
        if (thread_ended(client->pid))
            test_fail("the client has ended");
        poll_pause();
    }
}

/* Each append is on the disk before it is answered, so a round has few. */
static void t71_what_was_acknowledged_survives_kills(void)
{
    struct load *load = test_shared(sizeof *load);
    struct test_random random = {test_seed()};
    const long rounds = 30 * test_scale();
    struct daemon daemon = durable("always");
    daemon_start(&daemon);
    for (long i = 0; i < rounds; i++) {
        struct role client;
        const uint64_t least =
            load->appended + (uint64_t)test_random_between(&random, 1, 15);
        role_start(&client, append_on, load);
        wait_for_items(load, least, &client);
        daemon_kill(&daemon);
        role_wait_ok(&client, 20000);
        daemon_start(&daemon);
        load->appended = expect_items(load->appended, 1);
    }
    test_report("kills", rounds);
    test_report("items", (long long)load->appended);
    daemon_stop(&daemon, SIGTERM);
}

/* ---- who goes on ---- */

struct things {
    ipc_manager *manager;
    ipc_list *list;
    ipc_dict *dict;
    ipc_managed *value;
    ipc_managed *queue;
};

static void open_things(struct things *things)
{
    things->manager = daemon_connect(daemon_address(), NULL);
    ok(ipc_manager_list(things->manager, "data", &things->list));
    ok(ipc_manager_dict(things->manager, "dict", &things->dict));
    ok(ipc_manager_value(things->manager, "value", ipc_i64(0), NULL,
                         &things->value));
    ok(ipc_manager_queue(things->manager, "queue", NULL, &things->queue));
}

static void close_things(struct things *things)
{
    ok(ipc_list_close(things->list));
    ok(ipc_dict_close(things->dict));
    ok(ipc_managed_close(things->value));
    ok(ipc_managed_close(things->queue));
    ok(ipc_manager_close(things->manager));
}

/* The nth time: what was lost or done twice before shows in the results. */
static void change_things(const struct things *things, int64_t n)
{
    int64_t sum;
    ipc_any message;
    ok(ipc_list_append_i64(things->list, n));
    ok(ipc_dict_incr(things->dict, ipc_str("n"), 1, &sum));
    assert_int_equal(sum, n);
    ok(ipc_managed_value_incr(things->value, 2, &sum));
    assert_int_equal(sum, 2 * n);
    ok(ipc_managed_queue_put(things->queue, ipc_i64(n)));
    if (n % 4 != 0)
        return;
    for (int64_t i = n - 3; i <= n; i++) {
        ok(ipc_managed_queue_get(things->queue, &message));
        assert_int_equal(message.i64, i);
    }
}

static void change_through(void *arg)
{
    struct load *load = arg;
    struct things things;
    open_things(&things);
    while (__atomic_load_n(&load->ended, __ATOMIC_ACQUIRE) == 0) {
        change_things(&things, (int64_t)load->appended + 1);
        __atomic_fetch_add(&load->appended, 1, __ATOMIC_RELEASE);
    }
    close_things(&things);
}

/* Its session, with the last answers, is in the store too: so it need not even
 * know.  Each is there, and there once. */
static void t71_a_client_goes_on_and_each_change_is_made_once(void)
{
    struct load *load = test_shared(sizeof *load);
    struct test_random random = {test_seed()};
    const long rounds = 70 * test_scale();
    struct role client;
    struct daemon daemon = durable("interval");
    daemon_start(&daemon);
    role_start(&client, change_through, load);
    for (long i = 0; i < rounds; i++) {
        const uint64_t least =
            load->appended + (uint64_t)test_random_between(&random, 1, 40);
        wait_for_items(load, least, &client);
        daemon_kill(&daemon);
        daemon_start(&daemon);
    }
    wait_for_items(load, load->appended + 1, &client);
    __atomic_store_n(&load->ended, 1, __ATOMIC_RELEASE);
    role_wait_ok(&client, 20000);
    (void)expect_items(load->appended, 0);
    test_report("kills", rounds);
    test_report("items", (long long)load->appended);
    daemon_stop(&daemon, SIGTERM);
}

/* ---- killed while it starts ---- */

static void t71_it_may_be_killed_while_it_starts(void)
{
    struct load *load = test_shared(sizeof *load);
    struct test_random random = {test_seed()};
    const long rounds = 30 * test_scale();
    struct role client;
    struct daemon daemon = durable("always");
    daemon_start(&daemon);
    role_start(&client, append_on, load);
    wait_for_items(load, 20, &client);
    daemon_kill(&daemon);
    role_wait_ok(&client, 20000);
    for (long i = 0; i < rounds; i++) {
        const int64_t until =
            test_now_ns() + test_random_between(&random, 0, 20000000);
        daemon_begin(&daemon);
        while (test_now_ns() < until)
            poll_pause();
        daemon_kill(&daemon);
    }
    daemon_start(&daemon);
    (void)expect_items(load->appended, 1);
    test_report("kills", rounds);
    daemon_stop(&daemon, SIGTERM);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t71_what_was_acknowledged_survives_kills, 90),
    TEST_CASE_LIMIT(t71_a_client_goes_on_and_each_change_is_made_once, 90),
    TEST_CASE_LIMIT(t71_it_may_be_killed_while_it_starts, 60),
};

TEST_MAIN(cases)
