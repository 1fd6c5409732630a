/* How much to try, and with which random numbers. */
#include "harness/scale.h"

#include "harness/harness.h"

#include <stdlib.h>
#include <sys/random.h>

long test_scale(void)
{
    const char *text = getenv("IPC_TEST_SCALE");
    if (text == NULL || text[0] == '\0')
        return 1;
    char *end;
    long scale = strtol(text, &end, 10);
    if (*end != '\0' || scale < 1)
        test_fail("IPC_TEST_SCALE=%s is not a positive number", text);
    return scale;
}

uint64_t test_seed(void)
{
    uint64_t seed;
    const char *text = getenv("IPC_TEST_SEED");
    if (text != NULL && text[0] != '\0') {
        char *end;
        seed = strtoull(text, &end, 10);
        if (*end != '\0')
            test_fail("IPC_TEST_SEED=%s is not a number", text);
    } else {
        if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
            test_fail("no random seed");
        seed >>= 32; /* short enough to be typed */
    }
    test_report("seed", (long long)seed);
    return seed;
}

/* splitmix64: a counter, scrambled. */
uint64_t test_random_next(struct test_random *random)
{
    uint64_t z = (random->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

long test_random_between(struct test_random *random, long low, long high)
{
    uint64_t span = (uint64_t)(high - low) + 1;
    return low + (long)(test_random_next(random) % span);
}
