/* An account of 1000 and two customers who want 800 each.
 *
 *     def withdraw(self, amount):
 *         if self.balance.value >= amount:
 *             sleep(0.1)                      # both have looked by now
 *             self.balance.value -= amount
 *
 * Without a lock both see 1000, both find that it is enough, and the account
 * ends at -600.  With the lock held from the look to the withdrawal the second
 * one sees what the first one has left, and is refused. */
#include <ipc/ipc.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>

enum {
    AMOUNT = 800
};

struct bank {
    ipc_value balance;
    int32_t looked; /* how many customers have looked at it */
    ipc_event both_have_looked;
};

struct customer {
    struct bank *bank;
    const char *name;
    bool locks;
};

static void check(int rc, const char *what)
{
    if (rc < 0)
        errx(1, "%s: %s: %s", what, ipc_strerror(rc), ipc_error_detail());
}

/* Think until the other one has looked too.  While we hold the lock he cannot:
 * so not for ever. */
static void think(struct bank *bank, int64_t patience_ms)
{
    int rc;

    if (ipc_atomic_add_i32(&bank->looked, 1) == 1)
        check(ipc_event_set(&bank->both_have_looked), "set");
    rc = ipc_event_wait_until(&bank->both_have_looked,
                              ipc_after_ms(patience_ms));
    if (rc != -ETIMEDOUT)
        check(rc, "wait");
}

static void withdraw(const struct customer *me)
{
    struct bank *bank = me->bank;
    int64_t balance;

    check(ipc_value_get_i64(&bank->balance, &balance), "get");
    think(bank, me->locks ? 50 : 10000);
    if (balance < AMOUNT) {
        printf("  %s: there are only %lld\n", me->name, (long long)balance);
    } else {
        check(ipc_value_add_i64(&bank->balance, -AMOUNT, NULL), "add");
        printf("  %s: there were %lld, I took %d\n", me->name,
               (long long)balance, AMOUNT);
    }
    fflush(stdout); /* before the other one prints */
}

static int visit(void *arg)
{
    const struct customer *me = arg;
    int rc;

    if (me->locks) {
        IPC_WITH_RLOCK(ipc_value_lock(&me->bank->balance), rc)
            withdraw(me);
        check(rc, "lock");
    } else {
        withdraw(me);
    }
    return 0;
}

/* Returns what is left. */
static int64_t run(struct bank *bank, bool locks)
{
    struct customer customers[] = {{bank, "Ann", locks}, {bank, "Bob", locks}};
    ipc_process p[2];
    int64_t left;
    int exitcode;

    check(ipc_value_set_i64(&bank->balance, 1000), "set");
    ipc_atomic_store_i32(&bank->looked, 0);
    check(ipc_event_clear(&bank->both_have_looked), "clear");
    for (int i = 0; i < 2; i++) {
        ipc_process_init(&p[i], visit, &customers[i], NULL);
        check(ipc_process_start(&p[i]), "start");
    }
    for (int i = 0; i < 2; i++) {
        check(ipc_process_join(&p[i]), "join");
        check(ipc_process_exitcode(&p[i], &exitcode), "exitcode");
        if (exitcode != 0)
            errx(1, "a customer ended with %d", exitcode);
        ipc_process_close(&p[i]);
    }
    check(ipc_value_get_i64(&bank->balance, &left), "get");
    printf("%s the lock: %lld are left\n", locks ? "with" : "without",
           (long long)left);
    return left;
}

int main(void)
{
    struct bank *bank = ipc_shared_alloc(sizeof *bank);
    bool right;

    if (bank == NULL)
        errx(1, "no family memory: %s", ipc_error_detail());
    check(ipc_value_init(&bank->balance, sizeof bank->balance,
                         IPC_ELEMENT_INT64, NULL),
          "value");
    right = run(bank, false) == -600;
    right = run(bank, true) == 200 && right;
    ipc_shared_free(bank);
    return right ? 0 : 1;
}
