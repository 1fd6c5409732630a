/* ipc-managerd, killed: what it has acknowledged is there when it is started
 * again. */
#include "manager/daemon_support.h"

#include "harness/scale.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <ipc/error.h>

#define ITEMS 100 /* of a round */

static void ok(int64_t rc)
{
    if (rc < 0)
        test_fail("%s: %s", ipc_strerror((int)rc), ipc_error_detail());
}

static struct daemon durable(void)
{
    return (struct daemon){
        .words = {"--listen", daemon_address(), "--store", daemon_file("store"),
                  "--durability", "always", "--snapshot-bytes", "4K", "--limit",
                  "local_session_grace_ms=10000", "--log-level", "debug"}};
}

struct load {
    uint32_t ended;    /* it is to end */
    uint64_t appended; /* acknowledged */
    uint64_t unsure;   /* happened or not */
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

static void t70_what_was_acknowledged_survives_kills(void)
{
    struct load *load = test_shared(sizeof *load);
    struct test_random random = {test_seed()};
    const long rounds = 10 * test_scale();
    struct daemon daemon = durable();
    daemon_start(&daemon);
    for (long i = 0; i < rounds; i++) {
        struct role client;
        const uint64_t least = load->appended + ITEMS +
                               (uint64_t)test_random_between(&random, 0, 9);
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

static void append_through(void *arg)
{
    struct load *load = arg;
    ipc_manager *manager = daemon_connect(daemon_address(), NULL);
    ipc_list *list;
    ok(ipc_manager_list(manager, "data", &list));
    while (__atomic_load_n(&load->ended, __ATOMIC_ACQUIRE) == 0) {
        ok(ipc_list_append_i64(list, (int64_t)load->appended + 1));
        __atomic_fetch_add(&load->appended, 1, __ATOMIC_RELEASE);
    }
    ok(ipc_list_close(list));
    ok(ipc_manager_close(manager));
}

/* Its session, with the last answers, is in the store too: so it need not even
 * know.  Each is there, and there once. */
static void t70_a_client_goes_on_and_each_append_is_done_once(void)
{
    struct load *load = test_shared(sizeof *load);
    const long rounds = 5 * test_scale();
    struct role client;
    struct daemon daemon = durable();
    daemon_start(&daemon);
    role_start(&client, append_through, load);
    for (long i = 0; i < rounds; i++) {
        wait_for_items(load, load->appended + ITEMS, &client);
        daemon_kill(&daemon);
        daemon_start(&daemon);
    }
    wait_for_items(load, load->appended + ITEMS, &client);
    __atomic_store_n(&load->ended, 1, __ATOMIC_RELEASE);
    role_wait_ok(&client, 20000);
    (void)expect_items(load->appended, 0);
    test_report("kills", rounds);
    test_report("items", (long long)load->appended);
    daemon_stop(&daemon, SIGTERM);
}

/* ---- killed while it starts ---- */

static void t70_it_may_be_killed_while_it_starts(void)
{
    struct load *load = test_shared(sizeof *load);
    struct test_random random = {test_seed()};
    const long rounds = 30 * test_scale();
    struct role client;
    struct daemon daemon = durable();
    daemon_start(&daemon);
    role_start(&client, append_on, load);
    wait_for_items(load, ITEMS, &client);
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
    TEST_CASE_LIMIT(t70_what_was_acknowledged_survives_kills, 60),
    TEST_CASE_LIMIT(t70_a_client_goes_on_and_each_append_is_done_once, 60),
    TEST_CASE_LIMIT(t70_it_may_be_killed_while_it_starts, 60),
};

TEST_MAIN(cases)
