/* A future's word: who may change it, and how it becomes final.
 *
 * State
 *   state    see layout.h.  A final word keeps its flags, and the bits that say
 *            who ran it.
 *   runner   of one whose word says IPC__PROMISE_RUNNER: who runs it.  Changed
 *            by CAS alone: 0 or somebody dead to the one who does it next.
 *
 * Invariants
 *   1  from RUNNING on only its runner changes the state; others add flags, and
 *      none when it is final.  So the runner may add to the word;
 *   2  whoever sleeps on the word has seen IPC__SLEEPERS in it;
 *   3  runner names the caller before the word says IPC__PROMISE_RUNNER, so
 *      whoever sees that finds whom to look at.
 *
 * Order
 *   [complete→wait]  what was stored in the record is seen by those who find
 *   the word final: CAS with release, or the system call, against loads with
 *   acquire.
 *
 * Who completes has to know the flags as they were at the end, but the system
 * call does not tell.  It is looked at afterwards, when the record may be gone
 * already: so it counts only if it still says that the caller ran it, which is
 * not said of anything else that may be there now.
 *
 * Death
 *   of the runner        before the CAS or the call it is RUNNING, and its
 *                        runner is found dead: a worker by the supervisor, any
 *                        other by those who wait, see orphan.c.  After it all
 *                        is done but the bell: the supervisor rings at every
 *                        death, and who waits for the bell looks at its futures
 *                        now and then;
 *   of who cancels       between the CAS and the wake-up: the re-check of those
 *                        who wait. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include <ipc/shared.h>

#include "base/bits.h"
#include "core/error.h"
#include "core/family.h"
#include "memory/shared.h"
#include "pool/future.h"
#include "pool/table.h"
#include "pool/worker.h"

_Static_assert(sizeof((ipc_exception *)0)->message <= IPC__PROMISE_ROOM,
               "a promise has room for a message");

/* ---- the bell ---- */

uint32_t *ipc__future_bell(void)
{
    struct ipc__region *family;
    return ipc__family(&family) == 0 ? &family->bell : NULL;
}

void ipc__future_ring(void)
{
    uint32_t *bell = ipc__future_bell();
    if (bell == NULL)
        return;
    for (;;) {
        const uint32_t word = load_relaxed(bell);
        if ((word & IPC__BELL_SLEEPERS) != 0) {
            /* One more, which takes the mark away. */
            if (ipc__futex_change_and_wake(bell, IPC__FUTEX_ADD,
                                           IPC__BELL_SLEEPERS, INT_MAX) < 0)
                ipc__futex_wake(bell, INT_MAX);
            return;
        }
        if (cas32_release(bell, word, word + 2 * IPC__BELL_SLEEPERS))
            return;
    }
}

/* ---- making it final ---- */

/* As two steps, where the kernel does not do it in one. */
static uint32_t complete_plainly(struct ipc_future *future, uint32_t step)
{
    uint32_t word = load_relaxed(&future->state);
    while (!cas32_release(&future->state, word, word + step))
        word = load_relaxed(&future->state);
    ipc__futex_wake(&future->state, INT_MAX);
    return word;
}

/* Memory that may be something else by now: not for ThreadSanitizer. */
__attribute__((no_sanitize("thread"))) static bool
is_still(const struct ipc_future *future, uint32_t word, uint64_t runner)
{
    const uint32_t now = load_relaxed(&future->state);
    return ipc__future_is_final(now) &&
           now >> IPC__RUNNER_SHIFT == word >> IPC__RUNNER_SHIFT &&
           (!ipc__future_has_runner(word) ||
            load_relaxed(&future->runner) == runner);
}

__attribute__((no_sanitize("thread"))) static uint32_t
flags_of(const struct ipc_future *future)
{
    return load_relaxed(&future->state) & IPC__FUTURE_FLAGS;
}

static SLOW_PATH uint32_t complete_and_wake(struct ipc_future *future,
                                            uint32_t word, uint32_t step)
{
    const uint64_t runner = load_relaxed(&future->runner);
    if (ipc__futex_change_and_wake(&future->state, IPC__FUTEX_ADD, (int)step,
                                   INT_MAX) < 0) /* [complete→wait] */
        return complete_plainly(future, step);
    const uint32_t flags = flags_of(future);
    return is_still(future, word, runner) ? (word & ~IPC__FUTURE_FLAGS) | flags
                                          : word & ~IPC__ABANDONED;
}

uint32_t ipc__future_complete(struct ipc_future *future,
                              enum ipc__future_state state)
{
    const uint32_t step = (uint32_t)state - IPC__RUNNING;
    uint32_t word;
    for (;;) {
        word = load_relaxed(&future->state);
        if (unlikely((word & IPC__SLEEPERS) != 0)) {
            word = complete_and_wake(future, word, step);
            break;
        }
        if (likely(cas32_release(&future->state, word, word + step)))
            break; /* [complete→wait] */
    }
    if (unlikely((word & IPC__BELL) != 0))
        ipc__future_ring();
    return word;
}

static void count_cancelled(struct ipc_future *future)
{
    if (future->pool != NULL)
        (void)add_relaxed(&future->pool->cancelled, 1);
}

static bool cancel_pending(struct ipc_future *future, uint32_t *was)
{
    uint32_t word;
    do {
        word = load_relaxed(&future->state);
        if (ipc__future_state(word) != IPC__PENDING)
            return false;
    } while (!cas32_release(&future->state, word,
                            word + (IPC__CANCELLED - IPC__PENDING)));
    if ((word & IPC__SLEEPERS) != 0) /* [complete→wait] */
        ipc__futex_wake(&future->state, INT_MAX);
    if ((word & IPC__BELL) != 0)
        ipc__future_ring();
    count_cancelled(future);
    *was = word;
    return true;
}

bool ipc__future_cancel_pending(struct ipc_future *future)
{
    uint32_t word;
    return cancel_pending(future, &word);
}

bool ipc__future_end_pending(struct ipc_future *future, uint32_t kind,
                             int status, uint32_t *word)
{
    if (kind == IPC_EXCEPTION_CANCELLED)
        return cancel_pending(future, word);
    if (ipc__future_claim(future, false) != 0)
        return false;
    ipc__future_blame(future, kind, status, NULL);
    *word = ipc__future_complete(future, IPC__FAILED);
    count_cancelled(future);
    return true;
}

bool ipc__future_set_flag(struct ipc_future *future, uint32_t flag)
{
    uint32_t word;
    do {
        word = load_acquire(&future->state); /* [complete→wait] */
        if (ipc__future_is_final(word) ||
            ipc__future_state(word) < IPC__PENDING)
            return false;
        if ((word & flag) != 0)
            return true;
    } while (!cas32_release(&future->state, word, word | flag));
    return true;
}

/* ---- running it without being a worker ---- */

int ipc__future_claim_runner(struct ipc_future *future)
{
    if (!ipc__self_is_ready(future)) {
        const int rc = ipc__self_register(future);
        if (rc != 0)
            return rc;
    }
    for (;;) {
        const uint64_t runner = load_acquire(&future->runner);
        if (runner == ipc__self.id)
            return 0;
        if (runner != 0) {
            struct ipc__peer peer;
            ipc__peer_look(future, runner, true, &peer);
            if (!peer.dead)
                return -EALREADY;
        }
        if (cas64_acquire(&future->runner, runner, ipc__self.id))
            return 0;
    }
}

static int why_not_pending(uint32_t word)
{
    return ipc__future_state(word) == IPC__CANCELLED ? -ECANCELED : -EALREADY;
}

int ipc__future_claim(struct ipc_future *future, bool wake)
{
    uint32_t word = load_acquire(&future->state);
    if (ipc__future_state(word) != IPC__PENDING)
        return why_not_pending(word);
    const int rc = ipc__future_claim_runner(future);
    if (rc != 0)
        return rc;
    const uint32_t drop = wake ? IPC__SLEEPERS : 0;
    for (;;) {
        word = load_acquire(&future->state);
        if (ipc__future_state(word) != IPC__PENDING) {
            /* A worker's, or final: it has no use for our name. */
            (void)cas64_relaxed(&future->runner, ipc__self.id, 0);
            return why_not_pending(word);
        }
        const uint32_t next = (word & IPC__FUTURE_FLAGS & ~drop) |
                              IPC__RUNNING | IPC__RUNNER_IS_NAMED;
        if (cas32_release(&future->state, word, next))
            break;
    }
    /* Those who sleep are to watch over us from now on. */
    if ((word & drop) != 0)
        ipc__futex_wake(&future->state, INT_MAX);
    return 0;
}

bool ipc__future_is_own(const struct ipc_future *future)
{
    for (const struct ipc_task *task = ipc__task; task != NULL;
         task = task->outer)
        if (task->future == future)
            return true;
    return false;
}

/* ---- bytes ---- */

/* Arguments from 16 bytes on are aligned to 16, and so are results. */
static size_t place_near(size_t used, size_t bytes)
{
    return bytes < 16 ? round_up(used, 8) : round_up(used + 8, 16) - 8;
}

static size_t place_far(size_t used, size_t bytes)
{
    return round_up(used, bytes < 16 ? 8 : 16);
}

static size_t used_near(const struct ipc_future *future)
{
    const uint32_t elsewhere = IPC__ARG_FAR | IPC__ARG_SPILLED;
    const size_t bytes = future->arg_bytes;
    return (load_relaxed(&future->shape) & elsewhere) != 0
               ? 0
               : ipc__near_begin(bytes) + bytes;
}

static size_t used_far(const struct ipc_future *future)
{
    return (load_relaxed(&future->shape) & IPC__ARG_FAR) != 0
               ? future->arg_bytes
               : 0;
}

void *ipc__future_arg(struct ipc_future *future)
{
    if (future->arg_bytes == 0)
        return NULL;
    const uint32_t shape = load_relaxed(&future->shape);
    if ((shape & IPC__ARG_SPILLED) != 0)
        return (void *)(uintptr_t)future->arg;
    return (shape & IPC__ARG_FAR) != 0
               ? future->far_
               : future->near_ + ipc__near_begin(future->arg_bytes);
}

void *ipc__future_data(struct ipc_future *future)
{
    const size_t bytes = future->result_bytes;
    const uint32_t shape = load_relaxed(&future->shape);
    if (bytes == 0)
        return NULL;
    if ((shape & IPC__RESULT_SPILLED) != 0)
        return future->pool == NULL ? (void *)(future + 1)
                                    : (void *)(uintptr_t)future->result;
    return (shape & IPC__RESULT_FAR) != 0
               ? future->far_ + place_far(used_far(future), bytes)
               : future->near_ + place_near(used_near(future), bytes);
}

/* Where the result is, by who runs it.  Who has submitted it may be looking where
 * the argument is. */
static void set_shape(struct ipc_future *future, uint32_t result)
{
    const uint32_t rest = load_relaxed(&future->shape) &
                          ~(uint32_t)(IPC__RESULT_FAR | IPC__RESULT_SPILLED);
    store_relaxed(&future->shape, (uint8_t)(rest | result));
}

/* In far, or in memory of its own. */
static SLOW_PATH int make_more_room(struct ipc_future *future, size_t bytes)
{
    const size_t at = place_far(used_far(future), bytes);
    if (future->pool == NULL) {
        if (bytes > future->room)
            return -EMSGSIZE;
        set_shape(future, IPC__RESULT_SPILLED);
        memset(future + 1, 0, bytes);
    } else if (at + bytes <= IPC__FAR) {
        set_shape(future, IPC__RESULT_FAR);
        memset(future->far_ + at, 0, bytes);
    } else {
        const int rc =
            ipc__table_have(&future->result, &future->result_room, bytes);
        if (rc != 0)
            return rc;
        memset((void *)(uintptr_t)future->result, 0, bytes);
        set_shape(future, IPC__RESULT_SPILLED);
    }
    future->result_bytes = (uint32_t)bytes;
    return 0;
}

/* Also what somebody had begun to make who is dead. */
static SLOW_PATH void drop_room(struct ipc_future *future)
{
    if (future->pool != NULL && future->result_room == 0)
        (void)ipc__shared_free_in(&future->result);
    set_shape(future, 0);
}

int ipc__future_make_room(struct ipc_future *future, size_t bytes)
{
    if ((load_relaxed(&future->shape) &
         (IPC__RESULT_FAR | IPC__RESULT_SPILLED)) != 0 ||
        future->attempts != 0)
        drop_room(future);
    future->result_bytes = 0;
    if (unlikely(bytes > IPC__RESULT_MAX))
        return -EMSGSIZE;
    const size_t at = place_near(used_near(future), bytes);
    if (unlikely(at + bytes > IPC__NEAR))
        return bytes != 0 ? make_more_room(future, bytes) : 0;
    memset(future->near_ + at, 0, bytes);
    future->result_bytes = (uint32_t)bytes;
    return 0;
}

void ipc__future_blame(struct ipc_future *future, uint32_t kind, int status,
                       const char *message)
{
    const size_t most = sizeof((ipc_exception *)0)->message - 1;
    const size_t length = message != NULL ? strnlen(message, most) : 0;
    future->kind = (uint8_t)kind;
    future->status = status;
    if (ipc__future_make_room(future, length != 0 ? length + 1 : 0) != 0)
        return;
    char *room = ipc__future_data(future);
    if (room != NULL && length != 0)
        memcpy(room, message, length);
}

/* ---- the record ---- */

int ipc__future_check(const struct ipc_future *future)
{
    return likely(future->magic == IPC__FUTURE_MAGIC) &&
                   likely(ipc__future_state(load_relaxed(&future->state)) >=
                          IPC__PENDING)
               ? 0
               : ipc__fail(-EINVAL, "this is no future, or was freed");
}

/* Marked first, so that who uses it afterwards is told; who finds the mark goes
 * on with what was begun. */
static int free_promise(struct ipc_future *promise)
{
    store_relaxed(&promise->state, IPC__FREE);
    return ipc_shared_free(promise) == 0
               ? 0
               : ipc__fail(-EINVAL, "the future was freed");
}

int ipc__future_dispose(struct ipc_future *future)
{
    if (future->pool == NULL)
        return free_promise(future);
    return ipc__table_free(future);
}
