/* imap: pools that are shut down meanwhile. */
#include "harness/harness.h"

#include <errno.h>
#include <pthread.h>

#include <ipc/pool.h>

#include "harness/role.h"
#include "unit/pool_map_support.h"

enum {
    N = 500
};

static int items[N];
static uint32_t *shared; /* words of a case */

static const ipc_imap_source *all_items(void)
{
    static const ipc_imap_source source = {
        .items = items, .item_bytes = sizeof items[0], .count = N};
    return &source;
}

static int fetch_all(ipc_imap *imap, int expected)
{
    int64_t result;
    int n = 0;
    int rc;
    while ((rc = ipc_imap_next(imap, &result, IPC_TIME_FOREVER)) > 0)
        n++;
    expect_rc(rc, expected);
    return n;
}

static ipc_imap *narrow_imap(ipc_pool *pool)
{
    ipc_imap *imap = NULL;
    ipc_map_options options = with_chunk(1);
    options.window = 10;
    expect_rc(ipc_pool_imap(pool, square, all_items(), 8, &options, &imap), 0);
    return imap;
}

static void closing(ipc_pool *pool)
{
    ipc_imap *imap = narrow_imap(pool);
    expect_rc(ipc_pool_shutdown(pool, false, false), 0);
    assert_int_equal(fetch_all(imap, 0), N);
    expect_rc(ipc_pool_shutdown(pool, true, false), 0);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER), 0);
    ipc_imap_end(imap);
    expect_rc(ipc_pool_imap(pool, square, all_items(), 8, NULL, &imap), -EPIPE);
}

static void what_is_begun_comes_although_the_pool_closes(void)
{
    with_both(closing);
}

/* Who waits cannot go on with it. */
static void closing_and_waiting(ipc_pool *pool)
{
    ipc_imap *imap = narrow_imap(pool);
    expect_rc(ipc_pool_shutdown(pool, true, false), 0);
    assert_int_equal(fetch_all(imap, -EPIPE), 10);
    ipc_imap_end(imap);
}

static void but_not_beyond_the_window_for_who_waits(void)
{
    with_both(closing_and_waiting);
}

struct fetcher {
    ipc_imap *imap;
    pthread_t thread;
};

static void *fetch_when_told(void *arg)
{
    const struct fetcher *f = arg;
    expect_rc(ipc_imap_next(f->imap, NULL, IPC_TIME_FOREVER), 1);
    meet_signal(&shared[0]);
    meet_wait(&shared[1], 1, 20000);
    assert_int_equal(fetch_all(f->imap, 0), N - 1);
    return NULL;
}

/* Another thread's is waited for: it was made here, and goes on there. */
static void closing_while_another_fetches(ipc_pool *pool)
{
    struct fetcher f = {.imap = narrow_imap(pool)};
    shared[0] = shared[1] = 0;
    assert_int_equal(pthread_create(&f.thread, NULL, fetch_when_told, &f), 0);
    meet_wait(&shared[0], 1, 20000);
    expect_rc(ipc_pool_shutdown_until(pool, false, ipc_after_ms(150)),
              -ETIMEDOUT);
    meet_signal(&shared[1]);
    expect_rc(ipc_pool_shutdown(pool, true, false), 0);
    assert_int_equal(pthread_join(f.thread, NULL), 0);
    ipc_imap_end(f.imap);
}

static void another_threads_is_waited_for(void)
{
    shared = test_shared(2 * sizeof *shared);
    with_both(closing_while_another_fetches);
}

static void *make_and_leave(void *arg)
{
    return narrow_imap(arg);
}

/* Whose thread is gone is waited for by nobody; but who goes on with it may. */
static void closing_what_nobody_fetches(ipc_pool *pool)
{
    pthread_t thread;
    void *imap;
    assert_int_equal(pthread_create(&thread, NULL, make_and_leave, pool), 0);
    assert_int_equal(pthread_join(thread, &imap), 0);
    expect_rc(ipc_pool_shutdown(pool, true, false), 0);
    assert_int_equal(fetch_all(imap, -EPIPE), 10);
    ipc_imap_end(imap);
}

static void nobody_waits_for_the_dead(void)
{
    with_both(closing_what_nobody_fetches);
}

static void cancelling(ipc_pool *pool)
{
    ipc_imap *imap = narrow_imap(pool);
    int rc;
    expect_rc(ipc_pool_shutdown(pool, false, false), 0);
    expect_rc(ipc_imap_next(imap, NULL, IPC_TIME_FOREVER), 1);
    expect_rc(ipc_pool_shutdown(pool, false, true), 0);
    for (int n = 0; (rc = ipc_imap_next(imap, NULL, IPC_TIME_FOREVER)) != 0;
         n++) {
        assert_true(rc == 1 || rc == -ECANCELED);
        assert_true(n <= 11);
    }
    ipc_imap_end(imap);
}

static void it_may_be_cancelled_all_the_same(void)
{
    with_both(cancelling);
}

static const struct test_case cases[] = {
    TEST_CASE(what_is_begun_comes_although_the_pool_closes),
    TEST_CASE(but_not_beyond_the_window_for_who_waits),
    TEST_CASE(another_threads_is_waited_for),
    TEST_CASE(nobody_waits_for_the_dead),
    TEST_CASE(it_may_be_cancelled_all_the_same),
};
TEST_MAIN(cases)
