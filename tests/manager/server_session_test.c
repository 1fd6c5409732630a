/* Sessions over sockets: coming back, dying, and the end of the server. */
#include "server_socket_support.h"

#include <signal.h>

#include <ipc/arena.h>
#include <ipc/list.h>
#include <ipc/time.h>

#define HOLDER ipc_i64(1)

/* Whatever became of its reply. */
static void what_was_done_is_not_done_again(void)
{
    struct hall hall;
    struct caller caller;
    uint8_t session[IPCM__SESSION_BYTES];
    hall_prepare(&hall);
    hall_open(&hall);
    caller_must_open(&hall, 1, &caller);
    memcpy(session, caller.welcome.session, sizeof session);
    const uint64_t list = caller_object(&caller, "list", "data");
    const ipc_any values[] = {ipc_i64(1), ipc_i64(2), ipc_i64(3)};
    for (uint64_t i = 0; i < 3; i++)
        caller_send(&caller, 10 + i, IPC_OP_LIST_APPEND, list, &values[i], 1);
    do
        assert_true(caller_next(&caller));
    while (caller.reply.id != 12);
    caller_close(&caller);

    assert_int_equal(caller_open(&hall, 1, session, &caller), 0);
    assert_int_equal(caller.welcome.flags, IPCM__WELCOME_RESUMED);
    assert_memory_equal(caller.welcome.session, session, sizeof session);
    for (uint64_t i = 0; i < 3; i++) {
        caller_send(&caller, 10 + i, IPC_OP_LIST_APPEND, list, &values[i], 1);
        assert_true(caller_next(&caller));
        assert_int_equal(caller.reply.id, 10 + i);
        assert_int_equal(caller.reply.status, 0);
    }
    caller.id = 12;
    call_for(0, &caller, IPC_OP_LIST_LENGTH, list);
    assert_int_equal(caller_i64(&caller, 0), 3);
    assert_int_equal(caller_stat(&caller, "repeated"), 3);

    /* Not one of another's: a second handshake closes the first. */
    struct caller other;
    assert_int_equal(caller_open(&hall, 1, session, &other), 0);
    assert_false(caller_next(&caller));
    caller_close(&caller);
    other.id = 20;
    assert_int_equal(caller_stat(&other, "sessions"), 1);
    caller_close(&other);
    hall_close(&hall);
}

static void a_pop_is_answered_the_same_again(void)
{
    struct hall hall;
    struct caller caller;
    uint8_t session[IPCM__SESSION_BYTES];
    const ipc_any first = ipc_i64(0);
    hall_prepare(&hall);
    hall.limits.session_reply_bytes = 64;
    hall_open(&hall);
    caller_must_open(&hall, 1, &caller);
    memcpy(session, caller.welcome.session, sizeof session);
    const uint64_t list = caller_object(&caller, "list", "data");
    call_for(0, &caller, IPC_OP_LIST_APPEND, list, ipc_i64(7));
    call_for(0, &caller, IPC_OP_LIST_APPEND, list,
             ipc_str("a text that is too long for the answers that are kept, "
                     "which have only a few bytes"));
    call_for(0, &caller, IPC_OP_LIST_POP, list, ipc_i64(0));
    call_for(0, &caller, IPC_OP_LIST_POP, list, ipc_i64(0));
    const uint64_t last = caller.id;
    caller_close(&caller);
    assert_int_equal(caller_open(&hall, 1, session, &caller), 0);
    caller_send(&caller, last - 1, IPC_OP_LIST_POP, list, &first, 1);
    assert_true(caller_next(&caller));
    assert_int_equal(caller.reply.status, 0);
    assert_int_equal(caller_i64(&caller, 0), 7);
    caller_send(&caller, last, IPC_OP_LIST_POP, list, &first, 1);
    assert_true(caller_next(&caller));
    assert_int_equal(caller.reply.status, -ENODATA);
    caller_close(&caller);
    hall_close(&hall);
}

/* What waited when the connection was lost waits anew. */
static void a_wait_is_taken_up_again(void)
{
    struct hall hall;
    struct caller caller;
    struct caller other;
    uint8_t session[IPCM__SESSION_BYTES];
    hall_prepare(&hall);
    hall_open(&hall);
    caller_must_open(&hall, 1, &caller);
    caller_must_open(&hall, 1, &other);
    memcpy(session, caller.welcome.session, sizeof session);
    const uint64_t list = caller_object(&caller, "list", "data");
    call_for(0, &caller, IPC_OP_LIST_WATCH, list, ipc_i64(0), ipc_i64(0));
    const ipc_any args[] = {ipc_i64(caller_i64(&caller, 0)), ipc_i64(-1)};
    caller_send(&caller, 100, IPC_OP_LIST_WATCH, list, args, 2);
    caller.id = 100;
    call_for(0, &caller, IPCM__OP_PING, 0);
    caller_close(&caller);
    assert_int_equal(caller_open(&hall, 1, session, &caller), 0);
    caller_send(&caller, 100, IPC_OP_LIST_WATCH, list, args, 2);
    caller.id = 200;
    call_for(0, &caller, IPCM__OP_PING, 0);
    assert_int_equal(caller_stat(&caller, "waiting"), 1);
    call_for(0, &other, IPC_OP_LIST_APPEND, list, ipc_i64(1));
    assert_true(caller_next(&caller));
    assert_int_equal(caller.reply.id, 100);
    assert_int_equal(caller.reply.status, 0);
    caller_close(&other);
    caller_close(&caller);
    hall_close(&hall);
}

static void a_session_that_does_not_come_back_ends(void)
{
    struct hall hall;
    struct caller caller;
    struct caller other;
    uint8_t session[IPCM__SESSION_BYTES];
    hall_prepare(&hall);
    hall.limits.session_grace_ms = 50;
    hall_open(&hall);
    caller_must_open(&hall, 1, &caller);
    caller_must_open(&hall, 0, &other);
    memcpy(session, caller.welcome.session, sizeof session);
    const uint64_t lock = caller_object(&caller, "lock", "door");
    assert_int_equal(caller_object(&other, "lock", "door"), lock);
    call_for(0, &caller, IPCM__OP_LOCK_ACQUIRE, lock, HOLDER, ipc_i64(-1));
    caller_close(&caller);
    call_for(1, &other, IPCM__OP_LOCK_ACQUIRE, lock, HOLDER, ipc_i64(-1));
    assert_int_equal(caller_open(&hall, 1, session, &caller), 0);
    assert_int_equal(caller.welcome.flags & IPCM__WELCOME_RESUMED, 0);
    caller_close(&caller);
    caller_close(&other);
    hall_close(&hall);
}

/* ---- death ---- */

struct stage {
    struct hall *hall;
    uint32_t held;
    uint32_t over;
};

static void holder(void *arg)
{
    struct stage *stage = arg;
    struct caller caller;
    caller_must_open(stage->hall, 0, &caller);
    const uint64_t lock = caller_object(&caller, "lock", "door");
    call_for(0, &caller, IPCM__OP_LOCK_ACQUIRE, lock, HOLDER, ipc_i64(-1));
    /* A child keeps the socket open: the pidfd has to tell. */
    struct role child = {fork()};
    if (child.pid == 0) {
        meet_signal(&stage->held);
        (void)meet_within(&stage->over, 1, 10 * HALL_LIMIT_MS);
        _exit(0);
    }
    (void)pause();
}

/* T72: what a killed process held is released within 50 ms, though its socket
 * stays open.  The limit means that it was not. */
static void t72_the_dead_release_what_they_held(void)
{
    struct hall hall;
    struct caller caller;
    struct stage *stage = test_shared(sizeof *stage);
    int64_t worst = 0;
    hall_prepare(&hall);
    hall_open(&hall);
    stage->hall = &hall;
    caller_must_open(&hall, 0, &caller);
    const uint64_t lock = caller_object(&caller, "lock", "door");
    for (uint32_t i = 1; i <= 5; i++) {
        struct role role;
        role_start(&role, holder, stage);
        meet_wait(&stage->held, i, HALL_LIMIT_MS);
        const int64_t killed = test_now_ns();
        (void)role_kill(&role);
        call_for(1, &caller, IPCM__OP_LOCK_ACQUIRE, lock, HOLDER, ipc_i64(-1));
        const int64_t took = test_now_ns() - killed;
        if (took > worst)
            worst = took;
        call_for(0, &caller, IPCM__OP_LOCK_RELEASE, lock, HOLDER);
    }
    meet_signal(&stage->over);
    test_report("worst_us", worst / 1000);
    assert_true(worst < 1000000000);
    caller_close(&caller);
    hall_close(&hall);
}

/* ---- the arena is held by somebody ---- */

static void sitter(void *arg)
{
    struct stage *stage = arg;
    struct caller caller;
    ipc_arena *arena;
    caller_must_open(stage->hall, 0, &caller);
    call_for(0, &caller, IPCM__OP_ARENA, 0);
    assert_int_equal(ipc_arena_attach(caller.got_fd, &arena), 0);
    assert_int_equal(ipc_atomic_begin(arena), 0);
    meet_signal(&stage->held);
    (void)pause();
}

static void who_holds_the_arena_stops_nobody_else(void)
{
    struct hall hall;
    struct caller caller;
    struct role role;
    struct stage *stage = test_shared(sizeof *stage);
    hall_prepare(&hall);
    hall.limits.reply_ms = 100;
    hall_open(&hall);
    stage->hall = &hall;
    caller_must_open(&hall, 0, &caller);
    const uint64_t given = caller_object(&caller, "list", "given");
    const ipc_any args[] = {ipc_str("list"), ipc_nil(), ipc_str("served"),
                            ipc_bool(true)};
    assert_int_equal(caller_ask(&caller, IPCM__OP_OPEN, 0, args, 4), 1);
    const uint64_t served = caller.reply.results.items[0].u64;
    role_start(&role, sitter, stage);
    meet_wait(&stage->held, 1, HALL_LIMIT_MS);
    /* One waits for the arena, another does not even notice. */
    struct caller other;
    caller_must_open(&hall, 0, &other);
    const ipc_any one = ipc_i64(1);
    caller_send(&caller, 1000, IPC_OP_LIST_APPEND, given, &one, 1);
    caller.id = 1000;
    for (int i = 0; i < 100; i++)
        call_for(0, &other, IPC_OP_LIST_APPEND, served, one);
    assert_true(caller_stat(&other, "objects") >= 2);
    assert_true(caller_next(&caller));
    assert_int_equal(caller.reply.id, 1000);
    assert_int_equal(caller.reply.status, -ETIMEDOUT);
    assert_non_null(strstr(caller.reply.detail, "reply_ms is 100"));
    /* When the one who sits there dies the arena is to be had. */
    (void)role_kill(&role);
    call_for(0, &caller, IPC_OP_LIST_APPEND, given, one);
    call_for(0, &caller, IPC_OP_LIST_LENGTH, given);
    assert_int_equal(caller_i64(&caller, 0), 1);
    caller_close(&other);
    caller_close(&caller);
    hall_close(&hall);
}

/* ---- the end ---- */

static void what_is_under_way_is_answered(void)
{
    enum {
        MANY = 2000
    };
    struct hall hall;
    struct caller caller;
    hall_prepare(&hall);
    hall_open(&hall);
    caller_must_open(&hall, 0, &caller);
    const uint64_t list = caller_object(&caller, "list", NULL);
    struct ipcm__buffer out = {NULL, 0, 0, 0};
    for (int64_t i = 0; i < MANY; i++) {
        const ipc_any value = ipc_i64(i);
        const struct ipcm__request request = {.id = 1000 + (uint64_t)i,
                                              .op = IPC_OP_LIST_APPEND,
                                              .object = list,
                                              .args = &value,
                                              .count = 1};
        assert_int_equal(ipcm__encode_request(&out, &caller_limits, &request),
                         0);
    }
    send_all(caller.fd, out.data, out.end);
    ipcm__buffer_free(&out);
    assert_true(caller_next(&caller));
    hall_stop(&hall);
    int64_t answered = 1;
    while (caller_next(&caller)) {
        assert_int_equal(caller.reply.status, 0);
        answered++;
    }
    test_report("answered", answered);
    caller_close(&caller);
    role_wait_ok(&hall.role, HALL_LIMIT_MS);
    close(hall.stop);
    assert_int_equal(hall_dial(&hall, 0), -ENOENT);
}

static const struct test_case cases[] = {
    TEST_CASE(what_was_done_is_not_done_again),
    TEST_CASE(a_pop_is_answered_the_same_again),
    TEST_CASE(a_wait_is_taken_up_again),
    TEST_CASE(a_session_that_does_not_come_back_ends),
    TEST_CASE(t72_the_dead_release_what_they_held),
    TEST_CASE(who_holds_the_arena_stops_nobody_else),
    TEST_CASE(what_is_under_way_is_answered),
};

TEST_MAIN(cases)
