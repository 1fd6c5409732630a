/* Queues that have been empty for a moment give their memory back, whoever
 * looks for a message, and in which way. */
#include "unit/queue_support.h"

#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>

#include <ipc/wait.h>

#define NAME "/ipc-test-idle"

enum {
    IDLE_KIB = 1024, /* a queue may keep this */
    SHORTS = 3000,
    LARGES = 4
};

static const uint32_t kinds[] = {0, IPC_QUEUE_LIFO, IPC_QUEUE_LEASES};

static ipc_queue *create(uint32_t flags)
{
    const ipc_queue_options options =
        queue_options(2 * SHORTS, 64 * MIB, flags);
    ipc_queue *queue = NULL;
    expect_rc(ipc_queue_create(NAME, &options, &queue), 0);
    return queue;
}

static void remove_queue(ipc_queue *queue)
{
    expect_rc(ipc_queue_detach(queue), 0);
    expect_rc(ipc_queue_unlink(NAME), 0);
}

/* Kilobytes behind the name. */
static long used_kib(void)
{
    struct stat st;
    assert_int_equal(stat("/dev/shm" NAME, &st), 0);
    return (long)(st.st_blocks / 2);
}

/* ---- so that there is something to give back ---- */

static char message[MIB];

static void fill(ipc_queue *queue)
{
    for (unsigned i = 0; i < SHORTS; i++)
        expect_rc(ipc_queue_put_nowait(queue, message, 1000), 0);
    for (unsigned i = 0; i < LARGES; i++)
        expect_rc(ipc_queue_put_nowait(queue, message, sizeof message), 0);
}

static void empty(ipc_queue *queue)
{
    for (unsigned i = 0; i < SHORTS + LARGES; i++)
        expect_rc(ipc_queue_get_nowait(queue, message, sizeof message, NULL),
                  0);
}

static void use_up_memory(ipc_queue *queue)
{
    fill(queue);
    empty(queue);
    assert_true(used_kib() >= LARGES * 1024L);
}

/* ---- ways to find nothing; each call takes a moment at most ---- */

static int get_nowait(ipc_queue *queue)
{
    const int rc = ipc_queue_get_nowait(queue, message, 1, NULL);
    poll_pause();
    return rc;
}

static int getv_nowait(ipc_queue *queue)
{
    ipc_queue_item item = {message, 0, 1};
    const int rc = ipc_queue_getv(queue, &item, 1, IPC_TIME_NOW);
    poll_pause();
    return rc;
}

static int peek_nowait(ipc_queue *queue)
{
    ipc_message found;
    const int rc = ipc_queue_peek_nowait(queue, &found);
    poll_pause();
    return rc;
}

static int get_for_20_ms(ipc_queue *queue)
{
    return ipc_queue_get_until(queue, message, 1, NULL, ipc_after_ms(20));
}

static int get_for_300_ms(ipc_queue *queue)
{
    return ipc_queue_get_until(queue, message, 1, NULL, ipc_after_ms(300));
}

static int wait_for_it(ipc_queue *queue, int ms)
{
    ipc_wait_item item = IPC_WAIT_QUEUE(queue);
    return ipc_wait(&item, 1, ms == 0 ? IPC_TIME_NOW : ipc_after_ms(ms));
}

static int wait_now(ipc_queue *queue)
{
    const int rc = wait_for_it(queue, 0);
    poll_pause();
    return rc;
}

static int wait_for_20_ms(ipc_queue *queue)
{
    return wait_for_it(queue, 20);
}

static int wait_for_300_ms(ipc_queue *queue)
{
    return wait_for_it(queue, 300);
}

static int wait_with_a_descriptor(ipc_queue *queue)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    ipc_wait_item items[] = {IPC_WAIT_QUEUE(queue),
                             IPC_WAIT_FD(ends[0], POLLIN)};
    const int rc = ipc_wait(items, 2, ipc_after_ms(300));
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
    return rc;
}

/* It says that there is something, until a call has found that not to be. */
static int poll_its_descriptor(ipc_queue *queue)
{
    struct pollfd item = {.fd = ipc_queue_fd(queue, POLLIN), .events = POLLIN};
    assert_true(item.fd >= 0);
    const int n = poll(&item, 1, 300);
    assert_true(n >= 0);
    return n == 0 ? -EAGAIN : ipc_queue_get_nowait(queue, message, 1, NULL);
}

/* Without anybody else: in the time that a thread of the library takes. */
static void expect_given_back(ipc_queue *queue, int (*look)(ipc_queue *queue))
{
    const int64_t end = test_now_ns() + LIMIT_MS * 1000000LL;
    while (used_kib() > IDLE_KIB) {
        const int rc = look(queue);
        if (rc != -EAGAIN && rc != -ETIMEDOUT)
            test_fail("looking: %d (%s)", rc, ipc_error_detail());
        if (test_now_ns() > end)
            test_fail("%ld KiB are kept", used_kib());
    }
}

static void look_with(int (*look)(ipc_queue *queue))
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        ipc_queue *queue = create(kinds[i]);
        use_up_memory(queue);
        expect_given_back(queue, look);
        put_now(queue, PAGES, 1); /* and it is taken again */
        get_now(queue, PAGES, 1);
        remove_queue(queue);
    }
}

static void who_does_not_wait_gives_it_back(void)
{
    look_with(get_nowait);
    look_with(getv_nowait);
    look_with(peek_nowait);
}

static void each_time_it_is_empty_again(void)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        ipc_queue *queue = create(kinds[i]);
        for (int round = 0; round < 3; round++) {
            use_up_memory(queue);
            expect_given_back(queue, get_nowait);
        }
        remove_queue(queue);
    }
}

static void who_waits_gives_it_back(void)
{
    look_with(get_for_20_ms);
    look_with(get_for_300_ms);
}

static void who_waits_for_several_gives_it_back(void)
{
    const int threads = threads_at_rest();
    look_with(wait_now);
    look_with(wait_for_20_ms);
    look_with(wait_for_300_ms);
    look_with(wait_with_a_descriptor);
    wait_for_helpers(threads);
}

static void a_descriptor_gives_it_back(void)
{
    look_with(poll_its_descriptor);
}

/* ---- closed ones need none any more ---- */

static void a_closed_one_gives_it_back_at_once(void)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        ipc_queue *queue = create(kinds[i]);
        use_up_memory(queue);
        expect_rc(ipc_queue_close(queue, false), 0);
        assert_true(used_kib() <= IDLE_KIB);
        expect_rc(get_nowait(queue), -EPIPE);
        remove_queue(queue);
    }
}

static void a_closed_one_gives_it_back_once_it_is_empty(void)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        ipc_queue *queue = create(kinds[i]);
        fill(queue);
        expect_rc(ipc_queue_close(queue, false), 0);
        assert_true(used_kib() > LARGES * 1024L);
        empty(queue);
        expect_rc(get_nowait(queue), -EPIPE);
        assert_true(used_kib() <= IDLE_KIB);
        remove_queue(queue);
    }
}

/* ---- it is not given back while it is used ---- */

/* One message after the other, and somebody looks in between. */
static void a_busy_one_keeps_it(void)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        ipc_queue *queue = create(kinds[i]);
        use_up_memory(queue);
        expect_rc(get_nowait(queue), -EAGAIN);
        const int64_t end = test_now_ns() + 150 * 1000000LL;
        while (test_now_ns() < end) {
            const int64_t before = test_now_ns();
            put_now(queue, SHORT, 1);
            get_now(queue, SHORT, 1);
            expect_rc(get_nowait(queue), -EAGAIN);
            if (test_now_ns() - before < 50 * 1000000LL)
                assert_true(used_kib() >= LARGES * 1024L);
        }
        remove_queue(queue);
    }
}

static void what_is_in_hand_stays(void)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        ipc_queue *queue = create(kinds[i]);
        ipc_message held;
        use_up_memory(queue);
        put_now(queue, PAGES, 7);
        expect_rc(ipc_queue_peek_nowait(queue, &held), 0);
        expect_rc(get_for_300_ms(queue), -ETIMEDOUT);
        assert_true(is_message(held.data, PAGES, 7));
        expect_rc(ipc_queue_release(queue, &held), 0);
        expect_given_back(queue, get_for_300_ms);
        remove_queue(queue);
    }
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(who_does_not_wait_gives_it_back, 60),
    TEST_CASE(each_time_it_is_empty_again),
    TEST_CASE_LIMIT(who_waits_gives_it_back, 60),
    TEST_CASE_LIMIT(who_waits_for_several_gives_it_back, 60),
    TEST_CASE_LIMIT(a_descriptor_gives_it_back, 60),
    TEST_CASE(a_closed_one_gives_it_back_at_once),
    TEST_CASE(a_closed_one_gives_it_back_once_it_is_empty),
    TEST_CASE(a_busy_one_keeps_it),
    TEST_CASE(what_is_in_hand_stays),
};
TEST_MAIN(cases)
