/* A process knows itself, the one that started it, and those it started. */
#include "unit/process_support.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

/* ---- itself ---- */

static int know_yourself(void *arg)
{
    ipc_process *self = ipc_current_process();
    assert_ptr_equal(self, *(ipc_process **)arg);
    assert_string_equal(ipc_process_name(self), "me");
    assert_int_equal(ipc_process_pid(self), getpid());
    assert_true(ipc_process_is_daemon(self));
    assert_true(ipc_process_is_alive(self));
    CHECK(ipc_process_join_nowait(self), -EDEADLK);
    CHECK(ipc_process_start(self), -EALREADY);
    CHECK(ipc_process_set_name(self, "you"), -EBUSY);
    assert_true(ipc_process_close(self) < 0);
    assert_true(ipc_process_fd(self) < 0);
    assert_int_equal(ipc_active_children(NULL, 0), 0);
    CHECK(ipc_process_signal(self, 0), 0);
    CHECK(ipc_process_signal(self, 65), -EINVAL);
    return ipc_process_terminate(self) == 0 ? 5 : 6;
}

static void child_is_its_copy_of_the_object(void)
{
    const ipc_process_options options = {
        .size = sizeof options, .daemon = true, .name = "me"};
    ipc_process p;
    ipc_process *self = &p;
    start_with(&p, know_yourself, &self, &options);
    assert_int_equal(end_of(&p), -SIGTERM);
}

static void main_process_has_an_object_of_its_own(void)
{
    ipc_process *self = ipc_current_process();
    assert_string_equal(ipc_process_name(self), "MainProcess");
    assert_int_equal(ipc_process_pid(self), getpid());
    assert_false(ipc_process_is_daemon(self));
    assert_true(ipc_process_is_alive(self));
    assert_ptr_equal(ipc_current_process(), self);
    assert_null(ipc_parent_process());
    CHECK(ipc_process_join(self), -EDEADLK);
    int code;
    CHECK(ipc_process_exitcode(self, &code), -EAGAIN);
    assert_true(ipc_process_close(self) < 0);
    assert_int_equal(ipc_getpid(), getpid());
    assert_int_equal(ipc_getppid(), getppid());
}

static void *look_at_the_object(void *arg)
{
    assert_ptr_equal(ipc_current_process(), arg);
    return NULL;
}

static void threads_have_the_object_of_their_process(void)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, look_at_the_object,
                                    ipc_current_process()),
                     0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* ---- the parent ---- */

static int know_your_parent(void *arg)
{
    ipc_process *parent = ipc_parent_process();
    assert_non_null(parent);
    assert_ptr_equal(ipc_parent_process(), parent);
    assert_string_equal(ipc_process_name(parent), arg);
    assert_int_equal(ipc_process_pid(parent), getppid());
    assert_true(ipc_process_is_alive(parent));
    CHECK(ipc_process_join_nowait(parent), -EAGAIN);
    CHECK(ipc_process_join_until(parent, ipc_after_ms(1)), -ETIMEDOUT);
    int code;
    CHECK(ipc_process_exitcode(parent, &code), -EAGAIN);
    struct pollfd item = {.fd = ipc_process_fd(parent), .events = POLLIN};
    assert_true(item.fd > 2);
    assert_int_equal(poll(&item, 1, 0), 0);
    assert_true(ipc_process_close(parent) < 0);
    CHECK(ipc_process_signal(parent, 0), 0);
    return 3;
}

static int have_a_child(void *unused)
{
    (void)unused;
    char main_name[] = "MainProcess";
    char name[] = "Process-1"; /* as this process is called */
    return know_your_parent(main_name) + run(know_your_parent, name);
}

static void child_knows_its_parent(void)
{
    char name[] = "MainProcess";
    assert_int_equal(run(have_a_child, NULL), 6);
    assert_int_equal(run_daemon(know_your_parent, name), 3);
}

/* Shared by three generations. */
struct lineage {
    uint32_t asked; /* the grandchild has asked for its parent */
    uint32_t told;  /* and then found that it has ended */
    int32_t early;  /* ask before the parent is gone */
    int32_t result; /* of the last look, or an assertion's */
};

static int outlive_the_parent(void *arg)
{
    struct lineage *line = arg;
    ipc_process *parent = NULL;
    const pid_t before = getppid();
    if (line->early)
        parent = ipc_parent_process();
    meet_signal(&line->asked);
    if (!line->early) {
        while (getppid() == before)
            poll_pause();
        parent = ipc_parent_process();
    }
    if (parent == NULL)
        test_fail("there is no object of the parent");
    CHECK(ipc_process_join_until(parent, ipc_after_ms(LIMIT_MS)), 0);
    CHECK(ipc_process_join(parent), 0);
    assert_false(ipc_process_is_alive(parent));
    int code = 4711;
    CHECK(ipc_process_exitcode(parent, &code), -ECHILD);
    CHECK(ipc_process_kill(parent), 0);
    assert_ptr_equal(ipc_parent_process(), parent);
    assert_true(ipc_process_pid(parent) == before);
    line->result = 0;
    meet_signal(&line->told);
    return 0;
}

static int leave_a_child(void *arg)
{
    struct lineage *line = arg;
    static ipc_process p;
    start(&p, outlive_the_parent, line);
    meet_wait(&line->asked, 1, LIMIT_MS);
    _exit(0);
}

static void child_sees_its_parent_end(void)
{
    struct lineage *line = test_shared(2 * sizeof *line);
    for (int early = 0; early < 2; early++) {
        line[early].early = early;
        line[early].result = -1;
        assert_int_equal(run(leave_a_child, &line[early]), 0);
        meet_wait(&line[early].told, 1, LIMIT_MS);
        assert_int_equal(line[early].result, 0);
    }
}

/* ---- children ---- */

static void active_children_are_those_that_run(void)
{
    enum {
        COUNT = 5
    };
    static ipc_process children[COUNT];
    uint32_t *words = test_shared((COUNT + 1) * sizeof *words);
    ipc_process *got[COUNT + 1];
    assert_int_equal(ipc_active_children(got, COUNT), 0);
    for (int i = 0; i < COUNT; i++)
        start(&children[i], sleep_for_good, words);

    memset(got, 0, sizeof got);
    assert_int_equal(ipc_active_children(NULL, 0), COUNT);
    assert_int_equal(ipc_active_children(got, 2), COUNT);
    assert_ptr_equal(got[0], &children[0]);
    assert_ptr_equal(got[1], &children[1]);
    assert_null(got[2]);

    /* The second one ends, and is joined by the way. */
    CHECK(ipc_process_kill(&children[1]), 0);
    while (ipc_active_children(got, COUNT) == COUNT)
        poll_pause();
    assert_int_equal(ipc_active_children(got, COUNT), COUNT - 1);
    assert_ptr_equal(got[0], &children[0]);
    assert_ptr_equal(got[1], &children[2]);
    assert_int_equal(kill(ipc_process_pid(&children[1]), 0), -1);
    assert_int_equal(end_of(&children[1]), -SIGKILL);

    /* The first and the last one go, and a new one comes. */
    static const int order[] = {0, 4};
    for (int i = 0; i < 2; i++) {
        CHECK(ipc_process_kill(&children[order[i]]), 0);
        assert_int_equal(end_of(&children[order[i]]), -SIGKILL);
    }
    start(&children[1], sleep_for_good, words);
    assert_int_equal(ipc_active_children(got, COUNT), 3);
    assert_ptr_equal(got[0], &children[2]);
    assert_ptr_equal(got[1], &children[3]);
    assert_ptr_equal(got[2], &children[1]);
    for (int i = 1; i <= 3; i++) {
        CHECK(ipc_process_kill(&children[i]), 0);
        assert_int_equal(end_of(&children[i]), -SIGKILL);
    }
    assert_int_equal(ipc_active_children(got, COUNT), 0);
}

static int have_your_own_children(void *arg)
{
    uint32_t *words = arg;
    assert_int_equal(ipc_active_children(NULL, 0), 0);
    ipc_process p;
    ipc_process *got;
    start(&p, come_and_stay, words);
    assert_int_equal(ipc_active_children(&got, 1), 1);
    assert_ptr_equal(got, &p);
    meet_signal(&words[1]);
    assert_int_equal(end_of(&p), 0);
    return 0;
}

static void children_belong_to_who_started_them(void)
{
    uint32_t *words = test_shared(4 * sizeof *words);
    ipc_process sibling;
    start(&sibling, come_and_stay, words);
    assert_int_equal(run(have_your_own_children, &words[2]), 0);
    assert_int_equal(ipc_active_children(NULL, 0), 1);
    meet_signal(&words[1]);
    assert_int_equal(end_of(&sibling), 0);
}

/* ---- a child that the program forked by itself ---- */

static void be_a_main_process(void *arg)
{
    ipc_process *parents = arg;
    ipc_process *self = ipc_current_process();
    assert_string_equal(ipc_process_name(self), "MainProcess");
    assert_int_equal(ipc_process_pid(self), getpid());
    assert_null(ipc_parent_process());
    assert_int_equal(ipc_active_children(NULL, 0), 0);
    assert_false(ipc_process_is_alive(parents));
    CHECK(ipc_process_kill(parents), -ECHILD);

    char name[] = "MainProcess";
    assert_int_equal(run(know_your_parent, name), 3);
    assert_int_equal(run_daemon(know_your_parent, name), 3);
    leave(0); /* with the exit handlers of the parent: they find no child */
}

static int fork_a_main_process(void *arg)
{
    struct role role;
    role_start(&role, be_a_main_process, arg);
    role_wait_ok(&role, LIMIT_MS);
    return 9;
}

static void plain_fork_is_a_main_process(void)
{
    ipc_process p;
    uint32_t *words = test_shared(2 * sizeof *words);
    (void)ipc_current_process();
    start(&p, come_and_stay, words);
    assert_int_equal(fork_a_main_process(&p), 9);
    assert_int_equal(run(fork_a_main_process, &p), 9);
    assert_true(ipc_process_is_alive(&p));
    meet_signal(&words[1]);
    assert_int_equal(end_of(&p), 0);
}

/* ---- CPUs ---- */

static void cpu_count_is_what_may_be_used(void)
{
    cpu_set_t set;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    assert_int_equal(ipc_cpu_count(), CPU_COUNT(&set));
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&set) > 1; i++)
        CPU_CLR(i, &set);
    assert_int_equal(sched_setaffinity(0, sizeof set, &set), 0);
    assert_int_equal(ipc_cpu_count(), 1);
}

static const struct test_case cases[] = {
    TEST_CASE(child_is_its_copy_of_the_object),
    TEST_CASE(main_process_has_an_object_of_its_own),
    TEST_CASE(threads_have_the_object_of_their_process),
    TEST_CASE(child_knows_its_parent),
    TEST_CASE(child_sees_its_parent_end),
    TEST_CASE(active_children_are_those_that_run),
    TEST_CASE(children_belong_to_who_started_them),
    TEST_CASE(plain_fork_is_a_main_process),
    TEST_CASE(cpu_count_is_what_may_be_used),
};
TEST_MAIN(cases)
