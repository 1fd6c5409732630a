/* Who finds something taken looks at it up to some hundred times before it
 * goes to sleep.  To a sweep these are hundreds of points of which one is like
 * the other, each reached by way of all before it: here a thread looks
 * once. */
#ifndef CRASH_LOOK_ONCE_H
#define CRASH_LOOK_ONCE_H

#include "core/waiting.h"

/* For the calling thread, and those that it forks. */
static inline void look_once(void)
{
    const uint32_t word = 0;
    ipc__spin_limit = 1;
    (void)ipc__spin(&word, 0); /* the first one counts the CPUs */
    ipc__spin_limit = 1;
}

#endif
