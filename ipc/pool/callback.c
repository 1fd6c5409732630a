/* Callbacks of futures, and the one thread that calls them.
 *
 * State, under the lock
 *   buckets   all futures that have callbacks here, each once: an entry with
 *             those that were not called yet, in the order in which they came.
 *             In ordinary memory, so that a child finds what it has inherited
 *             from there; but they are those of the process that has set ready
 *   group     the same entries, for the thread, until their futures are done
 *   now       the entry whose callbacks are being called; in no group
 *   running   there is a thread.  It clears this, with the lock, before it ends
 *   count     of entries; read without the lock too
 *
 * Invariants
 *   1  a future has an entry from the first callback that is added before it is
 *      done until the last one has returned; one that is added meanwhile is the
 *      entry's last, also if the future is done: so the order is kept;
 *   2  the future of an entry is freed with it, or by its own last callback:
 *      then the entry is taken out of the buckets before;
 *   3  a callback is taken out of its entry, and freed, before it is called: it
 *      is called once, whatever it does;
 *   4  no lock is held meanwhile.
 *
 * Order
 *   [called→drained]  what a callback did is seen by who finds that it has
 *   returned: under the lock, or by the count, stored with release.
 *
 * Death
 *   All of it is private, and dies with the process.  A forked child finds the
 *   page wiped: no thread, and callbacks that are not its own. */
#include "pool/callback.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/error.h"
#include "core/local.h"
#include "core/private_lock.h"
#include "pool/future.h"
#include "pool/group.h"
#include "thread/internal.h"

/* How long the thread stays when there are no callbacks. */
#define LINGER_NS ((int64_t)20 * 1000 * 1000)

#define BUCKETS_MIN ((size_t)64)

struct callback {
    struct callback *next;
    void (*fn)(ipc_future *future, void *arg);
    void *arg;
};

struct entry {
    struct ipc__awaited awaited; /* first */
    struct entry *chain;         /* in its bucket */
    const ipc_pool *pool;
    bool frees; /* the future, after the last one */
    struct callback *first;
    struct callback **end;
};

struct callbacks {
    uint32_t lock; /* private */
    uint32_t count;
    uint32_t idle;     /* futex: how often the thread had called them all */
    uint32_t drainers; /* who sleeps on that */
    uint32_t ready;    /* the buckets are this process's */
    bool running;
    bool asked; /* for a look at all of them */
    struct entry *now;
    ipc_deadline empty_since;
    struct ipc__group group;
};

static union {
    struct callbacks callbacks;
    unsigned char page[IPC_PAGE_MAX];
} page __attribute__((aligned(IPC_PAGE_MAX)));

#define the_callbacks (page.callbacks)

static struct entry **buckets;
static size_t bucket_count;      /* a power of two, or 0 */
static struct entry **inherited; /* so that it is known where it lies */

/* The process whose callbacks the calling thread calls. */
static __thread uint64_t calls_for;

/* ---- entries; with the lock ---- */

static void lock(void)
{
    ipc__private_lock(&the_callbacks.lock);
    if (the_callbacks.ready == 0) {
        inherited = buckets;
        buckets = NULL;
        bucket_count = 0;
        the_callbacks.ready = 1;
    }
}

static void unlock(void)
{
    ipc__private_unlock(&the_callbacks.lock);
}

static struct entry **bucket_of(const ipc_future *future)
{
    const uint64_t line = (uint64_t)(uintptr_t)future >> 6;
    const uint64_t hash = line * UINT64_C(0x9e3779b97f4a7c15) >> 32;
    return &buckets[hash & (bucket_count - 1)];
}

static struct entry **link_of(const ipc_future *future)
{
    static struct entry *none;
    if (bucket_count == 0)
        return &none;
    struct entry **link = bucket_of(future);
    while (*link != NULL && (*link)->awaited.future != future)
        link = &(*link)->chain;
    return link;
}

static void put_in(struct entry *entry)
{
    struct entry **link = bucket_of(entry->awaited.future);
    entry->chain = *link;
    *link = entry;
}

static void take_out(const struct entry *entry)
{
    struct entry **link = link_of(entry->awaited.future);
    if (*link == entry)
        *link = entry->chain;
}

/* As many buckets as there are entries, about. */
static int grow(void)
{
    struct entry **old = buckets;
    const size_t old_count = bucket_count;
    const size_t count = old_count == 0 ? BUCKETS_MIN : 2 * old_count;
    if (the_callbacks.count < old_count)
        return 0;
    struct entry **more = calloc(count, sizeof(struct entry *));
    if (more == NULL)
        return old_count != 0 ? 0 : -ENOMEM;
    buckets = more;
    bucket_count = count;
    for (size_t i = 0; i < old_count; i++) {
        for (struct entry *e = old[i], *next; e != NULL; e = next) {
            next = e->chain;
            put_in(e);
        }
    }
    free(old);
    return 0;
}

static void append(struct entry *entry, struct callback *callback)
{
    struct callback **end = entry->first != NULL ? entry->end : &entry->first;
    callback->next = NULL;
    *end = callback;
    entry->end = &callback->next;
}

static void set_count(uint32_t count)
{
    store_release(&the_callbacks.count, count); /* [called→drained] */
    if (count == 0)
        the_callbacks.empty_since = ipc_now();
}

/* ---- the thread ---- */

static bool is_callback_thread(void)
{
    return calls_for != 0 && calls_for == ipc__process_number();
}

static void end_entry(struct entry *entry)
{
    the_callbacks.now = NULL;
    take_out(entry);
    if (entry->frees)
        (void)ipc__future_dispose(entry->awaited.future);
    set_count(the_callbacks.count - 1);
    free(entry);
}

/* With the lock, which is given up meanwhile. */
static void call_all_of(struct entry *entry)
{
    struct callback *first;
    the_callbacks.now = entry;
    while ((first = entry->first) != NULL) {
        const struct callback callback = *first;
        entry->first = callback.next;
        unlock();
        free(first);
        callback.fn(entry->awaited.future, callback.arg);
        lock();
    }
    end_entry(entry);
}

static void say_idle(void)
{
    store_relaxed(&the_callbacks.idle, the_callbacks.idle + 1);
    if (the_callbacks.drainers != 0)
        ipc__futex_wake(&the_callbacks.idle, INT_MAX);
}

/* When to end if nobody says anything. */
static ipc_deadline until(void)
{
    return the_callbacks.count == 0 ? the_callbacks.empty_since + LINGER_NS
                                    : IPC_TIME_FOREVER;
}

/* With the lock, until there has been nothing to call for a while. */
static void serve(void)
{
    struct ipc__group *group = &the_callbacks.group;
    struct ipc__pace pace = {0};
    const uint32_t *word = ipc__future_bell();
    bool thorough = false;
    for (;;) {
        const uint32_t bell = load_acquire(word);
        thorough = thorough || the_callbacks.asked;
        the_callbacks.asked = false;
        if (ipc__group_look(group, bell, thorough)) {
            struct ipc__awaited *awaited;
            while ((awaited = ipc__group_take(group)) != NULL)
                call_all_of((struct entry *)awaited);
            thorough = false;
            continue;
        }
        say_idle();
        const ipc_deadline deadline = until();
        if (deadline <= ipc_now())
            return;
        unlock();
        ipc__region_prune(); /* what has gone meanwhile */
        thorough = ipc__group_sleep(group, bell, &pace, deadline);
        lock();
    }
}

static int start(struct ipc__threads *threads);

/* Also when a callback has called pthread_exit(): the others are called by
 * another thread then.  Where there is none to be had they wait for the next
 * callback that is added. */
static void leave(void *unused)
{
    (void)unused;
    struct entry *now = the_callbacks.now;
    if (now != NULL) {
        lock();
        if (now->first != NULL) {
            the_callbacks.now = NULL;
            ipc__group_add(&the_callbacks.group, &now->awaited);
        } else {
            end_entry(now);
        }
    }
    the_callbacks.running = false;
    if (the_callbacks.count != 0)
        (void)start(&ipc__the_threads);
    unlock();
}

static int run(void *unused)
{
    (void)unused;
    calls_for = ipc__process_number();
    lock();
    pthread_cleanup_push(leave, NULL);
    serve();
    pthread_cleanup_pop(1);
    ipc__region_prune();
    return 0;
}

/* With the lock.  No signal handler of the program is to run in a thread that
 * it does not know. */
static int start(struct ipc__threads *threads)
{
    struct ipc__thread *record = calloc(1, sizeof *record);
    if (record == NULL)
        return ipc__fail(-ENOMEM, "no memory for a thread to call callbacks");
    record->kind = IPC__THREAD_HELPER;
    record->target = run;
    record->daemon = true;
    snprintf(record->name, sizeof record->name, "Callbacks");
    ipc__thread_give_object(record);

    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    the_callbacks.running = true; /* it may end at once */
    const int rc = ipc__thread_spawn(threads, record, 0);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        the_callbacks.running = false;
        free(record);
    }
    return rc;
}

/* ---- adding one ---- */

static int prepare(struct ipc__threads **threads)
{
    static uint32_t armed; /* stays set in children, as the advice does */
    const int rc = ipc__threads_begin(threads);
    if (rc != 0)
        return rc;
    if (ipc__future_bell() == NULL)
        return -ENOMEM;
    if (!load_acquire(&armed)) {
        if (ipc__wipe_on_fork(&page, sizeof page) != 0)
            return ipc__fail(-ENOSYS, "the kernel lacks MADV_WIPEONFORK");
        store_release(&armed, 1);
    }
    return 0;
}

/* With the lock: its first callback.  1: it is done already. */
static int add_entry(struct ipc__threads *threads, ipc_future *future,
                     struct callback *callback)
{
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL || grow() != 0) {
        free(entry);
        return ipc__fail(-ENOMEM, "no memory for a callback");
    }
    entry->awaited.future = future;
    entry->pool = future->pool;
    append(entry, callback);
    int rc = !ipc__future_set_flag(future, IPC__BELL);
    if (rc == 0 && !the_callbacks.running)
        rc = start(threads);
    if (rc != 0) {
        free(entry);
        return rc;
    }
    put_in(entry);
    set_count(the_callbacks.count + 1);
    ipc__group_add(&the_callbacks.group, &entry->awaited);
    return 0;
}

static int add(struct ipc__threads *threads, ipc_future *future,
               struct callback *callback)
{
    lock();
    struct entry *entry = *link_of(future);
    int rc = 0;
    if (entry != NULL)
        append(entry, callback);
    else
        rc = add_entry(threads, future, callback);
    unlock();
    return rc;
}

int ipc_future_add_done_callback(ipc_future *future,
                                 void (*fn)(ipc_future *future, void *arg),
                                 void *arg)
{
    struct ipc__threads *threads;
    int rc = ipc__future_check(future);
    if (rc != 0)
        return rc;
    if (load_relaxed(&the_callbacks.count) == 0 && ipc_future_done(future)) {
        fn(future, arg);
        return 0;
    }
    rc = prepare(&threads);
    if (rc != 0)
        return rc;
    struct callback *callback = calloc(1, sizeof *callback);
    if (callback == NULL)
        return ipc__fail(-ENOMEM, "no memory for a callback");
    callback->fn = fn;
    callback->arg = arg;
    rc = add(threads, future, callback);
    if (rc == 0)
        return 0;
    free(callback);
    if (rc > 0) {
        fn(future, arg);
        rc = 0;
    }
    return rc;
}

/* ---- for those who free futures and pools ---- */

int ipc__callbacks_let_go(ipc_future *future)
{
    int rc = 0;
    if (likely(load_acquire(&the_callbacks.count) == 0))
        return 0;
    lock();
    struct entry *entry = *link_of(future);
    if (entry != NULL && entry->frees) {
        rc = -EINVAL;
    } else if (entry != NULL && entry == the_callbacks.now &&
               entry->first == NULL && is_callback_thread()) {
        take_out(entry);
    } else if (entry != NULL) {
        entry->frees = true;
        rc = 1;
    }
    unlock();
    return rc;
}

/* With the lock. */
static bool is_due(const struct entry *entry, const ipc_pool *pool)
{
    return entry->pool == pool && (entry == the_callbacks.now ||
                                   ipc_future_done(entry->awaited.future));
}

/* Is any to be called, or being called?  The last one may be in no bucket. */
static bool has_due(const ipc_pool *pool)
{
    if (the_callbacks.now != NULL && the_callbacks.now->pool == pool)
        return true;
    for (size_t i = 0; i < bucket_count; i++)
        for (const struct entry *e = buckets[i]; e != NULL; e = e->chain)
            if (is_due(e, pool))
                return true;
    return false;
}

static void sleep_till_idle(uint32_t idle, ipc_deadline deadline)
{
    const ipc_deadline again = ipc_after_ns(ipc__recheck_ns);
    ipc__future_ring();
    (void)ipc__futex_wait(&the_callbacks.idle, idle,
                          deadline < again ? deadline : again);
}

int ipc__callbacks_drain(const ipc_pool *pool, ipc_deadline deadline)
{
    if (is_callback_thread())
        return ipc__fail(-EDEADLK, "a callback waits for all callbacks");
    while (load_acquire(&the_callbacks.count) != 0) {
        lock();
        const uint32_t idle = the_callbacks.idle;
        const bool due = has_due(pool);
        const bool late = due && ipc_time_left(deadline) == 0;
        const bool sleeps = due && !late;
        the_callbacks.asked = the_callbacks.asked || sleeps;
        the_callbacks.drainers += sleeps;
        unlock();
        if (late)
            return ipc__fail(deadline == IPC_TIME_NOW ? -EAGAIN : -ETIMEDOUT,
                             "callbacks are not done");
        if (!due)
            return 0;
        sleep_till_idle(idle, deadline);
        lock();
        the_callbacks.drainers--;
        unlock();
    }
    return 0;
}
