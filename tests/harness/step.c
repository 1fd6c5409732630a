/* One process that is single-stepped and killed.
 *
 * With the trap flag set the processor raises a debug exception, for us
 * SIGTRAP, after each instruction.  The handler counts, and at the wanted
 * count sends SIGKILL to its own process: not one instruction more of it is
 * executed.
 *
 * Three things need care:
 *
 *  - After a system call the next trap comes one instruction late, so that a
 *    kill between a call and a store that follows it would be missed.  For
 *    that point the handler makes the call itself and dies.
 *  - When SIGTRAP is blocked the kernel kills the process with it instead of
 *    asking us.  So rt_sigprocmask is always carried out by the handler, in
 *    the mask that will be restored on return from it, without SIGTRAP.
 *  - A child that the operation forks inherits the trap flag.  It finds a page
 *    that is wiped on fork, and clears the flag. */
#include "harness/step.h"

#include "harness/internal.h"

#if !defined(__x86_64__)

const char *sweep_unavailable(void)
{
    return "single-stepping by trap flag needs x86-64";
}

#elif defined(TEST_SANITIZED)

const char *sweep_unavailable(void)
{
    return "sweeps run on builds without sanitizers";
}

#else
#    define CAN_STEP 1

const char *sweep_unavailable(void)
{
    return NULL;
}

#endif

static struct step_page *page;

const struct step_page *step_last(void)
{
    return page;
}

#ifndef CAN_STEP

pid_t step_start(void (*prepare)(void *ctx), void (*op)(void *ctx), void *ctx,
                 enum sweep_grain grain, long limit)
{
    (void)prepare, (void)op, (void)ctx, (void)grain, (void)limit;
    test_skip("%s", sweep_unavailable());
}

#else

#    include <errno.h>
#    include <sched.h>
#    include <signal.h>
#    include <stdio.h>
#    include <string.h>
#    include <sys/mman.h>
#    include <sys/prctl.h>
#    include <sys/syscall.h>
#    include <ucontext.h>
#    include <unistd.h>

static long raw_call(long number, const long *argument)
{
    long result;
    register long fourth __asm__("r10");
    register long fifth __asm__("r8");
    register long sixth __asm__("r9");
    fourth = argument[3];
    fifth = argument[4];
    sixth = argument[5];
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(argument[0]), "S"(argument[1]),
                       "d"(argument[2]), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "rcx", "r11", "memory");
    return result;
}

/* What the handler knows; of the victim alone. */
static struct {
    pid_t pid;
    long limit;
    enum sweep_grain grain;
} self;

/* Not 0 in the victim; 0 in what it forks. */
static volatile int *stepping;

enum {
    TRAP_FLAG = 0x100
};

static void die(greg_t *regs, bool after_call)
{
    page->where = (uintptr_t)regs[REG_RIP];
    page->after_call = after_call;
    (void)raw_call(SYS_kill, (const long[6]){self.pid, SIGKILL});
}

static bool at_system_call(const greg_t *regs)
{
    const unsigned char *code = (const unsigned char *)regs[REG_RIP];
    return code[0] == 0x0f && code[1] == 0x05;
}

/* A call that does not come back here, or comes back twice on one stack. */
static bool is_one_way(const greg_t *regs)
{
    switch (regs[REG_RAX]) {
    case SYS_exit:
    case SYS_exit_group:
    case SYS_execve:
    case SYS_execveat:
    case SYS_rt_sigreturn:
    case SYS_vfork:
    case SYS_clone3:
        return true;
    case SYS_clone:
        return (regs[REG_RDI] & CLONE_VM) != 0;
    default:
        return false;
    }
}

static void set_mask(ucontext_t *context)
{
    greg_t *regs = context->uc_mcontext.gregs;
    uint64_t *mask = (uint64_t *)(void *)&context->uc_sigmask;
    uint64_t old = *mask;
    const uint64_t *set = (const uint64_t *)regs[REG_RSI];
    if (set != NULL && regs[REG_RDI] == SIG_BLOCK)
        *mask |= *set;
    else if (set != NULL && regs[REG_RDI] == SIG_UNBLOCK)
        *mask &= ~*set;
    else if (set != NULL)
        *mask = *set;
    *mask &= ~(UINT64_C(1) << (SIGTRAP - 1));
    if (regs[REG_RDX] != 0)
        *(uint64_t *)regs[REG_RDX] = old;
    regs[REG_RAX] = 0;
    regs[REG_RIP] += 2;
}

/* Make the call that the program is about to make, then die.  Returns only in
 * a child that the call has forked. */
static void call_and_die(greg_t *regs)
{
    const long arguments[6] = {regs[REG_RDI], regs[REG_RSI], regs[REG_RDX],
                               regs[REG_R10], regs[REG_R8],  regs[REG_R9]};
    (void)raw_call(regs[REG_RAX], arguments);
    if (*stepping)
        die(regs, true);
    regs[REG_RAX] = 0;
    regs[REG_RIP] += 2;
}

static void on_trap(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number, (void)info;
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    if (!*stepping || raw_call(SYS_getpid, (const long[6]){0}) != self.pid) {
        regs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
        return;
    }
    bool call = at_system_call(regs);
    if (!call && self.grain == SWEEP_SYSCALLS)
        return;
    if (++page->points == self.limit)
        die(regs, false);
    if (!call || is_one_way(regs))
        return;

    bool last = ++page->points == self.limit;
    if (regs[REG_RAX] == SYS_rt_sigprocmask) {
        set_mask(context);
        if (last)
            die(regs, true);
    } else if (last) {
        call_and_die(regs);
        if (!*stepping)
            regs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    }
}

/* The stack below the pointer may be in use: 128 bytes of "red zone". */
static inline __attribute__((always_inline)) void trap_flag_on(void)
{
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
                     "pushfq\n\t"
                     "orq $0x100, (%%rsp)\n\t"
                     "popfq\n\t"
                     "lea 128(%%rsp), %%rsp" ::
                         : "memory", "cc");
}

static inline __attribute__((always_inline)) void trap_flag_off(void)
{
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
                     "pushfq\n\t"
                     "andq $~0x100, (%%rsp)\n\t"
                     "popfq\n\t"
                     "lea 128(%%rsp), %%rsp" ::
                         : "memory", "cc");
}

/* The handler has a stack of its own: the operation's may be small. */
static void install_handler(void)
{
    static char stack[64 * 1024];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_sigaction = on_trap,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};
    void *wiped = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (wiped == MAP_FAILED || madvise(wiped, 4096, MADV_WIPEONFORK) != 0 ||
        sigaltstack(&alternate, NULL) != 0 ||
        sigaction(SIGTRAP, &action, NULL) != 0)
        test_fail("cannot prepare for single steps: %m");
    stepping = wiped;
    *stepping = 1;
}

static _Noreturn void live_and_die(void (*prepare)(void *ctx),
                                   void (*op)(void *ctx), void *ctx)
{
    install_handler();
    if (prepare != NULL)
        prepare(ctx);
    self.pid = getpid();
    trap_flag_on();
    op(ctx);
    trap_flag_off();
    page->finished = 1;
    _exit(0);
}

pid_t step_start(void (*prepare)(void *ctx), void (*op)(void *ctx), void *ctx,
                 enum sweep_grain grain, long limit)
{
    if (page == NULL)
        page = test_shared(sizeof *page);
    memset(page, 0, sizeof *page);
    self.limit = limit;
    self.grain = grain;
    pid_t parent = getpid();
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        test_fail("cannot fork a victim: %m");
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        live_and_die(prepare, op, ctx);
    }
    return pid;
}

#endif
