/* ipc_semaphore in use: never more inside than there are permits, none lost,
 * and what was written before a release is seen after the acquire. */
#include "unit/semaphore_support.h"

#include "harness/scale.h"

enum {
    PLAYERS = 4,
    ROUNDS = 1000
};

/* ---- players: threads or processes that do the same ---- */

struct game {
    ipc_semaphore *semaphore;
    uint32_t total;
    uint32_t inside; /* permits in use */
    uint32_t most;
    uint32_t waits[PLAYERS]; /* acquires that timed out or would have waited */
};

struct player {
    struct game *game;
    void (*play)(struct game *game, int index);
    pthread_t thread;
    struct role role;
    int index;
};

static void be_player(void *arg)
{
    const struct player *player = arg;
    player->play(player->game, player->index);
}

static void *be_player_thread(void *arg)
{
    be_player(arg);
    return NULL;
}

static void play(struct game *game, bool threads, int count,
                 void (*what)(struct game *game, int index))
{
    struct player players[PLAYERS];
    for (int i = 0; i < count; i++) {
        players[i] = (struct player){.game = game, .play = what, .index = i};
        if (threads)
            assert_int_equal(pthread_create(&players[i].thread, NULL,
                                            be_player_thread, &players[i]),
                             0);
        else
            role_start(&players[i].role, be_player, &players[i]);
    }
    for (int i = 0; i < count; i++) {
        if (threads)
            assert_int_equal(pthread_join(players[i].thread, NULL), 0);
        else
            role_wait_ok(&players[i].role, LIMIT_MS);
    }
}

/* ---- a room for so many ---- */

static int try_to_enter(ipc_semaphore *semaphore, uint32_t n, long form)
{
    switch (form) {
    case 0:
        return ipc_semaphore_acquire_many_nowait(semaphore, n);
    case 1:
        return ipc_semaphore_acquire_many_until(semaphore, n,
                                                ipc_after_us(100));
    default:
        return n == 1 ? ipc_semaphore_acquire(semaphore)
                      : ipc_semaphore_acquire_many(semaphore, n);
    }
}

static void come_and_go(struct game *game, int index)
{
    struct test_random random = {(uint64_t)index + 1};
    for (int i = 0; i < ROUNDS; i++) {
        const uint32_t n =
            (uint32_t)test_random_between(&random, 1, (long)game->total);
        const int rc = try_to_enter(game->semaphore, n,
                                    test_random_between(&random, 0, 5));
        if (rc == -EAGAIN || rc == -ETIMEDOUT) {
            game->waits[index]++;
            continue;
        }
        expect_rc(rc, 0);
        const uint32_t inside =
            __atomic_add_fetch(&game->inside, n, __ATOMIC_SEQ_CST);
        if (inside > __atomic_load_n(&game->most, __ATOMIC_SEQ_CST))
            __atomic_store_n(&game->most, inside, __ATOMIC_SEQ_CST);
        (void)__atomic_sub_fetch(&game->inside, n, __ATOMIC_SEQ_CST);
        if (n > 1 && i % 3 == 0) { /* in two parts */
            expect_rc(ipc_semaphore_release(game->semaphore), 0);
            expect_rc(ipc_semaphore_release_many(game->semaphore, n - 1), 0);
        } else {
            expect_rc(ipc_semaphore_release_many(game->semaphore, n), 0);
        }
    }
}

static void room(uint32_t flags, bool threads)
{
    for (uint32_t total = 1; total <= 3; total++) {
        struct game *game = test_shared(sizeof *game);
        game->semaphore = new_semaphore(total, flags);
        game->total = total;
        play(game, threads, PLAYERS, come_and_go);
        assert_int_equal(game->inside, 0);
        if (game->most > total)
            test_fail("%u were inside, there are %u permits", game->most,
                      total);
        free_with(game->semaphore, total);
    }
}

static void room_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, room);
}

static void never_more_are_inside_than_there_are_permits(void)
{
    for_kinds(0, FAIR, room_in_each_form);
}

static void never_more_are_inside_of_a_fair_one(void)
{
    for_kinds(FAIR, 0, room_in_each_form);
}

/* ---- with one permit: a lock ---- */

static struct {
    ipc_semaphore *semaphore;
    long counter; /* no atomic */
} * guarded;

static void count_up(struct game *game, int index)
{
    (void)game, (void)index;
    for (int i = 0; i < ROUNDS; i++) {
        expect_rc(ipc_semaphore_acquire(guarded->semaphore), 0);
        guarded->counter++;
        expect_rc(ipc_semaphore_release(guarded->semaphore), 0);
    }
}

static void one_permit(uint32_t flags, bool threads)
{
    guarded = test_shared(sizeof *guarded);
    guarded->semaphore = new_semaphore(1, flags);
    play(NULL, threads, PLAYERS, count_up);
    assert_int_equal(guarded->counter, PLAYERS * ROUNDS);
    free_with(guarded->semaphore, 1);
}

static void one_permit_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, one_permit);
}

static void one_permit_is_a_lock(void)
{
    for_kinds(0, 0, one_permit_in_each_form);
}

/* ---- released by others than those who acquire: a bounded buffer ---- */

enum {
    PLACES = 4,
    ITEMS = 4 * ROUNDS
};

struct buffer {
    ipc_semaphore *filled;
    ipc_semaphore *empty;
    uint64_t place[PLACES]; /* no atomics */
};

static struct buffer *buffer;

static void put_or_get(struct game *game, int index)
{
    struct test_random random = {7};
    (void)game;
    for (uint64_t i = 0; i < ITEMS; i++) {
        uint64_t *place = &buffer->place[i % PLACES];
        const uint64_t item = test_random_next(&random);
        if (index == 0) {
            expect_rc(ipc_semaphore_acquire(buffer->empty), 0);
            *place = item;
            expect_rc(ipc_semaphore_release(buffer->filled), 0);
        } else {
            expect_rc(ipc_semaphore_acquire(buffer->filled), 0);
            assert_true(*place == item);
            expect_rc(ipc_semaphore_release(buffer->empty), 0);
        }
    }
}

static void bounded_buffer(uint32_t flags, bool threads)
{
    buffer = test_shared(sizeof *buffer);
    buffer->filled = new_semaphore(PLACES, flags);
    buffer->empty = new_semaphore(PLACES, flags);
    expect_rc(ipc_semaphore_acquire_many(buffer->filled, PLACES), 0);
    play(NULL, threads, 2, put_or_get);
    expect_permits(buffer->filled, 0);
    expect_rc(ipc_semaphore_release_many(buffer->filled, PLACES), 0);
    free_with(buffer->filled, PLACES);
    free_with(buffer->empty, PLACES);
}

static void bounded_buffer_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, bounded_buffer);
}

static void two_make_a_bounded_buffer(void)
{
    for_kinds(0, TRACKED, bounded_buffer_in_each_form);
}

/* ---- released many at a time to many ---- */

static struct {
    ipc_semaphore *semaphore;
    uint32_t got;
} * shower;

static void catch_one_by_one(struct game *game, int index)
{
    (void)game, (void)index;
    for (int i = 0; i < ROUNDS; i++) {
        expect_rc(ipc_semaphore_acquire(shower->semaphore), 0);
        (void)__atomic_add_fetch(&shower->got, 1, __ATOMIC_SEQ_CST);
    }
}

static void pour(struct game *game, int index)
{
    if (index != 0) {
        catch_one_by_one(game, index);
        return;
    }
    uint32_t left = (PLAYERS - 1) * ROUNDS;
    for (uint32_t n = 1; left > 0; n = 1 + n % 5) {
        const uint32_t now = n < left ? n : left;
        expect_rc(ipc_semaphore_release_many(shower->semaphore, now), 0);
        left -= now;
    }
}

static void pour_and_catch(uint32_t flags, bool threads)
{
    shower = test_shared(sizeof *shower);
    shower->semaphore = new_semaphore(0, flags);
    play(NULL, threads, PLAYERS, pour);
    assert_int_equal(shower->got, (PLAYERS - 1) * ROUNDS);
    expect_permits(shower->semaphore, 0);
    expect_rc(ipc_semaphore_free(shower->semaphore), 0);
}

static void pour_and_catch_in_each_form(uint32_t flags)
{
    for_threads_and_processes(flags, pour_and_catch);
}

static void what_is_released_is_caught_exactly(void)
{
    for_kinds(0, TRACKED | BOUNDED, pour_and_catch_in_each_form);
}

static const struct test_case cases[] = {
    TEST_CASE(never_more_are_inside_than_there_are_permits),
    TEST_CASE(never_more_are_inside_of_a_fair_one),
    TEST_CASE(one_permit_is_a_lock),
    TEST_CASE(two_make_a_bounded_buffer),
    TEST_CASE(what_is_released_is_caught_exactly),
};
TEST_MAIN(cases)
