/* One process that is killed at a chosen instruction.
 *
 * There are two ways to it:
 *
 *  - Stepping.  With the trap flag set the processor raises a debug exception,
 *    for us SIGTRAP, after each instruction, 30,000 times a second.  The
 *    handler counts.
 *  - Running to a breakpoint at full speed, once the course is known.  The
 *    handler counts how often it is reached, and steps over it.
 *
 * At the wanted place the handler sends SIGKILL to its own process: not one
 * instruction more of it is executed.  Three things need care:
 *
 *  - After a system call the next trap comes one instruction late, so that a
 *    kill between a call and a store that follows it would be missed.  For
 *    that point the handler makes the call itself and dies.
 *  - When SIGTRAP is blocked the kernel kills the process with it instead of
 *    asking us.  So rt_sigprocmask is always carried out by the handler, in
 *    the mask that will be restored on return from it, without SIGTRAP.
 *  - A child that the operation forks inherits trap flag and breakpoints.  It
 *    finds a page that is wiped on fork, and clears them. */
#include "harness/step.h"

#include "harness/internal.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

static struct step_page *page;

const struct step_page *step_last(void)
{
    return page;
}

#if !defined(__x86_64__)

const char *sweep_unavailable(void)
{
    return "single steps by trap flag need x86-64";
}

pid_t step_start(const struct step_plan *plan)
{
    (void)plan;
    test_skip("%s", sweep_unavailable());
}

#else

const char *sweep_unavailable(void)
{
#    ifdef TEST_SANITIZED
    return "sweeps run on builds without sanitizers";
#    else
    return NULL;
#    endif
}

/* ---- what the handler knows, of the victim alone ---- */

enum {
    TRAP_FLAG = 0x100,
    BREAKPOINT = 0xcc,
    BREAKS = 1 + STEP_MASK_SITES
};

static struct {
    struct step_plan plan;
    pid_t pid;
    long reached; /* the target, so often */
    struct {
        unsigned char *at; /* NULL: none */
        unsigned char code;
    } breaks[BREAKS];    /* the target, and where the mask is set */
    unsigned char *over; /* the breakpoint being stepped over, or NULL */
} self;

/* Not 0 in the victim; 0 in what it forks. */
static volatile int *alone;

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

/* Not in a process that it has forked, also by vfork(). */
static bool is_victim(void)
{
    return *alone && raw_call(SYS_getpid, (const long[6]){0}) == self.pid;
}

static void die(const greg_t *regs, bool after_call)
{
    page->where = (uintptr_t)regs[REG_RIP];
    page->after_call = after_call;
    (void)raw_call(SYS_kill, (const long[6]){self.pid, SIGKILL});
}

/* ---- system calls ---- */

static bool at_call(const greg_t *regs)
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

static void return_from_call(greg_t *regs, long result)
{
    regs[REG_RAX] = result;
    regs[REG_RIP] += 2;
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
    return_from_call(regs, 0);
}

/* Make the call that the program is about to make, then die.  Returns only in
 * a child that the call has forked. */
static void call_and_die(ucontext_t *context)
{
    greg_t *regs = context->uc_mcontext.gregs;
    if (regs[REG_RAX] == SYS_rt_sigprocmask) {
        set_mask(context);
        die(regs, true);
    }
    const long arguments[6] = {regs[REG_RDI], regs[REG_RSI], regs[REG_RDX],
                               regs[REG_R10], regs[REG_R8],  regs[REG_R9]};
    (void)raw_call(regs[REG_RAX], arguments);
    if (*alone)
        die(regs, true);
    return_from_call(regs, 0);
}

/* ---- stepping ---- */

static void record(const greg_t *regs, bool after_call)
{
    struct step_trace *trace = self.plan.record;
    if (trace == NULL)
        return;
    long i = trace->count++;
    if (i < STEP_TRACE_POINTS)
        trace->point[i] =
            (struct step_target){(uintptr_t)regs[REG_RIP], after_call, 0};
    if (!after_call || regs[REG_RAX] != SYS_rt_sigprocmask)
        return;
    for (i = 0; i < STEP_MASK_SITES; i++) {
        if (trace->mask_site[i] == 0)
            trace->mask_site[i] = (uintptr_t)regs[REG_RIP];
        if (trace->mask_site[i] == (uintptr_t)regs[REG_RIP])
            return;
    }
}

static void on_step(ucontext_t *context)
{
    greg_t *regs = context->uc_mcontext.gregs;
    bool call = at_call(regs);
    if (!call && self.plan.grain == SWEEP_SYSCALLS)
        return;
    record(regs, false);
    if (++page->points == self.plan.limit)
        die(regs, false);
    if (!call || is_one_way(regs))
        return;
    record(regs, true);
    if (++page->points == self.plan.limit)
        call_and_die(context);
    else if (regs[REG_RAX] == SYS_rt_sigprocmask)
        set_mask(context);
}

/* ---- running to breakpoints ---- */

static void on_break(ucontext_t *context, bool victim)
{
    greg_t *regs = context->uc_mcontext.gregs;
    regs[REG_RIP]--;
    int i = 0;
    while (i < BREAKS &&
           (uintptr_t)self.breaks[i].at != (uintptr_t)regs[REG_RIP])
        i++;
    if (i == BREAKS) { /* not ours: as if we were not here */
        (void)signal(SIGTRAP, SIG_DFL);
        return;
    }
    *self.breaks[i].at = self.breaks[i].code;
    if (!victim)
        return;
    const struct step_target *target = self.plan.target;
    if (i == 0 && ++self.reached == target->occurrence) {
        if (target->after_call)
            call_and_die(context);
        else
            die(regs, false);
        return;
    }
    if (at_call(regs) && regs[REG_RAX] == SYS_rt_sigprocmask) {
        *self.breaks[i].at = BREAKPOINT;
        set_mask(context);
        return;
    }
    self.over = self.breaks[i].at;
    regs[REG_EFL] |= TRAP_FLAG;
}

static void on_stepped_over(greg_t *regs)
{
    regs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    *self.over = BREAKPOINT;
    self.over = NULL;
}

static void on_trap(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number;
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    bool victim = is_victim();
    if (info->si_code == SI_KERNEL)
        on_break(context, victim);
    else if (victim && self.over != NULL)
        on_stepped_over(regs);
    else if (victim && self.plan.target == NULL)
        on_step(context);
    if (!victim || !*alone)
        regs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
}

static bool set_break(int i, uintptr_t where)
{
    uintptr_t start = where & ~(uintptr_t)4095;
    if (mprotect((void *)start, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
        return false;
    self.breaks[i].at = (unsigned char *)where;
    self.breaks[i].code = *self.breaks[i].at;
    return true;
}

static void set_breaks(void)
{
    const struct step_trace *trace = self.plan.trace;
    uintptr_t target = self.plan.target->where;
    bool ok = set_break(0, target);
    for (int i = 0; i < STEP_MASK_SITES; i++)
        if (trace->mask_site[i] != 0 && trace->mask_site[i] != target)
            ok = set_break(i + 1, trace->mask_site[i]) && ok;
    if (!ok) {
        page->unreachable = true;
        _exit(0);
    }
    /* Last: from here on code may be reached that traps. */
    for (int i = 0; i < BREAKS; i++)
        if (self.breaks[i].at != NULL)
            *self.breaks[i].at = BREAKPOINT;
}

/* ---- the victim ---- */

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
    alone = wiped;
    *alone = 1;
}

static _Noreturn void live_and_die(const struct step_plan *plan)
{
    install_handler();
    if (plan->prepare != NULL)
        plan->prepare(plan->ctx);
    self.plan = *plan;
    self.pid = getpid();
    if (plan->target != NULL)
        set_breaks();
    else
        trap_flag_on();
    plan->op(plan->ctx);
    trap_flag_off();
    page->finished = true;
    _exit(0);
}

pid_t step_start(const struct step_plan *plan)
{
    if (page == NULL)
        page = test_shared(sizeof *page);
    memset(page, 0, sizeof *page);
    if (plan->record != NULL) {
        plan->record->count = 0;
        memset(plan->record->mask_site, 0, sizeof plan->record->mask_site);
    }
    pid_t parent = getpid();
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        test_fail("cannot fork a victim: %m");
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        live_and_die(plan);
    }
    return pid;
}

#endif
