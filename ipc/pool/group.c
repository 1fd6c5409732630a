/* Groups of futures.
 *
 * State
 *   waiting   those that were not done when they were looked at last
 *   done      the others, in the order in which they were found
 *
 * A few are waited for on their words, as each alone would be.  Many are waited
 * for by the bell, which says that something is done but not what.  To look at
 * all of them each time it rings would take forever when there are very many;
 * so
 *
 *     - the first ones are looked at: mostly they are done about in the order
 *       in which they came;
 *     - all are, and whatever is done is put aside, at most a ninth of the
 *       time: after a look that has taken t none begins for 8 t.  100,000 take
 *       about a millisecond.
 *
 * Invariants
 *   1  who sleeps on the bell without a limit has looked at all futures since
 *      it read the value that it sleeps on, each with IPC__BELL set: so what
 *      was done by then is known, and what is done later changes the bell;
 *   2  with a limit, at the latest then it looks at all;
 *   3  before it is said that none is done all are looked at.
 *
 * Death
 *   of who completes one, before it rings: a look at all of them, at every
 *   re-check. */
#include "pool/group.h"

#include <errno.h>

#include "base/bits.h"
#include "core/error.h"
#include "pool/future.h"
#include "pool/worker.h"

/* Of so many we sleep on their words: a futex_waitv() takes more, but there
 * are the lives of those who run them too. */
#define FEW 100

/* So many of the first ones, in a row, are looked at. */
#define SOME 16

/* Between two looks at all of them: so many times what one takes. */
#define REST 8

_Static_assert(FEW < IPC__FUTEX_MANY, "room for lives");

/* ---- lists ---- */

static void append(struct ipc__awaited_list *list, struct ipc__awaited *awaited)
{
    struct ipc__awaited **end = list->first != NULL ? list->end : &list->first;
    awaited->next = NULL;
    *end = awaited;
    list->end = &awaited->next;
}

/* Move the one that *link points to. */
static void found(struct ipc__group *group, struct ipc__awaited **link)
{
    struct ipc__awaited *awaited = *link;
    *link = awaited->next;
    if (awaited->next == NULL)
        group->waiting.end = link;
    group->left--;
    append(&group->done, awaited);
}

void ipc__group_add(struct ipc__group *group, struct ipc__awaited *awaited)
{
    append(&group->waiting, awaited);
    group->left++;
}

struct ipc__awaited *ipc__group_take(struct ipc__group *group)
{
    struct ipc__awaited *awaited = group->done.first;
    if (awaited != NULL)
        group->done.first = awaited->next;
    return awaited;
}

static bool has_done(const struct ipc__group *group)
{
    return group->done.first != NULL;
}

/* ---- looking ---- */

static void look_at_some(struct ipc__group *group)
{
    struct ipc__awaited **link = &group->waiting.first;
    for (int not_done = 0; *link != NULL && not_done < SOME;) {
        if (ipc_future_done((*link)->future)) {
            found(group, link);
        } else {
            link = &(*link)->next;
            not_done++;
        }
    }
}

/* A task of the caller's pool that nobody has begun is run here, one at a
 * time. */
static bool help(const struct ipc__group *group, ipc_future *future,
                 uint32_t word)
{
    return unlikely(group->helps) && !has_done(group) &&
           ipc__future_state(word) == IPC__PENDING &&
           ipc__worker_stand_in(future, group->deadline, group->insists);
}

/* Has somebody died who was to complete it?  Most have the same guardian: one
 * that lives is asked about once in a while that is as long as a look. */
static bool is_orphan(ipc_future *future, uint32_t word, uint64_t *alive)
{
    const uint64_t guardian = ipc__future_guardian(future, word);
    struct ipc__peer peer;
    if (guardian == 0 || guardian == *alive)
        return false;
    const bool done = ipc__future_look(future, word, true, &peer);
    if (!done && !peer.dead)
        *alive = guardian;
    return done;
}

/* Is it done?  If not, who completes it is to ring. */
static bool look_at_one(const struct ipc__group *group, ipc_future *future)
{
    const uint32_t word = load_acquire(&future->state); /* [complete→wait] */
    if (ipc__future_is_final(word))
        return true;
    if ((word & IPC__BELL) == 0 && !ipc__future_set_flag(future, IPC__BELL))
        return true;
    return help(group, future, word);
}

static void look_at_all(struct ipc__group *group, uint32_t bell, bool thorough)
{
    const ipc_deadline begun = ipc_now();
    struct ipc__awaited **link = &group->waiting.first;
    uint64_t alive = 0;
    while (*link != NULL) {
        ipc_future *future = (*link)->future;
        if (look_at_one(group, future) ||
            (thorough &&
             is_orphan(future, load_relaxed(&future->state), &alive)))
            found(group, link);
        else
            link = &(*link)->next;
    }
    const ipc_deadline now = ipc_now();
    group->looked = true;
    group->bell = bell;
    group->again_at = now + REST * (now - begun);
}

/* Might any be done that we know nothing of? */
static bool has_rung(const struct ipc__group *group, uint32_t bell)
{
    return !group->looked || ((group->bell ^ bell) & ~IPC__BELL_SLEEPERS) != 0;
}

bool ipc__group_look(struct ipc__group *group, uint32_t bell, bool thorough)
{
    look_at_some(group);
    if (has_done(group))
        return true;
    if (thorough || !group->looked ||
        (has_rung(group, bell) && ipc_now() >= group->again_at))
        look_at_all(group, bell, thorough);
    return has_done(group);
}

bool ipc__group_sleep(const struct ipc__group *group, uint32_t bell,
                      struct ipc__pace *pace, ipc_deadline deadline)
{
    uint32_t *word = ipc__future_bell();
    if ((bell & IPC__BELL_SLEEPERS) == 0 &&
        !cas32_relaxed(word, bell, bell | IPC__BELL_SLEEPERS))
        return false;
    if (has_rung(group, bell) && group->again_at < deadline)
        deadline = group->again_at;
    return ipc__sleep(pace, word, bell | IPC__BELL_SLEEPERS, NULL, 0, deadline);
}

/* ---- waiting ---- */

/* All that is left is the task that the caller runs, or those around it. */
static bool is_all_own(const struct ipc__group *group)
{
    if (likely(ipc__task == NULL))
        return false;
    for (const struct ipc__awaited *a = group->waiting.first; a != NULL;
         a = a->next)
        if (!ipc__future_is_own(a->future))
            return false;
    return true;
}

static int fail_wait(const struct ipc__group *group, ipc_deadline deadline)
{
    return ipc__fail(deadline == IPC_TIME_NOW ? -EAGAIN : -ETIMEDOUT,
                     "none of %zu futures is done", group->left);
}

/* One way or the other it is time to say something: 1, it is not. */
static int before_sleep(const struct ipc__group *group, ipc_deadline deadline)
{
    if (has_done(group))
        return 0;
    if (ipc_time_left(deadline) == 0)
        return fail_wait(group, deadline);
    return is_all_own(group) ? ipc__fail(-EDEADLK, "a task waits for itself")
                             : 1;
}

struct words {
    struct ipc__futex words[IPC__FUTEX_MANY];
    struct ipc__futex lives[IPC__FUTEX_MANY];
    uint32_t count;
    uint32_t lives_count;
    uint64_t alive;
};

/* Is it done?  If not, sleep on its word. */
static bool collect(const struct ipc__group *group, ipc_future *future,
                    bool thorough, struct words *w)
{
    struct ipc__peer runner;
    uint32_t word;
    do {
        word = load_acquire(&future->state); /* [complete→wait] */
        if (ipc__future_is_final(word) ||
            ipc__future_state(word) < IPC__PENDING || help(group, future, word))
            return true;
    } while (!ipc__future_mark(future, &word));
    if ((thorough && is_orphan(future, word, &w->alive)) ||
        ipc__future_look(future, word, false, &runner))
        return true;
    w->words[w->count++] = (struct ipc__futex){&future->state, word};
    if (runner.life != NULL && w->lives_count < IPC__FUTEX_MANY - FEW)
        w->lives[w->lives_count++] =
            (struct ipc__futex){runner.life, runner.life_if_alive};
    return false;
}

static void collect_all(struct ipc__group *group, bool thorough,
                        struct words *w)
{
    struct ipc__awaited **link = &group->waiting.first;
    w->count = 0;
    w->lives_count = 0;
    w->alive = 0;
    while (*link != NULL) {
        if (collect(group, (*link)->future, thorough, w))
            found(group, link);
        else
            link = &(*link)->next;
    }
    for (uint32_t i = 0; i < w->lives_count; i++)
        w->words[w->count++] = w->lives[i];
}

static int wait_for_few(struct ipc__group *group, struct ipc__pace *pace,
                        ipc_deadline deadline)
{
    struct words w;
    bool thorough = false;
    for (;;) {
        collect_all(group, thorough, &w);
        const int rc = before_sleep(group, deadline);
        if (rc <= 0)
            return rc;
        thorough = ipc__sleep_many(pace, w.words, w.count, deadline);
        group->insists = thorough;
    }
}

static int wait_for_many(struct ipc__group *group, struct ipc__pace *pace,
                         ipc_deadline deadline)
{
    uint32_t *word = ipc__future_bell();
    bool thorough = false;
    for (;;) {
        const uint32_t bell = load_acquire(word);
        if (ipc__group_look(group, bell, thorough))
            return 0;
        if (ipc_time_left(deadline) == 0)
            look_at_all(group, bell, false); /* invariant 3 */
        const int rc = before_sleep(group, deadline);
        if (rc <= 0)
            return rc;
        thorough = ipc__group_sleep(group, bell, pace, deadline);
        group->insists = thorough;
    }
}

/* Look for a moment whether the first one is done: often it is the next. */
static void spin(const struct ipc__group *group)
{
    const ipc_future *future = group->waiting.first->future;
    const uint32_t word = load_relaxed(&future->state);
    if (!ipc__future_is_final(word) &&
        (ipc__task == NULL || ipc__future_state(word) != IPC__PENDING))
        (void)ipc__spin(&future->state, word);
}

int ipc__group_wait(struct ipc__group *group, struct ipc__pace *pace,
                    ipc_deadline deadline)
{
    group->helps = ipc__task != NULL && ipc_time_left(deadline) != 0;
    group->deadline = deadline;
    group->insists = false;
    look_at_some(group);
    if (!has_done(group) && deadline != IPC_TIME_NOW) {
        spin(group);
        look_at_some(group);
    }
    if (has_done(group))
        return 0;
    return group->left <= FEW ? wait_for_few(group, pace, deadline)
                              : wait_for_many(group, pace, deadline);
}
