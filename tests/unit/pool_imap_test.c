/* imap and imap_unordered: order, window, sources, failures, ends. */
#include "harness/harness.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ipc/pool.h>

#include "harness/role.h"
#include "unit/pool_map_support.h"

enum {
    N = 500
};

static int items[N];
static uint32_t *shared; /* words of a case */

static const ipc_imap_source *first_items(size_t count)
{
    static ipc_imap_source source;
    for (int i = 0; i < N; i++)
        items[i] = i;
    source = (ipc_imap_source){
        .items = items, .item_bytes = sizeof items[0], .count = count};
    return &source;
}

/* ---- functions ---- */

static int square_at_index(const void *arg, void *result, ipc_task *task)
{
    const int64_t n = *(const int *)arg;
    if (ipc_task_index(task) != (size_t)n ||
        ipc_task_arg_bytes(task) != sizeof(int))
        return -EPROTO;
    *(int64_t *)result += n * n;
    return 0;
}

static int fail_at_tens(const void *arg, void *result, ipc_task *task)
{
    const int n = *(const int *)arg;
    if (n % 10 == 3)
        return ipc_task_fail(task, -EIO, "not %d", n);
    return square_at_index(arg, result, task);
}

static int die_at_tens(const void *arg, void *result, ipc_task *task)
{
    if (*(const int *)arg % 10 == 3)
        kill(getpid(), SIGKILL);
    return square_at_index(arg, result, task);
}

/* ---- all of it ---- */

static void square_in_order(ipc_pool *pool, const ipc_map_options *options)
{
    ipc_imap *imap;
    int64_t result;
    int rc;
    size_t n = 0;
    expect_rc(ipc_pool_imap(pool, square_at_index, first_items(N),
                            sizeof result, options, &imap),
              0);
    while ((rc = ipc_imap_next(imap, &result, IPC_TIME_FOREVER)) > 0) {
        assert_int_equal(ipc_imap_index(imap), n);
        assert_int_equal(result, n * n);
        n++;
    }
    expect_rc(rc, 0);
    assert_int_equal(n, N);
    expect_rc(ipc_imap_next(imap, &result, IPC_TIME_FOREVER), 0);
    ipc_imap_end(imap);
}

static void square_in_any_order(ipc_pool *pool, const ipc_map_options *options)
{
    bool seen[N] = {false};
    ipc_imap *imap;
    int64_t result;
    int rc;
    size_t n = 0;
    expect_rc(ipc_pool_imap_unordered(pool, square_at_index, first_items(N),
                                      sizeof result, options, &imap),
              0);
    while ((rc = ipc_imap_next(imap, &result, IPC_TIME_FOREVER)) > 0) {
        const size_t i = ipc_imap_index(imap);
        assert_true(i < N && !seen[i]);
        assert_int_equal(result, i * i);
        seen[i] = true;
        n++;
    }
    expect_rc(rc, 0);
    assert_int_equal(n, N);
    ipc_imap_end(imap);
}

static void chunks_and_windows(ipc_pool *pool)
{
    static const uint32_t chunks[] = {0, 1, 3, 50, 499, 10000};
    static const uint32_t windows[] = {0, 1, 2, 100, 100000};
    for (size_t c = 0; c < 6; c++)
        for (size_t w = 0; w < 5; w++) {
            ipc_map_options options = with_chunk(chunks[c]);
            options.window = windows[w];
            square_in_order(pool, &options);
            square_in_any_order(pool, &options);
        }
}

static void every_item_comes_once_and_in_order(void)
{
    with_both(chunks_and_windows);
}

static int wait_if_first(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    if (ipc_task_index(task) == 0)
        meet_wait(&shared[0], 1, 20000);
    return 0;
}

static void late_first(ipc_pool *pool)
{
    const ipc_imap_source three = {.count = 3};
    ipc_imap *imap;
    shared[0] = 0;
    expect_rc(
        ipc_pool_imap_unordered(pool, wait_if_first, &three, 0, NULL, &imap),
        0);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER), 1);
    assert_int_not_equal(ipc_imap_index(imap), 0);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER), 1);
    assert_int_not_equal(ipc_imap_index(imap), 0);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_NOW), -EAGAIN);
    expect_rc(ipc_imap_next(imap, NULL, ipc_after_ms(5)), -ETIMEDOUT);
    meet_signal(&shared[0]);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER), 1);
    assert_int_equal(ipc_imap_index(imap), 0);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER), 0);
    ipc_imap_end(imap);
}

static void unordered_does_not_wait_for_the_first(void)
{
    shared = test_shared(sizeof *shared);
    with_both(late_first);
}

static void ordered_waits(ipc_pool *pool)
{
    const ipc_imap_source three = {.count = 3};
    ipc_imap *imap;
    shared[0] = 0;
    expect_rc(ipc_pool_imap(pool, wait_if_first, &three, 0, NULL, &imap), 0);
    expect_rc(ipc_imap_next(imap, NULL, ipc_after_ms(5)), -ETIMEDOUT);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_NOW), -EAGAIN);
    meet_signal(&shared[0]);
    for (size_t i = 0; i < 3; i++) {
        expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER), 1);
        assert_int_equal(ipc_imap_index(imap), i);
    }
    ipc_imap_end(imap);
}

static void ordered_waits_for_the_first(void)
{
    shared = test_shared(sizeof *shared);
    with_both(ordered_waits);
}

/* ---- sources ---- */

struct words {
    size_t given;
    size_t fetched;
    size_t most_ahead;
    size_t end;
    int end_with;
};

/* Words of one to nine characters. */
static int next_word(void *arg, void *item, size_t *bytes)
{
    struct words *words = arg;
    assert_int_equal(*bytes, 10);
    if (words->given == words->end)
        return words->end_with;
    *bytes = words->given % 9 + 1;
    memset(item, 'a' + (int)(words->given % 26), *bytes);
    words->given++;
    if (words->given - words->fetched > words->most_ahead)
        words->most_ahead = words->given - words->fetched;
    return 1;
}

struct echo {
    size_t bytes;
    char text[10];
};

static int echo(const void *arg, void *result, ipc_task *task)
{
    struct echo *out = result;
    out->bytes = ipc_task_arg_bytes(task);
    memcpy(out->text, arg, out->bytes);
    return 0;
}

static int fetch_words(ipc_pool *pool, struct words *words,
                       const ipc_map_options *options)
{
    const ipc_imap_source source = {
        .item_bytes = 10, .next = next_word, .arg = words};
    ipc_imap *imap;
    struct echo result;
    int rc;
    expect_rc(ipc_pool_imap(pool, echo, &source, sizeof result, options, &imap),
              0);
    assert_int_equal(words->given, 0);
    while ((rc = ipc_imap_next(imap, &result, IPC_TIME_FOREVER)) > 0) {
        const size_t i = words->fetched++;
        assert_int_equal(result.bytes, i % 9 + 1);
        assert_int_equal(result.text[0], 'a' + (int)(i % 26));
        assert_int_equal(result.text[i % 9], 'a' + (int)(i % 26));
    }
    assert_int_equal(words->fetched, words->end);
    expect_rc(ipc_imap_next(imap, &result, IPC_TIME_FOREVER), 0);
    ipc_imap_end(imap);
    return rc;
}

static void sources(ipc_pool *pool)
{
    ipc_map_options options = with_chunk(0);
    struct words words = {.end = 1000};
    expect_rc(fetch_words(pool, &words, NULL), 0);
    assert_true(words.most_ahead <= 8);

    words = (struct words){.end = 1000};
    options.window = 30;
    expect_rc(fetch_words(pool, &words, &options), 0);
    assert_true(words.most_ahead <= 31);
    options.chunk = 7;
    words = (struct words){.end = 1000};
    expect_rc(fetch_words(pool, &words, &options), 0);

    words = (struct words){.end = 0};
    expect_rc(fetch_words(pool, &words, NULL), 0);
}

static void a_source_is_asked_for_a_window_of_items(void)
{
    with_both(sources);
}

static void failing_sources(ipc_pool *pool)
{
    struct words words = {.end = 5, .end_with = -ENODEV};
    expect_rc(fetch_words(pool, &words, NULL), -ENODEV);
    words = (struct words){.end = 0, .end_with = -ENODEV};
    expect_rc(fetch_words(pool, &words, NULL), -ENODEV);
}

static void the_error_of_a_source_comes_last(void)
{
    with_both(failing_sources);
}

static int too_much(void *arg, void *item, size_t *bytes)
{
    (void)arg;
    (void)item;
    *bytes += 1;
    return 1;
}

static void an_item_is_not_larger_than_said(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_THREADS, 1);
    const ipc_imap_source source = {.item_bytes = 4, .next = too_much};
    ipc_imap *imap;
    expect_rc(ipc_pool_imap(pool, square_at_index, &source, 8, NULL, &imap), 0);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER), -EMSGSIZE);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER), 0);
    ipc_imap_end(imap);
    free_pool(pool);
}

/* ---- failures ---- */

static void go_on(ipc_pool *pool, ipc_task_function *fn, int status,
                  const char *detail)
{
    ipc_imap *imap;
    ipc_map_options options = with_chunk(0);
    for (options.chunk = 0; options.chunk < 20; options.chunk += 9) {
        int64_t result;
        expect_rc(ipc_pool_imap(pool, fn, first_items(50), sizeof result,
                                &options, &imap),
                  0);
        for (int64_t i = 0; i < 50; i++) {
            const int rc = ipc_imap_next(imap, &result, IPC_TIME_FOREVER);
            assert_int_equal(ipc_imap_index(imap), i);
            expect_rc(rc, i % 10 == 3 ? status : 1);
            if (rc == 1)
                assert_int_equal(result, i * i);
            else if (i == 3)
                expect_detail(detail);
        }
        expect_rc(ipc_imap_next(imap, &result, IPC_TIME_FOREVER), 0);
        ipc_imap_end(imap);
    }
}

static void go_on_after_failures(ipc_pool *pool)
{
    go_on(pool, fail_at_tens, -EIO, "item 3 of 50 failed: not 3");
}

static void after_a_failure_one_may_go_on(void)
{
    with_both(go_on_after_failures);
}

static void a_killed_worker_costs_one_item(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 2);
    go_on(pool, die_at_tens, -EOWNERDEAD, "was killed by SIGKILL");
    free_pool(pool);
}

static int hang_if_second(const void *arg, void *result, ipc_task *task)
{
    (void)arg;
    (void)result;
    if (ipc_task_index(task) != 1)
        return 0;
    while (!ipc_task_is_cancelled(task))
        poll_pause();
    return -ECANCELED;
}

static void item_time(ipc_pool *pool)
{
    const ipc_imap_source four = {.count = 4};
    ipc_imap *imap;
    ipc_map_options options = with_chunk(2);
    options.task_ns = 20000000;
    expect_rc(ipc_pool_imap(pool, hang_if_second, &four, 0, &options, &imap),
              0);
    for (int i = 0; i < 4; i++)
        expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER),
                  i == 1 ? -ETIME : 1);
    ipc_imap_end(imap);
}

static void items_have_their_own_time(void)
{
    with_both(item_time);
}

static void all_has_a_deadline(ipc_pool *pool)
{
    const ipc_imap_source four = {.count = 4};
    ipc_imap *imap;
    ipc_map_options options = with_chunk(1);
    shared[0] = 0;
    options.deadline = ipc_after_ms(20);
    expect_rc(ipc_pool_imap(pool, wait_if_first, &four, 0, &options, &imap), 0);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER), -ETIMEDOUT);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER), -ETIMEDOUT);
    meet_signal(&shared[0]);
    ipc_imap_end(imap);
}

static void an_imap_has_a_deadline(void)
{
    shared = test_shared(sizeof *shared);
    with_both(all_has_a_deadline);
}

static const struct test_case cases[] = {
    TEST_CASE(every_item_comes_once_and_in_order),
    TEST_CASE(unordered_does_not_wait_for_the_first),
    TEST_CASE(ordered_waits_for_the_first),
    TEST_CASE(a_source_is_asked_for_a_window_of_items),
    TEST_CASE(the_error_of_a_source_comes_last),
    TEST_CASE(an_item_is_not_larger_than_said),
    TEST_CASE(after_a_failure_one_may_go_on),
    TEST_CASE(a_killed_worker_costs_one_item),
    TEST_CASE(items_have_their_own_time),
    TEST_CASE(an_imap_has_a_deadline),
};
TEST_MAIN(cases)
