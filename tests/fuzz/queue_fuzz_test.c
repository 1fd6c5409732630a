/* T56, T57: a queue full of garbage, and one that somebody writes into while
 * it is used.  Every call gives a result or an error; none crashes, takes
 * longer than a second, or writes outside of the queue: it lies in a segment
 * of its own, with nothing mapped behind it and known bytes before it. */
#include "harness/harness.h"
#include "harness/role.h"
#include "harness/scale.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ipc/error.h>
#include <ipc/queue.h>
#include <ipc/wait.h>

#include "core/region.h"
#include "kernel/futex.h"
#include "queue/ring.h"
#include "queue/store.h"

enum {
    STEPS = 2000,
    CALLS = 8, /* in a step */
    CAPACITY = 8,
    BYTES = 64 << 10,
    MAX_DELIVERIES = 2,
    ROOM = 20000, /* of buffers */
    BATCH = 4,
    FENCE = 1 << 16,
    STEP_MS = 5000,
    SLOW_NS = 1000000000,
    SCRIBBLE_MS = 500,
    USERS = 3
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Where it was when it crashed or hung; shared with the role that tries. */
static struct fuzz {
    uint64_t seed;
    uint32_t step;
    const char *call; /* a constant: the same in all processes */
    uint64_t calls, errors, spoilt;
    int64_t slowest_ns;
    uint64_t writes;
} * fuzz;

static ipc_queue *queue;
static size_t queue_bytes;
static uint32_t made_with;             /* flags */
static struct ipc__region_facts facts; /* known bytes before it */
static uint64_t ids[3];                /* of a living, a dead thread; none */

/* ---- the queue ---- */

static void expect(int rc, int expected, const char *what)
{
    if (rc != expected)
        test_fail("%s: %d (%s)", what, rc, ipc_error_detail());
}

static bool has_leases(void)
{
    return (made_with & IPC_QUEUE_LEASES) != 0;
}

static struct ipc__region *region_of_queue(void)
{
    return ipc__region_find(queue, NULL, NULL);
}

/* With nothing behind it. */
static void open_queue(uint32_t flags)
{
    const ipc_queue_options options = {
        .size = sizeof options,
        .flags = flags,
        .capacity = CAPACITY,
        .bytes = BYTES,
        .max_deliveries = (flags & IPC_QUEUE_LEASES) != 0 ? MAX_DELIVERIES : 0};
    char name[64];
    made_with = flags;
    (void)snprintf(name, sizeof name, "libipc-fuzz-%d", (int)getpid());
    expect(ipc_queue_create(name, &options, &queue), 0, "create");
    expect(ipc_queue_unlink(name), 0, "unlink");
    queue_bytes = queue->kind == IPC__QUEUE_STORE ? ipc__store_bytes(queue)
                                                  : ipc__ring_bytes(queue);
    struct ipc__region *region = region_of_queue();
    facts = region->facts;
    char *end = (char *)region + ipc__region_mapped_size(region);
    (void)mmap(end, FENCE, PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

static void expect_fences(void)
{
    if (memcmp(&region_of_queue()->facts, &facts, sizeof facts) != 0)
        test_fail("what lies before the queue was written");
}

/* The caller may use what it was given. */
static void expect_inside(const ipc_message *message)
{
    const uintptr_t at = (uintptr_t)message->data - (uintptr_t)queue;
    if (at > queue_bytes || message->bytes > queue_bytes - at)
        test_fail("%s: %zu bytes at %p, which is outside of the queue",
                  fuzz->call, message->bytes, message->data);
}

/* ---- calls ---- */

static __thread struct hands {
    struct test_random random;
    unsigned char *buffer; /* BATCH times ROOM, and known bytes behind each */
    ipc_message reserved, peeked, taken;
} hands;

static size_t random_size(void)
{
    static const long most[] = {0, 40, 1024, 1100, 5000, ROOM, BYTES, 1 << 20};
    return (size_t)test_random_between(
        &hands.random, 0,
        most[test_random_between(&hands.random, 0, (long)COUNT(most) - 1)]);
}

static size_t random_room(void)
{
    const size_t size = random_size();
    return size < ROOM - 64 ? size : ROOM - 64;
}

static ipc_deadline soon(void)
{
    return ipc_after_us(test_random_between(&hands.random, 0, 3) * 100);
}

static void *piece(size_t i)
{
    return hands.buffer + i * ROOM;
}

/* They have not come further than they may. */
static void expect_edge(size_t i, size_t room)
{
    const unsigned char *edge = (const unsigned char *)piece(i) + room;
    for (int k = 0; k < 64; k++)
        if (edge[k] != 0xa5)
            test_fail("%s wrote %zu bytes behind a buffer", fuzz->call,
                      (size_t)k + 1);
}

static int call_put(void)
{
    const size_t bytes = random_size();
    return bytes > ROOM
               ? ipc_queue_put_nowait(queue, hands.buffer, ROOM)
               : ipc_queue_put_until(queue, hands.buffer, bytes, soon());
}

static int call_put_nowait(void)
{
    return ipc_queue_put_nowait(queue, hands.buffer, random_room());
}

static int call_putv(void)
{
    ipc_queue_item items[BATCH];
    for (size_t i = 0; i < BATCH; i++)
        items[i] = (ipc_queue_item){piece(i), random_room(), 0};
    return ipc_queue_putv(queue, items, BATCH, soon());
}

static int get_into(size_t room, bool now)
{
    size_t bytes = 0;
    memset((unsigned char *)piece(0) + room, 0xa5, 64);
    const int rc =
        now ? ipc_queue_get_nowait(queue, piece(0), room, &bytes)
            : ipc_queue_get_until(queue, piece(0), room, &bytes, soon());
    expect_edge(0, room);
    if (rc == 0 && bytes > room)
        test_fail("%zu bytes in a room for %zu", bytes, room);
    return rc;
}

static int call_get(void)
{
    return get_into(random_room(), false);
}

static int call_get_nowait(void)
{
    return get_into(random_room(), true);
}

static int call_get_exactly(void)
{
    const size_t room = random_room();
    memset((unsigned char *)piece(0) + room, 0xa5, 64);
    const int rc = ipc_queue_get_exactly(queue, piece(0), room, soon());
    expect_edge(0, room);
    return rc;
}

static int call_get_alloc(void)
{
    void *data = NULL;
    size_t bytes;
    const int rc = ipc_queue_get_alloc(queue, &data, &bytes, soon());
    if (rc == 0 && ((unsigned char *)data)[bytes] != 0)
        test_fail("no 0 behind %zu bytes", bytes);
    free(data);
    return rc;
}

static int call_getv(void)
{
    ipc_queue_item items[BATCH];
    for (size_t i = 0; i < BATCH; i++) {
        items[i] = (ipc_queue_item){piece(i), 0, random_room()};
        memset((unsigned char *)piece(i) + items[i].room, 0xa5, 64);
    }
    const int rc = ipc_queue_getv(queue, items, BATCH, soon());
    for (size_t i = 0; i < BATCH; i++)
        expect_edge(i, items[i].room);
    return rc;
}

static int call_reserve(void)
{
    ipc_message message;
    const int rc =
        ipc_queue_reserve_until(queue, random_size(), &message, soon());
    if (rc != 0)
        return rc;
    expect_inside(&message);
    memset(message.data, (int)test_random_next(&hands.random) & 0xff,
           message.bytes);
    hands.reserved = message;
    return 0;
}

static int call_commit(void)
{
    if (test_random_between(&hands.random, 0, 3) == 0)
        hands.reserved.bytes /= 2;
    return ipc_queue_commit(queue, &hands.reserved);
}

static int call_abort(void)
{
    return ipc_queue_abort(queue, &hands.reserved);
}

static int call_peek(void)
{
    ipc_message message;
    const int rc = ipc_queue_peek_until(queue, &message, soon());
    if (rc != 0)
        return rc;
    expect_inside(&message);
    for (size_t i = 0; i < message.bytes; i += 64)
        (void)((volatile unsigned char *)message.data)[i];
    hands.peeked = message;
    return 0;
}

static int call_release(void)
{
    return ipc_queue_release(queue, &hands.peeked);
}

/* A token of garbage: what somebody gives who never reserved. */
static int call_wild_token(void)
{
    ipc_message message = {.bytes = random_size()};
    message.token_[0] = test_random_next(&hands.random);
    message.token_[1] = ids[test_random_between(&hands.random, 0, 2)];
    if (test_random_between(&hands.random, 0, 1) == 0)
        message.token_[0] &= (uint64_t)0x3ff << 32 | 0xff;
    switch (test_random_between(&hands.random, 0, 2)) {
    case 0:
        return ipc_queue_commit(queue, &message);
    case 1:
        return ipc_queue_release(queue, &message);
    default:
        return ipc_queue_ack(queue, &message);
    }
}

static int call_put_priority(void)
{
    return ipc_queue_put_priority(
        queue, hands.buffer, random_room(),
        (uint32_t)test_random_between(&hands.random, 0, 3), soon());
}

static int note_taken(int rc, const ipc_message *message)
{
    if (rc != 0)
        return rc;
    expect_inside(message);
    for (size_t i = 0; i < message->bytes; i += 64)
        (void)((volatile unsigned char *)message->data)[i];
    hands.taken = *message;
    return 0;
}

static int call_take(void)
{
    ipc_message message;
    return note_taken(ipc_queue_take_until(queue, &message, soon()), &message);
}

static int call_take_dead(void)
{
    ipc_message message;
    return note_taken(ipc_queue_take_dead(queue, &message), &message);
}

static int call_ack(void)
{
    return ipc_queue_ack(queue, &hands.taken);
}

static int call_nack(void)
{
    return ipc_queue_nack(queue, &hands.taken);
}

static int call_extend(void)
{
    return ipc_queue_extend(queue, &hands.taken, soon());
}

static int call_wait(void)
{
    ipc_wait_item item = IPC_WAIT_QUEUE(queue);
    return ipc_wait(&item, 1, soon());
}

static int call_wait_for_room(void)
{
    ipc_wait_item item = IPC_WAIT_QUEUE_ROOM(queue, random_room());
    return ipc_wait(&item, 1, soon());
}

static int call_looks(void)
{
    (void)ipc_queue_size(queue);
    (void)ipc_queue_empty(queue);
    (void)ipc_queue_full(queue);
    (void)ipc_queue_capacity(queue);
    (void)ipc_queue_bytes(queue);
    (void)ipc_queue_is_closed(queue);
    return has_leases() || ipc_queue_dead(queue) == 0 ? 0 : -EUCLEAN;
}

static int call_task_done(void)
{
    return ipc_queue_task_done(queue);
}

static int call_join(void)
{
    return ipc_queue_join_until(queue, soon());
}

static int call_close(void)
{
    return test_random_between(&hands.random, 0, 7) != 0
               ? 0
               : ipc_queue_close(queue,
                                 test_random_between(&hands.random, 0, 1) == 0);
}

static const struct {
    const char *name;
    int (*make)(void);
} calls[] = {
    {"put", call_put},
    {"put", call_put},
    {"put_nowait", call_put_nowait},
    {"putv", call_putv},
    {"get", call_get},
    {"get", call_get},
    {"get_nowait", call_get_nowait},
    {"get_exactly", call_get_exactly},
    {"get_alloc", call_get_alloc},
    {"getv", call_getv},
    {"reserve", call_reserve},
    {"reserve", call_reserve},
    {"commit", call_commit},
    {"abort", call_abort},
    {"peek", call_peek},
    {"peek", call_peek},
    {"release", call_release},
    {"wild token", call_wild_token},
    {"put_priority", call_put_priority},
    {"take", call_take},
    {"take", call_take},
    {"take_dead", call_take_dead},
    {"ack", call_ack},
    {"nack", call_nack},
    {"extend", call_extend},
    {"wait", call_wait},
    {"wait for room", call_wait_for_room},
    {"looks", call_looks},
    {"task_done", call_task_done},
    {"join", call_join},
    {"close", call_close},
};

static bool is_possible(int rc)
{
    static const int errors[] = {EAGAIN,  ETIMEDOUT, EPIPE,   EMSGSIZE, ENOMEM,
                                 EUCLEAN, EINVAL,    ENOTSUP, ESTALE};
    for (size_t i = 0; i < COUNT(errors); i++)
        if (rc == -errors[i])
            return true;
    return rc >= 0 && rc <= BATCH;
}

static void make_call(void)
{
    const size_t which =
        (size_t)test_random_between(&hands.random, 0, (long)COUNT(calls) - 1);
    fuzz->call = calls[which].name;
    const int64_t start = test_now_ns();
    const int rc = calls[which].make();
    const int64_t ns = test_now_ns() - start;
    if (!is_possible(rc))
        test_fail("%s: %d (%s)", calls[which].name, rc, ipc_error_detail());
    (void)__atomic_fetch_add(&fuzz->calls, 1, __ATOMIC_RELAXED);
    (void)__atomic_fetch_add(&fuzz->errors, rc < 0, __ATOMIC_RELAXED);
    (void)__atomic_fetch_add(&fuzz->spoilt, rc == -EUCLEAN, __ATOMIC_RELAXED);
    if (ns > __atomic_load_n(&fuzz->slowest_ns, __ATOMIC_RELAXED))
        __atomic_store_n(&fuzz->slowest_ns, ns, __ATOMIC_RELAXED);
}

static void open_hands(uint64_t seed)
{
    hands = (struct hands){.random = {seed}};
    hands.buffer = calloc(BATCH, ROOM);
    assert_non_null(hands.buffer);
}

/* ---- good contents ---- */

static void lose_some(void *arg)
{
    ipc_message message;
    expect(ipc_queue_peek_nowait(queue, &message), 0, "peek");
    if (has_leases())
        expect(ipc_queue_take_nowait(queue, &message), 0, "take");
    expect(ipc_queue_reserve_nowait(queue, 30, &message), 0, "reserve");
    if (write(*(int *)arg, &ipc__self.id, sizeof ipc__self.id) > 0)
        (void)kill(getpid(), SIGKILL);
}

/* With what a dead one had in its hands. */
static void let_one_die(void)
{
    int ends[2];
    struct role role;
    assert_int_equal(pipe(ends), 0);
    role_start(&role, lose_some, &ends[1]);
    assert_int_equal(read(ends[0], &ids[1], sizeof ids[1]), sizeof ids[1]);
    (void)role_wait_dead(&role, 10000);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
}

enum {
    IMAGES = 6
};
static unsigned char *images[IMAGES];

static void keep_image(int i)
{
    images[i] = malloc(queue_bytes);
    assert_non_null(images[i]);
    memcpy(images[i], queue, queue_bytes);
}

static void fill_some(int n)
{
    for (int i = 0; i < n; i++) {
        const size_t bytes = (size_t[]){10, 1000, 3000, 12000}[i % 4];
        expect(ipc_queue_put_nowait(queue, hands.buffer, bytes), 0, "put");
    }
}

static void empty_some(int n)
{
    size_t bytes;
    for (int i = 0; i < n; i++)
        expect(ipc_queue_get_nowait(queue, hands.buffer, ROOM, &bytes), 0,
               "get");
}

/* One on a lease, and a dead letter. */
static void lease_some(void)
{
    ipc_message message;
    if (!has_leases())
        return;
    for (int i = 0; i < MAX_DELIVERIES; i++) {
        expect(ipc_queue_take_nowait(queue, &message), 0, "take");
        expect(ipc_queue_nack(queue, &message), 0, "nack");
    }
    expect(ipc_queue_take_nowait(queue, &message), 0, "take");
}

static void make_images(void)
{
    ipc_message message;
    ids[0] = ipc__self.id;
    keep_image(0); /* new */
    fill_some(4);
    keep_image(1);
    empty_some(4);
    for (int i = 0; i < 30; i++) { /* the ring goes round, */
        fill_some(2);
        empty_some(2);
    }
    fill_some(7);
    keep_image(2); /* and is almost full */
    expect(ipc_queue_peek_nowait(queue, &message), 0, "peek");
    expect(ipc_queue_reserve_nowait(queue, 8, &message), 0, "reserve");
    lease_some();
    keep_image(3); /* somebody alive is at some */
    memcpy(queue, images[1], queue_bytes);
    let_one_die();
    keep_image(4);
    memcpy(queue, images[1], queue_bytes);
    expect(ipc_queue_close(queue, false), 0, "close");
    keep_image(5);
}

/* ---- garbage ---- */

/* What the library itself writes, and its neighbours. */
static uint64_t telling_word(struct test_random *random)
{
    static const uint64_t words[] = {
        0,
        1,
        2,
        3,
        4,
        CAPACITY - 1,
        CAPACITY,
        CAPACITY + 1,
        (uint64_t)4 * CAPACITY,
        BYTES / 16,
        BYTES,
        IPC__SPILLED,
        IPC__SPILLED | 2,
        IPC__MARK_READY,
        IPC__MARK_FREE,
        IPC__MARK_ABORTED,
        IPC__MARK_WRITING,
        IPC__MARK_GETTING,
        IPC__MARK_PEEKING,
        IPC__QUEUE_COUNTS,
        IPC__QUEUE_COUNTS + 1,
        IPC_QUEUE_CAPACITY_MAX,
        INT32_MAX,
        UINT32_MAX,
        UINT64_MAX,
        IPC__ENTRY_WRITING,
        IPC__ENTRY_PEEKING,
        IPC__ENTRY_LEASED | IPC__ENTRY_DELIVERY,
        IPC__ENTRY_DEAD | IPC__ENTRY_DELIVERY,
        IPC__ENTRY_LEASED_DEAD,
        IPC__ENTRY_LEASED_DEAD + 1,
        (uint64_t)1 << 32,
        (uint64_t)1 << 63,
    };
    const long last = (long)COUNT(words) - 1;
    const long which = test_random_between(random, 0, last + 4);
    if (which <= last)
        return words[which];
    if (which == last + 1)
        return ids[0] | IPC__MARK_WRITING << test_random_between(random, 0, 2);
    if (which == last + 2)
        return ids[1] | IPC__MARK_WRITING << test_random_between(random, 0, 2);
    if (which == last + 3)
        return ipc__place((uint32_t)test_random_between(random, 0, 100),
                          (uint32_t)test_random_between(random, 0, 600));
    return test_random_next(random) & 0xffff;
}

/* Mostly the head and its neighbourhood: facts, bits and first records. */
static size_t random_at(struct test_random *random)
{
    const size_t where[] = {64, sizeof *queue, sizeof *queue,
                            (size_t)queue->units_at + 1024, queue_bytes};
    const size_t most = where[test_random_between(random, 0, 4)];
    return (size_t)test_random_between(
               random, 0,
               (long)(most < queue_bytes ? most : queue_bytes) / 4 - 1) *
           4;
}

static void flip_bit(struct test_random *random)
{
    ((unsigned char *)queue)[random_at(random) +
                             (size_t)test_random_between(random, 0, 3)] ^=
        (unsigned char)(1 << test_random_between(random, 0, 7));
}

static void spoil_word(struct test_random *random, bool any)
{
    const size_t at = random_at(random);
    const uint64_t word = any ? test_random_next(random) : telling_word(random);
    memcpy((unsigned char *)queue + at, &word,
           at % 8 == 0 && at + 8 <= queue_bytes ? 8 : 4);
}

/* A guard that may name a living thread is waited for: it cannot be told from
 * one that somebody holds. */
static void leave_the_living_out(struct ipc__guard *guard)
{
    uint64_t word;
    memcpy(&word, guard, sizeof word);
    const pid_t tid = (pid_t)(word & FUTEX_BITS_TID);
    if (tid != 0 && (kill(tid, 0) == 0 || errno == EPERM))
        memset(guard, 0, sizeof *guard);
}

static void spoil(uint32_t step, struct test_random *random)
{
    memcpy(queue, images[step / 4 % IMAGES], queue_bytes);
    const long n = test_random_between(random, 1, 5);
    for (long i = 0; i < n; i++) {
        if (step % 4 == 0)
            flip_bit(random);
        else
            spoil_word(random, step % 4 == 1);
    }
    if (step % 4 == 3 && step % 32 == 3)
        for (size_t at = 0; at + 8 <= sizeof *queue; at += 8) {
            const uint64_t word = telling_word(random);
            memcpy((unsigned char *)queue + at, &word, sizeof word);
        }
    leave_the_living_out(&queue->put.guard);
    leave_the_living_out(&queue->get.guard);
}

/* ---- T56 ---- */

static void use_garbage(void *arg)
{
    const uint32_t flags = *(const uint32_t *)arg;
    struct test_random random = {fuzz->seed};
    open_queue(flags);
    open_hands(fuzz->seed + 1);
    make_images();
    for (long step = 0; step < STEPS * test_scale(); step++) {
        __atomic_store_n(&fuzz->step, (uint32_t)step, __ATOMIC_SEQ_CST);
        spoil((uint32_t)step, &random);
        for (int i = 0; i < CALLS; i++)
            make_call();
        expect_fences();
    }
    /* Nothing of it is left in the thread. */
    memcpy(queue, images[0], queue_bytes);
    fill_some(4);
    empty_some(4);
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

static void run(void (*what)(void *arg), uint32_t flags)
{
    struct role role;
#if defined(__SANITIZE_THREAD__)
    test_skip("what is written into the queue is a race");
#endif
    fuzz = test_shared(sizeof *fuzz);
    fuzz->seed = test_seed();
    role_start(&role, what, &flags);
    const int status = watch(&role);
    test_report("calls", (long long)fuzz->calls);
    test_report("errors", (long long)fuzz->errors);
    test_report("spoilt", (long long)fuzz->spoilt);
    test_report("writes", (long long)fuzz->writes);
    test_report("slowest_ms", fuzz->slowest_ns / 1000000);
    if (status != 0)
        test_fail("%s, step %u: %s (status 0x%x)", fuzz->call, fuzz->step,
                  status < 0 ? "hangs" : "has failed", (unsigned)status);
    assert_true(fuzz->slowest_ns < SLOW_NS);
    assert_true(fuzz->spoilt > 0);
}

static void t56_garbage(void)
{
    run(use_garbage, 0);
}

static void t56_garbage_in_a_relaxed_queue(void)
{
    run(use_garbage, IPC_QUEUE_RELAXED);
}

static void t56_garbage_last_in_first_out(void)
{
    run(use_garbage, IPC_QUEUE_LIFO);
}

static void t56_garbage_by_priority(void)
{
    run(use_garbage, IPC_QUEUE_PRIORITY | IPC_QUEUE_RELAXED);
}

static void t56_garbage_in_a_queue_with_leases(void)
{
    run(use_garbage, IPC_QUEUE_LEASES);
}

/* ---- T57 ---- */

static bool over;
static uint32_t left;

static bool is_over(void)
{
    return __atomic_load_n(&over, __ATOMIC_RELAXED);
}

static void *use(void *arg)
{
    open_hands(fuzz->seed + *(const uint64_t *)arg);
    while (!is_over()) {
        make_call();
        (void)__atomic_fetch_add(&fuzz->step, 1, __ATOMIC_RELAXED);
    }
    free(hands.buffer);
    (void)__atomic_fetch_add(&left, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/* Some other word: not a guard, which gets none that names a living thread. */
static void scribble(struct test_random *random)
{
    uint32_t *words = (uint32_t *)queue;
    const size_t at = random_at(random) / 4;
    const size_t put = offsetof(struct ipc_queue, put.guard) / 4;
    const size_t get = offsetof(struct ipc_queue, get.guard) / 4;
    uint32_t word = (uint32_t)(test_random_between(random, 0, 1) == 0
                                   ? test_random_next(random)
                                   : telling_word(random));
    if (at == put || at == get)
        word = test_random_between(random, 0, 1) == 0 ? 0 : word | 0x3fc00000;
    __atomic_store_n(&words[at], word, __ATOMIC_RELAXED);
    fuzz->writes++;
}

/* So that there is something to spoil. */
static void heal(struct test_random *random)
{
    const unsigned char *image =
        images[test_random_between(random, 0, IMAGES - 1)];
    for (size_t at = 0; at < queue_bytes / 4; at++) {
        uint32_t word;
        memcpy(&word, image + 4 * at, sizeof word);
        __atomic_store_n((uint32_t *)queue + at, word, __ATOMIC_RELAXED);
    }
}

static void use_while_scribbling(void *arg)
{
    static const uint64_t numbers[USERS] = {1, 2, 3};
    pthread_t users[USERS];
    struct test_random random = {fuzz->seed};
    open_queue(*(const uint32_t *)arg);
    open_hands(fuzz->seed);
    make_images();
    for (int i = 0; i < USERS; i++)
        assert_int_equal(
            pthread_create(&users[i], NULL, use, (void *)&numbers[i]), 0);
    const int64_t end =
        test_now_ns() + (int64_t)SCRIBBLE_MS * test_scale() * 1000000;
    for (long i = 1; test_now_ns() < end; i++) {
        scribble(&random);
        for (volatile long pause = test_random_between(&random, 0, 2000);
             pause > 0; pause--)
            ;
        if (i % 64 == 0)
            heal(&random);
    }
    /* Whatever the guards say now, they leave. */
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    while (__atomic_load_n(&left, __ATOMIC_SEQ_CST) < USERS) {
        __atomic_store_n(&queue->put.guard.word, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&queue->get.guard.word, 0, __ATOMIC_SEQ_CST);
        poll_pause();
    }
    for (int i = 0; i < USERS; i++)
        assert_int_equal(pthread_join(users[i], NULL), 0);
    expect_fences();
}

static void t57_scribbler(void)
{
    run(use_while_scribbling, 0);
}

static void t57_scribbler_in_a_relaxed_queue(void)
{
    run(use_while_scribbling, IPC_QUEUE_RELAXED);
}

static void t57_scribbler_last_in_first_out(void)
{
    run(use_while_scribbling, IPC_QUEUE_LIFO);
}

static void t57_scribbler_by_priority(void)
{
    run(use_while_scribbling, IPC_QUEUE_PRIORITY | IPC_QUEUE_RELAXED);
}

static void t57_scribbler_in_a_queue_with_leases(void)
{
    run(use_while_scribbling, IPC_QUEUE_LEASES);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t56_garbage, 60),
    TEST_CASE_LIMIT(t56_garbage_in_a_relaxed_queue, 60),
    TEST_CASE_LIMIT(t56_garbage_last_in_first_out, 60),
    TEST_CASE_LIMIT(t56_garbage_by_priority, 60),
    TEST_CASE_LIMIT(t56_garbage_in_a_queue_with_leases, 60),
    TEST_CASE_LIMIT(t57_scribbler, 60),
    TEST_CASE_LIMIT(t57_scribbler_in_a_relaxed_queue, 60),
    TEST_CASE_LIMIT(t57_scribbler_last_in_first_out, 60),
    TEST_CASE_LIMIT(t57_scribbler_by_priority, 60),
    TEST_CASE_LIMIT(t57_scribbler_in_a_queue_with_leases, 60),
};
TEST_MAIN(cases)
