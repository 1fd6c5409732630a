/* ipc_once: exactly once, whoever comes, fails or dies. */
#include "unit/actor_support.h"

#include <errno.h>

#include <ipc/once.h>

#include "core/peers.h"
#include "core/waiting.h"

#define SOON ipc_after_ms(30)

struct task {
    ipc_once once;
    uint32_t begun, ended; /* how often */
    uint32_t unfinished;   /* a caller returned before it was done */
    int rc;                /* what the function returns */
    bool stays;            /* until told to go on */
    uint32_t inside, go;
    long result; /* no atomic: the once makes it seen */
};

static struct task *new_task(void)
{
    struct task *task = ipc_shared_alloc(sizeof *task);
    assert_non_null(task);
    return task;
}

static int do_it(void *arg)
{
    struct task *task = arg;
    (void)__atomic_add_fetch(&task->begun, 1, __ATOMIC_SEQ_CST);
    if (task->stays) {
        meet_signal(&task->inside);
        meet_wait(&task->go, 1, LIMIT_MS);
    }
    if (task->rc >= 0)
        task->result = 4711;
    (void)__atomic_add_fetch(&task->ended, 1, __ATOMIC_SEQ_CST);
    return task->rc;
}

#define TASK_ACT(name, call)                                                   \
    static int name(void *arg)                                                 \
    {                                                                          \
        struct task *task = arg;                                               \
        return call;                                                           \
    }

TASK_ACT(run_it, ipc_once_run(&task->once, do_it, task))
TASK_ACT(run_nowait, ipc_once_run_nowait(&task->once, do_it, task))
TASK_ACT(run_at_once,
         ipc_once_run_until(&task->once, do_it, task, IPC_TIME_NOW))
TASK_ACT(run_soon, ipc_once_run_until(&task->once, do_it, task, SOON))
TASK_ACT(run_late,
         ipc_once_run_until(&task->once, do_it, task, ipc_after_ms(LIMIT_MS)))
TASK_ACT(reset_it, ipc_once_reset(&task->once))

enum {
    FORMS = 5
};
static int (*const forms[FORMS])(void *arg) = {run_it, run_nowait, run_soon,
                                               run_at_once, run_late};

static int no_robust_list(void *arg)
{
    (void)arg;
    ipc__robust_list_usable = false;
    return 0;
}

/* An actor that is in the middle of it. */
static void start_and_stay(struct actor *actor, struct task *task)
{
    task->stays = true;
    task->inside = task->go = 0;
    actor_tell(actor, run_it, task);
    meet_wait(&task->inside, 1, LIMIT_MS);
}

/* ---- alone ---- */

static void it_is_done_once_in_all_forms(void)
{
    assert_int_equal(sizeof(ipc_once), 64);
    for (int first = 0; first < FORMS; first++) {
        struct task task = {.rc = 0};
        assert_false(ipc_once_is_done(&task.once));
        for (int i = 0; i < FORMS; i++) {
            expect_rc(forms[(first + i) % FORMS](&task), 0);
            assert_int_equal(task.begun, 1);
            assert_int_equal(task.result, 4711);
            assert_true(ipc_once_is_done(&task.once));
        }
        expect_rc(ipc_once_run_until(&task.once, do_it, &task, -1), 0);
    }
}

static void what_fails_is_done_again(void)
{
    struct task task = {.rc = -EIO};
    for (uint32_t i = 1; i <= 3 * FORMS; i++) {
        expect_rc(forms[i % FORMS](&task), -EIO);
        assert_int_equal(task.begun, i);
        assert_false(ipc_once_is_done(&task.once));
    }
    task.rc = 0;
    expect_rc(run_it(&task), 0);
    task.rc = -EIO;
    expect_rc(run_it(&task), 0); /* is not asked again */
    assert_int_equal(task.begun, 3 * FORMS + 1);
}

static void a_positive_result_is_success(void)
{
    struct task task = {.rc = 7};
    assert_true(run_it(&task) >= 0);
    assert_true(ipc_once_is_done(&task.once));
    expect_rc(run_it(&task), 0);
    assert_int_equal(task.begun, 1);
}

static int call_within(void *arg)
{
    struct task *task = arg;
    int wrong = 0;
    for (int i = 0; i < FORMS; i++)
        wrong += forms[i](task) != -EDEADLK;
    assert_true(ipc_error_detail()[0] != '\0');
    assert_false(ipc_once_is_done(&task->once));
    wrong += ipc_once_reset(&task->once) != -EBUSY;
    return -wrong;
}

static void a_call_from_within_would_wait_for_itself(void)
{
    struct task task = {.rc = 0};
    expect_rc(ipc_once_run(&task.once, call_within, &task), 0);
    assert_true(ipc_once_is_done(&task.once));
    assert_int_equal(task.begun, 0);
    expect_rc(run_it(&task), 0);
}

static int run_inner(void *arg)
{
    struct task *two = arg;
    return ipc_once_run(&two[1].once, do_it, &two[1]);
}

static void one_may_lead_to_another(void)
{
    struct task two[2] = {{.rc = 0}, {.rc = 0}};
    expect_rc(ipc_once_run(&two[0].once, run_inner, two), 0);
    assert_int_equal(two[1].begun, 1);
    assert_true(ipc_once_is_done(&two[0].once));
    assert_true(ipc_once_is_done(&two[1].once));
}

static void reset_lets_it_be_done_again(void)
{
    struct actor actor;
    struct task *task = new_task();
    actor_start(&actor);
    expect_rc(ipc_once_reset(&task->once), 0);
    expect_rc(run_it(task), 0);
    for (uint32_t i = 2; i < 5; i++) {
        expect_rc(actor_asks(&actor, reset_it, task), 0);
        assert_false(ipc_once_is_done(&task->once));
        expect_rc(run_it(task), 0);
        assert_int_equal(task->begun, i);
    }
    expect_rc(ipc_once_reset(&task->once), 0);
    start_and_stay(&actor, task);
    expect_rc(ipc_once_reset(&task->once), -EBUSY);
    assert_true(ipc_error_detail()[0] != '\0');
    meet_signal(&task->go);
    expect_rc(actor_result(&actor), 0);
    assert_true(ipc_once_is_done(&task->once));
    actor_end(&actor);
    expect_rc(ipc_shared_free(task), 0);
}

static void garbage_is_euclean(void)
{
    struct task task = {.once.word_ = UINT64_C(0xdeadbeef3fffffff)};
    for (int i = 0; i < FORMS; i++)
        expect_rc(forms[i](&task), -EUCLEAN);
    assert_true(ipc_error_detail()[0] != '\0');
    task.once.word_ = UINT64_C(0xdeadbeefffffffff);
    for (int i = 0; i < FORMS; i++)
        expect_rc(forms[i](&task), -EUCLEAN);
    task.once.word_ = 0;
    task.once.done_ = 0x12345678;
    for (int i = 0; i < FORMS; i++)
        expect_rc(forms[i](&task), -EUCLEAN);
    assert_int_equal(task.begun, 0);

    /* A word that names nobody alive: one who died. */
    task.once.done_ = 0;
    task.once.word_ = UINT64_C(0x12345678003fffff);
    expect_rc(run_nowait(&task), IPC_OWNER_DIED);
    expect_rc(run_nowait(&task), 0);
    assert_int_equal(task.begun, 1);
}

/* ---- together ---- */

enum {
    CROWD = 8,
    ROUNDS = 200
};

struct crowded {
    struct task tasks[ROUNDS];
    uint32_t there; /* who has come to the start of a round */
};

/* All at one time, over and over. */
static int run_all(void *arg)
{
    struct crowded *crowded = arg;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct task *task = &crowded->tasks[i];
        meet_signal(&crowded->there);
        meet_wait(&crowded->there, (i + 1) * CROWD, LIMIT_MS);
        const int rc = i % 3 == 0 ? run_late(task) : run_it(task);
        if (rc != 0)
            return rc;
        if (task->result != 4711)
            (void)__atomic_add_fetch(&task->unfinished, 1, __ATOMIC_SEQ_CST);
    }
    return 0;
}

static void exactly_once_among(void (*start)(struct actor *actors, int count))
{
    struct actor actors[CROWD];
    struct crowded *crowded = test_shared(sizeof *crowded);
    start(actors, CROWD);
    for (int i = 0; i < CROWD; i++)
        actor_tell(&actors[i], run_all, crowded);
    for (int i = 0; i < CROWD; i++)
        expect_rc(actor_result(&actors[i]), 0);
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(crowded->tasks[i].begun, 1);
        assert_int_equal(crowded->tasks[i].unfinished, 0);
    }
    for (int i = 0; i < CROWD; i++)
        actor_end(&actors[i]);
}

static void exactly_once_among_processes(void)
{
    exactly_once_among(actors_start);
}

static void exactly_once_among_threads(void)
{
    exactly_once_among(actors_start_threads);
}

static void others_wait_until_it_is_done(void)
{
    enum {
        OTHERS = 3
    };
    struct actor first, others[OTHERS];
    struct task *task = new_task();
    actor_start(&first);
    actors_start(others, OTHERS);
    start_and_stay(&first, task);
    expect_rc(run_nowait(task), -EAGAIN);
    assert_true(ipc_error_detail()[0] != '\0');
    expect_rc(run_at_once(task), -ETIMEDOUT);
    expect_rc(run_soon(task), -ETIMEDOUT);
    for (int i = 0; i < OTHERS; i++) {
        actor_tell(&others[i], i == 0 ? run_late : run_it, task);
        actor_waits(&others[i]);
    }
    meet_signal(&task->go);
    expect_rc(actor_result(&first), 0);
    for (int i = 0; i < OTHERS; i++)
        expect_rc(actor_result(&others[i]), 0);
    assert_int_equal(task->begun, 1);
    actor_end(&first);
    actors_end(others, OTHERS);
    expect_rc(ipc_shared_free(task), 0);
}

/* Each of those who wait tries in turn, and gets what it got itself. */
static void a_failure_is_its_own_only(void)
{
    enum {
        OTHERS = 3
    };
    struct actor first, others[OTHERS];
    struct task *task = new_task();
    actor_start(&first);
    actors_start(others, OTHERS);
    task->rc = -EIO;
    start_and_stay(&first, task);
    for (int i = 0; i < OTHERS; i++) {
        actor_tell(&others[i], run_it, task);
        actor_waits(&others[i]);
    }
    meet_signal(&task->go);
    expect_rc(actor_result(&first), -EIO);
    for (int i = 0; i < OTHERS; i++)
        expect_rc(actor_result(&others[i]), -EIO);
    assert_int_equal(task->begun, OTHERS + 1);
    assert_false(ipc_once_is_done(&task->once));
    actor_end(&first);
    actors_end(others, OTHERS);
    expect_rc(ipc_shared_free(task), 0);
}

/* ---- death ---- */

static void the_next_one_is_told(void)
{
    struct actor doomed;
    struct task *task = new_task();
    for (int i = 0; i < FORMS; i++) {
        actor_start(&doomed);
        start_and_stay(&doomed, task);
        actor_kill(&doomed);
        task->stays = false;
        assert_false(ipc_once_is_done(&task->once));
        expect_rc(forms[i](task), IPC_OWNER_DIED);
        expect_rc(forms[i](task), 0);
        assert_true(ipc_once_is_done(&task->once));
        assert_int_equal(task->ended, i + 1);
        expect_rc(ipc_once_reset(&task->once), 0);
    }
    expect_rc(ipc_shared_free(task), 0);
}

static void many_die_trying(void)
{
    struct actor doomed;
    struct task *task = new_task();
    for (int i = 0; i < 5; i++) {
        actor_start(&doomed);
        start_and_stay(&doomed, task);
        actor_kill(&doomed);
    }
    task->stays = false;
    expect_rc(run_it(task), IPC_OWNER_DIED);
    assert_int_equal(task->begun, 6);
    expect_rc(ipc_shared_free(task), 0);
}

/* One of those who wait does it, and is told; the others find it done. */
static void one_who_waits_takes_over(int (*before)(void *arg))
{
    enum {
        OTHERS = 3
    };
    struct actor doomed, others[OTHERS];
    struct task *task = new_task();
    int told = 0;
    actor_start(&doomed);
    actors_start(others, OTHERS);
    if (before != NULL)
        expect_rc(actor_asks(&doomed, before, NULL), 0);
    start_and_stay(&doomed, task);
    for (int i = 0; i < OTHERS; i++) {
        actor_tell(&others[i], run_it, task);
        actor_waits(&others[i]);
    }
    task->stays = false;
    const int64_t start = test_now_ns();
    int64_t last = start;
    actor_kill(&doomed);
    for (int i = 0; i < OTHERS; i++) {
        if (!meet_within(&others[i].page->done, others[i].page->order + 1,
                         RECHECK_MS + SLACK_MS))
            test_fail("nobody told it of the death");
        const int rc = actor_result(&others[i]);
        assert_true(rc == 0 || rc == IPC_OWNER_DIED);
        told += rc;
        if (others[i].page->end_ns > last)
            last = others[i].page->end_ns;
    }
    test_report("ms", to_ms(last - start));
    assert_int_equal(told, 1);
    assert_int_equal(task->begun, 2);
    assert_int_equal(task->ended, 1);
    actors_end(others, OTHERS);
    expect_rc(ipc_shared_free(task), 0);
}

static void one_who_waits_takes_over_at_once(void)
{
    one_who_waits_takes_over(NULL);
}

static void one_who_waits_takes_over_by_recheck(void)
{
    one_who_waits_takes_over(no_robust_list);
}

static int end_in_the_middle(void *arg)
{
    pthread_exit(arg);
}

static void *do_half_of_it(void *arg)
{
    struct task *task = arg;
    return ipc_once_run(&task->once, end_in_the_middle, NULL) < 0 ? arg : NULL;
}

static void the_end_of_a_thread_is_a_death(void)
{
    static struct task task;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, do_half_of_it, &task), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    expect_rc(run_it(&task), IPC_OWNER_DIED);
    expect_rc(run_it(&task), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(it_is_done_once_in_all_forms),
    TEST_CASE(what_fails_is_done_again),
    TEST_CASE(a_positive_result_is_success),
    TEST_CASE(a_call_from_within_would_wait_for_itself),
    TEST_CASE(one_may_lead_to_another),
    TEST_CASE(reset_lets_it_be_done_again),
    TEST_CASE(garbage_is_euclean),
    TEST_CASE(exactly_once_among_processes),
    TEST_CASE(exactly_once_among_threads),
    TEST_CASE(others_wait_until_it_is_done),
    TEST_CASE(a_failure_is_its_own_only),
    TEST_CASE(the_next_one_is_told),
    TEST_CASE(many_die_trying),
    TEST_CASE(one_who_waits_takes_over_at_once),
    TEST_CASE(one_who_waits_takes_over_by_recheck),
    TEST_CASE(the_end_of_a_thread_is_a_death),
};
TEST_MAIN(cases)
