/* Starting a process as a fresh image of the program, and waiting for it.
 *
 * Order
 *   [child→starter]  as in child.c.
 *
 * Death, of the starter
 *   at any time    the image finds that it has another parent, and ends; its
 *                  start block stays taken (leaky).
 * Death, of the image
 *   before it has reached ipc_spawn_main()  start fails;
 *   later                                   start succeeds, join tells. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic.h"
#include "core/error.h"
#include "core/private_lock.h"
#include "core/waiting.h"
#include "process/fresh.h"

int64_t ipc__fresh_patience_ns = (int64_t)10 * 1000 * 1000 * 1000;

/* ---- methods ---- */

static uint32_t default_method = IPC_START_FORK;

uint32_t ipc__start_method(uint32_t option)
{
    return option != IPC_START_DEFAULT ? option : load_relaxed(&default_method);
}

void ipc__set_start_method(uint32_t method)
{
    store_relaxed(&default_method,
                  method == IPC_START_DEFAULT ? IPC_START_FORK : method);
}

int ipc_set_start_method(int method)
{
    if (method < IPC_START_DEFAULT || method > IPC_START_SPAWN)
        return ipc__fail(-EINVAL, "start method %d is not known", method);
    ipc__set_start_method((uint32_t)method);
    return 0;
}

int ipc_get_start_method(void)
{
    return (int)load_relaxed(&default_method);
}

/* ---- start ---- */

int ipc__fresh_failed(const char *name, int error, enum ipc__start_step step)
{
    static const char *const what[] = {
        [IPC__STEP_SETUP] = "could not be set up",
        [IPC__STEP_EXEC] = "could not become the program",
        [IPC__STEP_FAMILY] = "could not map family memory",
        [IPC__STEP_REQUEST] = "could not read its orders",
        [IPC__STEP_ENTRY] = "has no such function registered in its image",
        [IPC__STEP_FDS] = "could not have the descriptors that are passed",
        [IPC__STEP_PRELOAD] = "failed in its preload",
        [IPC__STEP_THREADS] = "has a thread that its preload left behind",
    };
    if (error >= 0 || error < -4095 || step > IPC__STEP_THREADS)
        error = -EINVAL;
    const char *text = strerrordesc_np(-error);
    return ipc__fail(error, "%s %s: %s", name, what[step],
                     text != NULL ? text : "no such error");
}

/* It has ended without a word. */
static int fail_early(const struct ipc__child *child)
{
    if (child->lost)
        return ipc__fail(-EPIPE, "%s ended before it was ready", child->name);
    return ipc__fail(-EPIPE, "%s ended with %d before it was ready",
                     child->name, child->exitcode);
}

static int give_up(struct ipc__child *child)
{
    (void)ipc__child_signal(child, SIGKILL);
    (void)ipc__child_join(child, IPC_TIME_FOREVER);
    return ipc__fail(
        -ETIMEDOUT, "%s did not call ipc_spawn_main() within %lld ms",
        child->name, (long long)(ipc__fresh_patience_ns / 1000000));
}

static bool is_on_its_way(uint32_t state)
{
    return state == IPC__START_BEGUN || state == IPC__START_ENTERED;
}

/* Wait until the image is about to run.  0, or why not, and then it has
 * ended. */
static int await_image(struct ipc__child *child)
{
    const struct ipc__start *start = child->start;
    const ipc_deadline patience = ipc_after_ns(ipc__fresh_patience_ns);
    struct ipc__pace pace = {0};
    uint32_t state;
    while (is_on_its_way(state = load_acquire(&start->state))) {
        const bool begun = state == IPC__START_BEGUN;
        if (begun && ipc_time_left(patience) == 0)
            return give_up(child);
        if (ipc__sleep(&pace, &start->state, state, NULL, 0,
                       begun ? patience : IPC_TIME_FOREVER) &&
            ipc__child_join(child, IPC_TIME_NOW) == 0) {
            state = load_acquire(&start->state);
            break;
        }
    }
    if (state == IPC__START_BEGUN ||
        (state == IPC__START_ENTERED && child->process == NULL))
        return fail_early(child);
    if (state != IPC__START_FAILED)
        return 0;
    (void)ipc__child_join(child, IPC_TIME_FOREVER);
    return ipc__fresh_failed(child->name, start->error, start->step);
}

/* With the tree's lock. */
static int start_locked(struct ipc__tree *tree, struct ipc__child *child,
                        const struct ipc__orders *orders, int extra, bool list)
{
    int rc = ipc__tree_end_at_exit();
    if (rc != 0)
        return rc;
    const int place = ipc__keep_place();
    if (place < 0)
        return place;
    const int pid = ipc__image_start(orders, extra);
    (void)close(place);
    if (pid < 0)
        return pid;
    rc = ipc__child_born(child, pid);
    if (rc == 0 && list)
        ipc__tree_add(tree, child);
    return rc;
}

int ipc__fresh_start(struct ipc__child *child, const struct ipc__orders *orders,
                     int extra, bool list)
{
    struct ipc__tree *tree = ipc__tree();
    ipc__private_lock(&tree->lock);
    int rc = start_locked(tree, child, orders, extra, list);
    ipc__private_unlock(&tree->lock);
    if (rc != 0)
        return rc;
    rc = await_image(child);
    if (rc != 0)
        ipc__child_forget(child);
    return rc;
}

int ipc__start_spawn(struct ipc__child *child)
{
    struct ipc__tree *tree = ipc__tree();
    struct ipc__orders orders = {.fd = -1, .request.socket = -1};
    int rc = ipc__fresh_is_possible();
    if (rc != 0)
        return rc;
    ipc__private_lock(&tree->lock);
    ipc__child_name(tree, child);
    ipc__private_unlock(&tree->lock);
    store_relaxed(&child->start->state, IPC__START_BEGUN);
    rc = ipc__orders_write(&orders, child);
    if (rc != 0)
        return rc;
    rc = ipc__fresh_start(child, &orders, -1, true);
    (void)close(orders.fd);
    return rc;
}
