/* Waiting: spin for a moment, then sleep, never for longer than the re-check
 * period. */
#ifndef IPC_CORE_WAITING_H
#define IPC_CORE_WAITING_H

#include <stdbool.h>
#include <stdint.h>

#include <ipc/time.h>

#include "kernel/futex.h"

/* How long anybody sleeps before it looks again whether those it waits for
 * are alive: turns every hole that a protocol may have, and whatever the
 * kernel could not tell, into a delay instead of a hang. */
#define IPC__RECHECK_NS ((int64_t)100 * 1000 * 1000)

/* The period in use.  Set by tests only. */
extern int64_t ipc__recheck_ns __attribute__((visibility("hidden")));

/* When the next thorough look is due; 0 before the first sleep.  Kept over
 * several sleeps, so that signals and idle wake-ups do not put it off. */
struct ipc__pace {
    ipc_deadline due;
};

/* Sleep while *word == value and, if life is not NULL, *life == life_value;
 * until the deadline at most.  True when a thorough look is due. */
bool ipc__sleep(struct ipc__pace *pace, const uint32_t *word, uint32_t value,
                const uint32_t *life, uint32_t life_value,
                ipc_deadline deadline);

/* The same on any number of words; those beyond IPC__FUTEX_MANY are left to
 * the re-check. */
bool ipc__sleep_many(struct ipc__pace *pace, const struct ipc__futex *words,
                     uint32_t count, ipc_deadline deadline);

/* So many times what a CPU does while it waits for another one. */
void ipc__pause(int times);

/* Before a sleep: look at the word for a moment while *word == value, as long
 * as that has been worth it lately for this thread.  True: it has changed. */
bool ipc__spin(const uint32_t *word, uint32_t value);

/* After a spin in vain, before a sleep: let others run on this CPU a few times,
 * as long as *word == value.  True: it has changed.  Whoever is to change it may
 * be waiting for this very CPU, and a sleep would cost both of us a wake-up. */
bool ipc__yield(const uint32_t *word, uint32_t value);

/* Looks that a spin may take at most: ten to twenty microseconds. */
#define IPC__SPIN_MAX 300

/* The most that this thread looks now.  0: nobody else can run. */
extern __thread uint32_t ipc__spin_limit
    __attribute__((visibility("hidden"), tls_model("initial-exec")));

#endif
