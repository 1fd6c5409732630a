/* Guests that are no good: those who go away in the handshake, who are slow or
 * silent, who send what is no frame, and more than there are descriptors. */
#include "server_socket_support.h"

#include "harness/scale.h"

#include <ipc/time.h>

/* A good client is served, in a time that does not mean "it hung". */
static int64_t serve_one(const struct hall *hall, int door)
{
    struct caller caller;
    const int64_t begin = test_now_ns();
    caller_must_open(hall, door, &caller);
    call_for(0, &caller, IPCM__OP_PING, 0, ipc_i64(1));
    caller_close(&caller);
    const int64_t took = test_now_ns() - begin;
    assert_true(took < 2000000000);
    return took;
}

/* Connect, send a part of HELLO, go away: gently, or with a reset. */
static void abort_one(const struct hall *hall, int door, long i)
{
    static const char hello[IPCM__HELLO_BYTES] = "libipc1\n\1\0\0\0\1\0\0";
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    const int fd = hall_dial(hall, door);
    if (fd < 0) /* the queue of the door is full: he tries again */
        return;
    const size_t bytes = (size_t)(i % (IPCM__HELLO_BYTES + 1));
    (void)send(fd, hello, bytes, MSG_NOSIGNAL);
    if (i % 3 == 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (i % 5 == 0)
        (void)shutdown(fd, SHUT_WR);
    close(fd);
}

static void t68_aborted_handshakes(void)
{
    struct hall hall;
    struct caller caller;
    const long rounds = 10000 * test_scale();
    int64_t worst = 0;
    hall_prepare(&hall);
    hall_open(&hall);
    for (long i = 0; i < rounds; i++) {
        abort_one(&hall, (int)(i / 2 % 2), i);
        if (i % 200 != 199)
            continue;
        const int64_t took = serve_one(&hall, (int)(i / 200 % 2));
        if (took > worst)
            worst = took;
    }
    caller_must_open(&hall, 0, &caller);
    assert_int_equal(caller_stat(&caller, "connections"), 1);
    assert_int_equal(caller_stat(&caller, "refused_key"), 0);
    test_report("aborted", rounds);
    test_report("worst_us", worst / 1000);
    caller_close(&caller);
    hall_close(&hall);
}

/* ---- T69 ---- */

static void t69_who_has_another_key_waits_and_is_refused(void)
{
    static const uint8_t wrong[32] = {9};
    struct hall hall;
    struct caller caller;
    hall_prepare(&hall);
    hall_open(&hall);
    int64_t took[2];
    for (int i = 0; i < 2; i++) {
        memset(&caller, 0, sizeof caller);
        caller.got_fd = -1;
        caller.fd = hall_dial(&hall, 0);
        const int64_t begin = test_now_ns();
        assert_int_equal(caller_shake(&caller, wrong, sizeof wrong, NULL),
                         -EACCES);
        took[i] = test_now_ns() - begin;
        /* Others of the same user are not held up. */
        assert_true(serve_one(&hall, 1) < 1000000000);
        caller_close(&caller);
    }
    assert_true(took[0] >= 90000000);
    assert_true(took[1] >= 180000000);
    caller_must_open(&hall, 0, &caller);
    assert_int_equal(caller_stat(&caller, "refused_key"), 2);
    caller_close(&caller);
    hall_close(&hall);
}

/* ---- T67 ---- */

static void t67_frames_cut_at_every_byte(void)
{
    struct hall hall;
    struct caller caller;
    struct ipcm__buffer out = {NULL, 0, 0, 0};
    const ipc_any args[] = {ipc_i64(-2), ipc_str("some text"), ipc_f64(0.5)};
    const struct ipcm__request request = {
        .id = 1, .op = IPCM__OP_PING, .args = args, .count = 3};
    assert_int_equal(ipcm__encode_request(&out, &caller_limits, &request), 0);
    hall_prepare(&hall);
    hall_open(&hall);
    for (size_t cut = 4; cut < out.end; cut++) {
        /* With the length of what is there, it is broken; without, the rest
         * never comes. */
        uint8_t frame[256];
        memcpy(frame, out.data, out.end);
        caller_must_open(&hall, 0, &caller);
        send_all(caller.fd, frame, cut);
        caller_close(&caller);
        frame[0] = (uint8_t)(cut - 4);
        caller_must_open(&hall, 0, &caller);
        send_all(caller.fd, frame, cut);
        assert_true(caller_next(&caller));
        assert_true(caller.reply.status < 0);
        assert_false(caller_next(&caller));
        caller_close(&caller);
    }
    ipcm__buffer_free(&out);
    (void)serve_one(&hall, 0);
    hall_close(&hall);
}

/* ---- T70 ---- */

enum {
    SILENT = 40, /* they connect, and say nothing */
    IDLE = 100,  /* they have a session */
    DEAF = 3     /* they never read */
};

static void never_read(const struct hall *hall, struct caller *caller)
{
    caller_must_open(hall, 0, caller);
    const uint64_t list = caller_object(caller, "list", NULL);
    static char text[60000];
    memset(text, 'x', sizeof text);
    call_for(0, caller, IPC_OP_LIST_APPEND, list, ipc_strn(text, sizeof text));
    struct ipcm__buffer out = {NULL, 0, 0, 0};
    const ipc_any first = ipc_i64(0);
    for (uint64_t i = 0; i < 200; i++) {
        const struct ipcm__request request = {.id = 100 + i,
                                              .op = IPC_OP_LIST_GET,
                                              .object = list,
                                              .args = &first,
                                              .count = 1};
        assert_int_equal(ipcm__encode_request(&out, &caller_limits, &request),
                         0);
    }
    send_all(caller->fd, out.data, out.end);
    ipcm__buffer_free(&out);
}

static void t70_slow_and_silent_ones(void)
{
    struct hall hall;
    static int silent[SILENT];
    static struct caller idle[IDLE];
    static struct caller deaf[DEAF];
    struct caller good;
    int64_t worst = 0;
    hall_prepare(&hall);
    hall.limits.handshake_ms = 300;
    hall.limits.queued_bytes = 256 * 1024;
    hall.limits.slow_client_ms = 300;
    hall_open(&hall);
    for (int i = 0; i < IDLE; i++)
        caller_must_open(&hall, i % 2, &idle[i]);
    for (int i = 0; i < SILENT; i++) {
        silent[i] = hall_dial(&hall, 1);
        assert_true(silent[i] >= 0);
        if (i % 2 == 0)
            send_all(silent[i], "libipc1", 7);
    }
    for (int i = 0; i < DEAF; i++)
        never_read(&hall, &deaf[i]);
    caller_must_open(&hall, 0, &good);
    const uint64_t list = caller_object(&good, "list", NULL);
    const int64_t end = test_now_ns() + 700 * (int64_t)1000000;
    long done = 0;
    while (test_now_ns() < end) {
        const int64_t begin = test_now_ns();
        call_for(0, &good, IPC_OP_LIST_APPEND, list, ipc_i64(done++));
        const int64_t took = test_now_ns() - begin;
        if (took > worst)
            worst = took;
    }
    /* The silent ones and the deaf ones are gone, the idle ones are not. */
    for (int i = 0; i < SILENT; i++) {
        char byte;
        assert_int_equal(receive_some(silent[i], &byte, 1), 0);
        close(silent[i]);
    }
    assert_int_equal(caller_stat(&good, "slow"), DEAF);
    assert_int_equal(caller_stat(&good, "connections"), IDLE + 1);
    for (int i = 0; i < IDLE; i++) {
        call_for(0, &idle[i], IPCM__OP_PING, 0);
        caller_close(&idle[i]);
    }
    for (int i = 0; i < DEAF; i++)
        caller_close(&deaf[i]);
    test_report("appends", done);
    test_report("worst_us", worst / 1000);
    assert_true(worst < 1000000000);
    caller_close(&good);
    hall_close(&hall);
}

/* More requests wait than may: the others stay unread, and come later. */
static void no_more_than_in_flight_wait(void)
{
    struct hall hall;
    struct caller caller;
    struct caller other;
    hall_prepare(&hall);
    hall.limits.in_flight = 4;
    hall_open(&hall);
    caller_must_open(&hall, 1, &caller);
    caller_must_open(&hall, 1, &other);
    assert_int_equal(caller.welcome.in_flight, 4);
    const uint64_t list = caller_object(&caller, "list", "data");
    call_for(0, &caller, IPC_OP_LIST_WATCH, list, ipc_i64(0), ipc_i64(0));
    const ipc_any args[] = {ipc_i64(caller_i64(&caller, 0)), ipc_i64(-1)};
    for (uint64_t i = 0; i < 6; i++)
        caller_send(&caller, 100 + i, IPC_OP_LIST_WATCH, list, args, 2);
    while (caller_stat(&other, "waiting") < 4)
        poll_pause();
    call_for(0, &other, IPCM__OP_PING, 0);
    assert_int_equal(caller_stat(&other, "waiting"), 4);
    call_for(0, &other, IPC_OP_LIST_APPEND, list, ipc_i64(1));
    for (uint64_t i = 0; i < 6; i++) {
        assert_true(caller_next(&caller));
        assert_int_equal(caller.reply.status, 0);
    }
    caller_close(&other);
    caller_close(&caller);
    hall_close(&hall);
}

/* ---- limits at the door ---- */

static void more_connections_than_may_be(void)
{
    struct hall hall;
    struct caller callers[3];
    hall_prepare(&hall);
    hall.limits.connections = 2;
    hall_open(&hall);
    caller_must_open(&hall, 0, &callers[0]);
    caller_must_open(&hall, 0, &callers[1]);
    for (int door = 0; door < 2; door++)
        assert_int_equal(caller_open(&hall, door, NULL, &callers[2]), -EUSERS);
    assert_int_equal(caller_stat(&callers[0], "refused_limit"), 2);
    caller_close(&callers[1]);
    while (caller_open(&hall, 0, NULL, &callers[2]) != 0)
        poll_pause();
    caller_close(&callers[2]);
    caller_close(&callers[0]);
    hall_close(&hall);
}

/* Without descriptors guests are turned away, not left in the queue; and when
 * there are some again they are let in. */
static void no_descriptor_is_left(void)
{
    enum {
        MANY = 60
    };
    struct hall hall;
    static struct caller callers[MANY];
    int let_in = 0;
    hall_prepare(&hall);
    hall.page->files = 50;
    hall_open(&hall);
    for (int i = 0; i < MANY; i++) {
        if (caller_open(&hall, 1, NULL, &callers[let_in]) == 0)
            let_in++;
    }
    test_report("let_in", let_in);
    assert_in_range(let_in, 5, 49);
    call_for(0, &callers[0], IPCM__OP_PING, 0);
    for (int i = 0; i < let_in; i++)
        caller_close(&callers[i]);
    const int64_t begin = test_now_ns();
    while (caller_open(&hall, 1, NULL, &callers[0]) != 0) {
        assert_true(test_now_ns() - begin < 2000000000);
        poll_pause();
    }
    caller_close(&callers[0]);
    hall_close(&hall);
}

static const struct test_case cases[] = {
    TEST_CASE(t68_aborted_handshakes),
    TEST_CASE(t69_who_has_another_key_waits_and_is_refused),
    TEST_CASE(t67_frames_cut_at_every_byte),
    TEST_CASE(t70_slow_and_silent_ones),
    TEST_CASE(no_more_than_in_flight_wait),
    TEST_CASE(more_connections_than_may_be),
    TEST_CASE(no_descriptor_is_left),
};

TEST_MAIN(cases)
