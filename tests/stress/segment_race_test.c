/* Named memory when many want the same name at once, while users die and
 * cleaners clean. */
#include "harness/scale.h"
#include "unit/segment_support.h"

#include <stdlib.h>

#include <ipc/lock.h>

/* ---- all at once: one segment ---- */

enum {
    RACERS = 64,
    KILLED = 12, /* per round, at most */
    ROUNDS = 50
};

struct race {
    char name[80];
    uint32_t go;    /* counts rounds */
    uint32_t leave; /* counts rounds */
    uint32_t round;
    struct {
        uint64_t id;
        int64_t took_ns;
        uint32_t done;
        int rc;
    } racers[RACERS];
};

struct racer {
    struct race *race;
    int index;
};

static void race_once(void *arg)
{
    const struct racer *racer = arg;
    struct race *race = racer->race;
    ipc_segment *segment = NULL;
    meet_wait(&race->go, race->round, LIMIT_MS);
    const int64_t start = test_now_ns();
    const int rc = ipc_segment_open_or_create(race->name, 4000, NULL, &segment);
    race->racers[racer->index].took_ns = test_now_ns() - start;
    race->racers[racer->index].rc = rc;
    race->racers[racer->index].id = rc == 0 ? ipc_segment_id(segment) : 0;
    meet_signal(&race->racers[racer->index].done);
    meet_wait(&race->leave, race->round, LIMIT_MS);
    /* Half of them die, as far as the segment can tell. */
    if (racer->index % 2 == 0)
        (void)ipc_segment_close(segment);
}

static int kill_some(struct role *roles, struct test_random *random)
{
    const int count = (int)test_random_between(random, 0, KILLED);
    int killed = 0;
    for (int i = 0; i < count; i++) {
        const int64_t until =
            test_now_ns() + test_random_between(random, 0, 1000000);
        while (test_now_ns() < until)
            ;
        struct role *role = &roles[test_random_between(random, 0, RACERS - 1)];
        killed += role->pid > 0;
        (void)role_kill(role);
    }
    return killed;
}

struct tally {
    long kills;
    long splits;
    long failed;
    int64_t slowest_ns;
};

static void run_round(struct race *race, struct test_random *random,
                      struct tally *tally)
{
    struct role roles[RACERS];
    memset(race->racers, 0, sizeof race->racers);
    race->round++;
    for (int i = 0; i < RACERS; i++) {
        struct racer racer = {race, i};
        role_start(&roles[i], race_once, &racer);
    }
    meet_signal(&race->go);
    tally->kills += kill_some(roles, random);

    uint64_t id = 0;
    for (int i = 0; i < RACERS; i++) {
        if (roles[i].pid <= 0)
            continue;
        meet_wait(&race->racers[i].done, 1, LIMIT_MS);
        if (race->racers[i].rc != 0)
            tally->failed++;
        else if (id == 0)
            id = race->racers[i].id;
        else if (id != race->racers[i].id)
            tally->splits++;
        if (race->racers[i].took_ns > tally->slowest_ns)
            tally->slowest_ns = race->racers[i].took_ns;
    }
    meet_signal(&race->leave);
    for (int i = 0; i < RACERS; i++)
        if (roles[i].pid > 0)
            role_wait_ok(&roles[i], LIMIT_MS);
}

static void all_who_want_the_name_at_once_get_one_segment(void)
{
    struct race *race = test_shared(sizeof *race);
    struct test_random random = {test_seed()};
    struct tally tally = {0, 0, 0, 0};
    (void)snprintf(race->name, sizeof race->name, "%s", shm_name("race"));
    const long rounds = test_scale() < 20 ? ROUNDS * test_scale() : 1000;
    for (long i = 0; i < rounds; i++)
        run_round(race, &random, &tally);
    test_report("rounds", rounds);
    test_report("kills", tally.kills);
    test_report("splits", tally.splits);
    test_report("failed", tally.failed);
    test_report("slowest_us", tally.slowest_ns / 1000);
    assert_int_equal(tally.splits, 0);
    assert_int_equal(tally.failed, 0);
    if (shm_exists(race->name))
        unlink_segment(race->name);
}

/* ---- cleaners and openers ---- */

enum {
    MAX_DEAD = 1000,
    LIVE = 20, /* of each kind that must stay */
    OPENERS = 3,
    CLEANERS = 2,
    DIVER_OPENS = 600
};

struct yard {
    char prefix[64];
    int dead_count;
    uint64_t dead[MAX_DEAD];
    uint64_t used[LIVE];
    uint64_t closed[LIVE];
    uint64_t kept[LIVE];
    uint32_t ready;
    uint32_t stop;
    uint32_t wrong;
    uint32_t revived; /* a dead one was opened */
    uint32_t opened;
    uint32_t removed;
};

static struct yard *yard;

static const char *thing(const char *kind, int i)
{
    static char text[100];
    (void)snprintf(text, sizeof text, "%s-%s%d", yard->prefix, kind, i);
    return text;
}

static ipc_segment *make_thing(const char *kind, int i, uint32_t flags)
{
    ipc_segment_options options = {sizeof options, flags};
    ipc_segment *segment = NULL;
    const int rc = ipc_segment_create(thing(kind, i), 64, &options, &segment);
    if (rc != 0)
        test_fail("create %s%d: %d: %s", kind, i, rc, ipc_error_detail());
    return segment;
}

static void make_dead_ones(void *arg)
{
    (void)arg;
    for (int i = 0; i < yard->dead_count; i++)
        yard->dead[i] = ipc_segment_id(make_thing("dead", i, 0));
    for (int i = 0; i < LIVE; i++) {
        yard->kept[i] =
            ipc_segment_id(make_thing("kept", i, IPC_SEGMENT_PERSIST));
        ipc_lock *lock = NULL;
        if (ipc_lock_create(thing("held", i), NULL, &lock) != 0 ||
            ipc_lock_acquire(lock) != 0)
            test_fail("lock: %s", ipc_error_detail());
    }
    (void)raise(SIGKILL);
}

static void make_living_ones(void *arg)
{
    (void)arg;
    for (int i = 0; i < LIVE; i++) {
        ipc_segment *segment = make_thing("closed", i, 0);
        yard->closed[i] = ipc_segment_id(segment);
        assert_int_equal(ipc_segment_close(segment), 0);
        yard->used[i] = ipc_segment_id(make_thing("used", i, 0));
    }
    meet_signal(&yard->ready);
    meet_wait(&yard->stop, 1, LIMIT_MS);
    for (int i = 0; i < LIVE; i++) /* they were let alone */
        if (!shm_exists(thing("used", i)))
            (void)__atomic_add_fetch(&yard->wrong, 1, __ATOMIC_RELAXED);
}

static void complain(const char *kind, int i, int rc)
{
    (void)__atomic_add_fetch(&yard->wrong, 1, __ATOMIC_RELAXED);
    printf("%s: %d: %s\n", thing(kind, i), rc,
           rc < 0 ? ipc_error_detail() : "another one");
}

static void must_stay(const char *kind, int i, uint64_t id)
{
    ipc_segment *segment = NULL;
    const int rc = ipc_segment_open(thing(kind, i), &segment);
    if (rc != 0 || ipc_segment_id(segment) != id)
        complain(kind, i, rc);
    if (rc == 0)
        (void)ipc_segment_close(segment);
}

static void must_be_new(int i)
{
    ipc_segment *segment = NULL;
    const int rc =
        ipc_segment_open_or_create(thing("dead", i), 64, NULL, &segment);
    if (rc != 0)
        complain("dead", i, rc);
    else if (ipc_segment_id(segment) == yard->dead[i])
        (void)__atomic_add_fetch(&yard->revived, 1, __ATOMIC_RELAXED);
    if (rc == 0)
        (void)ipc_segment_close(segment);
}

static void open_things(void *arg)
{
    struct test_random random = {*(const uint64_t *)arg};
    for (int step = 0; step < DIVER_OPENS; step++) {
        const int i = (int)test_random_between(&random, 0, LIVE - 1);
        switch (step % 4) {
        case 0:
            must_stay("used", i, yard->used[i]);
            break;
        case 1:
            must_stay("closed", i, yard->closed[i]);
            break;
        case 2:
            must_stay("kept", i, yard->kept[i]);
            break;
        default:
            /* A part of them: the others are left to the cleaners. */
            must_be_new(
                (int)test_random_between(&random, 0, yard->dead_count / 4));
            break;
        }
        (void)__atomic_add_fetch(&yard->opened, 1, __ATOMIC_RELAXED);
    }
}

static void clean(void *arg)
{
    (void)arg;
    while (__atomic_load_n(&yard->stop, __ATOMIC_SEQ_CST) == 0) {
        const int rc = ipc_segment_gc();
        if (rc < 0)
            complain("gc", 0, rc);
        else
            (void)__atomic_add_fetch(&yard->removed, (uint32_t)rc,
                                     __ATOMIC_RELAXED);
    }
}

static void look_at_the_end(void)
{
    assert_true(ipc_segment_gc() >= 0);
    for (int i = 0; i < yard->dead_count; i++) {
        ipc_segment *segment = NULL;
        const int rc = ipc_segment_open(thing("dead", i), &segment);
        if (rc == 0 && ipc_segment_id(segment) != yard->dead[i]) {
            assert_int_equal(ipc_segment_close(segment), 0);
            unlink_segment(thing("dead", i));
        } else if (rc != -ENOENT) {
            complain("dead", i, rc);
        }
    }
    for (int i = 0; i < LIVE; i++) {
        must_stay("closed", i, yard->closed[i]);
        must_stay("kept", i, yard->kept[i]);
        unlink_segment(thing("closed", i));
        unlink_segment(thing("kept", i));
        ipc_lock *lock = NULL;
        assert_int_equal(ipc_lock_open(thing("held", i), &lock), 0);
        assert_int_equal(ipc_lock_acquire(lock), IPC_OWNER_DIED);
        assert_int_equal(ipc_lock_consistent(lock), 0);
        assert_int_equal(ipc_lock_release(lock), 0);
        assert_int_equal(ipc_lock_close(lock), 0);
        assert_int_equal(ipc_lock_unlink(thing("held", i)), 0);
    }
}

static void cleaners_remove_the_dead_and_never_the_living(void)
{
    struct role maker, keeper, openers[OPENERS], cleaners[CLEANERS];
    yard = test_shared(sizeof *yard);
    (void)snprintf(yard->prefix, sizeof yard->prefix, "%s", shm_name("yard"));
    yard->dead_count = test_scale() < 4 ? 300 * (int)test_scale() : MAX_DEAD;
    role_start(&maker, make_dead_ones, NULL);
    assert_int_equal(role_wait_dead(&maker, LIMIT_MS), SIGKILL);
    role_start(&keeper, make_living_ones, NULL);
    meet_wait(&yard->ready, 1, LIMIT_MS);

    uint64_t seed = test_seed();
    for (int i = 0; i < CLEANERS; i++)
        role_start(&cleaners[i], clean, NULL);
    for (int i = 0; i < OPENERS; i++, seed++)
        role_start(&openers[i], open_things, &seed);
    for (int i = 0; i < OPENERS; i++)
        role_wait_ok(&openers[i], LIMIT_MS);
    meet_signal(&yard->stop);
    for (int i = 0; i < CLEANERS; i++)
        role_wait_ok(&cleaners[i], LIMIT_MS);
    role_wait_ok(&keeper, LIMIT_MS);

    look_at_the_end();
    test_report("dead", yard->dead_count);
    test_report("opened", yard->opened);
    test_report("removed", yard->removed);
    test_report("wrong", yard->wrong);
    test_report("revived", yard->revived);
    assert_int_equal(yard->wrong, 0);
    assert_int_equal(yard->revived, 0);
    for (int i = 0; i < LIVE; i++) { /* the keeper left without closing */
        ipc_segment *segment = NULL;
        assert_int_equal(ipc_segment_open(thing("used", i), &segment), -ENOENT);
    }
}

/* Whoever else cleans at that moment: the name of the dead is free. */
static void create_takes_the_name_of_the_dead_beside_cleaners(void)
{
    struct role cleaners[CLEANERS];
    long refused = 0;
    const long rounds = 200 * test_scale();
    yard = test_shared(sizeof *yard);
    (void)snprintf(yard->prefix, sizeof yard->prefix, "%s", shm_name("yard"));
    for (int i = 0; i < CLEANERS; i++)
        role_start(&cleaners[i], clean, NULL);
    for (long i = 0; i < rounds; i++) {
        const char *name = shm_name("again");
        ipc_segment *segment = NULL;
        struct doomed doomed = {name, 100, 0, "", 0};
        struct role role;
        role_start(&role, create_and_die, &doomed);
        assert_int_equal(role_wait_dead(&role, LIMIT_MS), SIGKILL);
        const int rc = ipc_segment_create(name, 100, NULL, &segment);
        refused += rc == -EEXIST;
        if (rc != 0 && rc != -EEXIST)
            test_fail("create: %d: %s", rc, ipc_error_detail());
        if (rc == 0)
            assert_int_equal(ipc_segment_close(segment), 0);
        if (rc == 0)
            unlink_segment(name);
        else
            (void)ipc_segment_unlink(name);
    }
    meet_signal(&yard->stop);
    for (int i = 0; i < CLEANERS; i++)
        role_wait_ok(&cleaners[i], LIMIT_MS);
    test_report("rounds", rounds);
    test_report("refused", refused);
    assert_int_equal(refused, 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(all_who_want_the_name_at_once_get_one_segment, 600),
    TEST_CASE_LIMIT(cleaners_remove_the_dead_and_never_the_living, 120),
    TEST_CASE_LIMIT(create_takes_the_name_of_the_dead_beside_cleaners, 120),
};
TEST_MAIN(cases)
