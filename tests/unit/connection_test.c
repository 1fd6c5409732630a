/* ipc_pipe and ipc_connection: what is sent arrives, whole, in order, once;
 * and every error of sending and receiving bytes. */
#include "unit/connection_support.h"

#include <signal.h>

/* ---- messages ---- */

static const size_t sizes[] = {
    0,      1,      239,    240,    241,    255,    256,    3999,    4000,
    4001,   65536,  65537,  85196,  85197,  196592, 196607, 196608,  196609,
    196624, 262143, 262144, 262145, 300000, 524288, 600000, 1048579, 5000000};

static void messages_of_all_sizes_arrive_whole(void)
{
    struct ends ends = new_pipe();
    for (unsigned i = 0; i < COUNT(sizes); i++) {
        send_message(ends.a, sizes[i], i);
        recv_message(ends.b, sizes[i], i);
        expect_empty(ends.b);
    }
    close_both(ends);
}

static void a_buffer_of_the_right_size_is_enough(void)
{
    struct ends ends = new_pipe();
    for (unsigned i = 0; i < COUNT(sizes); i++) {
        char *buffer = malloc(sizes[i] + 1);
        size_t bytes = 0;
        assert_non_null(buffer);
        buffer[sizes[i]] = 'z';
        send_message(ends.b, sizes[i], i);
        expect_rc(ipc_connection_recv_into(ends.a, buffer, sizes[i], &bytes),
                  0);
        assert_int_equal(bytes, sizes[i]);
        assert_true(is_message(buffer, bytes, i));
        assert_int_equal(buffer[sizes[i]], 'z');
        free(buffer);
    }
    close_both(ends);
}

static void both_ends_send_and_receive_in_order(void)
{
    struct ends ends = new_pipe();
    for (unsigned i = 0; i < 40; i++) {
        send_message(ends.a, (size_t)i * 31, i);
        send_message(ends.b, (size_t)i * 17, i + 100);
    }
    for (unsigned i = 0; i < 40; i++) {
        recv_message(ends.a, (size_t)i * 17, i + 100);
        recv_message(ends.b, (size_t)i * 31, i);
    }
    expect_empty(ends.a);
    expect_empty(ends.b);
    close_both(ends);
}

static void large_and_small_messages_keep_their_order(void)
{
    struct ends ends = new_pipe();
    send_message(ends.a, SPILLED, 1);
    send_message(ends.a, 0, 2);
    send_message(ends.a, PARTS, 3);
    send_message(ends.a, FLAT, 4);
    recv_message(ends.b, SPILLED, 1);
    recv_message(ends.b, 0, 2);
    recv_message(ends.b, PARTS, 3);
    recv_message(ends.b, FLAT, 4);
    close_both(ends);
}

static void an_empty_message_is_not_the_end(void)
{
    struct ends ends = new_pipe();
    expect_rc(ipc_connection_send(ends.a, NULL, 0), 0);
    expect_rc(ipc_connection_close(ends.a), 0);
    recv_message(ends.b, 0, 0);
    expect_end(ends.b);
    expect_rc(ipc_connection_close(ends.b), 0);
}

/* ---- a buffer that is too small ---- */

static void keeps_what_does_not_fit(size_t message_bytes, size_t capacity)
{
    struct ends ends = new_pipe();
    char *buffer = malloc(message_bytes + 1);
    size_t bytes = 0;
    assert_non_null(buffer);
    memset(buffer, 'z', message_bytes + 1);
    send_message(ends.a, message_bytes, 9);
    for (int i = 0; i < 3; i++) {
        expect_rc(ipc_connection_recv_into(ends.b, buffer, capacity, &bytes),
                  -EMSGSIZE);
        assert_int_equal(bytes, message_bytes);
        expect_detail("the message has");
    }
    assert_int_equal(buffer[0], 'z');
    expect_rc(ipc_connection_recv_into(ends.b, buffer, bytes, &bytes), 0);
    assert_true(is_message(buffer, message_bytes, 9));
    expect_empty(ends.b);
    free(buffer);
    close_both(ends);
}

static void a_message_that_does_not_fit_is_kept(void)
{
    keeps_what_does_not_fit(1, 0);
    keeps_what_does_not_fit(FLAT, FLAT - 1);
    keeps_what_does_not_fit(PARTS, 1);
    keeps_what_does_not_fit(SPILLED, SPILLED - 1);
    keeps_what_does_not_fit(SPILLED, 0);
}

/* ---- the end ---- */

static void what_was_sent_before_the_end_arrives(void)
{
    struct ends ends = new_pipe();
    send_message(ends.a, FLAT, 1);
    send_message(ends.a, SPILLED, 2);
    expect_rc(ipc_connection_close(ends.a), 0);
    recv_message(ends.b, FLAT, 1);
    recv_message(ends.b, SPILLED, 2);
    for (int i = 0; i < 3; i++)
        expect_end(ends.b);
    expect_detail("the other end is gone");
    expect_rc(ipc_connection_close(ends.b), 0);
}

/* The kernel reports that as an error of the connection, before the data. */
static void what_the_other_end_left_unread_does_not_matter(void)
{
    struct ends ends = new_pipe();
    send_message(ends.a, FLAT, 1);
    send_message(ends.b, FLAT, 2);
    expect_rc(ipc_connection_close(ends.b), 0);
    recv_message(ends.a, FLAT, 2);
    expect_end(ends.a);
    expect_rc(ipc_connection_close(ends.a), 0);

    ends = new_pipe();
    send_message(ends.a, FLAT, 1);
    expect_rc(ipc_connection_close(ends.b), 0);
    expect_rc(ipc_connection_poll(ends.a, IPC_TIME_FOREVER), 1);
    expect_rc(ipc_connection_send(ends.a, "x", 1), -EPIPE);
    expect_end(ends.a);
    expect_rc(ipc_connection_close(ends.a), 0);
}

static void sending_to_nobody_is_an_error_and_no_signal(void)
{
    struct ends ends = new_pipe();
    void *large = new_message(SPILLED, 0);
    const int before = count_fds();
    assert_ptr_equal(signal(SIGPIPE, SIG_DFL), SIG_DFL);
    expect_rc(ipc_connection_close(ends.b), 0);
    expect_rc(ipc_connection_send(ends.a, "x", 1), -EPIPE);
    expect_detail("the other end is gone");
    expect_rc(ipc_connection_send_nowait(ends.a, "x", 1), -EPIPE);
    expect_rc(ipc_connection_send(ends.a, large, SPILLED), -EPIPE);
    expect_rc(ipc_connection_send_fd(ends.a, 0), -EPIPE);
    assert_int_equal(count_fds(), before - 1);
    expect_rc(ipc_connection_close(ends.a), 0);
    free(large);
}

/* ---- one way ---- */

static void one_way_goes_from_the_second_to_the_first(void)
{
    struct ends ends = new_one_way();
    void *data = NULL;
    size_t bytes = 0;
    int fd = -1;
    assert_true(ipc_connection_can_recv(ends.a));
    assert_false(ipc_connection_can_send(ends.a));
    assert_false(ipc_connection_can_recv(ends.b));
    assert_true(ipc_connection_can_send(ends.b));
    send_message(ends.b, FLAT, 1);
    recv_message(ends.a, FLAT, 1);
    expect_rc(ipc_connection_send(ends.a, "x", 1), -EBADF);
    expect_detail("only receives");
    expect_rc(ipc_connection_send_fd(ends.a, 0), -EBADF);
    expect_rc(ipc_connection_recv(ends.b, &data, &bytes), -EBADF);
    expect_detail("only sends");
    expect_rc(ipc_connection_recv_fd(ends.b, &fd), -EBADF);
    expect_rc(ipc_connection_poll(ends.b, IPC_TIME_NOW), -EBADF);
    expect_empty(ends.a);
    send_message(ends.b, SPILLED, 2);
    expect_rc(ipc_connection_close(ends.b), 0);
    recv_message(ends.a, SPILLED, 2);
    expect_end(ends.a);
    expect_rc(ipc_connection_close(ends.a), 0);
}

static void one_way_tells_who_sends_that_nobody_receives(void)
{
    struct ends ends = new_one_way();
    expect_rc(ipc_connection_close(ends.a), 0);
    expect_rc(ipc_connection_send(ends.b, "x", 1), -EPIPE);
    expect_rc(ipc_connection_close(ends.b), 0);
}

/* ---- options ---- */

static void options_are_checked(void)
{
    struct ends ends = {NULL, NULL};
    ipc_pipe_options options = IPC_PIPE_OPTIONS_INIT;
    options.flags = 2;
    expect_rc(ipc_pipe(&options, &ends.a, &ends.b), -EINVAL);
    options.flags = 0;
    options.max_bytes = UINT64_C(1) << 63;
    expect_rc(ipc_pipe(&options, &ends.a, &ends.b), -EINVAL);
    options.size = 1;
    expect_rc(ipc_pipe(&options, &ends.a, &ends.b), -EINVAL);
    struct {
        ipc_pipe_options known;
        uint64_t tail;
    } newer = {.known = {.size = sizeof newer}, .tail = 1};
    expect_rc(ipc_pipe(&newer.known, &ends.a, &ends.b), -E2BIG);
    assert_null(ends.a);
    assert_null(ends.b);
    newer.tail = 0;
    expect_rc(ipc_pipe(&newer.known, &ends.a, &ends.b), 0);
    close_both(ends);
    expect_rc(ipc_connection_close(NULL), 0);
}

static void more_than_max_bytes_is_not_sent(void)
{
    const ipc_pipe_options options = {.size = sizeof options,
                                      .max_bytes = 1000};
    struct ends ends = {NULL, NULL};
    void *message = new_message(1001, 3);
    expect_rc(ipc_pipe(&options, &ends.a, &ends.b), 0);
    expect_rc(ipc_connection_send(ends.a, message, 1001), -EMSGSIZE);
    expect_detail("1001 bytes are more than its 1000");
    expect_empty(ends.b);
    expect_rc(ipc_connection_send(ends.a, message, 1000), 0);
    recv_message(ends.b, 1000, 3);
    free(message);
    close_both(ends);
}

/* The other side may have another limit, or none. */
static void drops_what_is_too_large(size_t bytes)
{
    const ipc_connection_options options = {.size = sizeof options,
                                            .max_bytes = bytes - 1};
    struct ends ends = new_pipe();
    ipc_connection *limited = NULL;
    void *data = NULL;
    size_t got = 77;
    const int fd = ipc_connection_detach(ends.b);
    expect_rc(ipc_connection_from_fd(fd, &options, &limited), 0);
    ends.b = limited;
    send_message(ends.a, bytes, 1);
    send_message(ends.a, bytes - 1, 2);
    expect_rc(ipc_connection_recv(limited, &data, &got), -EFBIG);
    expect_detail("was dropped");
    assert_null(data);
    assert_int_equal(got, 77);
    recv_message(limited, bytes - 1, 2);
    expect_empty(limited);
    close_both(ends);
}

static void more_than_max_bytes_is_dropped_by_who_receives(void)
{
    drops_what_is_too_large(2);
    drops_what_is_too_large(PARTS);
    drops_what_is_too_large(SPILLED);
}

static const struct test_case cases[] = {
    TEST_CASE(messages_of_all_sizes_arrive_whole),
    TEST_CASE(a_buffer_of_the_right_size_is_enough),
    TEST_CASE(both_ends_send_and_receive_in_order),
    TEST_CASE(large_and_small_messages_keep_their_order),
    TEST_CASE(an_empty_message_is_not_the_end),
    TEST_CASE(a_message_that_does_not_fit_is_kept),
    TEST_CASE(what_was_sent_before_the_end_arrives),
    TEST_CASE(what_the_other_end_left_unread_does_not_matter),
    TEST_CASE(sending_to_nobody_is_an_error_and_no_signal),
    TEST_CASE(one_way_goes_from_the_second_to_the_first),
    TEST_CASE(one_way_tells_who_sends_that_nobody_receives),
    TEST_CASE(options_are_checked),
    TEST_CASE(more_than_max_bytes_is_not_sent),
    TEST_CASE(more_than_max_bytes_is_dropped_by_who_receives),
};
TEST_MAIN(cases)
