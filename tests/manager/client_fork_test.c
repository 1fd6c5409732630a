/* Managers and forks: a child connects by itself, and owns nothing that its
 * parent holds; what a process held is free when it dies. */
#include "manager/client_support.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ipc/time.h>

static struct {
    ipc_manager *manager;
    ipc_list *direct;
    ipc_list *served;
    ipc_managed *lock;
    ipc_managed *queue;
    ipc_managed *semaphore;
    uint32_t *word;
} scene;

static void begin(void)
{
    scene.manager = client_start(NULL);
    OK(ipc_manager_list(scene.manager, "direct", &scene.direct));
    scene.served = client_served_list(scene.manager, NULL);
    IS(ipc_manager_lock(scene.manager, NULL, &scene.lock), 1);
    IS(ipc_manager_queue(scene.manager, NULL, NULL, &scene.queue), 1);
    IS(ipc_manager_bounded_semaphore(scene.manager, NULL, 2, &scene.semaphore),
       1);
    scene.word = test_shared(64);
}

static void end(void)
{
    OK(ipc_list_close(scene.direct));
    OK(ipc_list_close(scene.served));
    OK(ipc_managed_close(scene.lock));
    OK(ipc_managed_close(scene.queue));
    OK(ipc_managed_close(scene.semaphore));
    OK(ipc_manager_close(scene.manager));
}

static void append_both(void *arg)
{
    const int64_t number = (intptr_t)arg;
    OK(ipc_list_append_i64(scene.direct, number));
    OK(ipc_list_append_i64(scene.served, number));
}

static void children_use_what_they_inherit(void)
{
    enum {
        CHILDREN = 4
    };
    begin();
    struct role roles[CHILDREN];
    for (intptr_t i = 0; i < CHILDREN; i++)
        role_start(&roles[i], append_both, (void *)(i * 111));
    for (int i = 0; i < CHILDREN; i++)
        role_wait_ok(&roles[i], 5000);
    IS(ipc_list_length(scene.direct), CHILDREN);
    IS(ipc_list_length(scene.served), CHILDREN);
    int64_t sum = 0;
    for (int i = 0; i < CHILDREN; i++) {
        int64_t number = 0;
        OK(ipc_list_get_i64(scene.served, i, &number));
        sum += number;
    }
    assert_int_equal(sum, 111 * (CHILDREN - 1) * CHILDREN / 2);
    end();
}

/* Without atfork handlers: it still has its parent's descriptors. */
static void a_raw_clone_connects_by_itself_too(void)
{
    begin();
    OK(ipc_list_append_i64(scene.served, 1));
    const long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    assert_true(pid >= 0);
    if (pid == 0) {
        const bool done = ipc_list_append_i64(scene.served, 2) == 0 &&
                          ipc_managed_lock_acquire_nowait(scene.lock) == 0 &&
                          ipc_list_length(scene.served) == 2;
        _exit(done ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid((pid_t)pid, &status, 0), pid);
    assert_int_equal(status, 0);
    /* The session was the child's own: its lock is free, ours goes on. */
    IS(ipc_managed_lock_acquire_until(scene.lock, ipc_after_ms(5000)),
       IPC_OWNER_DIED);
    OK(ipc_managed_lock_release(scene.lock));
    IS(ipc_list_length(scene.served), 2);
    end();
}

static void close_in_child(void *unused)
{
    (void)unused;
    OK(ipc_list_append_i64(scene.served, 1));
    OK(ipc_list_close(scene.served));
    OK(ipc_managed_close(scene.lock));
    OK(ipc_list_close(scene.direct));
    OK(ipc_manager_close(scene.manager));
}

static void a_child_closes_its_own_part_only(void)
{
    begin();
    struct role role;
    role_start(&role, close_in_child, NULL);
    role_wait_ok(&role, 5000);
    IS(ipc_list_length(scene.served), 1);
    OK(ipc_list_append_i64(scene.direct, 1));
    OK(ipc_managed_lock_acquire(scene.lock));
    OK(ipc_managed_lock_release(scene.lock));
    end();
}

static void close_unused(void *unused)
{
    (void)unused;
    OK(ipc_list_close(scene.served));
    OK(ipc_manager_close(scene.manager));
}

static void a_child_that_never_called_may_close_too(void)
{
    begin();
    struct role role;
    role_start(&role, close_unused, NULL);
    role_wait_ok(&role, 5000);
    IS(ipc_list_length(scene.served), 0);
    end();
}

static void try_what_the_parent_holds(void *unused)
{
    (void)unused;
    IS(ipc_managed_lock_acquire_nowait(scene.lock), -EAGAIN);
    IS(ipc_managed_lock_release(scene.lock), -EPERM);
    OK(ipc_managed_semaphore_acquire_nowait(scene.semaphore));
    IS(ipc_managed_semaphore_acquire_nowait(scene.semaphore), -EAGAIN);
}

static void a_child_owns_nothing_that_its_parent_holds(void)
{
    begin();
    struct role role;
    OK(ipc_managed_lock_acquire(scene.lock));
    OK(ipc_managed_semaphore_acquire(scene.semaphore));
    role_start(&role, try_what_the_parent_holds, NULL);
    role_wait_ok(&role, 5000);
    IS(ipc_managed_lock_is_held(scene.lock), 1);
    OK(ipc_managed_lock_release(scene.lock));
    OK(ipc_managed_semaphore_release(scene.semaphore));
    end();
}

static void hold_all(void *unused)
{
    ipc_managed_lease lease;
    (void)unused;
    OK(ipc_managed_lock_acquire(scene.lock));
    OK(ipc_managed_semaphore_acquire(scene.semaphore));
    OK(ipc_managed_queue_take(scene.queue, &lease));
    meet_signal(scene.word);
    for (;;)
        pause();
}

static void what_a_killed_process_held_is_free(void)
{
    begin();
    struct role role;
    ipc_any got;
    OK(ipc_managed_queue_put(scene.queue, ipc_i64(1)));
    role_start(&role, hold_all, NULL);
    meet_wait(scene.word, 1, 5000);
    IS(ipc_managed_lock_acquire_nowait(scene.lock), -EAGAIN);
    IS(ipc_managed_queue_get_nowait(scene.queue, &got), -EAGAIN);
    role_kill(&role);
    const int64_t start = test_now_ns();
    IS(ipc_managed_lock_acquire_until(scene.lock, ipc_after_ms(5000)),
       IPC_OWNER_DIED);
    test_report("us", (test_now_ns() - start) / 1000);
    OK(ipc_managed_queue_get_until(scene.queue, &got, ipc_after_ms(5000)));
    OK(ipc_managed_semaphore_acquire_until(scene.semaphore,
                                           ipc_after_ms(5000)));
    OK(ipc_managed_semaphore_acquire_until(scene.semaphore,
                                           ipc_after_ms(5000)));
    end();
}

static void use_until_killed(void *unused)
{
    (void)unused;
    OK(ipc_list_append_i64(scene.served, 1));
    meet_signal(scene.word);
    for (;;)
        pause();
}

static void an_anonymous_list_lives_as_long_as_a_process_has_it(void)
{
    begin();
    struct role role;
    role_start(&role, use_until_killed, NULL);
    meet_wait(scene.word, 1, 5000);
    const int64_t before = ipc_manager_number_of_objects(scene.manager);
    OK(ipc_list_close(scene.served));
    IS(ipc_manager_number_of_objects(scene.manager), before);
    role_kill(&role);
    while (ipc_manager_number_of_objects(scene.manager) == before)
        poll_pause();
    scene.served = client_served_list(scene.manager, NULL);
    end();
}

/* ---- forks while other threads are in calls ---- */

static atomic_bool stop;

static void *call_on(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        ipc_list *copy = NULL;
        OK(ipc_list_append_i64(scene.served, 1));
        OK(ipc_list_copy(scene.served, &copy));
        OK(ipc_list_clear(scene.served));
        OK(ipc_list_close(copy));
    }
    return NULL;
}

static void append_one(void *unused)
{
    (void)unused;
    OK(ipc_list_append_i64(scene.served, 1));
    OK(ipc_list_append_i64(scene.direct, 1));
}

static void children_forked_amid_the_calls_of_threads_work(void)
{
    enum {
        THREADS = 3,
        FORKS = 40
    };
    begin();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_on, NULL), 0);
    for (int i = 0; i < FORKS; i++) {
        struct role role;
        role_start(&role, append_one, NULL);
        role_wait_ok(&role, 5000);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    IS(ipc_list_length(scene.direct), FORKS);
    end();
}

/* ---- tcp ---- */

static void hold_and_fork(void *arg)
{
    const struct client_server *server = arg;
    ipc_manager *manager = client_connect(server);
    ipc_managed *lock;
    IS(ipc_manager_lock(manager, "lock", &lock), 0);
    OK(ipc_managed_lock_acquire(lock));
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        /* It has the socket no more, and so does not keep it open. */
        scene.word[1] = (uint32_t)getpid();
        meet_signal(scene.word);
        for (;;)
            pause();
    }
    for (;;)
        pause();
}

static void a_childs_copy_does_not_keep_a_tcp_session_alive(void)
{
    struct client_server *server = client_server_new("tcp://127.0.0.1:0");
    server->limits.session_grace_ms = 50;
    client_server_start(server);
    ipc_manager *manager = client_connect(server);
    ipc_managed *lock;
    struct role role;
    scene.word = test_shared(64);
    IS(ipc_manager_lock(manager, "lock", &lock), 1);
    role_start(&role, hold_and_fork, server);
    meet_wait(scene.word, 1, 5000);
    IS(ipc_managed_lock_acquire_nowait(lock), -EAGAIN);
    role_kill(&role);
    IS(ipc_managed_lock_acquire_until(lock, ipc_after_ms(5000)),
       IPC_OWNER_DIED);
    assert_int_equal(kill((pid_t)scene.word[1], SIGKILL), 0);
    OK(ipc_managed_close(lock));
    OK(ipc_manager_close(manager));
    client_server_kill(server);
}

static const struct test_case cases[] = {
    TEST_CASE(children_use_what_they_inherit),
    TEST_CASE(a_raw_clone_connects_by_itself_too),
    TEST_CASE(a_child_closes_its_own_part_only),
    TEST_CASE(a_child_that_never_called_may_close_too),
    TEST_CASE(a_child_owns_nothing_that_its_parent_holds),
    TEST_CASE(what_a_killed_process_held_is_free),
    TEST_CASE(an_anonymous_list_lives_as_long_as_a_process_has_it),
    TEST_CASE(children_forked_amid_the_calls_of_threads_work),
    TEST_CASE(a_childs_copy_does_not_keep_a_tcp_session_alive),
};

TEST_MAIN(cases)
