#include "fault/everything.h"

#include <ipc/file_lock.h>
#include <ipc/rlock.h>
#include <ipc/segment.h>
#include <ipc/shared.h>

#include "core/error.h"

static struct everything *now;

/* Did it work? */
static bool done(const char *call, int rc)
{
    if (rc >= 0)
        return true;
    const char *detail = ipc_error_detail();
    if (detail[0] == '\0')
        test_fail("%s gave %d (%s), and no detail", call, rc, ipc_strerror(rc));
    if ((strstr(detail, "written over") != NULL && rc != -EUCLEAN) ||
        (strstr(detail, "is full") != NULL && rc != -EAGAIN &&
         rc != -ETIMEDOUT))
        test_fail("%s gave %d (%s), but the detail %s", call, rc,
                  ipc_strerror(rc), detail);
    if (now->expected == NULL || !now->expected(rc))
        test_fail("%s gave %d (%s: %s)", call, rc, ipc_strerror(rc), detail);
    now->errors++;
    return false;
}

/* What an earlier error said is forgotten first. */
#define DONE(call) done(#call, (ipc__fail_plain(0), (call)))

/* ---- processes ---- */

static int run_itself(ipc_process *self)
{
    return ipc_process_is_daemon(self) ? 2 : 1;
}

static void finish(ipc_process *process, bool started, int code)
{
    if (started)
        assert_int_equal(end_of(process), code);
    else
        CHECK(ipc_process_close(process), 0);
}

static void use_processes(void)
{
    static const ipc_process_ops ops = {.run = run_itself};
    int number = 5;
    const ipc_process_options copied = {.size = sizeof copied,
                                        .arg_bytes = sizeof number};
    const ipc_process_options other = {.size = sizeof other,
                                       .daemon = !now->no_threads};
    ipc_process p[2];
    const bool ready =
        DONE(ipc_process_init(&p[0], return_it, &number, &copied));
    (void)DONE(ipc_process_init_ops(&p[1], &ops, &other));
    const bool first = DONE(ipc_process_start(&p[0]));
    assert_true(ready || !first);
    const bool second = DONE(ipc_process_start(&p[1]));
    finish(&p[0], first, 5);
    finish(&p[1], second, now->no_threads ? 1 : 2);
    assert_int_equal(ipc_active_children(NULL, 0), 0);
    assert_true(ipc_cpu_count() >= 1);
    assert_true(ipc_current_process() != NULL || now->expected != NULL);
}

#include "fault/everything_sync.h"

#include "fault/everything_arena.h"
#include "fault/everything_thread.h"
#include "fault/everything_value.h"

#include "fault/everything_message.h"

#include "fault/everything_channel.h"
#include "fault/everything_queue.h"

#include "fault/everything_wait.h"

#include "fault/everything_future.h"

#include "fault/everything_pool.h"

#include "fault/everything_start.h"

/* ---- memory ---- */

static void use_segments(void)
{
    ipc_segment *made, *opened, *another;
    if (DONE(ipc_segment_create("one", 5000, NULL, &made))) {
        if (DONE(ipc_segment_open("one", &opened)))
            CHECK(ipc_segment_close(opened), 0);
        memset(ipc_segment_data(made), 1, ipc_segment_size(made));
        CHECK(ipc_segment_close(made), 0);
        (void)DONE(ipc_segment_unlink("one"));
    }
    if (DONE(ipc_segment_open_or_create("two", 1, NULL, &another))) {
        CHECK(ipc_segment_close(another), 0);
        (void)DONE(ipc_segment_unlink("two"));
    }
    (void)DONE(ipc_segment_gc());
}

static void use_family_memory(void)
{
    ipc_shared_info info = IPC_SHARED_INFO_INIT;
    (void)DONE(ipc_shared_init());
    static const size_t sizes[] = {10, 100, 10000, 1000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *memory = ipc_shared_alloc(sizes[i]);
        if (memory == NULL) {
            assert_true(now->expected != NULL);
            assert_true(strlen(ipc_error_detail()) > 0);
            now->errors++;
            continue;
        }
        memset(memory, 1, sizes[i]);
        CHECK(ipc_shared_free(memory), 0);
    }
    (void)DONE(ipc_shared_query(&info));
}

/* ---- locks ---- */

static int wait_for_it(void *arg)
{
    if (ipc_lock_acquire(arg) < 0)
        return 1;
    return ipc_lock_release(arg) < 0;
}

static void use_lock(ipc_lock *lock)
{
    if (!DONE(ipc_lock_acquire(lock)))
        return;
    assert_true(ipc_lock_is_mine(lock));
    CHECK(ipc_lock_release(lock), 0);
}

/* Somebody sleeps on it. */
static void use_lock_together(ipc_lock *lock)
{
    ipc_process waiter;
    CHECK(ipc_process_init(&waiter, wait_for_it, lock, NULL), 0);
    if (!DONE(ipc_lock_acquire(lock)))
        return;
    const bool started = DONE(ipc_process_start(&waiter));
    if (started)
        CHECK(ipc_process_join_until(&waiter, ipc_after_ms(3)), -ETIMEDOUT);
    CHECK(ipc_lock_release(lock), 0);
    finish(&waiter, started, 0);
}

static void use_locks(void)
{
    ipc_lock *lock, *named;
    ipc_rlock *rlock;
    ipc_lock own = {.word_ = 0};
    use_lock(&own);
    if (DONE(ipc_lock_new(NULL, &lock))) {
        use_lock(lock);
        use_lock_together(lock);
        CHECK(ipc_lock_free(lock), 0);
    }
    if (DONE(ipc_rlock_new(NULL, &rlock))) {
        if (DONE(ipc_rlock_acquire(rlock)))
            CHECK(ipc_rlock_release(rlock), 0);
        CHECK(ipc_rlock_free(rlock), 0);
    }
    if (DONE(ipc_lock_open_or_create("three", NULL, &named))) {
        use_lock(named);
        CHECK(ipc_lock_close(named), 0);
        (void)DONE(ipc_lock_unlink("three"));
    }
}

/* A release that cannot be noted in the file looks like a death. */
static bool take_file_lock(ipc_file_lock *lock)
{
    const int rc = ipc_file_lock_acquire(lock);
    if (rc == IPC_OWNER_DIED)
        CHECK(ipc_file_lock_consistent(lock), 0);
    return done("ipc_file_lock_acquire", rc);
}

static void use_file_locks(void)
{
    ipc_file_lock *lock, *again;
    if (!DONE(ipc_file_lock_open("lock", &lock)))
        return;
    if (DONE(ipc_file_lock_open("lock", &again))) {
        if (take_file_lock(again))
            CHECK(ipc_file_lock_release(again), 0);
        CHECK(ipc_file_lock_close(again), 0);
    }
    CHECK(ipc_file_lock_close(lock), 0);
}

/* ---- all of it ---- */

static void use_objects(void)
{
    use_processes();
    use_segments();
    use_locks();
    use_sync();
    use_file_locks();
    use_family_memory();
    use_arrays();
    use_arenas();
    use_thread_things();
}

static void use_messages(void)
{
    use_queues();
    use_connections();
    use_waits();
}

void use_everything(struct everything *use)
{
    now = use;
    use->errors = 0;
    if (use->part == ALL_PARTS || use->part == ONLY_OBJECTS)
        use_objects();
    if (use->part == ALL_PARTS || use->part == ONLY_MESSAGES)
        use_messages();
    if (use->part == ONLY_POOLS)
        use_pools();
    if (use->part == ONLY_STARTS)
        use_starts();
}

void use_everything_well(void)
{
    struct everything use = {.expected = NULL};
    use_everything(&use);
}

void remove_names_of_everything(void)
{
    (void)ipc_segment_unlink("one");
    (void)ipc_segment_unlink("two");
    (void)ipc_lock_unlink("three");
    remove_names_of_sync();
    remove_names_of_arrays();
    remove_names_of_arenas();
    remove_names_of_queues();
}
