/* A list that processes share, without a server.
 *
 *     def worker(data, n):
 *         data.append(n)              # data: a Manager().list()
 *
 * Python asks a server process for every append.  Here the list lies in family
 * memory, and each process works on it directly: some tens of nanoseconds, whole
 * or not at all, whoever is killed. */
#include <ipc/ipc.h>

#include <err.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

enum {
    WORKERS = 3,
    ROUNDS = 10000
};

static void check(int rc)
{
    if (rc < 0)
        errx(1, "%s: %s", ipc_strerror(rc), ipc_error_detail());
}

static int append(void *arg)
{
    ipc_list *data = arg;

    for (int i = 1; i <= ROUNDS; i++)
        check(ipc_list_append_i64(data, i));
    return 0;
}

/* Values of any type, and lists in lists. */
static int append_mixed(void *arg)
{
    ipc_list *inner;

    check(ipc_list_append_str(arg, "a string of any length"));
    check(ipc_list_append_f64(arg, 0.5));
    check(ipc_list_append_list(arg, &inner));
    check(ipc_list_append_str(inner, "in the list within"));
    check(ipc_list_close(inner));
    return 0;
}

/* Somebody who never ends by himself. */
static int append_for_ever(void *arg)
{
    int rc;

    while ((rc = ipc_list_append_i64(arg, 0)) == 0)
        continue;
    return rc;
}

static void run(int (*fn)(void *arg), ipc_list *data, int count)
{
    ipc_process p[WORKERS];

    for (int i = 0; i < count; i++) {
        ipc_process_init(&p[i], fn, data, NULL);
        check(ipc_process_start(&p[i]));
    }
    for (int i = 0; i < count; i++) {
        check(ipc_process_join(&p[i]));
        ipc_process_close(&p[i]);
    }
}

static void kill_in_the_middle(ipc_list *data)
{
    ipc_process p;

    ipc_process_init(&p, append_for_ever, data, NULL);
    check(ipc_process_start(&p));
    while (ipc_list_length(data) < 1000)
        continue;
    check(ipc_process_kill(&p));
    check(ipc_process_join(&p));
    ipc_process_close(&p);
}

static void print_last(ipc_list *data)
{
    ipc_any item;
    ipc_list_cursor at = {.index = (uint64_t)WORKERS * ROUNDS};
    char text[80];
    int rc;

    while ((rc = ipc_list_next(data, &at, &item)) == 1) {
        ipc_any_format(&item, text, sizeof text);
        printf("  %s\n", text);
        ipc_any_free(&item);
    }
    check(rc);
}

int main(void)
{
    ipc_list *data;
    int64_t sum = 0;

    check(ipc_list_new(NULL, &data));
    run(append, data, WORKERS);
    for (int i = 0; i < WORKERS * ROUNDS; i++) {
        int64_t n;
        check(ipc_list_get_i64(data, i, &n));
        sum += n;
    }
    printf("%d processes appended %" PRId64 " numbers, together %" PRId64 "\n",
           WORKERS, ipc_list_length(data), sum);

    run(append_mixed, data, 1);
    printf("and then:\n");
    print_last(data);

    check(ipc_list_clear(data));
    kill_in_the_middle(data);
    check(ipc_list_append_str(data, "after it"));
    check(ipc_arena_check(NULL));
    printf("killed in the middle of an append: the list is whole\n");
    check(ipc_list_free(data));
    return 0;
}
