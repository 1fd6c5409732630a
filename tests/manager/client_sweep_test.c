/* T68, T72: a client is killed before and after each system call: of its
 * connecting, and of its calls.  The server has nothing of it soon after, what
 * it held is free, what it changed is changed or not; and others are served. */
#include "manager/client_support.h"

#include "harness/sweep.h"

#include <ipc/time.h>

enum {
    SEEN_MS = 10000, /* longer: the server never noticed */
    ITEMS = 3,       /* in each list before */
    VICTIM_MS = 60000
};

/* The parent's, who looks at it; the victim has a manager of its own. */
static struct scene {
    struct client_server *server;
    ipc_manager *manager;
    ipc_list *list;
    ipc_managed *queue;
    ipc_managed *lock;
    ipc_managed *permits;
    uint64_t objects;
} scene;

static struct {
    ipc_manager *manager;
    ipc_list *list;
    ipc_managed *queue;
    ipc_managed *lock;
    ipc_managed *permits;
} own;

static void opened(int rc)
{
    if (rc < 0)
        test_fail("%s: %s", ipc_strerror(rc), ipc_error_detail());
}

static uint64_t objects_now(void)
{
    const int64_t count = ipc_manager_number_of_objects(scene.manager);
    assert_true(count >= 0);
    return (uint64_t)count;
}

static void begin(void)
{
    scene.server = client_server_new(NULL);
    scene.server->limits.handshake_ms = VICTIM_MS; /* who steps is slow */
    client_server_start(scene.server);
    scene.manager = client_connect(scene.server);
    scene.list = client_served_list(scene.manager, "list");
    opened(ipc_manager_queue(scene.manager, "queue", NULL, &scene.queue));
    opened(ipc_manager_lock(scene.manager, "lock", &scene.lock));
    opened(ipc_manager_bounded_semaphore(scene.manager, "permits", 1,
                                         &scene.permits));
    scene.objects = objects_now();
}

static void end(void)
{
    OK(ipc_list_close(scene.list));
    OK(ipc_managed_close(scene.queue));
    OK(ipc_managed_close(scene.lock));
    OK(ipc_managed_close(scene.permits));
    OK(ipc_manager_close(scene.manager));
    client_server_kill(scene.server);
}

/* ---- each run ---- */

static void reset(void *unused)
{
    ipc_any message;
    (void)unused;
    OK(ipc_list_clear(scene.list));
    for (int64_t i = 0; i < ITEMS; i++)
        OK(ipc_list_append_i64(scene.list, i));
    while (ipc_managed_queue_get_nowait(scene.queue, &message) == 0)
        ;
    OK(ipc_managed_queue_put(scene.queue, ipc_i64(1)));
}

static void connect_own(void)
{
    own.manager = client_connect(scene.server);
    own.list = client_served_list(own.manager, "list");
    opened(ipc_manager_queue(own.manager, "queue", NULL, &own.queue));
    opened(ipc_manager_lock(own.manager, "lock", &own.lock));
    opened(
        ipc_manager_bounded_semaphore(own.manager, "permits", 1, &own.permits));
}

static void connect_first(void *unused)
{
    (void)unused;
    connect_own();
}

/* What the first connection of a process does once is done. */
static void warm_up(void *unused)
{
    (void)unused;
    OK(ipc_manager_close(client_connect(scene.server)));
}

static void come_and_go(void *unused)
{
    (void)unused;
    ipc_manager *manager = client_connect(scene.server);
    OK(ipc_manager_close(manager));
}

static void change_list(void *unused)
{
    int64_t first;
    (void)unused;
    OK(ipc_list_append_i64(own.list, ITEMS));
    OK(ipc_list_pop_i64(own.list, 0, &first));
}

static void take_and_ack(void *unused)
{
    ipc_managed_lease lease;
    (void)unused;
    OK(ipc_managed_queue_take(own.queue, &lease));
    OK(ipc_managed_queue_ack(own.queue, &lease));
    ipc_managed_lease_free(&lease);
}

static void hold_both(void *unused)
{
    (void)unused;
    assert_true(ipc_managed_lock_acquire(own.lock) >= 0);
    OK(ipc_managed_semaphore_acquire(own.permits));
    OK(ipc_managed_semaphore_release(own.permits));
    OK(ipc_managed_lock_release(own.lock));
}

static void have_something(void *unused)
{
    ipc_managed *event;
    (void)unused;
    opened(ipc_manager_event(own.manager, NULL, &event));
    OK(ipc_managed_event_set(event));
    OK(ipc_managed_close(event));
}

/* ---- looking at it ---- */

/* It is gone from the server: true, or it never will be. */
static bool is_forgotten(void)
{
    const int64_t begin = test_now_ns();
    for (;;) {
        ipc_manager_stats stats = IPC_MANAGER_STATS_INIT;
        OK(ipc_manager_query(scene.manager, &stats));
        if (stats.sessions == 1 && stats.connections == 1 &&
            stats.waiting == 0 && stats.objects == scene.objects)
            return true;
        if (test_now_ns() - begin > SEEN_MS * (int64_t)1000000)
            return false;
        poll_pause();
    }
}

/* 0 1 2, or with the 3 behind, or that without the 0. */
static bool list_is_possible(void)
{
    const int64_t length = ipc_list_length(scene.list);
    int64_t first = -1;
    int64_t last = -1;
    OK(ipc_list_get_i64(scene.list, 0, &first));
    OK(ipc_list_get_i64(scene.list, -1, &last));
    return (length == ITEMS && first == 0 && last == ITEMS - 1) ||
           (length == ITEMS + 1 && first == 0 && last == ITEMS) ||
           (length == ITEMS && first == 1 && last == ITEMS);
}

static bool all_is_free(void)
{
    ipc_managed_queue_info info = IPC_MANAGED_QUEUE_INFO_INIT;
    OK(ipc_managed_queue_query(scene.queue, &info));
    const int rc = ipc_managed_lock_acquire_nowait(scene.lock);
    if (rc >= 0)
        OK(ipc_managed_lock_release(scene.lock));
    return rc >= 0 && info.leased == 0 && info.messages <= 1 &&
           ipc_managed_semaphore_value(scene.permits) == 1;
}

static void look(void *unused, const struct sweep_point *point,
                 struct sweep_result *result)
{
    (void)unused;
    if (!is_forgotten())
        sweep_leftover(result, point);
    if (!all_is_free())
        sweep_wedge(result, point);
    if (!list_is_possible())
        sweep_torn(result, point);
}

static void sweep_call(void (*prepare)(void *), void (*victim)(void *),
                       long least)
{
    struct sweep_result result;
    const struct sweep sweep = {.reset = reset,
                                .prepare = prepare,
                                .victim = victim,
                                .oracle = look,
                                .grain = SWEEP_SYSCALLS,
                                .max_points = 1000,
                                .limit_ms = VICTIM_MS};
    begin();
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    sweep_expect_clean(&result, least);
    end();
}

static void t68_killed_at_each_system_call_of_connecting(void)
{
    sweep_call(warm_up, come_and_go, 20);
}

static void t72_killed_at_each_system_call_of_changes(void)
{
    sweep_call(connect_first, change_list, 4);
}

static void t72_killed_at_each_system_call_of_a_lease(void)
{
    sweep_call(connect_first, take_and_ack, 4);
}

static void t72_killed_at_each_system_call_of_what_is_held(void)
{
    sweep_call(connect_first, hold_both, 4);
}

static void t72_killed_at_each_system_call_of_an_object(void)
{
    sweep_call(connect_first, have_something, 4);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t68_killed_at_each_system_call_of_connecting, 90),
    TEST_CASE_LIMIT(t72_killed_at_each_system_call_of_changes, 60),
    TEST_CASE_LIMIT(t72_killed_at_each_system_call_of_a_lease, 60),
    TEST_CASE_LIMIT(t72_killed_at_each_system_call_of_what_is_held, 60),
    TEST_CASE_LIMIT(t72_killed_at_each_system_call_of_an_object, 60),
};
TEST_MAIN(cases)
