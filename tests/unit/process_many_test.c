/* Many processes at once, and generations of them: none has what is
 * another's. */
#include "unit/process_support.h"

#include <sys/stat.h>

static void two_hundred_children_at_once(void)
{
    enum {
        COUNT = 200
    };
    static ipc_process children[COUNT];
    ipc_process *active[COUNT];
    uint32_t *words = test_shared(2 * sizeof *words);
    for (int i = 0; i < COUNT; i++)
        start(&children[i], come_and_stay, words);
    meet_wait(&words[0], COUNT, LIMIT_MS);
    assert_int_equal(ipc_active_children(active, COUNT), COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_ptr_equal(active[i], &children[i]);
        assert_true(ipc_process_is_alive(&children[i]));
    }
    meet_signal(&words[1]);
    for (int i = COUNT; i-- > 0;)
        assert_int_equal(end_of(&children[i]), 0);
    assert_int_equal(ipc_active_children(NULL, 0), 0);
}

struct depth {
    int left;
    int fds; /* of the first one, or 0 */
};

/* Start the next one, with whatever the library keeps open in each. */
static int go_deeper(void *arg)
{
    struct depth next = *(struct depth *)arg;
    assert_non_null(ipc_parent_process());
    assert_true(ipc_process_is_alive(ipc_parent_process()));
    const int fds = count_fds();
    if (next.fds == 0)
        next.fds = fds;
    assert_int_equal(fds, next.fds);
    if (next.left-- == 0)
        return 1;
    return run(go_deeper, &next) + 1;
}

static int go_deeper_as_daemon(void *arg)
{
    struct depth next = *(struct depth *)arg;
    const int fds = count_fds();
    if (next.fds == 0)
        next.fds = fds;
    assert_int_equal(fds, next.fds);
    if (next.left-- == 0)
        return 1;
    return run_daemon(go_deeper_as_daemon, &next) + 1;
}

static void generations_do_not_gather_descriptors(void)
{
    struct depth first = {5, 0};
    assert_int_equal(run(go_deeper, &first), 6);
    assert_int_equal(run_daemon(go_deeper_as_daemon, &first), 6);
}

static int report_fds(void *unused)
{
    (void)unused;
    return count_fds();
}

static void children_have_no_descriptors_of_their_siblings(void)
{
    enum {
        COUNT = 10
    };
    ipc_process siblings[COUNT];
    uint32_t *words = test_shared(2 * sizeof *words);
    const int alone = run(report_fds, NULL);
    for (int i = 0; i < COUNT; i++)
        start(&siblings[i], come_and_stay, words);
    assert_int_equal(run(report_fds, NULL), alone);
    meet_signal(&words[1]);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(end_of(&siblings[i]), 0);
}

/* The first descriptor that is no pipe, or 0. */
static int expect_the_pipe(void *unused)
{
    struct stat st;
    (void)unused;
    for (int fd = 3; fd < 30; fd++)
        if (fstat(fd, &st) != 0 || !S_ISFIFO(st.st_mode))
            return fd;
    return 0;
}

static int put_a_pipe_everywhere(void *unused)
{
    int ends[2];
    ipc_process sibling;
    (void)unused;
    assert_non_null(ipc_parent_process());
    start(&sibling, sleep_for_good, NULL);
    assert_int_equal(close_range(3, ~0u, 0), 0);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    for (int fd = 3; fd < 30; fd++)
        if (fd != ends[0] && fd != ends[1])
            assert_int_equal(dup2(ends[0], fd), fd);
    int wrong = run(expect_the_pipe, NULL);
    if (wrong == 0)
        wrong = run_daemon(expect_the_pipe, NULL);
    assert_true(ipc_process_is_alive(&sibling));
    CHECK(ipc_process_join_until(&sibling, ipc_after_ms(10)), -ETIMEDOUT);
    CHECK(ipc_process_kill(&sibling), 0);
    CHECK(ipc_process_join(&sibling), 0);
    CHECK(ipc_process_close(&sibling), 0);
    return wrong != 0 ? wrong : expect_the_pipe(NULL) + 100;
}

/* A program has closed all it did not know, and its files have the numbers
 * now. */
static void files_in_the_place_of_our_descriptors_are_left_alone(void)
{
    assert_int_equal(run(put_a_pipe_everywhere, NULL), 100);
    assert_int_equal(run_daemon(put_a_pipe_everywhere, NULL), 100);
}

static const struct test_case cases[] = {
    TEST_CASE(two_hundred_children_at_once),
    TEST_CASE(generations_do_not_gather_descriptors),
    TEST_CASE(children_have_no_descriptors_of_their_siblings),
    TEST_CASE(files_in_the_place_of_our_descriptors_are_left_alone),
};
TEST_MAIN(cases)
