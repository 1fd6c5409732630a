/* Threads, timers and thread-local values, many at once. */
#include "unit/thread_support.h"

#include <sys/wait.h>

#include <ipc/local.h>
#include <ipc/process.h>
#include <ipc/timer.h>

#include "harness/scale.h"

#define add(p, n) __atomic_add_fetch((p), (n), __ATOMIC_RELAXED)
#define get(p)    __atomic_load_n((p), __ATOMIC_RELAXED)

enum {
    WORKERS = 6
};

/* A worker of any case: its part of the random numbers. */
struct worker {
    ipc_thread thread;
    struct test_random random;
    long rounds;
};

static struct worker workers[WORKERS];

static void run_workers(int (*work)(void *arg), long rounds)
{
    const uint64_t seed = test_seed();
    for (int i = 0; i < WORKERS; i++) {
        workers[i].random = (struct test_random){seed + (uint64_t)i};
        workers[i].rounds = rounds;
        start_thread(&workers[i].thread, work, &workers[i]);
    }
    for (int i = 0; i < WORKERS; i++)
        CHECK(ipc_thread_join(&workers[i].thread), 0);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(end_of_thread(&workers[i].thread), 0);
}

/* ---- start, join and close in all orders ---- */

static uint32_t started, ended, joined;

static int end_somehow(void *arg)
{
    const intptr_t code = *(int *)arg;
    (void)add(&ended, 1);
    if (code % 3 == 0)
        pthread_exit((void *)code);
    if (code % 3 == 1)
        (void)ipc_current_thread();
    return (int)code;
}

struct shared_target {
    ipc_thread *target;
    int code;
};

static int join_and_compare(void *arg)
{
    const struct shared_target *shared = arg;
    int code = 0;
    CHECK(ipc_thread_join(shared->target), 0);
    CHECK(ipc_thread_exitcode(shared->target, &code), 0);
    assert_int_equal(code, shared->code);
    (void)add(&joined, 1);
    return 0;
}

static int start_and_join(void *arg)
{
    struct worker *self = arg;
    for (long i = 0; i < self->rounds; i++) {
        ipc_thread t, helpers[3];
        int code = (int)test_random_between(&self->random, -1000, 1000);
        struct shared_target shared = {&t, code};
        const ipc_thread_options options = {.size = sizeof options,
                                            .daemon = code % 2 == 0,
                                            .arg_bytes = sizeof code,
                                            .stack_bytes = 1 << 17};
        start_thread_with(&t, end_somehow, &code, &options);
        (void)add(&started, 1);
        const int count = (int)test_random_between(&self->random, 0, 3);
        for (int j = 0; j < count; j++)
            start_thread(&helpers[j], join_and_compare, &shared);
        if (test_random_between(&self->random, 0, 1) == 0)
            (void)ipc_active_threads(NULL, 0);
        if (test_random_between(&self->random, 0, 1) == 0)
            assert_true(ipc_thread_native_id(&t) > 0);
        for (int j = 0; j < count; j++)
            assert_int_equal(end_of_thread(&helpers[j]), 0);
        assert_int_equal(end_of_thread(&t), code);
    }
    return 0;
}

static void threads_start_end_and_are_joined(void)
{
    run_workers(start_and_join, 150 * test_scale());
    assert_int_equal(started, ended);
    assert_int_equal(ipc_active_threads(NULL, 0), 1);
    test_report("threads", started);
    test_report("joins", joined);
}

/* ---- timers ---- */

enum {
    TIMERS = 40
};

static uint32_t timers_started, timers_run, timers_cancelled, timers_again;

struct alarm {
    ipc_timer timer;
    bool may_run; /* between start and cancel */
    uint32_t again;
};

static void ring(void *arg)
{
    struct alarm *alarm = arg;
    assert_true(__atomic_load_n(&alarm->may_run, __ATOMIC_ACQUIRE));
    (void)add(&timers_run, 1);
    const uint32_t again = get(&alarm->again);
    if (again == 0)
        return;
    __atomic_store_n(&alarm->again, again - 1, __ATOMIC_RELAXED);
    if (ipc_timer_start(&alarm->timer, ipc_after_us(20), ring, alarm, NULL) ==
        0)
        (void)add(&timers_again, 1);
}

static void do_something(struct worker *self, struct alarm *alarm)
{
    const long us = test_random_between(&self->random, -10, 300);
    switch (test_random_between(&self->random, 0, 4)) {
    case 0:
    case 1:
        if (ipc_timer_is_alive(&alarm->timer))
            break;
        __atomic_store_n(&alarm->again, us % 3 == 0 ? 2u : 0u,
                         __ATOMIC_RELAXED);
        __atomic_store_n(&alarm->may_run, true, __ATOMIC_RELEASE);
        CHECK(
            ipc_timer_start(&alarm->timer, ipc_after_us(us), ring, alarm, NULL),
            0);
        (void)add(&timers_started, 1);
        break;
    case 2:
        __atomic_store_n(&alarm->again, 0, __ATOMIC_RELAXED);
        if (ipc_timer_cancel(&alarm->timer) == 0)
            (void)add(&timers_cancelled, 1);
        /* A callback may just have started it again. */
        if (ipc_timer_cancel(&alarm->timer) == 0)
            (void)add(&timers_cancelled, 1);
        __atomic_store_n(&alarm->may_run, false, __ATOMIC_RELEASE);
        break;
    case 3:
        (void)ipc_timer_join_until(&alarm->timer, ipc_after_us(us));
        break;
    default:
        ipc_sleep_until(ipc_after_us(us));
    }
}

static int play_with_timers(void *arg)
{
    struct worker *self = arg;
    struct alarm *alarms = calloc(TIMERS, sizeof *alarms);
    assert_non_null(alarms);
    for (long i = 0; i < self->rounds; i++)
        do_something(
            self, &alarms[test_random_between(&self->random, 0, TIMERS - 1)]);
    for (int i = 0; i < TIMERS; i++) {
        __atomic_store_n(&alarms[i].again, 0, __ATOMIC_RELAXED);
        for (int j = 0; j < 2; j++)
            if (ipc_timer_cancel(&alarms[i].timer) == 0)
                (void)add(&timers_cancelled, 1);
    }
    memset(alarms, 0xdb, TIMERS * sizeof *alarms);
    free(alarms);
    return 0;
}

/* Each one that was started has run or was cancelled, and not both. */
static void timers_start_run_and_are_cancelled(void)
{
    run_workers(play_with_timers, 3000 * test_scale());
    assert_int_equal(timers_run + timers_cancelled,
                     timers_started + timers_again);
    test_report("runs", timers_run);
    test_report("cancelled", timers_cancelled);
    test_report("again", timers_again);
}

/* ---- thread-local values ---- */

enum {
    LOCALS = 12
};

static ipc_local locals[LOCALS];
static uint32_t inits, finis;

static int count_init(void *value, void *arg)
{
    *(void **)value = arg;
    (void)add(&inits, 1);
    return 0;
}

static void count_fini(void *value, void *arg)
{
    assert_ptr_equal(*(void **)value, arg);
    (void)add(&finis, 1);
}

static void make_local(int i)
{
    const ipc_local_options options = {.size = sizeof options,
                                       .init = count_init,
                                       .fini = count_fini,
                                       .arg = &locals[i]};
    CHECK(ipc_local_init(&locals[i], sizeof(void *), &options), 0);
}

static int use_some_locals(void *arg)
{
    struct test_random random = {*(uint64_t *)arg};
    for (int i = 0; i < 20; i++) {
        const long which = test_random_between(&random, 1, LOCALS - 1);
        void **value = ipc_local_get(&locals[which]);
        assert_ptr_equal(*value, &locals[which]);
        if (i % 7 == 0)
            CHECK(ipc_local_clear(&locals[which]), 0);
    }
    return 0;
}

/* One local after the other comes and goes; the rest stays in use. */
static int use_locals(void *arg)
{
    struct worker *self = arg;
    for (long i = 0; i < self->rounds; i++) {
        ipc_thread t[3];
        uint64_t seeds[3];
        ipc_local mine;
        const ipc_local_options options = {.size = sizeof options,
                                           .init = count_init,
                                           .fini = count_fini,
                                           .arg = &mine};
        CHECK(ipc_local_init(&mine, sizeof(void *), &options), 0);
        for (int j = 0; j < 3; j++) {
            seeds[j] = test_random_next(&self->random);
            start_thread(&t[j], use_some_locals, &seeds[j]);
        }
        assert_non_null(ipc_local_get(&mine));
        (void)use_some_locals(&seeds[0]);
        CHECK(ipc_local_fini(&mine), 0);
        for (int j = 0; j < 3; j++)
            assert_int_equal(end_of_thread(&t[j]), 0);
    }
    return 0;
}

static void locals_come_and_go(void)
{
    for (int i = 0; i < LOCALS; i++)
        make_local(i);
    run_workers(use_locals, 100 * test_scale());
    for (int i = 0; i < LOCALS; i++)
        CHECK(ipc_local_fini(&locals[i]), 0);
    assert_int_equal(inits, finis);
    test_report("values", inits);
}

/* A local ends while threads that used it are ending, too. */
static ipc_local ending;

static int use_ending(void *used)
{
    assert_non_null(ipc_local_get(&ending));
    (void)__atomic_add_fetch((uint32_t *)used, 1, __ATOMIC_RELEASE);
    return 0;
}

static void local_ends_with_its_threads(void)
{
    const ipc_local_options options = {.size = sizeof options,
                                       .init = count_init,
                                       .fini = count_fini,
                                       .arg = &ending};
    const long rounds = 200 * test_scale();
    for (long i = 0; i < rounds; i++) {
        ipc_thread t[4];
        uint32_t used = 0;
        CHECK(ipc_local_init(&ending, sizeof(void *), &options), 0);
        for (int j = 0; j < 4; j++)
            start_thread(&t[j], use_ending, &used);
        while (__atomic_load_n(&used, __ATOMIC_ACQUIRE) < 4)
            continue; /* then some are ending */
        CHECK(ipc_local_fini(&ending), 0);
        assert_int_equal(get(&finis), (uint32_t)(i + 1) * 4);
        for (int j = 0; j < 4; j++)
            assert_int_equal(end_of_thread(&t[j]), 0);
    }
    test_report("rounds", rounds);
}

/* ---- ends of processes ---- */

struct program {
    uint32_t begun, ended;
};

static struct program *here;

static int be_waited_for(void *arg)
{
    ipc_sleep_until(ipc_after_us(*(int *)arg % 700));
    say(&here->ended);
    return 0;
}

static void ring_at_the_end(void *unused)
{
    (void)unused;
    say(&here->ended);
}

static int begin_and_exit(void *arg)
{
    static ipc_thread t[8];
    static ipc_timer timers[8];
    here = *(struct program **)arg;
    struct test_random random = {(uint64_t)ipc_getpid()};
    for (int i = 0; i < 8; i++) {
        const int us = (int)test_random_between(&random, 0, 1000);
        const ipc_thread_options options = {.size = sizeof options,
                                            .arg_bytes = sizeof us};
        start_thread_with(&t[i], be_waited_for, (void *)(intptr_t)&us,
                          &options);
        CHECK(ipc_timer_start(&timers[i], ipc_after_us(us), ring_at_the_end,
                              NULL, NULL),
              0);
        here->begun += 2;
    }
    ipc_sleep_until(ipc_after_us(test_random_between(&random, 0, 500)));
    if (test_random_between(&random, 0, 1) == 0)
        leave(12);
    return 12;
}

static int run_programs(void *arg)
{
    struct worker *self = arg;
    for (long i = 0; i < self->rounds; i++) {
        struct program *program = test_shared(sizeof *program);
        assert_int_equal(run(begin_and_exit, &program), 12);
        assert_int_equal(program->begun, 16);
        assert_int_equal(program->ended, 16);
    }
    return 0;
}

static void processes_end_when_their_threads_have(void)
{
    skip_threads_after_fork();
#if defined(__SANITIZE_ADDRESS__)
    test_skip("AddressSanitizer's allocator may be locked in a child");
#endif
    run_workers(run_programs, 10 * test_scale());
    test_report("programs", 10 * test_scale() * WORKERS);
}

static const struct test_case cases[] = {
    TEST_CASE(threads_start_end_and_are_joined),
    TEST_CASE(timers_start_run_and_are_cancelled),
    TEST_CASE(locals_come_and_go),
    TEST_CASE(local_ends_with_its_threads),
    TEST_CASE(processes_end_when_their_threads_have),
};
TEST_MAIN(cases)
