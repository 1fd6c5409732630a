/* Small models of locks, sound and broken, for the tests of the crash harness.
 * What they protect is two numbers that are equal while nobody is inside. */
#ifndef CRASH_HARNESS_MODEL_H
#define CRASH_HARNESS_MODEL_H

#include "harness/harness.h"

#include <time.h>

struct model {
    uint32_t lock; /* 0: free */
    uint32_t x, y;
    uint32_t dirty;   /* a repair is due */
    uint32_t tail;    /* of the queue: messages put */
    uint32_t head;    /* messages taken */
    uint32_t waiting; /* consumers asleep, or about to be */
};

/* In shared memory. */
extern struct model *model;

void model_new(void);

long futex(uint32_t *word, int op, uint32_t value,
           const struct timespec *timeout);
uint32_t load(const uint32_t *word);
void store(uint32_t *word, uint32_t value);

/* A lock whose owner nobody outlives: of its death nobody hears. */
void naive_take(void);
void naive_give(void);

/* The kernel marks the word when its owner dies: the word is announced as the
 * operation that the robust list of this thread is busy with.  Each process
 * calls robust_attach() first.  robust_take() returns true when the owner
 * before died. */
void robust_attach(void *ctx);
bool robust_take(void);
void robust_give(void);

#endif
