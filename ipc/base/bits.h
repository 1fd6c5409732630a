/* Small arithmetic that several files need. */
#ifndef IPC_BASE_BITS_H
#define IPC_BASE_BITS_H

#include <stddef.h>
#include <stdint.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
/* Keeps a slow path, and what it needs, out of the fast one. */
#define SLOW_PATH __attribute__((noinline, cold))

/* The line will be written soon: have it before others who read it. */
static inline void prefetch_to_write(const void *address)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)address));
#else
    __builtin_prefetch(address, 1);
#endif
}

#define array_length(a) (sizeof(a) / sizeof((a)[0]))

/* unit is a power of two. */
static inline size_t round_up(size_t value, size_t unit)
{
    return (value + unit - 1) & ~(unit - 1);
}

#endif
