/* Do something later, unless it is cancelled.
 *
 *     t = Timer(0.05, ring, args=('tea',))
 *     t.start()
 *     alarm = Timer(10, ring, args=('fire',))
 *     alarm.start()
 *     alarm.cancel()
 *
 * All timers of a process share one thread, which is there while there are
 * timers.  A program that ends waits for those that are still to come, as
 * Python does: the tea rings after main() has returned. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

/* Not variables of main(): they are needed longer. */
static ipc_timer tea, alarm_timer, clock_timer;
static ipc_deadline begin;

static void ring(void *arg)
{
    const char *what = arg;

    printf("%s is ready, %s\n", what,
           ipc_now() - begin >= 50000000 ? "not too early" : "too early");
}

static void tick(void *arg)
{
    int *ticks = arg;

    printf("tick %d\n", ++*ticks);
    if (*ticks == 3)
        ipc_timer_cancel(&clock_timer); /* a callback may do that */
}

static void check(int rc)
{
    if (rc < 0)
        errx(1, "timer: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

int main(void)
{
    static char name[] = "tea", fire[] = "fire";
    static int ticks;
    ipc_timer_options every_10_ms = IPC_TIMER_OPTIONS_INIT;

    begin = ipc_now();
    check(ipc_timer_start(&tea, ipc_after_ms(50), ring, name, NULL));
    check(ipc_timer_start(&alarm_timer, ipc_after_s(10), ring, fire, NULL));

    every_10_ms.period_ns = 10000000;
    check(ipc_timer_start(&clock_timer, IPC_TIME_NOW, tick, &ticks,
                          &every_10_ms));
    check(ipc_timer_join(&clock_timer)); /* until somebody cancels it */

    check(ipc_timer_cancel(&alarm_timer));
    printf("the alarm is cancelled, main() returns\n");
    return 0;
}
