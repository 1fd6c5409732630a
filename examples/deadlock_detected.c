/* Two processes want two locks, each in another order: without help both wait
 * for ever.
 *
 *     $ IPC_CHECK=1 ./program        # or, as here, ipc_check_enable(true)
 *
 * In check mode the one that would close the circle is told -EDEADLK, and the
 * error detail names all who take part.  It gives back what it has, and tries
 * again a moment later.  (Better still: all take them in the same order.) */
#include <ipc/ipc.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>

struct table {
    ipc_lock fork, knife;
    ipc_barrier each_has_one;
    int told, ate; /* under both locks */
};

struct guest {
    const char *name;
    struct table *table;
    ipc_lock *first, *second;
};

static void check(int rc, const char *what)
{
    if (rc < 0)
        errx(1, "%s: %s: %s", what, ipc_strerror(rc), ipc_error_detail());
}

static int eat(void *arg)
{
    const struct guest *guest = arg;
    struct table *table = guest->table;
    int told = 0, rc;

    check(ipc_lock_acquire(guest->first), "the first");
    check(ipc_barrier_wait(&table->each_has_one), "the other guest");

    while ((rc = ipc_lock_acquire(guest->second)) == -EDEADLK) {
        if (told++ == 0)
            printf("%s is told: %s\n", guest->name, ipc_error_detail());
        check(ipc_lock_release(guest->first), "release");
        ipc_sleep_until(ipc_after_ms(1)); /* the other one takes it */
        check(ipc_lock_acquire(guest->first), "the first again");
    }
    check(rc, "the second");
    table->told += told;
    table->ate++;
    printf("%s eats\n", guest->name);
    check(ipc_lock_release(guest->second), "release");
    check(ipc_lock_release(guest->first), "release");
    return 0;
}

static void label(ipc_lock *lock, const char *text)
{
    ipc_lock_options options = IPC_LOCK_OPTIONS_INIT;

    options.label = text;
    check(ipc_lock_init(lock, &options), "lock");
}

int main(void)
{
    struct table *table = ipc_shared_alloc(sizeof *table);
    int failed = 0;

    if (table == NULL)
        errx(1, "no family memory: %s", ipc_error_detail());
    ipc_check_enable(true);
    label(&table->fork, "fork");
    label(&table->knife, "knife");
    check(ipc_barrier_init(&table->each_has_one, 2, NULL), "barrier");

    struct guest guests[] = {{"Ada", table, &table->fork, &table->knife},
                             {"Bob", table, &table->knife, &table->fork}};
    ipc_process p[2];

    for (int i = 0; i < 2; i++) {
        check(ipc_process_init(&p[i], eat, &guests[i], NULL), "process");
        check(ipc_process_start(&p[i]), "start");
    }
    for (int i = 0; i < 2; i++) {
        int exitcode = 0;

        check(ipc_process_join(&p[i]), "join");
        check(ipc_process_exitcode(&p[i], &exitcode), "exitcode");
        failed += exitcode != 0;
        ipc_process_close(&p[i]);
    }
    if (table->told > 0)
        printf("a deadlock was found, and %d of 2 guests ate\n", table->ate);
    failed += table->told == 0 || table->ate != 2;
    ipc_shared_free(table);
    return failed != 0;
}
