/* Queues: where they are stored, and how much memory they take. */
#include "unit/queue_support.h"

#include "core/waiting.h"
#include "harness/faults.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <ipc/shared.h>

#define NAME  "/ipc-test-queue"
#define OTHER "/ipc-test-queue-other"

static ipc_queue *create(const char *name, uint32_t capacity, size_t bytes)
{
    const ipc_queue_options options = queue_options(capacity, bytes, 0);
    ipc_queue *queue = NULL;
    expect_rc(ipc_queue_create(name, &options, &queue), 0);
    return queue;
}

static void detach(ipc_queue *queue)
{
    expect_rc(ipc_queue_detach(queue), 0);
}

/* Kilobytes of this kind in /proc/self/status. */
static long status_kb(const char *what)
{
    char line[200];
    long kb = -1;
    FILE *file = fopen("/proc/self/status", "re");
    assert_non_null(file);
    while (kb < 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, what, strlen(what)) == 0)
            kb = strtol(line + strlen(what) + 1, NULL, 10);
    (void)fclose(file);
    return kb;
}

static long shared_kb(void)
{
    return status_kb("RssShmem");
}

/* Kilobytes behind a name. */
static long name_kb(const char *name)
{
    char path[100];
    struct stat st;
    (void)snprintf(path, sizeof path, "/dev/shm%s", name);
    assert_int_equal(stat(path, &st), 0);
    return (long)(st.st_blocks / 2);
}

/* Large messages of which a few bytes tell which it is. */
static unsigned char *rough;
static size_t rough_bytes;

static void mark(unsigned char *data, size_t bytes, unsigned number)
{
    for (size_t i = 0; i < 16 && i < bytes; i++)
        data[i] = data[bytes - 1 - i] = (unsigned char)(number + i);
}

static void have_rough(size_t bytes)
{
    if (bytes <= rough_bytes)
        return;
    free(rough);
    rough = malloc(bytes);
    assert_non_null(rough);
    memset(rough, 0, bytes);
    rough_bytes = bytes;
}

static void put_roughly(ipc_queue *queue, size_t bytes, unsigned number)
{
    have_rough(bytes);
    mark(rough, bytes, number);
    expect_rc(ipc_queue_put_nowait(queue, rough, bytes), 0);
}

static void ends_of(const unsigned char *data, size_t bytes,
                    unsigned char out[32])
{
    memset(out, 0, 32);
    for (size_t i = 0; i < 16 && i < bytes; i++) {
        out[i] = data[i];
        out[31 - i] = data[bytes - 1 - i];
    }
}

static void get_roughly(ipc_queue *queue, size_t bytes, unsigned number)
{
    unsigned char expected[32], found[32];
    size_t got;
    have_rough(bytes);
    mark(rough, bytes, number);
    ends_of(rough, bytes, expected);
    mark(rough, bytes, ~number);
    expect_rc(ipc_queue_get_nowait(queue, rough, bytes, &got), 0);
    assert_int_equal(got, bytes);
    ends_of(rough, bytes, found);
    assert_memory_equal(found, expected, sizeof expected);
}

/* ---- options ---- */

static void a_new_one_has_what_was_asked_for(void)
{
    static const uint32_t capacities[] = {
        1, 2, 7, 1000, 1u << 20, IPC_QUEUE_CAPACITY_MAX};
    static const size_t bytes[] = {1, 16, 1024, 1025, 100000, MIB};
    for (unsigned i = 0; i < COUNT(capacities); i++)
        for (unsigned j = 0; j < COUNT(bytes); j++) {
            ipc_queue *queue = new_queue(capacities[i], bytes[j], 0);
            assert_int_equal(ipc_queue_capacity(queue), capacities[i]);
            assert_int_equal(ipc_queue_bytes(queue), bytes[j]);
            expect_empty(queue);
            put_roughly(queue, bytes[j], i);
            get_roughly(queue, bytes[j], i);
            free_queue(queue);
        }
    ipc_queue *queue = NULL;
    expect_rc(ipc_queue_new(NULL, &queue), 0);
    assert_int_equal(ipc_queue_capacity(queue), 1024);
    assert_int_equal(ipc_queue_bytes(queue), 16 * MIB);
    free_queue(queue);
    expect_rc(ipc_queue_free(NULL), 0);
}

static void options_that_cannot_be_are_refused(void)
{
    ipc_queue *queue = (ipc_queue *)&queue;
    ipc_queue *const as_before = queue;
    ipc_queue_options options = queue_options(0, 0, 0x8000);
    expect_rc(ipc_queue_new(&options, &queue), -EINVAL);
    options = queue_options(IPC_QUEUE_CAPACITY_MAX + 1, 0, 0);
    expect_rc(ipc_queue_new(&options, &queue), -EINVAL);
    options = queue_options(UINT32_MAX, 0, 0);
    expect_rc(ipc_queue_new(&options, &queue), -EINVAL);
    options = queue_options(0, IPC_QUEUE_BYTES_MAX + 1, 0);
    expect_rc(ipc_queue_new(&options, &queue), -EINVAL);
    expect_detail("are the most");
    options = queue_options(0, SIZE_MAX, 0);
    expect_rc(ipc_queue_create(NAME, &options, &queue), -EINVAL);
    struct {
        ipc_queue_options known;
        uint64_t more;
    } future = {.known = queue_options(0, 0, 0), .more = 1};
    future.known.size = sizeof future;
    expect_rc(ipc_queue_new(&future.known, &queue), -E2BIG);
    assert_ptr_equal(queue, as_before);
    assert_int_equal(test_shm_names(), 0);
}

static void what_is_not_new_is_not_freed(void)
{
    ipc_queue *named = create(NAME, 4, 0);
    expect_rc(ipc_queue_free(named), -EINVAL);
    ipc_queue *queue = new_queue(4, 0, 0);
    expect_rc(ipc_queue_detach(queue), -EINVAL);
    expect_rc(ipc_queue_detach(NULL), 0);
    free_queue(queue);
    detach(named);
    expect_rc(ipc_queue_unlink(NAME), 0);
}

/* ---- by name ---- */

static void names_are_opened_by_unrelated_ones(void)
{
    ipc_queue *made = create(NAME, 7, 50000);
    ipc_queue *opened = NULL, *again = NULL;
    const ipc_queue_options others = queue_options(99, 99, 0);
    expect_rc(ipc_queue_create(NAME, NULL, &opened), -EEXIST);
    expect_rc(ipc_queue_open(OTHER, &opened), -ENOENT);
    assert_null(opened);
    expect_rc(ipc_queue_open(NAME, &opened), 0);
    expect_rc(ipc_queue_open_or_create(NAME, &others, &again), 0);
    assert_ptr_not_equal(opened, made);
    assert_int_equal(ipc_queue_capacity(again), 7);
    assert_int_equal(ipc_queue_bytes(opened), 50000);
    put_now(made, SHORT, 1);
    put_now(opened, PAGES, 2);
    put_now(again, SHORT, 3);
    get_now(again, SHORT, 1);
    get_now(made, PAGES, 2);
    get_now(opened, SHORT, 3);
    expect_empty(made);
    expect_whole(opened);
    detach(made);
    expect_whole(opened);
    expect_rc(ipc_queue_unlink(NAME), 0);
    expect_rc(ipc_queue_unlink(NAME), -ENOENT);
    expect_whole(again);
    detach(opened);
    detach(again);
}

static void what_is_in_a_name_stays_while_it_is_there(void)
{
    ipc_queue *queue = create(NAME, 4, 0);
    ipc_queue *other = create(OTHER, 4, 0); /* holds nothing of it */
    ipc_queue *again = NULL;
    put_now(queue, SHORT, 1);
    expect_rc(ipc_queue_open(NAME, &again), 0);
    detach(queue);
    get_now(again, SHORT, 1);
    detach(again);
    detach(other);
    (void)ipc_queue_unlink(NAME);
    (void)ipc_queue_unlink(OTHER);
}

static uint32_t *met;

static void sleep_by_name(void *arg)
{
    ipc_queue *queue = NULL;
    char byte;
    (void)arg;
    expect_rc(ipc_queue_open(NAME, &queue), 0);
    expect_rc(ipc_queue_get(queue, &byte, 1, NULL), 0);
    detach(queue);
}

static void hold_by_name(void *arg)
{
    ipc_queue *queue = NULL;
    ipc_message message;
    (void)arg;
    expect_rc(ipc_queue_open(NAME, &queue), 0);
    expect_rc(ipc_queue_reserve(queue, PAGES, &message), 0);
    meet_signal(met);
    for (;;)
        (void)pause();
}

static void others_are_woken_and_found_dead_by_name(void)
{
    struct role sleeper, holder;
    ipc_queue *queue = create(NAME, 2, 40000);
    met = test_shared(sizeof *met);
    ipc__recheck_ns = INT64_MAX;
    role_start(&sleeper, sleep_by_name, NULL);
    wait_until_sleeping(sleeper.pid, LIMIT_MS);
    put_now(queue, 1, 1);
    role_wait_ok(&sleeper, WEDGE_MS);
    role_start(&holder, hold_by_name, NULL);
    meet_wait(met, 1, LIMIT_MS);
    role_start(&sleeper, sleep_by_name, NULL);
    wait_until_sleeping(sleeper.pid, LIMIT_MS);
    put_now(queue, 1, 2); /* behind it */
    (void)role_kill(&holder);
    role_wait_ok(&sleeper, WEDGE_MS);
    expect_whole(queue);
    detach(queue);
    expect_rc(ipc_queue_unlink(NAME), 0);
}

static void what_is_no_queue_is_not_opened(void)
{
    ipc_queue *queue = NULL;
    int fd = open("/dev/shm" NAME, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 100000), 0);
    assert_true(ipc_queue_open(NAME, &queue) < 0);
    assert_null(queue);
    (void)close(fd);
    assert_int_equal(unlink("/dev/shm" NAME), 0);
}

/* ---- sizes ---- */

static void use_up_to(size_t bytes)
{
    ipc_queue *queue = new_queue(8, bytes, 0);
    for (size_t size = 1; size < bytes; size = size * 3 + 5) {
        put_roughly(queue, size, 1);
        get_roughly(queue, size, 1);
    }
    for (unsigned i = 0; i < 3; i++) {
        put_roughly(queue, bytes, i);
        expect_full(queue);
        get_roughly(queue, bytes, i);
    }
    for (unsigned i = 0; i < 8; i++)
        put_roughly(queue, bytes / 8 / 16 * 16, i);
    for (unsigned i = 0; i < 8; i++)
        get_roughly(queue, bytes / 8 / 16 * 16, i);
    expect_empty(queue);
    free_queue(queue);
}

static void messages_of_up_to_64_mib(void)
{
    static const size_t bounds[] = {128, 4096, 100000, MIB, 64 * MIB};
    for (unsigned i = 0; i < COUNT(bounds); i++)
        use_up_to(bounds[i]);
}

/* Without copies: that is too much for a machine that others use too. */
static void a_message_of_1_gib(void)
{
    const long free_pages = sysconf(_SC_AVPHYS_PAGES);
    if (free_pages / 256 < 3 * 1024L)
        test_skip("less than 3 GiB of memory");
    ipc_queue *queue = new_queue(2, IPC_QUEUE_BYTES_MAX, 0);
    ipc_message message;
    const long before = shared_kb();
    expect_rc(ipc_queue_reserve(queue, IPC_QUEUE_BYTES_MAX, &message), 0);
    for (size_t at = 0; at < IPC_QUEUE_BYTES_MAX; at += 64 * MIB)
        memset((char *)message.data + at, (int)(at >> 20), 1);
    ((char *)message.data)[IPC_QUEUE_BYTES_MAX - 1] = 'z';
    expect_rc(ipc_queue_commit(queue, &message), 0);
    expect_full(queue);
    expect_rc(ipc_queue_peek(queue, &message), 0);
    assert_int_equal(message.bytes, IPC_QUEUE_BYTES_MAX);
    for (size_t at = 0; at < IPC_QUEUE_BYTES_MAX; at += 64 * MIB)
        assert_int_equal(((unsigned char *)message.data)[at],
                         (at >> 20) & 0xff);
    assert_int_equal(((char *)message.data)[IPC_QUEUE_BYTES_MAX - 1], 'z');
    expect_rc(ipc_queue_release(queue, &message), 0);
    test_report("used_mib", (shared_kb() - before) / 1024);
    put_now(queue, SHORT, 1);
    get_now(queue, SHORT, 1);
    free_queue(queue);
    assert_true(shared_kb() - before < 10 * 1024L);
}

/* ---- memory is taken as it is used, and given back ---- */

static void a_large_one_takes_little_until_it_is_used(void)
{
    ipc_queue *small = new_queue(1, 1, 0);
    const long before = shared_kb();
    ipc_queue *queue = new_queue(100000, 256 * MIB, 0);
    assert_true(shared_kb() - before < 1024);
    put_now(queue, SHORT, 1);
    put_now(queue, LONG, 2);
    assert_true(shared_kb() - before < 2 * 1024L);
    for (unsigned i = 0; i < 8; i++)
        put_roughly(queue, MIB, i);
    const long used = shared_kb() - before;
    test_report("kib_for_8_mib", used);
    assert_true(used >= 8 * 1024L && used < 10 * 1024L);
    get_now(queue, SHORT, 1);
    get_now(queue, LONG, 2);
    for (unsigned i = 0; i < 8; i++)
        get_roughly(queue, MIB, i);
    for (unsigned i = 0; i < 100; i++) { /* the same memory again */
        put_roughly(queue, MIB, i);
        get_roughly(queue, MIB, i);
    }
    assert_true(shared_kb() - before < 10 * 1024L);
    free_queue(queue);
    assert_true(shared_kb() - before < 1024);
    free_queue(small);
}

/* The memory of many short messages, one after the other, too. */
static void the_ring_grows_as_it_is_used(void)
{
    ipc_queue *queue = create(NAME, 100000, 64 * MIB);
    const long before = name_kb(NAME);
    for (unsigned i = 0; i < 1000; i++)
        put_roughly(queue, 1000, i);
    const long used = name_kb(NAME) - before;
    assert_true(used >= 1000 && used < 3000);
    for (unsigned i = 0; i < 1000; i++)
        get_roughly(queue, 1000, i);
    detach(queue);
    expect_rc(ipc_queue_unlink(NAME), 0);
}

static void getter(void *arg)
{
    char byte;
    expect_rc(ipc_queue_get(arg, &byte, 1, NULL), 0);
}

/* Somebody waits for the next message for a while. */
static void an_idle_one_gives_memory_back(void)
{
    struct role role;
    ipc_queue *queue = new_queue(100000, 64 * MIB, 0);
    const long before = shared_kb();
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 16; i++)
            put_roughly(queue, MIB, i);
        for (unsigned i = 0; i < 3000; i++)
            put_roughly(queue, 1000, i);
        for (unsigned i = 0; i < 16; i++)
            get_roughly(queue, MIB, i);
        for (unsigned i = 0; i < 3000; i++)
            get_roughly(queue, 1000, i);
        const int64_t end = test_now_ns() + LIMIT_MS * 1000000LL;
        role_start(&role, getter, queue);
        while (shared_kb() - before > 1024 && test_now_ns() < end)
            poll_pause();
        test_report("kib_left", shared_kb() - before);
        assert_true(shared_kb() - before <= 1024);
        put_now(queue, 1, 1);
        role_wait_ok(&role, WEDGE_MS);
    }
    expect_empty(queue);
    free_queue(queue);
}

static void what_is_freed_is_given_back(void)
{
    long most = 0;
    const long before = shared_kb();
    for (unsigned i = 0; i < 30; i++) {
        ipc_queue *queue = new_queue(16, 16 * MIB, 0);
        put_roughly(queue, 8 * MIB, i);
        put_now(queue, SHORT, i);
        const long now = shared_kb() - before;
        most = most < now ? now : most;
        free_queue(queue);
    }
    test_report("most_kib", most);
    assert_true(most < 12 * 1024L);
    ipc_shared_info info = IPC_SHARED_INFO_INIT;
    expect_rc(ipc_shared_query(&info), 0);
    assert_int_equal(info.count, 0);
}

/* ---- a full /dev/shm ---- */

static void in_a_small_shm(void *arg)
{
    ipc_queue *queue = NULL;
    ipc_message message;
    (void)arg;
    fault_small_shm(4 * MIB, 0);
    /* More than there is, but it is not used. */
    queue = create(NAME, 1000, 64 * MIB);
    put_now(queue, MIB, 1);
    int rc = 0;
    unsigned many = 1;
    while (rc == 0)
        rc = try_put(queue, 500000, ++many, IPC_TIME_NOW);
    expect_rc(rc, -ENOMEM);
    expect_detail("finds no memory for a message of 500000 bytes: /dev/shm "
                  "has ");
    expect_rc(try_put(queue, MIB, 1, IPC_TIME_FOREVER), -ENOMEM);
    expect_rc(ipc_queue_reserve(queue, MIB, &message), -ENOMEM);
    get_now(queue, MIB, 1);    /* what is in it is not lost */
    put_now(queue, MIB, many); /* in its memory */
    for (unsigned i = 2; i < many; i++)
        get_now(queue, 500000, i);
    get_now(queue, MIB, many);
    expect_empty(queue);
    /* Short ones, until there is no more either. */
    for (many = 0; (rc = try_put(queue, 1000, many, IPC_TIME_NOW)) == 0; many++)
        continue;
    assert_true(rc == -ENOMEM || rc == -EAGAIN);
    for (unsigned i = 0; i < many; i++)
        get_now(queue, 1000, i);
    expect_empty(queue);
    detach(queue);
    expect_rc(ipc_queue_unlink(NAME), 0);
}

static void a_full_shm_is_an_error(void)
{
    struct role role;
    role_start(&role, in_a_small_shm, NULL);
    role_wait_ok(&role, LIMIT_MS);
}

static void in_a_tiny_shm(void *arg)
{
    ipc_queue *queue = NULL;
    (void)arg;
    fault_small_shm(16 * KIB, 0);
    const int rc = ipc_queue_create(NAME, NULL, &queue);
    if (rc != -ENOSPC && rc != -ENOMEM)
        test_fail("created: %d", rc);
    assert_null(queue);
    assert_int_equal(test_shm_names(), 0);
}

static void a_shm_too_small_for_any_is_an_error(void)
{
    struct role role;
    role_start(&role, in_a_tiny_shm, NULL);
    role_wait_ok(&role, LIMIT_MS);
}

static const struct test_case cases[] = {
    TEST_CASE(a_new_one_has_what_was_asked_for),
    TEST_CASE(options_that_cannot_be_are_refused),
    TEST_CASE(what_is_not_new_is_not_freed),
    TEST_CASE(names_are_opened_by_unrelated_ones),
    TEST_CASE(what_is_in_a_name_stays_while_it_is_there),
    TEST_CASE(others_are_woken_and_found_dead_by_name),
    TEST_CASE(what_is_no_queue_is_not_opened),
    TEST_CASE(messages_of_up_to_64_mib),
    TEST_CASE(a_message_of_1_gib),
    TEST_CASE(a_large_one_takes_little_until_it_is_used),
    TEST_CASE(the_ring_grows_as_it_is_used),
    TEST_CASE(an_idle_one_gives_memory_back),
    TEST_CASE(what_is_freed_is_given_back),
    TEST_CASE(a_full_shm_is_an_error),
    TEST_CASE(a_shm_too_small_for_any_is_an_error),
};
TEST_MAIN(cases)
