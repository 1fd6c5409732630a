/* Workers that may be anywhere, on a queue with leases.
 *
 *     job = queue.get()               # the worker is killed here:
 *     results[job] = work(job)        # the job is lost, and join() waits
 *     queue.task_done()               # for ever
 *
 * Here a worker takes a job on a lease, which it renews while it works.  When
 * it dies, or nobody hears of it any more, the lease runs out and the job is
 * there for the next one.  Each worker has a connection of its own, over tcp,
 * as if it were on another machine.
 *
 * One of them is killed in the middle of a job.  The jobs: pairs of primes that differ by 2, below a million. */
#include <ipc/ipc.h>
#include <ipc/managed.h>

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

enum {
    WORKERS = 3,
    JOBS = 20,
    SPAN = 1000000 / JOBS,
    STEP = SPAN / 10, /* then the lease is renewed */
    FATAL = 7,        /* the job that somebody is killed at */
    LEASE_MS = 500
};

static ipc_manager *manager; /* of who has started it */

static void check(int rc)
{
    if (rc < 0)
        errx(1, "%s: %s", ipc_strerror(rc), ipc_error_detail());
}

static ipc_managed *open_jobs(ipc_manager *at)
{
    ipc_managed_options options = IPC_MANAGED_OPTIONS_INIT;
    ipc_managed *jobs;

    options.lease_ns = IPC_MS(LEASE_MS);
    check(ipc_manager_queue(at, "jobs", &options, &jobs));
    return jobs;
}

/* ---- the work ---- */

static bool is_prime(int64_t n)
{
    if (n < 2 || (n > 2 && n % 2 == 0))
        return false;
    for (int64_t i = 3; i * i <= n; i += 2)
        if (n % i == 0)
            return false;
    return true;
}

static int64_t count_pairs(int64_t first, int64_t end)
{
    int64_t pairs = 0;

    for (int64_t n = first; n < end; n++)
        pairs += is_prime(n) && is_prime(n + 2);
    return pairs;
}

/* What a worker has of the manager. */
struct office {
    ipc_manager *manager;
    ipc_managed *jobs;
    ipc_managed *accident; /* one permit: for the one that is killed */
    ipc_dict *results;
};

/* Returns -ESTALE when somebody else has the job by now. */
static int do_job(const struct office *office, const ipc_managed_lease *job,
                  int64_t *out)
{
    const int64_t number = job->message.i64, first = number * SPAN;

    *out = 0;
    for (int64_t n = first; n < first + SPAN; n += STEP) {
        const int rc =
            ipc_managed_queue_extend(office->jobs, job, IPC_MS(LEASE_MS));
        if (rc < 0)
            return rc;
        if (number == FATAL && n >= first + SPAN / 2 &&
            ipc_managed_semaphore_acquire_nowait(office->accident) == 0)
            raise(SIGKILL);
        *out += count_pairs(n, n + STEP);
    }
    return 0;
}

/* First the result, then the ack: who dies in between leaves a job that is done
 * once more, and has its result already. */
static int finish(const struct office *office, const ipc_managed_lease *job,
                  int64_t pairs)
{
    check(ipc_dict_setdefault(office->results, job->message, ipc_i64(pairs),
                              NULL));
    if (job->deliveries > 1)
        printf("job %" PRId64 ", attempt %u: done\n", job->message.i64,
               job->deliveries);
    return ipc_managed_queue_ack(office->jobs, job);
}

static void work(const struct office *office)
{
    ipc_managed_lease job;
    int64_t pairs;
    int rc;

    while ((rc = ipc_managed_queue_take(office->jobs, &job)) == 0) {
        rc = do_job(office, &job, &pairs);
        if (rc == 0)
            rc = finish(office, &job, pairs);
        if (rc != -ESTALE)
            check(rc);
        ipc_managed_lease_free(&job);
    }
    if (rc != -EPIPE) /* no more to come */
        check(rc);
}

/* It knows no more than address and key. */
static int worker(void *arg)
{
    struct office office;
    size_t bytes;
    const void *key = ipc_manager_key(manager, &bytes);

    (void)arg;
    check(ipc_manager_connect(ipc_manager_address(manager), key, bytes, NULL,
                              &office.manager));
    office.jobs = open_jobs(office.manager);
    check(ipc_manager_dict(office.manager, "results", &office.results));
    check(ipc_manager_semaphore(office.manager, "accident", 1, NULL,
                                &office.accident));
    work(&office);
    check(ipc_managed_close(office.jobs));
    check(ipc_managed_close(office.accident));
    check(ipc_dict_close(office.results));
    return ipc_manager_close(office.manager);
}

/* How many were killed. */
static int run_workers(void)
{
    ipc_process p[WORKERS];
    int exitcode, killed = 0;

    for (int i = 0; i < WORKERS; i++) {
        ipc_process_init(&p[i], worker, NULL, NULL);
        check(ipc_process_start(&p[i]));
    }
    for (int i = 0; i < WORKERS; i++) {
        check(ipc_process_join(&p[i]));
        check(ipc_process_exitcode(&p[i], &exitcode));
        killed += exitcode == -SIGKILL;
        ipc_process_close(&p[i]);
    }
    return killed;
}

int main(void)
{
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    const char *address = "tcp://127.0.0.1:0"; /* any port that is free */
    int64_t pairs = 0;
    ipc_managed *jobs;
    ipc_dict *results;
    ipc_anys counts;

    options.addresses = &address;
    options.address_count = 1;
    check(ipc_manager_start(&options, &manager));
    jobs = open_jobs(manager);
    check(ipc_manager_dict(manager, "results", &results));
    for (int i = 0; i < JOBS; i++)
        check(ipc_managed_queue_put(jobs, ipc_i64(i)));
    check(ipc_managed_queue_close(jobs, false));

    const int killed = run_workers();
    check(ipc_managed_queue_join(jobs));
    check(ipc_dict_values(results, &counts));
    for (size_t i = 0; i < counts.count; i++)
        pairs += counts.items[i].i64;
    printf("%zu of %d jobs done by %d workers, %d of them killed: %" PRId64
           " pairs\n",
           counts.count, JOBS, WORKERS, killed, pairs);
    const bool fine = counts.count == JOBS && killed == 1 && pairs == 8169;
    ipc_anys_free(&counts);
    check(ipc_managed_close(jobs));
    check(ipc_dict_close(results));
    check(ipc_manager_close(manager));
    return !fine;
}
