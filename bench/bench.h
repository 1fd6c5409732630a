/* What the bench programs share: rounds, result lines, and processes that
 * start together.
 *
 *     static void run_pair(const struct bench_case *c)
 *     {
 *         ...
 *         bench_result(c, "", ns_per_pair, "ns");
 *     }
 *
 *     int main(int argc, char **argv)
 *     {
 *         struct bench bench = {.workload = "lock"};
 *
 *         bench_add(&bench, "flock", "1proc", run_pair, &flock_peer, NULL);
 *         ...
 *         return bench_main(&bench, argc, argv);
 *     }
 *
 * A case is one peer with one set of parameters.  A round runs every case
 * once, each in a fresh process, so that no peer sees what another one left
 * behind in its process: threads, fork handlers, a grown heap.  Rounds follow
 * each other, so that all peers see the same minutes of a noisy machine.
 *
 * stdout gets the medians over the rounds and nothing else, a line each:
 *
 *     workload<TAB>peer<TAB>params<TAB>value<TAB>unit
 *
 * Errors: whatever goes wrong ends the case with a line on stderr, and the
 * program with exit code 1 after the other cases. */
#ifndef IPC_BENCH_H
#define IPC_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench_case;

typedef void bench_run_fn(const struct bench_case *c);

/* The strings and what the pointers lead to live as long as the program. */
struct bench_case {
    const char *workload;
    const char *peer;
    const char *params;
    bench_run_fn *run;
    const void *what; /* for run: the peer */
    const void *how;  /* for run: the parameters */
};

struct bench_row;

/* Start with the workload's name and zeros. */
struct bench {
    const char *workload;
    struct bench_case *cases;
    size_t case_count;
    struct bench_row *rows; /* results, in the order of their first value */
    double *values;         /* by row and round; NAN where there is none */
    size_t row_count;
    size_t rounds;
    bool all;    /* print every round's value, too */
    bool failed; /* some case did */
};

/* ---- the program ---- */

void bench_add(struct bench *bench, const char *peer, const char *params,
               bench_run_fn *run, const void *what, const void *how);

/* Read the options, run the rounds, print the results.  Arguments that are
 * no options select the cases whose peer or params contain one of them.
 *
 * Returns the exit code. */
int bench_main(struct bench *bench, int argc, char **argv);

/* ---- inside a case ---- */

/* Report a value for the case; suffix is added to its params.  Once a round
 * for each suffix. */
void bench_result(const struct bench_case *c, const char *suffix, double value,
                  const char *unit);

/* This peer is not there on this machine: no result, and no error. */
void bench_skip(void) __attribute__((noreturn));

/* A case of its own: run the Python script whose name is c->what, which
 * prints its result lines by itself.  Skipped where there is no python3. */
void bench_run_python(const struct bench_case *c);

/* Now, in nanoseconds on the monotonic clock. */
int64_t bench_now(void);
void bench_sleep_until(int64_t ns);

/* Sorts values; count is at least 1. */
double bench_median(double *values, size_t count);

/* Zero-filled memory that forked processes share, on pages of its own. */
void *bench_shared(size_t size);

/* Compute for a while: a chain of dependent steps, without memory accesses
 * and without pause instructions. */
void bench_work(uint64_t loops);

/* How many loops of bench_work() take this long, alone on a CPU. */
uint64_t bench_work_loops(double ns);

/* ---- processes that start together ---- */

#define BENCH_TEAM_MAX 16

struct bench_team {
    pid_t pids[BENCH_TEAM_MAX];
    size_t count;
};

/* Fork count processes that call work(arg, index) and end.  Returns when all
 * of them stand at the gate and it was opened. */
void bench_team_start(struct bench_team *team, size_t count,
                      void (*work)(void *arg, size_t index), void *arg);

/* Wait for all; that one of them failed ends the case. */
void bench_team_join(struct bench_team *team);

#ifdef __cplusplus
}
#endif

#endif
