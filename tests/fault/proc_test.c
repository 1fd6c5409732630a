/* Where /proc does not show the owner of a lock, or shows somebody else under
 * its number, the owner lives all the same: nothing is taken from it. */
#include "harness/harness.h"
#include "harness/role.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ipc/error.h>
#include <ipc/lock.h>

enum {
    LIMIT_MS = 10000
};

struct scene {
    ipc_lock lock;
    uint32_t held;
    uint32_t go;
    uint32_t released;
    int waited;   /* what the waiter got */
    int owner;    /* what the query said */
    int release;  /* what the owner's release said */
    int acquired; /* by the waiter, once the owner was killed */
};

static void own(struct scene *scene)
{
    if (ipc_lock_acquire(&scene->lock) != 0)
        _exit(1);
    meet_signal(&scene->held);
    meet_wait(&scene->go, 1, LIMIT_MS);
    scene->release = ipc_lock_release(&scene->lock);
    if (ipc_lock_acquire(&scene->lock) != 0)
        _exit(1);
    meet_signal(&scene->released);
    for (;;)
        (void)pause();
}

/* In the place where /proc is of no use: an owner, and the one who waits. */
static void play(struct scene *scene)
{
    const pid_t owner = fork();
    assert_true(owner >= 0);
    if (owner == 0)
        own(scene);
    meet_wait(&scene->held, 1, LIMIT_MS);
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    scene->owner = ipc_lock_owner(&scene->lock, &holder);
    if (!holder.alive)
        scene->owner = -1;
    scene->waited = ipc_lock_acquire_until(&scene->lock, ipc_after_ms(400));
    meet_signal(&scene->go);
    meet_wait(&scene->released, 1, LIMIT_MS);
    (void)kill(owner, SIGKILL);
    scene->acquired = ipc_lock_acquire(&scene->lock);
    while (waitpid(owner, NULL, 0) < 0)
        continue;
}

static void in_another_pid_namespace(void *arg)
{
    if (unshare(CLONE_NEWPID) != 0)
        test_skip("no right to make a pid namespace");
    const pid_t init = fork(); /* its /proc is the old one's */
    assert_true(init >= 0);
    if (init == 0) {
        play(arg);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(init, &status, 0), init);
    assert_int_equal(status, 0);
}

static void under_hidepid(void *arg)
{
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("proc", "/proc", "proc", 0, "hidepid=2") != 0)
        test_skip("no right to mount /proc");
    struct scene *scene = arg;
    const pid_t waiter = fork();
    assert_true(waiter >= 0);
    if (waiter == 0) { /* root's processes are hidden from it */
        meet_wait(&scene->held, 1, LIMIT_MS);
        if (setresgid(65534, 65534, 65534) != 0 ||
            setresuid(65534, 65534, 65534) != 0)
            _exit(1);
        scene->waited = ipc_lock_acquire_until(&scene->lock, ipc_after_ms(400));
        _exit(0);
    }
    assert_int_equal(ipc_lock_acquire(&scene->lock), 0);
    meet_signal(&scene->held);
    int status;
    assert_int_equal(waitpid(waiter, &status, 0), waiter);
    assert_int_equal(status, 0);
    assert_int_equal(ipc_lock_release(&scene->lock), 0);
}

/* The lock lies in memory of no family, as between programs: there is no slot
 * that could tell, and /proc is all there is. */
static struct scene *new_scene(void)
{
    return test_shared(sizeof(struct scene));
}

static void owner_behind_an_old_proc_is_not_robbed(void)
{
    struct scene *scene = new_scene();
    struct role role;
    role_start(&role, in_another_pid_namespace, scene);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(scene->waited, -ETIMEDOUT);
    assert_int_equal(scene->owner, 0);
    assert_int_equal(scene->release, 0);
    assert_int_equal(scene->acquired, IPC_OWNER_DIED);
}

static void owner_hidden_by_proc_is_not_robbed(void)
{
    struct scene *scene = new_scene();
    struct role role;
    role_start(&role, under_hidepid, scene);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(scene->waited, -ETIMEDOUT);
}

static const struct test_case cases[] = {
    TEST_CASE(owner_behind_an_old_proc_is_not_robbed),
    TEST_CASE(owner_hidden_by_proc_is_not_robbed),
};
TEST_MAIN(cases)
