/* BATCH: all of it, or nothing. */
#include "server_support.h"

#define APPEND(list, value)                                                    \
    {                                                                          \
        .op = IPC_OP_LIST_APPEND, .object = (list), .args = (value),           \
        .count = 1                                                             \
    }

static int64_t batch(struct guest *guest, const struct ipcm__request *calls,
                     size_t count)
{
    const struct ipcm__request request = {.id = ++guest->id,
                                          .op = IPCM__OP_BATCH,
                                          .calls = calls,
                                          .call_count = count};
    assert_int_equal(guest_send(guest, &request), 0);
    return guest_status(guest, request.id);
}

static int64_t length(struct guest *guest, uint64_t list)
{
    must(0, guest, IPC_OP_LIST_LENGTH, list);
    return guest_result(guest, 0)->i64;
}

static uint64_t open_served(struct guest *guest, const char *type)
{
    must(1, guest, IPCM__OP_OPEN, 0, ipc_str(type), ipc_nil(),
         ipc_str("served"), ipc_bool(true));
    return guest_result(guest, 0)->u64;
}

static void all_of_it_or_nothing(void)
{
    struct desk desk;
    desk_open(&desk, NULL);
    struct guest *guest = desk_guest(&desk);
    for (int served = 0; served < 2; served++) {
        const uint64_t a = served ? open_served(guest, "list")
                                  : guest_open(guest, "list", NULL);
        const uint64_t b = served ? open_served(guest, "list")
                                  : guest_open(guest, "list", NULL);
        const ipc_any one = ipc_i64(1);
        const ipc_any nine = ipc_i64(9);
        const struct ipcm__request good[] = {
            APPEND(a, &one),
            APPEND(b, &one),
            {.op = IPC_OP_LIST_LENGTH, .object = a},
        };
        assert_int_equal(batch(guest, good, 3), 0);
        const struct desk_reply *reply = guest_reply(guest, guest->id);
        assert_int_equal(reply->calls, 3);
        assert_int_equal(reply->call_first[2], 1);
        assert_int_equal(length(guest, b), 1);

        const struct ipcm__request bad[] = {
            APPEND(a, &one),
            APPEND(b, &one),
            {.op = IPC_OP_LIST_GET, .object = a, .args = &nine, .count = 1},
        };
        assert_int_equal(batch(guest, bad, 3), -ERANGE);
        expect_detail(guest, "call 2: ");
        assert_int_equal(length(guest, a), 1);
        assert_int_equal(length(guest, b), 1);
    }
    assert_int_equal(batch(guest, NULL, 0), 0);
    guest_end(guest);
    desk_close(&desk);
}

static void what_was_made_in_it_is_unmade(void)
{
    struct desk desk;
    desk_open(&desk, NULL);
    struct guest *guest = desk_guest(&desk);
    const ipc_any type = ipc_i64(IPC_TYPE_LIST);
    const ipc_any nine = ipc_i64(9);
    for (int served = 0; served < 2; served++) {
        const uint64_t list = served ? open_served(guest, "list")
                                     : guest_open(guest, "list", NULL);
        const int64_t objects = guest_count_objects(guest);
        const struct ipcm__request calls[] = {
            {.op = IPC_OP_LIST_APPEND_NEW,
             .object = list,
             .args = &type,
             .count = 1},
            {.op = IPC_OP_LIST_COPY, .object = list},
            {.op = IPC_OP_LIST_GET, .object = list, .args = &nine, .count = 1},
        };
        assert_int_equal(batch(guest, calls, 3), -ERANGE);
        assert_int_equal(guest_count_objects(guest), objects);
        assert_int_equal(length(guest, list), 0);
        assert_int_equal(batch(guest, calls, 2), 0);
        assert_int_equal(guest_count_objects(guest), objects + 2);
        assert_int_equal(length(guest, list), 1);
    }
    guest_end(guest);
    desk_close(&desk);
}

static void what_is_not_for_a_batch(void)
{
    struct desk desk;
    desk_open(&desk, NULL);
    struct guest *guest = desk_guest(&desk);
    const uint64_t given = guest_open(guest, "list", NULL);
    const uint64_t served = open_served(guest, "list");
    const ipc_any one = ipc_i64(1);
    const ipc_any watch[] = {ipc_i64(0), ipc_i64(0)};
    const struct ipcm__request mixed[] = {APPEND(given, &one),
                                          APPEND(served, &one)};
    const struct ipcm__request waits[] = {
        APPEND(given, &one),
        {.op = IPC_OP_LIST_WATCH, .object = given, .args = watch, .count = 2}};
    const struct ipcm__request gone[] = {APPEND(given, &one),
                                         APPEND(4711, &one)};
    assert_int_equal(batch(guest, mixed, 2), -EXDEV);
    assert_int_equal(batch(guest, waits, 2), -EINVAL);
    expect_detail(guest, "LIST_WATCH is not for a BATCH");
    assert_int_equal(batch(guest, gone, 2), -ESTALE);
    assert_int_equal(length(guest, given), 0);
    guest_end(guest);
    desk_close(&desk);
}

/* A reply that is too long undoes what it is for. */
static void too_long_a_reply_undoes_it(void)
{
    ipc_manager_limits limits = IPC_MANAGER_LIMITS_INIT;
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    struct desk desk;
    char text[3000];
    memset(text, 'x', sizeof text);
    limits.frame_bytes = 4096;
    options.limits = &limits;
    desk_open(&desk, &options);
    struct guest *guest = desk_guest(&desk);
    const uint64_t list = guest_open(guest, "list", NULL);
    const ipc_any first = ipc_i64(0);
    must(0, guest, IPC_OP_LIST_APPEND, list, ipc_strn(text, sizeof text));
    must(0, guest, IPC_OP_LIST_APPEND, list, ipc_strn(text, sizeof text));
    const struct ipcm__request pop = {
        .op = IPC_OP_LIST_POP, .object = list, .args = &first, .count = 1};
    const struct ipcm__request calls[] = {pop, pop};
    assert_int_equal(batch(guest, calls, 2), -EMSGSIZE);
    assert_int_equal(length(guest, list), 2);
    assert_int_equal(batch(guest, calls, 1), 0);
    assert_int_equal(length(guest, list), 1);
    guest_end(guest);
    desk_close(&desk);
}

static const struct test_case cases[] = {
    TEST_CASE(all_of_it_or_nothing),
    TEST_CASE(what_was_made_in_it_is_unmade),
    TEST_CASE(what_is_not_for_a_batch),
    TEST_CASE(too_long_a_reply_undoes_it),
};

TEST_MAIN(cases)
