/* First connections that do not come about: servers that end in the middle of
 * the handshake, and those that say why they refuse. */
#include "manager/client_support.h"
#include "manager/fake_server.h"

#include <signal.h>
#include <sys/syscall.h>

#include "harness/faults.h"

static int connect_for(const char *address, uint32_t ms)
{
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    ipc_manager *manager = NULL;
    options.connect_ms = ms;
    const int rc = ipc_manager_connect(address, FAKE_KEY, strlen(FAKE_KEY),
                                       &options, &manager);
    if (rc == 0)
        OK(ipc_manager_close(manager));
    return rc;
}

static void a_server_that_hangs_up_is_tried_again(void)
{
    struct fake *fake = fake_new();
    fake->refusals = 3;
    fake_start(fake);
    IS(connect_for(fake->address, 10000), 0);
    assert_int_equal(fake->connections, 4);
    fake_stop(fake);
}

static void one_that_goes_on_hanging_up_is_told_of(void)
{
    struct fake *fake = fake_new();
    fake->refusals = UINT32_MAX;
    fake_start(fake);
    IS(connect_for(fake->address, 1000), -ECONNRESET);
    assert_non_null(strstr(ipc_error_detail(), "handshake"));
    assert_true(fake->connections > 1);
    fake_stop(fake);
}

/* It takes one connection, and dies with what was said to it. */
static void die_in_the_handshake(void *arg)
{
    struct fake *fake = arg;
    const int door = fake_listen(fake->address + strlen("unix:"));
    char byte;
    meet_signal(&fake->ready);
    /* cppcheck-suppress nullPointer ; the name is not wanted */
    const int fd = accept4(door, NULL, NULL, SOCK_CLOEXEC);
    assert_int_equal(recv(fd, &byte, 1, 0), 1);
    raise(SIGKILL);
}

static void one_that_dies_in_the_handshake_is_told_of(void)
{
    struct fake *fake = fake_new();
    struct role victim;
    role_start(&victim, die_in_the_handshake, fake);
    meet_wait(&fake->ready, 1, 5000);
    IS(connect_for(fake->address, 1000), -ECONNREFUSED);
    (void)role_wait_dead(&victim, 5000);
}

static void connect_and_ping(void *arg)
{
    const struct client_server *server = arg;
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    options.connect_ms = 60000;
    ipc_manager *manager = client_connect_with(server->asked, &options);
    OK(ipc_manager_ping(manager, ipc_after_ms(5000)));
    OK(ipc_manager_close(manager));
}

static void one_that_dies_in_the_handshake_is_waited_for(void)
{
    struct fake *fake = fake_new();
    struct client_server *server = client_server_new(fake->address);
    struct role victim;
    struct role client;
    role_start(&victim, die_in_the_handshake, fake);
    meet_wait(&fake->ready, 1, 5000);
    role_start(&client, connect_and_ping, server);
    (void)role_wait_dead(&victim, 5000);
    assert_int_equal(unlink(fake->address + strlen("unix:")), 0);
    client_server_start(server);
    role_wait_ok(&client, 60000);
    client_server_kill(server);
}

/* ---- refusals ---- */

struct turned_away {
    const struct client_server *server;
    int error;
    int rc;
    char detail[160];
};

/* The server is quicker than we: it has said why, and is gone, when we say the
 * first word. */
static void come_too_late(void *arg)
{
    struct turned_away *us = arg;
    ipc_manager *manager = NULL;
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    options.connect_ms = 100;
    fault_syscall_nth(SYS_sendto, 1, us->error);
    us->rc = ipc_manager_connect(us->server->address, CLIENT_KEY,
                                 strlen(CLIENT_KEY), &options, &manager);
    assert_true(fault_syscall_count() >= 1);
    snprintf(us->detail, sizeof us->detail, "%s", ipc_error_detail());
}

static void who_is_turned_away_is_told_why_though_nobody_listens(void)
{
    static const int errors[] = {EPIPE, ECONNRESET};
    struct client_server *server = client_server_new(NULL);
    struct turned_away *us = test_shared(sizeof *us);
    server->limits.connections = 1;
    client_server_start(server);
    ipc_manager *manager = client_connect(server);
    us->server = server;
    for (size_t i = 0; i < 2; i++) {
        struct role role;
        us->error = errors[i];
        role_start(&role, come_too_late, us);
        role_wait_ok(&role, 10000);
        IS(us->rc, -EUSERS);
        assert_non_null(strstr(us->detail, "too many connections"));
    }
    OK(ipc_manager_close(manager));
    client_server_kill(server);
}

/* More than the server has in the handshake at a time. */
static void come_and_go(void *arg)
{
    const struct client_server *server = arg;
    for (int i = 0; i < 10; i++) {
        ipc_manager *manager = client_connect(server);
        OK(ipc_manager_close(manager));
    }
}

static void many_may_come_at_once(void)
{
    enum {
        MANY = 12
    };
    struct role roles[MANY];
    struct client_server *server = client_server_new(NULL);
    server->limits.half_open = 1;
    client_server_start(server);
    for (int i = 0; i < MANY; i++)
        role_start(&roles[i], come_and_go, server);
    for (int i = 0; i < MANY; i++)
        role_wait_ok(&roles[i], 30000);
    client_server_kill(server);
}

/* ---- labels ---- */

static void expect_shown(ipc_manager *manager, const char *text)
{
    ipc_any shown;
    OK(ipc_manager_debug_info(manager, &shown));
    if (strstr(shown.str, text) == NULL)
        test_fail("there is no \"%s\" in: %s", text, shown.str);
    ipc_any_free(&shown);
}

static void the_server_shows_the_label_of_a_client(void)
{
    static const struct {
        const char *label;
        const char *shown;
    } all[] = {
        {"shop 7", "session 2 shop 7: unix"},
        {"12345678901234567890123", "session 3 12345678901234567890123: "},
        {"1234567890123456789012\xc3\xa4", /* not half a letter */
         "session 4 1234567890123456789012: "},
        {"123456789012345678901\xc3\xa4s",
         "session 5 123456789012345678901\xc3\xa4: "},
        {"two\nlines", "session 6 two?lines: "},
        {"", "session 7: "},
    };
    struct client_server *server = client_server_new(NULL);
    client_server_start(server);
    ipc_manager *manager = client_connect(server);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
        options.label = all[i].label;
        ipc_manager *other = client_connect_with(server->address, &options);
        expect_shown(other, all[i].shown);
        expect_shown(manager, all[i].shown);
        OK(ipc_manager_close(other));
    }
    OK(ipc_manager_close(manager));
    client_server_kill(server);
}

static void and_again_when_it_has_come_back(void)
{
    static const char *const addresses[] = {NULL, "tcp://127.0.0.1:0"};
    for (int i = 0; i < 2; i++) {
        struct client_server *server = client_server_new(addresses[i]);
        client_server_start(server);
        ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
        options.label = "shop 7";
        ipc_manager *manager = client_connect_with(server->address, &options);
        expect_shown(manager, "session 1 shop 7: ");
        snprintf(server->asked, sizeof server->asked, "%.159s",
                 server->address);
        client_server_kill(server);
        client_server_start(server);
        expect_shown(manager, "session 1 shop 7: ");
        OK(ipc_manager_close(manager));
        client_server_kill(server);
    }
}

static void a_child_has_the_label_of_its_parent(void)
{
    struct client_server *server = client_server_new(NULL);
    client_server_start(server);
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    options.label = "shop 7";
    ipc_manager *manager = client_connect_with(server->address, &options);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        expect_shown(manager, "session 2 shop 7: ");
        OK(ipc_manager_close(manager));
        role_exit(0);
    }
    struct role role = {.pid = child};
    role_wait_ok(&role, 10000);
    OK(ipc_manager_close(manager));
    client_server_kill(server);
}

static const struct test_case cases[] = {
    TEST_CASE(a_server_that_hangs_up_is_tried_again),
    TEST_CASE(one_that_goes_on_hanging_up_is_told_of),
    TEST_CASE(one_that_dies_in_the_handshake_is_told_of),
    TEST_CASE(one_that_dies_in_the_handshake_is_waited_for),
    TEST_CASE(who_is_turned_away_is_told_why_though_nobody_listens),
    TEST_CASE(many_may_come_at_once),
    TEST_CASE(the_server_shows_the_label_of_a_client),
    TEST_CASE(and_again_when_it_has_come_back),
    TEST_CASE(a_child_has_the_label_of_its_parent),
};

TEST_MAIN(cases)
