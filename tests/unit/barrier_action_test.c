/* ipc_barrier: its action, which one party runs before all go on. */
#include "unit/barrier_support.h"

enum {
    PHASES = 200,
    PARTIES = 3
};

struct show {
    ipc_barrier *barrier;
    uint32_t performed;
    uint32_t passed; /* who went on before it was over */
    int rc;          /* what the action returns */
    int inside;      /* what it got itself */
    int32_t performer;
    int (*form)(void *arg); /* that it tries */
};

static int perform(void *arg)
{
    struct show *show = arg;
    const uint32_t passed = __atomic_load_n(&show->passed, __ATOMIC_SEQ_CST);
    for (volatile int i = 0; i < 20000; i++)
        ; /* time for somebody to go on who should not */
    if (__atomic_load_n(&show->passed, __ATOMIC_SEQ_CST) != passed)
        return -EPROTO;
    show->performed++;
    show->performer = (int32_t)syscall(SYS_gettid);
    if (show->form != NULL)
        show->inside = show->form(show->barrier);
    return show->rc;
}

static int come_and_perform(void *arg)
{
    struct show *show = arg;
    const int place =
        ipc_barrier_wait_action(show->barrier, perform, show, IPC_TIME_FOREVER);
    if (place >= 0)
        (void)__atomic_add_fetch(&show->passed, 1, __ATOMIC_SEQ_CST);
    return place;
}

static int come_and_perform_often(void *arg)
{
    int rc = 0;
    for (int i = 0; i < PHASES && rc >= 0; i++)
        rc = come_and_perform(arg);
    return rc < 0 ? rc : 0;
}

static struct show *new_show(uint32_t parties)
{
    struct show *show = test_shared(sizeof *show);
    show->barrier = new_barrier(parties, 0);
    return show;
}

static void the_action_runs_once_before_anybody_goes_on(void)
{
    struct actor actors[PARTIES];
    struct show *show = new_show(PARTIES);
    actors_start(actors, PARTIES);
    tell_all(actors, PARTIES, come_and_perform_often, show);
    expect_all(actors, PARTIES, 0);
    assert_int_equal(show->performed, PHASES);
    assert_int_equal(show->passed, PHASES * PARTIES);
    actors_end(actors, PARTIES);
    expect_rc(ipc_barrier_free(show->barrier), 0);
}

static void the_last_one_runs_its_action(void)
{
    struct actor actors[2];
    struct show *show = new_show(3);
    actors_start(actors, 2);
    show->rc = 4711; /* no error */
    for (int i = 0; i < 2; i++) {
        actor_tell(&actors[i], i == 0 ? come_and_perform : come,
                   i == 0 ? (void *)show : show->barrier);
        actor_waits(&actors[i]);
    }
    assert_int_equal(show->performed, 0);
    expect_rc(ipc_barrier_wait_action(show->barrier, perform, show, SOON), 2);
    assert_int_equal(show->performed, 1);
    assert_int_equal(show->performer, getpid());
    expect_places(actors, 2);

    /* The last one has none. */
    come_in_turn(&actors[1], 1, show->barrier);
    actor_tell(&actors[0], come_and_perform, show);
    actor_waits(&actors[0]);
    expect_rc(ipc_barrier_wait(show->barrier), 2);
    expect_rc(actor_result(&actors[1]), 0);
    expect_rc(actor_result(&actors[0]), 1);
    assert_int_equal(show->performed, 1);
    actors_end(actors, 2);
    expect_rc(ipc_barrier_free(show->barrier), 0);
}

static void an_action_that_fails_breaks_it(void)
{
    struct actor actors[2];
    struct show *show = new_show(3);
    actors_start(actors, 2);
    for (int round = 0; round < 2; round++) {
        come_in_turn(actors, 2, show->barrier);
        show->rc = -EIO;
        expect_rc(come_and_perform(show), -EIO);
        expect_all(actors, 2, -ECANCELED);
        assert_true(actors[0].page->detail[0] != '\0');
        expect_broken(show->barrier);
        expect_rc(come_and_perform(show), -ECANCELED);
        assert_int_equal(show->performed, 2 * round + 1);
        expect_rc(ipc_barrier_reset(show->barrier), 0);
        show->rc = 0;
        come_in_turn(actors, 2, show->barrier);
        expect_rc(come_and_perform(show), 2);
        expect_places(actors, 2);
    }
    actors_end(actors, 2);
    expect_rc(ipc_barrier_free(show->barrier), 0);
}

static void the_action_may_not_wait_there(void)
{
    static int (*const forms[])(void *arg) = {come, come_nowait, come_soon};
    struct actor actor;
    struct show *show = new_show(2);
    actor_start(&actor);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        come_in_turn(&actor, 1, show->barrier);
        show->form = forms[i];
        expect_rc(come_and_perform(show), 1);
        expect_rc(show->inside, -EDEADLK);
        expect_rc(actor_result(&actor), 0);
    }
    actor_end(&actor);
    expect_rc(ipc_barrier_free(show->barrier), 0);
}

static int ask_around(void *arg)
{
    ipc_barrier *barrier = arg, *other = NULL;
    (void)ipc_barrier_waiting(barrier);
    (void)ipc_barrier_is_broken(barrier);
    (void)ipc_barrier_parties(barrier);
    const int rc = ipc_barrier_new(1, NULL, &other);
    return rc != 0 ? rc : ipc_barrier_wait(other) + ipc_barrier_free(other);
}

static void the_action_may_use_everything_else(void)
{
    struct actor actor;
    struct show *show = new_show(2);
    actor_start(&actor);
    come_in_turn(&actor, 1, show->barrier);
    show->form = ask_around;
    expect_rc(come_and_perform(show), 1);
    expect_rc(show->inside, 0);
    expect_rc(actor_result(&actor), 0);
    actor_end(&actor);
    expect_rc(ipc_barrier_free(show->barrier), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(the_action_runs_once_before_anybody_goes_on),
    TEST_CASE(the_last_one_runs_its_action),
    TEST_CASE(an_action_that_fails_breaks_it),
    TEST_CASE(the_action_may_not_wait_there),
    TEST_CASE(the_action_may_use_everything_else),
};
TEST_MAIN(cases)
