/* Threads of one process on one queue, in all the ways there are: for the
 * thread sanitizer, which sees no more than that, and for the address
 * sanitizer.  Every message comes once, whole, and in its producer's order. */
#include "harness/harness.h"
#include "harness/scale.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <ipc/error.h>
#include <ipc/queue.h>

enum {
    PRODUCERS = 4,
    CONSUMERS = 4,
    MESSAGES = 3000, /* of a producer */
    BIG = 65536,
    MANY = 8 /* in a batch */
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void expect(int rc, int expected, const char *what)
{
    if (rc != expected)
        test_fail("%s: %d (%s), expected %d", what, rc, ipc_error_detail(),
                  expected);
}

static uint32_t messages(void)
{
    return (uint32_t)(MESSAGES * test_scale());
}

/* ---- messages ---- */

/* The bytes are plain, so that the sanitizer sees who writes and reads them. */
struct message {
    uint32_t producer;
    uint32_t number;
    unsigned char bytes[];
};

struct buffer {
    _Alignas(16) unsigned char bytes[sizeof(struct message) + BIG];
};

static unsigned char byte_of(const struct message *message, size_t i)
{
    return (unsigned char)(message->number * 7 + message->producer + i);
}

/* Every 61st byte of the long ones, and both ends. */
static size_t step_of(size_t bytes)
{
    return bytes > 200 ? 61 : 1;
}

static void fill(void *at, size_t bytes, uint32_t producer, uint32_t number)
{
    struct message *message = at;
    const size_t rest = bytes - sizeof *message;
    message->producer = producer;
    message->number = number;
    for (size_t i = 0; i < rest; i += step_of(rest))
        message->bytes[i] = byte_of(message, i);
    if (rest > 0)
        message->bytes[rest - 1] = byte_of(message, rest - 1);
}

static bool is_whole(const struct message *message, size_t bytes)
{
    const size_t rest = bytes - sizeof *message;
    for (size_t i = 0; i < rest; i += step_of(rest))
        if (message->bytes[i] != byte_of(message, i))
            return false;
    return rest == 0 || message->bytes[rest - 1] == byte_of(message, rest - 1);
}

static size_t random_size(struct test_random *random)
{
    static const long most[] = {16, 16, 64, 64, 300, 1100, 5000, BIG};
    const long kind = test_random_between(random, 0, (long)COUNT(most) - 1);
    return sizeof(struct message) +
           (size_t)test_random_between(random, 0, most[kind]);
}

/* ---- the field ---- */

struct field {
    ipc_queue *queue;
    uint64_t seed;
    uint64_t put, got, aborted; /* counted by all */
    unsigned char *came[PRODUCERS];
};

struct worker {
    struct field *field;
    uint32_t index;
    struct test_random random;
    struct buffer *buffers; /* MANY */
    uint32_t last[PRODUCERS];
    pthread_t id;
};

static void count(uint64_t *what, uint64_t n)
{
    (void)__atomic_fetch_add(what, n, __ATOMIC_RELAXED);
}

/* ---- producers ---- */

/* Each of these puts message `number`, or several from there on; they return
 * how many. */

static uint32_t put_plain(struct worker *w, uint32_t number)
{
    const size_t bytes = random_size(&w->random);
    void *at = w->buffers[0].bytes;
    fill(at, bytes, w->index, number);
    expect(ipc_queue_put(w->field->queue, at, bytes), 0, "put");
    return 1;
}

static uint32_t put_impatient(struct worker *w, uint32_t number)
{
    const size_t bytes = random_size(&w->random);
    void *at = w->buffers[0].bytes;
    fill(at, bytes, w->index, number);
    int rc = ipc_queue_put_nowait(w->field->queue, at, bytes);
    while (rc == -EAGAIN || rc == -ETIMEDOUT)
        rc = ipc_queue_put_until(w->field->queue, at, bytes, ipc_after_us(50));
    expect(rc, 0, "put_until");
    return 1;
}

static uint32_t put_batch(struct worker *w, uint32_t number)
{
    ipc_queue_item items[MANY];
    const uint32_t left = messages() - number;
    const uint32_t n = left < MANY ? left : MANY;
    for (uint32_t i = 0; i < n; i++) {
        items[i] =
            (ipc_queue_item){w->buffers[i].bytes, random_size(&w->random), 0};
        fill(items[i].data, items[i].bytes, w->index, number + i);
    }
    expect(ipc_queue_putv(w->field->queue, items, n, IPC_TIME_FOREVER), (int)n,
           "putv");
    return n;
}

static uint32_t put_in_place(struct worker *w, uint32_t number)
{
    ipc_message message;
    const size_t bytes = random_size(&w->random);
    const bool longer = test_random_between(&w->random, 0, 1) == 0;
    expect(ipc_queue_reserve(w->field->queue, bytes + (longer ? 100 : 0),
                             &message),
           0, "reserve");
    fill(message.data, bytes, w->index, number);
    message.bytes = bytes;
    expect(ipc_queue_commit(w->field->queue, &message), 0, "commit");
    return 1;
}

static uint32_t put_nothing(struct worker *w, uint32_t number)
{
    ipc_message message;
    const size_t bytes = random_size(&w->random);
    expect(ipc_queue_reserve(w->field->queue, bytes, &message), 0, "reserve");
    fill(message.data, bytes, w->index, number);
    expect(ipc_queue_abort(w->field->queue, &message), 0, "abort");
    count(&w->field->aborted, 1);
    return 0;
}

static void *produce(void *arg)
{
    static uint32_t (*const ways[])(struct worker *, uint32_t) = {
        put_plain, put_plain,    put_impatient,
        put_batch, put_in_place, put_nothing};
    struct worker *w = arg;
    for (uint32_t number = 0; number < messages();) {
        const long way =
            test_random_between(&w->random, 0, (long)COUNT(ways) - 1);
        const uint32_t n = ways[way](w, number);
        number += n;
        count(&w->field->put, n);
    }
    return NULL;
}

/* ---- consumers ---- */

static void note(struct worker *w, const void *at, size_t bytes)
{
    const struct message *message = at;
    if (bytes < sizeof *message || message->producer >= PRODUCERS ||
        message->number >= messages() || !is_whole(message, bytes))
        test_fail("a message of %zu bytes is torn", bytes);
    uint32_t *last = &w->last[message->producer];
    if (message->number < *last)
        test_fail("message %u of %u comes behind %u", message->number,
                  message->producer, *last - 1);
    *last = message->number + 1;
    if (__atomic_fetch_add(&w->field->came[message->producer][message->number],
                           1, __ATOMIC_RELAXED) != 0)
        test_fail("message %u of %u comes twice", message->number,
                  message->producer);
    count(&w->field->got, 1);
}

static int get_plain(struct worker *w)
{
    size_t bytes;
    const int rc = ipc_queue_get(w->field->queue, w->buffers[0].bytes,
                                 sizeof w->buffers[0], &bytes);
    if (rc == 0)
        note(w, w->buffers[0].bytes, bytes);
    return rc;
}

static int get_impatient(struct worker *w)
{
    size_t bytes;
    int rc = ipc_queue_get_nowait(w->field->queue, w->buffers[0].bytes,
                                  sizeof w->buffers[0], &bytes);
    if (rc == -EAGAIN)
        rc =
            ipc_queue_get_until(w->field->queue, w->buffers[0].bytes,
                                sizeof w->buffers[0], &bytes, ipc_after_us(50));
    if (rc == 0)
        note(w, w->buffers[0].bytes, bytes);
    return rc == -ETIMEDOUT ? 0 : rc;
}

static int get_batch(struct worker *w)
{
    ipc_queue_item items[MANY];
    for (size_t i = 0; i < MANY; i++)
        items[i] =
            (ipc_queue_item){w->buffers[i].bytes, 0, sizeof w->buffers[i]};
    const int rc =
        ipc_queue_getv(w->field->queue, items, MANY, IPC_TIME_FOREVER);
    for (int i = 0; i < rc; i++)
        note(w, items[i].data, items[i].bytes);
    return rc < 0 ? rc : 0;
}

static int get_in_place(struct worker *w)
{
    ipc_message message;
    const int rc = ipc_queue_peek(w->field->queue, &message);
    if (rc != 0)
        return rc;
    note(w, message.data, message.bytes);
    expect(ipc_queue_release(w->field->queue, &message), 0, "release");
    return 0;
}

static int get_new(struct worker *w)
{
    void *data;
    size_t bytes;
    const int rc =
        ipc_queue_get_alloc(w->field->queue, &data, &bytes, IPC_TIME_FOREVER);
    if (rc != 0)
        return rc;
    note(w, data, bytes);
    free(data);
    return 0;
}

/* It does not fit, and stays where it is. */
static int get_too_small(struct worker *w)
{
    size_t bytes;
    const int rc =
        ipc_queue_get(w->field->queue, w->buffers[0].bytes, 1, &bytes);
    return rc == -EMSGSIZE ? 0 : rc;
}

static void *consume(void *arg)
{
    static int (*const ways[])(struct worker *) = {
        get_plain, get_plain,    get_impatient, get_batch,
        get_new,   get_in_place, get_too_small};
    struct worker *w = arg;
    int rc;
    do {
        const long way =
            test_random_between(&w->random, 0, (long)COUNT(ways) - 1);
        rc = ways[way](w);
    } while (rc == 0);
    expect(rc, -EPIPE, "get");
    return NULL;
}

/* ---- the run ---- */

static void start(struct worker *w, struct field *field, uint32_t index,
                  void *(*run)(void *arg))
{
    *w = (struct worker){.field = field, .index = index};
    w->random.state = field->seed + index + (run == consume ? 100 : 0);
    w->buffers = calloc(MANY, sizeof *w->buffers);
    assert_non_null(w->buffers);
    assert_int_equal(pthread_create(&w->id, NULL, run, w), 0);
}

static void join(struct worker *workers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(pthread_join(workers[i].id, NULL), 0);
        free(workers[i].buffers);
    }
}

static void run(struct field *field, uint32_t producers, uint32_t consumers)
{
    struct worker sides[2][PRODUCERS + CONSUMERS];
    for (uint32_t i = 0; i < consumers; i++)
        start(&sides[1][i], field, i, consume);
    for (uint32_t i = 0; i < producers; i++) {
        field->came[i] = calloc(messages(), 1);
        assert_non_null(field->came[i]);
        start(&sides[0][i], field, i, produce);
    }
    join(sides[0], producers);
    expect(ipc_queue_close(field->queue, false), 0, "close");
    join(sides[1], consumers);

    test_report("messages", (long long)field->got);
    test_report("aborted", (long long)field->aborted);
    assert_true(field->got == (uint64_t)producers * messages());
    assert_true(field->put == field->got);
    for (uint32_t i = 0; i < producers; i++)
        free(field->came[i]);
    expect(ipc_queue_free(field->queue), 0, "free");
}

static void open_field(struct field *field, uint32_t flags, uint32_t capacity,
                       size_t bytes)
{
    const ipc_queue_options options = {.size = sizeof options,
                                       .flags = flags,
                                       .capacity = capacity,
                                       .bytes = bytes};
    *field = (struct field){.seed = test_seed()};
    expect(ipc_queue_new(&options, &field->queue), 0, "new");
}

static void four_and_four_through_a_wide_queue(void)
{
    struct field field;
    open_field(&field, 0, 256, 4 << 20);
    run(&field, PRODUCERS, CONSUMERS);
}

/* Two of the long ones do not fit, so somebody always waits. */
static void four_and_four_through_a_narrow_queue(void)
{
    struct field field;
    open_field(&field, 0, 4, BIG + 1000);
    run(&field, PRODUCERS, CONSUMERS);
}

static void a_relaxed_queue(void)
{
    struct field field;
    open_field(&field, IPC_QUEUE_RELAXED, 16, 256 << 10);
    run(&field, PRODUCERS, CONSUMERS);
}

static void one_and_one_through_a_queue_of_one(void)
{
    struct field field;
    open_field(&field, 0, 1, BIG + 1000);
    run(&field, 1, 1);
}

static void one_feeds_four(void)
{
    struct field field;
    open_field(&field, 0, 8, 1 << 20);
    run(&field, 1, CONSUMERS);
}

static void four_feed_one(void)
{
    struct field field;
    open_field(&field, 0, 8, 1 << 20);
    run(&field, PRODUCERS, 1);
}

/* ---- task_done and join ---- */

static void *do_tasks(void *arg)
{
    struct worker *w = arg;
    while (get_plain(w) == 0)
        expect(ipc_queue_task_done(w->field->queue), 0, "task_done");
    return NULL;
}

static void *put_tasks(void *arg)
{
    struct worker *w = arg;
    for (uint32_t i = 0; i < messages(); i++) {
        if (i % 10 == 0)
            (void)put_nothing(w, i);
        (void)put_plain(w, i);
    }
    return NULL;
}

/* Whoever joins sees all that was done. */
static void join_waits_for_every_task(void)
{
    struct field field;
    struct worker putters[2];
    struct worker doers[3];
    open_field(&field, 0, 8, 1 << 20);
    for (uint32_t i = 0; i < COUNT(putters); i++) {
        field.came[i] = calloc(messages(), 1);
        assert_non_null(field.came[i]);
    }
    for (uint32_t i = 0; i < COUNT(doers); i++)
        start(&doers[i], &field, i + 10, do_tasks);
    for (uint32_t i = 0; i < COUNT(putters); i++)
        start(&putters[i], &field, i, put_tasks);
    join(putters, COUNT(putters));
    expect(ipc_queue_join(field.queue), 0, "join");
    assert_true(field.got == COUNT(putters) * messages());
    expect(ipc_queue_task_done(field.queue), -EINVAL, "one too many");
    expect(ipc_queue_close(field.queue, false), 0, "close");
    join(doers, COUNT(doers));
    for (uint32_t i = 0; i < COUNT(putters); i++)
        free(field.came[i]);
    expect(ipc_queue_free(field.queue), 0, "free");
}

/* ---- closing in the middle ---- */

static void *put_until_closed(void *arg)
{
    struct worker *w = arg;
    ipc_message message;
    int rc = 0;
    for (uint32_t i = 0; rc == 0; i = (i + 1) % messages()) {
        const size_t bytes = random_size(&w->random);
        if (i % 3 == 0) {
            rc = ipc_queue_reserve(w->field->queue, bytes, &message);
            if (rc == 0) {
                fill(message.data, bytes, w->index, i);
                expect(ipc_queue_commit(w->field->queue, &message), 0,
                       "commit");
            }
        } else {
            fill(w->buffers[0].bytes, bytes, w->index, i);
            rc = ipc_queue_put(w->field->queue, w->buffers[0].bytes, bytes);
        }
    }
    expect(rc, -EPIPE, "put");
    return NULL;
}

static void *get_until_closed(void *arg)
{
    struct worker *w = arg;
    size_t bytes;
    int rc = 0;
    while (rc == 0) {
        rc = ipc_queue_get(w->field->queue, w->buffers[0].bytes,
                           sizeof w->buffers[0], &bytes);
        if (rc == 0)
            count(&w->field->got, 1);
    }
    expect(rc, -EPIPE, "get");
    return NULL;
}

/* All leave, whatever they are at. */
static void close_while(uint32_t putters, uint32_t getters, bool immediate)
{
    struct worker sides[2][PRODUCERS];
    for (long round = 0; round < 20 * test_scale(); round++) {
        struct field field;
        open_field(&field, 0, 4, BIG + 1000);
        for (uint32_t i = 0; i < putters; i++)
            start(&sides[0][i], &field, i, put_until_closed);
        for (uint32_t i = 0; i < getters; i++)
            start(&sides[1][i], &field, i, get_until_closed);
        while (putters != 0 && getters != 0 &&
               __atomic_load_n(&field.got, __ATOMIC_RELAXED) <
                   (uint64_t)(10 * round))
            (void)ipc_queue_size(field.queue);
        expect(ipc_queue_close(field.queue, immediate), 0, "close");
        join(sides[0], putters);
        join(sides[1], getters);
        expect(ipc_queue_free(field.queue), 0, "free");
    }
}

static void close_ends_all_waits(void)
{
    close_while(PRODUCERS, 0, false);
    close_while(0, PRODUCERS, false);
    close_while(3, 3, false);
    close_while(3, 3, true);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(four_and_four_through_a_wide_queue, 120),
    TEST_CASE_LIMIT(four_and_four_through_a_narrow_queue, 120),
    TEST_CASE_LIMIT(a_relaxed_queue, 120),
    TEST_CASE_LIMIT(one_and_one_through_a_queue_of_one, 120),
    TEST_CASE_LIMIT(one_feeds_four, 120),
    TEST_CASE_LIMIT(four_feed_one, 120),
    TEST_CASE_LIMIT(join_waits_for_every_task, 120),
    TEST_CASE_LIMIT(close_ends_all_waits, 120),
};
TEST_MAIN(cases)
