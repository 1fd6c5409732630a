/* The memory of fair locks: how much they take, that they touch no more, what
 * is left of them, and what garbage in the waiting line does. */
#include "unit/lock_fair_support.h"

#include "harness/scale.h"

#include <sys/mman.h>

enum {
    PAGE = 4096,
    CANARY = 64,
    PATTERN = 0x5a
};

/* ---- how much ---- */

static void plain_ones_take_what_their_type_says(void)
{
    assert_int_equal(ipc_lock_bytes(0), sizeof(ipc_lock));
    assert_int_equal(ipc_rlock_bytes(0), sizeof(ipc_rlock));
    assert_true(ipc_lock_bytes(IPC_LOCK_FAIR) > sizeof(ipc_lock));
    assert_true(ipc_rlock_bytes(IPC_LOCK_FAIR) > sizeof(ipc_rlock));
    assert_true(ipc_lock_bytes(IPC_LOCK_FAIR) < PAGE);
    assert_int_equal(ipc_lock_bytes(IPC_LOCK_FAIR) % 8, 0);
    test_report("bytes", (long long)ipc_lock_bytes(IPC_LOCK_FAIR));
}

static void too_little_memory_is_refused(void)
{
    ipc_lock_options options = fair_options();
    const size_t enough = ipc_lock_bytes(IPC_LOCK_FAIR);
    const size_t deep = ipc_rlock_bytes(IPC_LOCK_FAIR);
    unsigned char *memory = test_shared(PAGE);
    const size_t sizes[] = {0, 1, sizeof(ipc_lock), enough - 1};
    memset(memory, PATTERN, PAGE);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        options.bytes = sizes[i];
        expect_rc(ipc_lock_init((void *)memory, &options), -EMSGSIZE);
        assert_true(strlen(ipc_error_detail()) > 0);
        expect_rc(ipc_rlock_init((void *)memory, &options), -EMSGSIZE);
        assert_true(strlen(ipc_error_detail()) > 0);
    }
    options.bytes = deep - 1;
    expect_rc(ipc_rlock_init((void *)memory, &options), -EMSGSIZE);
    for (int i = 0; i < PAGE; i++)
        assert_int_equal(memory[i], PATTERN);

    options.bytes = enough;
    expect_rc(ipc_lock_init((void *)memory, &options), 0);
    options.bytes = deep;
    expect_rc(ipc_rlock_init((void *)memory, &options), 0);
    options.bytes = PAGE;
    expect_rc(ipc_lock_init((void *)memory, &options), 0);
}

/* Only init asks: others know. */
static void bytes_do_not_matter_elsewhere(void)
{
    ipc_lock_options options = fair_options();
    ipc_lock *lock = NULL;
    ipc_lock small;
    options.bytes = 1;
    expect_rc(ipc_lock_new(&options, &lock), 0);
    assert_true(ipc_shared_size(lock) >= ipc_lock_bytes(IPC_LOCK_FAIR));
    expect_rc(ipc_lock_free(lock), 0);
    expect_rc(ipc_lock_create("small", &options, &lock), 0);
    expect_rc(ipc_lock_close(lock), 0);
    expect_rc(ipc_lock_unlink("small"), 0);
    options.flags = 0;
    expect_rc(ipc_lock_init(&small, &options), 0);
    expect_rc(ipc_lock_fini(&small), 0);
}

static void freed_ones_are_given_back_whole(void)
{
    const ipc_lock_options options = fair_options();
    ipc_shared_info before = IPC_SHARED_INFO_INIT;
    ipc_shared_info after = IPC_SHARED_INFO_INIT;
    ipc_lock *lock = NULL;
    ipc_rlock *rlock = NULL;
    expect_rc(ipc_shared_query(&before), 0);
    for (int i = 0; i < 10; i++) {
        expect_rc(ipc_lock_new(&options, &lock), 0);
        expect_rc(ipc_rlock_new(&options, &rlock), 0);
        expect_rc(ipc_lock_free(lock), 0);
        expect_rc(ipc_rlock_free(rlock), 0);
    }
    expect_rc(ipc_shared_query(&after), 0);
    assert_int_equal(after.count, before.count);
    assert_int_equal(after.used, before.used);
}

/* ---- no more than that ---- */

/* Memory between two pages that cannot be touched, at the end of it. */
static unsigned char *fenced(size_t size)
{
    unsigned char *map = mmap(NULL, 3 * (size_t)PAGE, PROT_NONE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mprotect(map + PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
    memset(map + PAGE, PATTERN, PAGE);
    return map + 2 * (size_t)PAGE - size;
}

static void expect_canary(const unsigned char *object)
{
    for (const unsigned char *p = object - CANARY; p < object; p++)
        assert_int_equal(*p, PATTERN);
}

static void nothing_around_it_is_touched(void)
{
    const size_t size = ipc_lock_bytes(IPC_LOCK_FAIR);
    struct fair fair = {.place = IN_OURS};
    struct guest guests[4];
    ipc_lock_options options = fair_options();
    options.bytes = size;
    unsigned char *object = fenced(size);
    fair.lock = (void *)object;
    expect_rc(ipc_lock_init(fair.lock, &options), 0);
    struct line *line = new_line(&fair);
    expect_rc(ipc_lock_acquire(fair.lock), 0);
    send_guests(line, guests, 4, false);
    expect_rc(ipc_lock_release(fair.lock), 0);
    see_off(guests, 4);
    expect_served(line, "abcd");
    expect_rc(ipc_lock_fini(fair.lock), 0);
    expect_canary(object);
    for (size_t i = 0; i < sizeof(ipc_lock); i++)
        assert_int_equal(object[i], 0);
    expect_rc(ipc_lock_acquire(fair.lock), 0); /* zeros: a plain, free one */
    expect_rc(ipc_lock_release(fair.lock), 0);
}

static void fini_says_that_it_is_held_or_waited_for(void)
{
    struct fair fair;
    struct guest guests[2];
    make_fair_lock(&fair, IN_OURS);
    struct line *line = new_line(&fair);
    expect_rc(ipc_lock_acquire(fair.lock), 0);
    expect_rc(ipc_lock_fini(fair.lock), -EBUSY);
    send_guests(line, guests, 2, true);
    expect_rc(ipc_lock_fini(fair.lock), -EBUSY);
    assert_true(strlen(ipc_error_detail()) > 0);
    expect_rc(ipc_lock_release(fair.lock), 0);
    see_off(guests, 2);
    expect_served(line, "ab");
    end_fair(&fair);
}

/* ---- garbage ---- */

struct garbage {
    ipc_lock *lock;
    uint32_t come;
    uint32_t errors;
    uint32_t served;
};

static void try_for_a_while(void *arg)
{
    struct garbage *garbage = arg;
    meet_signal(&garbage->come);
    const int rc = ipc_lock_acquire_until(garbage->lock, ipc_after_ms(150));
    if (rc >= 0) {
        meet_signal(&garbage->served);
        (void)ipc_lock_consistent(garbage->lock);
        (void)ipc_lock_release(garbage->lock);
        return;
    }
    assert_true(rc == -EUCLEAN || rc == -ETIMEDOUT || rc == -ENOTRECOVERABLE);
    assert_true(strlen(ipc_error_detail()) > 0);
    meet_signal(&garbage->errors);
}

/* It may be served, told that this is garbage, or wait for its deadline; but
 * nothing crashes or goes on for ever. */
static void use_with_garbage(struct garbage *garbage, bool while_they_wait,
                             void (*fill)(unsigned char *line, size_t size))
{
    const size_t size = ipc_lock_bytes(IPC_LOCK_FAIR) - sizeof(ipc_lock);
    ipc_lock_options options = fair_options();
    struct role roles[3];
    options.bytes = ipc_lock_bytes(IPC_LOCK_FAIR);
    expect_rc(ipc_lock_init(garbage->lock, &options), 0);
    expect_rc(ipc_lock_acquire(garbage->lock), 0);
    if (!while_they_wait)
        fill((unsigned char *)(garbage->lock + 1), size);
    const uint32_t before = garbage->come;
    for (uint32_t i = 0; i < 3; i++) {
        role_start(&roles[i], try_for_a_while, garbage);
        meet_wait(&garbage->come, before + 1 + i, LIMIT_MS);
        while (!asleep_in_futex(roles[i].pid) && !thread_ended(roles[i].pid))
            poll_pause();
    }
    if (while_they_wait)
        fill((unsigned char *)(garbage->lock + 1), size);
    const int rc = ipc_lock_release(garbage->lock);
    assert_true(rc == 0 || rc == -EUCLEAN);
    for (int i = 0; i < 3; i++)
        role_wait_ok(&roles[i], LIMIT_MS);
    expect_canary((unsigned char *)garbage->lock);
}

static void fill_ones(unsigned char *line, size_t size)
{
    memset(line, 0xff, size);
}

static void fill_pattern(unsigned char *line, size_t size)
{
    memset(line, 0xa5, size);
}

static struct test_random random_bytes;

static void fill_random(unsigned char *line, size_t size)
{
    for (size_t i = 0; i < size; i++)
        line[i] = (unsigned char)test_random_next(&random_bytes);
}

/* Places of a thread that lives.  Not the guard in front of them: who holds
 * that is waited for as long as he lives. */
static void fill_with_the_owner(unsigned char *line, size_t size)
{
    const uint64_t *word = (uint64_t *)(void *)(line - sizeof(ipc_lock));
    const uint64_t owner = *word;
    for (size_t i = sizeof owner; i + sizeof owner <= size; i += sizeof owner)
        memcpy(line + i, &owner, sizeof owner);
}

static void garbage_in_the_line_is_survived(void)
{
    static void (*const fills[])(unsigned char *line, size_t size) = {
        fill_ones,   fill_pattern, fill_with_the_owner,
        fill_random, fill_random,  fill_random};
    struct garbage *garbage = test_shared(sizeof *garbage);
    garbage->lock = (void *)fenced(ipc_lock_bytes(IPC_LOCK_FAIR));
    random_bytes.state = test_seed();
    for (size_t i = 0; i < sizeof fills / sizeof fills[0]; i++) {
        use_with_garbage(garbage, false, fills[i]);
        use_with_garbage(garbage, true, fills[i]);
    }
    test_report("errors", garbage->errors);
    test_report("served", garbage->served);
}

static void a_line_at_a_wrong_place_is_refused(void)
{
    const size_t size = ipc_lock_bytes(IPC_LOCK_FAIR);
    static const uint32_t places[] = {
        1,          4,          8,          56,         60,         63,   65,
        72,         120,        124,        127,        256,        1000, 4096,
        0x7fffffff, 0x80000000, 0xffffffc0, 0xfffffff8, 0xffffffff,
    };
    unsigned char *object = fenced(size);
    ipc_lock *lock = (void *)object;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct role role;
        memset(object, 0, size);
        struct stage *stage = stage_new(lock);
        role_start(&role, hold_until_go, stage);
        meet_wait(&stage->ready, 1, LIMIT_MS);
        lock->line_ = places[i];
        expect_rc(ipc_lock_acquire_until(lock, ipc_after_ms(20)), -EUCLEAN);
        assert_true(strlen(ipc_error_detail()) > 0);
        expect_canary(object);
        for (size_t k = sizeof *lock; k < size; k++)
            assert_int_equal(object[k], 0);
        (void)role_kill(&role);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(plain_ones_take_what_their_type_says),
    TEST_CASE(too_little_memory_is_refused),
    TEST_CASE(bytes_do_not_matter_elsewhere),
    TEST_CASE(freed_ones_are_given_back_whole),
    TEST_CASE(nothing_around_it_is_touched),
    TEST_CASE(fini_says_that_it_is_held_or_waited_for),
    TEST_CASE(garbage_in_the_line_is_survived),
    TEST_CASE(a_line_at_a_wrong_place_is_refused),
};
TEST_MAIN(cases)
