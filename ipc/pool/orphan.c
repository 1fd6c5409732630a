/* Futures whose runner has died, where no supervisor sees to that: promises,
 * and tasks of a pool whose maker has died too.  Those who wait see to it.
 *
 * Such a pool is broken: it takes nothing more from when somebody has found
 * that its maker is dead, by waiting for a future of it or for room.
 *
 * Whoever finds such a future has `runner` name itself, by CAS, in the place of
 * the dead one, and completes it.  Of a task, which names its worker in its
 * word, the word has to say first that runner counts.
 *
 * Death
 *   of who takes over: it is the runner then, and found dead by the next;
 *   of who breaks the pool: whoever comes next closes it. */
#include <errno.h>

#include "core/error.h"
#include "pool/death.h"
#include "pool/future.h"
#include "pool/table.h"

/* Until it has said who it is, that is told by the process alone. */
static uint64_t supervisor_of(const struct ipc_pool *pool)
{
    const uint64_t id = load_acquire(&pool->supervisor);
    if (id != 0 || load_acquire(&pool->phase) == IPC__POOL_ENDED)
        return id;
    return (uint32_t)pool->maker_pid;
}

static void break_orphan(struct ipc_pool *pool)
{
    if ((load_relaxed(&pool->tail) & IPC__LINE_CLOSED) != 0)
        return;
    (void)cas32_release(&pool->broken, 0, IPC__MAKER_DIED);
    ipc__table_close(pool);
}

bool ipc__pool_is_orphan(struct ipc_pool *pool, bool thorough)
{
    const uint64_t id = supervisor_of(pool);
    struct ipc__peer supervisor = {.dead = false};
    if (id != 0)
        ipc__peer_look(pool, id, thorough, &supervisor);
    if (supervisor.dead)
        break_orphan(pool);
    return supervisor.dead;
}

uint64_t ipc__future_guardian(const struct ipc_future *future, uint32_t word)
{
    const enum ipc__future_state state = ipc__future_state(word);
    if (state != IPC__PENDING && state != IPC__RUNNING)
        return 0;
    if (ipc__future_has_runner(word))
        return load_acquire(&future->runner);
    return future->pool != NULL ? supervisor_of(future->pool) : 0;
}

static bool is_final(const struct ipc_future *future)
{
    return ipc__future_is_final(load_acquire(&future->state));
}

/* The caller runs it now: it has died. */
static bool bury(struct ipc_future *future, int32_t pid)
{
    if (pid != 0)
        future->pid = pid;
    future->signal = 0; /* nobody has seen how */
    future->exitcode = -1;
    ipc__future_blame(future, IPC_EXCEPTION_DIED, -EOWNERDEAD,
                      future->pool != NULL
                          ? "its worker, and the maker of its pool, have died"
                          : NULL);
    if ((ipc__future_complete(future, IPC__FAILED) & IPC__ABANDONED) != 0)
        (void)ipc__future_dispose(future);
    return true;
}

/* The one that runner names is dead.  If somebody else has found that too only
 * one of us comes further; and it may have completed it before. */
static bool take_over_named(struct ipc_future *future, uint64_t runner)
{
    char name[24];
    int32_t pid;
    ipc__peer_describe(future, runner, &pid, name);
    if (!ipc__self_is_ready(future) && ipc__self_register(future) != 0)
        return false;
    if (!cas64_acquire(&future->runner, runner, ipc__self.id) ||
        is_final(future))
        return is_final(future);
    return bury(future, pid);
}

/* Its worker is dead, and nobody starts another one. */
static bool take_over_task(struct ipc_future *future, uint32_t word)
{
    const uint32_t worker = (word >> IPC__RUNNER_SHIFT) - 1;
    const int32_t pid = future->pool->workers[worker].pid;
    if (ipc__future_claim_runner(future) != 0)
        return is_final(future);
    do {
        word = load_acquire(&future->state);
        if (ipc__future_state(word) != IPC__RUNNING ||
            (word >> IPC__RUNNER_SHIFT) - 1 != worker)
            return is_final(future);
    } while (!cas32_acquire(&future->state, word,
                            (word & IPC__FUTURE_FLAGS) | IPC__RUNNING |
                                IPC__RUNNER_IS_NAMED));
    return bury(future, pid);
}

/* The maker of its pool is dead, and the workers end. */
static bool look_at_task(struct ipc_future *future, uint32_t word,
                         bool thorough, struct ipc__peer *out)
{
    struct ipc_pool *pool = future->pool;
    break_orphan(pool);
    if (ipc__future_state(word) == IPC__PENDING)
        return ipc__future_end_pending(future, IPC_EXCEPTION_BROKEN,
                                       -ENOTRECOVERABLE, &word) ||
               is_final(future);
    const uint32_t worker = (word >> IPC__RUNNER_SHIFT) - 1;
    if (worker >= pool->workers_max)
        return false;
    const uint64_t id = load_acquire(&pool->workers[worker].id);
    ipc__peer_look(pool, id, thorough, out);
    return out->dead && take_over_task(future, word);
}

bool ipc__future_look(struct ipc_future *future, uint32_t word, bool thorough,
                      struct ipc__peer *out)
{
    const uint64_t guardian = ipc__future_guardian(future, word);
    *out = (struct ipc__peer){.dead = false};
    if (guardian == 0)
        return false;
    const bool has_runner = ipc__future_has_runner(word);
    ipc__peer_look(future, guardian, thorough, out);
    if (out->dead)
        return has_runner ? take_over_named(future, guardian)
                          : look_at_task(future, word, thorough, out);
    if (!has_runner) /* to sleep on one word is cheaper: the re-check will do */
        out->life = NULL;
    return false;
}
