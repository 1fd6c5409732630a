/* Objects that are none: garbage, what was destroyed, what is somewhere else
 * or of another kind; and options that make no sense. */
#include "unit/bad_use_support.h"
#include "unit/sync_calls.h"

#include <fcntl.h>
#include <stdio.h>

#include <ipc/segment.h>
#include <ipc/shared.h>

/* ---- garbage ---- */

static void call_all(const struct sync_kind *kind, void *object, int pattern,
                     const unsigned char *end)
{
    char when[32];
    (void)snprintf(when, sizeof when, "of 0x%02x", (unsigned)pattern);
    for (size_t i = 0; i < kind->count; i++)
        (void)sync_make_call(kind->name, &kind->calls[i], object, when);
    for (const unsigned char *p = end; p < end + 64; p++)
        if (*p != 0x5a)
            test_fail("%s: bytes behind it were written", kind->name);
}

/* What no object of ours looks like: an error from all that acquires, waits
 * or changes, and that error names the reason. */
static void garbage_is_told(void)
{
    struct sync_kind kinds[SYNC_KINDS];
    sync_kinds(kinds);
    (void)ipc_check_enable(false);
    for (size_t i = 0; i < SYNC_KINDS; i++) {
        const struct sync_kind *kind = &kinds[i];
        unsigned char *object = test_shared(kind->most + 64);
        memset(object + kind->most, 0x5a, 64);
        static const int patterns[] = {0xff, 0xdb, 0xa5, 0x7f, 0x01, 0x80};
        for (size_t k = 0; k < SYNC_COUNT(patterns); k++) {
            memset(object, patterns[k], kind->most);
            call_all(kind, object, patterns[k], object + kind->most);
        }
    }
}

static void first_use_of_garbage_is_refused(void)
{
    struct sync_kind kinds[SYNC_KINDS];
    long refused = 0;
    sync_kinds(kinds);
    for (size_t i = 0; i < SYNC_KINDS; i++) {
        const struct sync_kind *kind = &kinds[i];
        void *object = test_shared(kind->most);
        for (size_t k = 0; k < kind->count; k++) {
            const struct sync_call *call = &kind->calls[k];
            if (!call->enters)
                continue;
            memset(object, 0xa5, kind->most);
            const int rc =
                sync_make_call(kind->name, call, object, "of garbage");
            if (rc != -EUCLEAN)
                test_fail("%s %s of garbage: %d (%s)", kind->name, call->name,
                          rc, ipc_error_detail());
            refused++;
        }
    }
    test_report("refused", refused);
}

/* How many have come is no place for the next when it cannot be. */
static void a_barrier_that_counts_wrongly(void)
{
    static const uint32_t counts[] = {1,          2,          500,
                                      0x7fffffff, 0x80000000, 0xffffffff};
    ipc_barrier *barrier = test_shared(sizeof *barrier);
    for (size_t i = 0; i < SYNC_COUNT(counts); i++) {
        WORKS(ipc_barrier_init(barrier, 1, NULL));
        barrier->came_ = counts[i];
        const int rc = ipc_barrier_wait_nowait(barrier);
        if (rc != 0 && rc != -EUCLEAN)
            test_fail("came_ %u gave %d", counts[i], rc);
    }
}

/* ---- zeros ---- */

static void zeros_are_as_the_headers_say(void)
{
    struct sync_kind kinds[SYNC_KINDS];
    sync_kinds(kinds);
    for (size_t i = 0; i < SYNC_KINDS; i++) {
        const struct sync_kind *kind = &kinds[i];
        void *object = test_shared(kind->size);
        for (size_t k = 0; k < kind->count; k++) {
            const struct sync_call *call = &kind->calls[k];
            const int rc = sync_make_call(kind->name, call, object, "of zeros");
            if (call->enters && (rc == -EUCLEAN) == kind->zero_is_valid)
                test_fail("%s %s of zeros: %d (%s)", kind->name, call->name, rc,
                          ipc_error_detail());
        }
    }
}

/* ---- places ---- */

static void free_takes_only_what_new_gave(void)
{
    struct sync_kind kinds[SYNC_KINDS];
    sync_kinds(kinds);
    for (size_t i = 0; i < SYNC_KINDS; i++) {
        const struct sync_kind *kind = &kinds[i];
        void *object = NULL;
        if (kind->free == NULL)
            continue;
        void *own = test_shared(kind->size);
        WORKS(kind->init(own));
        REFUSED(kind->free(own), -EINVAL);
        WORKS(kind->make(&object));
        WORKS(kind->free(object));
        (void)ipc_check_enable(false);
        REFUSED(kind->free(object), -EINVAL);
        void *small = ipc_shared_alloc(16);
        assert_non_null(small);
        REFUSED(kind->free(small), -EINVAL);
        WORKS(ipc_shared_free(small));
    }
}

/* ---- names ---- */

enum {
    NAMED = 7
};

static int create_lock(const char *name)
{
    ipc_lock *made = NULL;
    const int rc = ipc_lock_create(name, NULL, &made);
    return rc != 0 ? rc : ipc_lock_close(made);
}

static int create_rlock(const char *name)
{
    ipc_rlock *made = NULL;
    const int rc = ipc_rlock_create(name, NULL, &made);
    return rc != 0 ? rc : ipc_rlock_close(made);
}

static int create_rwlock(const char *name)
{
    ipc_rwlock *made = NULL;
    const int rc = ipc_rwlock_create(name, NULL, &made);
    return rc != 0 ? rc : ipc_rwlock_close(made);
}

static int create_semaphore(const char *name)
{
    ipc_semaphore *made = NULL;
    const int rc = ipc_semaphore_create(name, 1, NULL, &made);
    return rc != 0 ? rc : ipc_semaphore_close(made);
}

static int create_event(const char *name)
{
    ipc_event *made = NULL;
    const int rc = ipc_event_create(name, NULL, &made);
    return rc != 0 ? rc : ipc_event_close(made);
}

static int create_condition(const char *name)
{
    ipc_condition *made = NULL;
    const int rc = ipc_condition_create(name, NULL, &made);
    return rc != 0 ? rc : ipc_condition_close(made);
}

static int create_barrier(const char *name)
{
    ipc_barrier *made = NULL;
    const int rc = ipc_barrier_create(name, 2, NULL, &made);
    return rc != 0 ? rc : ipc_barrier_close(made);
}

/* They leave this alone when they fail. */
static char somewhere[8];
static void *const untouched = somewhere;

static int open_lock(const char *name)
{
    ipc_lock *out = untouched;
    const int rc = ipc_lock_open(name, &out);
    assert_true((out == untouched) == (rc != 0));
    return rc != 0 ? rc : ipc_lock_close(out);
}

static int open_rlock(const char *name)
{
    ipc_rlock *out = untouched;
    const int rc = ipc_rlock_open(name, &out);
    assert_true((out == untouched) == (rc != 0));
    return rc != 0 ? rc : ipc_rlock_close(out);
}

static int open_rwlock(const char *name)
{
    ipc_rwlock *out = untouched;
    const int rc = ipc_rwlock_open(name, &out);
    assert_true((out == untouched) == (rc != 0));
    return rc != 0 ? rc : ipc_rwlock_close(out);
}

static int open_semaphore(const char *name)
{
    ipc_semaphore *out = untouched;
    const int rc = ipc_semaphore_open(name, &out);
    assert_true((out == untouched) == (rc != 0));
    return rc != 0 ? rc : ipc_semaphore_close(out);
}

static int open_event(const char *name)
{
    ipc_event *out = untouched;
    const int rc = ipc_event_open(name, &out);
    assert_true((out == untouched) == (rc != 0));
    return rc != 0 ? rc : ipc_event_close(out);
}

static int open_condition(const char *name)
{
    ipc_condition *out = untouched;
    const int rc = ipc_condition_open(name, &out);
    assert_true((out == untouched) == (rc != 0));
    return rc != 0 ? rc : ipc_condition_close(out);
}

static int open_barrier(const char *name)
{
    ipc_barrier *out = untouched;
    const int rc = ipc_barrier_open(name, &out);
    assert_true((out == untouched) == (rc != 0));
    return rc != 0 ? rc : ipc_barrier_close(out);
}

static const struct {
    const char *name;
    int (*create)(const char *name);
    int (*open)(const char *name);
    int (*unlink)(const char *name);
} kinds_of_names[NAMED] = {
    {"bad-lock", create_lock, open_lock, ipc_lock_unlink},
    {"bad-rlock", create_rlock, open_rlock, ipc_rlock_unlink},
    {"bad-rwlock", create_rwlock, open_rwlock, ipc_rwlock_unlink},
    {"bad-semaphore", create_semaphore, open_semaphore, ipc_semaphore_unlink},
    {"bad-event", create_event, open_event, ipc_event_unlink},
    {"bad-condition", create_condition, open_condition, ipc_condition_unlink},
    {"bad-barrier", create_barrier, open_barrier, ipc_barrier_unlink},
};

static void names_of_another_kind(void)
{
    for (int i = 0; i < NAMED; i++) {
        REFUSED(kinds_of_names[i].open(kinds_of_names[i].name), -ENOENT);
        REFUSED(kinds_of_names[i].unlink(kinds_of_names[i].name), -ENOENT);
        WORKS(kinds_of_names[i].create(kinds_of_names[i].name));
        REFUSED(kinds_of_names[i].create(kinds_of_names[i].name), -EEXIST);
    }
    for (int i = 0; i < NAMED; i++)
        for (int k = 0; k < NAMED; k++) {
            const char *name = kinds_of_names[k].name;
            if (i == k)
                WORKS(kinds_of_names[i].open(name));
            else
                REFUSED_SAYING(kinds_of_names[i].open(name), -EINVAL, name);
        }
    ipc_segment *segment = NULL;
    for (int i = 0; i < NAMED; i++) {
        REFUSED(ipc_segment_open(kinds_of_names[i].name, &segment), -EINVAL);
        WORKS(kinds_of_names[i].unlink(kinds_of_names[i].name));
        REFUSED(kinds_of_names[i].open(kinds_of_names[i].name), -ENOENT);
    }
}

static void names_that_are_none(void)
{
    static char too_long[210];
    memset(too_long, 'x', sizeof too_long - 1);
    const char *const names[] = {"", "/", "a/b", ".hidden", too_long};
    for (int i = 0; i < NAMED; i++)
        for (size_t k = 0; k < SYNC_COUNT(names); k++) {
            REFUSED(kinds_of_names[i].create(names[k]), -EINVAL);
            REFUSED(kinds_of_names[i].open(names[k]), -EINVAL);
            REFUSED(kinds_of_names[i].unlink(names[k]), -EINVAL);
        }
}

/* A file of ours that is too small for what it says to be inside. */
static void a_semaphore_larger_than_its_file(void)
{
    ipc_semaphore *semaphore = NULL;
    WORKS(ipc_semaphore_create("small", 2, NULL, &semaphore));
    semaphore->flags_ = IPC_SEMAPHORE_TRACKED;
    semaphore->holders_ = 60000;
    semaphore->bound_ = 60000;
    REFUSED(open_semaphore("small"), -EUCLEAN);
    semaphore->holders_ = 0xffffffff;
    REFUSED(open_semaphore("small"), -EUCLEAN);
    semaphore->flags_ = 0;
    semaphore->holders_ = 0;
    WORKS(ipc_semaphore_close(semaphore));
    WORKS(ipc_semaphore_unlink("small"));
}

/* ---- options ---- */

struct raw_options {
    uint32_t size;
    uint32_t flags;
    unsigned char rest[5000];
};

static int init_lock(const void *options)
{
    ipc_lock object;
    return ipc_lock_init(&object, options);
}

static int init_rlock(const void *options)
{
    ipc_rlock object;
    return ipc_rlock_init(&object, options);
}

static int init_rwlock(const void *options)
{
    ipc_rwlock object;
    return ipc_rwlock_init(&object, options);
}

static int init_semaphore(const void *options)
{
    ipc_semaphore object;
    return ipc_semaphore_init(&object, 1, options);
}

static int init_event(const void *options)
{
    ipc_event object;
    return ipc_event_init(&object, options);
}

static int init_condition(const void *options)
{
    ipc_condition object;
    return ipc_condition_init(&object, options);
}

static int init_barrier(const void *options)
{
    ipc_barrier object;
    return ipc_barrier_init(&object, 2, options);
}

static int new_semaphore(const void *options)
{
    ipc_semaphore *out = untouched;
    const int rc = ipc_semaphore_new(1, options, &out);
    assert_true((out == untouched) == (rc != 0));
    return rc != 0 ? rc : ipc_semaphore_free(out);
}

static int new_barrier(const void *options)
{
    ipc_barrier *out = untouched;
    const int rc = ipc_barrier_new(2, options, &out);
    assert_true((out == untouched) == (rc != 0));
    return rc != 0 ? rc : ipc_barrier_free(out);
}

static int name_rwlock(const void *options)
{
    ipc_rwlock *out = untouched;
    const int rc = ipc_rwlock_create("options", options, &out);
    assert_true((out == untouched) == (rc != 0));
    return rc != 0 ? rc : (ipc_rwlock_close(out), ipc_rwlock_unlink("options"));
}

static int name_event(const void *options)
{
    ipc_event *out = untouched;
    const int rc = ipc_event_open_or_create("options", options, &out);
    assert_true((out == untouched) == (rc != 0));
    return rc != 0 ? rc : (ipc_event_close(out), ipc_event_unlink("options"));
}

static int name_condition(const void *options)
{
    ipc_condition *out = untouched;
    const int rc = ipc_condition_create("options", options, &out);
    assert_true((out == untouched) == (rc != 0));
    return rc != 0
               ? rc
               : (ipc_condition_close(out), ipc_condition_unlink("options"));
}

static const struct {
    int (*use)(const void *options);
    size_t size;
    uint32_t unknown; /* the lowest flag that there is not */
} takers[] = {
    {init_lock, sizeof(ipc_lock_options), 2},
    {init_rlock, sizeof(ipc_lock_options), 2},
    {init_rwlock, sizeof(ipc_rwlock_options), 1},
    {init_semaphore, sizeof(ipc_semaphore_options), 8},
    {init_event, sizeof(ipc_event_options), 1},
    {init_condition, sizeof(ipc_condition_options), 1},
    {init_barrier, sizeof(ipc_barrier_options), 2},
    {new_semaphore, sizeof(ipc_semaphore_options), 8},
    {new_barrier, sizeof(ipc_barrier_options), 2},
    {name_rwlock, sizeof(ipc_rwlock_options), 1},
    {name_event, sizeof(ipc_event_options), 1},
    {name_condition, sizeof(ipc_condition_options), 1},
};

static void options_of_wrong_size(void)
{
    for (size_t i = 0; i < SYNC_COUNT(takers); i++) {
        static struct raw_options given;
        static const uint32_t bad[] = {0, 1, 3, 4097, UINT32_MAX};
        memset(&given, 0, sizeof given);
        WORKS(takers[i].use(NULL));
        for (size_t k = 0; k < SYNC_COUNT(bad); k++) {
            given.size = bad[k];
            REFUSED(takers[i].use(&given), -EINVAL);
        }
        given.size = 4; /* of an older program: all else is 0 */
        given.flags = 0xffffffff;
        WORKS(takers[i].use(&given));
        given.flags = 0;
        given.size = 4096; /* of a newer one that asks for nothing new */
        WORKS(takers[i].use(&given));
        ((unsigned char *)&given)[takers[i].size] = 1;
        REFUSED(takers[i].use(&given), -E2BIG);
        given.size = (uint32_t)takers[i].size + 1;
        REFUSED(takers[i].use(&given), -E2BIG);
        given.size = (uint32_t)takers[i].size;
        WORKS(takers[i].use(&given));
    }
}

static void options_with_unknown_flags(void)
{
    for (size_t i = 0; i < SYNC_COUNT(takers); i++) {
        static struct raw_options given;
        memset(&given, 0, sizeof given);
        given.size = (uint32_t)takers[i].size;
        for (uint32_t flag = takers[i].unknown; flag != 0; flag <<= 1) {
            char text[16];
            given.flags = flag;
            (void)snprintf(text, sizeof text, "0x%x", flag);
            REFUSED_SAYING(takers[i].use(&given), -EINVAL, text);
        }
    }
}

static const struct test_case cases[] = {
    TEST_CASE(garbage_is_told),
    TEST_CASE(first_use_of_garbage_is_refused),
    TEST_CASE(a_barrier_that_counts_wrongly),
    TEST_CASE(zeros_are_as_the_headers_say),
    TEST_CASE(free_takes_only_what_new_gave),
    TEST_CASE(names_of_another_kind),
    TEST_CASE(names_that_are_none),
    TEST_CASE(a_semaphore_larger_than_its_file),
    TEST_CASE(options_of_wrong_size),
    TEST_CASE(options_with_unknown_flags),
};
TEST_MAIN(cases)
