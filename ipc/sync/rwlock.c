/* RWLock: an owner word for the writer, and one for each reader.
 *
 * State
 *   word_       who writes, or waits for the readers to leave; core/owner.h
 *   writing_    1 while the data may be torn: from when the last reader has
 *               left until the writer is about to release.  By the writer
 *   readers_[]  owner words of those who read; in the spare bits, how many
 *               times more than once.  Taken by CAS;
 *               changed by its owner; WAITERS set by who waits for it; freed
 *               by its owner, or by anybody once the owner is dead
 *   lines_      a bit for each line of eight places of which one was ever
 *               taken, set before: writers do not look at the others
 *   ipc__self.reads   how many places the thread has, in all rwlocks
 *
 * Invariants
 *   1  who reads has a place, and has seen word_ free after it took it;
 *   2  who writes has word_, and has seen every place free after it took it:
 *      so not both, see barrier_after_cas();
 *   3  whoever sleeps, on word_ or on a place, has seen WAITERS set in the
 *      value that it sleeps on.
 *
 * Order
 *   [write→read]  a writer's release of word_ against the reader's load with
 *   acquire that finds it free; [read→write]  a reader's release of its place
 *   against the writer's load with acquire that finds it free.
 *
 * Death
 *   of a reader, or of one about to be one   its place names it: whoever waits
 *               for the place sleeps on its life word too, and frees it;
 *   of a writer before writing_   nothing was written: the next writer, or
 *               reader, takes word_ from it as if it had released it;
 *   of a writer after writing_    the next writer gets IPC_OWNER_DIED, readers
 *               -EOWNERDEAD.
 *   Releases are one step, as of any owner word. */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include <ipc/rwlock.h>

#include "base/bits.h"
#include "base/options.h"
#include "core/check.h"
#include "core/error.h"
#include "core/owner.h"
#include "core/waiting.h"
#include "sync/object.h"

#define NOUN   "rwlock"
#define PLACES IPC__READER_PLACES

/* How many times more than once, in a reader's word. */
#define AGAIN     0x00400000u
#define AGAIN_MAX 0x1f800000u /* 126 times */
#define AGAIN_ALL 0x1fc00000u

_Static_assert(sizeof(ipc_rwlock) == 1024, "rwlock layout");
_Static_assert(offsetof(ipc_rwlock, readers_) == 64, "rwlock layout");
_Static_assert(offsetof(ipc_rwlock, label_) ==
                   offsetof(struct ipc__owned, label),
               "rwlock layout");

/* ---- messages ---- */

static int fail_with(ipc_rwlock *rwlock, int error, const char *text)
{
    char label[IPC__NAME_BYTES];
    return ipc__fail(error, "%s %s",
                     ipc__object_name(NOUN, rwlock->label_, rwlock, label),
                     text);
}

static int fail_held(ipc_rwlock *rwlock, int error, uint64_t word,
                     const char *doing)
{
    char label[IPC__NAME_BYTES];
    char name[24];
    int32_t pid;
    const uint64_t owner = word & ~(uint64_t)IPC__OWNER_SPARE;
    ipc__object_name(NOUN, rwlock->label_, rwlock, label);
    ipc__peer_describe(rwlock, owner, &pid, name);
    return ipc__fail(error, "%s: pid %d%s%s%s, thread %u, %s", label, (int)pid,
                     name[0] != '\0' ? " (" : "", name,
                     name[0] != '\0' ? ")" : "",
                     (unsigned)(owner & FUTEX_BITS_TID), doing);
}

/* Why it could not be had, given the word that was in the way. */
static int fail_acquire(ipc_rwlock *rwlock, int error, uint64_t word,
                        const char *doing)
{
    switch (error) {
    case -EAGAIN:
    case -ETIMEDOUT:
        return fail_held(rwlock, error, word, doing);
    case -EDEADLK:
        if ((word & IPC__OWNER_MASK & ~(uint64_t)IPC__OWNER_SPARE) !=
            ipc__self.id)
            return error; /* the check said which circle */
        return fail_with(rwlock, error, "is held by the calling thread");
    case -EOWNERDEAD:
        return fail_held(rwlock, error, word,
                         "died while it was writing; the data needs repair");
    case -ENOTRECOVERABLE:
        return fail_with(rwlock, error,
                         "was given up: a writer died and nobody made it "
                         "consistent");
    case -EUCLEAN:
        return fail_with(rwlock, error, "holds what no owner wrote");
    case -EOVERFLOW:
        return fail_with(rwlock, error,
                         "is held for reading 127 times by one thread");
    default:
        return error; /* registering said why */
    }
}

/* ---- places ---- */

static bool is_mine(uint64_t word)
{
    return (word & IPC__OWNER_MASK & ~(uint64_t)IPC__OWNER_SPARE) ==
           ipc__self.id;
}

/* Have writers look at this place from now on. */
static inline void show_line(ipc_rwlock *rwlock, uint32_t at)
{
    const uint32_t line = 1u << at / 8;
    if (unlikely((load_relaxed(&rwlock->lines_) & line) == 0))
        (void)or_relaxed(&rwlock->lines_, line);
}

static uint64_t *my_place(const ipc_rwlock *rwlock)
{
    uint64_t *places = (uint64_t *)(uintptr_t)rwlock->readers_;
    if (!ipc__self_is_known() || ipc__self.reads == 0)
        return NULL;
    uint32_t at = ipc__self.place;
    for (uint32_t i = 0; i < PLACES; i++, at = (at + 1) % PLACES)
        if (is_mine(load_relaxed(&places[at])))
            return &places[at];
    return NULL;
}

static void look_at(const uint64_t *place, uint64_t word, bool thorough,
                    struct ipc__peer *out)
{
    ipc__peer_look(place, word & ~(uint64_t)IPC__OWNER_SPARE, thorough, out);
}

/* Take a free place, or a dead one's.  NULL: there is none; *first is where it
 * was looked for first. */
static uint64_t *take_place(ipc_rwlock *rwlock, bool thorough, uint64_t **first)
{
    uint32_t at = ipc__self.place;
    *first = &rwlock->readers_[at];
    for (uint32_t i = 0; i < PLACES; i++, at = (at + 1) % PLACES) {
        show_line(rwlock, at);
        if (ipc__owner_try(&rwlock->readers_[at], ipc__self.id))
            return &rwlock->readers_[at];
    }
    for (uint32_t i = 0; i < PLACES; i++, at = (at + 1) % PLACES) {
        struct ipc__peer peer;
        const uint64_t word = load_relaxed(&rwlock->readers_[at]);
        look_at(&rwlock->readers_[at], word, thorough, &peer);
        if ((uint32_t)word != 0 && peer.dead &&
            cas64_acquire(&rwlock->readers_[at], word, ipc__self.id))
            return &rwlock->readers_[at];
    }
    return NULL;
}

/* Free the calling thread's place, and wake who waits for it. */
static void free_place(uint64_t *place)
{
    if (!cas64_release(place, ipc__self.id, 0)) /* [read→write] */
        (void)ipc__futex_set_and_wake(ipc__owner_futex(place), 0, INT_MAX);
}

/* ---- waiting ---- */

/* One who waits, for a writer or for a reader. */
struct waiter {
    ipc_rwlock *rwlock;
    ipc_deadline deadline;
    struct ipc__pace pace;
    bool thorough;
    bool spun;
    uint64_t seen; /* what was in the way */
};

/* Sleep until the word is not what was seen there.  0: look again. */
static int wait_for(struct waiter *w, uint64_t *word, uint64_t seen,
                    const struct ipc__peer *owner)
{
    const uint32_t low = (uint32_t)seen;
    w->seen = seen;
    if (w->deadline == IPC_TIME_NOW)
        return -EAGAIN;
    if (!w->spun) {
        w->spun = true;
        if (ipc__spin(ipc__owner_futex(word), low))
            return 0;
    }
    if (ipc_time_left(w->deadline) == 0)
        return -ETIMEDOUT;
    if ((low & FUTEX_BIT_WAITERS) == 0 &&
        !cas64_relaxed(word, seen, seen | FUTEX_BIT_WAITERS))
        return 0;
    if (ipc__checking() &&
        ipc__check_wait((const struct ipc__owned *)(const void *)w->rwlock,
                        word) != 0)
        return -EDEADLK;
    w->thorough =
        ipc__sleep(&w->pace, ipc__owner_futex(word), low | FUTEX_BIT_WAITERS,
                   owner->life, owner->life_if_alive, w->deadline);
    return 0;
}

/* ---- reading ---- */

/* Wait until nobody writes.  0: look again. */
static int wait_for_writer(struct waiter *w)
{
    ipc_rwlock *rwlock = w->rwlock;
    const uint64_t word = load_acquire(&rwlock->word_); /* [write→read] */
    const uint32_t low = (uint32_t)word;
    w->seen = word;
    if (low == 0)
        return 0;
    if (low == IPC__GIVEN_UP)
        return -ENOTRECOVERABLE;
    if (!ipc__owner_is_possible(word))
        return -EUCLEAN;
    if (is_mine(word))
        return -EDEADLK;
    struct ipc__peer writer;
    ipc__peer_look(rwlock, word, w->thorough, &writer);
    if (!writer.dead)
        return wait_for(w, &rwlock->word_, word, &writer);
    if (load_acquire(&rwlock->writing_) != 0)
        return -EOWNERDEAD;
    if (cas64_release(&rwlock->word_, word, 0)) /* it has written nothing */
        ipc__futex_wake(ipc__owner_futex(&rwlock->word_), INT_MAX);
    return 0;
}

static int read_again(uint64_t *place)
{
    for (;;) {
        const uint64_t word = load_relaxed(place);
        if ((word & AGAIN_ALL) >= AGAIN_MAX)
            return -EOVERFLOW;
        if (cas64_relaxed(place, word, word + AGAIN))
            return 0; /* or WAITERS was set meanwhile */
    }
}

static int acquire_read(struct waiter *w)
{
    ipc_rwlock *rwlock = w->rwlock;
    uint64_t *mine = my_place(rwlock);
    if (mine != NULL)
        return read_again(mine);
    for (;;) {
        int rc = 0;
        uint64_t *first;
        if ((uint32_t)load_relaxed(&rwlock->word_) == 0) {
            uint64_t *place = take_place(rwlock, w->thorough, &first);
            barrier_after_cas();
            if (place != NULL &&
                (uint32_t)load_acquire(&rwlock->word_) == 0) /* [write→read] */
                return 0;
            if (place != NULL) {
                free_place(place); /* a writer was first */
            } else {
                struct ipc__peer reader;
                const uint64_t word = load_relaxed(first);
                look_at(first, word, w->thorough, &reader);
                rc = (uint32_t)word == 0 || reader.dead
                         ? 0
                         : wait_for(w, first, word, &reader);
            }
        } else {
            rc = wait_for_writer(w);
        }
        if (rc != 0)
            return rc;
    }
}

static SLOW_PATH int read_slow(ipc_rwlock *rwlock, ipc_deadline deadline)
{
    struct waiter w = {.rwlock = rwlock, .deadline = deadline};
    int rc = ipc__self_is_ready(rwlock) ? 0 : ipc__self_register(rwlock);
    if (rc != 0)
        return rc;
    const bool again = my_place(rwlock) != NULL;
    rc = acquire_read(&w);
    ipc__check_done();
    if (rc < 0)
        return fail_acquire(rwlock, rc, w.seen, "is writing, or waits to");
    if (!again)
        ipc__self.reads++;
    return 0;
}

static inline int read_form(ipc_rwlock *rwlock, ipc_deadline deadline)
{
    if (ipc__self_is_ready(rwlock) && likely(ipc__self.reads == 0)) {
        const uint32_t at = ipc__self.place;
        uint64_t *place = &rwlock->readers_[at];
        show_line(rwlock, at);
        if (likely((uint32_t)load_relaxed(&rwlock->word_) == 0) &&
            ipc__owner_try(place, ipc__self.id)) {
            barrier_after_cas();
            if (likely((uint32_t)load_acquire(&rwlock->word_) == 0)) {
                ipc__self.reads = 1; /* [write→read] */
                return 0;
            }
            free_place(place); /* a writer was first */
        }
    }
    return read_slow(rwlock, deadline);
}

int ipc_rwlock_acquire_read(ipc_rwlock *rwlock)
{
    return read_form(rwlock, IPC_TIME_FOREVER);
}

int ipc_rwlock_acquire_read_nowait(ipc_rwlock *rwlock)
{
    return read_form(rwlock, IPC_TIME_NOW);
}

int ipc_rwlock_acquire_read_until(ipc_rwlock *rwlock, ipc_deadline deadline)
{
    return read_form(rwlock, deadline > 0 ? deadline : 1);
}

/* ---- writing ---- */

/* Wait for the one who has this place.  0: it is free, or look again. */
static int wait_for_reader(struct waiter *w, uint64_t *place)
{
    const uint64_t word = load_acquire(place); /* [read→write] */
    if ((uint32_t)word == 0)
        return 0;
    struct ipc__peer reader;
    look_at(place, word, w->thorough, &reader);
    if (!reader.dead)
        return wait_for(w, place, word, &reader);
    if (cas64_relaxed(place, word, 0) && (word & FUTEX_BIT_WAITERS) != 0)
        ipc__futex_wake(ipc__owner_futex(place), INT_MAX);
    return 0;
}

static int wait_for_line(struct waiter *w, uint64_t *places)
{
    for (uint32_t i = 0; i < 8; i++)
        while (unlikely((uint32_t)load_acquire(&places[i]) != 0)) {
            const int rc = wait_for_reader(w, &places[i]); /* [read→write] */
            if (rc != 0)
                return rc;
        }
    return 0;
}

static int wait_for_readers(struct waiter *w)
{
    uint32_t lines =
        load_relaxed(&w->rwlock->lines_) & ((1u << PLACES / 8) - 1);
    int rc = 0;
    for (uint64_t *places = w->rwlock->readers_; lines != 0 && rc == 0;
         places += 8, lines >>= 1)
        if ((lines & 1) != 0)
            rc = wait_for_line(w, places);
    return rc;
}

/* Release word_, of which nothing needs to be said. */
static void release_word(ipc_rwlock *rwlock)
{
    if (!cas64_release(&rwlock->word_, ipc__self.id, 0)) /* [write→read] */
        (void)ipc__futex_set_and_wake(ipc__owner_futex(&rwlock->word_), 0,
                                      INT_MAX);
}

/* Let go of word_ without having written: the news that the one before died
 * is left for the next. */
static void withdraw(ipc_rwlock *rwlock, bool owner_died)
{
    if (!owner_died) {
        release_word(rwlock);
        return;
    }
    uint64_t word = load_relaxed(&rwlock->word_);
    while (!cas64_release(&rwlock->word_, word, FUTEX_BIT_OWNER_DIED))
        word = load_relaxed(&rwlock->word_);
    ipc__futex_wake(ipc__owner_futex(&rwlock->word_), INT_MAX);
}

static void clear_owner_died(ipc_rwlock *rwlock)
{
    uint64_t word = load_relaxed(&rwlock->word_);
    while (!cas64_relaxed(&rwlock->word_, word,
                          word & ~(uint64_t)FUTEX_BIT_OWNER_DIED))
        word = load_relaxed(&rwlock->word_); /* WAITERS was set meanwhile */
}

static SLOW_PATH int write_slow(ipc_rwlock *rwlock, ipc_deadline deadline,
                                bool has_word)
{
    struct waiter w = {.rwlock = rwlock, .deadline = deadline};
    int rc = ipc__self_is_ready(rwlock) ? 0 : ipc__self_register(rwlock);
    if (rc != 0)
        return rc;
    if (!has_word) {
        if (my_place(rwlock) != NULL)
            return fail_with(rwlock, -EDEADLK,
                             "is held for reading by the calling thread: "
                             "release it first");
        rc = ipc__owner_acquire(&rwlock->word_, &rwlock->since_ns_, deadline,
                                &w.seen);
        ipc__pending_clear();
        if (rc < 0)
            return fail_acquire(rwlock, rc, w.seen, "is writing, or waits to");
        if (rc == IPC_OWNER_DIED && load_relaxed(&rwlock->writing_) == 0) {
            clear_owner_died(rwlock);
            rc = 0;
        }
    }
    store_relaxed(&rwlock->since_ns_, 0);
    barrier_after_cas();
    const int waited = wait_for_readers(&w);
    ipc__check_done();
    if (waited != 0) {
        withdraw(rwlock, rc == IPC_OWNER_DIED);
        return fail_acquire(rwlock, waited, w.seen, "is reading");
    }
    store_release(&rwlock->writing_, 1);
    return rc;
}

static inline int write_form(ipc_rwlock *rwlock, ipc_deadline deadline)
{
    const bool has_word = ipc__self_is_ready(rwlock) &&
                          likely(ipc__self.reads == 0) &&
                          ipc__owner_try(&rwlock->word_, ipc__self.id);
    if (has_word) {
        struct waiter w = {.rwlock = rwlock, .deadline = IPC_TIME_NOW};
        store_relaxed(&rwlock->since_ns_, 0);
        barrier_after_cas();
        if (likely(wait_for_readers(&w) == 0)) {
            store_release(&rwlock->writing_, 1);
            return 0;
        }
    }
    return write_slow(rwlock, deadline, has_word);
}

int ipc_rwlock_acquire_write(ipc_rwlock *rwlock)
{
    return write_form(rwlock, IPC_TIME_FOREVER);
}

int ipc_rwlock_acquire_write_nowait(ipc_rwlock *rwlock)
{
    return write_form(rwlock, IPC_TIME_NOW);
}

int ipc_rwlock_acquire_write_until(ipc_rwlock *rwlock, ipc_deadline deadline)
{
    return write_form(rwlock, deadline > 0 ? deadline : 1);
}

/* ---- release ---- */

static void release_write(ipc_rwlock *rwlock)
{
    if ((load_relaxed(&rwlock->word_) & FUTEX_BIT_OWNER_DIED) != 0) {
        ipc__owner_give_up(&rwlock->word_);
        return;
    }
    store_release(&rwlock->writing_, 0);
    release_word(rwlock);
}

static void release_read(uint64_t *place)
{
    uint64_t word = load_relaxed(place);
    while ((word & AGAIN_ALL) != 0) {
        if (cas64_relaxed(place, word, word - AGAIN))
            return;
        word = load_relaxed(place); /* WAITERS was set meanwhile */
    }
    ipc__self.reads--;
    free_place(place);
}

int ipc_rwlock_release(ipc_rwlock *rwlock)
{
    if (ipc__self_is_known()) {
        uint64_t *place = &rwlock->readers_[ipc__self.place];
        if (likely(ipc__self.reads != 0) &&
            likely(cas64_release(place, ipc__self.id, 0))) {
            ipc__self.reads--; /* [read→write] */
            return 0;
        }
        if (is_mine(load_relaxed(&rwlock->word_))) {
            release_write(rwlock);
            return 0;
        }
        place = my_place(rwlock);
        if (place != NULL) {
            release_read(place);
            return 0;
        }
    }
    return fail_with(rwlock, -EPERM,
                     "is not held by the calling thread: release");
}

int ipc_rwlock_downgrade(ipc_rwlock *rwlock)
{
    uint64_t *first;
    if (!ipc_rwlock_is_writing(rwlock))
        return fail_with(rwlock, -EPERM,
                         "is not held for writing by the calling thread");
    if ((load_relaxed(&rwlock->word_) & FUTEX_BIT_OWNER_DIED) != 0)
        return fail_with(rwlock, -EINVAL, "has not been made consistent");
    if (take_place(rwlock, true, &first) == NULL)
        return fail_with(rwlock, -EAGAIN, "has no place for a reader");
    ipc__self.reads++;
    release_write(rwlock);
    return 0;
}

int ipc_rwlock_consistent(ipc_rwlock *rwlock)
{
    if (!ipc_rwlock_is_writing(rwlock))
        return fail_with(rwlock, -EPERM,
                         "is not held for writing by the calling thread");
    if ((load_relaxed(&rwlock->word_) & FUTEX_BIT_OWNER_DIED) == 0)
        return fail_with(rwlock, -EINVAL, "had no writer that died");
    clear_owner_died(rwlock);
    return 0;
}

int ipc_rwlock_reset(ipc_rwlock *rwlock)
{
    const uint64_t word = load_relaxed(&rwlock->word_);
    if ((uint32_t)word != IPC__GIVEN_UP)
        return fail_with(rwlock, -EINVAL, "is not in need of a reset");
    store_release(&rwlock->writing_, 0);
    return cas64_release(&rwlock->word_, word, 0)
               ? 0
               : fail_with(rwlock, -EINVAL, "is not in need of a reset");
}

/* ---- who holds it ---- */

int ipc_rwlock_writer(ipc_rwlock *rwlock, ipc_lock_holder *out)
{
    const uint64_t word = load_relaxed(&rwlock->word_);
    const uint32_t low = (uint32_t)word;
    if (low == 0)
        return fail_with(rwlock, -ESRCH, "has no writer");
    if (low == IPC__GIVEN_UP)
        return fail_acquire(rwlock, -ENOTRECOVERABLE, word, "");
    if (!ipc__owner_is_possible(word))
        return fail_acquire(rwlock, -EUCLEAN, word, "");

    struct ipc__peer writer;
    char name[24];
    ipc_lock_holder holder = {.size = sizeof holder};
    ipc__peer_look(rwlock, word, true, &writer);
    ipc__peer_describe(rwlock, word, &holder.pid, name);
    ipc__owner_note_since(&rwlock->since_ns_);
    holder.tid = (int32_t)(low & FUTEX_BITS_TID);
    holder.alive = !writer.dead;
    holder.owner_died = (low & FUTEX_BIT_OWNER_DIED) != 0 || writer.dead;
    holder.since_ns = load_relaxed(&rwlock->since_ns_);
    return ipc__info_write(out, &holder, sizeof holder) == 0
               ? 0
               : ipc__fail(-EINVAL, "a holder of a size that is not known");
}

uint32_t ipc_rwlock_readers(ipc_rwlock *rwlock)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < PLACES; i++) {
        const uint64_t word = load_relaxed(&rwlock->readers_[i]);
        struct ipc__peer reader;
        if ((uint32_t)word == 0)
            continue;
        look_at(&rwlock->readers_[i], word, true, &reader);
        count += !reader.dead;
    }
    return count;
}

bool ipc_rwlock_is_reading(const ipc_rwlock *rwlock)
{
    return my_place(rwlock) != NULL;
}

bool ipc_rwlock_is_writing(const ipc_rwlock *rwlock)
{
    return ipc__self_is_known() && is_mine(load_relaxed(&rwlock->word_));
}

/* ---- storage ---- */

static int prepare(ipc_rwlock *made, struct ipc__room *room,
                   const ipc_rwlock_options *options)
{
    ipc_rwlock_options given;
    const int rc = ipc__object_options(NOUN, &given, sizeof given, options, 0);
    room->needed = sizeof *made;
    if (rc == 0)
        ipc__object_label(made->label_, given.label);
    return rc;
}

static size_t bytes_of(const void *object)
{
    (void)object;
    return sizeof(ipc_rwlock);
}

static bool is_held(const void *object)
{
    return ipc_rwlock_is_reading(object) || ipc_rwlock_is_writing(object);
}

static int finish(void *object)
{
    return ipc_rwlock_fini(object);
}

/* Who died before it wrote anything is none. */
static bool has_writer(const ipc_rwlock *rwlock, uint64_t word)
{
    struct ipc__peer writer;
    if ((uint32_t)word == 0 || (uint32_t)word == IPC__GIVEN_UP)
        return false;
    if (!ipc__owner_is_possible(word) || load_relaxed(&rwlock->writing_) != 0)
        return true;
    ipc__peer_look(rwlock, word, true, &writer);
    return !writer.dead;
}

int ipc_rwlock_fini(ipc_rwlock *rwlock)
{
    const uint64_t word = load_relaxed(&rwlock->word_);
    if (has_writer(rwlock, word))
        return fail_held(rwlock, -EBUSY, word, "is writing, or waits to");
    if (ipc_rwlock_readers(rwlock) != 0)
        return fail_with(rwlock, -EBUSY, "is held for reading");
    ipc__object_wipe(rwlock, sizeof *rwlock);
    return 0;
}

IPC__OBJECT_STORAGE(rwlock, IPC__REGION_RWLOCK, NOUN,
                    (const ipc_rwlock_options *options), (options))
