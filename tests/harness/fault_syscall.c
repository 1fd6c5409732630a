/* System calls that fail.
 *
 * Which call it is, a seccomp filter sees.  To fail the nth one it must be
 * counted: the filter sends the call to a SIGSYS handler, which makes it or
 * does not.  The handler's own call instruction is known to the filter by its
 * address. */
#include "harness/faults.h"

#include "harness/internal.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

#define LOAD(field)                                                            \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define LOAD_HIGH(field)                                                       \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field) + 4)
/* Skip so many instructions when equal, or when not. */
#define EQUAL(value, if_equal, if_not)                                         \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), (if_equal), (if_not))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (uint32_t)(action))

static void install(struct sock_filter *code, size_t count)
{
    struct sock_fprog program = {(unsigned short)count, code};
    test__unfit_to_exit = true;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        test_fail("no_new_privs: %m");
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC,
                &program) != 0)
        test_skip("no seccomp filters here: %m");
}

void fault_syscall(int number, int error)
{
    struct sock_filter code[] = {
        LOAD(nr),
        EQUAL(number, 0, 1),
        RETURN(SECCOMP_RET_ERRNO | (uint32_t)error),
        RETURN(SECCOMP_RET_ALLOW),
    };
    install(code, sizeof code / sizeof code[0]);
}

/* ---- the nth call ---- */

/* Makes a call with six arguments; and the instruction behind it, which is the
 * address that the filter sees. */
long fault__call(long number, const long *arguments);
extern const char fault__call_end[];

#if defined(__x86_64__)
__asm__(".text\n"
        ".globl fault__call\n"
        ".type fault__call, @function\n"
        "fault__call:\n"
        "    mov %rdi, %rax\n"
        "    mov %rsi, %r11\n"
        "    mov 0(%r11), %rdi\n"
        "    mov 8(%r11), %rsi\n"
        "    mov 16(%r11), %rdx\n"
        "    mov 24(%r11), %r10\n"
        "    mov 32(%r11), %r8\n"
        "    mov 40(%r11), %r9\n"
        "    syscall\n"
        ".globl fault__call_end\n"
        "fault__call_end:\n"
        "    ret\n"
        ".size fault__call, . - fault__call\n");

static void get_arguments(const ucontext_t *context, long *out)
{
    static const int order[] = {REG_RDI, REG_RSI, REG_RDX,
                                REG_R10, REG_R8,  REG_R9};
    for (int i = 0; i < 6; i++)
        out[i] = (long)context->uc_mcontext.gregs[order[i]];
}

static void set_result(ucontext_t *context, long result)
{
    context->uc_mcontext.gregs[REG_RAX] = result;
}
#elif defined(__aarch64__)
__asm__(".text\n"
        ".globl fault__call\n"
        ".type fault__call, %function\n"
        "fault__call:\n"
        "    mov x8, x0\n"
        "    mov x9, x1\n"
        "    ldp x0, x1, [x9]\n"
        "    ldp x2, x3, [x9, 16]\n"
        "    ldp x4, x5, [x9, 32]\n"
        "    svc 0\n"
        ".globl fault__call_end\n"
        "fault__call_end:\n"
        "    ret\n"
        ".size fault__call, . - fault__call\n");

static void get_arguments(const ucontext_t *context, long *out)
{
    for (int i = 0; i < 6; i++)
        out[i] = (long)context->uc_mcontext.regs[i];
}

static void set_result(ucontext_t *context, long result)
{
    context->uc_mcontext.regs[0] = (unsigned long long)result;
}
#else
#    error "x86-64 and aarch64 only"
#endif

static struct {
    long nth;
    int error;
    long count;
} plan;

static void on_call(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number;
    long arguments[6];
    if (__atomic_add_fetch(&plan.count, 1, __ATOMIC_SEQ_CST) == plan.nth) {
        set_result(context, -plan.error);
        return;
    }
    get_arguments(context, arguments);
    int saved = errno;
    set_result(context, fault__call(info->si_syscall, arguments));
    errno = saved;
}

long fault_syscall_count(void)
{
    return __atomic_load_n(&plan.count, __ATOMIC_SEQ_CST);
}

void fault_syscall_nth(int number, long nth, int error)
{
    struct sigaction action = {.sa_sigaction = on_call,
                               .sa_flags = SA_SIGINFO | SA_NODEFER};
    if (sigaction(SIGSYS, &action, NULL) != 0)
        test_fail("sigaction: %m");
    uint64_t ours = (uint64_t)(uintptr_t)fault__call_end;
    struct sock_filter code[] = {
        LOAD(nr),
        EQUAL(number, 0, 5),
        LOAD(instruction_pointer),
        EQUAL(ours, 0, 2),
        LOAD_HIGH(instruction_pointer),
        EQUAL(ours >> 32, 1, 0),
        RETURN(SECCOMP_RET_TRAP),
        RETURN(SECCOMP_RET_ALLOW),
    };
    plan.nth = nth;
    plan.error = error;
    plan.count = 0;
    install(code, sizeof code / sizeof code[0]);
}
