/* Making pools, asking things of them, and ending them. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ipc/shared.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/options.h"
#include "core/error.h"
#include "core/family.h"
#include "core/local.h"
#include "core/private_lock.h"
#include "core/waiting.h"
#include "memory/shared.h"
#include "pool/callback.h"
#include "pool/hold.h"
#include "pool/maker.h"
#include "pool/table.h"
#include "pool/worker.h"
#include "process/entry.h"
#include "process/internal.h"

#define GRACE_NS   ((int64_t)1000 * 1000 * 1000)
#define DEATHS_MAX 100
#define DEATHS_NS  ((int64_t)10 * 1000 * 1000 * 1000)

/* The pools that this process has made, for its end.  Of a forked child they
 * are its parent's. */
static struct {
    uint32_t lock;
    uint64_t process;
    uint32_t numbered;
    struct ipc__maker *first;
} pools;

/* ---- checks ---- */

static int check(const ipc_pool *pool)
{
    return pool->magic == IPC__POOL_MAGIC
               ? 0
               : ipc__fail(-EINVAL, "this is no pool, or was freed");
}

static int check_maker(const ipc_pool *pool, struct ipc__maker **out)
{
    const int rc = check(pool);
    if (rc != 0)
        return rc;
    if (pool->maker_pid != getpid())
        return ipc__fail(-ECHILD, "%s was made by process %d", pool->name,
                         pool->maker_pid);
    *out = pool->maker;
    return 0;
}

static bool is_inside(const ipc_pool *pool)
{
    return ipc__task != NULL && ipc__task->pool == pool;
}

/* ---- options ---- */

static int check_options(const ipc_pool_options *o)
{
    if (o->kind > IPC_POOL_THREADS)
        return ipc__fail(-EINVAL, "pool: unknown kind %u", o->kind);
    if ((o->flags & ~IPC_POOL_KEEP_INTERRUPT) != 0)
        return ipc__fail(-EINVAL, "pool: unknown flags 0x%x", o->flags);
    if (o->workers > IPC_POOL_WORKERS_MAX)
        return ipc__fail(-EINVAL, "pool: %u workers, %u are the most",
                         o->workers, IPC_POOL_WORKERS_MAX);
    if (o->max_pending > IPC_POOL_PENDING_MAX)
        return ipc__fail(-EINVAL, "pool: %u pending tasks, %u are the most",
                         o->max_pending, IPC_POOL_PENDING_MAX);
    if (o->max_deaths > IPC__DEATHS)
        return ipc__fail(-EINVAL, "pool: max_deaths %u, %u are the most",
                         o->max_deaths, IPC__DEATHS);
    if (o->task_ns < 0 || o->grace_ns < 0 || o->idle_ns < 0 || o->deaths_ns < 0)
        return ipc__fail(-EINVAL, "pool: a negative time");
    if (o->start_method > IPC_START_SPAWN)
        return ipc__fail(-EINVAL, "pool: unknown start method %u",
                         o->start_method);
    if ((o->cpu_count != 0 && o->cpus == NULL) ||
        (o->rlimit_count != 0 && o->rlimits == NULL))
        return ipc__fail(-EINVAL, "pool: a count, but nothing there");
    if (o->kind == IPC_POOL_THREADS && o->rlimit_count != 0)
        return ipc__fail(-EINVAL, "pool: rlimits are for processes");
    if (o->spread && o->cpu_count == 0)
        return ipc__fail(-EINVAL, "pool: spread over which CPUs?");
    return 0;
}

static uint32_t start_method(const ipc_pool_options *o)
{
    if (o->kind == IPC_POOL_THREADS)
        return IPC_START_FORK; /* functions have addresses */
    return o->start_method != IPC_START_DEFAULT
               ? o->start_method
               : (uint32_t)ipc_get_start_method();
}

static bool is_family_memory(const void *address)
{
    struct ipc__region *family;
    uintptr_t lo;
    uintptr_t span;
    return ipc__family(&family) == 0 &&
           ipc__region_find(address, &lo, &span) == family;
}

static int fill_pool(ipc_pool *pool, const ipc_pool_options *o)
{
    pool->workers_max = IPC_POOL_WORKERS_MAX;
    pool->kind = o->kind;
    pool->flags = o->flags;
    pool->max_pending = o->max_pending;
    pool->max_tasks = o->max_tasks_per_worker;
    pool->start_method = start_method(o);
    pool->image = pool->start_method == IPC_START_FORK ? ipc__image_number()
                                                       : IPC__NO_IMAGE;
    pool->task_ns = o->task_ns;
    pool->grace_ns = o->grace_ns != 0 ? o->grace_ns : GRACE_NS;
    pool->idle_ns = o->idle_ns;
    pool->wanted = o->workers != 0 ? o->workers : (uint32_t)ipc_cpu_quota();
    pool->min_workers = o->min_workers; /* it may be resized */
    pool->max_deaths = o->max_deaths != 0 ? o->max_deaths : DEATHS_MAX;
    pool->deaths_ns = o->deaths_ns != 0 ? o->deaths_ns : DEATHS_NS;
    pool->initializer_arg = o->initializer_arg;
    pool->maker_pid = getpid();
    pool->looks_at = IPC_TIME_FOREVER;
    if (o->name != NULL)
        snprintf(pool->name, sizeof pool->name, "%.24s", o->name);
    else
        snprintf(pool->name, sizeof pool->name, "Pool-%u",
                 add_relaxed(&pools.numbered, 1) + 1);
    if (pool->start_method != IPC_START_FORK && o->initializer_arg != NULL &&
        !is_family_memory(o->initializer_arg))
        return ipc__fail(-EINVAL, "%s: initializer_arg is not in family memory",
                         pool->name);
    int rc = ipc__pool_name_function(pool, (ipc__any_function)o->initializer,
                                     &pool->initializer);
    if (rc == 0)
        rc = ipc__pool_name_function(pool, (ipc__any_function)o->finalizer,
                                     &pool->finalizer);
    return rc;
}

/* ---- memory ---- */

static void *copy_of(const void *from, size_t bytes)
{
    void *to = bytes == 0 ? NULL : malloc(bytes);
    if (to != NULL)
        memcpy(to, from, bytes);
    return to;
}

static void free_maker(struct ipc__maker *maker)
{
    if (maker == NULL)
        return;
    free(maker->hands);
    free(maker->cpus);
    free(maker->rlimits);
    free(maker);
}

static int new_maker(const ipc_pool_options *o, struct ipc__maker **out)
{
    struct ipc__maker *maker = calloc(1, sizeof *maker);
    *out = maker;
    if (maker == NULL)
        return -ENOMEM;
    maker->options = *o;
    maker->hands = calloc(IPC_POOL_WORKERS_MAX, sizeof *maker->hands);
    maker->cpus = copy_of(o->cpus, o->cpu_count * sizeof *o->cpus);
    maker->rlimits = copy_of(o->rlimits, o->rlimit_count * sizeof *o->rlimits);
    maker->oom_kills = ipc__oom_kills();
    const bool is_whole = maker->hands != NULL &&
                          (o->cpu_count == 0 || maker->cpus != NULL) &&
                          (o->rlimit_count == 0 || maker->rlimits != NULL);
    if (!is_whole) {
        free_maker(maker);
        return -ENOMEM;
    }
    return 0;
}

static void free_shared(ipc_pool *pool)
{
    if (pool == NULL)
        return;
    if (pool->records != NULL)
        ipc__table_fini(pool);
    pool->magic = 0;
    (void)ipc_shared_free(pool->workers);
    (void)ipc_shared_free(pool);
}

static int new_shared(const ipc_pool_options *o, ipc_pool **out)
{
    static uint64_t serial;
    void *memory = NULL;
    void *workers = NULL;
    int rc = ipc__shared_alloc(sizeof **out, &memory);
    ipc_pool *pool = memory;
    if (rc == 0)
        rc = fill_pool(pool, o);
    if (rc == 0)
        rc = ipc__shared_alloc(sizeof *pool->workers *
                                       (IPC_POOL_WORKERS_MAX + 1) +
                                   sizeof(struct ipc__holds),
                               &workers);
    if (rc == 0) {
        pool->workers = workers;
        pool->workers[IPC_WORKER_CALLER].pid = getpid();
        rc = ipc__table_init(pool);
    }
    if (rc != 0) {
        free_shared(pool);
        return rc;
    }
    pool->serial = ((uint64_t)getpid() << 32) + add_relaxed(&serial, 1);
    pool->magic = IPC__POOL_MAGIC;
    (void)ipc__table_client(pool); /* number 0, which nobody buries */
    *out = pool;
    return 0;
}

/* ---- the pools of this process ---- */

/* In a forked child there are none: of several threads one sees to that. */
static void lock_pools(void)
{
    const uint64_t process =
        ipc__local_epoch() != 0 ? load_relaxed(&ipc__local.process) : 0;
    uint64_t seen;
    while ((seen = load_acquire(&pools.process)) != process) {
        if (seen == ~process || !cas64_acquire(&pools.process, seen, ~process))
            continue;
        pools.lock = 0;
        pools.first = NULL;
        store_release(&pools.process, process);
    }
    ipc__private_lock(&pools.lock);
}

static void unlock_pools(void)
{
    ipc__private_unlock(&pools.lock);
}

static void forget(const struct ipc__maker *maker)
{
    lock_pools();
    for (struct ipc__maker **at = &pools.first; *at != NULL; at = &(*at)->next)
        if (*at == maker) {
            *at = maker->next;
            break;
        }
    unlock_pools();
}

/* As Python's executors: what was submitted is run before the process ends,
 * also one of the family whose target returns.  A task or a callback that calls
 * exit() cannot wait for itself: then only what runs may still come to an end. */
static void end_pools(void)
{
    for (;;) {
        lock_pools();
        const struct ipc__maker *maker = pools.first;
        unlock_pools();
        if (maker == NULL || maker->pool->maker_pid != getpid())
            return;
        ipc__holds_release_imaps(maker->pool);
        int rc = ipc_pool_shutdown(maker->pool, true, false);
        if (rc == 0)
            rc = ipc_pool_free(maker->pool);
        if (rc != 0) {
            (void)ipc_pool_shutdown(maker->pool, false, true);
            forget(maker);
        }
    }
}

static void remember(struct ipc__maker *maker)
{
    lock_pools();
    store_release(&ipc__ends_first, end_pools);
    maker->next = pools.first;
    pools.first = maker;
    unlock_pools();
}

/* ---- making ---- */

static int start_crew(struct ipc__maker *maker)
{
    int rc = 0;
    const uint32_t wanted = maker->pool->wanted;
    for (uint32_t i = 0; i < wanted && rc == 0; i++)
        rc = ipc__crew_start(maker, i);
    return rc;
}

static int start_supervisor(struct ipc__maker *maker)
{
    ipc_thread_options options = IPC_THREAD_OPTIONS_INIT;
    char name[32];
    snprintf(name, sizeof name, "%.24s", maker->pool->name);
    options.daemon = true;
    options.name = name;
    int rc =
        ipc_thread_init(&maker->supervisor, ipc__supervise, maker, &options);
    if (rc == 0)
        rc = ipc_thread_start(&maker->supervisor);
    maker->has_supervisor = rc == 0;
    return rc;
}

/* Forks come first, while there is no thread of ours. */
static int start(struct ipc__maker *maker)
{
    sigset_t all;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &maker->mask);
    int rc = start_crew(maker);
    const int error = rc;
    if (rc != 0)
        maker->request = IPC__ASK_KILL;
    rc = start_supervisor(maker);
    (void)pthread_sigmask(SIG_SETMASK, &maker->mask, NULL);
    return error != 0 ? error : rc;
}

static void kill_crew(struct ipc__maker *maker)
{
    ipc__table_close(maker->pool);
    for (uint32_t i = 0; i < maker->pool->workers_used; i++)
        if (maker->hands[i].started) {
            ipc__crew_signal(maker, i, SIGKILL);
            (void)ipc__crew_join(maker, i, IPC_TIME_FOREVER);
            ipc__crew_close(maker, i);
        }
}

static void dispose(struct ipc__maker *maker)
{
    ipc_pool *pool = maker->pool;
    if (maker->has_supervisor) {
        (void)ipc_thread_join(&maker->supervisor);
        (void)ipc_thread_close(&maker->supervisor);
    } else {
        kill_crew(maker);
    }
    forget(maker);
    free_shared(pool);
    free_maker(maker);
}

int ipc_pool_new(const ipc_pool_options *options, ipc_pool **out)
{
    ipc_pool_options o;
    struct ipc__maker *maker = NULL;
    *out = NULL;
    int rc = ipc__options_read(&o, sizeof o, options);
    if (rc != 0)
        return ipc__fail(rc, "pool: options of another version");
    rc = check_options(&o);
    if (rc == 0 && (rc = new_maker(&o, &maker)) != 0)
        return ipc__fail(rc, "no memory for a pool");
    if (rc == 0)
        rc = new_shared(&o, &maker->pool);
    if (rc != 0) {
        free_maker(maker);
        return rc;
    }
    maker->pool->maker = maker;
    *out = maker->pool; /* before they are forked: they see it too */
    rc = start(maker);
    if (rc != 0) {
        *out = NULL;
        if (maker->has_supervisor)
            ipc__supervisor_ask(maker, IPC__ASK_KILL);
        dispose(maker);
        return rc;
    }
    remember(maker);
    return 0;
}

/* ---- ending ---- */

static int wait_for_end(ipc_pool *pool, ipc_deadline deadline)
{
    struct ipc__pace pace = {0};
    uint32_t phase;
    while ((phase = load_acquire(&pool->phase)) != IPC__POOL_ENDED) {
        if (ipc_time_left(deadline) <= 0)
            return ipc__fail(-ETIMEDOUT, "%s has tasks that run", pool->name);
        (void)ipc__sleep(&pace, &pool->phase, phase, NULL, 0, deadline);
    }
    return 0;
}

static int end(ipc_pool *pool, enum ipc__pool_request request, bool wait,
               ipc_deadline deadline)
{
    struct ipc__maker *maker;
    int rc = check_maker(pool, &maker);
    if (rc != 0)
        return rc;
    if (wait && is_inside(pool))
        return ipc__fail(-EDEADLK, "%s is shut down by a task of its own",
                         pool->name);
    /* Before a task is waited for that perhaps waits for this callback. */
    const bool drains = wait && request < IPC__ASK_TERMINATE;
    if (drains && ipc__callbacks_drain(pool, IPC_TIME_NOW) == -EDEADLK)
        return -EDEADLK;
    if (wait)
        ipc__holds_release_own(pool);
    ipc__supervisor_ask(maker, request);
    /* From here on nobody submits, and what is cancelled is not begun, also
     * before the supervisor looks. */
    ipc__table_close(pool);
    if (request >= IPC__ASK_CANCEL && load_relaxed(&pool->broken) == 0)
        (void)ipc__table_cancel_all(pool, IPC_EXCEPTION_CANCELLED, -ECANCELED);
    rc = wait ? wait_for_end(pool, deadline) : 0;
    return rc == 0 && drains
               ? ipc__callbacks_drain(pool, deadline > 0 ? deadline : 1)
               : rc;
}

int ipc_pool_shutdown(ipc_pool *pool, bool wait, bool cancel_pending)
{
    return end(pool, cancel_pending ? IPC__ASK_CANCEL : IPC__ASK_CLOSE, wait,
               IPC_TIME_FOREVER);
}

int ipc_pool_shutdown_until(ipc_pool *pool, bool cancel_pending,
                            ipc_deadline deadline)
{
    return end(pool, cancel_pending ? IPC__ASK_CANCEL : IPC__ASK_CLOSE, true,
               deadline);
}

int ipc_pool_terminate(ipc_pool *pool)
{
    return end(pool, IPC__ASK_TERMINATE, pool->kind == IPC_POOL_PROCESSES,
               IPC_TIME_FOREVER);
}

int ipc_pool_kill(ipc_pool *pool)
{
    return end(pool, IPC__ASK_KILL, pool->kind == IPC_POOL_PROCESSES,
               IPC_TIME_FOREVER);
}

/* Only atomics and one system call. */
void ipc_pool_interrupt(ipc_pool *pool)
{
    const int error = errno;
    if (pool == NULL || pool->maker_pid != getpid())
        return; /* the handler is inherited by children */
    (void)add_release(&pool->interrupts, 1);
    ipc__pool_ring(pool);
    errno = error;
}

int ipc_pool_free(ipc_pool *pool)
{
    struct ipc__maker *maker;
    if (pool == NULL)
        return 0;
    int rc = check_maker(pool, &maker);
    if (rc == 0)
        rc = end(pool, IPC__ASK_CANCEL, true, IPC_TIME_FOREVER);
    if (rc == 0)
        dispose(maker);
    return rc;
}

int ipc_pool_resize(ipc_pool *pool, uint32_t workers)
{
    struct ipc__maker *maker;
    const int rc = check_maker(pool, &maker);
    if (rc != 0)
        return rc;
    if (workers == 0 || workers > pool->workers_max)
        return ipc__fail(-EINVAL, "%s: 1 to %u workers", pool->name,
                         pool->workers_max);
    if ((load_acquire(&pool->tail) & IPC__LINE_CLOSED) != 0)
        return ipc__fail(-EPIPE, "%s was shut down", pool->name);
    store_release(&pool->wanted, workers);
    ipc__pool_ring(pool);
    return 0;
}
