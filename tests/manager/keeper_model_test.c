/* What is durable, under random changes, snapshots and kills. */
#include "manager/keeper_support.h"

#include "harness/role.h"
#include "harness/scale.h"

/* ---- snapshots, and a model ---- */

/* Everything that a client can see of the objects, as one text. */
static void look_at(struct client *client, const uint64_t objects[5], char *out,
                    size_t size)
{
    const uint64_t ids[] = {
        ask(client, IPCM__OP_VALUE_GET, objects[0], ),
        ask(client, IPCM__OP_ARRAY_SLICE, objects[1], ipc_i64(0), ipc_i64(20)),
        ask(client, INFO, objects[2], ),
        ask(client, IPC_OP_LIST_SLICE, objects[3], ipc_i64(-20),
            ipc_i64(INT64_MAX), ipc_i64(1)),
        ask(client, IPC_OP_LIST_LENGTH, objects[3], ),
        ask(client, IPC_OP_DICT_LENGTH, objects[4], ),
        ask(client, IPC_OP_DICT_GET, objects[4], ipc_i64(1)),
        ask(client, IPC_OP_DICT_GET, objects[4], ipc_i64(7))};
    size_t at = 0;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        at += (size_t)snprintf(out + at, size - at, "%s;\n",
                               find_answer(client, ids[i])->text);
}

/* What has been taken is ready again: so nothing is left taken. */
static void change_queue(struct test_random *random, uint64_t queue)
{
    const long what = test_random_between(random, 0, 9);
    if (what < 5) {
        (void)ask(a, PUT, queue, ipc_i64(test_random_between(random, 0, 999)),
                  ipc_i64(test_random_between(random, 0, 3)), NOW);
    } else if (what < 7) {
        (void)ask(a, GET, queue, NOW);
    } else if (what < 8) {
        (void)ask(a, IPCM__OP_QUEUE_TASK_DONE, queue, );
    } else {
        const uint64_t id = ask(a, TAKE, queue, NOW);
        if (status_of(a, id) < 0)
            return;
        const char *text = find_answer(a, id)->text;
        const uint64_t token =
            strtoull(strchr(strchr(text, ' ') + 1, ' '), NULL, 10);
        (void)ask(a, what == 8 ? ACK : IPCM__OP_QUEUE_NACK, queue,
                  ipc_u64(token));
    }
}

static void change_something(struct test_random *random,
                             const uint64_t objects[5])
{
    static char text[2000];
    const ipc_any number = ipc_i64(test_random_between(random, 0, 9));
    memset(text, 'x', sizeof text);
    switch (test_random_between(random, 0, 6)) {
    case 0:
        (void)ask(a, IPCM__OP_VALUE_SET, objects[0],
                  ipc_strn(text, (size_t)test_random_between(random, 0, 2000)));
        break;
    case 1:
        (void)ask(a, IPCM__OP_ARRAY_SET, objects[1], number, number);
        break;
    case 2:
        (void)ask(a, IPC_OP_LIST_APPEND, objects[3], number);
        break;
    case 3:
        (void)ask(a, IPC_OP_LIST_POP, objects[3], number);
        break;
    case 4:
        (void)ask(a, IPC_OP_DICT_SET, objects[4], number, number);
        break;
    case 5:
        (void)ask(a, IPC_OP_DICT_POP, objects[4], number);
        break;
    default:
        change_queue(random, objects[2]);
        break;
    }
}

static void expect_same_messages(uint64_t queue, const char *before)
{
    static char now[8192];
    size_t at = 0;
    for (;;) {
        const uint64_t id = ask(a, GET, queue, NOW);
        if (status_of(a, id) < 0)
            break;
        at += (size_t)snprintf(now + at, sizeof now - at, "%s ",
                               find_answer(a, id)->text);
        assert_true(at < sizeof now - 100);
    }
    now[at] = '\0';
    assert_string_equal(now, before);
}

/* The messages, in the order of getting, without getting them for good. */
static void messages_of(uint64_t queue, char *out, size_t size)
{
    uint64_t tokens[600];
    size_t count = 0, at = 0;
    for (;;) {
        const uint64_t id = ask(a, TAKE, queue, NOW);
        if (status_of(a, id) < 0)
            break;
        const char *text = find_answer(a, id)->text;
        assert_true(count < 600 && at < size - 100);
        tokens[count++] =
            strtoull(strchr(strchr(text, ' ') + 1, ' '), NULL, 10);
        at += (size_t)snprintf(out + at, size - at, "%.*s ",
                               (int)(strchr(text, ' ') - text), text);
    }
    out[at] = '\0';
    for (size_t i = 0; i < count; i++)
        does(a, IPCM__OP_QUEUE_NACK, queue, 0, ipc_u64(tokens[i]));
}

static void run_model(uint32_t snapshot_bytes, const char *order)
{
    struct test_random random = {test_seed()};
    static char before[8192], after[8192], messages[8192];
    begin_with(snapshot_bytes);
    const uint64_t objects[5] = {
        make(a, "value", "v", INTERVAL),
        make(a, "array", "a", ALWAYS, ipc_str("type"), ipc_i64(IPC_TYPE_I64),
             ipc_str("length"), ipc_i64(10)),
        make(a, "queue", "q", INTERVAL, ipc_str("order"), ipc_str(order)),
        make(a, "list", "l", INTERVAL), make(a, "dict", "d", INTERVAL)};
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 300; i++)
            change_something(&random, objects);
        messages_of(objects[2], messages, sizeof messages);
        look_at(a, objects, before, sizeof before);
        if (round % 2 == 0)
            pass(2000);
        restart();
        look_at(a, objects, after, sizeof after);
        assert_string_equal(after, before);
        messages_of(objects[2], after, sizeof after);
        assert_string_equal(after, messages);
    }
    uint64_t bytes, commits;
    ipcm__keeper_figures(server->keeper, &bytes, &commits);
    test_report("bytes", (long long)bytes);
    expect_same_messages(objects[2], messages);
    server_end();
}

static void the_log_alone_gives_it_all(void)
{
    run_model(64u << 20, "fifo");
}

static void so_do_snapshots(void)
{
    run_model(1, "priority");
}

static void and_some_of_both(void)
{
    run_model(3000, "lifo");
}

/* A large object in rows of moderate size, and the log small again. */
static void a_snapshot_is_made_when_the_log_is_long(void)
{
    begin_with(200000);
    static char text[1000];
    memset(text, 'x', sizeof text);
    const uint64_t value = make(a, "value", "v", INTERVAL);
    const uint64_t queue = make(a, "queue", "q", INTERVAL);
    for (int i = 0; i < 3000; i++) {
        (void)ask(a, IPCM__OP_VALUE_SET, value, ipc_strn(text, sizeof text));
        (void)ask(a, PUT, queue, ipc_strn(text, sizeof text), NOW, NOW);
    }
    uint64_t bytes, commits;
    restart();
    ipcm__keeper_figures(server->keeper, &bytes, &commits);
    test_report("bytes", (long long)bytes);
    assert_true(bytes < (uint64_t)8 << 20);
    says(a, INFO, queue, "false 3000 0 0 0 3000");
    server_end();
}

/* ---- kills ---- */

struct stage {
    uint64_t told; /* the last sum that was answered */
};

static void count_for_ever(void *arg)
{
    struct stage *stage = arg;
    begin_with(20000);
    const uint64_t value =
        make(a, "value", "v", ALWAYS, ipc_str("value"), ipc_i64(0));
    const uint64_t list = make(a, "list", "l", INTERVAL);
    const uint64_t queue = make(a, "queue", "q", ALWAYS);
    uint64_t first = ask(a, IPC_OP_LIST_LENGTH, list, );
    for (uint64_t n = number_of(a, first) + 1;; n++) {
        /* All in one turn: a group. */
        const uint64_t sum = ask_now(a, IPCM__OP_VALUE_INCR, value, ipc_i64(1));
        (void)ask_now(a, IPC_OP_LIST_APPEND, list, ipc_u64(n));
        (void)ask_now(b, PUT, queue, ipc_u64(n), NOW, NOW);
        (void)ask_now(b, GET, queue, NOW);
        const uint64_t last = ask_now(b, PUT, queue, ipc_u64(n), NOW, NOW);
        pass(0);
        assert_int_equal(number_of(a, sum), n);
        expect_status(b, last, 0);
        __atomic_store_n(&stage->told, n, __ATOMIC_RELEASE);
    }
}

static void t71_a_killed_server_loses_nothing_that_it_answered(void)
{
    struct stage *stage = test_shared(sizeof *stage);
    struct test_random random = {test_seed()};
    const long rounds = 25 * test_scale();
    (void)test_tmpdir();
    for (long i = 0; i < rounds; i++) {
        struct role role;
        role_start(&role, count_for_ever, stage);
        const int64_t until =
            test_now_ns() + test_random_between(&random, 1000000, 60000000);
        while (test_now_ns() < until)
            poll_pause();
        (void)role_kill(&role);
        begin_with(20000);
        const uint64_t told = __atomic_load_n(&stage->told, __ATOMIC_ACQUIRE);
        const uint64_t value =
            make(a, "value", "v", ALWAYS, ipc_str("value"), ipc_i64(0));
        const uint64_t list = make(a, "list", "l", INTERVAL);
        const uint64_t queue = make(a, "queue", "q", ALWAYS);
        const uint64_t is = number_of(a, ask(a, IPCM__OP_VALUE_GET, value, ));
        char text[64];
        if (is != told && is != told + 1)
            test_fail("round %ld: told %" PRIu64 ", there are %" PRIu64, i,
                      told, is);
        stage->told = is;
        (void)snprintf(text, sizeof text, "%" PRIu64, is);
        says(a, IPC_OP_LIST_LENGTH, list, text);
        if (is > 0)
            says(a, IPC_OP_LIST_GET, list, text, ipc_i64(-1));
        (void)snprintf(text, sizeof text, "false %" PRIu64 " 0 0 0 %" PRIu64,
                       is, is * 2);
        says(a, INFO, queue, text);
        server_end();
    }
    test_report("kills", rounds);
    test_report("groups", (long long)stage->told);
}

static const struct test_case cases[] = {
    TEST_CASE(the_log_alone_gives_it_all),
    TEST_CASE(so_do_snapshots),
    TEST_CASE(and_some_of_both),
    TEST_CASE(a_snapshot_is_made_when_the_log_is_long),
    TEST_CASE_LIMIT(t71_a_killed_server_loses_nothing_that_it_answered, 60),
};
TEST_MAIN(cases)
