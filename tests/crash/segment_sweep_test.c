/* Named memory under SIGKILL: around every system call of every function, and
 * at instructions between.  Whatever is killed, the name leads to nothing or
 * to a complete segment, the next one gets on at once, what lives is not
 * touched, and nothing stays behind. */
#include "harness/scale.h"
#include "harness/sweep.h"
#include "unit/segment_support.h"

#include <sys/statvfs.h>

#include <ipc/lock.h>

#include "core/region.h"

enum {
    SIZE = 6000,
    NEXT_MS = 1000, /* longer means that it hangs */
};

struct stage {
    char name[80];
    char dead[3][80]; /* other names, abandoned */
    char used[80];
    uint64_t id; /* of the segment under the name; 0: none before */
    bool finished;
    char problem[160];
    uint32_t ready;
};

static struct stage *stage;
static struct role user;     /* has a segment open all the time */
static ipc_segment *mine;    /* of the victim, opened in its prepare */
static unsigned long blocks; /* in use before */
static int names;            /* so many before */

/* ---- before ---- */

static unsigned long blocks_used(void)
{
    struct statvfs st;
    assert_int_equal(statvfs("/dev/shm", &st), 0);
    return (unsigned long)(st.f_blocks - st.f_bfree);
}

static void new_stage(void)
{
    stage = test_shared(sizeof *stage);
    (void)snprintf(stage->name, sizeof stage->name, "%s", shm_name("a"));
    (void)snprintf(stage->used, sizeof stage->used, "%s", shm_name("used"));
    for (int i = 0; i < 3; i++)
        (void)snprintf(stage->dead[i], sizeof stage->dead[i], "%s-%d",
                       shm_name("dead"), i);
    blocks = blocks_used();
    names = test_shm_names();
}

/* Also after a run that nobody has looked at. */
static void there_is_nothing(void *ctx)
{
    (void)ctx;
    stage->id = 0;
    stage->problem[0] = '\0';
    (void)role_kill(&user);
    (void)unlink(shm_path(stage->name));
    (void)unlink(shm_path(stage->used));
    for (int i = 0; i < 3; i++)
        (void)unlink(shm_path(stage->dead[i]));
}

static void there_is_a_closed_one(void *ctx)
{
    there_is_nothing(ctx);
    ipc_segment *segment = make_segment(stage->name, SIZE);
    write_text(segment, "kept");
    stage->id = ipc_segment_id(segment);
    assert_int_equal(ipc_segment_close(segment), 0);
}

static void there_is_an_abandoned_one(void *ctx)
{
    there_is_nothing(ctx);
    leave_abandoned(stage->name, 0);
}

static void use_it(void *arg)
{
    const char *name = arg;
    (void)open_segment(name);
    meet_signal(&stage->ready);
    (void)pause();
}

static void start_user(char *name)
{
    stage->ready = 0;
    role_start(&user, use_it, name);
    meet_wait(&stage->ready, 1, LIMIT_MS);
}

static void there_is_one_in_use(void *ctx)
{
    there_is_a_closed_one(ctx);
    start_user(stage->name);
}

static void there_is_a_crowd(void *ctx)
{
    there_is_a_closed_one(ctx);
    for (int i = 0; i < 3; i++)
        leave_abandoned(stage->dead[i], 0);
    assert_int_equal(ipc_segment_close(make_segment(stage->used, SIZE)), 0);
    start_user(stage->used);
}

/* ---- what the victim does ---- */

static void open_before(void *ctx)
{
    (void)ctx;
    mine = open_segment(stage->name);
}

static void create_it(void *ctx)
{
    (void)ctx;
    if (ipc_segment_create(stage->name, SIZE, NULL, &mine) != 0)
        _exit(1);
}

static void open_or_create_it(void *ctx)
{
    (void)ctx;
    if (ipc_segment_open_or_create(stage->name, SIZE, NULL, &mine) != 0)
        _exit(1);
}

static void open_it(void *ctx)
{
    (void)ctx;
    if (ipc_segment_open(stage->name, &mine) != 0)
        _exit(1);
}

static void close_it(void *ctx)
{
    (void)ctx;
    if (ipc_segment_close(mine) != 0)
        _exit(1);
}

static void unlink_it(void *ctx)
{
    (void)ctx;
    if (ipc_segment_unlink(stage->name) != 0)
        _exit(1);
}

static void collect(void *ctx)
{
    (void)ctx;
    if (ipc_segment_gc() < 3)
        _exit(1);
}

/* ---- what others find ---- */

static void blame(const char *what, int rc)
{
    if (stage->problem[0] == '\0')
        (void)snprintf(stage->problem, sizeof stage->problem, "%s: %d: %.100s",
                       what, rc, rc < 0 ? ipc_error_detail() : "");
}

/* Also that it can be used: as large as it says, and locks work in it. */
static void check_segment(ipc_segment *segment, bool new_one)
{
    char *data = ipc_segment_data(segment);
    if (ipc_segment_size(segment) != SIZE)
        blame("size", (int)ipc_segment_size(segment));
    if (strcmp(data, new_one ? "" : "kept") != 0)
        blame("data", data[0]);
    for (size_t i = 16; i < SIZE; i++)
        if (data[i] != 0)
            blame("not zero-filled", data[i]);
    ipc_lock *lock = (ipc_lock *)(void *)(data + 64);
    const int rc = ipc_lock_acquire(lock);
    if (rc != 0 || ipc_lock_release(lock) != 0)
        blame("lock in it", rc);
    memset(lock, 0, sizeof *lock);
}

static void close_or_blame(ipc_segment *segment)
{
    const int rc = ipc_segment_close(segment);
    if (rc != 0)
        blame("close", rc);
}

/* Nothing, or all of it: the old one, or a new one. */
static void look(bool may_be_gone)
{
    ipc_segment *segment = NULL;
    const int rc = ipc_segment_open(stage->name, &segment);
    if (rc == 0) {
        check_segment(segment, ipc_segment_id(segment) != stage->id);
        close_or_blame(segment);
    } else if (rc != -ENOENT || !may_be_gone) {
        blame("open", rc);
    }
}

static void unlink_or_blame(const char *name)
{
    const int rc = ipc_segment_unlink(name);
    if (rc != 0)
        blame("unlink", rc);
}

/* The next ones: open, create, and open or create. */
static void next_ones(void *arg)
{
    const bool may_be_gone = arg == NULL;
    ipc_segment *segment = NULL;
    look(may_be_gone);
    int rc = ipc_segment_open_or_create(stage->name, SIZE, NULL, &segment);
    if (rc != 0) {
        blame("open_or_create", rc);
        return;
    }
    check_segment(segment, ipc_segment_id(segment) != stage->id);
    close_or_blame(segment);
    unlink_or_blame(stage->name);
    rc = ipc_segment_create(stage->name, SIZE, NULL, &segment);
    if (rc != 0) {
        blame("create", rc);
        return;
    }
    check_segment(segment, true);
    close_or_blame(segment);
    unlink_or_blame(stage->name);
}

/* When the death left a segment without users, the next create or gc takes
 * its place. */
static void next_creator(void *arg)
{
    ipc_segment *segment = NULL;
    (void)arg;
    if (stage->finished)
        return;
    const int rc = ipc_segment_create(stage->name, SIZE, NULL, &segment);
    if (rc != 0) {
        blame("next create", rc);
        return;
    }
    check_segment(segment, true);
    close_or_blame(segment);
}

static void next_collector(void *arg)
{
    (void)arg;
    const int rc = ipc_segment_gc();
    if (rc < 0)
        blame("gc", rc);
    for (int i = 0; i < 3; i++)
        if (shm_exists(stage->dead[i]))
            blame("a dead one was not removed", i);
    ipc_segment *segment = NULL;
    if (ipc_segment_open(stage->used, &segment) != 0)
        blame("the one in use", -1);
    else
        close_or_blame(segment);
    look(false);
}

static void ask(void (*part)(void *arg), void *arg,
                const struct sweep_point *point, struct sweep_result *result)
{
    const int rc = role_try(part, arg, NEXT_MS);
    if (rc == ROLE_HUNG)
        sweep_wedge(result, point);
    else if (rc != 0)
        blame("the next one died", rc);
}

static void conclude(const struct sweep_point *point,
                     struct sweep_result *result)
{
    if (stage->problem[0] != '\0') {
        if (result->torn < 3)
            printf("%s\n", stage->problem);
        sweep_torn(result, point);
    }
    there_is_nothing(NULL);
    if (test_shm_names() != names || blocks_used() != blocks)
        sweep_leftover(result, point);
}

static void absent_or_complete(void *ctx, const struct sweep_point *point,
                               struct sweep_result *result)
{
    (void)ctx;
    ask(next_ones, NULL, point, result);
    conclude(point, result);
}

/* The victim was the only user of what it made. */
static void next_creator_gets_it(void *ctx, const struct sweep_point *point,
                                 struct sweep_result *result)
{
    stage->finished = point->finished;
    ask(next_creator, NULL, point, result);
    absent_or_complete(ctx, point, result);
}

/* Somebody uses it: it must be there, and the same. */
static void still_in_use(void *ctx, const struct sweep_point *point,
                         struct sweep_result *result)
{
    ask(next_ones, ctx != NULL ? ctx : stage, point, result);
    conclude(point, result);
}

static void gc_goes_on(void *ctx, const struct sweep_point *point,
                       struct sweep_result *result)
{
    (void)ctx;
    ask(next_collector, NULL, point, result);
    conclude(point, result);
}

/* ---- sweeps ---- */

static void sweep_both(struct sweep sweep, long stride, long min_calls)
{
    struct sweep_result result;
    new_stage();
    sweep.grain = SWEEP_SYSCALLS;
    sweep_run(&sweep, &result);
    sweep_report("calls", &result);
    sweep_expect_clean(&result, min_calls);
    sweep.grain = SWEEP_INSTRUCTIONS;
    sweep.stride = (stride + test_scale() - 1) / test_scale();
    sweep_run(&sweep, &result);
    sweep_report("instructions", &result);
    sweep_expect_clean(&result, 20);
}

static void creating(void)
{
    sweep_both((struct sweep){.reset = there_is_nothing,
                              .victim = create_it,
                              .oracle = next_creator_gets_it},
               67, 20);
}

static void creating_in_place_of_an_abandoned_one(void)
{
    sweep_both((struct sweep){.reset = there_is_an_abandoned_one,
                              .victim = create_it,
                              .oracle = next_creator_gets_it},
               97, 40);
}

static void opening_or_creating(void)
{
    sweep_both((struct sweep){.reset = there_is_nothing,
                              .victim = open_or_create_it,
                              .oracle = absent_or_complete},
               67, 20);
}

static void opening_or_creating_an_abandoned_one(void)
{
    sweep_both((struct sweep){.reset = there_is_an_abandoned_one,
                              .victim = open_or_create_it,
                              .oracle = absent_or_complete},
               97, 40);
}

static void opening_a_closed_one(void)
{
    sweep_both((struct sweep){.reset = there_is_a_closed_one,
                              .victim = open_it,
                              .oracle = absent_or_complete},
               37, 14);
}

static void opening_one_in_use(void)
{
    sweep_both((struct sweep){.reset = there_is_one_in_use,
                              .victim = open_it,
                              .oracle = still_in_use},
               37, 14);
}

static void closing(void)
{
    sweep_both((struct sweep){.reset = there_is_a_closed_one,
                              .prepare = open_before,
                              .victim = close_it,
                              .oracle = absent_or_complete},
               41, 2);
}

static void closing_one_that_others_use(void)
{
    sweep_both((struct sweep){.reset = there_is_one_in_use,
                              .prepare = open_before,
                              .victim = close_it,
                              .oracle = still_in_use},
               41, 2);
}

static void unlinking(void)
{
    sweep_both((struct sweep){.reset = there_is_a_closed_one,
                              .victim = unlink_it,
                              .oracle = absent_or_complete},
               37, 14);
}

static void collecting(void)
{
    sweep_both((struct sweep){.reset = there_is_a_crowd,
                              .victim = collect,
                              .oracle = gc_goes_on},
               197, 60);
}

/* ---- the sweep itself, on what is wrong on purpose ---- */

static char header[IPC__REGION_TABLE];

/* The classic: the name first, then size and content. */
static void create_step_by_step(void *ctx)
{
    (void)ctx;
    const int fd = open(shm_path(stage->name), O_RDWR | O_CREAT | O_EXCL,
                        S_IRUSR | S_IWUSR);
    if (fd < 0 || posix_fallocate(fd, 0, IPC__REGION_TABLE + SIZE) != 0 ||
        pwrite(fd, header, sizeof header, 0) != (ssize_t)sizeof header)
        _exit(1);
}

static void sweep_finds_a_name_that_came_too_early(void)
{
    struct sweep_result result;
    new_stage();
    there_is_a_closed_one(NULL);
    const int fd = open(shm_path(stage->name), O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, header, sizeof header, 0), sizeof header);
    (void)close(fd);
    unlink_segment(stage->name);
    const struct sweep sweep = {.reset = there_is_nothing,
                                .victim = create_step_by_step,
                                .oracle = absent_or_complete,
                                .grain = SWEEP_SYSCALLS};
    sweep_run(&sweep, &result);
    sweep_report(NULL, &result);
    assert_int_equal(result.wedges, 0);
    assert_true(result.torn > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(creating, 3600),
    TEST_CASE_LIMIT(creating_in_place_of_an_abandoned_one, 3600),
    TEST_CASE_LIMIT(opening_or_creating, 3600),
    TEST_CASE_LIMIT(opening_or_creating_an_abandoned_one, 3600),
    TEST_CASE_LIMIT(opening_a_closed_one, 3600),
    TEST_CASE_LIMIT(opening_one_in_use, 3600),
    TEST_CASE_LIMIT(closing, 3600),
    TEST_CASE_LIMIT(closing_one_that_others_use, 3600),
    TEST_CASE_LIMIT(unlinking, 3600),
    TEST_CASE_LIMIT(collecting, 3600),
    TEST_CASE(sweep_finds_a_name_that_came_too_early),
};
TEST_MAIN(cases)
