/* Queues: closing, and giving back. */
#include "unit/queue_support.h"

#include "core/waiting.h"

enum {
    EACH = 3
};

struct stage {
    ipc_queue *queue;
    uint32_t done;
};

static struct stage *stage;
static struct role roles[2 * EACH];

static void set_stage(uint32_t capacity)
{
    ipc__recheck_ns = INT64_MAX;
    stage = test_shared(sizeof *stage);
    stage->queue = new_queue(capacity, 0, 0);
}

static void expect_over(ipc_queue *queue)
{
    ipc_message message;
    ipc_queue_item item = {.data = (void *)(uintptr_t) "x", .bytes = 1};
    void *data = NULL;
    char byte;
    assert_true(ipc_queue_is_closed(queue));
    expect_rc(ipc_queue_put(queue, "x", 1), -EPIPE);
    expect_detail("is closed");
    expect_rc(ipc_queue_put_nowait(queue, NULL, 0), -EPIPE);
    expect_rc(try_put(queue, PAGES, 1, ipc_after_ms(LIMIT_MS)), -EPIPE);
    expect_rc(ipc_queue_putv(queue, &item, 1, IPC_TIME_FOREVER), -EPIPE);
    expect_rc(ipc_queue_reserve(queue, 1, &message), -EPIPE);
    expect_rc(ipc_queue_get(queue, NULL, 0, NULL), -EPIPE);
    expect_detail("is closed");
    expect_rc(ipc_queue_get_nowait(queue, NULL, 0, NULL), -EPIPE);
    expect_rc(ipc_queue_get_alloc(queue, &data, NULL, IPC_TIME_FOREVER),
              -EPIPE);
    expect_rc(ipc_queue_get_exactly(queue, &byte, 1, IPC_TIME_NOW), -EPIPE);
    expect_rc(ipc_queue_getv(queue, &item, 1, IPC_TIME_FOREVER), -EPIPE);
    expect_rc(ipc_queue_peek(queue, &message), -EPIPE);
    assert_int_equal(ipc_queue_size(queue), 0);
    assert_true(ipc_queue_empty(queue));
}

static void what_is_in_it_can_still_be_got(void)
{
    ipc_queue *queue = new_queue(4, 0, 0);
    for (unsigned i = 0; i < 4; i++)
        put_now(queue, i % 2 ? LONG : SHORT, i);
    assert_false(ipc_queue_is_closed(queue));
    expect_rc(ipc_queue_close(queue, false), 0);
    expect_rc(ipc_queue_put(queue, "x", 1), -EPIPE);
    assert_int_equal(ipc_queue_size(queue), 4);
    expect_rc(ipc_queue_close(queue, false), 0); /* once more */
    for (unsigned i = 0; i < 4; i++)
        get_now(queue, i % 2 ? LONG : SHORT, i);
    expect_over(queue);
    free_queue(queue);
}

static void what_is_in_it_is_dropped_at_once(void)
{
    ipc_queue *queue = new_queue(4, 0, 0);
    for (unsigned i = 0; i < 4; i++)
        put_now(queue, i % 2 ? LONG : SHORT, i);
    expect_rc(ipc_queue_close(queue, true), 0);
    expect_over(queue);
    expect_rc(ipc_queue_close(queue, false), 0);
    expect_over(queue);
    free_queue(queue);
}

static void it_can_be_dropped_after_it_was_closed(void)
{
    ipc_queue *queue = new_queue(4, 0, 0);
    put_now(queue, SHORT, 1);
    put_now(queue, SHORT, 2);
    expect_rc(ipc_queue_close(queue, false), 0);
    get_now(queue, SHORT, 1);
    expect_rc(ipc_queue_close(queue, true), 0);
    expect_over(queue);
    free_queue(queue);
}

static void what_is_in_somebodys_hands_stays_there(void)
{
    for (int now = 0; now < 2; now++) {
        ipc_queue *queue = new_queue(4, 0, 0);
        ipc_message peeked, written, aborted;
        put_now(queue, SHORT, 1);
        expect_rc(ipc_queue_peek(queue, &peeked), 0);
        expect_rc(ipc_queue_reserve(queue, LONG, &written), 0);
        expect_rc(ipc_queue_reserve(queue, LONG, &aborted), 0);
        expect_rc(ipc_queue_close(queue, now != 0), 0);
        assert_true(is_message(peeked.data, SHORT, 1));
        expect_rc(ipc_queue_release(queue, &peeked), 0);
        fill_message(written.data, LONG, 2);
        expect_rc(ipc_queue_get_nowait(queue, NULL, 0, NULL),
                  now ? -EPIPE : -EAGAIN);
        expect_rc(ipc_queue_commit(queue, &written), 0);
        expect_rc(ipc_queue_abort(queue, &aborted), 0);
        if (now == 0)
            get_now(queue, LONG, 2);
        expect_over(queue);
        free_queue(queue);
    }
}

/* ---- those who wait ---- */

static void getter(void *arg)
{
    (void)arg;
    expect_rc(ipc_queue_get(stage->queue, NULL, 0, NULL), -EPIPE);
}

static void peeker(void *arg)
{
    ipc_message message;
    (void)arg;
    expect_rc(
        ipc_queue_peek_until(stage->queue, &message, ipc_after_ms(LIMIT_MS)),
        -EPIPE);
}

static void putter(void *arg)
{
    (void)arg;
    expect_rc(ipc_queue_put(stage->queue, "x", 1), -EPIPE);
}

static void reserver(void *arg)
{
    ipc_message message;
    (void)arg;
    expect_rc(ipc_queue_reserve_until(stage->queue, LONG, &message,
                                      ipc_after_ms(LIMIT_MS)),
              -EPIPE);
}

static void all_are_woken(bool full, bool immediate)
{
    set_stage(2);
    if (full) {
        put_now(stage->queue, SHORT, 1);
        put_now(stage->queue, SHORT, 2);
    }
    for (int i = 0; i < 2 * EACH; i++) {
        role_start(&roles[i],
                   full    ? i % 2 ? putter : reserver
                   : i % 2 ? getter
                           : peeker,
                   NULL);
        wait_until_sleeping(roles[i].pid, LIMIT_MS);
    }
    expect_rc(ipc_queue_close(stage->queue, immediate), 0);
    for (int i = 0; i < 2 * EACH; i++)
        role_wait_ok(&roles[i], WEDGE_MS);
    if (full && !immediate) {
        get_now(stage->queue, SHORT, 1);
        get_now(stage->queue, SHORT, 2);
    }
    expect_over(stage->queue);
    free_queue(stage->queue);
}

static void all_who_wait_for_a_message_are_told(void)
{
    all_are_woken(false, false);
    all_are_woken(false, true);
}

static void all_who_wait_for_room_are_told(void)
{
    all_are_woken(true, false);
    all_are_woken(true, true);
}

static void who_waits_keeps_the_queue(void)
{
    for (int full = 0; full < 2; full++) {
        set_stage(1);
        if (full)
            put_now(stage->queue, SHORT, 1);
        role_start(&roles[0], full ? putter : getter, NULL);
        wait_until_sleeping(roles[0].pid, LIMIT_MS);
        expect_rc(ipc_queue_free(stage->queue), -EBUSY);
        expect_detail("in use");
        expect_rc(ipc_queue_close(stage->queue, true), 0);
        role_wait_ok(&roles[0], WEDGE_MS);
        free_queue(stage->queue);
    }
}

/* ---- all at once ---- */

static void put_until_closed(void *arg)
{
    const unsigned which = *(unsigned *)arg;
    unsigned char message[LONG];
    int rc;
    fill_message(message, sizeof message, which);
    while ((rc = ipc_queue_put(stage->queue, message,
                               which % 2 ? SHORT : LONG)) == 0)
        meet_signal(&stage->done);
    expect_rc(rc, -EPIPE);
}

static void get_until_closed(void *arg)
{
    char buffer[LONG];
    int rc;
    (void)arg;
    while ((rc = ipc_queue_get(stage->queue, buffer, sizeof buffer, NULL)) == 0)
        continue;
    expect_rc(rc, -EPIPE);
}

static void closed_under_load_all_leave(void)
{
    static unsigned which[EACH] = {1, 2, 3};
    for (int round = 0; round < 10; round++) {
        set_stage(4);
        for (int i = 0; i < EACH; i++) {
            role_start(&roles[i], put_until_closed, &which[i]);
            role_start(&roles[EACH + i], get_until_closed, NULL);
        }
        meet_wait(&stage->done, 100 + 37u * (unsigned)round, LIMIT_MS);
        expect_rc(ipc_queue_close(stage->queue, round % 2 == 0), 0);
        for (int i = 0; i < 2 * EACH; i++)
            role_wait_ok(&roles[i], LIMIT_MS);
        expect_over(stage->queue);
        free_queue(stage->queue);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(what_is_in_it_can_still_be_got),
    TEST_CASE(what_is_in_it_is_dropped_at_once),
    TEST_CASE(it_can_be_dropped_after_it_was_closed),
    TEST_CASE(what_is_in_somebodys_hands_stays_there),
    TEST_CASE(all_who_wait_for_a_message_are_told),
    TEST_CASE(all_who_wait_for_room_are_told),
    TEST_CASE(who_waits_keeps_the_queue),
    TEST_CASE(closed_under_load_all_leave),
};
TEST_MAIN(cases)
