/* Atomic operations on plain integers, for memory that processes share.
 *
 * The order is part of each name; there is no default.
 *
 *     relaxed   atomic, orders nothing
 *     acquire   what follows happens after what the releaser did before
 *     release   what precedes is seen by whoever acquires this value
 *
 * Objects in shared memory are plain uint32_t and uint64_t, so that debuggers
 * print them and C++ includes them; every access goes through here. */
#ifndef IPC_BASE_ATOMIC_H
#define IPC_BASE_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#define load_relaxed(p)        __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p)        __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_relaxed(p, v)    __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_release(p, v)    __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define add_relaxed(p, v)      __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define add_release(p, v)      __atomic_fetch_add((p), (v), __ATOMIC_RELEASE)
#define or_relaxed(p, v)       __atomic_fetch_or((p), (v), __ATOMIC_RELAXED)
#define exchange_acquire(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE)
#define exchange_release(p, v) __atomic_exchange_n((p), (v), __ATOMIC_RELEASE)

static inline bool cas32_relaxed(uint32_t *p, uint32_t old, uint32_t new_value)
{
    return __atomic_compare_exchange_n(p, &old, new_value, false,
                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static inline bool cas32_acquire(uint32_t *p, uint32_t old, uint32_t new_value)
{
    return __atomic_compare_exchange_n(p, &old, new_value, false,
                                       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline bool cas32_release(uint32_t *p, uint32_t old, uint32_t new_value)
{
    return __atomic_compare_exchange_n(p, &old, new_value, false,
                                       __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

static inline bool cas64_relaxed(uint64_t *p, uint64_t old, uint64_t new_value)
{
    return __atomic_compare_exchange_n(p, &old, new_value, false,
                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static inline bool cas64_acquire(uint64_t *p, uint64_t old, uint64_t new_value)
{
    return __atomic_compare_exchange_n(p, &old, new_value, false,
                                       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline bool cas64_release(uint64_t *p, uint64_t old, uint64_t new_value)
{
    return __atomic_compare_exchange_n(p, &old, new_value, false,
                                       __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

/* Between a CAS of ours and loads that tell whether somebody else, who does
 * the same the other way round, was first: one of the two sees the other.  On
 * x86 a CAS is as good as any barrier. */
static inline void barrier_after_cas(void)
{
#if defined(__x86_64__)
    __asm__ volatile("" ::: "memory");
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* The same between a plain store of ours and such loads.  (Not a fence, which
 * ThreadSanitizer does not know.) */
static inline void full_barrier(void)
{
    static uint32_t nobody_reads_it;
    (void)__atomic_fetch_add(&nobody_reads_it, 1, __ATOMIC_SEQ_CST);
}

/* Keeps the compiler from moving memory accesses across.  Enough where the
 * reader is the kernel acting on this very thread: on its death it sees the
 * thread's stores in program order. */
#define compiler_barrier() __asm__ volatile("" ::: "memory")

#endif
