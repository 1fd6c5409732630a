/* Four workers compute in phases: nobody begins a step before all have done
 * the one before.
 *
 *     for step in range(STEPS):
 *         compute(my_part)
 *         if barrier.wait() == 0:         # one of them
 *             print(...)
 *
 * A rod is kept at 100 degrees at one end and at 0 at the other.  In each step
 * every piece of it takes the mean temperature of its neighbours, of which some
 * are another worker's.  If a worker died, wait() would tell the others. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

enum {
    WORKERS = 4,
    PIECES = 40, /* between the two ends */
    STEPS = 4000
};

struct rod {
    ipc_barrier barrier;
    double degrees[2][PIECES + 2]; /* before and after a step, in turn */
};

struct part {
    struct rod *rod;
    int first;
};

static void check(int rc, const char *what)
{
    if (rc < 0)
        errx(1, "%s: %s: %s", what, ipc_strerror(rc), ipc_error_detail());
}

static int work(void *arg)
{
    const struct part *part = arg;
    struct rod *rod = part->rod;
    int place;

    for (int step = 0; step < STEPS; step++) {
        const double *before = rod->degrees[step % 2];
        double *after = rod->degrees[1 - step % 2];

        for (int i = part->first; i < part->first + PIECES / WORKERS; i++)
            after[i] = (before[i - 1] + before[i + 1]) / 2;

        place = ipc_barrier_wait(&rod->barrier);
        check(place, "wait");
        if (place == 0 && (step + 1) % 1000 == 0) {
            printf("after %d steps: %.1f in the middle, %.1f near the end\n",
                   step + 1, after[PIECES / 2], after[PIECES]);
            fflush(stdout); /* the next time it may be another worker */
        }
    }
    return 0;
}

int main(void)
{
    struct rod *rod = ipc_shared_alloc(sizeof *rod);
    struct part parts[WORKERS];
    ipc_process p[WORKERS];
    int exitcode, failed = 0;

    if (rod == NULL)
        errx(1, "no family memory: %s", ipc_error_detail());
    check(ipc_barrier_init(&rod->barrier, WORKERS, NULL), "barrier");
    rod->degrees[0][0] = rod->degrees[1][0] = 100;

    for (int i = 0; i < WORKERS; i++) {
        parts[i] = (struct part){rod, 1 + i * PIECES / WORKERS};
        ipc_process_init(&p[i], work, &parts[i], NULL);
        check(ipc_process_start(&p[i]), "start");
    }
    for (int i = 0; i < WORKERS; i++) {
        check(ipc_process_join(&p[i]), "join");
        check(ipc_process_exitcode(&p[i], &exitcode), "exitcode");
        failed |= exitcode != 0;
        ipc_process_close(&p[i]);
    }
    check(ipc_barrier_fini(&rod->barrier), "fini");
    check(ipc_shared_free(rod), "free");
    return failed;
}
