/* A server that runs out of memory, at each allocation, in a quick run at some:
 * it says so to who asked, or does not start, and then goes on. */
#include "manager/fault_support.h"

#include "harness/scale.h"

enum {
    EVERY = 2, /* for a quick run: which allocations fail */
    EVERY_OF_STORE = 40
};

/* The nth allocation of a server fails.  It does not start, or one request gets
 * -ENOMEM, or one connection is lost; and then it works.  If it was the store's
 * it may end, as it does when that cannot be written, and is started again. */
struct starved {
    const char *folder;
    bool with_store;
    long nth;
    long starts_refused;
    long calls_refused;
    long ends;
};

static int start_again(struct served *served)
{
    role_wait_ok(&served->server.role, 10000);
    const int result = served->result;
    served->nth = 0;
    served_start(served);
    assert_int_equal(served->result, 0);
    return result;
}

/* Does it go on, now that it has seen the end of its last client? */
static bool goes_on(const struct served *served)
{
    ipc_manager *manager;
    if (ipc_manager_connect(served->server.address, CLIENT_KEY,
                            strlen(CLIENT_KEY), NULL, &manager) != 0)
        return false;
    const int rc = ipc_manager_ping(manager, IPC_TIME_FOREVER);
    OK(ipc_manager_close(manager));
    return rc == 0;
}

/* True: there are not so many. */
static bool one_without_memory(struct starved *starved)
{
    char folder[120];
    snprintf(folder, sizeof folder, "%s/%ld", starved->folder, starved->nth);
    assert_int_equal(mkdir(folder, 0700), 0);
    struct served *served = served_new(folder);
    durable = starved->with_store;
    if (!durable)
        served->server.store[0] = '\0';
    served->nth = starved->nth;
    served_start(served);
    if (served->result != 0) {
        assert_int_equal(served->result, -ENOMEM);
        starved->starts_refused++;
        (void)start_again(served);
    }
    may_fail = true;
    use_manager(served);
    starved->calls_refused += tally.refused;
    (void)kill(served->server.role.pid, SIGUSR1);
    meet_wait(&served->ended, 1, 10000);
    if (served->nth != 0 && !goes_on(served)) {
        const int result = start_again(served);
        assert_true(starved->with_store);
        assert_true(result == -EIO || result == -ENOMEM);
        starved->ends++;
        tally.appended[0] = 0; /* was not durable */
        tally.unsure[0] = 0;
    }
    expect_whole(served);
    use_well(served);
    served_stop(served);
    assert_int_equal(served->result, 0);
    const bool over = served->nth != 0 && served->count < served->nth;
    served_free(served);
    return over;
}

/* Skips the case where allocations cannot be made to fail. */
static void need_faults(void)
{
    fault_malloc_nth(0, false);
    (void)fault_malloc_end();
}

static void starve(const char *folder, bool with_store, long every)
{
    const long stride = sweep_stride(every);
    struct starved starved = {
        .folder = folder, .with_store = with_store, .nth = 1};
    for (long step = sweep_first(stride); !one_without_memory(&starved);
         step = stride)
        starved.nth += step;
    test_report("n", starved.nth - 1);
    test_report("starts_refused", starved.starts_refused);
    test_report("calls_refused", starved.calls_refused);
    test_report("ends", starved.ends);
    assert_true(starved.starts_refused > 0);
}

static void no_memory_in_a_server(void)
{
    need_faults();
    starve(test_tmpdir(), false, EVERY);
}

/* On a disk that does not let it wait. */
static void starve_in_memory(void *unused)
{
    (void)unused;
    fault_small_shm(256u << 20, 0);
    starve("/dev/shm", true, EVERY_OF_STORE);
}

static void no_memory_in_a_server_with_a_store(void)
{
    struct role role;
    need_faults();
    (void)test_tmpdir();
    role_start(&role, starve_in_memory, NULL);
    role_wait_ok(&role, (int)(85000 * test_scale()));
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(no_memory_in_a_server, 90),
    TEST_CASE_LIMIT(no_memory_in_a_server_with_a_store, 90),
};
TEST_MAIN(cases)
