/* imap and imap_unordered: order, window, sources, results of any size. */
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

/* ---- results where they lie ---- */

enum {
    ROOM = 16, /* promised */
    SIZES = 6
};

static const size_t sizes[SIZES] = {0, 1, ROOM, ROOM + 1, 5000, 70000};

/* Item n gives sizes[n % SIZES] bytes, all of them n; every tenth
 * fails. */
static int give_some(const void *arg, void *result, ipc_task *task)
{
    const int n = *(const int *)arg;
    const size_t bytes = sizes[n % SIZES];
    void *room;
    if (ipc_task_result_bytes(task) != ROOM || result == NULL)
        return -EPROTO;
    memset(result, 0xff, ROOM);
    if (n % 10 == 3)
        return ipc_task_fail(task, -EIO, "not %d", n);
    const int rc = ipc_task_reserve(task, bytes, &room);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < bytes; i++)
        if (((char *)room)[i] != 0)
            return -EPROTO;
    if (bytes != 0)
        memset(room, n, bytes);
    return ipc_task_result_bytes(task) == bytes ? 0 : -EPROTO;
}

static void expect_some(size_t i, const unsigned char *data, size_t bytes)
{
    assert_int_equal(bytes, sizes[i % SIZES]);
    if (bytes == 0)
        assert_null(data);
    for (size_t k = 0; k < bytes; k++)
        if (data[k] != (unsigned char)i)
            test_fail("item %zu, byte %zu is %d", i, k, data[k]);
}

/* Returns how many there were. */
static size_t borrow_all(ipc_imap *imap, bool is_ordered)
{
    const void *data;
    size_t bytes;
    size_t n = 0;
    for (;; n++) {
        data = imap;
        bytes = SIZE_MAX;
        const int rc = ipc_imap_borrow(imap, &data, &bytes, IPC_TIME_FOREVER);
        if (rc == 0)
            return n;
        const size_t i = ipc_imap_index(imap);
        assert_true(!is_ordered || i == n);
        if (i % 10 != 3) {
            expect_rc(rc, 1);
            expect_some(i, data, bytes);
            continue;
        }
        expect_rc(rc, -EIO);
        assert_true(data == imap && bytes == SIZE_MAX);
        if (i == 3)
            expect_detail("item 3 of 100 failed: not 3");
    }
}

static void borrow(ipc_pool *pool)
{
    ipc_imap *imap;
    for (int round = 0; round < 2; round++) {
        expect_rc(
            ipc_pool_imap(pool, give_some, first_items(100), ROOM, NULL, &imap),
            0);
        assert_int_equal(borrow_all(imap, true), 100);
        ipc_imap_end(imap);
        expect_rc(ipc_pool_imap_unordered(pool, give_some, first_items(100),
                                          ROOM, NULL, &imap),
                  0);
        assert_int_equal(borrow_all(imap, false), 100);
        ipc_imap_end(imap);
    }
}

static void results_of_any_size_are_borrowed(void)
{
    with_both(borrow);
}

/* Also when the pool has given all else to other tasks, and up to the end. */
static void borrow_for_long(ipc_pool *pool)
{
    const unsigned char *data;
    const void *lent;
    size_t bytes;
    ipc_imap *imap;
    int64_t result;
    expect_rc(ipc_pool_imap(pool, give_some, first_items(6), ROOM, NULL, &imap),
              0);
    for (size_t i = 0; i < SIZES; i++) {
        const int rc = ipc_imap_borrow(imap, &lent, &bytes, IPC_TIME_FOREVER);
        data = lent;
        expect_rc(rc, i == 3 ? -EIO : 1);
        for (int n = 0; n < 50; n++)
            expect_rc(ipc_pool_apply(pool, square, &n, sizeof n, &result,
                                     sizeof result),
                      0);
        if (rc == 1)
            expect_some(i, data, bytes);
    }
    ipc_imap_end(imap);
}

static void what_is_borrowed_stays_until_the_next_call(void)
{
    with_both(borrow_for_long);
}

/* Shorter ones are followed by zeroes. */
static void copy_or_not(ipc_pool *pool)
{
    static const unsigned char zeroes[ROOM];
    unsigned char result[ROOM];
    ipc_imap *imap;
    expect_rc(
        ipc_pool_imap(pool, give_some, first_items(100), ROOM, NULL, &imap), 0);
    for (size_t i = 0; i < 100; i++) {
        const size_t bytes = sizes[i % SIZES];
        memset(result, 0x55, sizeof result);
        const int rc = ipc_imap_next(imap, result, IPC_TIME_FOREVER);
        expect_rc(rc, i % 10 == 3 ? -EIO : bytes > ROOM ? -EMSGSIZE : 1);
        if (rc != 1)
            continue;
        expect_some(i, bytes != 0 ? result : NULL, bytes);
        assert_memory_equal(result + bytes, zeroes, ROOM - bytes);
    }
    expect_rc(ipc_imap_next(imap, result, IPC_TIME_FOREVER), 0);
    ipc_imap_end(imap);
}

static void next_copies_those_that_fit(void)
{
    with_both(copy_or_not);
}

static void borrow_of_chunks(ipc_pool *pool)
{
    ipc_imap *imap;
    ipc_map_options options = with_chunk(7);
    expect_rc(
        ipc_pool_imap(pool, give_some, first_items(100), ROOM, &options, &imap),
        0);
    for (size_t i = 0; i < 100; i++) {
        const void *data;
        size_t bytes;
        const int rc = ipc_imap_borrow(imap, &data, &bytes, IPC_TIME_FOREVER);
        assert_int_equal(ipc_imap_index(imap), i);
        expect_rc(rc, i % 10 == 3                ? -EIO
                      : sizes[i % SIZES] <= ROOM ? 1
                                                 : -EMSGSIZE);
        if (rc == 1)
            expect_some(i, data, bytes);
    }
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER), 0);
    ipc_imap_end(imap);
}

static void in_chunks_they_have_a_limit(void)
{
    with_both(borrow_of_chunks);
}

/* What it had made room for goes with it. */
static int die_with_a_large_one(const void *arg, void *result, ipc_task *task)
{
    void *room;
    (void)arg;
    if (ipc_task_attempt(task) == 1 && ipc_task_reserve(task, 5000, &room) == 0)
        kill(getpid(), SIGKILL);
    memset(result, 7, ROOM);
    return 0;
}

static void the_result_is_that_of_the_last_attempt(void)
{
    ipc_pool *pool = new_pool(IPC_POOL_PROCESSES, 2);
    ipc_map_options options = with_chunk(0);
    ipc_imap *imap;
    options.retries = 1;
    expect_rc(ipc_pool_imap(pool, die_with_a_large_one, first_items(3), ROOM,
                            &options, &imap),
              0);
    for (int i = 0; i < 3; i++) {
        const void *data;
        size_t bytes;
        expect_rc(ipc_imap_borrow(imap, &data, &bytes, IPC_TIME_FOREVER), 1);
        assert_int_equal(bytes, ROOM);
        assert_int_equal(((const char *)data)[ROOM - 1], 7);
    }
    ipc_imap_end(imap);
    free_pool(pool);
}

static const struct test_case cases[] = {
    TEST_CASE(every_item_comes_once_and_in_order),
    TEST_CASE(unordered_does_not_wait_for_the_first),
    TEST_CASE(ordered_waits_for_the_first),
    TEST_CASE(a_source_is_asked_for_a_window_of_items),
    TEST_CASE(the_error_of_a_source_comes_last),
    TEST_CASE(an_item_is_not_larger_than_said),
    TEST_CASE(results_of_any_size_are_borrowed),
    TEST_CASE(what_is_borrowed_stays_until_the_next_call),
    TEST_CASE(next_copies_those_that_fit),
    TEST_CASE(in_chunks_they_have_a_limit),
    TEST_CASE(the_result_is_that_of_the_last_attempt),
};
TEST_MAIN(cases)
