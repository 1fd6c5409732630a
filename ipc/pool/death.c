#include "pool/death.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/atomic.h"

void ipc__death_describe(const struct ipc__death *death, char *out, size_t size)
{
    const char *name = sigabbrev_np(death->signal);
    const char *more = death->core != 0 ? " (core dumped)" : "";
    const char *oom =
        death->maybe_oom != 0 ? " (perhaps for want of memory)" : "";
    if (death->signal == 0 && death->exitcode == -1)
        snprintf(out, size, "died (nobody saw how)");
    else if (death->signal == 0)
        snprintf(out, size, "ended with exit code %d", death->exitcode);
    else if (name != NULL)
        snprintf(out, size, "was killed by SIG%s%s%s", name, oom, more);
    else /* one of the real-time signals */
        snprintf(out, size, "was killed by signal %d%s", death->signal, more);
}

void ipc__pool_break(struct ipc_pool *pool, int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(pool->reason, sizeof pool->reason, format, arguments);
    va_end(arguments);
    store_release(&pool->broken, (uint32_t)error);
}

const char *ipc__pool_reason(const struct ipc_pool *pool)
{
    const uint32_t error = load_acquire(&pool->broken);
    if (error == IPC__MAKER_DIED) /* whatever it was about to say */
        return "its maker has died";
    return error != 0 ? pool->reason : "";
}
