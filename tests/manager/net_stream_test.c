/* Streams: what is written is read, with TLS and without. */
#include "harness/harness.h"
#include "harness/role.h"

#include "manager/certificate_support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ipc/error.h>

#include "net/net.h"

struct pair {
    struct ipcm__stream client;
    struct ipcm__stream server;
    struct ipcm__tls *client_tls; /* NULL: plain */
    struct ipcm__tls *server_tls;
};

static void begin_pair(struct pair *pair)
{
    int fds[2];
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
        0);
    assert_int_equal(
        ipcm__stream_begin(&pair->client, fds[0], pair->client_tls), 0);
    assert_int_equal(
        ipcm__stream_begin(&pair->server, fds[1], pair->server_tls), 0);
}

static void end_pair(struct pair *pair)
{
    ipcm__stream_end(&pair->client);
    ipcm__stream_end(&pair->server);
    ipcm__tls_free(pair->client_tls);
    ipcm__tls_free(pair->server_tls);
}

/* ---- plain ---- */

static void what_is_written_is_read(void)
{
    struct pair pair = {.client_tls = NULL};
    uint8_t binding[32];
    uint8_t zeros[32] = {0};
    char text[16];
    begin_pair(&pair);
    assert_int_equal(ipcm__stream_ready(&pair.client), 1);
    assert_int_equal(ipcm__stream_binding(&pair.client, binding), 0);
    assert_memory_equal(binding, zeros, sizeof zeros);
    assert_int_equal(ipcm__stream_read(&pair.server, text, sizeof text),
                     -EAGAIN);
    assert_int_equal(ipcm__stream_write(&pair.client, "hello", 5), 5);
    assert_int_equal(ipcm__stream_read(&pair.server, text, 2), 2);
    assert_int_equal(ipcm__stream_read(&pair.server, text, sizeof text), 3);
    assert_memory_equal(text, "llo", 3);
    assert_false(ipcm__stream_pending(&pair.server));
    end_pair(&pair);
}

static void a_full_socket_would_block(void)
{
    static char text[65536];
    struct pair pair = {.client_tls = NULL};
    int64_t n;
    begin_pair(&pair);
    do {
        n = ipcm__stream_write(&pair.client, text, sizeof text);
    } while (n > 0);
    assert_int_equal(n, -EAGAIN);
    end_pair(&pair);
}

static void an_end_is_a_broken_pipe_and_no_signal(void)
{
    struct pair pair = {.client_tls = NULL};
    char text[4];
    begin_pair(&pair);
    assert_int_equal(ipcm__stream_write(&pair.client, "a", 1), 1);
    ipcm__stream_end(&pair.client);
    assert_int_equal(ipcm__stream_read(&pair.server, text, 4), 1);
    assert_int_equal(ipcm__stream_read(&pair.server, text, 4), -EPIPE);
    assert_int_equal(ipcm__stream_write(&pair.server, "a", 1), -EPIPE);
    end_pair(&pair);
}

static void a_descriptor_goes_with_the_first_byte(void)
{
    struct pair pair = {.client_tls = NULL};
    struct stat sent, got;
    char text[8];
    begin_pair(&pair);
    pair.client.send_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int fd = pair.client.send_fd;
    assert_int_equal(ipcm__stream_write(&pair.client, "ab", 2), 2);
    assert_int_equal(pair.client.send_fd, -1);
    assert_int_equal(ipcm__stream_write(&pair.client, "cd", 2), 2);
    assert_int_equal(ipcm__stream_read(&pair.server, text, 1), 1);
    assert_true(pair.server.got_fd >= 0);
    assert_int_equal(fstat(fd, &sent), 0);
    assert_int_equal(fstat(pair.server.got_fd, &got), 0);
    assert_int_equal(sent.st_rdev, got.st_rdev);
    assert_true(fcntl(pair.server.got_fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
    end_pair(&pair);
}

/* So many at once. */
static void send_fds(int to, size_t count)
{
    union {
        char room[CMSG_SPACE(64 * sizeof(int))];
        struct cmsghdr align;
    } control;
    char byte = 'x';
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    memset(&control, 0, sizeof control);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(count * sizeof(int));
    for (size_t i = 0; i < count; i++)
        memcpy(CMSG_DATA(head) + i * sizeof to, &to, sizeof to);
    assert_int_equal(sendmsg(to, &message, 0), 1);
}

/* The harness sees it when one stays open. */
static void descriptors_that_nobody_takes_are_closed(void)
{
    static const size_t counts[] = {1, 2, 3, 4, 5, 60, 1};
    struct pair pair = {.client_tls = NULL};
    char text[4];
    begin_pair(&pair);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        send_fds(pair.client.fd, counts[i]);
        assert_int_equal(ipcm__stream_read(&pair.server, text, 4), 1);
        assert_true(pair.server.got_fd >= 0);
    }
    end_pair(&pair);
}

static void unwanted_descriptors_do_not_come(void)
{
    struct pair pair = {.client_tls = NULL};
    char text[4];
    int ends[2];
    begin_pair(&pair);
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    pair.server.no_fds = true;
    pair.client.send_fd = ends[1];
    assert_int_equal(ipcm__stream_write(&pair.client, "a", 1), 1);
    assert_int_equal(ipcm__stream_read(&pair.server, text, 4), 1);
    assert_int_equal(pair.server.got_fd, -1);
    close(ends[1]);
    /* Nobody has the other end any more. */
    assert_int_equal(read(ends[0], text, 1), 0);
    close(ends[0]);
    end_pair(&pair);
}

/* ---- plain, waiting ---- */

static void write_late(void *arg)
{
    struct pair *pair = arg;
    struct pollfd item = {.fd = pair->client.fd, .events = POLLIN};
    assert_int_equal(poll(&item, 1, 5000), 1);
    assert_int_equal(ipcm__stream_write(&pair->client, "late", 4), 4);
}

static void a_reader_waits_as_long_as_it_was_told(void)
{
    struct pair pair = {.client_tls = NULL};
    struct role role;
    char text[8];
    begin_pair(&pair);
    pair.server.no_fds = true;
    assert_int_equal(ipcm__stream_await(&pair.server, text, 8), -EAGAIN);
    assert_true(ipcm__stream_let_wait(&pair.server, 1));
    assert_int_equal(ipcm__stream_await(&pair.server, text, 8), -EAGAIN);
    assert_int_equal(ipcm__stream_read(&pair.server, text, 8), -EAGAIN);
    assert_true(ipcm__stream_let_wait(&pair.server, 30000));
    role_start(&role, write_late, &pair);
    assert_int_equal(ipcm__stream_write(&pair.server, "go", 2), 2);
    assert_int_equal(ipcm__stream_await(&pair.server, text, 8), 4);
    assert_memory_equal(text, "late", 4);
    role_wait_ok(&role, 5000);
    ipcm__stream_end(&pair.client);
    assert_int_equal(ipcm__stream_await(&pair.server, text, 8), -EPIPE);
    end_pair(&pair);
}

/* ---- TLS ---- */

static int new_tls(bool server, const char *certificate, const char *ca,
                   const char *name, struct ipcm__tls **out)
{
    char certificate_path[256], key_path[256], ca_path[256];
    struct ipcm__tls_options options = {.server = server, .name = name};
    if (certificate != NULL) {
        file_in_tmpdir(certificate, ".crt", certificate_path);
        file_in_tmpdir(certificate, ".key", key_path);
        options.certificate = certificate_path;
        options.key = key_path;
    }
    if (ca != NULL) {
        file_in_tmpdir(ca, ".crt", ca_path);
        options.ca = ca_path;
    }
    return ipcm__tls_new(&options, out);
}

/* A server whose certificate nobody has signed, and who knows no one else's. */
static void begin_simple(struct pair *pair)
{
    make_certificate("server", NULL, "shop");
    assert_int_equal(new_tls(true, "server", NULL, NULL, &pair->server_tls), 0);
    assert_int_equal(new_tls(false, NULL, NULL, NULL, &pair->client_tls), 0);
    begin_pair(pair);
}

/* Until both are ready, or the results of those that failed. */
static void shake(struct pair *pair, int *client, int *server)
{
    *client = 0;
    *server = 0;
    for (int i = 0; i < 100 && (*client == 0 || *server == 0); i++) {
        if (*client == 0)
            *client = ipcm__stream_ready(&pair->client);
        if (*client < 0 && pair->client.fd >= 0)
            ipcm__stream_end(&pair->client);
        if (*server == 0)
            *server = ipcm__stream_ready(&pair->server);
        if (*server < 0 && pair->server.fd >= 0)
            ipcm__stream_end(&pair->server);
    }
}

static void shake_well(struct pair *pair)
{
    int client, server;
    shake(pair, &client, &server);
    assert_int_equal(client, 1);
    assert_int_equal(server, 1);
}

static void both_sides_know_the_same_certificate(void)
{
    static const uint8_t zeros[32];
    struct pair pair = {.client_tls = NULL};
    uint8_t of_client[32], of_server[32];
    begin_simple(&pair);
    assert_int_equal(ipcm__stream_binding(&pair.client, of_client), -EPROTO);
    shake_well(&pair);
    assert_int_equal(ipcm__stream_binding(&pair.client, of_client), 0);
    assert_int_equal(ipcm__stream_binding(&pair.server, of_server), 0);
    assert_memory_equal(of_client, of_server, 32);
    assert_memory_not_equal(of_client, zeros, 32);
    end_pair(&pair);
}

static void reads_and_writes_do_the_handshake(void)
{
    struct pair pair = {.client_tls = NULL};
    char text[8];
    int64_t in = -EAGAIN;
    int64_t out = -EAGAIN;
    begin_simple(&pair);
    for (int i = 0; i < 100 && in == -EAGAIN; i++) {
        if (out == -EAGAIN)
            out = ipcm__stream_write(&pair.client, "hello", 5);
        in = ipcm__stream_read(&pair.server, text, 2);
    }
    assert_int_equal(out, 5);
    assert_int_equal(in, 2);
    assert_true(ipcm__stream_pending(&pair.server));
    assert_int_equal(ipcm__stream_read(&pair.server, text, sizeof text), 3);
    assert_false(ipcm__stream_pending(&pair.server));
    end_pair(&pair);
}

/* Both ways at once, through sockets that are always full, by a writer that has
 * more each time it comes again. */
static void long_data_goes_through_full_sockets(void)
{
    enum {
        BYTES = 1 << 20
    };
    struct pair pair = {.client_tls = NULL};
    struct ipcm__stream *streams[2] = {&pair.client, &pair.server};
    size_t written[2] = {0, 0};
    size_t known[2] = {100, 100};
    size_t read[2] = {0, 0};
    long long full = 0;
    uint8_t *data = malloc(BYTES);
    assert_non_null(data);
    for (size_t i = 0; i < BYTES; i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    begin_simple(&pair);
    shake_well(&pair);
    const int small = 4096;
    for (int i = 0; i < 2; i++)
        assert_int_equal(setsockopt(streams[i]->fd, SOL_SOCKET, SO_SNDBUF,
                                    &small, sizeof small),
                         0);
    while (read[0] < BYTES || read[1] < BYTES) {
        for (int i = 0; i < 2; i++) {
            uint8_t got[1000];
            known[i] = known[i] + 5000 < BYTES ? known[i] + 5000 : BYTES;
            if (written[i] < known[i]) {
                const int64_t n = ipcm__stream_write(
                    streams[i], data + written[i], known[i] - written[i]);
                assert_true(n > 0 || n == -EAGAIN);
                full += n == -EAGAIN;
                written[i] += n > 0 ? (size_t)n : 0;
            }
            const int64_t n = ipcm__stream_read(streams[!i], got, sizeof got);
            assert_true(n > 0 || n == -EAGAIN);
            if (n > 0) {
                assert_memory_equal(got, data + read[i], (size_t)n);
                read[i] += (size_t)n;
            }
        }
    }
    assert_true(full > 0);
    test_report("full", full);
    free(data);
    end_pair(&pair);
}

static void an_end_of_tls_is_a_broken_pipe(void)
{
    struct pair pair = {.client_tls = NULL};
    char text[4];
    begin_simple(&pair);
    shake_well(&pair);
    assert_int_equal(ipcm__stream_write(&pair.client, "a", 1), 1);
    ipcm__stream_end(&pair.client);
    assert_int_equal(ipcm__stream_read(&pair.server, text, 4), 1);
    assert_int_equal(ipcm__stream_read(&pair.server, text, 4), -EPIPE);
    assert_int_equal(ipcm__stream_read(&pair.server, text, 4), -EPIPE);
    end_pair(&pair);
    memset(&pair, 0, sizeof pair);
}

static void end_in_child(void *arg)
{
    struct pair *pair = arg;
    end_pair(pair);
}

static void a_child_ends_its_copy_without_a_word(void)
{
    struct pair pair = {.client_tls = NULL};
    struct role role;
    char text[4];
    begin_simple(&pair);
    shake_well(&pair);
    role_start(&role, end_in_child, &pair);
    role_wait_ok(&role, 5000);
    assert_int_equal(ipcm__stream_read(&pair.server, text, 4), -EAGAIN);
    assert_int_equal(ipcm__stream_write(&pair.client, "a", 1), 1);
    assert_int_equal(ipcm__stream_read(&pair.server, text, 4), 1);
    end_pair(&pair);
}

static void what_is_no_tls_is_refused(void)
{
    static const char *const table[] = {
        "GET / HTTP/1.1\r\n\r\n", "libipc1\n....................",
        "\x16\x03\x03\xff\xff...........", "\x16\x03\x01\0\5\x01\0\0\x01"};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct pair pair = {.client_tls = NULL};
        char text[4];
        int rc = 0;
        if (i == 0)
            make_certificate("server", NULL, "shop");
        assert_int_equal(new_tls(true, "server", NULL, NULL, &pair.server_tls),
                         0);
        begin_pair(&pair);
        (void)ipcm__stream_write(&pair.client, table[i], strlen(table[i]) + 1);
        for (int k = 0; k < 100 && rc == 0; k++)
            rc = ipcm__stream_ready(&pair.server);
        if (rc == 0) { /* it waits for the rest */
            ipcm__stream_end(&pair.client);
            rc = ipcm__stream_ready(&pair.server);
        }
        assert_true(rc == -EPROTO || rc == -EPIPE);
        assert_int_equal(ipcm__stream_read(&pair.server, text, 4), rc);
        end_pair(&pair);
    }
}

/* ---- who is believed ---- */

struct trust {
    const char *what;
    const char *server; /* certificates */
    const char *client;
    const char *client_ca; /* that the server asks for */
    const char *ca;        /* that the client asks for */
    const char *name;
    int client_rc; /* 1: well */
    int server_rc;
};

static void certificates_are_of_who_is_trusted(void)
{
    static const struct trust table[] = {
        {"signed", "shop", NULL, NULL, "ca", "shop", 1, 1},
        {"signed, any name", "shop", NULL, NULL, "ca", NULL, 1, 1},
        {"another name", "shop", NULL, NULL, "ca", "cafe", -EKEYREJECTED, 0},
        {"another ca", "shop", NULL, NULL, "foreign", "shop", -EKEYREJECTED, 0},
        {"signed by itself", "self", NULL, NULL, "ca", "shop", -EKEYREJECTED,
         0},
        {"client signed", "shop", "buyer", "ca", "ca", "shop", 1, 1},
        {"client of another ca", "shop", "stranger", "ca", NULL, NULL, 0,
         -EKEYREJECTED},
        {"client without one", "shop", NULL, "ca", NULL, NULL, 0,
         -EKEYREJECTED},
    };
    make_certificate("ca", NULL, "ca");
    make_certificate("foreign", NULL, "ca");
    make_certificate("self", NULL, "shop");
    make_certificate("shop", "ca", "shop");
    make_certificate("buyer", "ca", "buyer");
    make_certificate("stranger", "foreign", "stranger");
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct trust *t = &table[i];
        struct pair pair = {.client_tls = NULL};
        int client, server;
        assert_int_equal(
            new_tls(true, t->server, t->client_ca, NULL, &pair.server_tls), 0);
        assert_int_equal(
            new_tls(false, t->client, t->ca, t->name, &pair.client_tls), 0);
        begin_pair(&pair);
        shake(&pair, &client, &server);
        if ((t->client_rc != 0 && client != t->client_rc) ||
            (t->server_rc != 0 && server != t->server_rc))
            test_fail("%s: %d %d", t->what, client, server);
        if (t->client_rc == 0 || t->server_rc == 0)
            assert_true(client < 0 || server < 0);
        end_pair(&pair);
    }
}

/* ---- files ---- */

static void tls_files_are_looked_at(void)
{
    char path[256], other[256], text[256];
    struct ipcm__tls *tls;
    make_certificate("one", NULL, "shop");
    make_certificate("two", NULL, "shop");
    file_in_tmpdir("one", ".crt", path);
    file_in_tmpdir("one", ".key", other);
    file_in_tmpdir("two", ".key", text);

    struct ipcm__tls_options options = {
        .server = true, .certificate = path, .key = other};
    assert_int_equal(ipcm__tls_new(&options, &tls), 0);
    ipcm__tls_free(tls);
    options.key = text;
    assert_int_equal(ipcm__tls_new(&options, &tls), -EINVAL);
    options.key = path;
    assert_int_equal(ipcm__tls_new(&options, &tls), -EINVAL);
    options.certificate = other;
    options.key = other;
    assert_int_equal(ipcm__tls_new(&options, &tls), -EINVAL);
    options.certificate = "/no/such/file";
    assert_int_equal(ipcm__tls_new(&options, &tls), -ENOENT);
    options.certificate = path;
    options.key = NULL;
    assert_int_equal(ipcm__tls_new(&options, &tls), -EINVAL);
    options.key = other;
    assert_int_equal(chmod(other, 0644), 0);
    assert_int_equal(ipcm__tls_new(&options, &tls), -EACCES);
    assert_int_equal(chmod(other, 0600), 0);
    options.ca = other;
    assert_int_equal(ipcm__tls_new(&options, &tls), -EINVAL);
    options = (struct ipcm__tls_options){.server = true};
    assert_int_equal(ipcm__tls_new(&options, &tls), -EINVAL);
    ipcm__tls_free(NULL);
}

static const struct test_case cases[] = {
    TEST_CASE(what_is_written_is_read),
    TEST_CASE(a_full_socket_would_block),
    TEST_CASE(an_end_is_a_broken_pipe_and_no_signal),
    TEST_CASE(a_descriptor_goes_with_the_first_byte),
    TEST_CASE(descriptors_that_nobody_takes_are_closed),
    TEST_CASE(unwanted_descriptors_do_not_come),
    TEST_CASE(a_reader_waits_as_long_as_it_was_told),
    TEST_CASE(both_sides_know_the_same_certificate),
    TEST_CASE(reads_and_writes_do_the_handshake),
    TEST_CASE(long_data_goes_through_full_sockets),
    TEST_CASE(an_end_of_tls_is_a_broken_pipe),
    TEST_CASE(a_child_ends_its_copy_without_a_word),
    TEST_CASE(what_is_no_tls_is_refused),
    TEST_CASE(certificates_are_of_who_is_trusted),
    TEST_CASE(tls_files_are_looked_at),
};
TEST_MAIN(cases)
