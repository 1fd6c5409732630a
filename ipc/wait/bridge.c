/* State, under the lock
 *   first     all that is looked after.  In ordinary memory, so that a child
 *             finds what it has inherited from there; but it is the list of
 *             the process that has set ready
 *   state     of each: ARMED     its items are looked at;
 *                      SAID      one was ready; nothing more is done
 *                      LEAVING   whoever added it waits for GONE
 *                      GONE      it is in no list, and not touched any more
 *   running   there is a thread.  It clears this, with the lock, before it ends
 *   changed   futex: something for the thread to see
 *
 * Invariants
 *   1  while the thread sleeps, each word that it sleeps on belongs to one that
 *      is ARMED or LEAVING, so its object is there when the thread wakes up:
 *      it hands on what it was woken for before it lets go;
 *   2  who makes something ARMED raises changed, so the thread looks at it
 *      before it sleeps again.  So nothing is missed between the look of
 * whoever armed it and that.
 *
 * The lock is held while objects are looked at.  If somebody is stopped with
 * the guard of one of them in his hands, it is held for so long.
 *
 * Death
 *   All of it is private, and dies with the process.  A forked child finds the
 *   page wiped: no thread, and a list that is not its own. */
#include "wait/bridge.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/atomic.h"
#include "core/error.h"
#include "core/local.h"
#include "core/peers.h"
#include "core/private_lock.h"
#include "core/region.h"
#include "thread/internal.h"
#include "wait/look.h"

/* How long the thread stays when there is nothing to look after. */
#define LINGER_NS ((int64_t)20 * 1000 * 1000)

enum {
    ARMED = IPC__BRIDGE_ARMED,
    SAID,
    LEAVING,
    GONE
};

struct bridge {
    uint32_t lock;    /* private */
    uint32_t changed; /* futex */
    uint32_t ready;   /* first is this process's */
    bool running;
    ipc_deadline empty_since;
};

static union {
    struct bridge bridge;
    unsigned char page[IPC_PAGE_MAX];
} page __attribute__((aligned(IPC_PAGE_MAX)));

#define the_bridge (page.bridge)

static struct ipc__bridged *first;
static struct ipc__bridged *inherited; /* so that it is known where it lies */

static __thread bool is_locked; /* by this thread */

/* ---- the list ---- */

void ipc__bridge_lock(void)
{
    ipc__private_lock(&the_bridge.lock);
    is_locked = true;
    if (the_bridge.ready == 0) {
        inherited = first;
        first = NULL;
        the_bridge.ready = 1;
    }
}

void ipc__bridge_unlock(void)
{
    is_locked = false;
    ipc__private_unlock(&the_bridge.lock);
}

bool ipc__bridge_is_locked(void)
{
    return is_locked;
}

struct ipc__bridged *ipc__bridge_find(struct ipc__bridged *behind,
                                      bool (*is)(const struct ipc__bridged *b,
                                                 const void *arg),
                                      const void *arg)
{
    struct ipc__bridged *b = behind != NULL ? behind->next : first;
    while (b != NULL && !is(b, arg))
        b = b->next;
    return b;
}

static void link_in(struct ipc__bridged *b)
{
    b->next = first;
    b->link = &first;
    if (first != NULL)
        first->link = &b->next;
    first = b;
}

static void link_out(struct ipc__bridged *b)
{
    *b->link = b->next;
    if (b->next != NULL)
        b->next->link = b->link;
    if (first == NULL)
        the_bridge.empty_since = ipc_now();
}

static void kick(void)
{
    (void)add_relaxed(&the_bridge.changed, 1);
    ipc__futex_wake(&the_bridge.changed, 1);
}

/* ---- the thread ---- */

void ipc__bridge_say(struct ipc__bridged *b)
{
    const uint64_t one = 1;
    ssize_t n;
    do {
        n = write(b->fd, &one, sizeof one);
    } while (n < 0 && errno == EINTR);
    store_relaxed(&b->state, (uint32_t)SAID);
}

/* Is any of its items ready?  If not, what to sleep on is in look.  leaves: it
 * is not slept on in any case. */
static bool ask(struct ipc__look *look, struct ipc__bridged *b, bool leaves)
{
    const uint32_t count = look->count;
    const uint32_t lives = look->lives;
    bool any = false;
    for (size_t i = 0; i < b->count; i++) {
        b->items[i].ready = ipc__look_at(look, &b->items[i]) != 0;
        any = any || b->items[i].ready;
    }
    for (size_t i = 0; i < b->count; i++)
        ipc__look_pass_on_found(&b->items[i], b->items[i].ready != 0,
                                any || leaves);
    if (any) { /* nothing of it is slept on */
        look->count = count;
        look->lives = lives;
    }
    return any;
}

/* Its memory may go: be linked there no more. */
static void leave_region(const void *object)
{
    struct ipc__region *region = ipc__region_find(object, NULL, NULL);
    if (region == NULL || region->facts.kind == IPC__REGION_FAMILY)
        return;
    (void)ipc__peers_leave(region);
    ipc__self.epoch = 0; /* where it is needed again we register again */
}

/* What the wake-ups were for has been handed on, but for those that changed
 * nothing. */
static void let_go(struct ipc__look *look, struct ipc__bridged *b)
{
    look->marks = false;
    if (!b->is_told)
        (void)ask(look, b, true);
    look->marks = true;
    if (b->is_object)
        leave_region(b->items[0].object);
    link_out(b);
    store_release(&b->state, (uint32_t)GONE); /* [gone→remove] */
    ipc__futex_wake(&b->state, 1);
}

/* Look at everything.  True if something is armed. */
static bool look_round(struct ipc__look *look)
{
    bool armed = false;
    ipc__look_begin(look, true);
    look->item = NULL;
    ipc__look_add(look, &the_bridge.changed, load_relaxed(&the_bridge.changed));
    for (struct ipc__bridged *b = first, *next; b != NULL; b = next) {
        next = b->next;
        const uint32_t state = load_relaxed(&b->state);
        if (state == LEAVING)
            let_go(look, b);
        else if (state == SAID || b->is_told)
            continue;
        else if (ask(look, b, false))
            ipc__bridge_say(b);
        else
            armed = true;
    }
    return armed;
}

/* When to wake up if nobody says anything. */
static ipc_deadline until(void)
{
    return first == NULL ? the_bridge.empty_since + LINGER_NS
                         : IPC_TIME_FOREVER;
}

static int run(void *unused)
{
    (void)unused;
    struct ipc__look look = {.on_behalf = true};
    struct ipc__pace pace = {0};
    ipc__bridge_lock();
    for (;;) {
        const bool armed = look_round(&look);
        const ipc_deadline deadline = until();
        if (deadline <= ipc_now())
            break;
        if (!armed) /* no need to look now and then */
            pace.due = IPC_TIME_FOREVER;
        else if (pace.due == IPC_TIME_FOREVER)
            pace.due = 0;
        ipc__bridge_unlock();
        ipc__region_prune(); /* what has gone meanwhile */
        ipc__look_sleep(&look, &pace, deadline);
        ipc__bridge_lock();
        ipc__look_pass_on_changed(&look);
    }
    the_bridge.running = false;
    ipc__bridge_unlock();
    ipc__region_prune();
    return 0;
}

/* With the lock.  No signal handler of the program is to run in a thread that
 * it does not know. */
static int start(struct ipc__threads *threads)
{
    struct ipc__thread *record = calloc(1, sizeof *record);
    if (record == NULL)
        return ipc__fail(-ENOMEM, "no memory for a thread to wait with");
    record->kind = IPC__THREAD_HELPER;
    record->target = run;
    record->daemon = true;
    snprintf(record->name, sizeof record->name, "Waiting");
    ipc__thread_give_object(record);

    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    the_bridge.running = true; /* it may end at once */
    const int rc = ipc__thread_spawn(threads, record, 0);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        the_bridge.running = false;
        free(record);
    }
    return rc == -EAGAIN ? -ENOMEM : rc;
}

/* ---- for its users ---- */

int ipc__bridge_eventfd(void)
{
    const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd >= 0 ? fd
                   : ipc__fail(-errno, "no descriptor to wait with: %s",
                               ipc_strerror(-errno));
}

int ipc__bridge_prepare(void)
{
    static uint32_t armed; /* stays set in children, as the advice does */
    struct ipc__threads *threads;
    int rc = ipc__threads_begin(&threads);
    if (rc != 0)
        return rc == -EAGAIN ? -ENOMEM : rc;
    if (!load_acquire(&armed)) {
        rc = ipc__wipe_on_fork(&page, sizeof page);
        if (rc != 0)
            return ipc__fail(-ENOSYS, "the kernel lacks MADV_WIPEONFORK");
        store_release(&armed, 1);
    }
    return 0;
}

int ipc__bridge_add_locked(struct ipc__bridged *bridged)
{
    link_in(bridged); /* first: the thread finds it when it begins */
    const int rc = the_bridge.running ? 0 : start(&ipc__the_threads);
    if (rc == 0)
        kick();
    else
        link_out(bridged);
    return rc;
}

int ipc__bridge_add(struct ipc__bridged *bridged)
{
    int rc = ipc__bridge_prepare();
    if (rc != 0)
        return rc;
    ipc__bridge_lock();
    rc = ipc__bridge_add_locked(bridged);
    ipc__bridge_unlock();
    return rc;
}

void ipc__bridge_again_locked(struct ipc__bridged *bridged)
{
    uint64_t count;
    ssize_t n;
    if (load_relaxed(&bridged->state) != SAID)
        return;
    do {
        n = read(bridged->fd, &count, sizeof count);
    } while (n < 0 && errno == EINTR);
    store_relaxed(&bridged->state, (uint32_t)ARMED);
    kick();
}

void ipc__bridge_again(struct ipc__bridged *bridged)
{
    ipc__bridge_lock();
    ipc__bridge_again_locked(bridged);
    ipc__bridge_unlock();
}

void ipc__bridge_remove_unlocking(struct ipc__bridged *bridged)
{
    if (load_relaxed(&bridged->state) == SAID && !bridged->is_object) {
        link_out(bridged);
        if (first == NULL)
            kick(); /* it may sleep for good */
        ipc__bridge_unlock();
        return;
    }
    store_relaxed(&bridged->state, (uint32_t)LEAVING);
    kick();
    ipc__bridge_unlock();
    while (load_acquire(&bridged->state) != GONE) /* [gone→remove] */
        (void)ipc__futex_wait(&bridged->state, LEAVING, IPC_TIME_FOREVER);
}

void ipc__bridge_remove(struct ipc__bridged *bridged)
{
    ipc__bridge_lock();
    ipc__bridge_remove_unlocking(bridged);
}
