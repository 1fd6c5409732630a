/* A storm of signals that interrupt system calls. */
#include "harness/faults.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#    define sigev_notify_thread_id _sigev_un._tid
#endif

static timer_t timer;
static long hits;

static void on_alarm(int signal_number)
{
    (void)signal_number;
    (void)__atomic_add_fetch(&hits, 1, __ATOMIC_RELAXED);
}

void storm_start(int per_second)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID,
                             .sigev_signo = SIGALRM,
                             .sigev_notify_thread_id = gettid()};
    long period_ns = 1000000000L / per_second;
    struct timespec period = {period_ns / 1000000000, period_ns % 1000000000};
    struct itimerspec spec = {period, period};
    hits = 0;
    if (sigaction(SIGALRM, &action, NULL) != 0 ||
        timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
        timer_settime(timer, 0, &spec, NULL) != 0)
        test_fail("no storm: %m");
}

long storm_stop(void)
{
    (void)timer_delete(timer);
    return __atomic_load_n(&hits, __ATOMIC_RELAXED);
}
