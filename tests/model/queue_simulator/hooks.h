/* The sources of the ring, compiled once more: each access to shared memory,
 * each copy, each call of the kernel is a point at which the simulator may go
 * on with another fiber, or kill this one. */
#ifndef QUEUE_SIMULATOR_HOOKS_H
#define QUEUE_SIMULATOR_HOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/error.h"
#include "core/guard.h"
#include "core/peers.h"
#include "core/waiting.h"
#include "kernel/futex.h"
#include "kernel/memory.h"

void sim_point(void);

/* ---- memory ---- */

bool sim_cas32(uint32_t *p, uint32_t old, uint32_t new_value);
bool sim_cas64(uint64_t *p, uint64_t old, uint64_t new_value);
void *sim_copy(void *to, const void *from, size_t bytes);

#undef load_relaxed
#undef load_acquire
#undef store_relaxed
#undef store_release
#undef or_relaxed
#undef compiler_barrier

#define load_relaxed(p)     (sim_point(), __atomic_load_n((p), __ATOMIC_SEQ_CST))
#define load_acquire(p)     (sim_point(), __atomic_load_n((p), __ATOMIC_SEQ_CST))
#define store_relaxed(p, v) (sim_point(), *(p) = (v), (void)0)
#define store_release(p, v) (sim_point(), *(p) = (v), (void)0)
#define or_relaxed(p, v)                                                       \
    (sim_point(), __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST))
#define compiler_barrier() sim_point()

#define cas32_relaxed sim_cas32
#define cas32_acquire sim_cas32
#define cas32_release sim_cas32
#define cas64_relaxed sim_cas64
#define cas64_acquire sim_cas64
#define cas64_release sim_cas64
#define memcpy        sim_copy

/* ---- guards, whose owner may die ---- */

int sim_guard_lock(struct ipc__guard *guard, void (*recover)(void *),
                   void *arg);
bool sim_guard_try(struct ipc__guard *guard);
void sim_guard_unlock(struct ipc__guard *guard);

#define ipc__guard_lock   sim_guard_lock
#define ipc__guard_try    sim_guard_try
#define ipc__guard_unlock sim_guard_unlock

/* ---- who is who ---- */

extern struct ipc__self sim_self;
void sim_peer_look(const void *address, uint64_t owner, bool thorough,
                   struct ipc__peer *out);

#define ipc__self             sim_self
#define ipc__self_is_ready(a) ((void)(a), true)
#define ipc__self_register(a) ((void)(a), 0)
#define ipc__peer_look        sim_peer_look

/* ---- sleeping, by a clock of the simulator's own ---- */

int sim_change_and_wake(uint32_t *word, enum ipc__futex_change change,
                        int operand, int count);
void sim_wake(const uint32_t *word, int count);
bool sim_sleep(struct ipc__pace *pace, const uint32_t *word, uint32_t value,
               const uint32_t *life, uint32_t life_value,
               ipc_deadline deadline);
bool sim_sleep_many(struct ipc__pace *pace, const struct ipc__futex *words,
                    uint32_t count, ipc_deadline deadline);
bool sim_spin(const uint32_t *word, uint32_t value);
int64_t sim_time_left(ipc_deadline deadline);

#define ipc__futex_change_and_wake sim_change_and_wake
#define ipc__futex_wake            sim_wake
#define ipc__futex_sleepers(w, v)  ((void)(w), (void)(v), 0)
#define ipc__sleep                 sim_sleep
#define ipc__sleep_many            sim_sleep_many
#define ipc__spin                  sim_spin
#define ipc_time_left              sim_time_left

/* ---- pages ---- */

void sim_release(void *start, size_t size, size_t touched);

#define ipc__memory_populate(start, size) ((void)(start), (void)(size), 0)
#define ipc__memory_release               sim_release

#endif
