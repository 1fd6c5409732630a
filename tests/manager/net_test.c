/* Addresses, doors of tcp, secret files. */
#include "manager/net_support.h"

/* ---- addresses ---- */

static void addresses_are_read_and_written(void)
{
    static const char *const same[] = {
        "unix:",
        "unix:/run/shop/manager",
        "tcp://127.0.0.1:0",
        "tcp://localhost:65535",
        "tcp://[::1]:5000",
        "tls://a-host.example.org:5000",
        "tls://[fe80::1%eth0]:1",
    };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        struct ipcm__address address;
        char text[IPCM__ADDRESS_TEXT];
        assert_int_equal(ipcm__address_parse(same[i], &address), 0);
        ipcm__address_format(&address, text, sizeof text);
        assert_string_equal(text, same[i]);
    }
}

static void what_is_no_address_is_refused(void)
{
    static const char *const table[] = {
        "",
        "/run/shop",
        "http://x:1",
        "tcp:127.0.0.1:1",
        "unix:relative",
        "unix:@abstract",
        "unix:/ends/with/",
        "tcp://",
        "tcp://host",
        "tcp://host:",
        "tcp://:5000",
        "tcp://host:65536",
        "tcp://host:-1",
        "tcp://host:+1",
        "tcp://host:1x",
        "tcp://host:000001",
        "tcp://host:1:2",
        "tcp://::1:5000",
        "tcp://[::1]",
        "tcp://[::1:5000",
        "tcp://[]:5000",
        "tcp://[::1]x:5000",
        "tcp://ho st:1",
        "tcp://ho/st:1",
    };
    struct ipcm__address address;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (ipcm__address_parse(table[i], &address) != -EINVAL)
            test_fail("%s", table[i]);
    char text[600] = "unix:/";
    memset(text + 6, 'x', 106);
    assert_int_equal(ipcm__address_parse(text, &address), 0);
    text[6 + 106] = 'x';
    assert_int_equal(ipcm__address_parse(text, &address), -EINVAL);
    memset(text, 0, sizeof text);
    strcpy(text, "tcp://");
    memset(text + 6, 'x', 256);
    strcat(text, ":1");
    assert_int_equal(ipcm__address_parse(text, &address), -EINVAL);
}

/* NOLINTBEGIN(concurrency-mt-unsafe): there is one thread */
static void the_default_lies_in_the_users_folder(void)
{
    struct ipcm__address address, another;
    char expected[128];
    assert_int_equal(setenv("XDG_RUNTIME_DIR", "/run/user/77", 1), 0);
    assert_int_equal(ipcm__address_default(&address, false), 0);
    assert_string_equal(address.path, "/run/user/77/libipc/manager");
    assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
    assert_int_equal(ipcm__address_default(&address, false), 0);
    snprintf(expected, sizeof expected, "/tmp/libipc-%u/manager",
             (unsigned)geteuid());
    assert_string_equal(address.path, expected);
    assert_int_equal(ipcm__address_default(&address, true), 0);
    assert_int_equal(ipcm__address_default(&another, true), 0);
    assert_string_not_equal(address.path, another.path);
    assert_memory_equal(address.path, expected, strlen(expected) - 7);
}
/* NOLINTEND(concurrency-mt-unsafe) */

/* ---- tcp ---- */

static void a_tcp_door_tells_its_port(void)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "::1"};
    for (size_t i = 0; i < 3; i++) {
        const struct ipcm__address address = tcp_address(hosts[i]);
        struct ipcm__door door;
        struct ipcm__peer peer;
        int client, server, on = 0;
        socklen_t bytes = sizeof on;
        const int rc = ipcm__door_open(&address, 0, &door);
        if (rc == -EHOSTUNREACH && i == 2)
            break; /* no IPv6 here */
        assert_int_equal(rc, 0);
        assert_int_not_equal(door.address.port, 0);
        assert_int_equal(
            ipcm__net_connect(&door.address, 0, ipc_after_s(5), &client), 0);
        accept_one(&door, &server, &peer);
        assert_int_equal(peer.pidfd, -1);
        assert_non_null(strstr(peer.text, i == 0 ? "tcp://127.0.0.1:" : "tcp"));
        assert_int_equal(
            getsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, &bytes), 0);
        assert_int_equal(on, 1);
        assert_int_equal(
            getsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, &bytes), 0);
        assert_int_equal(on, 1);
        if (i == 0) {
            static const uint8_t ip[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1};
            assert_memory_equal(peer.ip, ip, sizeof ip);
        }
        close(client);
        close(server);
        ipcm__door_close(&door);
    }
}

static void plain_tcp_leaves_the_machine_only_when_asked_for(void)
{
    static const char *const hosts[] = {"0.0.0.0", "::", "192.0.2.1"};
    struct ipcm__door door;
    int fd;
    for (size_t i = 0; i < 3; i++) {
        struct ipcm__address address = tcp_address(hosts[i]);
        assert_int_equal(ipcm__door_open(&address, 0, &door), -EPERM);
        address.port = 9;
        assert_int_equal(ipcm__net_connect(&address, 0, ipc_after_s(5), &fd),
                         -EPERM);
    }
    struct ipcm__address address = tcp_address("0.0.0.0");
    assert_int_equal(ipcm__door_open(&address, IPCM__DOOR_PLAIN_TCP, &door), 0);
    ipcm__door_close(&door);
    address.transport = IPCM__TLS;
    assert_int_equal(ipcm__door_open(&address, 0, &door), 0);
    ipcm__door_close(&door);
}

static void a_tcp_door_in_use_or_elsewhere_is_refused(void)
{
    const struct ipcm__address address = tcp_address("127.0.0.1");
    struct ipcm__address other = tcp_address("192.0.2.1");
    struct ipcm__door door, second;
    assert_int_equal(ipcm__door_open(&address, 0, &door), 0);
    assert_int_equal(ipcm__door_open(&door.address, 0, &second), -EADDRINUSE);
    ipcm__door_close(&door);
    assert_int_equal(ipcm__door_open(&other, IPCM__DOOR_PLAIN_TCP, &second),
                     -EHOSTUNREACH);
    other = tcp_address("no-such-host.invalid");
    assert_int_equal(ipcm__door_open(&other, 0, &second), -EHOSTUNREACH);
}

static void where_nobody_listens_connecting_is_refused(void)
{
    struct ipcm__address address = tcp_address("127.0.0.1");
    struct ipcm__door door;
    int fd;
    assert_int_equal(ipcm__door_open(&address, 0, &door), 0);
    address = door.address;
    ipcm__door_close(&door);
    assert_int_equal(ipcm__net_connect(&address, 0, ipc_after_s(5), &fd),
                     -ECONNREFUSED);
    address = unix_address("run/manager");
    assert_int_equal(ipcm__net_connect(&address, 0, ipc_after_s(5), &fd),
                     -ENOENT);
}

/* A backlog that is full keeps who comes waiting, until his time is up. */
static void connecting_ends_with_the_deadline(void)
{
    struct ipcm__address address = unix_address("run/manager");
    char path[200];
    int fds[16];
    size_t count = 0;
    int rc;
    snprintf(path, sizeof path, "%s/run", test_tmpdir());
    assert_int_equal(mkdir(path, 0700), 0);
    const int fd = foreign_socket(&address, SOCK_STREAM);
    assert_int_equal(listen(fd, 1), 0);
    do {
        assert_true(count < 16);
        rc = ipcm__net_connect(&address, 0, ipc_after_ms(30), &fds[count]);
        count += rc == 0;
    } while (rc == 0);
    assert_int_equal(rc, -ETIMEDOUT);
    while (count > 0)
        close(fds[--count]);
    close(fd);
}

static void a_full_table_of_descriptors_is_told(void)
{
    const struct ipcm__address address = unix_address("run/manager");
    struct ipcm__door door;
    struct ipcm__peer peer;
    struct rlimit limit, none;
    int client, server;
    assert_int_equal(ipcm__door_open(&address, 0, &door), 0);
    assert_int_equal(ipcm__net_connect(&address, 0, ipc_after_s(5), &client),
                     0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(ipcm__door_accept(&door, &server, &peer), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    accept_one(&door, &server, &peer);
    close(peer.pidfd);
    close(server);
    close(client);
    ipcm__door_close(&door);
}

/* ---- secrets ---- */

static void write_secret(const char *path, size_t bytes, mode_t mode)
{
    static const char zeros[100];
    (void)unlink(path);
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, zeros, bytes), bytes);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void secrets_are_for_their_owner_alone(void)
{
    static const mode_t modes[] = {0640, 0604, 0620, 0601, 0777};
    char path[200], link_path[220];
    uint8_t out[64];
    size_t bytes = 0;
    snprintf(path, sizeof path, "%s/key", test_tmpdir());
    write_secret(path, 32, 0600);
    assert_int_equal(ipcm__secret_read(path, out, sizeof out, &bytes), 0);
    assert_int_equal(bytes, 32);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        write_secret(path, 32, modes[i]);
        assert_int_equal(ipcm__secret_read(path, out, sizeof out, &bytes),
                         -EACCES);
    }
    write_secret(path, 31, 0400);
    assert_int_equal(ipcm__secret_read(path, out, sizeof out, &bytes), -EINVAL);
    write_secret(path, 64, 0400);
    assert_int_equal(ipcm__secret_read(path, out, sizeof out, &bytes), 0);
    write_secret(path, 65, 0400);
    assert_int_equal(ipcm__secret_read(path, out, sizeof out, &bytes),
                     -EMSGSIZE);
    snprintf(link_path, sizeof link_path, "%s.link", path);
    assert_int_equal(symlink(path, link_path), 0);
    assert_int_equal(ipcm__secret_read(link_path, out, sizeof out, &bytes),
                     -ELOOP);
    assert_int_equal(ipcm__secret_read(test_tmpdir(), out, sizeof out, &bytes),
                     -EINVAL);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ipcm__secret_read(path, out, sizeof out, &bytes), -ENOENT);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(ipcm__secret_read(path, out, sizeof out, &bytes), -EINVAL);
}

static const struct test_case cases[] = {
    TEST_CASE(addresses_are_read_and_written),
    TEST_CASE(what_is_no_address_is_refused),
    TEST_CASE(the_default_lies_in_the_users_folder),
    TEST_CASE(a_tcp_door_tells_its_port),
    TEST_CASE(plain_tcp_leaves_the_machine_only_when_asked_for),
    TEST_CASE(a_tcp_door_in_use_or_elsewhere_is_refused),
    TEST_CASE(where_nobody_listens_connecting_is_refused),
    TEST_CASE(connecting_ends_with_the_deadline),
    TEST_CASE(a_full_table_of_descriptors_is_told),
    TEST_CASE(secrets_are_for_their_owner_alone),
};
TEST_MAIN(cases)
