/* Bad use of what counts: semaphores, events and barriers.  Every mistake is
 * an error with a detail line, and changes nothing. */
#include "unit/bad_use_support.h"

#include <unistd.h>

#include <ipc/barrier.h>
#include <ipc/event.h>
#include <ipc/semaphore.h>
#include <ipc/shared.h>

static ipc_semaphore *make_semaphore(uint32_t value, uint32_t flags)
{
    const ipc_semaphore_options options = {sizeof options, flags, "S", 0};
    ipc_semaphore *semaphore = NULL;
    WORKS(ipc_semaphore_new(value, &options, &semaphore));
    return semaphore;
}

/* ---- numbers of permits ---- */

static void too_many_permits(void)
{
    ipc_semaphore *semaphore = NULL;
    ipc_semaphore own;
    ipc_semaphore_options tracked = IPC_SEMAPHORE_OPTIONS_INIT;
    tracked.flags = IPC_SEMAPHORE_TRACKED;
    tracked.bytes = SIZE_MAX;
    static const uint32_t values[] = {IPC_SEMAPHORE_MAX + 1, 0x40000000u,
                                      0x7fffffffu, (uint32_t)-1,
                                      (uint32_t)-100};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        REFUSED(ipc_semaphore_init(&own, values[i], NULL), -EINVAL);
        REFUSED(ipc_semaphore_init(&own, values[i], &tracked), -EINVAL);
        REFUSED(ipc_semaphore_new(values[i], NULL, &semaphore), -EINVAL);
        REFUSED(ipc_semaphore_new(values[i], &tracked, &semaphore), -EINVAL);
        REFUSED(ipc_semaphore_create("many", values[i], NULL, &semaphore),
                -EINVAL);
        REFUSED(
            ipc_semaphore_open_or_create("many", values[i], NULL, &semaphore),
            -EINVAL);
    }
    REFUSED(
        ipc_semaphore_new(IPC_SEMAPHORE_TRACKED_MAX + 1, &tracked, &semaphore),
        -EINVAL);
    assert_null(semaphore);
    WORKS(ipc_semaphore_init(&own, IPC_SEMAPHORE_MAX, NULL));
    assert_int_equal(ipc_semaphore_value(&own), IPC_SEMAPHORE_MAX);
    REFUSED(ipc_semaphore_release(&own), -EOVERFLOW);
    WORKS(ipc_semaphore_acquire_many(&own, IPC_SEMAPHORE_MAX));
    assert_int_equal(ipc_semaphore_value(&own), 0);
    WORKS(ipc_semaphore_fini(&own));
}

/* ---- acquire and release ---- */

static void releases_too_many(uint32_t flags)
{
    ipc_semaphore *plain = make_semaphore(2, flags);
    REFUSED(ipc_semaphore_acquire_many_nowait(plain, 3), -EAGAIN);
    REFUSED_SAYING(ipc_semaphore_acquire_many_until(plain, 3, ipc_after_ms(1)),
                   -ETIMEDOUT, "\"S\"");
    REFUSED(ipc_semaphore_acquire_many(plain, IPC_SEMAPHORE_MAX + 1), -EINVAL);
    REFUSED(ipc_semaphore_acquire_many_nowait(plain, UINT32_MAX), -EINVAL);
    REFUSED(ipc_semaphore_release_many(plain, IPC_SEMAPHORE_MAX - 1),
            -EOVERFLOW);
    REFUSED_SAYING(ipc_semaphore_release_many(plain, UINT32_MAX), -EOVERFLOW,
                   "\"S\"");
    REFUSED(ipc_semaphore_transfer(plain, getpid(), 1), -ENOTSUP);
    REFUSED(ipc_semaphore_close(plain), -EINVAL);
    WORKS(ipc_semaphore_acquire_many(plain, 0));
    WORKS(ipc_semaphore_release_many(plain, 0));
    assert_int_equal(ipc_semaphore_value(plain), 2);
    assert_int_equal(ipc_semaphore_held(plain), 0);
    WORKS(ipc_semaphore_free(plain));
    WORKS(ipc_semaphore_free(NULL));
    WORKS(ipc_semaphore_close(NULL));
}

static void plain_semaphores(void)
{
    releases_too_many(0);
    releases_too_many(IPC_SEMAPHORE_FAIR);
}

static void bound_is_kept(uint32_t flags)
{
    ipc_semaphore *bounded = make_semaphore(2, flags | IPC_SEMAPHORE_BOUNDED);
    REFUSED_SAYING(ipc_semaphore_release(bounded), -EOVERFLOW, "\"S\"");
    REFUSED(ipc_semaphore_release_many(bounded, 2), -EOVERFLOW);
    REFUSED(ipc_semaphore_acquire_many_nowait(bounded, 3), -EINVAL);
    REFUSED(ipc_semaphore_acquire_many(bounded, 3), -EINVAL);
    WORKS(ipc_semaphore_acquire(bounded));
    REFUSED(ipc_semaphore_release_many(bounded, 2), -EOVERFLOW);
    REFUSED(ipc_semaphore_acquire_many_nowait(bounded, 2), -EAGAIN);
    assert_int_equal(ipc_semaphore_value(bounded), 1);
    WORKS(ipc_semaphore_release(bounded));
    REFUSED(ipc_semaphore_release(bounded), -EOVERFLOW);
    assert_int_equal(ipc_semaphore_value(bounded), 2);
    WORKS(ipc_semaphore_free(bounded));
}

static void bounded_semaphores(void)
{
    bound_is_kept(0);
    bound_is_kept(IPC_SEMAPHORE_FAIR);
}

static void use_of_anothers_permits(void *arg)
{
    ipc_semaphore *tracked = arg;
    REFUSED_SAYING(ipc_semaphore_release(tracked), -EPERM, "\"S\"");
    REFUSED(ipc_semaphore_release_many(tracked, 2), -EPERM);
    REFUSED(ipc_semaphore_transfer(tracked, getppid(), 3), -EPERM);
    REFUSED(ipc_semaphore_transfer(tracked, getpid(), 1), -EPERM);
    REFUSED(ipc_semaphore_acquire_nowait(tracked), -EAGAIN);
    REFUSED(ipc_semaphore_acquire_until(tracked, ipc_after_ms(1)), -ETIMEDOUT);
    REFUSED_SAYING(ipc_semaphore_fini(tracked), -EBUSY, "\"S\"");
    REFUSED(ipc_semaphore_free(tracked), -EBUSY);
    assert_int_equal(ipc_semaphore_held(tracked), 0);
}

static void permits_are_the_holders(uint32_t flags)
{
    ipc_semaphore *tracked = make_semaphore(2, flags | IPC_SEMAPHORE_TRACKED);
    REFUSED_SAYING(ipc_semaphore_release(tracked), -EPERM, "\"S\"");
    REFUSED(ipc_semaphore_transfer(tracked, getpid(), 1), -EPERM);
    REFUSED(ipc_semaphore_transfer(tracked, 0, 1), -EPERM);
    REFUSED(ipc_semaphore_transfer(tracked, -1, 1), -EPERM);
    REFUSED(ipc_semaphore_acquire_many(tracked, 3), -EINVAL);
    WORKS(ipc_semaphore_acquire_many(tracked, 2));
    elsewhere(use_of_anothers_permits, tracked);
    REFUSED(ipc_semaphore_release_many(tracked, 3), -EPERM);
    REFUSED(ipc_semaphore_free(tracked), -EBUSY);
    assert_int_equal(ipc_semaphore_held(tracked), 2);
    WORKS(ipc_semaphore_release_many(tracked, 2));
    REFUSED(ipc_semaphore_release(tracked), -EPERM);
    assert_int_equal(ipc_semaphore_value(tracked), 2);
    WORKS(ipc_semaphore_free(tracked));
}

static void tracked_semaphores(void)
{
    permits_are_the_holders(0);
    permits_are_the_holders(IPC_SEMAPHORE_FAIR);
    permits_are_the_holders(IPC_SEMAPHORE_BOUNDED);
}

static void too_little_memory_for_a_semaphore(void)
{
    static const uint32_t kinds[] = {IPC_SEMAPHORE_TRACKED, IPC_SEMAPHORE_FAIR,
                                     IPC_SEMAPHORE_TRACKED |
                                         IPC_SEMAPHORE_FAIR};
    unsigned char *memory = test_shared(1 << 16);
    memset(memory, 0x5a, 1 << 16);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        ipc_semaphore *semaphore = (void *)memory;
        ipc_semaphore_options options = IPC_SEMAPHORE_OPTIONS_INIT;
        const size_t enough = ipc_semaphore_bytes(10, kinds[i]);
        assert_true(enough > sizeof *semaphore);
        options.flags = kinds[i];
        REFUSED(ipc_semaphore_init(semaphore, 10, &options), -EMSGSIZE);
        options.bytes = sizeof *semaphore;
        REFUSED(ipc_semaphore_init(semaphore, 10, &options), -EMSGSIZE);
        options.bytes = enough - 1;
        REFUSED(ipc_semaphore_init(semaphore, 10, &options), -EMSGSIZE);
        for (int k = 0; k < 1 << 16; k++)
            assert_int_equal(memory[k], 0x5a);
        options.bytes = enough;
        WORKS(ipc_semaphore_init(semaphore, 10, &options));
        WORKS(ipc_semaphore_fini(semaphore));
        for (size_t k = enough; k < 1 << 16; k++)
            assert_int_equal(memory[k], 0x5a);
        memset(memory, 0x5a, 1 << 16);
    }
}

/* ---- event ---- */

static void events(void)
{
    const ipc_event_options options = {sizeof options, 0, "E"};
    ipc_event *event = NULL;
    WORKS(ipc_event_new(&options, &event));
    REFUSED_SAYING(ipc_event_wait_nowait(event), -EAGAIN, "\"E\"");
    REFUSED_SAYING(ipc_event_wait_until(event, ipc_after_ms(1)), -ETIMEDOUT,
                   "\"E\"");
    WORKS(ipc_event_clear(event));
    WORKS(ipc_event_set(event));
    WORKS(ipc_event_set(event));
    WORKS(ipc_event_wait_nowait(event));
    REFUSED(ipc_event_close(event), -EINVAL);
    WORKS(ipc_event_free(event));
    WORKS(ipc_event_free(NULL));
    WORKS(ipc_event_close(NULL));
}

/* ---- barrier ---- */

static void numbers_of_parties(void)
{
    static const uint32_t parties[] = {0, IPC_BARRIER_MAX + 1, 0x7fffffffu,
                                       (uint32_t)-1};
    ipc_barrier *barrier = NULL;
    ipc_barrier own;
    for (size_t i = 0; i < sizeof parties / sizeof parties[0]; i++) {
        REFUSED(ipc_barrier_init(&own, parties[i], NULL), -EINVAL);
        REFUSED(ipc_barrier_new(parties[i], NULL, &barrier), -EINVAL);
        REFUSED(ipc_barrier_create("b", parties[i], NULL, &barrier), -EINVAL);
        REFUSED(ipc_barrier_open_or_create("b", parties[i], NULL, &barrier),
                -EINVAL);
    }
    assert_null(barrier);
    WORKS(ipc_barrier_init(&own, IPC_BARRIER_MAX, NULL));
    assert_int_equal(ipc_barrier_parties(&own), IPC_BARRIER_MAX);
    WORKS(ipc_barrier_fini(&own));
    WORKS(ipc_barrier_init(&own, 1, NULL));
    expect_result(__FILE__, __LINE__, "wait", ipc_barrier_wait(&own), 0);
    WORKS(ipc_barrier_fini(&own));
}

static void zeros_are_no_barrier(void)
{
    ipc_barrier *zeros = ipc_shared_alloc(sizeof *zeros);
    assert_non_null(zeros);
    REFUSED(ipc_barrier_wait(zeros), -EUCLEAN);
    REFUSED(ipc_barrier_wait_nowait(zeros), -EUCLEAN);
    REFUSED(ipc_barrier_wait_until(zeros, ipc_after_ms(1)), -EUCLEAN);
    REFUSED(ipc_barrier_enroll(zeros), -EUCLEAN);
    REFUSED(ipc_barrier_leave(zeros), -EUCLEAN);
    REFUSED(ipc_barrier_abort(zeros), -EUCLEAN);
    REFUSED(ipc_barrier_reset(zeros), -EUCLEAN);
    assert_int_equal(ipc_barrier_waiting(zeros), 0);
    assert_int_equal(ipc_barrier_parties(zeros), 0);
    WORKS(ipc_shared_free(zeros));
}

static int wait_inside(void *arg)
{
    ipc_barrier *barrier = arg;
    REFUSED(ipc_barrier_wait(barrier), -EDEADLK);
    REFUSED(ipc_barrier_wait_nowait(barrier), -EDEADLK);
    return 0;
}

static int fail_inside(void *arg)
{
    (void)arg;
    return -EIO;
}

static void enroll_and_be_refused(void *arg)
{
    ipc_barrier *barrier = arg;
    REFUSED(ipc_barrier_leave(barrier), -ESRCH);
    WORKS(ipc_barrier_enroll(barrier));
    REFUSED(ipc_barrier_enroll(barrier), -EALREADY);
    WORKS(ipc_barrier_leave(barrier));
    REFUSED(ipc_barrier_leave(barrier), -ESRCH);
}

static void only_be_refused(void *arg)
{
    REFUSED(ipc_barrier_enroll(arg), -ENOSPC);
}

static void barriers(void)
{
    const ipc_barrier_options options = {sizeof options, 0, "B"};
    ipc_barrier *barrier = NULL;
    WORKS(ipc_barrier_new(1, &options, &barrier));
    expect_result(__FILE__, __LINE__, "wait",
                  ipc_barrier_wait_action(barrier, wait_inside, barrier,
                                          IPC_TIME_FOREVER),
                  0);
    expect_result(
        __FILE__, __LINE__, "wait",
        ipc_barrier_wait_action(barrier, fail_inside, NULL, IPC_TIME_FOREVER),
        -EIO);
    assert_true(ipc_barrier_is_broken(barrier));
    REFUSED_SAYING(ipc_barrier_wait(barrier), -ECANCELED, "\"B\"");
    REFUSED(ipc_barrier_wait_nowait(barrier), -ECANCELED);
    WORKS(ipc_barrier_reset(barrier));
    elsewhere(enroll_and_be_refused, barrier);
    WORKS(ipc_barrier_enroll(barrier));
    REFUSED(ipc_barrier_enroll(barrier), -EALREADY);
    elsewhere(only_be_refused, barrier);
    WORKS(ipc_barrier_leave(barrier));
    REFUSED(ipc_barrier_close(barrier), -EINVAL);
    WORKS(ipc_barrier_free(barrier));
    WORKS(ipc_barrier_free(NULL));
    WORKS(ipc_barrier_close(NULL));
}

static void barriers_that_wait_in_vain(void)
{
    const ipc_barrier_options options = {sizeof options, 0, "B"};
    ipc_barrier *barrier = NULL;
    WORKS(ipc_barrier_new(2, &options, &barrier));
    REFUSED_SAYING(ipc_barrier_wait_nowait(barrier), -EAGAIN, "\"B\"");
    assert_false(ipc_barrier_is_broken(barrier));
    assert_int_equal(ipc_barrier_waiting(barrier), 0);
    REFUSED_SAYING(ipc_barrier_wait_until(barrier, ipc_after_ms(1)), -ETIMEDOUT,
                   "\"B\"");
    assert_true(ipc_barrier_is_broken(barrier));
    REFUSED(ipc_barrier_wait(barrier), -ECANCELED);
    WORKS(ipc_barrier_reset(barrier));
    WORKS(ipc_barrier_abort(barrier));
    WORKS(ipc_barrier_abort(barrier));
    REFUSED(ipc_barrier_wait_until(barrier, ipc_after_ms(1)), -ECANCELED);
    WORKS(ipc_barrier_free(barrier));
}

static const struct test_case cases[] = {
    TEST_CASE(too_many_permits),
    TEST_CASE(plain_semaphores),
    TEST_CASE(bounded_semaphores),
    TEST_CASE(tracked_semaphores),
    TEST_CASE(too_little_memory_for_a_semaphore),
    TEST_CASE(events),
    TEST_CASE(numbers_of_parties),
    TEST_CASE(zeros_are_no_barrier),
    TEST_CASE(barriers),
    TEST_CASE(barriers_that_wait_in_vain),
};
TEST_MAIN(cases)
