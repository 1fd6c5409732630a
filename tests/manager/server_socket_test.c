/* A server and its clients over sockets: the way of one request. */
#include "server_socket_support.h"

#include <ipc/arena.h>
#include <ipc/list.h>

static void append_and_get(void)
{
    struct hall hall;
    struct caller caller;
    hall_prepare(&hall);
    hall_open(&hall);
    for (int door = 0; door < 2; door++) {
        caller_must_open(&hall, door, &caller);
        const uint64_t list = caller_object(&caller, "list", "data");
        call_for(0, &caller, IPC_OP_LIST_APPEND, list, ipc_i64(111 + door));
        call_for(0, &caller, IPC_OP_LIST_GET, list, ipc_i64(-1));
        assert_int_equal(caller_i64(&caller, 0), 111 + door);
        caller_close(&caller);
    }
    hall_close(&hall);
}

static void the_arena_is_handed_out(void)
{
    struct hall hall;
    struct caller caller;
    ipc_arena *arena;
    ipc_list *list;
    int64_t value;
    hall_prepare(&hall);
    hall_open(&hall);
    caller_must_open(&hall, 0, &caller);
    assert_true((caller.welcome.flags & IPCM__WELCOME_ARENA) != 0);
    const uint64_t number = caller_object(&caller, "list", "data");
    assert_int_equal(caller_i64(&caller, 1), 1);
    call_for(0, &caller, IPCM__OP_ARENA, 0);
    assert_true(caller.got_fd >= 0);
    assert_int_equal(ipc_arena_attach(caller.got_fd, &arena), 0);
    assert_int_equal(ipc_arena_list(arena, "data", &list), 0);
    assert_int_equal(ipc_list_append_i64(list, 333), 0);
    call_for(0, &caller, IPC_OP_LIST_GET, number, ipc_i64(0));
    assert_int_equal(caller_i64(&caller, 0), 333);
    call_for(0, &caller, IPC_OP_LIST_APPEND, number, ipc_i64(444));
    assert_int_equal(ipc_list_get_i64(list, 1, &value), 0);
    assert_int_equal(value, 444);
    assert_int_equal(ipc_list_close(list), 0);
    assert_int_equal(ipc_arena_close(arena), 0);
    caller_close(&caller);

    caller_must_open(&hall, 1, &caller);
    assert_true((caller.welcome.flags & IPCM__WELCOME_ARENA) == 0);
    call_for(-EPERM, &caller, IPCM__OP_ARENA, 0);
    caller_close(&caller);
    hall_close(&hall);
}

static void requests_are_pipelined(void)
{
    enum {
        MANY = 1000
    };
    struct hall hall;
    struct caller caller;
    hall_prepare(&hall);
    hall_open(&hall);
    caller_must_open(&hall, 0, &caller);
    const uint64_t list = caller_object(&caller, "list", NULL);
    struct ipcm__buffer out = {NULL, 0, 0, 0};
    const uint64_t first = caller.id + 1;
    for (int64_t i = 0; i < MANY; i++) {
        const ipc_any value = ipc_i64(i);
        const struct ipcm__request request = {.id = ++caller.id,
                                              .op = IPC_OP_LIST_APPEND,
                                              .object = list,
                                              .args = &value,
                                              .count = 1};
        assert_int_equal(ipcm__encode_request(&out, &caller_limits, &request),
                         0);
    }
    send_all(caller.fd, out.data, out.end);
    ipcm__buffer_free(&out);
    for (uint64_t i = 0; i < MANY; i++) {
        assert_true(caller_next(&caller));
        assert_int_equal(caller.reply.id, first + i);
        assert_int_equal(caller.reply.status, 0);
    }
    call_for(0, &caller, IPC_OP_LIST_LENGTH, list);
    assert_int_equal(caller_i64(&caller, 0), MANY);
    caller_close(&caller);
    hall_close(&hall);
}

static void values_as_long_as_a_frame(void)
{
    struct hall hall;
    struct caller caller;
    const size_t bytes = (1u << 20) - 64;
    char *text = malloc(bytes);
    assert_non_null(text);
    memset(text, 'x', bytes);
    hall_prepare(&hall);
    hall_open(&hall);
    caller_must_open(&hall, 1, &caller);
    const uint64_t list = caller_object(&caller, "list", NULL);
    for (int i = 0; i < 4; i++)
        call_for(0, &caller, IPC_OP_LIST_APPEND, list, ipc_strn(text, bytes));
    call_for(0, &caller, IPC_OP_LIST_GET, list, ipc_i64(3));
    assert_int_equal(caller.reply.results.items[0].size, bytes);
    assert_memory_equal(caller.reply.results.items[0].str, text, bytes);
    /* Two of them do not fit a reply. */
    call_for(-EMSGSIZE, &caller, IPC_OP_LIST_SLICE, list, ipc_i64(0),
             ipc_i64(2), ipc_i64(1));
    free(text);
    caller_close(&caller);
    hall_close(&hall);
}

/* They come in pieces of any size. */
static void long_requests_are_pipelined(void)
{
    enum {
        MANY = 20,
        BYTES = 65536
    };
    static char text[BYTES];
    struct hall hall;
    struct caller caller;
    hall_prepare(&hall);
    hall_open(&hall);
    caller_must_open(&hall, 0, &caller);
    const uint64_t list = caller_object(&caller, "list", NULL);
    for (int round = 1; round <= 20; round++) {
        struct ipcm__buffer out = {NULL, 0, 0, 0};
        for (int i = 0; i < MANY; i++) {
            const ipc_any value = ipc_bytes(text, sizeof text);
            const struct ipcm__request request = {.id = ++caller.id,
                                                  .op = IPC_OP_LIST_APPEND,
                                                  .object = list,
                                                  .args = &value,
                                                  .count = 1};
            assert_int_equal(
                ipcm__encode_request(&out, &caller_limits, &request), 0);
        }
        send_all(caller.fd, out.data, out.end);
        ipcm__buffer_free(&out);
        for (int i = 0; i < MANY; i++) {
            assert_true(caller_next(&caller));
            assert_int_equal(caller.reply.status, 0);
        }
        call_for(0, &caller, IPC_OP_LIST_LENGTH, list);
        assert_int_equal(caller_i64(&caller, 0), round * MANY);
    }
    caller_close(&caller);
    hall_close(&hall);
}

/* The server sends what fits the socket, and goes on with what it has to say
 * meanwhile. */
static void replies_that_are_taken_slowly_are_whole(void)
{
    enum {
        MANY = 300,
        BYTES = 30000
    };
    static char text[BYTES];
    struct hall hall;
    struct caller caller;
    hall_prepare(&hall);
    hall.limits.queued_bytes = 256 * 1024;
    hall_open(&hall);
    caller_must_open(&hall, 0, &caller);
    const uint64_t list = caller_object(&caller, "list", NULL);
    for (int i = 0; i < 3; i++) {
        memset(text, 'a' + i, sizeof text);
        call_for(0, &caller, IPC_OP_LIST_APPEND, list,
                 ipc_strn(text, sizeof text - (size_t)i * 1000));
    }
    struct ipcm__buffer out = {NULL, 0, 0, 0};
    const uint64_t first = caller.id + 1;
    for (int64_t i = 0; i < MANY; i++) {
        const ipc_any place = ipc_i64(i % 3);
        const struct ipcm__request request = {.id = ++caller.id,
                                              .op = IPC_OP_LIST_GET,
                                              .object = list,
                                              .args = &place,
                                              .count = 1};
        assert_int_equal(ipcm__encode_request(&out, &caller_limits, &request),
                         0);
    }
    send_all(caller.fd, out.data, out.end);
    ipcm__buffer_free(&out);
    for (uint64_t i = 0; i < MANY; i++) {
        assert_true(caller_next(&caller));
        assert_int_equal(caller.reply.id, first + i);
        const ipc_any *value = &caller.reply.results.items[0];
        assert_int_equal(value->size, BYTES - (i % 3) * 1000);
        assert_int_equal(value->str[value->size - 1], 'a' + (int)(i % 3));
    }
    caller_close(&caller);
    hall_close(&hall);
}

static void frames_that_are_none_break_the_connection(void)
{
    static const char *const frames[] = {
        "\x00\x00\x00\x00", "\xff\xff\xff\xff", "\x01\x00\x00\x00\xc1",
        "\x03\x00\x00\x00\x92\x01\x00", "\x04\x00\x00\x00\x93\x00\x01\x00"};
    static const size_t bytes[] = {4, 4, 5, 7, 8};
    struct hall hall;
    struct caller caller;
    hall_prepare(&hall);
    hall_open(&hall);
    for (size_t i = 0; i < 5; i++) {
        caller_must_open(&hall, 0, &caller);
        send_all(caller.fd, frames[i], bytes[i]);
        assert_true(caller_next(&caller));
        assert_int_equal(caller.reply.id, 0);
        assert_true(caller.reply.status < 0);
        assert_false(caller_next(&caller));
        caller_close(&caller);
    }
    caller_must_open(&hall, 0, &caller);
    assert_int_equal(caller_stat(&caller, "broken"), 5);
    assert_int_equal(caller_stat(&caller, "sessions"), 1);
    caller_close(&caller);
    hall_close(&hall);
}

static void who_is_done_says_goodbye(void)
{
    struct hall hall;
    struct caller caller;
    hall_prepare(&hall);
    hall_open(&hall);
    caller_must_open(&hall, 1, &caller);
    call_for(0, &caller, IPCM__OP_GOODBYE, 0);
    assert_false(caller_next(&caller));
    caller_close(&caller);
    caller_must_open(&hall, 1, &caller);
    assert_int_equal(caller_stat(&caller, "sessions"), 1);
    call_for(-EPERM, &caller, IPCM__OP_SHUTDOWN, 0);
    caller_close(&caller);
    hall_close(&hall);
}

static void who_has_the_key_may_end_it_if_so_asked(void)
{
    struct hall hall;
    struct caller caller;
    hall_prepare(&hall);
    hall.options.flags = IPC_MANAGER_REMOTE_SHUTDOWN;
    hall_open(&hall);
    caller_must_open(&hall, 1, &caller);
    call_for(0, &caller, IPCM__OP_SHUTDOWN, 0);
    assert_false(caller_next(&caller));
    caller_close(&caller);
    role_wait_ok(&hall.role, HALL_LIMIT_MS);
    close(hall.stop);
}

static const struct test_case cases[] = {
    TEST_CASE(append_and_get),
    TEST_CASE(the_arena_is_handed_out),
    TEST_CASE(requests_are_pipelined),
    TEST_CASE(values_as_long_as_a_frame),
    TEST_CASE(long_requests_are_pipelined),
    TEST_CASE(replies_that_are_taken_slowly_are_whole),
    TEST_CASE(frames_that_are_none_break_the_connection),
    TEST_CASE(who_is_done_says_goodbye),
    TEST_CASE(who_has_the_key_may_end_it_if_so_asked),
};

TEST_MAIN(cases)
