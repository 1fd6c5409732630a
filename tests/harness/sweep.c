/* The sweep: a victim for every kill point. */
#include "harness/sweep.h"

#include "harness/internal.h"
#include "harness/step.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    DEFAULT_MAX_POINTS = 20000,
    DEFAULT_LIMIT_MS = 5000,
    MAX_PRINTED = 8
};

/* ---- one victim ---- */

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

static void check_death(const struct sweep *sweep, int status, long limit)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && step_last()->finished)
        return;
    test_fail("%s: the victim of point %ld ended with wait status 0x%x",
              sweep->name != NULL ? sweep->name : "sweep", limit,
              (unsigned)status);
}

bool step_run(const struct step_run *run, long limit, struct sweep_point *point)
{
    const struct sweep *sweep = run->sweep;
    int limit_ms = sweep->limit_ms > 0 ? sweep->limit_ms : DEFAULT_LIMIT_MS;
    int64_t end = test_now_ns() + (int64_t)limit_ms * 1000000;
    pid_t pid =
        step_start(run->prepare, run->op, sweep->ctx, sweep->grain, limit);
    bool alive_and_well = true;
    if (run->with_meanwhile) {
        alive_and_well = wait_asleep_or_dead(sweep, pid, end);
        bool dead = is_dead(pid);
        point->woken = !dead;
        sweep->meanwhile(sweep->ctx, pid, dead);
    }
    alive_and_well = alive_and_well && wait_dead(pid, end);
    if (!alive_and_well)
        (void)kill(pid, SIGKILL);

    int status;
    if (waitpid(pid, &status, 0) != pid)
        test_fail("waiting for a victim: %m");
    const struct step_page *page = step_last();
    point->pid = pid;
    point->finished = page->finished != 0;
    point->where = page->where;
    point->after_call = page->after_call != 0;
    check_death(sweep, status, limit);
    return alive_and_well;
}

/* ---- all of them ---- */

void sweep_run(const struct sweep *sweep, struct sweep_result *result)
{
    if (sweep_unavailable() != NULL)
        test_skip("%s", sweep_unavailable());
    *result = (struct sweep_result){.points = 0};
    long stride = sweep->stride > 0 ? sweep->stride : 1;
    long max = sweep->max_points > 0 ? sweep->max_points : DEFAULT_MAX_POINTS;
    struct step_run run = {sweep->prepare, sweep->victim, sweep,
                           sweep->meanwhile != NULL};
    for (long step = 1;; step += stride) {
        if (result->points >= max)
            test_fail("the sweep has not ended after %ld points", max);
        if (sweep->reset != NULL)
            sweep->reset(sweep->ctx);
        struct sweep_point point = {.step = step};
        if (!step_run(&run, step, &point))
            sweep_wedge(result, &point);
        result->points += !point.finished;
        result->woken += !point.finished && point.woken;
        sweep->oracle(sweep->ctx, &point, result);
        if (point.finished)
            return;
    }
}

/* ---- findings ---- */

/* Where an instruction lies in its file.  The victims are forks of this
 * process: the same code at the same place. */
static void describe_place(uintptr_t where, char *out, size_t size)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    (void)snprintf(out, size, "?+0x%lx", (unsigned long)where);
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        /* from-to rights offset ... /path/of/file */
        char *rest;
        uintptr_t from = (uintptr_t)test__number(line, 16, &rest);
        uintptr_t to = (uintptr_t)test__number(rest + 1, 16, &rest);
        if (where < from || where >= to)
            continue;
        uintptr_t offset = (uintptr_t)test__number(rest + 6, 16, NULL);
        const char *file = strrchr(line, '/');
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(out, size, "%s+0x%lx", file ? file + 1 : "?",
                       (unsigned long)(where - from + offset));
        break;
    }
    if (maps != NULL)
        (void)fclose(maps);
}

void sweep_describe(const struct sweep_point *point, char *out, size_t size)
{
    char steps[64], place[300];
    (void)snprintf(steps, sizeof steps,
                   point->second > 0 ? "step %ld then %ld" : "step %ld",
                   point->step, point->second);
    describe_place(point->where, place, sizeof place);
    if (point->finished)
        (void)snprintf(out, size, "%s, not killed", steps);
    else
        (void)snprintf(
            out, size, "%s, %s %s", steps,
            point->after_call ? "after the system call at" : "before", place);
}

static void found(const char *what, long *counter, struct sweep_result *result,
                  const struct sweep_point *point)
{
    ++*counter;
    if (result->printed++ >= MAX_PRINTED)
        return;
    char text[512];
    sweep_describe(point, text, sizeof text);
    printf("%s: %s%s\n", what, text,
           result->printed == MAX_PRINTED ? " (no more are shown)" : "");
}

void sweep_wedge(struct sweep_result *result, const struct sweep_point *point)
{
    found("wedge", &result->wedges, result, point);
}

void sweep_torn(struct sweep_result *result, const struct sweep_point *point)
{
    found("torn", &result->torn, result, point);
}

void sweep_lost(struct sweep_result *result, const struct sweep_point *point)
{
    found("lost", &result->lost, result, point);
}

void sweep_leftover(struct sweep_result *result,
                    const struct sweep_point *point)
{
    found("leftover", &result->leftovers, result, point);
}

/* ---- results ---- */

static void report_one(const char *name, const char *what, long value)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%s%s%s", name != NULL ? name : "",
                   name != NULL ? "." : "", what);
    test_report(text, value);
}

void sweep_report(const char *name, const struct sweep_result *result)
{
    report_one(name, "points", result->points);
    if (result->woken > 0)
        report_one(name, "woken", result->woken);
    report_one(name, "wedges", result->wedges);
    report_one(name, "torn", result->torn);
    if (result->lost > 0)
        report_one(name, "lost", result->lost);
    report_one(name, "leftovers", result->leftovers);
}

void sweep_expect_min_points_at(const struct sweep_result *result,
                                long min_points, const char *file, int line)
{
    if (result->points < min_points)
        test_fail_at(file, line, "only %ld kill points, expected %ld",
                     result->points, min_points);
}

void sweep_expect_clean_at(const struct sweep_result *result, long min_points,
                           const char *file, int line)
{
    if (result->wedges + result->torn + result->lost + result->leftovers != 0)
        test_fail_at(file, line,
                     "%ld wedges, %ld torn, %ld lost, %ld leftovers at %ld "
                     "points",
                     result->wedges, result->torn, result->lost,
                     result->leftovers, result->points);
    sweep_expect_min_points_at(result, min_points, file, line);
}
