/* The threads of this process: main, ours, those of others.
 *
 * State
 *   threads   on a page that is wiped by fork: a new process has its main
 *             thread alone, and its locks are free, whatever its parent's
 *             threads were doing.
 *   record    on the heap.  The copies that a forked child gets name the
 *             parent as their process, and are never in the child's list.
 *   context   thread-local (context.h).  What a forked child finds there is its
 *             parent's, as its process number says.
 *
 * Invariants
 *   1  a record is in the list from its start until it is joined, or for one
 *      that nobody joins until it ends;
 *   2  it is freed by the last of its object and its holders to let go, after
 *      pthread_join(): whatever a thread does in its last steps, its record
 *      is there.  One that nobody joins frees its own. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic.h"
#include "core/error.h"
#include "core/private_lock.h"
#include "process/internal.h"
#include "thread/internal.h"

union ipc__threads_page ipc__threads_page
    __attribute__((aligned(IPC_PAGE_MAX)));

_Static_assert(sizeof(struct ipc__threads) <= IPC_PAGE_MAX, "one page");

uint32_t ipc__threads_used;

struct ipc__threads *ipc__threads(void)
{
    static uint32_t armed; /* stays set in children, as the advice does */
    if (!load_acquire(&armed)) {
        if (ipc__process_number() == 0 ||
            ipc__wipe_on_fork(&ipc__threads_page, sizeof ipc__threads_page) !=
                0)
            return NULL;
        store_release(&armed, 1);
    }
    return &ipc__the_threads;
}

int ipc__threads_begin(struct ipc__threads **out)
{
    struct ipc__threads *threads = ipc__threads();
    struct ipc__tree *tree = ipc__tree();
    if (threads == NULL || tree == NULL)
        return ipc__fail(-ENOSYS, "the kernel lacks MADV_WIPEONFORK");
    int rc = ipc__context_prepare();
    if (rc != 0)
        return rc;
    /* Under the tree's lock, so that no child of ours is forked while libc's
     * own lock for this is held. */
    ipc__private_lock(&tree->lock);
    rc = ipc__tree_end_at_exit();
    ipc__private_unlock(&tree->lock);
    if (rc != 0)
        return rc;
    if (ipc__context_record() == NULL && ipc__is_main_thread())
        (void)ipc__thread_self(); /* so that others learn of its end */
    store_release(&ipc__threads_used, 1);
    ipc__threads_collect(threads);
    *out = threads;
    return 0;
}

void ipc__threads_add(struct ipc__threads *threads, struct ipc__thread *record)
{
    if (threads->end == NULL)
        threads->end = &threads->first;
    record->next = NULL;
    record->link = threads->end;
    *threads->end = record;
    threads->end = &record->next;
}

void ipc__threads_remove(struct ipc__threads *threads,
                         struct ipc__thread *record)
{
    *record->link = record->next;
    if (record->next != NULL)
        record->next->link = record->link;
    else
        threads->end = record->link;
    record->link = NULL;
    record->next = NULL;
}

/* ---- who we are ---- */

void ipc__thread_give_object(struct ipc__thread *record)
{
    ipc_thread *object = &record->own;
    memcpy(object->name_, record->name, sizeof object->name_);
    object->options_.daemon = record->daemon;
    object->state_ = IPC__THREAD_READY;
    object->record_ = record;
    record->object = object;
}

static void fill_main(struct ipc__threads *threads)
{
    struct ipc__thread *record = &threads->main;
    ipc__private_lock(&threads->lock);
    if (!threads->ready) {
        record->kind = IPC__THREAD_MAIN;
        record->process = ipc__process_number();
        record->tid = (uint32_t)getpid();
        record->ident = IPC__THREAD_IDENT_MAIN;
        snprintf(record->name, sizeof record->name, "MainThread");
        ipc__thread_give_object(record);
        store_release(&threads->ready, 1);
    }
    ipc__private_unlock(&threads->lock);
}

/* The record of a thread that others have started, until it ends. */
static struct ipc__thread *new_foreign(struct ipc__threads *threads)
{
    if (ipc__context_is_over()) {
        ipc__set_detail("the thread has ended");
        return NULL;
    }
    if (ipc__context_arm() != 0)
        return NULL;
    struct ipc__thread *record = calloc(1, sizeof *record);
    if (record == NULL) {
        ipc__set_detail("no memory for the thread's object");
        return NULL;
    }
    record->kind = IPC__THREAD_FOREIGN;
    record->process = ipc__process_number();
    record->tid = (uint32_t)gettid();
    record->daemon = true;
    ipc__private_lock(&threads->lock);
    record->ident = IPC__THREAD_IDENT_MAIN + ++threads->idents;
    snprintf(record->name, sizeof record->name, "Dummy-%u", ++threads->dummies);
    ipc__thread_give_object(record);
    ipc__threads_add(threads, record);
    ipc__private_unlock(&threads->lock);
    return record;
}

void ipc__thread_end(struct ipc__thread *record)
{
    struct ipc__threads *threads = &ipc__the_threads;
    if (record->kind == IPC__THREAD_STARTED ||
        record->kind == IPC__THREAD_MAIN) {
        if (record->kind == IPC__THREAD_STARTED)
            (void)add_relaxed(&threads->ended, 1);
        store_release(&record->state, IPC__THREAD_ENDED); /* [end→join] */
        ipc__futex_wake(&record->state, INT_MAX);
        return;
    }
    ipc__private_lock(&threads->lock);
    ipc__threads_remove(threads, record);
    ipc__private_unlock(&threads->lock);
    free(record);
}

static struct ipc__thread *find_self(void)
{
    struct ipc__threads *threads = ipc__threads();
    if (threads == NULL)
        return NULL;
    if (!load_acquire(&threads->ready))
        fill_main(threads);
    struct ipc__thread *record;
    if (ipc__is_main_thread()) {
        (void)ipc__context_arm(); /* for pthread_exit() in it */
        record = &threads->main;
    } else {
        record = new_foreign(threads);
    }
    ipc__context.process = ipc__process_number();
    ipc__context.record = record;
    return record;
}

struct ipc__thread *ipc__thread_self(void)
{
    struct ipc__thread *record = ipc__context_record();
    return record != NULL ? record : find_self();
}

ipc_thread *ipc_current_thread(void)
{
    const struct ipc__thread *record = ipc__thread_self();
    return record != NULL ? record->object : NULL;
}

ipc_thread *ipc_main_thread(void)
{
    struct ipc__threads *threads = ipc__threads();
    if (threads == NULL)
        return NULL;
    if (!load_acquire(&threads->ready))
        fill_main(threads);
    return threads->main.object;
}

size_t ipc_active_threads(ipc_thread **out, size_t capacity)
{
    struct ipc__threads *threads = ipc__threads();
    ipc_thread *main_thread = ipc_main_thread();
    size_t count = 1;
    if (threads == NULL)
        return 0;
    ipc__threads_collect(threads);
    if (capacity > 0)
        out[0] = main_thread;
    ipc__private_lock(&threads->lock);
    for (const struct ipc__thread *record = threads->first; record != NULL;
         record = record->next) {
        if (load_acquire(&record->state) >= IPC__THREAD_ENDED ||
            record->kind == IPC__THREAD_HELPER)
            continue;
        if (count < capacity)
            out[count] = record->object;
        count++;
    }
    ipc__private_unlock(&threads->lock);
    return count;
}

int ipc_gettid(void)
{
    return gettid();
}

/* ---- those that end ---- */

static bool is_self(const struct ipc__thread *record)
{
    return pthread_equal(record->handle, pthread_self());
}

static bool has_ended(const struct ipc__thread *record)
{
    return record->kind == IPC__THREAD_STARTED &&
           load_acquire(&record->state) == IPC__THREAD_ENDED &&
           !is_self(record);
}

static bool is_waited_for(const struct ipc__thread *record)
{
    return record->kind == IPC__THREAD_STARTED && !record->daemon &&
           load_acquire(&record->state) == IPC__THREAD_RUNNING;
}

/* The first thread that is so, or NULL.  Its record stays until it is let go,
 * also if another thread closes its object. */
static struct ipc__thread *hold(struct ipc__threads *threads,
                                bool (*is_so)(const struct ipc__thread *))
{
    struct ipc__thread *record;
    ipc__private_lock(&threads->lock);
    for (record = threads->first; record != NULL && !is_so(record);)
        record = record->next;
    if (record != NULL)
        record->holders++;
    ipc__private_unlock(&threads->lock);
    return record;
}

void ipc__thread_let_go(struct ipc__thread *record)
{
    struct ipc__threads *threads = &ipc__the_threads;
    ipc__private_lock(&threads->lock);
    record->holders--;
    const bool last = record->holders == 0 && record->closed;
    ipc__private_unlock(&threads->lock);
    if (last)
        free(record);
}

void ipc__threads_collect(struct ipc__threads *threads)
{
    struct ipc__thread *record;
    while (load_relaxed(&threads->ended) != 0 &&
           (record = hold(threads, has_ended)) != NULL) {
        ipc__thread_reap(record);
        ipc__thread_let_go(record);
    }
}

/* Those who wait for the caller learn that it does not come back: for the
 * main thread this is its end; others would be waited for by whom they wait
 * for. */
static void say_that_it_ends(struct ipc__threads *threads)
{
    if (!load_acquire(&threads->ready))
        fill_main(threads);
    const bool is_main = ipc__is_main_thread();
    struct ipc__thread *record =
        is_main ? &threads->main : ipc__context_record();
    if (record == NULL)
        return;
    store_release(&record->state,
                  is_main ? IPC__THREAD_ENDED : IPC__THREAD_EXITING);
    ipc__futex_wake(&record->state, INT_MAX);
}

void ipc__threads_end(void)
{
    struct ipc__threads *threads = ipc__threads();
    struct ipc__thread *record;
    if (threads == NULL)
        return;
    say_that_it_ends(threads);
    ipc__timers_exiting();
    do { /* threads may start timers, and timers threads */
        while ((record = hold(threads, is_waited_for)) != NULL) {
            (void)ipc__thread_join(record, IPC_TIME_FOREVER);
            ipc__thread_let_go(record);
        }
    } while (ipc__timers_wait());
    ipc__threads_collect(threads);
}
