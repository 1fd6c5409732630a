#include <errno.h>
#include <time.h>

#include <ipc/time.h>

#define NS_PER_S 1000000000

ipc_deadline ipc_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (ipc_deadline)now.tv_sec * NS_PER_S + now.tv_nsec;
}

ipc_deadline ipc_after_ns(int64_t ns)
{
    ipc_deadline deadline;
    if (__builtin_add_overflow(ipc_now(), ns, &deadline))
        return IPC_TIME_FOREVER;
    /* 0 is IPC_TIME_NOW, and so is whatever lies before the boot. */
    return deadline > 0 ? deadline : IPC_TIME_NOW;
}

static ipc_deadline after(int64_t count, int64_t unit_ns)
{
    int64_t ns;
    if (__builtin_mul_overflow(count, unit_ns, &ns))
        return count > 0 ? IPC_TIME_FOREVER : IPC_TIME_NOW;
    return ipc_after_ns(ns);
}

ipc_deadline ipc_after_us(int64_t us)
{
    return after(us, 1000);
}

ipc_deadline ipc_after_ms(int64_t ms)
{
    return after(ms, 1000000);
}

ipc_deadline ipc_after_s(double seconds)
{
    if (!(seconds > 0)) /* also not a number */
        return IPC_TIME_NOW;
    if (seconds >= 9e9)
        return IPC_TIME_FOREVER;
    return ipc_after_ns((int64_t)(seconds * NS_PER_S));
}

int64_t ipc_time_left(ipc_deadline deadline)
{
    if (deadline == IPC_TIME_FOREVER)
        return INT64_MAX;
    const ipc_deadline now = ipc_now();
    return deadline > now ? deadline - now : 0;
}

void ipc_sleep_until(ipc_deadline deadline)
{
    const struct timespec until = {.tv_sec = deadline / NS_PER_S,
                                   .tv_nsec = deadline % NS_PER_S};
    while (deadline > 0 && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME,
                                           &until, NULL) == EINTR)
        continue;
}
