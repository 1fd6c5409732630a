/* Segments: how long they stay when users close them, leave or die. */
#include "unit/segment_support.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

struct stage {
    char name[80];
    ipc_segment *inherited;
    uint32_t ready;
    uint32_t go;
    uint64_t id;
};

static struct stage *new_stage(void)
{
    struct stage *stage = test_shared(sizeof *stage);
    (void)snprintf(stage->name, sizeof stage->name, "%s", shm_name("a"));
    return stage;
}

static void expect_data(ipc_segment *segment, const char *text)
{
    assert_string_equal(ipc_segment_data(segment), text);
}

/* ---- abandoned ---- */

static void next_open_of_an_abandoned_one_finds_nothing(void)
{
    const char *name = shm_name("a");
    leave_abandoned(name, 0);
    expect_no_open(name, -ENOENT);
    assert_false(shm_exists(name));
}

static void next_create_makes_a_new_one(void)
{
    const char *name = shm_name("a");
    leave_abandoned(name, 0);
    ipc_segment *segment = make_segment(name, 100);
    expect_data(segment, "");
    assert_int_equal(ipc_segment_close(segment), 0);
    unlink_segment(name);
}

static void next_open_or_create_makes_a_new_one(void)
{
    const char *name = shm_name("a");
    ipc_segment *segment = NULL;
    leave_abandoned(name, 0);
    /* Also when the old one would have been too small. */
    assert_int_equal(ipc_segment_open_or_create(name, 5000, NULL, &segment), 0);
    expect_data(segment, "");
    assert_int_equal(ipc_segment_size(segment), 5000);
    assert_int_equal(ipc_segment_close(segment), 0);
    unlink_segment(name);
}

static void abandoned_names_can_be_unlinked(void)
{
    const char *name = shm_name("a");
    leave_abandoned(name, 0);
    unlink_segment(name);
    assert_false(shm_exists(name));
}

static void create_and_leave(void *arg)
{
    struct stage *stage = arg;
    (void)make_segment(stage->name, 100);
}

static void create_and_exec(void *arg)
{
    struct stage *stage = arg;
    (void)make_segment(stage->name, 100);
    (void)execl("/bin/true", "true", (char *)NULL);
}

/* Whoever ends without closing has died, as far as others can tell. */
static void leaving_without_closing_is_dying(void)
{
    struct stage *stage = new_stage();
    void (*const ways[])(void *arg) = {create_and_leave, create_and_exec};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct role role;
        role_start(&role, ways[i], stage);
        role_wait_ok(&role, LIMIT_MS);
        assert_true(shm_exists(stage->name));
        expect_no_open(stage->name, -ENOENT);
        assert_false(shm_exists(stage->name));
    }
}

static void open_twice_and_close_once(void *arg)
{
    struct stage *stage = arg;
    (void)make_segment(stage->name, 100);
    assert_int_equal(ipc_segment_close(open_segment(stage->name)), 0);
}

static void one_handle_of_two_closed_is_not_enough(void)
{
    struct stage *stage = new_stage();
    struct role role;
    role_start(&role, open_twice_and_close_once, stage);
    role_wait_ok(&role, LIMIT_MS);
    expect_no_open(stage->name, -ENOENT);
}

static struct stage *cleaned;

static void on_unlink(int signal_number)
{
    (void)signal_number;
    /* NOLINTNEXTLINE(bugprone-signal-handler,cert-sig30-c): one system call */
    meet_signal(&cleaned->ready);
    (void)pause();
}

/* Gets as far as to the call that removes the name. */
static void be_about_to_clean(void *arg)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#ifdef SYS_unlink
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unlink, 1, 0),
#endif
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unlinkat, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof code / sizeof code[0], code};
    cleaned = arg;
    (void)signal(SIGSYS, on_unlink);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        test_skip("no seccomp filters here: %m");
    run_gc(0);
}

static void create_it(void *arg)
{
    struct stage *stage = arg;
    assert_int_equal(ipc_segment_close(make_segment(stage->name, 100)), 0);
}

/* That one may be killed before it has removed anything. */
static void create_waits_for_who_is_about_to_clean(void)
{
    struct stage *stage = new_stage();
    struct role cleaner;
    struct role creator;
    leave_abandoned(stage->name, 0);
    role_start(&cleaner, be_about_to_clean, stage);
    if (!meet_within(&stage->ready, 1, LIMIT_MS))
        role_wait_ok(&cleaner, LIMIT_MS);
    role_start(&creator, create_it, stage);
    wait_until_blocked(creator.pid, LIMIT_MS);
    (void)role_kill(&cleaner);
    role_wait_ok(&creator, LIMIT_MS);
    unlink_segment(stage->name);
}

/* ---- not abandoned ---- */

static void create_close_and_leave(void *arg)
{
    struct stage *stage = arg;
    ipc_segment *segment = make_segment(stage->name, 100);
    write_text(segment, "kept");
    assert_int_equal(ipc_segment_close(segment), 0);
}

static void properly_closed_ones_stay(void)
{
    struct stage *stage = new_stage();
    struct role role;
    role_start(&role, create_close_and_leave, stage);
    role_wait_ok(&role, LIMIT_MS);
    expect_no_create(stage->name, -EEXIST);
    run_gc(0);
    ipc_segment *segment = open_segment(stage->name);
    expect_data(segment, "kept");
    assert_int_equal(ipc_segment_close(segment), 0);
    unlink_segment(stage->name);
}

static void persistent_ones_outlive_every_death(void)
{
    const char *name = shm_name("a");
    leave_abandoned(name, IPC_SEGMENT_PERSIST);
    run_gc(0);
    expect_no_create(name, -EEXIST);
    for (int i = 0; i < 2; i++) {
        ipc_segment *segment = open_segment(name);
        expect_data(segment, "of the dead");
        assert_int_equal(ipc_segment_close(segment), 0);
    }
    /* Opened by one who did not ask for that, too. */
    ipc_segment *segment = NULL;
    assert_int_equal(ipc_segment_open_or_create(name, 50, NULL, &segment), 0);
    expect_data(segment, "of the dead");
    assert_int_equal(ipc_segment_close(segment), 0);
    unlink_segment(name);
}

static void open_and_wait(void *arg)
{
    struct stage *stage = arg;
    ipc_segment *segment = open_segment(stage->name);
    meet_signal(&stage->ready);
    meet_wait(&stage->go, 1, LIMIT_MS);
    expect_data(segment, "kept");
    assert_int_equal(ipc_segment_close(segment), 0);
}

static void one_living_user_keeps_it(void)
{
    struct stage *stage = new_stage();
    struct role owner;
    struct role user;
    role_start(&owner, create_close_and_leave, stage);
    role_wait_ok(&owner, LIMIT_MS);
    role_start(&owner, open_and_wait, stage);
    meet_wait(&stage->ready, 1, LIMIT_MS);
    role_start(&user, open_and_wait, stage);
    meet_wait(&stage->ready, 2, LIMIT_MS);

    (void)role_kill(&owner);
    run_gc(0);
    expect_no_create(stage->name, -EEXIST);
    ipc_segment *segment = open_segment(stage->name);
    expect_data(segment, "kept");
    assert_int_equal(ipc_segment_close(segment), 0);
    meet_signal(&stage->go);
    role_wait_ok(&user, LIMIT_MS);

    /* Now nobody uses it, and somebody had died. */
    expect_no_open(stage->name, -ENOENT);
    assert_false(shm_exists(stage->name));
}

/* A user that comes after all others are gone counts anew. */
static void death_before_a_new_user_of_a_closed_one_is_forgotten(void)
{
    const char *name = shm_name("a");
    leave_abandoned(name, IPC_SEGMENT_PERSIST);
    ipc_segment *segment = open_segment(name);
    assert_int_equal(ipc_segment_close(segment), 0);
    run_gc(0);
    expect_no_create(name, -EEXIST);
    unlink_segment(name);
}

/* ---- fork ---- */

static void child_maps_on(void *arg)
{
    struct stage *stage = arg;
    meet_signal(&stage->ready);
    meet_wait(&stage->go, 1, LIMIT_MS);
    expect_data(stage->inherited, "of the parent");
}

static void parent_dies_child_stays(void *arg)
{
    struct stage *stage = arg;
    stage->inherited = make_segment(stage->name, 100);
    write_text(stage->inherited, "of the parent");
    stage->id = ipc_segment_id(stage->inherited);
    if (fork() == 0) {
        child_maps_on(stage);
        meet_signal(&stage->ready);
        role_exit(0);
    }
    meet_wait(&stage->ready, 1, LIMIT_MS);
    (void)raise(SIGKILL);
}

static void forked_child_keeps_it_when_the_parent_dies(void)
{
    struct stage *stage = new_stage();
    struct role role;
    role_start(&role, parent_dies_child_stays, stage);
    assert_int_equal(role_wait_dead(&role, LIMIT_MS), SIGKILL);
    run_gc(0);
    ipc_segment *segment = open_segment(stage->name);
    assert_int_equal(ipc_segment_id(segment), stage->id);
    expect_data(segment, "of the parent");
    meet_signal(&stage->go);
    meet_wait(&stage->ready, 2, LIMIT_MS);
    assert_int_equal(ipc_segment_close(segment), 0);
    unlink_segment(stage->name);
}

static void close_inherited(void *arg)
{
    struct stage *stage = arg;
    assert_int_equal(ipc_segment_close(stage->inherited), 0);
}

static void child_closes_parent_dies(void *arg)
{
    struct stage *stage = arg;
    struct role child;
    stage->inherited = make_segment(stage->name, 100);
    role_start(&child, close_inherited, stage);
    role_wait_ok(&child, LIMIT_MS);
    (void)raise(SIGKILL);
}

static void closing_an_inherited_handle_is_not_the_owners_close(void)
{
    struct stage *stage = new_stage();
    struct role role;
    role_start(&role, child_closes_parent_dies, stage);
    assert_int_equal(role_wait_dead(&role, LIMIT_MS), SIGKILL);
    expect_no_open(stage->name, -ENOENT);

    /* Nor does it spoil the owner's own. */
    stage->inherited = make_segment(stage->name, 100);
    role_start(&role, close_inherited, stage);
    role_wait_ok(&role, LIMIT_MS);
    write_text(stage->inherited, "kept");
    assert_int_equal(ipc_segment_close(stage->inherited), 0);
    run_gc(0);
    ipc_segment *segment = open_segment(stage->name);
    expect_data(segment, "kept");
    assert_int_equal(ipc_segment_close(segment), 0);
    unlink_segment(stage->name);
}

static void open_close_and_use_inherited(void *arg)
{
    struct stage *stage = arg;
    ipc_segment *own = open_segment(stage->name);
    assert_int_equal(ipc_segment_close(own), 0);
    write_text(stage->inherited, "from the child");
}

static void child_may_open_it_once_more_and_close_that(void)
{
    struct stage *stage = new_stage();
    struct role role;
    stage->inherited = make_segment(stage->name, 100);
    role_start(&role, open_close_and_use_inherited, stage);
    role_wait_ok(&role, LIMIT_MS);
    expect_data(stage->inherited, "from the child");
    assert_int_equal(ipc_segment_close(stage->inherited), 0);
    ipc_segment *segment = open_segment(stage->name);
    assert_int_equal(ipc_segment_close(segment), 0);
    unlink_segment(stage->name);
}

/* ---- gc ---- */

static void gc_removes_the_abandoned_and_counts_them(void)
{
    const char *closed = shm_name("closed");
    const char *used = shm_name("used");
    const char *kept = shm_name("kept");
    char what[16];
    for (int i = 0; i < 5; i++) {
        (void)snprintf(what, sizeof what, "dead%d", i);
        leave_abandoned(shm_name(what), 0);
    }
    leave_abandoned(kept, IPC_SEGMENT_PERSIST);
    assert_int_equal(ipc_segment_close(make_segment(closed, 1)), 0);
    ipc_segment *segment = make_segment(used, 1);

    run_gc(5);
    for (int i = 0; i < 5; i++) {
        (void)snprintf(what, sizeof what, "dead%d", i);
        assert_false(shm_exists(shm_name(what)));
    }
    run_gc(0);
    assert_int_equal(ipc_segment_close(segment), 0);
    unlink_segment(closed);
    unlink_segment(used);
    unlink_segment(kept);
}

static const struct test_case cases[] = {
    TEST_CASE(next_open_of_an_abandoned_one_finds_nothing),
    TEST_CASE(next_create_makes_a_new_one),
    TEST_CASE(next_open_or_create_makes_a_new_one),
    TEST_CASE(abandoned_names_can_be_unlinked),
    TEST_CASE(leaving_without_closing_is_dying),
    TEST_CASE(one_handle_of_two_closed_is_not_enough),
    TEST_CASE(create_waits_for_who_is_about_to_clean),
    TEST_CASE(properly_closed_ones_stay),
    TEST_CASE(persistent_ones_outlive_every_death),
    TEST_CASE(one_living_user_keeps_it),
    TEST_CASE(death_before_a_new_user_of_a_closed_one_is_forgotten),
    TEST_CASE(forked_child_keeps_it_when_the_parent_dies),
    TEST_CASE(closing_an_inherited_handle_is_not_the_owners_close),
    TEST_CASE(child_may_open_it_once_more_and_close_that),
    TEST_CASE(gc_removes_the_abandoned_and_counts_them),
};
TEST_MAIN(cases)
