/* ipc-managerd: its life, from "ready" to the end, and who comes meanwhile. */
#include "manager/daemon_support.h"

#include "manager/certificate_support.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ipc/error.h>

static void ok(int64_t rc)
{
    if (rc < 0)
        test_fail("%s: %s", ipc_strerror((int)rc), ipc_error_detail());
}

static struct daemon daemon_at(const char *address)
{
    return (struct daemon){.words = {"--listen", address}};
}

/* A number for the list "data"; returns how many there are. */
static int64_t append(const char *address, int64_t number)
{
    ipc_manager *manager = daemon_connect(address, NULL);
    ipc_list *list;
    ok(ipc_manager_list(manager, "data", &list));
    ok(ipc_list_append_i64(list, number));
    const int64_t length = ipc_list_length(list);
    ok(length);
    ok(ipc_list_close(list));
    ok(ipc_manager_close(manager));
    return length;
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static void it_serves_who_has_the_key_until_it_is_told_to_end(int sig)
{
    struct daemon daemon = daemon_at(daemon_address());
    daemon_start(&daemon);
    assert_int_equal(append(daemon_address(), 111), 1);
    assert_int_equal(append(daemon_address(), 333), 2);
    daemon_stop(&daemon, sig);
    assert_false(is_there(daemon_file("run/manager")));
    assert_false(is_there(daemon_file("run/manager.lock")));
}

static void it_serves_until_sigterm(void)
{
    it_serves_who_has_the_key_until_it_is_told_to_end(SIGTERM);
}

static void it_serves_until_sigint(void)
{
    it_serves_who_has_the_key_until_it_is_told_to_end(SIGINT);
}

static void it_tells_an_abstract_socket_too(void)
{
    struct daemon daemon = daemon_at(daemon_address());
    daemon.abstract = true;
    daemon_start(&daemon);
    daemon_stop(&daemon, SIGTERM);
}

static void sighup_means_nothing_and_it_says_so(void)
{
    struct daemon daemon = daemon_at(daemon_address());
    daemon_start(&daemon);
    assert_int_equal(append(daemon_address(), 1), 1);
    assert_int_equal(kill(daemon.role.pid, SIGHUP), 0);
    daemon_log_has("SIGHUP");
    assert_int_equal(append(daemon_address(), 2), 2);
    daemon_stop(&daemon, SIGTERM);
}

static void another_key_does_not_open_it(void)
{
    const char key[] = "this is another key, and it is long enough";
    struct daemon daemon = daemon_at(daemon_address());
    ipc_manager *manager;
    daemon_start(&daemon);
    assert_int_equal(
        ipc_manager_connect(daemon_address(), key, sizeof key, NULL, &manager),
        -EACCES);
    assert_int_equal(append(daemon_address(), 1), 1);
    daemon_stop(&daemon, SIGTERM);
}

/* ---- addresses ---- */

static void without_an_address_it_is_where_clients_look(void)
{
    struct daemon daemon = {.words = {NULL}};
    daemon_environment("XDG_RUNTIME_DIR", test_tmpdir());
    daemon_start(&daemon);
    assert_true(is_there(daemon_file("libipc/manager")));
    assert_int_equal(append("unix:", 1), 1);
    daemon_stop(&daemon, SIGTERM);
}

/* The address that begins like this, as it became. */
static void find_address(const char *begin, char out[100])
{
    char *log = daemon_log();
    char format[60];
    (void)snprintf(format, sizeof format, "listening at %s", begin);
    const char *at = strstr(log, format);
    if (at != NULL) {
        at += strlen("listening at ");
        (void)snprintf(out, 100, "%.*s", (int)strcspn(at, "\n"), at);
    } else {
        test_fail("no %s: %s", begin, log);
    }
    free(log);
}

static void the_log_says_which_port_it_has_taken(void)
{
    char first[100], second[100];
    struct daemon daemon = {.words = {"--listen", "tcp://127.0.0.1:0",
                                      "--listen", daemon_address()}};
    daemon_start(&daemon);
    find_address("tcp://127.0.0.1:", first);
    find_address("unix:", second);
    assert_string_not_equal(first, "tcp://127.0.0.1:0");
    assert_int_equal(append(first, 1), 1);
    assert_int_equal(append(second, 2), 2);
    daemon_stop(&daemon, SIGTERM);
}

static void it_speaks_tls_with_the_certificate_it_is_given(void)
{
    char certificate[256], key[256], address[100];
    make_certificate("server", NULL, "localhost");
    file_in_tmpdir("server", ".crt", certificate);
    file_in_tmpdir("server", ".key", key);
    struct daemon daemon = {.words = {"--listen", "tls://127.0.0.1:0",
                                      "--tls-certificate", certificate,
                                      "--tls-key", key}};
    daemon_start(&daemon);
    find_address("tls://", address);
    assert_int_equal(append(address, 1), 1);
    daemon_stop(&daemon, SIGTERM);
}

/* The folder is one that others may go through, and the socket one that they
 * may use. */
static void with_uid_others_reach_the_socket(void)
{
    struct stat folder, file;
    struct daemon daemon = {
        .words = {"--listen", daemon_address(), "--uid", "root", "--uid", "7"}};
    daemon_start(&daemon);
    assert_int_equal(stat(daemon_file("run"), &folder), 0);
    assert_int_equal(stat(daemon_file("run/manager"), &file), 0);
    assert_int_equal(folder.st_mode & 0777, 0711);
    assert_int_equal(file.st_mode & 0777, 0666);
    daemon_stop(&daemon, SIGTERM);
}

/* ---- two of them ---- */

static void a_second_server_at_the_same_socket_is_refused(void)
{
    struct daemon daemon = daemon_at(daemon_address());
    daemon_start(&daemon);
    assert_int_equal(append(daemon_address(), 1), 1);
    daemon_says(1, "unix:", "--key-file", daemon_file("key"), "--listen",
                daemon_address());
    assert_int_equal(append(daemon_address(), 2), 2);
    daemon_stop(&daemon, SIGTERM);
}

static void a_second_server_with_the_same_store_is_refused(void)
{
    char address[300];
    struct daemon daemon = {.words = {"--listen", daemon_address(), "--store",
                                      daemon_file("store"), "--durability",
                                      "interval"}};
    (void)snprintf(address, sizeof address, "unix:%s",
                   daemon_file("other/manager"));
    daemon_start(&daemon);
    assert_int_equal(append(daemon_address(), 1), 1);
    daemon_says(1, "another server", "--key-file", daemon_file("key"),
                "--listen", address, "--store", daemon_file("store"));
    daemon_says(1, "another server", "--key-file", daemon_file("key"),
                "--listen", address, "--store", daemon_file("store"),
                "--check");
    assert_int_equal(append(daemon_address(), 2), 2);
    daemon_stop(&daemon, SIGTERM);
}

static void the_socket_of_a_killed_one_is_taken_over(void)
{
    for (int i = 0; i < 3; i++) {
        struct daemon daemon = daemon_at(daemon_address());
        daemon_start(&daemon);
        assert_int_equal(append(daemon_address(), i), 1);
        daemon_kill(&daemon);
        assert_true(is_there(daemon_file("run/manager")));
    }
    struct daemon daemon = daemon_at(daemon_address());
    daemon_start(&daemon);
    daemon_stop(&daemon, SIGTERM);
    assert_false(is_there(daemon_file("run/manager")));
}

/* ---- how it ends ---- */

static void only_with_remote_shutdown_a_client_may_end_it(void)
{
    struct daemon daemon = daemon_at(daemon_address());
    daemon_start(&daemon);
    ipc_manager *manager = daemon_connect(daemon_address(), NULL);
    assert_int_equal(ipc_manager_shutdown(manager), -EPERM);
    ok(ipc_manager_close(manager));
    daemon_stop(&daemon, SIGTERM);

    daemon.words[2] = "--remote-shutdown";
    daemon_start(&daemon);
    manager = daemon_connect(daemon_address(), NULL);
    ok(ipc_manager_shutdown(manager));
    role_wait_ok(&daemon.role, 10000);
    (void)ipc_manager_close(manager);
    (void)close(daemon.notify);
}

struct load {
    uint64_t appended; /* acknowledged */
};

/* Until the server is gone. */
static void append_for_ever(void *arg)
{
    struct load *load = arg;
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    options.reconnect_ms = UINT32_MAX;
    ipc_manager *manager = daemon_connect(daemon_address(), &options);
    ipc_list *list;
    ok(ipc_manager_list(manager, "data", &list));
    int rc;
    while ((rc = ipc_list_append_i64(list, 1)) >= 0)
        __atomic_fetch_add(&load->appended, 1, __ATOMIC_RELEASE);
    if (rc != -ENOTCONN && rc != -ECONNRESET)
        ok(rc);
    (void)ipc_list_close(list);
    (void)ipc_manager_close(manager);
}

/* In the end what was answered is in the store, and what was not is not, but
 * for the one that was under way with each. */
static void sigterm_under_load_loses_nothing(void)
{
    struct load *load = test_shared(sizeof *load);
    struct role clients[3];
    struct daemon daemon = {.words = {"--listen", daemon_address(), "--store",
                                      daemon_file("store"), "--durability",
                                      "interval"}};
    daemon_start(&daemon);
    for (int i = 0; i < 3; i++)
        role_start(&clients[i], append_for_ever, load);
    while (__atomic_load_n(&load->appended, __ATOMIC_ACQUIRE) < 300)
        poll_pause();
    daemon_stop(&daemon, SIGTERM);
    for (int i = 0; i < 3; i++)
        role_wait_ok(&clients[i], 20000);
    assert_false(is_there(daemon_file("store-wal")));

    daemon_start(&daemon);
    const int64_t length = append(daemon_address(), 2) - 1;
    const int64_t appended = (int64_t)load->appended;
    test_report("appended", appended);
    assert_true(length >= appended && length <= appended + 3);
    daemon_stop(&daemon, SIGTERM);
}

static const struct test_case cases[] = {
    TEST_CASE(it_serves_until_sigterm),
    TEST_CASE(it_serves_until_sigint),
    TEST_CASE(it_tells_an_abstract_socket_too),
    TEST_CASE(sighup_means_nothing_and_it_says_so),
    TEST_CASE(another_key_does_not_open_it),
    TEST_CASE(without_an_address_it_is_where_clients_look),
    TEST_CASE(the_log_says_which_port_it_has_taken),
    TEST_CASE(it_speaks_tls_with_the_certificate_it_is_given),
    TEST_CASE(with_uid_others_reach_the_socket),
    TEST_CASE(a_second_server_at_the_same_socket_is_refused),
    TEST_CASE(a_second_server_with_the_same_store_is_refused),
    TEST_CASE(the_socket_of_a_killed_one_is_taken_over),
    TEST_CASE(only_with_remote_shutdown_a_client_may_end_it),
    TEST_CASE(sigterm_under_load_loses_nothing),
};

TEST_MAIN(cases)
