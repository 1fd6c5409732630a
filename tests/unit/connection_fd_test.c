/* ipc_connection: descriptors as messages, connections made of descriptors,
 * and what happens when descriptors, memory and file size run out. */
#include "unit/connection_support.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "harness/faults.h"

/* ---- a descriptor is a message ---- */

static void a_descriptor_arrives(void)
{
    struct ends ends = new_pipe();
    int plain[2];
    int got = -1;
    assert_int_equal(pipe(plain), 0);
    expect_rc(ipc_connection_send_fd(ends.a, plain[1]), 0);
    expect_rc(ipc_connection_recv_fd(ends.b, &got), 0);
    assert_int_not_equal(got, plain[1]);
    assert_true(is_cloexec(got));
    expect_writes_to(got, plain[0]);
    (void)close(got);

    expect_rc(ipc_connection_send_fd_nowait(ends.b, plain[1]), 0);
    expect_rc(ipc_connection_recv_fd_nowait(ends.a, &got), 0);
    (void)close(got);
    expect_rc(ipc_connection_send_fd_until(ends.b, plain[1], IPC_TIME_NOW), 0);
    expect_rc(ipc_connection_recv_fd_until(ends.a, &got, IPC_TIME_NOW), 0);
    (void)close(got);
    expect_rc(ipc_connection_recv_fd_nowait(ends.a, &got), -EAGAIN);
    expect_rc(ipc_connection_recv_fd_until(ends.a, &got, IPC_TIME_NOW),
              -ETIMEDOUT);
    (void)close(plain[0]);
    (void)close(plain[1]);
    close_both(ends);
}

static void what_is_no_descriptor_is_not_sent(void)
{
    struct ends ends = new_pipe();
    expect_rc(ipc_connection_send_fd(ends.a, -1), -EBADF);
    expect_rc(ipc_connection_send_fd(ends.a, 12345), -EBADF);
    expect_detail("12345 is no open descriptor");
    expect_empty(ends.b);
    close_both(ends);
}

static void each_kind_is_kept_for_its_own_call(void)
{
    struct ends ends = new_pipe();
    void *data = NULL;
    size_t bytes = 77;
    int fd = -5;
    const int before = count_fds();
    expect_rc(ipc_connection_send_fd(ends.a, 0), 0);
    send_message(ends.a, FLAT, 1);
    send_message(ends.a, SPILLED, 2);
    for (int i = 0; i < 3; i++) {
        expect_rc(ipc_connection_recv(ends.b, &data, &bytes), -ENOMSG);
        expect_detail("the next message is a descriptor");
        expect_rc(ipc_connection_recv_into(ends.b, NULL, 0, &bytes), -ENOMSG);
    }
    assert_int_equal(bytes, 77);
    expect_rc(ipc_connection_recv_fd(ends.b, &fd), 0);
    (void)close(fd);
    expect_rc(ipc_connection_recv_fd(ends.b, &fd), -ENOMSG);
    expect_detail("the next message is bytes");
    recv_message(ends.b, FLAT, 1);
    expect_rc(ipc_connection_recv_fd(ends.b, &fd), -ENOMSG);
    recv_message(ends.b, SPILLED, 2);
    assert_int_equal(count_fds(), before);
    close_both(ends);
}

static void a_descriptor_outlives_its_sender(void)
{
    struct ends ends = new_pipe();
    int plain[2];
    int got = -1;
    assert_int_equal(pipe(plain), 0);
    expect_rc(ipc_connection_send_fd(ends.a, plain[1]), 0);
    (void)close(plain[1]);
    expect_rc(ipc_connection_close(ends.a), 0);
    expect_rc(ipc_connection_recv_fd(ends.b, &got), 0);
    expect_writes_to(got, plain[0]);
    (void)close(got);
    (void)close(plain[0]);
    expect_end(ends.b);
    expect_rc(ipc_connection_recv_fd(ends.b, &got), -EPIPE);
    expect_rc(ipc_connection_close(ends.b), 0);
}

/* ---- connections made of descriptors ---- */

static void an_end_is_passed_on(void)
{
    struct ends road = new_pipe();
    struct ends cargo = new_pipe();
    ipc_connection *arrived = NULL;
    int fd = -1;
    const int sent = ipc_connection_fileno(cargo.b);
    expect_rc(ipc_connection_send_fd(road.a, sent), 0);
    expect_rc(ipc_connection_close(cargo.b), 0);
    send_message(cargo.a, SPILLED, 4);
    expect_rc(ipc_connection_recv_fd(road.b, &fd), 0);
    expect_rc(ipc_connection_from_fd(fd, NULL, &arrived), 0);
    assert_int_equal(ipc_connection_fileno(arrived), fd);
    recv_message(arrived, SPILLED, 4);
    send_message(arrived, FLAT, 5);
    recv_message(cargo.a, FLAT, 5);
    expect_rc(ipc_connection_close(arrived), 0);
    expect_end(cargo.a);
    expect_rc(ipc_connection_close(cargo.a), 0);
    close_both(road);
}

static void an_end_that_nobody_fetches_goes_with_its_road(void)
{
    struct ends road = new_pipe();
    struct ends cargo = new_pipe();
    expect_rc(ipc_connection_send_fd(road.a, ipc_connection_fileno(cargo.b)),
              0);
    expect_rc(ipc_connection_close(cargo.b), 0);
    expect_empty(cargo.a);
    close_both(road);
    expect_end(cargo.a);
    expect_rc(ipc_connection_close(cargo.a), 0);
}

static void detach_and_from_fd_are_opposites(void)
{
    struct ends ends = new_pipe();
    ipc_connection *again = NULL;
    const int fd = ipc_connection_detach(ends.a);
    const int on = 1;
    send_message(ends.b, FLAT, 1);
    assert_int_equal(fcntl(fd, F_SETFD, 0), 0);
    /* What somebody may have done to it: credentials come along, and looks
     * begin elsewhere. */
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on),
                     0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &on, sizeof on),
                     0);
    expect_rc(ipc_connection_from_fd(fd, NULL, &again), 0);
    assert_true(is_cloexec(fd));
    recv_message(again, FLAT, 1);
    send_message(ends.b, SPILLED, 2);
    recv_message(again, SPILLED, 2);
    expect_rc(ipc_connection_close(again), 0);
    expect_rc(ipc_connection_close(ends.b), 0);
}

static void only_sockets_of_the_right_kind_are_taken(void)
{
    ipc_connection *c = NULL;
    int plain[2];
    int stream[2];
    assert_int_equal(pipe(plain), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
    expect_rc(ipc_connection_from_fd(-1, NULL, &c), -EBADF);
    expect_rc(ipc_connection_from_fd(plain[0], NULL, &c), -ENOTSOCK);
    expect_rc(ipc_connection_from_fd(stream[0], NULL, &c), -EINVAL);
    expect_detail("not a Unix socket of type seqpacket");
    assert_null(c);
    (void)close(plain[0]);
    (void)close(plain[1]);
    (void)close(stream[0]);
    (void)close(stream[1]);
}

static void options_of_from_fd_are_checked(void)
{
    ipc_connection_options options = IPC_CONNECTION_OPTIONS_INIT;
    struct ends ends = new_pipe();
    ipc_connection *c = NULL;
    size_t bytes;
    const int fd = ipc_connection_detach(ends.a);
    options.flags = 4;
    expect_rc(ipc_connection_from_fd(fd, &options, &c), -EINVAL);
    options.flags = IPC_CONNECTION_RECEIVE_ONLY | IPC_CONNECTION_SEND_ONLY;
    expect_rc(ipc_connection_from_fd(fd, &options, &c), -EINVAL);
    options.flags = IPC_CONNECTION_RECEIVE_ONLY;
    options.max_bytes = UINT64_MAX;
    expect_rc(ipc_connection_from_fd(fd, &options, &c), -EINVAL);
    options.max_bytes = 10;
    expect_rc(ipc_connection_from_fd(fd, &options, &c), 0);
    assert_false(ipc_connection_can_send(c));
    expect_rc(ipc_connection_send(c, "x", 1), -EBADF);
    assert_int_equal(ipc_connection_detach(c), fd);
    options.flags = IPC_CONNECTION_SEND_ONLY;
    expect_rc(ipc_connection_from_fd(fd, &options, &c), 0);
    assert_false(ipc_connection_can_recv(c));
    expect_rc(ipc_connection_recv_into(c, NULL, 0, &bytes), -EBADF);
    expect_rc(ipc_connection_send(c, "12345678901", 11), -EMSGSIZE);
    expect_rc(ipc_connection_close(c), 0);
    expect_rc(ipc_connection_close(ends.b), 0);
}

static void the_direction_goes_with_the_descriptor(void)
{
    struct ends ends = new_one_way();
    ipc_connection *first = NULL;
    const int fd = ipc_connection_detach(ends.a);
    expect_rc(ipc_connection_from_fd(fd, NULL, &first), 0);
    expect_rc(ipc_connection_send(first, "x", 1), -EPIPE);
    send_message(ends.b, FLAT, 1);
    recv_message(first, FLAT, 1);
    expect_rc(ipc_connection_close(first), 0);
    expect_rc(ipc_connection_close(ends.b), 0);
}

/* A small buffer, which the program has set: more goes into memfds. */
static void small_socket_buffers_do(void)
{
    const int small = 1;
    int fds[2];
    struct ends ends = {NULL, NULL};
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    assert_int_equal(
        setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    expect_rc(ipc_connection_from_fd(fds[0], NULL, &ends.a), 0);
    expect_rc(ipc_connection_from_fd(fds[1], NULL, &ends.b), 0);
    for (unsigned bytes = 4000; bytes < 5000; bytes++) {
        send_message(ends.a, bytes, bytes);
        recv_message(ends.b, bytes, bytes);
    }
    send_message(ends.a, SPILLED, 1);
    recv_message(ends.b, SPILLED, 1);
    close_both(ends);
}

/* ---- no descriptor left ---- */

static void without_a_descriptor_nothing_is_lost(void)
{
    struct ends ends = new_pipe();
    char *buffer = malloc(SPILLED);
    size_t bytes = 77;
    int fd = -5;
    assert_non_null(buffer);
    expect_rc(ipc_connection_send_fd(ends.a, 0), 0);
    send_message(ends.a, SPILLED, 1);
    send_message(ends.a, PARTS, 2);

    fault_fds_left(0);
    for (int i = 0; i < 3; i++) {
        expect_rc(ipc_connection_recv_fd(ends.b, &fd), -EMFILE);
        expect_detail("none is free");
    }
    fault_fds_restore();
    fault_fds_left(1); /* one is enough */
    expect_rc(ipc_connection_recv_fd(ends.b, &fd), 0);
    expect_rc(ipc_connection_recv_into(ends.b, buffer, SPILLED, &bytes),
              -EMFILE);
    expect_rc(ipc_connection_recv_into(ends.b, buffer, SPILLED, &bytes),
              -EMFILE);
    (void)close(fd);
    expect_rc(ipc_connection_recv_into(ends.b, buffer, SPILLED, &bytes), 0);
    assert_true(is_message(buffer, SPILLED, 1));
    fault_fds_restore();
    fault_fds_left(0);
    recv_message(ends.b, PARTS, 2); /* needs none */
    fault_fds_restore();
    expect_empty(ends.b);
    free(buffer);
    close_both(ends);
}

static void without_a_descriptor_small_messages_are_sent(void)
{
    struct ends ends = new_pipe();
    void *large = new_message(SPILLED, 0);
    ipc_connection *one;
    ipc_connection *two;
    fault_fds_left(0);
    expect_rc(ipc_connection_send(ends.a, large, SPILLED), -EMFILE);
    expect_rc(ipc_pipe(NULL, &one, &two), -EMFILE);
    expect_rc(ipc_connection_send(ends.a, large, PARTS), 0);
    expect_rc(ipc_connection_send_fd(ends.a, 0), 0);
    fault_fds_restore();
    fault_fds_left(1);
    expect_rc(ipc_pipe(NULL, &one, &two), -EMFILE);
    expect_rc(ipc_connection_send(ends.a, large, SPILLED), 0);
    fault_fds_restore();
    recv_message(ends.b, PARTS, 0);
    int fd = -1;
    expect_rc(ipc_connection_recv_fd(ends.b, &fd), 0);
    (void)close(fd);
    recv_message(ends.b, SPILLED, 0);
    free(large);
    close_both(ends);
}

/* ---- other things run out; each in a process that stays so ---- */

struct scene {
    struct ends ends;
    int fd;
};

static void in_a_role(void (*run)(void *arg))
{
    struct role role;
    struct scene scene = {.ends = new_pipe()};
    role_start(&role, run, &scene);
    role_wait_ok(&role, LIMIT_MS);
    expect_empty(scene.ends.b);
    close_both(scene.ends);
}

static void large_fails_small_works(struct ends ends, int error)
{
    void *large = new_message(SPILLED, 1);
    const int before = count_fds();
    expect_rc(ipc_connection_send(ends.a, large, SPILLED), error);
    assert_int_equal(count_fds(), before);
    expect_empty(ends.b);
    send_message(ends.a, PARTS, 2);
    recv_message(ends.b, PARTS, 2);
    free(large);
}

static void no_large_files(void *arg)
{
    struct scene *scene = arg;
    const struct rlimit limit = {1000, 1000};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    large_fails_small_works(scene->ends, -EFBIG);
}

static void a_limit_on_files_is_an_error_and_no_signal(void)
{
    in_a_role(no_large_files);
}

static void no_memory_for_files(void *arg)
{
    struct scene *scene = arg;
    fault_syscall_nth(SYS_write, 1, ENOSPC);
    large_fails_small_works(scene->ends, -ENOSPC);
}

static void a_full_memory_is_an_error(void)
{
    in_a_role(no_memory_for_files);
}

static void no_files_at_all(void *arg)
{
    struct scene *scene = arg;
    fault_syscall(SYS_memfd_create, ENOSYS);
    large_fails_small_works(scene->ends, -ENOSYS);
}

static void without_memfd_small_messages_work(void)
{
    in_a_role(no_files_at_all);
}

static void old_kernel(void *arg)
{
    struct scene *scene = arg;
    fault_syscall_nth(SYS_memfd_create, 1, EINVAL);
    send_message(scene->ends.a, SPILLED, 1);
    recv_message(scene->ends.b, SPILLED, 1);
    assert_true(fault_syscall_count() == 2);
}

static void a_kernel_that_knows_fewer_flags_will_do(void)
{
    in_a_role(old_kernel);
}

/* Then it goes in smaller pieces of kernel memory. */
static void no_large_pieces(void *arg)
{
    struct scene *scene = arg;
    fault_syscall_nth(SYS_sendmsg, 1, ENOBUFS);
    send_message(scene->ends.a, 190000, 1);
    assert_true(fault_syscall_count() == 2);
    recv_message(scene->ends.b, 190000, 1);
}

static void without_large_pieces_of_memory_it_takes_small_ones(void)
{
    in_a_role(no_large_pieces);
}

static void no_memory_to_send(void *arg)
{
    struct scene *scene = arg;
    void *message = new_message(PARTS, 1);
    fault_syscall_nth(SYS_sendmsg, 1, ENOBUFS);
    expect_rc(ipc_connection_send(scene->ends.a, message, PARTS), -ENOMEM);
    expect_empty(scene->ends.b);
    expect_rc(ipc_connection_send(scene->ends.a, message, PARTS), 0);
    recv_message(scene->ends.b, PARTS, 1);
    free(message);
}

static void no_kernel_memory_is_an_error(void)
{
    in_a_role(no_memory_to_send);
}

static void memory_gone(void *arg)
{
    struct scene *scene = arg;
    void *data = NULL;
    size_t bytes = 0;
    const int before = count_fds();
    send_message(scene->ends.a, SPILLED, 1);
    send_message(scene->ends.a, FLAT, 2);
    fault_syscall_nth(SYS_pread64, 1, EIO);
    expect_rc(ipc_connection_recv(scene->ends.b, &data, &bytes), -EIO);
    recv_message(scene->ends.b, FLAT, 2);
    assert_int_equal(count_fds(), before);
}

static void memory_that_cannot_be_read_is_an_error(void)
{
    in_a_role(memory_gone);
}

static const struct test_case cases[] = {
    TEST_CASE(a_descriptor_arrives),
    TEST_CASE(what_is_no_descriptor_is_not_sent),
    TEST_CASE(each_kind_is_kept_for_its_own_call),
    TEST_CASE(a_descriptor_outlives_its_sender),
    TEST_CASE(an_end_is_passed_on),
    TEST_CASE(an_end_that_nobody_fetches_goes_with_its_road),
    TEST_CASE(detach_and_from_fd_are_opposites),
    TEST_CASE(only_sockets_of_the_right_kind_are_taken),
    TEST_CASE(options_of_from_fd_are_checked),
    TEST_CASE(the_direction_goes_with_the_descriptor),
    TEST_CASE(small_socket_buffers_do),
    TEST_CASE(without_a_descriptor_nothing_is_lost),
    TEST_CASE(without_a_descriptor_small_messages_are_sent),
    TEST_CASE(a_limit_on_files_is_an_error_and_no_signal),
    TEST_CASE(a_full_memory_is_an_error),
    TEST_CASE(without_memfd_small_messages_work),
    TEST_CASE(a_kernel_that_knows_fewer_flags_will_do),
    TEST_CASE(without_large_pieces_of_memory_it_takes_small_ones),
    TEST_CASE(no_kernel_memory_is_an_error),
    TEST_CASE(memory_that_cannot_be_read_is_an_error),
};
TEST_MAIN(cases)
