/* Waiting for processes, asking about them, and sending them signals. */
#include "unit/process_support.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- join ---- */

static void join_waits_tries_or_waits_until(void)
{
    uint32_t *words = test_shared(2 * sizeof *words);
    ipc_process p;
    start(&p, come_and_stay, words);
    for (int i = 0; i < 3; i++) {
        CHECK(ipc_process_join_nowait(&p), -EAGAIN);
        CHECK(ipc_process_join_until(&p, IPC_TIME_NOW), -ETIMEDOUT);
        CHECK(ipc_process_join_until(&p, ipc_now() - 1), -ETIMEDOUT);
        CHECK(ipc_process_join_until(&p, -5), -ETIMEDOUT);
        assert_true(ipc_process_is_alive(&p));
    }
    assert_non_null(strstr(ipc_error_detail(), ipc_process_name(&p)));
    const int64_t from = ipc_now();
    const ipc_deadline deadline = ipc_after_ms(30);
    CHECK(ipc_process_join_until(&p, deadline), -ETIMEDOUT);
    assert_true(ipc_now() >= deadline);
    assert_true(ipc_now() - from < (int64_t)LIMIT_MS * 1000000);

    meet_signal(&words[1]);
    CHECK(ipc_process_join_until(&p, IPC_TIME_FOREVER), 0);
    for (int i = 0; i < 2; i++) {
        CHECK(ipc_process_join(&p), 0);
        CHECK(ipc_process_join_nowait(&p), 0);
        CHECK(ipc_process_join_until(&p, IPC_TIME_NOW), 0);
        CHECK(ipc_process_join_until(&p, -5), 0);
    }
    assert_false(ipc_process_is_alive(&p));
    assert_int_equal(end_of(&p), 0);
}

static void expect_all(ipc_process *p, int error)
{
    int code = 4711;
    CHECK(ipc_process_join(p), error);
    CHECK(ipc_process_join_nowait(p), error);
    CHECK(ipc_process_join_until(p, ipc_after_ms(1)), error);
    CHECK(ipc_process_exitcode(p, &code), error);
    assert_int_equal(code, 4711);
    CHECK(ipc_process_terminate(p), error);
    CHECK(ipc_process_kill(p), error);
    CHECK(ipc_process_interrupt(p), error);
    CHECK(ipc_process_signal(p, SIGUSR1), error);
    CHECK(ipc_process_fd(p), error);
    assert_false(ipc_process_is_alive(p));
}

static void nothing_is_known_before_start_and_after_close(void)
{
    ipc_process p = {.state_ = 0};
    expect_all(&p, -EINVAL);
    CHECK(ipc_process_init(&p, return_zero, NULL, NULL), 0);
    expect_all(&p, -EINVAL);
    CHECK(ipc_process_start(&p), 0);
    assert_int_equal(end_of(&p), 0);
    expect_all(&p, -EINVAL);
}

struct relatives {
    ipc_process self, sibling;
};

static int use_the_handles(void *arg)
{
    struct relatives *all = arg;
    expect_all(&all->sibling, -ECHILD);
    CHECK(ipc_process_close(&all->sibling), 0);
    CHECK(ipc_process_join(&all->self), -EDEADLK);
    CHECK(ipc_process_join_until(&all->self, ipc_after_ms(1)), -EDEADLK);
    assert_true(ipc_process_is_alive(&all->self));
    int code;
    CHECK(ipc_process_exitcode(&all->self, &code), -EAGAIN);
    return 0;
}

static void handle_in_a_child_is_not_its_own(void)
{
    static struct relatives all;
    uint32_t *words = test_shared(2 * sizeof *words);
    start(&all.sibling, come_and_stay, words);
    start(&all.self, use_the_handles, &all);
    assert_int_equal(end_of(&all.self), 0);
    assert_true(ipc_process_is_alive(&all.sibling));
    meet_signal(&words[1]);
    assert_int_equal(end_of(&all.sibling), 0);
}

static void use_them_after_fork(void *arg)
{
    struct relatives *all = arg;
    const int fd = ipc_process_fd(&all->sibling);
    assert_int_equal(fd, -ECHILD);
    expect_all(&all->sibling, -ECHILD);
    const int fds = count_fds();
    CHECK(ipc_process_close(&all->sibling), 0);
    assert_int_equal(count_fds(), fds - 1);
}

static void handle_in_a_plain_fork_is_not_its_own(void)
{
    static struct relatives all;
    uint32_t *words = test_shared(2 * sizeof *words);
    start(&all.sibling, come_and_stay, words);
    struct role role;
    role_start(&role, use_them_after_fork, &all);
    role_wait_ok(&role, LIMIT_MS);
    meet_signal(&words[1]);
    assert_int_equal(end_of(&all.sibling), 0);
}

static void use_my_parents_object(void *arg)
{
    expect_all(arg, -ECHILD);
}

static int fork_by_hand(void *unused)
{
    (void)unused;
    struct role role;
    role_start(&role, use_my_parents_object, ipc_current_process());
    role_wait_ok(&role, LIMIT_MS);
    return 5;
}

static void object_of_a_process_is_not_its_forks_own(void)
{
    assert_int_equal(run(fork_by_hand, NULL), 5);
}

/* ---- several threads join one process ---- */

struct joiner {
    pthread_t thread;
    ipc_process *process;
    int deadline_ms; /* -1: none */
    int first, last, code;
};

static void *join_it(void *arg)
{
    struct joiner *self = arg;
    self->first = self->deadline_ms < 0
                      ? ipc_process_join(self->process)
                      : ipc_process_join_until(self->process,
                                               ipc_after_ms(self->deadline_ms));
    self->last = ipc_process_join_until(self->process, ipc_after_ms(LIMIT_MS));
    self->code = 4711;
    (void)ipc_process_exitcode(self->process, &self->code);
    return NULL;
}

static void many_threads_join_one_process(void)
{
    enum {
        COUNT = 9
    };
    struct joiner joiners[COUNT];
    uint32_t *words = test_shared(2 * sizeof *words);
    ipc_process p;
    start(&p, come_and_stay, words);
    for (int i = 0; i < COUNT; i++) {
        static const int deadlines[] = {-1, LIMIT_MS, 5};
        joiners[i] =
            (struct joiner){.process = &p, .deadline_ms = deadlines[i % 3]};
        assert_int_equal(
            pthread_create(&joiners[i].thread, NULL, join_it, &joiners[i]), 0);
    }
    CHECK(ipc_process_join_until(&p, ipc_after_ms(30)), -ETIMEDOUT);
    CHECK(ipc_process_signal(&p, SIGKILL), 0);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(pthread_join(joiners[i].thread, NULL), 0);
        assert_true(joiners[i].first == 0 ||
                    (i % 3 == 2 && joiners[i].first == -ETIMEDOUT));
        assert_int_equal(joiners[i].last, 0);
        assert_int_equal(joiners[i].code, -SIGKILL);
    }
    assert_int_equal(end_of(&p), -SIGKILL);
}

/* ---- exit codes ---- */

static void exitcode_is_known_at_the_end(void)
{
    uint32_t *words = test_shared(2 * sizeof *words);
    ipc_process p;
    int code = 4711;
    CHECK(ipc_process_init(&p, come_and_stay, words, NULL), 0);
    CHECK(ipc_process_exitcode(&p, &code), -EINVAL);
    CHECK(ipc_process_start(&p), 0);
    CHECK(ipc_process_exitcode(&p, &code), -EAGAIN);
    assert_int_equal(code, 4711);
    meet_signal(&words[1]);
    while (ipc_process_exitcode(&p, &code) == -EAGAIN) /* no join at all */
        poll_pause();
    assert_int_equal(code, 0);
    CHECK(ipc_process_close(&p), 0);
}

/* ---- signals ---- */

static void signals_end_it(void)
{
    static int (*const ways[])(ipc_process *) = {
        ipc_process_terminate, ipc_process_kill, ipc_process_interrupt};
    static const int signals[] = {SIGTERM, SIGKILL, SIGINT};
    for (int i = 0; i < 3; i++) {
        ipc_process p;
        start(&p, sleep_for_good, NULL);
        CHECK(ways[i](&p), 0);
        CHECK(ipc_process_join_until(&p, ipc_after_ms(LIMIT_MS)), 0);
        CHECK(ways[i](&p), 0); /* it has ended, and that is fine */
        assert_int_equal(end_of(&p), -signals[i]);
    }
    ipc_process p;
    start(&p, sleep_for_good, NULL);
    CHECK(ipc_process_signal(&p, 0), 0);
    CHECK(ipc_process_signal(&p, 65), -EINVAL);
    CHECK(ipc_process_signal(&p, -1), -EINVAL);
    assert_true(ipc_process_is_alive(&p));
    CHECK(ipc_process_signal(&p, SIGUSR2), 0);
    assert_int_equal(end_of(&p), -SIGUSR2);
}

static void signal_to_a_zombie_is_fine(void)
{
    ipc_process p;
    start(&p, return_zero, NULL);
    siginfo_t info;
    assert_int_equal(
        waitid(P_PID, (id_t)ipc_process_pid(&p), &info, WEXITED | WNOWAIT), 0);
    CHECK(ipc_process_terminate(&p), 0);
    CHECK(ipc_process_kill(&p), 0);
    assert_int_equal(end_of(&p), 0);
}

static void stopped_process_is_alive(void)
{
    ipc_process p;
    siginfo_t info;
    start(&p, sleep_for_good, NULL);
    CHECK(ipc_process_signal(&p, SIGSTOP), 0);
    const id_t pid = (id_t)ipc_process_pid(&p);
    assert_int_equal(waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT), 0);
    CHECK(ipc_process_join_until(&p, ipc_after_ms(1)), -ETIMEDOUT);
    assert_true(ipc_process_is_alive(&p));
    /* The news of the stop is still there for who asks for it. */
    assert_int_equal(waitid(P_PID, pid, &info, WSTOPPED | WNOHANG), 0);
    assert_int_equal(info.si_code, CLD_STOPPED);
    CHECK(ipc_process_kill(&p), 0);
    assert_int_equal(end_of(&p), -SIGKILL);
}

static void signal_what_is_roots(void *arg)
{
    uint32_t *words = test_shared(2 * sizeof *words);
    (void)arg;
    ipc_process p;
    start(&p, come_and_stay, words);
    meet_wait(&words[0], 1, LIMIT_MS);
    if (setresuid(65534, 65534, 65534) != 0)
        test_skip("only root can become another user");
    CHECK(ipc_process_terminate(&p), -EPERM);
    assert_non_null(strstr(ipc_error_detail(), ipc_process_name(&p)));
    assert_true(ipc_process_is_alive(&p));
    meet_signal(&words[1]);
    assert_int_equal(end_of(&p), 0);
}

static void signal_to_another_user_is_not_permitted(void)
{
    struct role role;
    role_start(&role, signal_what_is_roots, NULL);
    role_wait_ok(&role, LIMIT_MS);
}

/* ---- the sentinel ---- */

static void sentinel_works_in_poll_and_epoll(void)
{
    uint32_t *words = test_shared(2 * sizeof *words);
    ipc_process p;
    CHECK(ipc_process_init(&p, come_and_stay, words, NULL), 0);
    CHECK(ipc_process_fd(&p), -EINVAL);
    CHECK(ipc_process_start(&p), 0);
    const int fd = ipc_process_fd(&p);
    assert_true(fd > 2);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);

    struct pollfd item = {.fd = fd, .events = POLLIN};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &p}, got;
    const int set = epoll_create1(EPOLL_CLOEXEC);
    assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
    assert_int_equal(poll(&item, 1, 20), 0);
    assert_int_equal(epoll_wait(set, &got, 1, 0), 0);
    meet_signal(&words[1]);
    assert_int_equal(epoll_wait(set, &got, 1, LIMIT_MS), 1);
    assert_ptr_equal(got.data.ptr, &p);
    for (int i = 0; i < 2; i++) {
        item.revents = 0;
        assert_int_equal(poll(&item, 1, 0), 1);
        assert_true((item.revents & POLLIN) != 0);
        CHECK(ipc_process_join(&p), 0); /* it stays readable after */
        assert_int_equal(ipc_process_fd(&p), fd);
    }
    (void)close(set);
    assert_int_equal(end_of(&p), 0);
    errno = 0;
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static const struct test_case cases[] = {
    TEST_CASE(join_waits_tries_or_waits_until),
    TEST_CASE(nothing_is_known_before_start_and_after_close),
    TEST_CASE(handle_in_a_child_is_not_its_own),
    TEST_CASE(handle_in_a_plain_fork_is_not_its_own),
    TEST_CASE(object_of_a_process_is_not_its_forks_own),
    TEST_CASE(many_threads_join_one_process),
    TEST_CASE(exitcode_is_known_at_the_end),
    TEST_CASE(signals_end_it),
    TEST_CASE(signal_to_a_zombie_is_fine),
    TEST_CASE(stopped_process_is_alive),
    TEST_CASE(signal_to_another_user_is_not_permitted),
    TEST_CASE(sentinel_works_in_poll_and_epoll),
};
TEST_MAIN(cases)
