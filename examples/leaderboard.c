/* A leaderboard: a priority queue and a dict of one manager.
 *
 *     scores = manager.PriorityQueue()    # class M(SyncManager): register it
 *     scores.put((-score, name))
 *     totals[name] += score               # get and set: some are lost
 *
 * Twelve players play at once, each in a process, and report every score to the
 * queue, which hands out the highest first.  The dict has the points of each
 * player, and adds in one step. */
#include <ipc/ipc.h>
#include <ipc/managed.h>

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PLAYERS = 12,
    GAMES = 50, /* of each */
    TOP = 10
};

static const char *const names[PLAYERS] = {"ada", "bob", "cem", "dan",
                                           "eve", "fay", "gus", "hal",
                                           "ivy", "jon", "kim", "leo"};

static ipc_managed *scores, *start;
static ipc_dict *totals;

static void check(int rc)
{
    if (rc < 0)
        errx(1, "%s: %s", ipc_strerror(rc), ipc_error_detail());
}

/* Fifty throws of a die of twenty, added up; the dice of a player are always
 * the same, so that we can tell afterwards whether the board is right. */
static int64_t play_one(uint64_t *dice)
{
    int64_t score = 0;

    for (int i = 0; i < 50; i++) {
        *dice ^= *dice << 13;
        *dice ^= *dice >> 7;
        *dice ^= *dice << 17;
        score += (int64_t)(*dice % 20) + 1;
    }
    return score;
}

static uint64_t dice_of(int player)
{
    return UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(player + 1);
}

static int play(void *arg)
{
    const int player = *(const int *)arg;
    const ipc_any name = ipc_str(names[player]);
    uint64_t dice = dice_of(player);

    check(ipc_managed_event_wait(start));
    for (int i = 0; i < GAMES; i++) {
        const int64_t score = play_one(&dice);
        check(ipc_managed_queue_put_priority(scores, name, score,
                                             IPC_TIME_FOREVER));
        check(ipc_dict_incr(totals, name, score, NULL));
    }
    return 0;
}

static void run_players(void)
{
    ipc_process p[PLAYERS];
    int who[PLAYERS];

    for (int i = 0; i < PLAYERS; i++) {
        who[i] = i;
        ipc_process_init(&p[i], play, &who[i], NULL);
        check(ipc_process_start(&p[i]));
    }
    check(ipc_managed_event_set(start)); /* all at once */
    for (int i = 0; i < PLAYERS; i++) {
        check(ipc_process_join(&p[i]));
        ipc_process_close(&p[i]);
    }
}

/* ---- was it right? ---- */

static int highest_first(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

/* The same games once more, one after the other. */
static void play_alone(int64_t all[PLAYERS * GAMES], int64_t sums[PLAYERS])
{
    for (int i = 0; i < PLAYERS; i++) {
        uint64_t dice = dice_of(i);
        sums[i] = 0;
        for (int j = 0; j < GAMES; j++) {
            const int64_t score = play_one(&dice);
            all[i * GAMES + j] = score;
            sums[i] += score;
        }
    }
    qsort(all, (size_t)PLAYERS * GAMES, sizeof *all, highest_first);
}

/* ---- the board ---- */

/* How many of the ten are wrong. */
static int print_top(const int64_t *expected)
{
    ipc_managed_lease report;
    int wrong = 0;

    for (int i = 0; i < TOP; i++) {
        check(ipc_managed_queue_take_nowait(scores, &report));
        printf("%2d. %s %" PRId64 "\n", i + 1, report.message.str,
               report.priority);
        wrong += report.priority != expected[i];
        check(ipc_managed_queue_ack(scores, &report));
        ipc_managed_lease_free(&report);
    }
    return wrong;
}

static int check_totals(const int64_t *expected)
{
    int64_t points;
    int wrong = 0;

    for (int i = 0; i < PLAYERS; i++) {
        check(ipc_dict_get_i64(totals, names[i], &points));
        wrong += points != expected[i];
    }
    return wrong;
}

int main(void)
{
    static int64_t all[PLAYERS * GAMES];
    ipc_managed_options options = IPC_MANAGED_OPTIONS_INIT;
    int64_t sums[PLAYERS], left;
    ipc_manager *manager;

    options.flags = IPC_MANAGED_PRIORITY;
    check(ipc_manager_start(NULL, &manager));
    check(ipc_manager_queue(manager, "scores", &options, &scores));
    check(ipc_manager_dict(manager, "totals", &totals));
    check(ipc_manager_event(manager, "start", &start));
    run_players();

    play_alone(all, sums);
    const int wrong = print_top(all) + check_totals(sums);
    left = ipc_managed_queue_size(scores);
    printf("%d players reported %" PRId64 " scores at once, %d are wrong\n",
           PLAYERS, left + TOP, wrong);
    check(ipc_managed_close(start));
    check(ipc_managed_close(scores));
    check(ipc_dict_close(totals));
    check(ipc_manager_close(manager));
    return wrong != 0 || left != PLAYERS * GAMES - TOP;
}
