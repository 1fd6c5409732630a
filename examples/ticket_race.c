/* The ticket race: several processes buy tickets from one JSON file.
 *
 *     def task(name, lock):
 *         search(name)                  # look: how many are left?
 *         lock.acquire()
 *         get(name)                     # read, think, count - 1, write
 *         lock.release()
 *
 *     for i in range(1, 5):
 *         Process(target=task, args=(f'Tom-{i}', lock)).start()
 *
 * Without the lock everybody reads before anybody writes, and more is sold
 * than there is.  With it each sale waits for the one before.  And when a
 * buyer is killed with the lock in its hand, the next one is told so, repairs
 * the file and goes on: where Python's buyers would wait for ever.
 *
 * This file is the race.  The lock is taken in ticket_office.c, the file and
 * its repair are in ticket_db.c, the command line in ticket_options.c. */
#include "ticket_office.h"
#include "ticket_options.h"
#include "ticket_say.h"

#include <ipc/ipc.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EXIT_UNUSABLE 2 /* wrong options, or a file that cannot be used */

/* Where --kill kills a buyer that holds the lock. */
enum kill_point {
    BEFORE_WRITING,
    HALF_WRITTEN,
    KILL_POINTS
};

/* Seen by all processes: lies in family memory. */
struct shared {
    ipc_lock gate; /* held by the main process until all have looked */
    atomic_int looked, sold, owner_died;
    atomic_int victim[KILL_POINTS]; /* number of the buyer that stopped there */
};

/* Each process has its own copy of this, as it was when it started. */
struct race {
    struct ticket_options options;
    struct ticket_office office;
    int story_fd;
    struct shared *shared;
    struct buyer *buyers;
};

/* A process that buys one ticket: "class Buyer(Process)". */
struct buyer {
    ipc_process process;
    struct race *race;
    int number;
};

/* ---- the buyer's process ---- */

/* With --kill, the first buyer to come here stops, and waits for its end. */
static void stop_here(const struct buyer *self, enum kill_point point)
{
    struct shared *shared = self->race->shared;

    if (!self->race->options.kill || atomic_load(&shared->victim[point]) != 0)
        return;
    atomic_store(&shared->victim[point], self->number);
    ipc_sleep_until(IPC_TIME_FOREVER);
}

static int look(struct buyer *self, const char *name)
{
    struct race *race = self->race;
    json_t *tickets;
    long long count;

    if (ticket_office_look(&race->office, &tickets, &count) < 0)
        return complain(name, race->office.db.error);
    json_decref(tickets);
    say(race->story_fd, "%s looks: %lld left", name, count);
    atomic_fetch_add(&race->shared->looked, 1);
    return 0;
}

/* The main process holds the gate until all have looked. */
static int wait_for_gate(struct buyer *self, const char *name)
{
    int rc = ipc_lock_acquire(&self->race->shared->gate);

    if (rc != 0) /* it died: there is no race */
        return complain_result(name, "gate", rc);
    ipc_lock_release(&self->race->shared->gate);
    return 0;
}

/* Write the file with one ticket less.  The file is empty for a moment. */
static int write_one_less(struct buyer *self, json_t *tickets, long long count)
{
    const bool locked = self->race->options.lock != TICKET_LOCK_NONE;
    struct ticket_db *db = &self->race->office.db;
    int fd, rc = 0;

    if (locked)
        rc = ticket_db_save_undo(db, tickets);
    if (rc < 0)
        return rc;
    json_object_set_new(tickets, "count", json_integer(count - 1));
    rc = fd = ticket_db_truncate(db);
    if (fd >= 0) {
        stop_here(self, HALF_WRITTEN);
        rc = ticket_db_write(db, fd, tickets);
    }
    if (rc == 0 && locked)
        rc = ticket_db_commit(db);
    if (rc < 0 && locked)
        (void)ticket_db_recover(db);
    return rc;
}

/* In the locked section, if there is a lock. */
static int buy(struct buyer *self, const char *name)
{
    struct race *race = self->race;
    json_t *tickets;
    long long count;
    int rc;

    if (race->options.lock == TICKET_LOCK_NONE)
        rc = ticket_office_look(&race->office, &tickets, &count);
    else
        rc = ticket_db_read(&race->office.db, &tickets, &count);
    if (rc < 0)
        return complain(name, race->office.db.error);

    if (count > 0) {
        ipc_sleep_until(ipc_after_ms(race->options.think_ms));
        stop_here(self, BEFORE_WRITING);
        rc = write_one_less(self, tickets, count);
    }
    json_decref(tickets);
    if (rc < 0)
        return complain(name, race->office.db.error);

    if (count > 0) {
        atomic_fetch_add(&race->shared->sold, 1);
        say(race->story_fd, "%s bought a ticket, %lld left", name, count - 1);
    } else {
        say(race->story_fd, "%s found none left", name);
    }
    return 0;
}

static int buyer_run(ipc_process *process)
{
    struct buyer *self = (struct buyer *)process;
    struct ticket_office *office = &self->race->office;
    const char *name = ipc_process_name(process);
    int rc;

    if (look(self, name) < 0 || wait_for_gate(self, name) < 0)
        return EXIT_FAILURE;

    rc = ticket_office_enter(office, name);
    if (rc < 0)
        return EXIT_FAILURE;
    if (rc == IPC_OWNER_DIED)
        atomic_fetch_add(&self->race->shared->owner_died, 1);
    rc = buy(self, name);
    ticket_office_leave(office);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- the race ---- */

static int start_buyer(struct race *race, int number)
{
    static const ipc_process_ops ops = {.run = buyer_run};
    ipc_process_options options = IPC_PROCESS_OPTIONS_INIT;
    struct buyer *buyer = &race->buyers[number - 1];
    char name[32];
    int rc;

    snprintf(name, sizeof name, "Tom-%d", number);
    options.name = name;
    options.daemon = true; /* nobody buys when the race is broken off */
    buyer->race = race;
    buyer->number = number;
    ipc_process_init_ops(&buyer->process, &ops, &options);
    rc = ipc_process_start(&buyer->process);
    return rc < 0 ? complain_result(name, "start", rc) : 0;
}

/* Wait until *word has reached a number; false when a buyer ended first. */
static bool wait_for(atomic_int *word, int number, int alive)
{
    while (atomic_load(word) < number) {
        if ((int)ipc_active_children(NULL, 0) < alive)
            return atomic_load(word) >= number;
        ipc_sleep_until(ipc_after_ms(1));
    }
    return true;
}

/* Kill a buyer at each point, when it has said that it stands there. */
static int kill_buyers(struct race *race)
{
    static const char *const where[KILL_POINTS] = {
        [BEFORE_WRITING] = "between reading and writing",
        [HALF_WRITTEN] = "between truncating and writing",
    };

    for (int point = 0; point < KILL_POINTS; point++) {
        atomic_int *victim = &race->shared->victim[point];
        ipc_process *process;
        int rc;

        if (!wait_for(victim, 1, 1))
            return complain("", "nobody stopped to be killed");
        process = &race->buyers[atomic_load(victim) - 1].process;
        say(race->story_fd, "%s is killed inside the locked section (%s)",
            ipc_process_name(process), where[point]);
        rc = ipc_process_kill(process);
        if (rc == 0)
            rc = ipc_process_join(process);
        if (rc < 0)
            return complain_result(ipc_process_name(process), "kill", rc);
    }
    return 0;
}

/* Join a buyer; did it end as it should? */
static int finish_buyer(struct race *race, struct buyer *buyer)
{
    const char *name = ipc_process_name(&buyer->process);
    int expected = 0, exitcode = 0, rc;

    for (int point = 0; point < KILL_POINTS; point++)
        if (atomic_load(&race->shared->victim[point]) == buyer->number)
            expected = -SIGKILL;
    rc = ipc_process_join(&buyer->process);
    if (rc == 0)
        rc = ipc_process_exitcode(&buyer->process, &exitcode);
    if (rc < 0)
        return complain_result(name, "join", rc);
    ipc_process_close(&buyer->process);
    if (exitcode == expected || exitcode > 0) /* it has told why */
        return exitcode == expected ? 0 : -1;
    say(STDERR_FILENO, "ticket-race: %s ended with %d", name, exitcode);
    return -1;
}

/* All look, then all buy at once.  Returns 0, or -1 when something failed. */
static int run(struct race *race)
{
    const int buyers = race->options.buyers;
    int started, rc;

    rc = ipc_lock_acquire(&race->shared->gate);
    if (rc < 0)
        return complain_result("", "gate", rc);
    for (started = 0; started < buyers; started++) {
        rc = start_buyer(race, started + 1);
        if (rc < 0)
            break;
    }
    if (rc == 0)
        wait_for(&race->shared->looked, buyers, buyers);
    ipc_lock_release(&race->shared->gate);

    if (rc == 0 && race->options.kill)
        rc = kill_buyers(race);
    for (int i = 0; rc < 0 && i < started; i++)
        ipc_process_kill(&race->buyers[i].process);
    for (int i = 0; i < started; i++)
        if (finish_buyer(race, &race->buyers[i]) < 0)
            rc = -1;
    return rc;
}

/* ---- the result ---- */

/* How many tickets are left?  -1 in out_left: buyers without a lock wrote over
 * each other, and nobody knows. */
static int count_left(struct race *race, long long *out_left)
{
    json_t *tickets;
    int rc;

    rc = ticket_office_enter(&race->office, "main");
    if (rc < 0)
        return -1;
    if (rc == IPC_OWNER_DIED)
        atomic_fetch_add(&race->shared->owner_died, 1);
    rc = ticket_office_look(&race->office, &tickets, out_left);
    ticket_office_leave(&race->office);
    if (rc == 0) {
        json_decref(tickets);
    } else if (rc == -EBADMSG && race->options.lock == TICKET_LOCK_NONE) {
        *out_left = -1;
        rc = 0;
    } else {
        complain("", race->office.db.error);
    }
    return rc;
}

static int print_json(const struct race *race, long long sold, long long left,
                      long long oversold, int owner_died)
{
    json_t *result = json_pack("{s:s, s:I, s:i, s:I, s:I, s:I, s:i}", "mode",
                               ticket_options_mode(&race->options), "tickets",
                               (json_int_t)race->office.tickets, "buyers",
                               race->options.buyers, "sold", (json_int_t)sold,
                               "left", (json_int_t)left, "oversold",
                               (json_int_t)oversold, "owner_died", owner_died);
    int rc = json_dumpf(result, stdout, 0);

    json_decref(result);
    if (rc < 0 || putchar('\n') == EOF || fflush(stdout) == EOF)
        return complain("standard output", ipc_strerror(-errno));
    return 0;
}

static int report(struct race *race)
{
    const char *mode = ticket_options_mode(&race->options);
    const int fd = race->story_fd;
    const int owner_died = atomic_load(&race->shared->owner_died);
    const long long sold = atomic_load(&race->shared->sold);
    const long long oversold =
        sold > race->office.tickets ? sold - race->office.tickets : 0;
    long long left;

    if (count_left(race, &left) < 0)
        return -1;
    if (left < 0)
        say(fd, "%s: buyers wrote over each other: the file is spoilt", mode);
    else
        say(fd, "%s: the file says %lld left", mode, left);
    if (race->options.kill)
        say(fd, "%s: the death of an owner was reported %d times", mode,
            owner_died);
    if (race->options.lock != TICKET_LOCK_NONE &&
        sold + left != race->office.tickets)
        say(fd, "%s: somebody else has used the file as well", mode);
    say(fd, "%s: %d buyers bought %lld of %lld tickets: oversold by %lld", mode,
        race->options.buyers, sold, race->office.tickets, oversold);
    return race->options.json
               ? print_json(race, sold, left, oversold, owner_died)
               : 0;
}

int main(int argc, char **argv)
{
    static struct race race;
    int status = EXIT_FAILURE, rc;

    rc = ticket_options_parse(argc, argv, &race.options);
    if (rc != 0)
        return rc < 0 ? EXIT_UNUSABLE : EXIT_SUCCESS;
    race.story_fd = race.options.json ? STDERR_FILENO : STDOUT_FILENO;
    race.buyers = calloc((size_t)race.options.buyers, sizeof *race.buyers);
    race.shared = ipc_shared_alloc(sizeof *race.shared);

    if (race.buyers == NULL || race.shared == NULL) {
        complain("no memory for the race", ipc_error_detail());
    } else if (ticket_office_open(&race.office, &race.options, race.story_fd) <
               0) {
        status = EXIT_UNUSABLE;
    } else {
        rc = run(&race);
        if (report(&race) == 0 && rc == 0)
            status = EXIT_SUCCESS;
    }

    ticket_office_close(&race.office);
    ipc_shared_free(race.shared);
    free(race.buyers);
    return status;
}
