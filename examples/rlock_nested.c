/* A function that holds the lock calls another one that takes it too.
 *
 *     def add(self, amount):
 *         with self.lock:                 # an RLock
 *             self.balance += amount
 *
 *     def move(self, to, amount):
 *         with self.lock:                 # held over both
 *             self.add(-amount)
 *             to.add(amount)
 *
 * add() is right on its own and as a part of move().  With a plain lock add()
 * would wait for its own caller: ipc_lock says so instead, -EDEADLK. */
#include <ipc/ipc.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>

enum {
    MOVES = 10000
};

struct bank {
    ipc_rlock lock; /* zero-filled memory is a free rlock */
    ipc_lock plain;
    long accounts[2]; /* 1000 together, whenever nobody is inside */
    uint32_t deepest;
};

static void check(int rc)
{
    if (rc < 0)
        errx(1, "rlock_nested: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

static void add(struct bank *bank, int account, long amount)
{
    int rc;

    IPC_WITH_RLOCK(&bank->lock, rc) {
        bank->accounts[account] += amount;
        if (ipc_rlock_depth(&bank->lock) > bank->deepest)
            bank->deepest = ipc_rlock_depth(&bank->lock);
    }
    check(rc);
}

static void move(struct bank *bank, int from, int to, long amount)
{
    int rc;

    IPC_WITH_RLOCK(&bank->lock, rc) {
        add(bank, from, -amount);
        add(bank, to, amount);
        if (bank->accounts[0] + bank->accounts[1] != 1000)
            errx(1, "somebody came in between");
    }
    check(rc);
}

static int move_about(void *arg)
{
    for (int i = 0; i < MOVES; i++)
        move(arg, i % 2, 1 - i % 2, 10);
    return 0;
}

int main(void)
{
    struct bank *bank = ipc_shared_alloc(sizeof *bank);
    ipc_process p[2];
    int exitcode, failed = 0, rc = 0;

    if (bank == NULL)
        errx(1, "no family memory: %s", ipc_error_detail());
    add(bank, 0, 1000);
    for (int i = 0; i < 2; i++) {
        ipc_process_init(&p[i], move_about, bank, NULL);
        check(ipc_process_start(&p[i]));
    }
    for (int i = 0; i < 2; i++) {
        check(ipc_process_join(&p[i]));
        check(ipc_process_exitcode(&p[i], &exitcode));
        failed |= exitcode != 0;
        ipc_process_close(&p[i]);
    }
    printf("%d moves at depth %u: %ld and %ld\n", 2 * MOVES, bank->deepest,
           bank->accounts[0], bank->accounts[1]);

    check(ipc_lock_acquire(&bank->plain));
    rc = ipc_lock_acquire(&bank->plain);
    printf("a plain lock, twice: %s\n", ipc_strerror(rc));
    failed |= rc != -EDEADLK;
    check(ipc_lock_release(&bank->plain));
    check(ipc_shared_free(bank));
    return failed;
}
