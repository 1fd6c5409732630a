/* A server in a process of its own, and raw clients: sockets and the wire's
 * codec, nothing of the library's client. */
#ifndef MANAGER_SERVER_SOCKET_SUPPORT_H
#define MANAGER_SERVER_SOCKET_SUPPORT_H

#include "harness/role.h"
#include "server_support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "wire/handshake.h"

#define HALL_LIMIT_MS 5000

/* ---- the server ---- */

struct hall_page { /* shared */
    uint32_t ready;
    int result;
    char addresses[2][128];
    char log[4096];
    size_t logged;
    rlim_t files; /* 0: as they are */
};

struct hall {
    struct hall_page *page;
    struct role role;
    int stop;
    char path[100];
    ipc_manager_options options;
    ipc_manager_limits limits;
    const char *names[2];
};

static inline int hall_ready(void *arg, const char *const *addresses,
                             size_t count)
{
    struct hall_page *page = arg;
    for (size_t i = 0; i < count && i < 2; i++)
        (void)snprintf(page->addresses[i], sizeof page->addresses[i], "%s",
                       addresses[i]);
    meet_signal(&page->ready);
    return 0;
}

static inline void hall_log(void *arg, int level, const char *text)
{
    struct hall_page *page = arg;
    (void)level;
    const size_t left = sizeof page->log - page->logged;
    const int n = snprintf(page->log + page->logged, left, "%s\n", text);
    if (n > 0 && (size_t)n < left)
        page->logged += (size_t)n;
}

static inline void hall_serve(void *arg)
{
    struct hall *hall = arg;
    if (hall->page->files != 0) {
        const struct rlimit limit = {hall->page->files, hall->page->files};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    hall->page->result = ipc_manager_serve(&hall->options);
    if (hall->page->result != 0) {
        hall_log(hall->page, 3, ipc_error_detail());
        meet_signal(&hall->page->ready);
    }
}

/* Before hall_open(): limits and options may be changed in between. */
static inline void hall_prepare(struct hall *hall)
{
    memset(hall, 0, sizeof *hall);
    hall->page = test_shared(sizeof *hall->page);
    hall->options = (ipc_manager_options)IPC_MANAGER_OPTIONS_INIT;
    hall->limits = (ipc_manager_limits)IPC_MANAGER_LIMITS_INIT;
    hall->options.key = desk_key;
    hall->options.key_bytes = sizeof desk_key;
    hall->options.limits = &hall->limits;
    hall->options.log = hall_log;
    hall->options.ready = hall_ready;
    hall->options.arg = hall->page;
    (void)snprintf(hall->path, sizeof hall->path, "unix:%s/m/socket",
                   test_tmpdir());
    hall->names[0] = hall->path;
    hall->names[1] = "tcp://127.0.0.1:0";
    hall->options.addresses = hall->names;
    hall->options.address_count = 2;
}

static inline void hall_open(struct hall *hall)
{
    hall->stop = eventfd(0, EFD_CLOEXEC);
    assert_true(hall->stop > 0);
    hall->options.stop_fd = hall->stop;
    role_start(&hall->role, hall_serve, hall);
    meet_wait(&hall->page->ready, 1, HALL_LIMIT_MS);
    if (hall->page->result != 0)
        test_fail("the server: %s: %s", ipc_strerror(hall->page->result),
                  hall->page->log);
}

static inline void hall_stop(struct hall *hall)
{
    const uint64_t one = 1;
    assert_int_equal(write(hall->stop, &one, sizeof one), sizeof one);
}

static inline void hall_close(struct hall *hall)
{
    hall_stop(hall);
    role_wait_ok(&hall->role, HALL_LIMIT_MS);
    assert_int_equal(hall->page->result, 0);
    close(hall->stop);
}

/* ---- a client ---- */

struct caller {
    int fd;
    int got_fd;
    uint64_t id;
    struct ipcm__welcome welcome;
    struct ipcm__buffer in;
    struct ipcm__decoder *decoder;
    struct desk_reply reply;
};

static const struct ipcm__wire_limits caller_limits = {64u << 20, 64, 1u << 20};

/* A socket that is connected; door 0: unix; 1: tcp.  Or a negative errno. */
static inline int hall_dial(const struct hall *hall, int door)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in net = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char *text = hall->page->addresses[door];
    const int fd =
        socket(door == 0 ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc;
    assert_true(fd >= 0);
    if (door == 0) {
        (void)snprintf(local.sun_path, sizeof local.sun_path, "%s",
                       text + strlen("unix:"));
        rc = connect(fd, (const struct sockaddr *)&local, sizeof local);
    } else {
        net.sin_port =
            htons((uint16_t)strtoul(strrchr(text, ':') + 1, NULL, 10));
        rc = connect(fd, (const struct sockaddr *)&net, sizeof net);
    }
    if (rc == 0)
        return fd;
    rc = -errno;
    close(fd);
    return rc;
}

/* Who is turned away may be so before it has said all: it reads why. */
static inline void send_all(int fd, const void *data, size_t bytes)
{
    size_t sent = 0;
    while (sent < bytes) {
        const ssize_t n =
            send(fd, (const char *)data + sent, bytes - sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return;
        if (n <= 0)
            test_fail("send: %s", ipc_strerror(-errno));
        sent += (size_t)n;
    }
}

/* Bytes, or 0 at the end; fails when nothing comes. */
static inline size_t receive_some(int fd, void *data, size_t room)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    if (poll(&poll_fd, 1, HALL_LIMIT_MS) != 1)
        test_fail("nothing comes");
    const ssize_t n = recv(fd, data, room, 0);
    return n > 0 ? (size_t)n : 0;
}

/* The handshake: 0 or an error. */
static inline int caller_shake(struct caller *caller, const void *key,
                               size_t key_bytes, const uint8_t *session)
{
    const struct ipcm__shake_options options = {.purpose = IPCM__FOR_MANAGER,
                                                .key = key,
                                                .key_bytes = key_bytes,
                                                .session = session,
                                                .pid = (uint32_t)getpid()};
    struct ipcm__shake shake;
    uint8_t bytes[IPCM__WELCOME_BYTES];
    int rc = ipcm__shake_begin(&shake, IPCM__CLIENT, &options);
    while (rc == IPCM__SHAKE_MORE) {
        const void *data;
        const size_t out = ipcm__shake_output(&shake, &data);
        if (out != 0) {
            send_all(caller->fd, data, out);
            ipcm__shake_sent(&shake, out);
        }
        const size_t n =
            receive_some(caller->fd, bytes, ipcm__shake_wants(&shake));
        rc = n == 0 ? -EPIPE : ipcm__shake_feed(&shake, bytes, n);
    }
    caller->welcome = shake.welcome;
    ipcm__shake_end(&shake);
    return rc == IPCM__SHAKE_DONE ? 0 : rc;
}

static inline void caller_close(struct caller *caller)
{
    if (caller->fd >= 0)
        close(caller->fd);
    if (caller->got_fd >= 0)
        close(caller->got_fd);
    caller->fd = -1;
    caller->got_fd = -1;
    ipcm__results_end(&caller->reply.results);
    ipcm__buffer_free(&caller->in);
    ipcm__decoder_free(caller->decoder);
    caller->decoder = NULL;
}

/* With this key and session: 0 or the error. */
static inline int caller_open(const struct hall *hall, int door,
                              const uint8_t *session, struct caller *caller)
{
    memset(caller, 0, sizeof *caller);
    caller->got_fd = -1;
    caller->fd = hall_dial(hall, door);
    if (caller->fd < 0)
        return caller->fd;
    assert_int_equal(ipcm__decoder_new(&caller_limits, &caller->decoder), 0);
    const int rc = caller_shake(caller, desk_key, sizeof desk_key, session);
    if (rc < 0)
        caller_close(caller);
    return rc;
}

static inline void caller_must_open(const struct hall *hall, int door,
                                    struct caller *caller)
{
    const int rc = caller_open(hall, door, NULL, caller);
    if (rc != 0)
        test_fail("no connection: %s: %s", ipc_strerror(rc), hall->page->log);
}

/* Send one with this id. */
static inline void caller_send(struct caller *caller, uint64_t id, uint32_t op,
                               uint64_t object, const ipc_any *args,
                               size_t count)
{
    const struct ipcm__request request = {
        .id = id, .op = op, .object = object, .args = args, .count = count};
    struct ipcm__buffer out = {NULL, 0, 0, 0};
    assert_int_equal(ipcm__encode_request(&out, &caller_limits, &request), 0);
    send_all(caller->fd, out.data, out.end);
    ipcm__buffer_free(&out);
}

/* What has come; a descriptor is kept.  0: the end. */
static inline size_t caller_receive(struct caller *caller)
{
    struct pollfd poll_fd = {.fd = caller->fd, .events = POLLIN};
    uint8_t *to = ipcm__buffer_reserve(&caller->in, 65536);
    struct iovec part = {to, 65536};
    char control[CMSG_SPACE(sizeof(int))];
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    assert_non_null(to);
    if (poll(&poll_fd, 1, HALL_LIMIT_MS) != 1)
        test_fail("no reply comes");
    const ssize_t n = recvmsg(caller->fd, &message, MSG_CMSG_CLOEXEC);
    const struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (n > 0 && head != NULL && head->cmsg_type == SCM_RIGHTS)
        memcpy(&caller->got_fd, CMSG_DATA(head), sizeof(int));
    if (n <= 0)
        return 0;
    caller->in.end += (size_t)n;
    return (size_t)n;
}

static inline void caller_keep(void *arg, const struct ipcm__reply *reply)
{
    struct caller *caller = arg;
    struct desk_reply *to = &caller->reply;
    ipcm__results_end(&to->results);
    memset(to, 0, sizeof *to);
    to->id = reply->id;
    to->status = reply->status;
    (void)snprintf(to->detail, sizeof to->detail, "%.*s",
                   (int)reply->detail_bytes,
                   reply->detail != NULL ? reply->detail : "");
    to->results = desk_copy(reply->results, reply->count);
}

/* The next reply; false: the connection has ended. */
static inline bool caller_next(struct caller *caller)
{
    for (;;) {
        const size_t have = caller->in.end - caller->in.begin;
        const uint8_t *head = caller->in.data + caller->in.begin;
        uint32_t length = 0;
        if (have >= IPCM__FRAME_HEAD)
            assert_int_equal(ipcm__frame_length(head, &caller_limits, &length),
                             0);
        if (length != 0 && have - IPCM__FRAME_HEAD >= length) {
            struct ipcm__reply reply;
            assert_int_equal(ipcm__decode_reply(caller->decoder,
                                                head + IPCM__FRAME_HEAD, length,
                                                &reply),
                             0);
            caller_keep(caller, &reply);
            ipcm__buffer_sent(&caller->in, IPCM__FRAME_HEAD + length);
            return true;
        }
        if (caller_receive(caller) == 0)
            return false;
    }
}

/* Send one and wait for its reply, passing over those of others. */
static inline int64_t caller_ask(struct caller *caller, uint32_t op,
                                 uint64_t object, const ipc_any *args,
                                 size_t count)
{
    const uint64_t id = ++caller->id;
    caller_send(caller, id, op, object, args, count);
    do {
        if (!caller_next(caller))
            test_fail("the connection has ended");
    } while (caller->reply.id != id);
    return caller->reply.status;
}

#define call_for(wanted, caller, op, object, ...)                              \
    caller_must(caller, wanted, #op, __LINE__,                                 \
                caller_ask(caller, op, object, GUEST_ARGS(__VA_ARGS__),        \
                           GUEST_COUNT(__VA_ARGS__)))
static inline void caller_must(struct caller *caller, int64_t wanted,
                               const char *op, int line, int64_t status)
{
    if (status != wanted)
        test_fail_at(__FILE__, line, "%s is %lld, not %lld; %s", op,
                     (long long)status, (long long)wanted,
                     caller->reply.detail);
}

/* OPEN: its number. */
static inline uint64_t caller_object(struct caller *caller, const char *type,
                                     const char *name)
{
    const ipc_any args[] = {ipc_str(type),
                            name != NULL ? ipc_str(name) : ipc_nil()};
    const int64_t status = caller_ask(caller, IPCM__OP_OPEN, 0, args, 2);
    if (status < 0)
        test_fail("OPEN %s: %s", type, caller->reply.detail);
    return caller->reply.results.items[0].u64;
}

static inline int64_t caller_i64(const struct caller *caller, size_t place)
{
    assert_true(place < caller->reply.results.count);
    return caller->reply.results.items[place].i64;
}

/* A number of STATS. */
static inline int64_t caller_stat(struct caller *caller, const char *name)
{
    call_for(0, caller, IPCM__OP_STATS, 0);
    const ipc_anys *results = &caller->reply.results;
    for (size_t i = 0; i + 1 < results->count; i += 2)
        if (strcmp(results->items[i].str, name) == 0)
            return results->items[i + 1].i64;
    test_fail("no figure %s", name);
}

#endif
