/* What is durable: a server that ends, and another one on the same store. */
#include "manager/keeper_support.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "harness/faults.h"
#include "harness/role.h"

static uint64_t reopen(const char *type, const char *name)
{
    return make(a, type, name);
}

/* ---- each kind ---- */

static void values_are_there_again(void)
{
    begin();
    const uint64_t value =
        make(a, "value", "v", ALWAYS, ipc_str("value"), ipc_str("first"));
    const uint64_t other =
        make(a, "value", "w", INTERVAL, ipc_str("value"), ipc_i64(5));
    const uint64_t third = make(a, "value", "not kept");
    (void)third;
    restart();
    assert_int_equal(reopen("value", "v"), value);
    says(a, IPCM__OP_VALUE_GET, value, "\"first\"");
    does(a, IPCM__OP_VALUE_SET, value, 0, ipc_bytes("\0x", 2));
    says(a, IPCM__OP_VALUE_INCR, other, "7", ipc_i64(2));
    says(a, IPCM__OP_VALUE_CAS, other, "1", ipc_i64(7), ipc_u64(UINT64_MAX));
    says(a, IPCM__OP_VALUE_CAS, other, "0", ipc_i64(7), ipc_i64(1));
    restart();
    says(a, IPCM__OP_VALUE_GET, value, "b\"\\x00x\"");
    says(a, IPCM__OP_VALUE_GET, other, "18446744073709551615");
    const uint64_t id =
        ask(a, IPCM__OP_OPEN, 0, ipc_str("value"), ipc_str("not kept"));
    expect_status(a, id, 1); /* made anew */
    server_end();
}

static void arrays_are_there_again(void)
{
    begin();
    const uint64_t numbers =
        make(a, "array", "n", ALWAYS, ipc_str("type"), ipc_i64(IPC_TYPE_I64),
             ipc_str("length"), ipc_i64(5));
    const uint64_t doubles =
        make(a, "array", "d", ALWAYS, ipc_str("type"), ipc_i64(IPC_TYPE_F64),
             ipc_str("items"), ipc_f64(0.5), ipc_f64(-1e300));
    does(a, IPCM__OP_ARRAY_SET, numbers, 0, ipc_i64(-1), ipc_i64(7));
    does(a, IPCM__OP_ARRAY_PUT, numbers, 0, ipc_i64(-4), ipc_i64(1),
         ipc_i64(2));
    restart();
    says(a, IPCM__OP_ARRAY_SLICE, numbers, "0 1 2 0 7", ipc_i64(0), ipc_i64(5));
    says(a, IPCM__OP_ARRAY_GET, doubles, "0.5", ipc_i64(0));
    says(a, IPCM__OP_ARRAY_LENGTH, doubles, "2");
    server_end();
}

/* What was got is gone, what was taken is there, and counted. */
static void queues_are_there_again(void)
{
    begin();
    const uint64_t queue =
        make(a, "queue", "q", ALWAYS, ipc_str("order"), ipc_str("priority"),
             ipc_str("max_deliveries"), ipc_i64(2));
    for (int i = 0; i < 6; i++)
        does(a, PUT, queue, 0, ipc_i64(i), ipc_i64(-i), NOW);
    says(a, GET, queue, "0", NOW);
    const uint64_t waiting = ask(b, IPCM__OP_QUEUE_JOIN, queue, FOREVER);
    uint64_t id = ask(a, TAKE, queue, NOW); /* 1 */
    const uint64_t token = strtoull(
        strchr(strchr(find_answer(a, id)->text, ' ') + 1, ' '), NULL, 10);
    does(a, ACK, queue, 0, ipc_u64(token));
    does(a, TAKE, queue, 0, NOW); /* 2, and never acked */
    does(a, IPCM__OP_QUEUE_TASK_DONE, queue, 0);
    says(a, INFO, queue, "false 3 0 1 0 4");
    expect_status(b, waiting, WAITING);
    restart();
    says(a, INFO, queue, "false 4 0 0 0 4");
    does(a, ACK, queue, -ESTALE, ipc_u64(token + 1));
    id = ask(a, TAKE, queue, NOW);
    const char *text = find_answer(a, id)->text;
    char *end;
    assert_int_equal(strtoll(text, &end, 10), 2);
    assert_int_equal(strtoll(end, &end, 10), -2);
    const uint64_t now_token = strtoull(end, &end, 10);
    assert_int_equal(strtoull(end, &end, 10), 2);
    assert_true(now_token > token); /* of another life, and no old one's */
    restart();
    says(a, INFO, queue, "false 3 0 0 1 4"); /* a dead letter now */
    does(a, IPCM__OP_QUEUE_CLOSE, queue, 0, ipc_bool(false));
    restart();
    does(a, PUT, queue, -EPIPE, ipc_i64(1), NOW, NOW);
    says(a, GET, queue, "3", NOW);
    does(a, TAKE, queue, 0, NOW);
    does(a, IPCM__OP_QUEUE_CLOSE, queue, 0, ipc_bool(true));
    restart();
    says(a, INFO, queue, "true 0 0 0 0 1");
    server_end();
}

/* A lease that ends after its queue was closed at once. */
static void an_ack_after_the_end_is_replayed(void)
{
    begin();
    const uint64_t queue = make(a, "queue", "q", ALWAYS);
    does(a, PUT, queue, 0, ipc_i64(1), NOW, NOW);
    const uint64_t id = ask(a, TAKE, queue, NOW);
    const uint64_t token = strtoull(find_answer(a, id)->text + 4, NULL, 10);
    does(a, IPCM__OP_QUEUE_CLOSE, queue, 0, ipc_bool(true));
    does(a, ACK, queue, 0, ipc_u64(token));
    says(a, INFO, queue, "true 0 0 0 0 0");
    restart();
    says(a, INFO, queue, "true 0 0 0 0 0");
    server_end();
}

static void containers_are_there_again(void)
{
    begin();
    const uint64_t list = make(a, "list", "l", ALWAYS, ipc_str("items"),
                               ipc_i64(1), ipc_str("two"));
    const uint64_t dict = make(a, "dict", "d", ALWAYS);
    const uint64_t id = ask(a, IPC_OP_DICT_GET_OR_NEW, dict, ipc_str("inner"),
                            ipc_i64(IPC_TYPE_LIST));
    expect_status(a, id, 0);
    does(a, IPC_OP_LIST_APPEND, list, 0, ipc_f64(3));
    does(a, IPC_OP_LIST_SORT, list, 0, ipc_i64(1));
    restart();
    says(a, IPC_OP_LIST_LENGTH, list, "3");
    says(a, IPC_OP_DICT_LENGTH, dict, "1");
    server_end();
}

/* ---- names ---- */

static void removed_names_stay_removed(void)
{
    begin();
    (void)make(a, "value", "v", ALWAYS, ipc_str("value"), ipc_i64(1));
    const uint64_t held = make(a, "value", NULL, ALWAYS);
    does(a, IPCM__OP_REMOVE, 0, 0, ipc_str("v"));
    (void)held;
    restart();
    const uint64_t again = make(a, "value", "v", ALWAYS);
    says(a, IPCM__OP_VALUE_GET, again, "nil");
    does(a, IPCM__OP_VALUE_GET, held, -ESTALE); /* who held it is gone */
    server_end();
}

static void numbers_are_not_used_again(void)
{
    begin();
    const uint64_t before = make(a, "value", NULL);
    restart();
    const uint64_t after = make(a, "value", NULL);
    assert_true(after > before);
    does(a, IPCM__OP_VALUE_GET, before, -ESTALE);
    server_end();
}

/* ---- when it holds ---- */

static void a_reply_waits_for_the_commit(void)
{
    begin();
    const uint64_t value = make(a, "value", "v", ALWAYS);
    const uint64_t free_one = make(a, "value", "w");
    const uint64_t other = ask_now(b, IPCM__OP_VALUE_SET, free_one, ipc_nil());
    expect_status(b, other, 0); /* nothing to wait for */
    const uint64_t id = ask_now(a, IPCM__OP_VALUE_SET, value, ipc_i64(1));
    expect_status(a, id, WAITING);
    pass(0);
    expect_status(a, id, 0);
    server_end();
}

static void fail_to_commit(void *arg)
{
    (void)arg;
    begin();
    const uint64_t value = make(a, "value", "v", ALWAYS);
    fault_syscall(SYS_fdatasync, EIO);
    const uint64_t id = ask_now(a, IPCM__OP_VALUE_SET, value, ipc_i64(1));
    assert_int_equal(ipcm__server_turn(server, the_time), -EIO);
    expect_status(a, id, WAITING);
    server_end();
}

static void what_cannot_be_committed_is_never_answered(void)
{
    (void)test_tmpdir();
    const int code = role_try(fail_to_commit, NULL, 10000);
    assert_int_equal(code, 0);
}

static void level_interval_is_synced_once_a_second(void)
{
    begin();
    const uint64_t value = make(a, "value", "v", INTERVAL);
    does(a, IPCM__OP_VALUE_SET, value, 0, ipc_i64(1));
    const ipc_deadline next = ipcm__keeper_next(server->keeper);
    assert_true(next > the_time && next <= the_time + IPC_S(1));
    pass(1001);
    assert_int_equal(ipcm__keeper_next(server->keeper), IPC_TIME_FOREVER);
    does(a, IPCM__OP_VALUE_GET, value, 0);
    assert_int_equal(ipcm__keeper_next(server->keeper), IPC_TIME_FOREVER);
    server_end();
}

/* ---- answers ---- */

/* The client has not heard the answer, and the server has been another one
 * since. */
static void a_request_that_was_done_is_not_done_again(void)
{
    begin();
    uint8_t id[IPCM__SESSION_BYTES];
    const uint64_t value =
        make(a, "value", "v", ALWAYS, ipc_str("value"), ipc_i64(0));
    const uint64_t request = ask(a, IPCM__OP_VALUE_INCR, value, ipc_i64(1));
    expect_answer(a, request, 0, "1");
    memcpy(id, a->session->id, sizeof id);
    restart();
    const struct ipcm__peer peer = {.transport = IPCM__UNIX, .uid = geteuid()};
    struct ipcm__session *session = ipcm__session_find(server, id, &peer);
    assert_non_null(session);
    struct client *back = client_new();
    client_die(back);
    back->session = session;
    client_return(back);
    back->last = request - 1;
    assert_int_equal(ask(back, IPCM__OP_VALUE_INCR, value, ipc_i64(1)),
                     request);
    expect_answer(back, request, 0, "1");
    says(back, IPCM__OP_VALUE_INCR, value, "2", ipc_i64(1));
    client_die(back);
    restart();
    assert_null(ipcm__session_find(server, id, &peer));
    server_end();
}

static const struct test_case cases[] = {
    TEST_CASE(values_are_there_again),
    TEST_CASE(arrays_are_there_again),
    TEST_CASE(queues_are_there_again),
    TEST_CASE(an_ack_after_the_end_is_replayed),
    TEST_CASE(containers_are_there_again),
    TEST_CASE(removed_names_stay_removed),
    TEST_CASE(numbers_are_not_used_again),
    TEST_CASE(a_reply_waits_for_the_commit),
    TEST_CASE(what_cannot_be_committed_is_never_answered),
    TEST_CASE(level_interval_is_synced_once_a_second),
    TEST_CASE(a_request_that_was_done_is_not_done_again),
};
TEST_MAIN(cases)
