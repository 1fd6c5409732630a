/* What a program writes for itself: an array of words in shared memory, as
 * large as it can ever get. */
#include "object_peer.h"

#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#define CAPACITY (UINT64_C(1) << 26)

struct array {
    __attribute__((aligned(64))) pthread_mutex_t mutex;
    __attribute__((aligned(64))) uint64_t count;
    __attribute__((aligned(64))) uint64_t values[CAPACITY];
};

static void *make(size_t members)
{
    struct array *array = bench_shared(sizeof *array);
    pthread_mutexattr_t attributes;

    (void)members;
    pthread_mutexattr_init(&attributes);
    if (pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) ||
        pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) ||
        pthread_mutex_init(&array->mutex, &attributes))
        errx(EXIT_FAILURE, "no such mutex here");
    pthread_mutexattr_destroy(&attributes);
    return array;
}

static void drop(void *object)
{
    struct array *array = object;

    pthread_mutex_destroy(&array->mutex);
    munmap(array, sizeof *array);
}

static uint64_t length(void *object, enum object_op op)
{
    struct array *array = object;

    (void)op;
    return __atomic_load_n(&array->count, __ATOMIC_ACQUIRE);
}

/* ---- no lock: an item is seen before it has its value ---- */

static uint64_t raw_append(void *object, size_t member,
                           const struct object_item *items, size_t count)
{
    struct array *array = object;

    (void)member;
    for (size_t i = 0; i < count; i++) {
        uint64_t at = __atomic_fetch_add(&array->count, 1, __ATOMIC_ACQ_REL);

        if (at >= CAPACITY)
            errx(EXIT_FAILURE, "the array is full");
        __atomic_store_n(&array->values[at], items[i].number, __ATOMIC_RELEASE);
    }
    return 0;
}

static uint64_t raw_get(void *object, size_t member,
                        const struct object_item *items, size_t count)
{
    struct array *array = object;
    uint64_t sum = 0;

    (void)member;
    for (size_t i = 0; i < count; i++) {
        if (items[i].number >= __atomic_load_n(&array->count, __ATOMIC_ACQUIRE))
            errx(EXIT_FAILURE, "index out of range");
        sum +=
            __atomic_load_n(&array->values[items[i].number], __ATOMIC_ACQUIRE);
    }
    return sum;
}

/* ---- a mutex that outlives its owner ---- */

static void acquire(struct array *array)
{
    int error = pthread_mutex_lock(&array->mutex);

    if (error == EOWNERDEAD)
        error = pthread_mutex_consistent(&array->mutex);
    if (error != 0)
        errx(EXIT_FAILURE, "pthread_mutex_lock");
}

static uint64_t mutex_append(void *object, size_t member,
                             const struct object_item *items, size_t count)
{
    struct array *array = object;

    (void)member;
    for (size_t i = 0; i < count; i++) {
        acquire(array);
        if (array->count >= CAPACITY)
            errx(EXIT_FAILURE, "the array is full");
        array->values[array->count] = items[i].number;
        array->count++;
        pthread_mutex_unlock(&array->mutex);
    }
    return 0;
}

static uint64_t mutex_get(void *object, size_t member,
                          const struct object_item *items, size_t count)
{
    struct array *array = object;
    uint64_t sum = 0;

    (void)member;
    for (size_t i = 0; i < count; i++) {
        acquire(array);
        if (items[i].number >= array->count)
            errx(EXIT_FAILURE, "index out of range");
        sum += array->values[items[i].number];
        pthread_mutex_unlock(&array->mutex);
    }
    return sum;
}

const struct object_peer object_peers_system[] = {
    {.name = "BASE-raw-array",
     .grow_max = CAPACITY,
     .make = make,
     .drop = drop,
     .run = {[LIST_APPEND] = raw_append, [LIST_GET] = raw_get},
     .length = length},
    {.name = "BASE-mutex-array",
     .grow_max = CAPACITY,
     .make = make,
     .drop = drop,
     .run = {[LIST_APPEND] = mutex_append, [LIST_GET] = mutex_get},
     .length = length},
    {0},
};
