/* Family memory: who belongs to a family, how it comes to be, and the limits
 * of the process that makes it. */
#include "harness/harness.h"
#include "harness/role.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <ipc/error.h>
#include <ipc/shared.h>

#include "core/local.h"
#include "core/private_lock.h"

enum {
    LIMIT_MS = 10000
};

#define KIB ((size_t)1024)
#define MIB (KIB * 1024)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum {
    SANITIZED = 1
};
#else
enum {
    SANITIZED = 0
};
#endif

/* ---- helpers ---- */

static void *get(size_t size)
{
    void *memory = ipc_shared_alloc(size);
    if (memory == NULL)
        test_fail("no %zu bytes: %s", size, ipc_error_detail());
    return memory;
}

static void give(void *memory)
{
    if (ipc_shared_free(memory) != 0)
        test_fail("free of %p: %s", memory, ipc_error_detail());
}

static ipc_shared_info query(void)
{
    ipc_shared_info info = IPC_SHARED_INFO_INIT;
    assert_int_equal(ipc_shared_query(&info), 0);
    return info;
}

/* Run a part of a case in a process of its own that has no family yet. */
static void in_a_fresh_process(void (*part)(void *arg), void *arg)
{
    struct role role;
    role_start(&role, part, arg);
    role_wait_ok(&role, LIMIT_MS);
}

/* ---- several members of the family ---- */

struct board {
    uint32_t step;
    char *word; /* pointers that travel from one member to the other */
    char *large;
    char *older;
};

static void younger_member(void *arg)
{
    struct board *board = arg;
    board->word = get(32);
    (void)snprintf(board->word, 32, "from %d", (int)getpid());
    board->large = get(3 * MIB);
    memset(board->large, 'y', 3 * MIB);
    meet_signal(&board->step);
    meet_wait(&board->step, 2, LIMIT_MS);
    assert_string_equal(board->older, "allocated after the fork");
    give(board->older);
}

static void members_share_what_either_allocates_after_the_fork(void)
{
    struct board *board = test_shared(sizeof *board);
    assert_int_equal(ipc_shared_init(), 0);
    struct role role;
    role_start(&role, younger_member, board);
    char expected[32];
    (void)snprintf(expected, sizeof expected, "from %d", (int)role.pid);
    meet_wait(&board->step, 1, LIMIT_MS);
    assert_string_equal(board->word, expected);
    assert_int_equal(board->large[0], 'y');
    assert_int_equal(board->large[3 * MIB - 1], 'y');

    board->older = get(100);
    (void)snprintf(board->older, 100, "allocated after the fork");
    meet_signal(&board->step);
    role_wait_ok(&role, LIMIT_MS);
    assert_int_equal(ipc_shared_size(board->older), 0);
    give(board->word);
    give(board->large);
    assert_int_equal(query().count, 0);
}

static void grandchild(void *arg)
{
    struct board *board = arg;
    board->word = get(10);
    memcpy(board->word, "deep", 5);
}

static void child_with_child(void *arg)
{
    in_a_fresh_process(grandchild, arg);
}

/* The one who allocated it, and the one between, are gone. */
static void memory_outlives_the_member_that_allocated_it(void)
{
    struct board *board = test_shared(sizeof *board);
    assert_int_equal(ipc_shared_init(), 0);
    in_a_fresh_process(child_with_child, board);
    assert_string_equal(board->word, "deep");
    assert_int_equal(query().count, 1);
    give(board->word);
}

static void init_is_idempotent(void)
{
    assert_int_equal(ipc_shared_init(), 0);
    const ipc_shared_info first = query();
    void *memory = get(100);
    assert_int_equal(ipc_shared_init(), 0);
    assert_int_equal(query().count, 1);
    assert_int_equal(query().reserved, first.reserved);
    give(memory);
}

/* Without a call before the fork each of the two has a family of its own. */
static void apart(void *arg)
{
    assert_int_equal(ipc_shared_init(), 0);
    assert_int_equal(query().count, 0);
    *(void **)arg = get(50);
}

static void without_init_before_a_raw_fork_families_are_apart(void)
{
    void **theirs = test_shared(sizeof *theirs);
    in_a_fresh_process(apart, theirs);
    assert_int_equal(query().count, 0);
    assert_int_equal(ipc_shared_free(*theirs), -EINVAL);
}

/* ---- threads ---- */

struct first_user {
    pthread_t thread;
    uint32_t tid;
    uint32_t done;
    void *memory;
};

static void *first_use(void *arg)
{
    struct first_user *user = arg;
    __atomic_store_n(&user->tid, (uint32_t)gettid(), __ATOMIC_SEQ_CST);
    user->memory = get(100);
    __atomic_store_n(&user->done, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/* Start it, and wait until it has to wait for somebody, or is through. */
static void start_first_user(struct first_user *user)
{
    assert_int_equal(pthread_create(&user->thread, NULL, first_use, user), 0);
    for (;;) {
        const pid_t tid = (pid_t)__atomic_load_n(&user->tid, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&user->done, __ATOMIC_SEQ_CST) ||
            (tid != 0 && asleep_in_futex(tid)))
            return;
        poll_pause();
    }
}

static int count_family_mappings(void)
{
    char line[512];
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (fgets(line, sizeof line, maps) != NULL)
        count += strstr(line, "/memfd:libipc") != NULL;
    (void)fclose(maps);
    return count;
}

static void two_first_users(void *arg)
{
    (void)arg;
    static struct first_user one, two;
    /* Stops the first one while it makes the family known to the process. */
    ipc__private_lock(&ipc__local.region_lock);
    start_first_user(&one);
    start_first_user(&two);
    ipc__private_unlock(&ipc__local.region_lock);
    assert_int_equal(pthread_join(one.thread, NULL), 0);
    assert_int_equal(pthread_join(two.thread, NULL), 0);
    assert_ptr_not_equal(one.memory, two.memory);
    assert_int_equal(query().count, 2);
    give(one.memory);
    give(two.memory);
    assert_int_equal(count_family_mappings(), 1);
}

static void threads_that_race_to_the_first_use_get_one_family(void)
{
    in_a_fresh_process(two_first_users, NULL);
}

/* ---- limits of the process ---- */

/* Use up the whole range, in pieces and in one. */
static void use_it_all(size_t piece)
{
    const ipc_shared_info info = query();
    const size_t most = (size_t)info.reserved / piece + 1;
    void **all = calloc(most, sizeof *all);
    assert_non_null(all);
    size_t count = 0;
    while (count < most && (all[count] = ipc_shared_alloc(piece)) != NULL)
        count++;
    assert_true(count < most);
    assert_non_null(strstr(ipc_error_detail(), "no room"));
    assert_true(count >= (size_t)info.reserved / piece * 9 / 10);
    for (size_t i = 0; i < count; i += 2)
        give(all[i]);
    assert_null(ipc_shared_alloc(4 * piece)); /* room, but in pieces */
    for (size_t i = 1; i < count; i += 2)
        give(all[i]);
    free(all);
    assert_int_equal(query().count, 0);
    if (piece >= 64 * KIB)                /* a slab may stay for smaller ones */
        give(get((size_t)info.reserved)); /* pieces are joined again */
    assert_null(ipc_shared_alloc((size_t)info.reserved + 1));
}

static size_t address_space_now(void)
{
    char text[64] = "";
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(fgets(text, sizeof text, file));
    (void)fclose(file);
    return (size_t)strtoul(text, NULL, 10) * 4096;
}

static void with_little_address_space(void *arg)
{
    (void)arg;
    const rlim_t most = address_space_now() + 80 * (rlim_t)MIB;
    assert_int_equal(setrlimit(RLIMIT_AS, &(struct rlimit){most, most}), 0);
    const ipc_shared_info info = query();
    assert_true(info.reserved < 80 * MIB);
    assert_true(info.reserved >= 16 * MIB);
    use_it_all(64 * KIB);
}

static void small_address_space_makes_a_small_family(void)
{
    if (SANITIZED)
        test_skip("a sanitizer needs more address space");
    in_a_fresh_process(with_little_address_space, NULL);
}

static void with_no_address_space(void *arg)
{
    (void)arg;
    const rlim_t most = address_space_now() + 8 * (rlim_t)MIB;
    assert_int_equal(setrlimit(RLIMIT_AS, &(struct rlimit){most, most}), 0);
    assert_int_equal(ipc_shared_init(), -ENOMEM);
    assert_non_null(strstr(ipc_error_detail(), "address range"));
    assert_null(ipc_shared_alloc(1));
    assert_int_equal(ipc_shared_free((void *)(uintptr_t)4096), -ENOMEM);
}

static void no_address_space_is_an_error(void)
{
    if (SANITIZED)
        test_skip("a sanitizer needs more address space");
    in_a_fresh_process(with_no_address_space, NULL);
}

/* SIGXFSZ, which would end the role, is sent to who makes a file larger. */
static void with_small_files(void *arg)
{
    (void)arg;
    const rlim_t most = 20 * (rlim_t)MIB;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){most, most}), 0);
    assert_true(query().reserved <= 20 * MIB);
    assert_true(query().reserved > 18 * MIB);
    use_it_all(64 * KIB);
    use_it_all(5000);
}

static void with_tiny_files(void *arg)
{
    (void)arg;
    const rlim_t most = 64 * KIB;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){most, most}), 0);
    errno = ENOSYS; /* of some earlier call of the program */
    assert_int_equal(ipc_shared_init(), -ENOMEM);
    assert_string_not_equal(ipc_error_detail(), "");
}

static void limited_file_size_raises_no_signal(void)
{
    in_a_fresh_process(with_small_files, NULL);
    in_a_fresh_process(with_tiny_files, NULL);
}

static const struct test_case cases[] = {
    TEST_CASE(members_share_what_either_allocates_after_the_fork),
    TEST_CASE(memory_outlives_the_member_that_allocated_it),
    TEST_CASE(init_is_idempotent),
    TEST_CASE(without_init_before_a_raw_fork_families_are_apart),
    TEST_CASE(threads_that_race_to_the_first_use_get_one_family),
    TEST_CASE(small_address_space_makes_a_small_family),
    TEST_CASE(no_address_space_is_an_error),
    TEST_CASE(limited_file_size_raises_no_signal),
};
TEST_MAIN(cases)
