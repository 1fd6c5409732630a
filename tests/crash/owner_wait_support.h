/* What the wait sweeps of lock and guard have in common: T05.
 *
 * One who waits is killed at every instruction of the wait, before it sleeps
 * and after it was woken.  It is the first in the queue; it is woken alone,
 * and its death must not swallow the wake-up that the others need. */
#ifndef OWNER_WAIT_SUPPORT_H
#define OWNER_WAIT_SUPPORT_H

#include "crash/owner_sweep_support.h"

static struct role holder;

/* ---- the one who holds it at first ---- */

static struct stage *stage;

static inline void take_and_give_when_told(uint32_t word)
{
    (void)take();
    meet_signal(&stage->ready);
    meet_wait(&stage->go, word, LIMIT_MS);
    give();
}

/* It lives on: its end would wake those who wait for it. */
static _Noreturn void live_on(void)
{
    meet_signal(&stage->ready);
    for (;;)
        (void)pause();
}

static void hold_then_give(void *ctx)
{
    warm_up(ctx);
    take_and_give_when_told(1);
    live_on();
}

/* Frees it, and has it again before the one that was woken comes. */
static inline void hold_then_barge(void *ctx)
{
    warm_up(ctx);
    take_and_give_when_told(1);
    take_and_give_when_told(2);
    live_on();
}

static void (*hold)(void *ctx);

static void reset_with_holder(void *ctx)
{
    (void)role_kill(&holder);
    reset(ctx);
    stage->ready = stage->go = 0;
    role_start(&holder, hold, NULL);
    meet_wait(&stage->ready, 1, LIMIT_MS);
}

/* ---- the victim ---- */

static void wait_change_give(void *ctx)
{
    (void)ctx;
    (void)take();
    change();
    give();
}

static bool asleep_on_lock(void *ctx, pid_t victim)
{
    (void)ctx;
    return asleep_on(victim, &state->lock.word_);
}

/* The victim sleeps or is dead: others come to sleep behind it, then the lock
 * is released. */
static inline void others_then_release(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)victim, (void)dead;
    let_sleepers_in();
    meet_signal(&stage->go);
}

static inline void others_then_kill(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)victim, (void)dead;
    let_sleepers_in();
    (void)role_kill(&holder);
}

static inline void others_then_barge(void *ctx, pid_t victim, bool dead)
{
    (void)ctx, (void)dead;
    others_then_release(ctx, victim, dead);
    meet_wait(&stage->ready, 2, LIMIT_MS);
    while (!thread_ended(victim) && !asleep_on_lock(NULL, victim))
        poll_pause();
    meet_signal(&stage->go);
}

static void end_holder(void)
{
    (void)role_kill(&holder);
}

static void wait_oracle(void *ctx, const struct sweep_point *point,
                        struct sweep_result *result)
{
    /* The holder has released it, or is dead. */
    const uint32_t ready = 1 + __atomic_load_n(&stage->go, __ATOMIC_SEQ_CST);
    if (holder.pid != 0 && !meet_within(&stage->ready, ready, WEDGE_MS))
        sweep_wedge(result, point);
    end_others = end_holder;
    sleepers_oracle(ctx, point, result);
}

/* It keeps the true period: step by step it takes longer than a short one. */
static void warm_up_to_wait(void *ctx)
{
    if (ipc__recheck_ns != INT64_MAX)
        ipc__recheck_ns = IPC__RECHECK_NS;
    warm_up(ctx);
}

static inline void without_list_warm_up(void *ctx)
{
    ipc__robust_list_usable = false;
    warm_up_to_wait(ctx);
}

static void (*prepare)(void *ctx) = warm_up_to_wait;

static void sweep_wait(void (*first)(void *ctx),
                       void (*meanwhile)(void *ctx, pid_t victim, bool dead),
                       long stride, struct sweep_result *result)
{
    struct sweep sweep = {.name = "wait",
                          .reset = reset_with_holder,
                          .prepare = prepare,
                          .victim = wait_change_give,
                          .asleep = asleep_on_lock,
                          .meanwhile = meanwhile,
                          .oracle = wait_oracle,
                          .stride = stride};
    stage = test_shared(sizeof *stage);
    hold = first;
    sweep_run(&sweep, result);
    report(NULL, result);
}

#endif
