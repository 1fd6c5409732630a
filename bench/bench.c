/* Rounds, results and teams.
 *
 * A case runs in a forked process whose stdout is a pipe to the main process,
 * which collects the lines.  A script in another language is the same thing
 * with an exec.  Nothing can hang: a case has an alarm clock, and every
 * process dies with the one that forked it. */
#include "bench.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S     INT64_C(1000000000)
#define ROUNDS       5
#define ROUNDS_MAX   1000
#define CASE_LIMIT_S 60
#define EXIT_SKIPPED 77
#define EXIT_USAGE   2
#define FIELDS       5 /* of a result line */

#define BUSY    0.05
#define BUSY_NS INT64_C(300000000)

#define CALIBRATION_TRIES 5
#define CALIBRATION_LOOPS 2000000

/* One result: what stands before its value, and after. */
struct bench_row {
    char head[128];
    char unit[16];
};

/* ---- clocks and work ---- */

int64_t bench_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

void bench_sleep_until(int64_t ns)
{
    struct timespec until = {ns / NS_PER_S, ns % NS_PER_S};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) ==
           EINTR)
        ;
}

/* One copy for all callers, because an inlined one could run at another
 * speed than the one that was calibrated. */
__attribute__((noinline)) void bench_work(uint64_t loops)
{
    uint64_t x = loops;

    for (uint64_t i = 0; i < loops; i++) {
        x = x * 5 + i;
        __asm__ volatile("" : "+r"(x));
    }
}

uint64_t bench_work_loops(double ns)
{
    double best = INFINITY;

    for (int i = 0; i < CALIBRATION_TRIES; i++) {
        int64_t start = bench_now();

        bench_work(CALIBRATION_LOOPS);
        best = fmin(best, (double)(bench_now() - start));
    }
    return (uint64_t)(ns * CALIBRATION_LOOPS / best + 0.5);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static void *enlarge(void *memory, size_t size)
{
    memory = realloc(memory, size);
    if (memory == NULL)
        err(EXIT_FAILURE, "realloc");
    return memory;
}

void *bench_shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        err(EXIT_FAILURE, "mmap of %zu bytes", size);
    return memory;
}

/* ---- processes ---- */

/* Called in a forked child. */
static void die_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_FAILURE);
}

static void make_pipe(int fds[2])
{
    if (pipe(fds) != 0 || fcntl(fds[0], F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(fds[1], F_SETFD, FD_CLOEXEC) != 0)
        err(EXIT_FAILURE, "pipe");
}

/* Each member closes its own copy of the gate before it says that it is
 * ready.  So the last copy is ours, and closing it opens the gate for all. */
static void team_member(int ready, const int gate[2])
{
    char byte = 0;

    close(gate[1]);
    if (write(ready, &byte, 1) != 1)
        _exit(EXIT_FAILURE);
    close(ready);
    while (read(gate[0], &byte, 1) < 0 && errno == EINTR)
        ;
    close(gate[0]);
}

void bench_team_start(struct bench_team *team, size_t count,
                      void (*work)(void *arg, size_t index), void *arg)
{
    pid_t parent = getpid();
    size_t ready_count = 0;
    ssize_t got;
    char bytes[BENCH_TEAM_MAX];
    int ready[2];
    int gate[2];

    if (count > BENCH_TEAM_MAX)
        errx(EXIT_FAILURE, "a team of %zu is too large", count);
    make_pipe(ready);
    make_pipe(gate);
    for (team->count = 0; team->count < count; team->count++) {
        pid_t pid = fork();

        if (pid < 0)
            err(EXIT_FAILURE, "fork");
        if (pid == 0) {
            die_with(parent);
            close(ready[0]);
            team_member(ready[1], gate);
            work(arg, team->count);
            _exit(EXIT_SUCCESS);
        }
        team->pids[team->count] = pid;
    }
    close(ready[1]);
    close(gate[0]);
    while (ready_count < count) {
        got = read(ready[0], bytes, sizeof bytes);
        if (got == 0)
            errx(EXIT_FAILURE, "a process died before the start");
        if (got > 0)
            ready_count += (size_t)got;
    }
    close(ready[0]);
    close(gate[1]);
}

static bool succeeded(pid_t pid, int *status)
{
    while (waitpid(pid, status, 0) < 0) {
        if (errno != EINTR)
            err(EXIT_FAILURE, "waitpid");
    }
    return WIFEXITED(*status) && WEXITSTATUS(*status) == EXIT_SUCCESS;
}

void bench_team_join(struct bench_team *team)
{
    size_t failed = 0;
    int status;

    for (size_t i = 0; i < team->count; i++)
        failed += !succeeded(team->pids[i], &status);
    if (failed > 0)
        errx(EXIT_FAILURE, "%zu of %zu processes failed", failed, team->count);
}

/* ---- results ---- */

void bench_result(const struct bench_case *c, const char *suffix, double value,
                  const char *unit)
{
    printf("%s\t%s\t%s%s\t%.9g\t%s\n", c->workload, c->peer, c->params, suffix,
           value, unit);
    fflush(stdout);
}

void bench_skip(void)
{
    _exit(EXIT_SKIPPED);
}

void bench_run_python(const struct bench_case *c)
{
    const char *name = c->what;
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", IPC_BENCH_DIR, name);
    execlp("python3", "python3", path, (char *)NULL);
    if (errno == ENOENT)
        bench_skip();
    err(EXIT_FAILURE, "python3");
}

/* The row with this head and unit, made if there is none; its index. */
static size_t find_row(struct bench *bench, const struct bench_row *wanted)
{
    size_t count = bench->row_count;
    size_t rounds = bench->rounds;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(bench->rows[i].head, wanted->head) == 0 &&
            strcmp(bench->rows[i].unit, wanted->unit) == 0)
            return i;
    }
    bench->rows = enlarge(bench->rows, (count + 1) * sizeof *bench->rows);
    bench->values =
        enlarge(bench->values, (count + 1) * rounds * sizeof *bench->values);
    bench->rows[count] = *wanted;
    for (size_t round = 0; round < rounds; round++)
        bench->values[count * rounds + round] = NAN;
    return bench->row_count++;
}

static bool parse_value(const char *text, double *out)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !isfinite(value))
        return false;
    *out = value;
    return true;
}

/* Keep what a result line says; false for any other line. */
static bool record(struct bench *bench, size_t round, char *line)
{
    char *fields[FIELDS];
    struct bench_row row;
    size_t count = 0;
    size_t index;
    double value;
    int n;

    line[strcspn(line, "\n")] = '\0';
    for (char *f = strsep(&line, "\t"); f != NULL; f = strsep(&line, "\t")) {
        if (count == FIELDS)
            return false;
        fields[count++] = f;
    }
    if (count != FIELDS || !parse_value(fields[3], &value))
        return false;
    n = snprintf(row.head, sizeof row.head, "%s\t%s\t%s", fields[0], fields[1],
                 fields[2]);
    if (n < 0 || (size_t)n >= sizeof row.head)
        return false;
    n = snprintf(row.unit, sizeof row.unit, "%s", fields[4]);
    if (n < 0 || (size_t)n >= sizeof row.unit)
        return false;
    index = find_row(bench, &row);
    bench->values[index * bench->rounds + round] = value;
    return true;
}

/* To four digits or more, and never as 1e+06. */
static void print_value(const struct bench_row *row, const char *suffix,
                        double value)
{
    printf(value < 1000 ? "%s%s\t%.4g\t%s\n" : "%s%s\t%.0f\t%s\n", row->head,
           suffix, value, row->unit);
}

static void print_row(const struct bench *bench, const struct bench_row *row,
                      const double *values, double *scratch)
{
    char suffix[32];
    size_t count = 0;

    for (size_t i = 0; i < bench->rounds; i++) {
        if (!isnan(values[i]))
            scratch[count++] = values[i];
    }
    print_value(row, "", bench_median(scratch, count));
    if (!bench->all)
        return;
    for (size_t i = 0; i < bench->rounds; i++) {
        snprintf(suffix, sizeof suffix, ",round=%zu", i + 1);
        if (!isnan(values[i]))
            print_value(row, suffix, values[i]);
    }
}

static void print_results(const struct bench *bench)
{
    double *scratch = enlarge(NULL, bench->rounds * sizeof *scratch);

    for (size_t i = 0; i < bench->row_count; i++)
        print_row(bench, &bench->rows[i], &bench->values[i * bench->rounds],
                  scratch);
    free(scratch);
    if (fflush(stdout) != 0)
        err(EXIT_FAILURE, "stdout");
}

static void free_all(struct bench *bench)
{
    free(bench->rows);
    free(bench->values);
    free(bench->cases);
}

/* ---- cases and rounds ---- */

void bench_add(struct bench *bench, const char *peer, const char *params,
               bench_run_fn *run, const void *what, const void *how)
{
    size_t count = bench->case_count;

    bench->cases = enlarge(bench->cases, (count + 1) * sizeof *bench->cases);
    bench->cases[bench->case_count++] = (struct bench_case){
        .workload = bench->workload,
        .peer = peer,
        .params = params,
        .run = run,
        .what = what,
        .how = how,
    };
}

static void case_child(const struct bench_case *c, pid_t parent, int out)
{
    die_with(parent);
    alarm(CASE_LIMIT_S);
    if (dup2(out, STDOUT_FILENO) < 0)
        err(EXIT_FAILURE, "dup2");
    close(out);
    c->run(c);
    _exit(EXIT_SUCCESS);
}

static void run_case(struct bench *bench, const struct bench_case *c,
                     size_t round)
{
    pid_t parent = getpid();
    char *line = NULL;
    size_t size = 0;
    bool good = true;
    FILE *lines;
    pid_t pid;
    int fds[2];
    int status;

    make_pipe(fds);
    pid = fork();
    if (pid < 0)
        err(EXIT_FAILURE, "fork");
    if (pid == 0) {
        close(fds[0]);
        case_child(c, parent, fds[1]);
    }
    close(fds[1]);
    lines = fdopen(fds[0], "r");
    if (lines == NULL)
        err(EXIT_FAILURE, "fdopen");
    while (getline(&line, &size, lines) > 0)
        good &= record(bench, round, line);
    free(line);
    fclose(lines);
    if (succeeded(pid, &status) && good)
        return;
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED)
        return;
    if (WIFSIGNALED(status))
        warnx("%s %s: killed by signal %d", c->peer, c->params,
              WTERMSIG(status));
    else
        warnx("%s %s: failed", c->peer, c->params);
    bench->failed = true;
}

/* Time that the CPUs spent since the boot, in all and idle, in ticks. */
static bool read_cpu_time(double *out_all, double *out_idle)
{
    enum {
        IDLE = 3,
        IOWAIT = 4,
        COLUMNS = 8
    };
    char line[256];
    char *next = line + strlen("cpu");
    bool found;
    FILE *f = fopen("/proc/stat", "re");

    if (f == NULL)
        return false;
    found = fgets(line, sizeof line, f) != NULL && strncmp(line, "cpu", 3) == 0;
    fclose(f);
    if (!found)
        return false;
    *out_all = *out_idle = 0;
    for (int i = 0; i < COLUMNS; i++) {
        double ticks = strtod(next, &next);

        *out_all += ticks;
        if (i == IDLE || i == IOWAIT)
            *out_idle += ticks;
    }
    return true;
}

/* While somebody else has a CPU, few fight for a lock, and it looks fast. */
static void warn_if_busy(void)
{
    double all[2];
    double idle[2];
    double busy;

    if (!read_cpu_time(&all[0], &idle[0]))
        return;
    bench_sleep_until(bench_now() + BUSY_NS);
    if (!read_cpu_time(&all[1], &idle[1]) || all[1] <= all[0])
        return;
    busy = 1 - (idle[1] - idle[0]) / (all[1] - all[0]);
    if (busy > BUSY)
        warnx("others use %.0f %% of the CPUs: the results will be poor",
              busy * 100);
}

static void run_rounds(struct bench *bench)
{
    size_t count = bench->case_count;

    warn_if_busy();
    for (size_t round = 0; round < bench->rounds; round++) {
        /* Another peer goes first each time. */
        size_t first = round * count / bench->rounds;

        fprintf(stderr, "ipc-bench-%s: round %zu of %zu\n", bench->workload,
                round + 1, bench->rounds);
        for (size_t i = 0; i < count; i++)
            run_case(bench, &bench->cases[(first + i) % count], round);
    }
}

/* ---- the command line ---- */

static void usage(const char *workload, FILE *to)
{
    fprintf(to,
            "usage: ipc-bench-%s [--rounds N] [--all] [TEXT...]\n"
            "\n"
            "Measure, and print a line each of workload, peer, params, value\n"
            "and unit, separated by tabs; the value is the median of all\n"
            "rounds.  With TEXT, run only what has it in its peer or params.\n"
            "\n"
            "  --rounds N  measure N times (default: $IPC_BENCH_ROUNDS or %d)\n"
            "  --all       print the value of every round, too\n"
            "  --help      this text\n",
            workload, ROUNDS);
}

static size_t parse_rounds(const char *text)
{
    char *end;
    long rounds = strtol(text, &end, 10);

    if (end == text || *end != '\0' || rounds < 1 || rounds > ROUNDS_MAX)
        errx(EXIT_USAGE, "'%s' rounds: a number from 1 to %d is needed", text,
             ROUNDS_MAX);
    return (size_t)rounds;
}

static bool is_selected(const struct bench_case *c, char *const *texts)
{
    if (*texts == NULL)
        return true;
    for (; *texts != NULL; texts++) {
        if (strstr(c->peer, *texts) != NULL ||
            strstr(c->params, *texts) != NULL)
            return true;
    }
    return false;
}

static void keep_selected(struct bench *bench, char *const *texts)
{
    size_t kept = 0;

    for (size_t i = 0; i < bench->case_count; i++) {
        if (is_selected(&bench->cases[i], texts))
            bench->cases[kept++] = bench->cases[i];
    }
    if (kept == 0)
        errx(EXIT_USAGE, "nothing has that in its peer or params");
    bench->case_count = kept;
}

int bench_main(struct bench *bench, int argc, char **argv)
{
    static const struct option options[] = {
        {"rounds", required_argument, NULL, 'r'},
        {"all", no_argument, NULL, 'a'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *rounds = getenv("IPC_BENCH_ROUNDS");
    int option;

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'r':
            rounds = optarg;
            break;
        case 'a':
            bench->all = true;
            break;
        case 'h':
            usage(bench->workload, stdout);
            free_all(bench);
            return EXIT_SUCCESS;
        default:
            usage(bench->workload, stderr);
            free_all(bench);
            return EXIT_USAGE;
        }
    }
    bench->rounds = ROUNDS;
    if (rounds != NULL && *rounds != '\0')
        bench->rounds = parse_rounds(rounds);
    keep_selected(bench, argv + optind);
    run_rounds(bench);
    print_results(bench);
    free_all(bench);
    return bench->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
