/* Owners that live are never robbed, whatever their process does with other
 * mappings of the memory in which the lock lies. */
#include "harness/scale.h"
#include "unit/lock_support.h"

#include <errno.h>

enum {
    LOOKERS = 4,
    CLOSINGS = 5000
};

/* In the segment.  The second lock makes a thread known there. */
struct data {
    ipc_lock held;
    ipc_lock other;
};

struct play {
    uint32_t ready;
    uint32_t stop;
    long looks;
    long obituaries; /* for an owner that lives */
    long robberies;
};

static struct data *open_data(ipc_segment **segment)
{
    expect_rc(ipc_segment_open("closing", segment), 0);
    return ipc_segment_data(*segment);
}

/* Holds a lock by one mapping, and opens, uses and closes another one.  Its
 * slot in the table of peers comes and goes. */
static void owner(void *arg)
{
    struct play *play = arg;
    ipc_segment *stays = NULL;
    struct data *data = open_data(&stays);
    expect_rc(ipc_lock_acquire(&data->held), 0);
    meet_signal(&play->ready);
    for (long i = 0; i < CLOSINGS * test_scale(); i++) {
        ipc_segment *comes_and_goes = NULL;
        struct data *again = open_data(&comes_and_goes);
        expect_rc(ipc_lock_acquire(&again->other), 0);
        expect_rc(ipc_lock_release(&again->other), 0);
        expect_rc(ipc_segment_close(comes_and_goes), 0);
        if (__atomic_load_n(&play->robberies, __ATOMIC_RELAXED) > 0)
            return;
        assert_true(ipc_lock_is_mine(&data->held));
    }
    __atomic_store_n(&play->stop, 1, __ATOMIC_SEQ_CST);
    expect_rc(ipc_lock_release(&data->held), 0);
}

/* Asking who owns it looks at the owner in the same way as waiting for it
 * does, but more thoroughly. */
static void ask(void *arg)
{
    struct play *play = arg;
    ipc_segment *segment = NULL;
    struct data *data = open_data(&segment);
    while (__atomic_load_n(&play->stop, __ATOMIC_RELAXED) == 0) {
        ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
        const int rc = ipc_lock_owner(&data->held, &holder);
        const bool over = __atomic_load_n(&play->stop, __ATOMIC_SEQ_CST) != 0;
        if (over || rc != 0)
            break;
        (void)__atomic_add_fetch(&play->looks, 1, __ATOMIC_RELAXED);
        if (!holder.alive)
            (void)__atomic_add_fetch(&play->obituaries, 1, __ATOMIC_RELAXED);
    }
}

static void look(void *arg)
{
    struct play *play = arg;
    ipc_segment *segment = NULL;
    struct data *data = open_data(&segment);
    while (__atomic_load_n(&play->stop, __ATOMIC_RELAXED) == 0) {
        const int rc = ipc_lock_acquire_nowait(&data->held);
        (void)__atomic_add_fetch(&play->looks, 1, __ATOMIC_RELAXED);
        if (rc == -EAGAIN)
            continue;
        if (rc == IPC_OWNER_DIED)
            (void)__atomic_add_fetch(&play->robberies, 1, __ATOMIC_SEQ_CST);
        else if (rc == 0) /* at the end */
            expect_rc(ipc_lock_release(&data->held), 0);
        else
            test_fail("%d: %s", rc, ipc_error_detail());
        break;
    }
}

static void an_owner_that_closes_another_mapping_is_not_robbed(void)
{
    struct play *play = test_shared(sizeof *play);
    ipc_segment *segment = NULL;
    struct role owning, looking[LOOKERS];
    expect_rc(
        ipc_segment_create("closing", sizeof(struct data), NULL, &segment), 0);
    role_start(&owning, owner, play);
    meet_wait(&play->ready, 1, LIMIT_MS);
    for (int i = 0; i < LOOKERS; i++)
        role_start(&looking[i], i % 2 == 0 ? look : ask, play);
    const int status = role_wait_dead(&owning, 100000);
    __atomic_store_n(&play->stop, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < LOOKERS; i++)
        role_wait_ok(&looking[i], LIMIT_MS);
    expect_rc(ipc_segment_close(segment), 0);
    expect_rc(ipc_segment_unlink("closing"), 0);
    test_report("looks", play->looks);
    test_report("obituaries", play->obituaries);
    test_report("robberies", play->robberies);
    assert_int_equal(play->obituaries, 0);
    assert_int_equal(play->robberies, 0);
    assert_int_equal(status, 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(an_owner_that_closes_another_mapping_is_not_robbed, 300),
};
TEST_MAIN(cases)
