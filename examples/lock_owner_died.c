/* A process dies holding a lock; the next one is told and repairs the data.
 *
 *     with lock:
 *         account.balance -= 800      # kill -9 here
 *         savings.balance += 800
 *
 * Python's lock would stay locked for ever.  Here the next acquire returns
 * IPC_OWNER_DIED: it holds the lock, the data is as the dead left it.  The
 * rule that makes repair possible: write down what is about to happen before
 * the first change, and cross it out after the last. */
#include <ipc/ipc.h>

#include <err.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

struct bank {
    ipc_lock lock; /* zero-filled memory is a free lock */
    long account;
    long savings;
    long old_account; /* what account was, while moving */
    bool moving;      /* a transfer has begun and has not ended */
};

static void check(int rc, const char *what)
{
    if (rc < 0)
        errx(1, "%s: %s: %s", what, ipc_strerror(rc), ipc_error_detail());
}

/* Death may come between any two steps: keep the compiler from mixing them. */
static void step_done(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

static int transfer(void *arg)
{
    struct bank *bank = arg;
    int rc;

    IPC_WITH_LOCK(&bank->lock, rc) {
        bank->old_account = bank->account;
        step_done();
        bank->moving = true;
        step_done();
        bank->account -= 800;
        raise(SIGKILL);
        bank->savings = 1000 - bank->account;
        step_done();
        bank->moving = false;
    }
    return rc < 0 ? 1 : 0;
}

static int repair(void *arg)
{
    struct bank *bank = arg;

    printf("the owner died: account %ld, savings %ld\n", bank->account,
           bank->savings);
    if (bank->moving) {
        bank->account = bank->old_account;
        bank->savings = 1000 - bank->account;
        step_done();
        bank->moving = false;
    }
    return 0;
}

int main(void)
{
    struct bank *bank = ipc_shared_alloc(sizeof *bank);
    int exitcode = 0, rc;
    ipc_process p;

    if (bank == NULL)
        errx(1, "no family memory: %s", ipc_error_detail());
    bank->account = 1000; /* account and savings: 1000 together */

    ipc_process_init(&p, transfer, bank, NULL);
    check(ipc_process_start(&p), "start");
    check(ipc_process_join(&p), "join");
    check(ipc_process_exitcode(&p, &exitcode), "exitcode");
    ipc_process_close(&p);
    printf("the child ended with %d\n", exitcode);

    rc =
        ipc_lock_acquire_or_repair(&bank->lock, IPC_TIME_FOREVER, repair, bank);
    check(rc, "acquire");
    printf("repaired:       account %ld, savings %ld\n", bank->account,
           bank->savings);
    check(ipc_lock_release(&bank->lock), "release");

    exitcode = rc == IPC_OWNER_DIED && bank->account == 1000 ? 0 : 1;
    ipc_shared_free(bank);
    return exitcode;
}
