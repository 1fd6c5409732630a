/* A server that does what a test wants: it speaks the protocol by the codec of
 * the library, has one object, and goes wrong on request.
 *
 *     struct fake *fake = fake_new();
 *     fake->resume = true;
 *     fake->cut_at = 3;
 *     fake_start(fake);
 *     ... ipc_manager_connect(fake->address, FAKE_KEY, ...) ...
 *     fake_stop(fake);
 *
 * It runs in a process of its own, and serves one connection after the other;
 * struct fake is shared with it. */
#ifndef MANAGER_FAKE_SERVER_H
#define MANAGER_FAKE_SERVER_H

#include "harness/harness.h"
#include "harness/role.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <ipc/error.h>
#include <ipc/manager.h>
#include <ipc/remote.h>

#include "net/net.h"
#include "wire/handshake.h"
#include "wire/wire.h"

#define FAKE_KEY    "the key of a server that is none, 32 bytes and more"
#define FAKE_OBJECT 5
#define FAKE_KEPT   64

enum fake_odd {
    FAKE_PROPER = 0,
    FAKE_WRONG_ID,      /* replies to requests that nobody made */
    FAKE_TWICE,         /* each reply comes twice */
    FAKE_TOO_MANY,      /* one result more */
    FAKE_NO_RESULTS,    /* none */
    FAKE_OTHER_TYPE,    /* a string in place of a number */
    FAKE_NO_FRAME,      /* bytes that are none */
    FAKE_TOO_LONG,      /* a length above the limit */
    FAKE_EMPTY,         /* a length of 0 */
    FAKE_ENDS,          /* [0, -71, "..."] */
    FAKE_HUGE_STATUS,   /* a status that is no int */
    FAKE_SILENT,        /* no reply */
    FAKE_BATCH_SHORT,   /* the replies to a batch are fewer than its calls */
    FAKE_HANGS_UP,      /* closes, each time */
    FAKE_UNKNOWN_OBJECT /* -ESTALE for everything but OPEN */
};

struct fake {
    char address[120]; /* "unix:..." */
    struct role role;

    /* What it is to do. */
    bool resume;       /* sessions come back */
    bool restarted;    /* and say that the server was started again */
    bool tells_all;    /* the reply comes first, then the end */
    uint32_t odd;      /* enum fake_odd, from odd_from on */
    uint32_t odd_from; /* the op that it begins with; 0: any but OPEN */
    int64_t cut_at;    /* close after so many bytes of replies, once; -1: not */
    int64_t cut_op;    /* the bytes of replies to this op count; 0: all */
    uint32_t refusals; /* so many connections are closed at once */
    uint64_t instance;
    uint32_t frame_bytes;
    uint32_t in_flight;

    /* What it has seen. */
    uint32_t ready;
    uint32_t connections;
    uint32_t appended; /* LIST_APPEND and VALUE_INCR that were done */
    uint32_t requests;
    uint32_t repeated;
    uint32_t dropped; /* references given back */
    uint32_t goodbyes;

    /* Its last answers. */
    uint64_t ids[FAKE_KEPT];
    uint8_t kept[FAKE_KEPT][256];
    size_t kept_bytes[FAKE_KEPT];
    uint8_t session[IPCM__SESSION_BYTES];
};

static const struct ipcm__wire_limits fake_limits = {1 << 20, 16, 65536};

struct fake_end {
    struct fake *fake;
    struct ipcm__stream stream;
    struct ipcm__decoder *decoder;
    struct ipcm__buffer in;
    bool is_over;
};

static inline void fake_send(struct fake_end *end, const void *data,
                             size_t bytes)
{
    struct fake *fake = end->fake;
    size_t n = bytes;
    if (fake->cut_at >= 0 && (int64_t)n >= fake->cut_at) {
        n = (size_t)fake->cut_at;
        end->is_over = true;
        fake->cut_at = -1;
    } else if (fake->cut_at >= 0) {
        fake->cut_at -= (int64_t)n;
    }
    for (const uint8_t *at = data; n > 0;) {
        const ssize_t sent = send(end->stream.fd, at, n, MSG_NOSIGNAL);
        if (sent <= 0) {
            end->is_over = true;
            return;
        }
        at += sent;
        n -= (size_t)sent;
    }
}

static inline void fake_reply(struct fake_end *end, uint64_t id, int64_t status,
                              const ipc_any *results, size_t count, bool keep,
                              bool may_cut)
{
    struct fake *fake = end->fake;
    struct ipcm__buffer out = {0};
    const struct ipcm__reply reply = {.id = id,
                                      .status = status,
                                      .detail = status < 0 ? "fake" : NULL,
                                      .detail_bytes = status < 0 ? 4 : 0,
                                      .results = results,
                                      .count = count};
    assert_int_equal(ipcm__encode_reply(&out, &fake_limits, &reply), 0);
    const size_t bytes = out.end - out.begin;
    if (keep && bytes <= sizeof fake->kept[0]) {
        const size_t place = id % FAKE_KEPT;
        fake->ids[place] = id;
        fake->kept_bytes[place] = bytes;
        memcpy(fake->kept[place], out.data + out.begin, bytes);
    }
    const int64_t cut = fake->cut_at;
    if (!may_cut)
        fake->cut_at = -1;
    fake_send(end, out.data + out.begin, bytes);
    if (!may_cut)
        fake->cut_at = cut;
    ipcm__buffer_free(&out);
}

static inline void fake_raw(struct fake_end *end, const void *data, size_t n)
{
    fake_send(end, data, n);
}

/* True: it has answered in its odd way. */
static inline bool fake_be_odd(struct fake_end *end,
                               const struct ipcm__request *request)
{
    struct fake *fake = end->fake;
    const ipc_any few[] = {ipc_str("a"), ipc_i64(1), ipc_i64(2)};
    if (fake->odd == FAKE_PROPER ||
        (fake->odd_from != 0
             ? request->op != fake->odd_from
             : request->op == IPCM__OP_OPEN || request->op == IPCM__OP_GOODBYE))
        return false;
    switch (fake->odd) {
    case FAKE_WRONG_ID:
        fake_reply(end, request->id + 1000, 0, NULL, 0, false, false);
        return true;
    case FAKE_TWICE:
        fake_reply(end, request->id, 0, few + 1, 1, false, false);
        fake_reply(end, request->id, 0, few + 1, 1, false, false);
        return true;
    case FAKE_TOO_MANY:
        fake_reply(end, request->id, 0, few, 3, false, false);
        return true;
    case FAKE_NO_RESULTS:
    case FAKE_BATCH_SHORT:
        fake_reply(end, request->id, 0, NULL, 0, false, false);
        return true;
    case FAKE_OTHER_TYPE:
        fake_reply(end, request->id, 0, few, 1, false, false);
        return true;
    case FAKE_NO_FRAME:
        fake_raw(end, "\x03\x00\x00\x00\xc1\xc1\xc1", 7);
        return true;
    case FAKE_TOO_LONG:
        fake_raw(end, "\xff\xff\xff\x7f\x92", 5);
        return true;
    case FAKE_EMPTY:
        fake_raw(end, "\x00\x00\x00\x00", 4);
        return true;
    case FAKE_ENDS:
        fake_reply(end, 0, -EPROTO, NULL, 0, false, false);
        end->is_over = true;
        return true;
    case FAKE_HUGE_STATUS:
        fake_reply(end, request->id, INT64_C(1) << 40, NULL, 0, false, false);
        return true;
    case FAKE_SILENT:
        return true;
    case FAKE_HANGS_UP:
        end->is_over = true;
        return true;
    case FAKE_UNKNOWN_OBJECT:
        fake_reply(end, request->id, -ESTALE, NULL, 0, false, false);
        return true;
    default:
        return false;
    }
}

static inline bool fake_repeat(struct fake_end *end,
                               const struct ipcm__request *request)
{
    struct fake *fake = end->fake;
    const size_t place = request->id % FAKE_KEPT;
    if (fake->ids[place] != request->id)
        return false;
    fake->repeated++;
    fake_send(end, fake->kept[place], fake->kept_bytes[place]);
    return true;
}

static inline void fake_answer(struct fake_end *end,
                               const struct ipcm__request *request)
{
    struct fake *fake = end->fake;
    const bool changes = (ipcm__op_flags(request->op) & IPCM__OP_CHANGES) != 0;
    const bool may_cut =
        fake->cut_op == 0 || fake->cut_op == (int64_t)request->op;
    ipc_any results[] = {ipc_i64(FAKE_OBJECT), ipc_i64(0), ipc_i64(1)};
    size_t count = 0;
    int64_t status = 0;
    fake->requests++;
    if (changes && fake_repeat(end, request))
        return;
    if (fake_be_odd(end, request))
        return;
    switch (request->op) {
    case IPCM__OP_OPEN:
        count = 3;
        status = 1;
        break;
    case IPCM__OP_REFER:
        results[0] = ipc_i64(0);
        count = 1;
        break;
    case IPCM__OP_DROP:
        fake->dropped += (uint32_t)(request->count / 2);
        break;
    case IPC_OP_LIST_APPEND:
        fake->appended++;
        break;
    case IPCM__OP_VALUE_INCR:
        fake->appended++;
        results[0] = ipc_i64(fake->appended);
        count = 1;
        break;
    case IPC_OP_LIST_LENGTH:
    case IPCM__OP_COUNT:
        results[0] = ipc_i64(fake->appended);
        count = 1;
        break;
    case IPC_OP_LIST_COPY:
        results[0] = ipc_any_with_type(IPC_TYPE_LIST);
        results[0].u64 = FAKE_OBJECT + 1;
        count = 1;
        break;
    case IPCM__OP_LOCK_ACQUIRE:
        results[0] = ipc_i64(7);
        count = 1;
        break;
    case IPCM__OP_GOODBYE:
        fake->goodbyes++;
        break;
    default:
        break;
    }
    fake_reply(end, request->id, status, results, count, changes, may_cut);
}

static inline void fake_take_frames(struct fake_end *end)
{
    struct ipcm__buffer *in = &end->in;
    uint32_t length = 0;
    struct ipcm__request request;
    while (!end->is_over && in->end - in->begin >= IPCM__FRAME_HEAD) {
        const uint8_t *at = in->data + in->begin;
        assert_int_equal(ipcm__frame_length(at, &fake_limits, &length), 0);
        if (in->end - in->begin < IPCM__FRAME_HEAD + (size_t)length)
            return;
        assert_int_equal(ipcm__decode_request(end->decoder,
                                              at + IPCM__FRAME_HEAD, length,
                                              &request),
                         0);
        fake_answer(end, &request);
        ipcm__buffer_sent(in, IPCM__FRAME_HEAD + (size_t)length);
    }
}

static inline bool fake_shake(struct fake_end *end)
{
    struct fake *fake = end->fake;
    struct ipcm__shake shake;
    const struct ipcm__shake_options options = {.purpose = IPCM__FOR_MANAGER,
                                                .key = FAKE_KEY,
                                                .key_bytes = strlen(FAKE_KEY)};
    struct ipcm__welcome welcome = {.instance = fake->instance,
                                    .frame_bytes = fake->frame_bytes,
                                    .in_flight = fake->in_flight,
                                    .grace_ms = 1000,
                                    .depth = 16,
                                    .nodes = 65536};
    assert_int_equal(ipcm__shake_begin(&shake, IPCM__SERVER, &options), 0);
    int rc = IPCM__SHAKE_MORE;
    bool is_done = false;
    for (;;) {
        const void *data;
        for (size_t n; (n = ipcm__shake_output(&shake, &data)) > 0;) {
            const ssize_t sent = send(end->stream.fd, data, n, MSG_NOSIGNAL);
            if (sent <= 0)
                break;
            ipcm__shake_sent(&shake, (size_t)sent);
        }
        const size_t wants = ipcm__shake_wants(&shake);
        if (is_done || rc < 0 || wants == 0)
            break;
        uint8_t bytes[256];
        const ssize_t n = recv(end->stream.fd, bytes, wants, 0);
        if (n <= 0)
            break;
        rc = ipcm__shake_feed(&shake, bytes, (size_t)n);
        if (rc != IPCM__SHAKE_ASK)
            continue;
        memcpy(welcome.session, fake->session, sizeof welcome.session);
        if (fake->resume &&
            memcmp(shake.session, fake->session, sizeof shake.session) == 0)
            welcome.flags = IPCM__WELCOME_RESUMED |
                            (fake->restarted ? IPCM__WELCOME_RESTARTED : 0);
        else
            memset(fake->ids, 0, sizeof fake->ids);
        ipcm__shake_accept(&shake, &welcome);
        is_done = true;
    }
    ipcm__shake_end(&shake);
    return is_done;
}

static inline void fake_serve(struct fake *fake, int fd)
{
    struct fake_end end = {.fake = fake, .stream = {.fd = fd}};
    assert_int_equal(ipcm__decoder_new(&fake_limits, &end.decoder), 0);
    end.is_over = !fake_shake(&end);
    while (!end.is_over) {
        uint8_t *room = ipcm__buffer_reserve(&end.in, 65536);
        assert_non_null(room);
        const ssize_t n = recv(fd, room, 65536, 0);
        if (n <= 0)
            break;
        end.in.end += (size_t)n;
        fake_take_frames(&end);
    }
    ipcm__decoder_free(end.decoder);
    ipcm__buffer_free(&end.in);
    close(fd);
}

static inline int fake_listen(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static inline void fake_main(void *arg)
{
    struct fake *fake = arg;
    const int door = fake_listen(fake->address + strlen("unix:"));
    meet_signal(&fake->ready);
    for (;;) {
        /* cppcheck-suppress nullPointer ; the name is not wanted */
        const int fd = accept4(door, NULL, NULL, SOCK_CLOEXEC);
        assert_true(fd >= 0);
        fake->connections++;
        if (fake->refusals > 0) {
            fake->refusals--;
            close(fd);
            continue;
        }
        fake_serve(fake, fd);
    }
}

static inline struct fake *fake_new(void)
{
    static int number;
    struct fake *fake = test_shared(sizeof *fake);
    char folder[80];
    snprintf(folder, sizeof folder, "%s/fake%d", test_tmpdir(), number++);
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(fake->address, sizeof fake->address, "unix:%s/s", folder);
    fake->cut_at = -1;
    fake->instance = 1;
    fake->frame_bytes = 1 << 20;
    fake->in_flight = 64;
    memset(fake->session, 0x5a, sizeof fake->session);
    return fake;
}

static inline void fake_start(struct fake *fake)
{
    fake->ready = 0;
    role_start(&fake->role, fake_main, fake);
    meet_wait(&fake->ready, 1, 2000);
}

static inline void fake_stop(struct fake *fake)
{
    role_kill(&fake->role);
    (void)unlink(fake->address + strlen("unix:"));
}

static inline ipc_manager *
fake_connect(struct fake *fake, const ipc_manager_connect_options *options)
{
    ipc_manager *manager = NULL;
    const int rc = ipc_manager_connect(fake->address, FAKE_KEY,
                                       strlen(FAKE_KEY), options, &manager);
    if (rc != 0)
        test_fail("connect: %s, %s", ipc_strerror(rc), ipc_error_detail());
    return manager;
}

#endif
