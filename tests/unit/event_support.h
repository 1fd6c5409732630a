/* What the tests of events have in common: those who wait, as processes or as
 * threads. */
#ifndef EVENT_SUPPORT_H
#define EVENT_SUPPORT_H

#include "unit/lock_support.h"

#include <errno.h>

#include <ipc/event.h>

enum {
    ANY_MS = 20 /* for a wait that is to time out */
};

/* What all who wait for one event share.  Lies in family memory. */
struct crossing {
    ipc_event event;
    uint32_t rounds; /* how often each waits */
    uint32_t go;     /* the round that has begun */
    uint32_t back;   /* waits that have ended */
};

/* One who waits.  Lies in family memory. */
struct car {
    struct crossing *crossing;
    pid_t tid;
    bool is_thread;
    struct role role; /* the case's own: */
    pthread_t thread;
};

static inline struct crossing *new_crossing(void)
{
    struct crossing *crossing = ipc_shared_alloc(sizeof *crossing);
    assert_non_null(crossing);
    crossing->rounds = 1;
    return crossing;
}

static inline void free_crossing(struct crossing *crossing)
{
    expect_rc(ipc_event_fini(&crossing->event), 0);
    expect_rc(ipc_shared_free(crossing), 0);
}

static inline void drive(void *arg)
{
    struct car *car = arg;
    struct crossing *crossing = car->crossing;
    __atomic_store_n(&car->tid, gettid(), __ATOMIC_SEQ_CST);
    for (uint32_t i = 1; i <= crossing->rounds; i++) {
        meet_wait(&crossing->go, i, LIMIT_MS);
        expect_rc(ipc_event_wait(&crossing->event), 0);
        meet_signal(&crossing->back);
    }
}

static inline void *drive_thread(void *arg)
{
    drive(arg);
    return NULL;
}

/* They wait as soon as go says so. */
static inline struct car *start_cars(struct crossing *crossing, int count,
                                     bool threads)
{
    struct car *cars = ipc_shared_alloc((size_t)count * sizeof *cars);
    assert_non_null(cars);
    for (int i = 0; i < count; i++) {
        cars[i] = (struct car){.crossing = crossing, .is_thread = threads};
        if (threads)
            assert_int_equal(
                pthread_create(&cars[i].thread, NULL, drive_thread, &cars[i]),
                0);
        else
            role_start(&cars[i].role, drive, &cars[i]);
    }
    return cars;
}

static inline bool car_waits(const struct car *car)
{
    const pid_t tid = __atomic_load_n(&car->tid, __ATOMIC_SEQ_CST);
    return tid != 0 && asleep_on(tid, &car->crossing->event.word_);
}

/* All have come, and sleep. */
static inline void expect_cars_wait(const struct car *cars, int count)
{
    for (int i = 0; i < count; i++) {
        const int64_t end = test_now_ns() + LIMIT_MS * NS_PER_MS;
        while (!car_waits(&cars[i])) {
            if (test_now_ns() > end)
                test_fail("car %d does not wait", i);
            poll_pause();
        }
    }
}

static inline void end_cars(struct car *cars, int count)
{
    for (int i = 0; i < count; i++) {
        if (cars[i].is_thread)
            assert_int_equal(pthread_join(cars[i].thread, NULL), 0);
        else
            role_wait_ok(&cars[i].role, LIMIT_MS);
    }
    expect_rc(ipc_shared_free(cars), 0);
}

#endif
