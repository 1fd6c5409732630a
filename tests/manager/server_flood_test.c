/* Guests that are no good: those who go away in the handshake, who have not the
 * key, who send what is no frame, and more than there are descriptors. */
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
    assert_true(took < HALL_LIMIT_MS * (int64_t)1000000);
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

/* The two messages of a client: what it sends in a handshake. */
struct words {
    uint8_t hello[IPCM__HELLO_BYTES];
    uint8_t proof[32];
};

/* Take down what one says who has the key. */
static void overhear(const struct hall *hall, struct words *words)
{
    const struct ipcm__shake_options options = {.purpose = IPCM__FOR_MANAGER,
                                                .key = desk_key,
                                                .key_bytes = sizeof desk_key};
    struct ipcm__shake shake;
    uint8_t bytes[IPCM__WELCOME_BYTES];
    uint8_t *to[] = {words->hello, words->proof};
    const int fd = hall_dial(hall, 0);
    assert_true(fd >= 0);
    int rc = ipcm__shake_begin(&shake, IPCM__CLIENT, &options);
    for (int i = 0; rc == IPCM__SHAKE_MORE;) {
        const void *data;
        const size_t out = ipcm__shake_output(&shake, &data);
        if (out != 0) {
            assert_true(i < 2);
            memcpy(to[i++], data, out);
            send_all(fd, data, out);
            ipcm__shake_sent(&shake, out);
        }
        const size_t n = receive_some(fd, bytes, ipcm__shake_wants(&shake));
        assert_true(n > 0);
        rc = ipcm__shake_feed(&shake, bytes, n);
    }
    assert_int_equal(rc, IPCM__SHAKE_DONE);
    ipcm__shake_end(&shake);
    close(fd);
}

/* Say this HELLO, and have the challenge. */
static int be_challenged(const struct hall *hall, const uint8_t *hello,
                         uint8_t challenge[48])
{
    const int fd = hall_dial(hall, 0);
    size_t have = 0;
    assert_true(fd >= 0);
    send_all(fd, hello, IPCM__HELLO_BYTES);
    while (have < 48) {
        const size_t n = receive_some(fd, challenge + have, 48 - have);
        assert_true(n > 0);
        have += n;
    }
    return fd;
}

/* With this for a proof nobody is let in: what comes is an error, and the
 * end. */
static void is_no_proof(int fd, const uint8_t *proof)
{
    uint8_t bytes[IPCM__WELCOME_BYTES];
    size_t have = 0;
    size_t n;
    send_all(fd, proof, 32);
    while ((n = receive_some(fd, bytes, sizeof bytes)) != 0)
        have += n;
    assert_true(have < IPCM__WELCOME_BYTES);
    close(fd);
}

static void t69_replayed_and_reflected_words_open_nothing(void)
{
    static const uint8_t nothing[32];
    uint8_t challenge[48];
    struct hall hall;
    struct caller caller;
    struct words words;
    hall_prepare(&hall);
    hall_open(&hall);
    overhear(&hall, &words);
    int fd = be_challenged(&hall, words.hello, challenge);
    is_no_proof(fd, words.proof);
    fd = be_challenged(&hall, words.hello, challenge);
    is_no_proof(fd, challenge + sizeof challenge - 32);
    fd = be_challenged(&hall, words.hello, challenge);
    is_no_proof(fd, nothing);
    caller_must_open(&hall, 0, &caller);
    assert_int_equal(caller_stat(&caller, "refused_key"), 3);
    assert_int_equal(caller_stat(&caller, "sessions"), 1);
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

/* Any length, and behind it something or nothing: that connection is closed,
 * and memory is taken for what comes, not for what is said. */
static void t67_lengths_that_nobody_would_send(void)
{
    static uint8_t noise[1u << 20];
    static const uint32_t lengths[] = {
        0, 1, 0x7fffffff, 0x80000000, 0xffffffe0, 0xfffffff0, 0xffffffff};
    struct test_random random = {test_seed()};
    struct hall hall;
    struct caller caller;
    struct caller good;
    hall_prepare(&hall);
    hall_open(&hall);
    caller_must_open(&hall, 0, &good);
    const long rounds = 200 * test_scale();
    for (long i = 0; i < rounds; i++) {
        const size_t which = (size_t)i % 8;
        const uint32_t length =
            which < 7 ? lengths[which] : (uint32_t)test_random_next(&random);
        const size_t bytes =
            i % 3 == 0 ? 0 : (size_t)test_random_between(&random, 1, 4096);
        for (size_t k = 0; k < bytes; k++)
            noise[k + 4] = (uint8_t)test_random_next(&random);
        memcpy(noise, &length, 4);
        caller_must_open(&hall, (int)(i / 8 % 2), &caller);
        send_all(caller.fd, noise, bytes + 4);
        (void)shutdown(caller.fd, SHUT_WR);
        while (caller_next(&caller))
            assert_true(caller.reply.status < 0);
        caller_close(&caller);
    }
    for (size_t k = 0; k < sizeof noise; k++)
        noise[k] = (uint8_t)test_random_next(&random);
    caller_must_open(&hall, 0, &caller);
    send_all(caller.fd, noise, sizeof noise);
    while (caller_next(&caller))
        assert_true(caller.reply.status < 0);
    caller_close(&caller);
    call_for(0, &good, IPCM__OP_PING, 0);
    const int64_t broken = caller_stat(&good, "broken");
    test_report("broken", (long long)broken);
    assert_true(broken > rounds / 2);
    caller_close(&good);
    hall_close(&hall);
}

/* ---- limits ---- */

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
    TEST_CASE(t69_replayed_and_reflected_words_open_nothing),
    TEST_CASE(t67_frames_cut_at_every_byte),
    TEST_CASE(t67_lengths_that_nobody_would_send),
    TEST_CASE(no_more_than_in_flight_wait),
    TEST_CASE(more_connections_than_may_be),
    TEST_CASE(no_descriptor_is_left),
};

TEST_MAIN(cases)
