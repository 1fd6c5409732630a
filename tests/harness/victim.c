/* A victim: an operation, its course, and its many deaths. */
#include "harness/victim.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    DEFAULT_LIMIT_MS = 5000
};

void victim_init(struct victim *victim)
{
    victim->trace = test_shared(sizeof *victim->trace);
}

void victim_fini(struct victim *victim)
{
    (void)munmap(victim->trace, sizeof *victim->trace);
}

/* ---- one life ---- */

static bool is_dead(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid;
}

/* Returns false when it neither sleeps nor dies. */
static bool wait_asleep_or_dead(const struct sweep *sweep, pid_t pid,
                                int64_t end)
{
    while (!is_dead(pid)) {
        if (sweep->asleep != NULL ? sweep->asleep(sweep->ctx, pid)
                                  : asleep_in_futex(pid))
            return true;
        if (test_now_ns() > end)
            return false;
        poll_pause();
    }
    return true;
}

static bool wait_dead(pid_t pid, int64_t end)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        test_fail("pidfd_open of a victim: %m");
    bool dead = false;
    for (int64_t left = 1; !dead && left > 0;) {
        left = (end - test_now_ns() + 999999) / 1000000;
        struct pollfd item = {.fd = fd, .events = POLLIN};
        dead = poll(&item, 1, left > 0 ? (int)left : 0) > 0;
    }
    (void)close(fd);
    return dead;
}

/* Returns false when it hung. */
static bool live(const struct victim *victim, const struct step_plan *plan,
                 struct sweep_point *point, int *status)
{
    const struct sweep *sweep = victim->sweep;
    int limit_ms = sweep->limit_ms > 0 ? sweep->limit_ms : DEFAULT_LIMIT_MS;
    victim->restore(victim->arg);
    int64_t end = test_now_ns() + (int64_t)limit_ms * 1000000;
    pid_t pid = step_start(plan);
    bool well = true;
    point->woken = false;
    if (victim->with_meanwhile) {
        well = wait_asleep_or_dead(sweep, pid, end);
        bool dead = is_dead(pid);
        point->woken = !dead;
        sweep->meanwhile(sweep->ctx, pid, dead);
    }
    well = well && wait_dead(pid, end);
    if (!well)
        (void)kill(pid, SIGKILL);
    if (waitpid(pid, status, 0) != pid)
        test_fail("waiting for a victim: %m");
    point->pid = pid;
    point->finished = step_last()->finished;
    point->where = step_last()->where;
    point->after_call = step_last()->after_call;
    return well;
}

static bool was_killed(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void check_end(const struct victim *victim,
                      const struct sweep_point *point, int status)
{
    if (!was_killed(status) && !(status == 0 && point->finished))
        test_fail("%s: the victim of step %ld ended with wait status 0x%x",
                  victim->sweep->name != NULL ? victim->sweep->name : "sweep",
                  point->step, (unsigned)status);
}

/* ---- its course ---- */

static int compare_places(const void *left, const void *right)
{
    const struct step_target *const *a = left;
    const struct step_target *const *b = right;
    if ((*a)->where != (*b)->where)
        return (*a)->where < (*b)->where ? -1 : 1;
    return *a < *b ? -1 : 1;
}

/* Number the visits of each place. */
static void count_occurrences(struct step_trace *trace)
{
    size_t count = (size_t)trace->count;
    struct step_target **sorted = calloc(count + 1, sizeof(void *));
    if (sorted == NULL)
        test_fail("no memory for a trace of %zu points", count);
    for (size_t i = 0; i < count; i++)
        sorted[i] = &trace->point[i];
    qsort(sorted, count, sizeof(void *), compare_places);
    long visits = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || sorted[i]->where != sorted[i - 1]->where)
            visits = 0;
        /* Before and after a call are one visit. */
        sorted[i]->occurrence = sorted[i]->after_call ? visits : ++visits;
    }
    free(sorted);
}

bool victim_record(const struct victim *victim, struct sweep_point *point)
{
    struct step_plan plan = {.prepare = victim->prepare,
                             .op = victim->op,
                             .ctx = victim->sweep->ctx,
                             .grain = victim->sweep->grain,
                             .limit = LONG_MAX,
                             .record = victim->trace};
    int status;
    bool well = live(victim, &plan, point, &status);
    check_end(victim, point, status);
    if (victim->trace->count > STEP_TRACE_POINTS)
        test_fail("an operation of more than %d points",
                  (int)STEP_TRACE_POINTS);
    count_occurrences(victim->trace);
    return well;
}

bool victim_kill(const struct victim *victim, long k, struct sweep_point *point)
{
    const struct sweep *sweep = victim->sweep;
    struct step_plan plan = {.prepare = victim->prepare,
                             .op = victim->op,
                             .ctx = sweep->ctx,
                             .grain = sweep->grain,
                             .limit = k,
                             .trace = victim->trace};
    int status;
    if (!sweep->always_step && k <= victim->trace->count) {
        plan.target = &victim->trace->point[k - 1];
        bool well = live(victim, &plan, point, &status);
        if (!well || (was_killed(status) && point->where != 0))
            return well;
        /* The course was another one this time, or code is not writable: walk
         * there step by step. */
        sweep->oracle(sweep->ctx, point, victim->result);
        plan.target = NULL;
    }
    bool well = live(victim, &plan, point, &status);
    check_end(victim, point, status);
    return well;
}
