/* Event: one word, on which those who wait sleep.
 *
 * State
 *   word_   bit 0        set
 *           bit 1        somebody may sleep on this value
 *           bits 2-30    how often it was cleared
 *           bit 31       0; a 1 was not written by us
 *   label_  written by init
 *
 * Invariants
 *   1  whoever sleeps has seen bit 1 in the value that it sleeps on;
 *   2  bit 1 is added only while bit 0 is not set, and goes with the clear;
 *   3  the count changes with each clear that ends a set, so whoever has seen
 *      the word not set, and sees another count or bit 0, knows that it was
 *      set in between (unless it was set 2^29 times: it looks at least every
 *      100 ms).
 *
 * Order
 *   [set→wait]  what the setter did before is seen by those who return: CAS
 *   with release, or the system call, against loads with acquire.
 *
 * Death
 *   Setting is one CAS, or one system call that sets and wakes: it has
 *   happened, and all are awake, or it has not.  Bit 0 is or'ed in, which does
 *   no harm twice, so setters need no lock among themselves.  Clearing is one
 *   CAS.  Who dies waiting leaves bit 1, which costs the next setter a
 *   system call. */
#include "sync/event.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/error.h"
#include "core/waiting.h"
#include "sync/object.h"
#include "wait/fd.h"

#define SET      IPC__EVENT_SET
#define SLEEPERS IPC__EVENT_SLEEPERS
#define CLEARED  IPC__EVENT_CLEARED
#define COUNT    IPC__EVENT_COUNT
#define FOREIGN  IPC__EVENT_FOREIGN

#define NOUN "event"

_Static_assert(sizeof(ipc_event) == 64, "event layout");

static int fail_event(const ipc_event *event, int error)
{
    char name[IPC__NAME_BYTES];
    if (error != -EUCLEAN)
        ipc__found_nothing(event);
    ipc__object_name(NOUN, event->label_, event, name);
    return error == -EUCLEAN
               ? ipc__fail(error, "%s holds 0x%x, which nobody wrote", name,
                           load_relaxed(&event->word_))
               : ipc__fail(error, "%s is not set", name);
}

static SLOW_PATH int set_slow(ipc_event *event)
{
    for (;;) {
        const uint32_t word = load_relaxed(&event->word_);
        if ((word & FOREIGN) != 0)
            return fail_event(event, -EUCLEAN);
        if ((word & (SET | SLEEPERS)) == SLEEPERS) {
            const int rc = ipc__futex_change_and_wake(
                &event->word_, IPC__FUTEX_OR, SET, INT_MAX); /* [set→wait] */
            return rc < 0 ? ipc__fail(rc, "the event cannot be written") : 0;
        }
        /* Also when it is set already: what was done before must be seen after
         * a clear that comes next, by one who looks and then waits. */
        if (cas32_release(&event->word_, word, word | SET)) /* [set→wait] */
            return 0;
    }
}

int ipc_event_set(ipc_event *event)
{
    const uint32_t word = load_relaxed(&event->word_);
    if (likely((word & (SET | SLEEPERS | FOREIGN)) == 0) &&
        likely(cas32_release(&event->word_, word, word | SET)))
        return 0; /* [set→wait] */
    return set_slow(event);
}

int ipc_event_clear(ipc_event *event)
{
    uint32_t word = load_relaxed(&event->word_);
    if ((word & FOREIGN) != 0)
        return fail_event(event, -EUCLEAN);
    while ((word & SET) != 0) {
        /* All who slept were woken when it was set. */
        if (cas32_acquire(&event->word_, word,
                          ((word & COUNT) + CLEARED) & COUNT)) {
            ipc__found_nothing(event);
            return 0;
        }
        word = load_relaxed(&event->word_);
    }
    return 0;
}

static SLOW_PATH int wait_slow(ipc_event *event, uint32_t first,
                               ipc_deadline deadline)
{
    struct ipc__pace pace = {0};
    bool spun = false;

    for (;;) {
        const uint32_t now = load_acquire(&event->word_); /* [set→wait] */
        if ((now & FOREIGN) != 0)
            return fail_event(event, -EUCLEAN);
        if (ipc__event_was_set(now, first))
            return 0;
        if (deadline == IPC_TIME_NOW)
            return fail_event(event, -EAGAIN);
        if (!spun) {
            spun = true;
            if (ipc__spin(&event->word_, now))
                continue;
        }
        if (ipc_time_left(deadline) == 0)
            return fail_event(event, -ETIMEDOUT);
        if ((now & SLEEPERS) == 0 &&
            !cas32_relaxed(&event->word_, now, now | SLEEPERS))
            continue;
        (void)ipc__sleep(&pace, &event->word_, now | SLEEPERS, NULL, 0,
                         deadline);
    }
}

static inline int wait_form(ipc_event *event, ipc_deadline deadline)
{
    const uint32_t first = load_acquire(&event->word_); /* [set→wait] */
    return likely((first & (SET | FOREIGN)) == SET)
               ? 0
               : wait_slow(event, first, deadline);
}

int ipc_event_wait(ipc_event *event)
{
    return wait_form(event, IPC_TIME_FOREVER);
}

int ipc_event_wait_nowait(ipc_event *event)
{
    return wait_form(event, IPC_TIME_NOW);
}

int ipc_event_wait_until(ipc_event *event, ipc_deadline deadline)
{
    /* IPC_TIME_NOW would be answered with -EAGAIN. */
    return wait_form(event, deadline > 0 ? deadline : 1);
}

bool ipc_event_is_set(const ipc_event *event)
{
    return (load_acquire(&event->word_) & (SET | FOREIGN)) == SET;
}

/* ---- storage ---- */

static int prepare(ipc_event *made, struct ipc__room *room,
                   const ipc_event_options *options)
{
    ipc_event_options given;
    const int rc = ipc__object_options(NOUN, &given, sizeof given, options, 0);
    if (rc != 0)
        return rc;
    room->needed = sizeof *made;
    ipc__object_label(made->label_, given.label);
    return 0;
}

static size_t bytes_of(const void *object)
{
    (void)object;
    return sizeof(ipc_event);
}

static bool is_held(const void *object)
{
    (void)object;
    return false;
}

static int finish(void *object)
{
    return ipc_event_fini(object);
}

/* The mark may have been left by the dead: the kernel knows who sleeps. */
static bool has_sleepers(ipc_event *event)
{
    int count = 0;
    uint32_t word;
    do {
        word = load_relaxed(&event->word_);
        if ((word & (SLEEPERS | FOREIGN)) == SLEEPERS)
            count = ipc__futex_sleepers(&event->word_, word);
    } while (count == -EAGAIN);
    return count > 0;
}

int ipc_event_fini(ipc_event *event)
{
    ipc__forget(event);
    if (has_sleepers(event))
        return ipc__fail(-EBUSY, "somebody waits for the event");
    ipc__object_wipe(event, sizeof *event);
    return 0;
}

IPC__OBJECT_STORAGE(event, IPC__REGION_EVENT, NOUN,
                    (const ipc_event_options *options), (options))
