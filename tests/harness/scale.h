/* How much to try, and with which random numbers.
 *
 *     IPC_TEST_SCALE=10 IPC_TEST_SEED=4711 ./lock_stress_test
 */
#ifndef HARNESS_SCALE_H
#define HARNESS_SCALE_H

#include <stdint.h>

/* IPC_TEST_SCALE: 1, the default, is the quick run; larger numbers multiply
 * what is tried. */
long test_scale(void);

/* IPC_TEST_SEED, or a random number; reported as "seed" in the line of the
 * case, so that the run can be repeated with it. */
uint64_t test_seed(void);

/* Random numbers from a seed. */
struct test_random {
    uint64_t state;
};

uint64_t test_random_next(struct test_random *random);

/* Between low and high, both included. */
long test_random_between(struct test_random *random, long low, long high);

#endif
