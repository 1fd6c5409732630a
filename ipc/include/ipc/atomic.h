/* Atomic operations on plain integers in shared memory.
 *
 *     struct stats { int64_t served; uint32_t stop; };
 *     struct stats *s = ipc_shared_alloc(sizeof *s);
 *
 *     ipc_atomic_add_i64(&s->served, 1);          // in any thread or process
 *     while (!ipc_atomic_load_u32(&s->stop)) ...
 *
 * For counters and flags: one number that many change, where a lock would be
 * too much.  As soon as two numbers have to fit each other, take a lock.
 *
 * Of every operation there is one for each suffix
 *
 *     _i32 int32_t    _u32 uint32_t    _i64 int64_t    _u64 uint64_t
 *
 * and with T for the type they are
 *
 *     T    ipc_atomic_load(const T *at)
 *     void ipc_atomic_store(T *at, T value)
 *     T    ipc_atomic_exchange(T *at, T value)       the old value
 *     T    ipc_atomic_add(T *at, T by)               the OLD value
 *     T    ipc_atomic_sub(T *at, T by)               the OLD value
 *     bool ipc_atomic_cas(T *at, T *expected, T value)
 *
 * and for _u32 and _u64
 *
 *     T    ipc_atomic_or(T *at, T bits)              the old value
 *     T    ipc_atomic_and(T *at, T bits)             the old value
 *
 * cas stores value if *at is *expected, and is true then; otherwise *expected
 * becomes what *at is, and it is false.  Sums that do not fit wrap around, as
 * two's complement does, also for signed types.
 *
 * Order: sequentially consistent, as the plain operators of C11's _Atomic.
 * The objects are ordinary integers, naturally aligned, so that debuggers
 * print them and C++ includes them; do not access them in any other way while
 * others may.
 *
 * Threads: any.  Processes: any that see the memory.  Fork: safe.
 * Signals: safe in handlers.
 * Crash: robust.  Each operation is one indivisible step: a process that is
 * killed has done it or not. */
#ifndef IPC_ATOMIC_H
#define IPC_ATOMIC_H

#include <ipc/api.h>

IPC_BEGIN_DECLS

/* NOLINTBEGIN(bugprone-macro-parentheses): T is a type */
#define IPC__ATOMIC_NUMBER(T, suffix)                                          \
    static inline T ipc_atomic_load_##suffix(const T *at)                      \
    {                                                                          \
        return __atomic_load_n(at, __ATOMIC_SEQ_CST);                          \
    }                                                                          \
    static inline void ipc_atomic_store_##suffix(T *at, T value)               \
    {                                                                          \
        __atomic_store_n(at, value, __ATOMIC_SEQ_CST);                         \
    }                                                                          \
    static inline T ipc_atomic_exchange_##suffix(T *at, T value)               \
    {                                                                          \
        return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST);               \
    }                                                                          \
    static inline T ipc_atomic_add_##suffix(T *at, T by)                       \
    {                                                                          \
        return __atomic_fetch_add(at, by, __ATOMIC_SEQ_CST);                   \
    }                                                                          \
    static inline T ipc_atomic_sub_##suffix(T *at, T by)                       \
    {                                                                          \
        return __atomic_fetch_sub(at, by, __ATOMIC_SEQ_CST);                   \
    }                                                                          \
    static inline bool ipc_atomic_cas_##suffix(T *at, T *expected, T value)    \
    {                                                                          \
        return __atomic_compare_exchange_n(                                    \
            at, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);   \
    }

#define IPC__ATOMIC_BITS(T, suffix)                                            \
    static inline T ipc_atomic_or_##suffix(T *at, T bits)                      \
    {                                                                          \
        return __atomic_fetch_or(at, bits, __ATOMIC_SEQ_CST);                  \
    }                                                                          \
    static inline T ipc_atomic_and_##suffix(T *at, T bits)                     \
    {                                                                          \
        return __atomic_fetch_and(at, bits, __ATOMIC_SEQ_CST);                 \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

IPC__ATOMIC_NUMBER(int32_t, i32)
IPC__ATOMIC_NUMBER(uint32_t, u32)
IPC__ATOMIC_NUMBER(int64_t, i64)
IPC__ATOMIC_NUMBER(uint64_t, u64)
IPC__ATOMIC_BITS(uint32_t, u32)
IPC__ATOMIC_BITS(uint64_t, u64)

#undef IPC__ATOMIC_NUMBER
#undef IPC__ATOMIC_BITS

IPC_END_DECLS

#endif
