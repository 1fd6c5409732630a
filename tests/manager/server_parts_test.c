/* Parts of the server that need no server: maps and timers. */
#include "harness/harness.h"
#include "harness/scale.h"

#include <stdlib.h>
#include <string.h>

#include "map.h"
#include "server/timer.h"

#define KEYS 512

/* Against an array that cannot be wrong. */
static void maps_know_what_was_put_in(void)
{
    static char values[KEYS][4];
    static void *wanted[KEYS];
    struct test_random random = {test_seed()};
    struct ipcm__map map = {NULL, 0, 0};
    size_t count = 0;
    memset(wanted, 0, sizeof wanted);
    for (long i = 0; i < 200000; i++) {
        const size_t key = (size_t)test_random_between(&random, 0, KEYS - 1);
        /* Some keys have the same home. */
        const uint64_t number = key % 2 == 0 ? key : (uint64_t)key << 40;
        if (test_random_between(&random, 0, 1) == 0) {
            void *value = values[key] + test_random_between(&random, 0, 3);
            assert_int_equal(ipcm__map_put(&map, number, value), 0);
            count += wanted[key] == NULL;
            wanted[key] = value;
        } else {
            assert_ptr_equal(ipcm__map_take(&map, number), wanted[key]);
            count -= wanted[key] != NULL;
            wanted[key] = NULL;
        }
        assert_int_equal(map.count, count);
    }
    for (size_t key = 0; key < KEYS; key++)
        assert_ptr_equal(
            ipcm__map_get(&map, key % 2 == 0 ? key : (uint64_t)key << 40),
            wanted[key]);
    size_t at = 0;
    uint64_t number;
    while (ipcm__map_next(&map, &at, &number) != NULL)
        count--;
    assert_int_equal(count, 0);
    ipcm__map_free(&map);
    assert_null(ipcm__map_get(&map, 1));
    assert_null(ipcm__map_take(&map, 1));
}

struct clock {
    struct ipcm__timer timer;
    ipc_deadline wanted; /* IPC_TIME_FOREVER: it is not set */
    int fired;
};

static void ring(struct ipcm__timer *timer)
{
    ((struct clock *)(void *)timer)->fired++;
}

static void timers_fire_when_it_is_time(void)
{
    static struct clock clocks[100];
    struct test_random random = {test_seed()};
    struct ipcm__timers timers = {NULL, 0, 0, 0};
    for (int i = 0; i < 100; i++) {
        assert_int_equal(ipcm__timer_make(&timers, &clocks[i].timer, ring), 0);
        clocks[i].wanted = IPC_TIME_FOREVER;
    }
    assert_true(ipcm__timers_next(&timers) == IPC_TIME_FOREVER);
    for (ipc_deadline now = 1; now < 20000; now++) {
        struct clock *clock = &clocks[test_random_between(&random, 0, 99)];
        clock->wanted = now + test_random_between(&random, 1, 200);
        if (test_random_between(&random, 0, 9) == 0)
            clock->wanted = IPC_TIME_FOREVER;
        ipcm__timer_set(&timers, &clock->timer, clock->wanted);
        ipcm__timers_run(&timers, now);
        for (int i = 0; i < 100; i++) {
            const bool is_due = clocks[i].wanted <= now;
            assert_int_equal(clocks[i].fired, is_due);
            assert_int_equal(clocks[i].timer.place != 0,
                             !is_due && clocks[i].wanted != IPC_TIME_FOREVER);
            clocks[i].fired = 0;
            if (is_due)
                clocks[i].wanted = IPC_TIME_FOREVER;
        }
    }
    for (int i = 0; i < 100; i++)
        ipcm__timer_end(&timers, &clocks[i].timer);
    assert_int_equal(timers.count, 0);
    assert_int_equal(timers.made, 0);
    ipcm__timers_free(&timers);
}

static const struct test_case cases[] = {
    TEST_CASE(maps_know_what_was_put_in),
    TEST_CASE(timers_fire_when_it_is_time),
};

TEST_MAIN(cases)
