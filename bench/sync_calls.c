/* A seccomp filter turns each system call of the process into a signal, whose
 * handler counts it and makes it: from one place of the program which the
 * filter lets pass.  A call takes a microsecond longer by that; who makes none
 * runs as ever. */
#include "sync_calls.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

static volatile uint64_t calls;

uint64_t sync_calls(void)
{
    return calls;
}

#if defined(__x86_64__) || defined(__aarch64__)

/* The first instruction after the one that enters the kernel. */
extern const char sync_calls_passed[] __attribute__((visibility("hidden")));

#    if defined(__x86_64__)

#        define MACHINE AUDIT_ARCH_X86_64

static __attribute__((noinline, noclone)) void make_call(ucontext_t *context)
{
    greg_t *regs = context->uc_mcontext.gregs;
    register greg_t r10 __asm__("r10") = regs[REG_R10];
    register greg_t r8 __asm__("r8") = regs[REG_R8];
    register greg_t r9 __asm__("r9") = regs[REG_R9];
    greg_t result;

    __asm__ volatile("syscall\n"
                     "sync_calls_passed:"
                     : "=a"(result)
                     : "a"(regs[REG_RAX]), "D"(regs[REG_RDI]),
                       "S"(regs[REG_RSI]), "d"(regs[REG_RDX]), "r"(r10),
                       "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    regs[REG_RAX] = result;
}

#    else

#        define MACHINE AUDIT_ARCH_AARCH64

static __attribute__((noinline, noclone)) void make_call(ucontext_t *context)
{
    unsigned long long *regs = context->uc_mcontext.regs;
    register unsigned long long x8 __asm__("x8") = regs[8];
    register unsigned long long x0 __asm__("x0") = regs[0];
    register unsigned long long x1 __asm__("x1") = regs[1];
    register unsigned long long x2 __asm__("x2") = regs[2];
    register unsigned long long x3 __asm__("x3") = regs[3];
    register unsigned long long x4 __asm__("x4") = regs[4];
    register unsigned long long x5 __asm__("x5") = regs[5];

    __asm__ volatile("svc #0\n"
                     "sync_calls_passed:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    regs[0] = x0;
}

#    endif

static void count_call(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    calls = calls + 1;
    make_call(context);
}

bool sync_calls_start(void)
{
    const uint64_t passed = (uint64_t)(uintptr_t)sync_calls_passed;
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    /* Jumps are relative to the next line.  The last line lets the call
     * pass, the one before has it counted. */
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 0, 7),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 5, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 offsetof(struct seccomp_data, instruction_pointer)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)passed, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(passed >> 32), 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};

    action.sa_sigaction = count_call;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGSYS, &action, NULL) == 0 &&
           prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

#else

bool sync_calls_start(void)
{
    return false;
}

#endif
