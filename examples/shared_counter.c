/* Four processes count together, in three ways.
 *
 *     def count(v):
 *         for i in range(20000):
 *             v.value += 1                    # loses some
 *             with v.get_lock():
 *                 v.value += 1                # loses none
 *
 * "v.value += 1" is three steps: read, add, write.  Whoever writes what he has
 * read before others wrote undoes what they did.  With the value's lock around
 * them the three are one.  ipc_value_add_i64() is one by itself, and so is
 * ipc_atomic_add_i64() on a plain integer, which is the fastest. */
#include <ipc/ipc.h>

#include <err.h>
#include <stdio.h>

enum {
    PROCESSES = 4,
    ROUNDS = 20000,
    TOTAL = PROCESSES * ROUNDS
};

struct counters {
    ipc_value careless;
    ipc_value locked;
    ipc_value added;
    int64_t atomic;
    int32_t readers;
    ipc_event all_have_read;
};

static void check(int rc, const char *what)
{
    if (rc < 0)
        errx(1, "%s: %s: %s", what, ipc_strerror(rc), ipc_error_detail());
}

/* So that some are lost in any case, also where one process is done before the
 * next one starts: none goes on before all four have come. */
static void meet_others(struct counters *c)
{
    if (ipc_atomic_add_i32(&c->readers, 1) == PROCESSES - 1)
        check(ipc_event_set(&c->all_have_read), "set");
    check(ipc_event_wait(&c->all_have_read), "wait");
}

static int count(void *arg)
{
    struct counters *c = arg;
    int64_t n;
    int rc;

    for (int i = 0; i < ROUNDS; i++) {
        check(ipc_value_get_i64(&c->careless, &n), "get");
        if (i == 0)
            meet_others(c);
        check(ipc_value_set_i64(&c->careless, n + 1), "set");
    }
    for (int i = 0; i < ROUNDS; i++) {
        IPC_WITH_RLOCK(ipc_value_lock(&c->locked), rc) {
            check(ipc_value_get_i64(&c->locked, &n), "get");
            check(ipc_value_set_i64(&c->locked, n + 1), "set");
        }
        check(rc, "lock");
        check(ipc_value_add_i64(&c->added, 1, NULL), "add");
        ipc_atomic_add_i64(&c->atomic, 1);
    }
    return 0;
}

static bool lost_some(const char *how, int64_t n)
{
    printf("%-23s %d times 1 made %lld: %lld were lost\n", how, TOTAL,
           (long long)n, (long long)(TOTAL - n));
    return n != TOTAL;
}

static bool value_lost_some(const char *how, ipc_value *value)
{
    int64_t n;

    check(ipc_value_get_i64(value, &n), "get");
    return lost_some(how, n);
}

int main(void)
{
    struct counters *c = ipc_shared_alloc(sizeof *c);
    ipc_value *values[3];
    ipc_process p[PROCESSES];
    int exitcode;

    if (c == NULL)
        errx(1, "no family memory: %s", ipc_error_detail());
    values[0] = &c->careless;
    values[1] = &c->locked;
    values[2] = &c->added;
    for (int i = 0; i < 3; i++)
        check(ipc_value_init(values[i], sizeof *values[i], IPC_ELEMENT_INT64,
                             NULL),
              "value");

    for (int i = 0; i < PROCESSES; i++) {
        ipc_process_init(&p[i], count, c, NULL);
        check(ipc_process_start(&p[i]), "start");
    }
    for (int i = 0; i < PROCESSES; i++) {
        check(ipc_process_join(&p[i]), "join");
        check(ipc_process_exitcode(&p[i], &exitcode), "exitcode");
        if (exitcode != 0)
            errx(1, "a process ended with %d", exitcode);
        ipc_process_close(&p[i]);
    }

    /* The first way loses some, the others none. */
    exitcode = !value_lost_some("get and set:", &c->careless);
    exitcode |= value_lost_some("the same with its lock:", &c->locked);
    exitcode |= value_lost_some("ipc_value_add_i64:", &c->added);
    exitcode |=
        lost_some("ipc_atomic_add_i64:", ipc_atomic_load_i64(&c->atomic));
    ipc_shared_free(c);
    return exitcode;
}
