#include "model/queue_simulator/world.h"

#include "harness/harness.h"
#include "harness/scale.h"
#include "model/queue_simulator/hooks.h"

#include <limits.h>
#include <stdlib.h>
#include <ucontext.h>

#undef memcpy
#undef ipc__self

enum {
    STACK = 128 * 1024,
    WORDS = 16,
    FIRST_TID = 1000,
    IDLE_MAX = 60,        /* then nobody will ever go on */
    POINTS_MAX = 3000000, /* an endless loop */
    RECHECK_NS = 100000000,
    SPINS = 3,
    HALF = 24 /* bytes that are copied at once */
};

enum state {
    NONE,
    READY,
    ASLEEP,
    WAITING, /* for what */
    BLOCKED, /* by who owns the guard */
    OVER,
    DEAD
};

struct fiber {
    enum state state;
    ucontext_t context;
    void *stack;
    void (*run)(void *arg);
    void *arg;
    bool (*what)(void);
    const struct ipc__guard *guard;
    bool may_die;
    uint64_t id;
    uint32_t life;
    uint32_t generation;
    struct ipc__futex words[WORDS];
    uint32_t count;
    int64_t due;
};

static struct {
    struct sim_plan plan;
    struct sim_result result;
    struct test_random random;
    struct fiber fibers[SIM_FIBERS];
    int fiber_count;
    struct fiber *now; /* NULL: the scheduler */
    ucontext_t scheduler;
    int64_t clock;
} sim;

struct ipc__self sim_self;

/* ---- chance ---- */

long sim_random(long low, long high)
{
    return test_random_between(&sim.random, low, high);
}

static bool one_in(int odds)
{
    return odds != 0 && sim_random(1, odds) == 1;
}

int64_t sim_now(void)
{
    return sim.clock;
}

/* ---- fibers ---- */

static void enter(void)
{
    sim.now->run(sim.now->arg);
    sim.now->state = OVER;
    (void)swapcontext(&sim.now->context, &sim.scheduler);
}

void sim_begin(const struct sim_plan *plan)
{
    for (int i = 0; i < SIM_FIBERS; i++)
        sim.fibers[i].state = NONE;
    sim.plan = *plan;
    sim.result = (struct sim_result){0};
    sim.random = (struct test_random){plan->seed};
    sim.fiber_count = 0;
    sim.now = NULL;
    sim.clock = 1;
}

int sim_start(void (*run)(void *arg), void *arg, bool may_die)
{
    const int number = sim.fiber_count++;
    struct fiber *fiber = &sim.fibers[number];
    assert_true(number < SIM_FIBERS);
    fiber->state = READY;
    fiber->run = run;
    fiber->arg = arg;
    fiber->may_die = may_die;
    fiber->generation++;
    fiber->id =
        (uint64_t)fiber->generation << 32 | (uint64_t)(FIRST_TID + number);
    fiber->life = (uint32_t)fiber->id | FUTEX_BIT_WAITERS;
    if (fiber->stack == NULL)
        fiber->stack = malloc(STACK);
    assert_non_null(fiber->stack);
    assert_int_equal(getcontext(&fiber->context), 0);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = STACK;
    fiber->context.uc_link = NULL;
    makecontext(&fiber->context, enter, 0);
    return number;
}

int sim_number(void)
{
    return (int)(sim.now - sim.fibers);
}

bool sim_is_there(int fiber)
{
    return sim.fibers[fiber].state != DEAD && sim.fibers[fiber].state != OVER;
}

static void leave(enum state state)
{
    struct fiber *self = sim.now;
    self->state = state;
    (void)swapcontext(&self->context, &sim.scheduler);
}

void sim_wrong(const char *what)
{
    if (sim.result.wrong == NULL)
        sim.result.wrong = what;
    if (sim.now != NULL)
        leave(OVER);
}

void sim_wait_for(bool (*what)(void))
{
    sim.now->what = what;
    leave(WAITING);
}

/* ---- dying ---- */

static void wake_one_of(const uint32_t *word);

/* As the kernel does it: its life word says so, and its guard. */
static void die(void)
{
    struct fiber *self = sim.now;
    sim.result.kills++;
    self->life |= FUTEX_BIT_OWNER_DIED;
    self->state = DEAD;
    wake_one_of(&self->life);
    if (sim.plan.died != NULL)
        sim.plan.died(sim_number());
    leave(DEAD);
}

void sim_point(void)
{
    struct fiber *self = sim.now;
    if (self == NULL)
        return;
    if (++sim.result.points > POINTS_MAX)
        sim_wrong("it does not end");
    if (self->may_die && sim.result.kills < sim.plan.kills &&
        one_in(sim.plan.kill_odds))
        die();
    if (one_in(sim.plan.switch_odds))
        leave(READY);
}

/* ---- the scheduler ---- */

static struct fiber *owner_of(uint64_t id)
{
    for (int i = 0; i < sim.fiber_count; i++)
        if (sim.fibers[i].id == (id & IPC__OWNER_MASK))
            return &sim.fibers[i];
    return NULL;
}

static bool can_be_had(const struct ipc__guard *guard)
{
    const struct fiber *owner = owner_of(guard->word);
    return guard->word == 0 || owner == NULL || owner->state == DEAD;
}

static struct fiber *choose(void)
{
    struct fiber *ready[SIM_FIBERS];
    int n = 0;
    for (int i = 0; i < sim.fiber_count; i++) {
        struct fiber *fiber = &sim.fibers[i];
        if ((fiber->state == WAITING && fiber->what()) ||
            (fiber->state == BLOCKED && can_be_had(fiber->guard)))
            fiber->state = READY;
        if (fiber->state == READY)
            ready[n++] = fiber;
    }
    return n == 0 ? NULL : ready[sim_random(0, n - 1)];
}

/* Nobody can go on but by looking again.  False: nobody is there. */
static bool pass_time(void)
{
    bool any = false;
    for (int i = 0; i < sim.fiber_count; i++) {
        struct fiber *fiber = &sim.fibers[i];
        any = any || fiber->state == ASLEEP || fiber->state == WAITING ||
              fiber->state == BLOCKED;
        if (fiber->state == ASLEEP)
            fiber->state = READY;
    }
    sim.clock += RECHECK_NS;
    if (any && ++sim.result.idle > IDLE_MAX)
        sim_wrong("nobody goes on");
    return any;
}

void sim_run(struct sim_result *result)
{
    while (sim.result.wrong == NULL) {
        struct fiber *next = choose();
        if (next == NULL) {
            if (!pass_time())
                break;
            continue;
        }
        sim.result.switches++;
        sim.now = next;
        sim_self = (struct ipc__self){.id = next->id, .span = UINTPTR_MAX};
        (void)swapcontext(&sim.scheduler, &next->context);
        sim.now = NULL;
        if (sim.plan.look != NULL)
            sim.plan.look();
    }
    *result = sim.result;
}

/* ---- memory ---- */

bool sim_cas32(uint32_t *p, uint32_t old, uint32_t new_value)
{
    sim_point();
    if (*p != old)
        return false;
    if (sim.plan.fault == SIM_CAS_IN_TWO_STEPS)
        sim_point();
    *p = new_value;
    return true;
}

bool sim_cas64(uint64_t *p, uint64_t old, uint64_t new_value)
{
    sim_point();
    if (*p != old)
        return false;
    if (sim.plan.fault == SIM_CAS_IN_TWO_STEPS)
        sim_point();
    *p = new_value;
    return true;
}

void *sim_copy(void *to, const void *from, size_t bytes)
{
    const size_t middle = bytes < HALF ? bytes : HALF;
    sim_point();
    memcpy(to, from, middle);
    sim_point();
    memcpy((char *)to + middle, (const char *)from + middle, bytes - middle);
    sim_point();
    return to;
}

void sim_release(void *start, size_t size, size_t touched)
{
    (void)touched;
    sim_point();
    memset(start, 0, size);
}

/* ---- futexes ---- */

static bool sleeps_on(const struct fiber *fiber, const uint32_t *word)
{
    if (fiber->state != ASLEEP)
        return false;
    for (uint32_t i = 0; i < fiber->count; i++)
        if (fiber->words[i].word == word)
            return true;
    return false;
}

static int wake(const uint32_t *word, int count)
{
    int woken = 0;
    while (woken < count) {
        struct fiber *asleep[SIM_FIBERS];
        int n = 0;
        for (int i = 0; i < sim.fiber_count; i++)
            if (sleeps_on(&sim.fibers[i], word))
                asleep[n++] = &sim.fibers[i];
        if (n == 0)
            break;
        asleep[sim_random(0, n - 1)]->state = READY;
        woken++;
    }
    return woken;
}

static void wake_one_of(const uint32_t *word)
{
    (void)wake(word, 1);
}

void sim_wake(const uint32_t *word, int count)
{
    sim_point();
    (void)wake(word, count);
}

int sim_change_and_wake(uint32_t *word, enum ipc__futex_change change,
                        int operand, int count)
{
    sim_point();
    switch (change) {
    case IPC__FUTEX_SET:
        *word = (uint32_t)operand;
        break;
    case IPC__FUTEX_ADD:
        *word += (uint32_t)operand;
        break;
    case IPC__FUTEX_OR:
        *word |= (uint32_t)operand;
        break;
    case IPC__FUTEX_SET_BIT:
        *word = 1u << operand;
        break;
    }
    const int woken = sim.plan.fault == SIM_NO_WAKE ? 0 : wake(word, count);
    sim_point();
    return woken;
}

int64_t sim_time_left(ipc_deadline deadline)
{
    return deadline == IPC_TIME_FOREVER ? INT64_MAX
           : deadline > sim.clock       ? deadline - sim.clock
                                        : 0;
}

static bool is_due(struct ipc__pace *pace)
{
    if (sim.clock < pace->due)
        return false;
    pace->due = sim.clock + RECHECK_NS;
    return true;
}

bool sim_sleep_many(struct ipc__pace *pace, const struct ipc__futex *words,
                    uint32_t count, ipc_deadline deadline)
{
    struct fiber *self = sim.now;
    bool as_expected = sim_time_left(deadline) != 0;
    if (pace->due == 0)
        pace->due = sim.clock + RECHECK_NS;
    sim_point();
    assert_true(count <= WORDS);
    for (uint32_t i = 0; i < count; i++)
        as_expected = as_expected && *words[i].word == words[i].expected;
    if (as_expected) {
        for (uint32_t i = 0; i < count; i++)
            self->words[i] = words[i];
        self->count = count;
        leave(ASLEEP);
    }
    sim_point();
    for (uint32_t i = 1; i < count; i++)
        if (*words[i].word != words[i].expected)
            (void)wake(words[i].word, INT_MAX);
    return is_due(pace);
}

bool sim_sleep(struct ipc__pace *pace, const uint32_t *word, uint32_t value,
               const uint32_t *life, uint32_t life_value, ipc_deadline deadline)
{
    const struct ipc__futex words[] = {{word, value}, {life, life_value}};
    return sim_sleep_many(pace, words, life == NULL ? 1 : 2, deadline);
}

bool sim_spin(const uint32_t *word, uint32_t value)
{
    for (int i = 0; i < SPINS; i++) {
        sim_point();
        if (*word != value)
            return true;
    }
    return false;
}

/* ---- the core ---- */

void sim_peer_look(const void *address, uint64_t owner, bool thorough,
                   struct ipc__peer *out)
{
    struct fiber *fiber = owner_of(owner);
    (void)address;
    (void)thorough;
    sim_point();
    *out = (struct ipc__peer){.dead = true};
    if (fiber == NULL) {
        sim_wrong("an owner that nobody is");
        return;
    }
    if (fiber->state == DEAD && sim.plan.fault != SIM_DEAD_SEEM_ALIVE) {
        (void)wake(&fiber->life, INT_MAX);
        return;
    }
    if (sim.plan.fault == SIM_LIVING_SEEM_DEAD && one_in(2))
        return;
    out->dead = false;
    out->life = &fiber->life;
    out->life_if_alive = fiber->life;
}

/* The word is its owner's id; of a dead one it can be had, but for recover. */
static bool take_guard(struct ipc__guard *guard, bool *died)
{
    struct fiber *owner = owner_of(guard->word);
    if (guard->word != 0 && owner == NULL)
        sim_wrong("a guard that nobody owns");
    *died = guard->word != 0 && owner != NULL && owner->state == DEAD;
    if (guard->word != 0 && !*died)
        return false;
    guard->word = sim.now->id;
    return true;
}

bool sim_guard_try(struct ipc__guard *guard)
{
    bool died = false;
    sim_point();
    if (guard->word != 0 || !take_guard(guard, &died))
        return false;
    sim_point();
    return true;
}

int sim_guard_lock(struct ipc__guard *guard, void (*recover)(void *), void *arg)
{
    bool died = false;
    sim_point();
    while (!take_guard(guard, &died)) {
        sim.now->guard = guard;
        leave(BLOCKED);
    }
    sim_point();
    if (died && sim.plan.fault != SIM_NO_RECOVERY)
        recover(arg);
    sim_point();
    return 0;
}

void sim_guard_unlock(struct ipc__guard *guard)
{
    sim_point();
    if (guard->word != sim.now->id)
        sim_wrong("a guard is given back that is not held");
    guard->word = 0;
    sim_point();
}
