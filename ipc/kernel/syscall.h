/* The system call instruction itself.
 *
 * Used where libc has no wrapper, where errno must not be touched, and by the
 * watcher, which runs beside a thread whose errno it would spoil.  Returns the
 * result or a negative errno. */
#ifndef IPC_KERNEL_SYSCALL_H
#define IPC_KERNEL_SYSCALL_H

#include <stdint.h>
#include <sys/syscall.h>

/* NOLINTBEGIN(readability-function-size): the instruction has as many
 * parameters */
#if defined(__x86_64__)

static inline __attribute__((always_inline)) long
ipc__syscall6(long number, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8),
                       "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

#elif defined(__aarch64__)

static inline __attribute__((always_inline)) long
ipc__syscall6(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}

#else
#    error "libipc runs on x86-64 and aarch64"
#endif
/* NOLINTEND(readability-function-size) */

#define ipc__syscall0(n)    ipc__syscall6((n), 0, 0, 0, 0, 0, 0)
#define ipc__syscall1(n, a) ipc__syscall6((n), (long)(a), 0, 0, 0, 0, 0)
#define ipc__syscall2(n, a, b)                                                 \
    ipc__syscall6((n), (long)(a), (long)(b), 0, 0, 0, 0)
#define ipc__syscall3(n, a, b, c)                                              \
    ipc__syscall6((n), (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define ipc__syscall4(n, a, b, c, d)                                           \
    ipc__syscall6((n), (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define ipc__syscall5(n, a, b, c, d, e)                                        \
    ipc__syscall6((n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

#endif
