/* Synchronisation objects full of garbage: every call gives a result or an
 * error that its header names.  None crashes, hangs, or writes outside of the
 * object; and the thread is as good as before. */
#include "harness/scale.h"
#include "unit/sync_calls.h"

#include "harness/role.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "core/family.h"
#include "core/peers.h"
#include "kernel/futex.h"

enum {
    STEPS = 500, /* of each kind */
    CALLS = 8,   /* in a step */
    PAGE = 4096,
    RANDOM_BYTES = 8192, /* of an object at most; the rest is zero */
    STEP_MS = 3000,      /* a step that takes longer hangs */
    LIMIT_S = 100
};

/* Where it was when it crashed or hung; shared with the role that tries. */
struct fuzz {
    uint64_t seed;
    uint32_t kind;
    uint32_t step;
    const char *call;
    uint64_t calls;
    uint64_t errors;
    int64_t slowest_ns;
};

static struct fuzz *fuzz;
static struct sync_kind kinds[SYNC_KINDS];

/* ---- memory with fences ---- */

/* At the end of its pages, so that the next byte is a fault; and what lies
 * before it on its first page is known. */
struct pen {
    unsigned char *object;
    size_t size;
    size_t before; /* known bytes */
};

static struct pen new_pen(size_t size)
{
    const size_t pages = (size + PAGE - 1) / PAGE * PAGE;
    unsigned char *map = mmap(NULL, pages + 2 * (size_t)PAGE, PROT_NONE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mprotect(map + PAGE, pages, PROT_READ | PROT_WRITE), 0);
    const size_t before = (pages - size) / 64 * 64;
    memset(map + PAGE, 0x5a, pages);
    return (struct pen){map + PAGE + pages - size, size, before};
}

static void expect_fences(const struct pen *pen)
{
    for (size_t i = 1; i <= pen->before; i++)
        if (pen->object[-(ptrdiff_t)i] != 0x5a)
            test_fail("a byte %zu before the object was written", i);
}

/* ---- garbage ---- */

/* What the library itself writes into such words, and its neighbours. */
static uint64_t telling_word(struct test_random *random)
{
    static const uint64_t words[] = {
        1,
        2,
        3,
        4,
        62,
        63,
        64,
        120,
        128,
        500,
        501,
        4096,
        65536,
        FUTEX_BIT_OWNER_DIED,
        FUTEX_BIT_WAITERS,
        FUTEX_BIT_OWNER_DIED | FUTEX_BIT_WAITERS,
        UINT32_MAX,
        UINT64_MAX,
        INT32_MAX,
        (uint64_t)UINT32_MAX << 32,
        1 << 22,
        (1 << 22) + 1,
        0x1fc00000,
        0x20000000,
    };
    const long which =
        test_random_between(random, 0, (long)SYNC_COUNT(words) + 2);
    if (which < (long)SYNC_COUNT(words))
        return words[which];
    if (which == (long)SYNC_COUNT(words))
        return ipc__self.id;
    if (which == (long)SYNC_COUNT(words) + 1)
        return ipc__self.id | FUTEX_BIT_WAITERS;
    return test_random_next(random) & 0xffff;
}

static void fill_random(unsigned char *object, size_t size,
                        struct test_random *random)
{
    for (size_t i = 0; i + 8 <= size && i < RANDOM_BYTES; i += 8) {
        const uint64_t word = test_random_next(random);
        memcpy(object + i, &word, sizeof word);
    }
}

/* A few words of it, mostly of its beginning. */
static void spoil(unsigned char *object, size_t size,
                  struct test_random *random)
{
    const size_t head = size < 192 ? size : 192;
    const size_t all = size < RANDOM_BYTES ? size : RANDOM_BYTES;
    for (long n = test_random_between(random, 1, 6); n > 0; n--) {
        const size_t room = n % 3 == 0 ? all : head;
        const size_t at =
            (size_t)test_random_between(random, 0, (long)room / 4 - 1) * 4;
        const uint64_t word =
            n % 2 == 0 ? test_random_next(random) : telling_word(random);
        memcpy(object + at, &word, at % 8 == 0 && n % 4 < 2 ? 8 : 4);
    }
}

static void make_good(const struct sync_kind *kind, void *object,
                      struct test_random *random)
{
    if (strcmp(kind->name, "lock") == 0 || strcmp(kind->name, "rlock") == 0) {
        ipc_lock_options options = IPC_LOCK_OPTIONS_INIT;
        options.flags = (uint32_t)test_random_next(random) & IPC_LOCK_FAIR;
        options.bytes = kind->most;
        const int rc = strcmp(kind->name, "lock") == 0
                           ? ipc_lock_init(object, &options)
                           : ipc_rlock_init(object, &options);
        assert_int_equal(rc, 0);
    } else if (strcmp(kind->name, "semaphore") == 0) {
        ipc_semaphore_options options = IPC_SEMAPHORE_OPTIONS_INIT;
        options.flags = (uint32_t)test_random_next(random) & 7;
        options.bytes = kind->most;
        const uint32_t permits = (uint32_t)test_random_between(random, 1, 20);
        assert_int_equal(ipc_semaphore_init(object, permits, &options), 0);
    } else if (kind->init != NULL) {
        assert_int_equal(kind->init(object), 0);
    }
}

/* A word that may name a living thread is waited for: what is in it cannot be
 * told from a guard that somebody holds. */
static void leave_the_living_out(unsigned char *object, size_t size)
{
    for (size_t i = 0; i + 8 <= size && i < RANDOM_BYTES; i += 8) {
        uint64_t word;
        memcpy(&word, object + i, sizeof word);
        const pid_t tid = (pid_t)(word & FUTEX_BITS_TID);
        const bool exists = tid != 0 && (kill(tid, 0) == 0 || errno == EPERM);
        if (exists && word >> 42 == 0) /* when it was born is not known */
            memset(object + i, 0, sizeof word);
    }
}

static void fill(const struct sync_kind *kind, unsigned char *object,
                 uint32_t step, struct test_random *random)
{
    memset(object, 0, kind->most < RANDOM_BYTES ? kind->most : RANDOM_BYTES);
    switch (step % 4) {
    case 0:
        fill_random(object, kind->most, random);
        break;
    case 1:
        spoil(object, kind->most, random);
        break;
    case 2:
        make_good(kind, object, random);
        spoil(object, kind->most, random);
        break;
    default:
        make_good(kind, object, random);
        for (int i = 0; i < 4; i++)
            spoil(object, kind->most, random);
        break;
    }
    leave_the_living_out(object, kind->most);
}

/* ---- calls ---- */

static void make_call(const struct sync_kind *kind,
                      const struct sync_call *call, void *object)
{
    fuzz->call = call->name; /* a constant: the same in all processes */
    const int64_t start = test_now_ns();
    const int rc = sync_make_call(kind->name, call, object, "of garbage");
    const int64_t ns = test_now_ns() - start;
    fuzz->calls++;
    fuzz->errors += rc < 0;
    if (ns > fuzz->slowest_ns)
        fuzz->slowest_ns = ns;
}

static void end_of_garbage(const struct sync_kind *kind, void *object)
{
    if (kind->fini == NULL)
        return;
    fuzz->call = "fini";
    const int rc = kind->fini(object);
    if (rc != 0 && rc != -EBUSY && rc != -EUCLEAN)
        test_fail("%s fini: %d (%s)", kind->name, rc, ipc_error_detail());
}

/* All of a good object's calls work, so nothing of before is left in the
 * thread: no guard that it thinks it holds, no place that it reads in. */
static void expect_sound(const struct sync_kind *kind, void *object)
{
    memset(object, 0, kind->most < RANDOM_BYTES ? kind->most : RANDOM_BYTES);
    if (kind->init != NULL)
        assert_int_equal(kind->init(object), 0);
    for (size_t i = 0; i < kind->count; i++) {
        fuzz->call = kind->calls[i].name;
        const int rc = sync_make_call(kind->name, &kind->calls[i], object,
                                      "of a good one");
        if (rc == -EUCLEAN || rc == -ENOTRECOVERABLE)
            test_fail("%s %s of a good one: %d (%s)", kind->name,
                      kind->calls[i].name, rc, ipc_error_detail());
    }
    if (ipc__self.robust != NULL && ipc__self.robust->list_op_pending != NULL)
        test_fail("%s: something is pending", kind->name);
}

static void try_kind(void *arg)
{
    const struct sync_kind *kind = arg;
    struct test_random random = {fuzz->seed + fuzz->kind};
    struct pen pen = new_pen(kind->most);
    for (long step = 0; step < STEPS * test_scale(); step++) {
        __atomic_store_n(&fuzz->step, (uint32_t)step, __ATOMIC_SEQ_CST);
        fill(kind, pen.object, (uint32_t)step, &random);
        for (int i = 0; i < CALLS; i++) {
            const size_t which =
                (size_t)test_random_between(&random, 0, (long)kind->count - 1);
            make_call(kind, &kind->calls[which], pen.object);
        }
        end_of_garbage(kind, pen.object);
        expect_fences(&pen);
        if (step % 16 == 0)
            expect_sound(kind, pen.object);
    }
}

/* In a process of its own: what crashes is that one.  Returns its end. */
static int watch(struct role *role)
{
    uint32_t last = UINT32_MAX;
    for (;;) {
        int status;
        if (role_dead_within(role, STEP_MS, &status))
            return status;
        const uint32_t step = __atomic_load_n(&fuzz->step, __ATOMIC_SEQ_CST);
        if (step == last) {
            (void)role_kill(role);
            return -1;
        }
        last = step;
    }
}

static void fuzz_kind(uint32_t which)
{
    struct role role;
    sync_kinds(kinds);
    fuzz = test_shared(sizeof *fuzz);
    fuzz->seed = test_seed();
    fuzz->kind = which;
    /* So that the thread is known where the objects lie. */
    ipc_lock lock = {.word_ = 0};
    assert_int_equal(sync_lock_acquire_nowait(&lock), 0);
    role_start(&role, try_kind, &kinds[which]);
    const int status = watch(&role);
    test_report("calls", (long long)fuzz->calls);
    test_report("errors", (long long)fuzz->errors);
    test_report("slowest_ms", fuzz->slowest_ns / 1000000);
    if (status != 0)
        test_fail("%s %s, step %u: %s (status 0x%x)", kinds[which].name,
                  fuzz->call, fuzz->step, status < 0 ? "hangs" : "has failed",
                  (unsigned)status);
}

static void lock_full_of_garbage(void)
{
    fuzz_kind(0);
}

static void rlock_full_of_garbage(void)
{
    fuzz_kind(1);
}

static void rwlock_full_of_garbage(void)
{
    fuzz_kind(2);
}

static void once_full_of_garbage(void)
{
    fuzz_kind(3);
}

static void semaphore_full_of_garbage(void)
{
    fuzz_kind(4);
}

static void event_full_of_garbage(void)
{
    fuzz_kind(5);
}

static void condition_full_of_garbage(void)
{
    fuzz_kind(6);
}

static void barrier_full_of_garbage(void)
{
    fuzz_kind(7);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(lock_full_of_garbage, LIMIT_S),
    TEST_CASE_LIMIT(rlock_full_of_garbage, LIMIT_S),
    TEST_CASE_LIMIT(rwlock_full_of_garbage, LIMIT_S),
    TEST_CASE_LIMIT(once_full_of_garbage, LIMIT_S),
    TEST_CASE_LIMIT(semaphore_full_of_garbage, LIMIT_S),
    TEST_CASE_LIMIT(event_full_of_garbage, LIMIT_S),
    TEST_CASE_LIMIT(condition_full_of_garbage, LIMIT_S),
    TEST_CASE_LIMIT(barrier_full_of_garbage, LIMIT_S),
};
TEST_MAIN(cases)
