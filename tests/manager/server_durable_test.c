/* Durable containers: whatever was done to them is there after a restart. */
#include "server_support.h"

#include <ipc/arena.h>

struct room {
    struct desk desk;
    struct guest *guest;
    char path[200];
};

static void open_again(struct room *room)
{
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    options.store = room->path;
    options.durability = IPC_DURABLE_INTERVAL;
    desk_open(&room->desk, &options);
    room->guest = desk_guest(&room->desk);
}

static void enter(struct room *room)
{
    memset(room, 0, sizeof *room);
    (void)snprintf(room->path, sizeof room->path, "%s/store", test_tmpdir());
    open_again(room);
}

static void leave(struct room *room)
{
    guest_end(room->guest);
    desk_close(&room->desk);
}

/* End of the turn: what was done is kept, and answered. */
static void turn(struct room *room)
{
    assert_int_equal(ipcm__server_turn(room->desk.server, ipc_now()), 0);
}

static void restart(struct room *room)
{
    turn(room);
    leave(room);
    open_again(room);
}

static int64_t do_it(struct room *room, uint32_t op, uint64_t object,
                     const ipc_any *args, size_t count)
{
    const uint64_t id = guest_post(room->guest, op, object, args, count);
    turn(room);
    return guest_status(room->guest, id);
}

#define DO(wanted, room, op, object, ...)                                      \
    guest_must((room)->guest, wanted, #op, __FILE__, __LINE__,                 \
               do_it(room, op, object, GUEST_ARGS(__VA_ARGS__),                \
                     GUEST_COUNT(__VA_ARGS__)))

static uint64_t open_it(struct room *room, const char *type, const char *name)
{
    const ipc_any args[] = {ipc_str(type), ipc_str(name)};
    const int64_t status = do_it(room, IPCM__OP_OPEN, 0, args, 2);
    if (status < 0)
        test_fail("OPEN %s: %s", name,
                  guest_reply(room->guest, room->guest->id)->detail);
    expect_i64(room->guest, 2, IPC_DURABLE_INTERVAL);
    return guest_result(room->guest, 0)->u64;
}

static void lists_come_back(void)
{
    struct room room;
    enter(&room);
    const uint64_t list = open_it(&room, "list", "data");
    DO(0, &room, IPC_OP_LIST_EXTEND, list, ipc_i64(5), ipc_i64(3), ipc_i64(4));
    DO(0, &room, IPC_OP_LIST_INSERT, list, ipc_i64(0), ipc_i64(9));
    DO(0, &room, IPC_OP_LIST_SORT, list, ipc_i64(0));
    DO(0, &room, IPC_OP_LIST_POP, list, ipc_i64(-1));
    DO(0, &room, IPC_OP_LIST_REMOVE, list, ipc_i64(4));
    DO(0, &room, IPC_OP_LIST_SET, list, ipc_i64(0), ipc_str("three"));
    DO(-ERANGE, &room, IPC_OP_LIST_SET, list, ipc_i64(7), ipc_i64(7));
    restart(&room);
    assert_int_equal(open_it(&room, "list", "data"), list);
    DO(0, &room, IPC_OP_LIST_SLICE, list, ipc_i64(0), ipc_i64(9), ipc_i64(1));
    assert_int_equal(guest_results(room.guest), 2);
    expect_str(room.guest, 0, "three");
    expect_i64(room.guest, 1, 5);
    leave(&room);
}

static void dicts_and_sets_come_back(void)
{
    struct room room;
    enter(&room);
    const uint64_t dict = open_it(&room, "dict", "d");
    const uint64_t other = open_it(&room, "dict", "e");
    const uint64_t names = open_it(&room, "namespace", "n");
    const uint64_t a = open_it(&room, "set", "a");
    const uint64_t b = open_it(&room, "set", "b");
    DO(0, &room, IPC_OP_DICT_INCR, dict, ipc_str("n"), ipc_i64(4));
    DO(0, &room, IPC_OP_DICT_INCR, dict, ipc_str("n"), ipc_i64(-1));
    DO(1 - 1, &room, IPC_OP_DICT_SETDEFAULT, dict, ipc_str("s"), ipc_i64(8));
    DO(0, &room, IPC_OP_DICT_SET, other, ipc_str("o"), ipc_f64(0.5));
    DO(0, &room, IPC_OP_DICT_MERGE, dict, by_number(IPC_TYPE_DICT, other));
    DO(0, &room, IPC_OP_DICT_CLEAR, other);
    DO(0, &room, IPC_OP_DICT_SET, names, ipc_str("x"), ipc_i64(1));
    DO(0, &room, IPC_OP_SET_UPDATE, a, ipc_i64(1), ipc_i64(2), ipc_i64(3));
    DO(0, &room, IPC_OP_SET_UPDATE, b, ipc_i64(2), ipc_i64(3), ipc_i64(4));
    DO(0, &room, IPC_OP_SET_INTERSECT, a, by_number(IPC_TYPE_SET, b));
    DO(0, &room, IPC_OP_SET_POP, b);
    restart(&room);
    DO(0, &room, IPC_OP_DICT_ITEMS, dict);
    assert_int_equal(guest_results(room.guest), 6);
    expect_i64(room.guest, 1, 3);
    expect_i64(room.guest, 3, 8);
    expect_str(room.guest, 4, "o");
    DO(0, &room, IPC_OP_DICT_LENGTH, other);
    expect_i64(room.guest, 0, 0);
    DO(0, &room, IPC_OP_DICT_GET, names, ipc_str("x"));
    expect_i64(room.guest, 0, 1);
    DO(0, &room, IPC_OP_SET_MEMBERS, a);
    assert_int_equal(guest_results(room.guest), 2);
    expect_i64(room.guest, 0, 2);
    DO(0, &room, IPC_OP_SET_LENGTH, b);
    expect_i64(room.guest, 0, 2);
    leave(&room);
}

static void nested_ones_come_back_with_their_numbers(void)
{
    struct room room;
    enter(&room);
    const uint64_t outer = open_it(&room, "list", "outer");
    DO(0, &room, IPC_OP_LIST_APPEND_NEW, outer, ipc_i64(IPC_TYPE_DICT));
    const uint64_t inner = guest_result(room.guest, 0)->u64;
    DO(0, &room, IPC_OP_DICT_GET_OR_NEW, inner, ipc_str("deep"),
       ipc_i64(IPC_TYPE_LIST));
    const uint64_t deep = guest_result(room.guest, 0)->u64;
    DO(0, &room, IPC_OP_LIST_APPEND, deep, ipc_i64(42));
    DO(0, &room, IPC_OP_LIST_COPY, deep);
    const uint64_t copy = guest_result(room.guest, 0)->u64;
    DO(0, &room, IPC_OP_LIST_APPEND, outer, by_number(IPC_TYPE_LIST, copy));
    DO(0, &room, IPC_OP_LIST_COPY, deep);
    const uint64_t lost = guest_result(room.guest, 0)->u64;
    DO(1, &room, IPCM__OP_OPEN, 0, ipc_str("list"), ipc_str("volatile"),
       ipc_str("durability"), ipc_i64(1));
    const uint64_t weak = guest_result(room.guest, 0)->u64;
    DO(-EXDEV, &room, IPC_OP_LIST_APPEND, outer,
       by_number(IPC_TYPE_LIST, weak));
    restart(&room);
    assert_int_equal(guest_count_objects(room.guest), 1);
    DO(0, &room, IPC_OP_LIST_GET, outer, ipc_i64(0));
    assert_int_equal(guest_result(room.guest, 0)->u64, inner);
    DO(0, &room, IPC_OP_DICT_GET, inner, ipc_str("deep"));
    assert_int_equal(guest_result(room.guest, 0)->u64, deep);
    DO(0, &room, IPC_OP_LIST_GET, deep, ipc_i64(0));
    expect_i64(room.guest, 0, 42);
    DO(0, &room, IPC_OP_LIST_GET, outer, ipc_i64(1));
    assert_int_equal(guest_result(room.guest, 0)->u64, copy);
    DO(0, &room, IPC_OP_LIST_LENGTH, copy);
    expect_i64(room.guest, 0, 1);
    DO(-ESTALE, &room, IPC_OP_LIST_LENGTH, lost);
    DO(-ESTALE, &room, IPC_OP_LIST_LENGTH, weak);
    /* Numbers are not used again. */
    DO(1, &room, IPCM__OP_OPEN, 0, ipc_str("list"), ipc_nil());
    assert_true(guest_result(room.guest, 0)->u64 > lost);
    leave(&room);
}

/* One that nobody holds any more is found by looking, and its rows go. */
static void what_nothing_holds_goes(void)
{
    struct room room;
    enter(&room);
    const uint64_t outer = open_it(&room, "list", "outer");
    DO(0, &room, IPC_OP_LIST_APPEND_NEW, outer, ipc_i64(IPC_TYPE_LIST));
    const uint64_t inner = guest_result(room.guest, 0)->u64;
    DO(0, &room, IPCM__OP_DROP, 0, ipc_u64(inner), ipc_i64(1));
    DO(0, &room, IPC_OP_LIST_LENGTH, inner);
    DO(0, &room, IPC_OP_LIST_CLEAR, outer);
    assert_int_equal(ipcm__server_turn(room.desk.server, ipc_after_s(5)), 0);
    DO(-ESTALE, &room, IPC_OP_LIST_LENGTH, inner);
    restart(&room);
    DO(-ESTALE, &room, IPC_OP_LIST_LENGTH, inner);
    DO(0, &room, IPC_OP_LIST_LENGTH, outer);
    expect_i64(room.guest, 0, 0);
    leave(&room);
}

static void batches_are_kept_whole(void)
{
    struct room room;
    enter(&room);
    const uint64_t a = open_it(&room, "list", "a");
    const uint64_t b = open_it(&room, "dict", "b");
    const ipc_any one = ipc_i64(1);
    const ipc_any pair[] = {ipc_str("k"), ipc_i64(2)};
    const ipc_any nine = ipc_i64(9);
    struct ipcm__request calls[] = {
        {.op = IPC_OP_LIST_APPEND, .object = a, .args = &one, .count = 1},
        {.op = IPC_OP_DICT_SET, .object = b, .args = pair, .count = 2},
        {.op = IPC_OP_LIST_GET, .object = a, .args = &nine, .count = 1}};
    struct ipcm__request request = {.id = ++room.guest->id,
                                    .op = IPCM__OP_BATCH,
                                    .calls = calls,
                                    .call_count = 2};
    assert_int_equal(guest_send(room.guest, &request), 0);
    request.id = ++room.guest->id;
    request.call_count = 3;
    assert_int_equal(guest_send(room.guest, &request), 0);
    turn(&room);
    assert_int_equal(guest_status(room.guest, request.id - 1), 0);
    assert_int_equal(guest_status(room.guest, request.id), -ERANGE);
    restart(&room);
    DO(0, &room, IPC_OP_LIST_LENGTH, a);
    expect_i64(room.guest, 0, 1);
    DO(0, &room, IPC_OP_DICT_GET, b, ipc_str("k"));
    expect_i64(room.guest, 0, 2);
    leave(&room);
}

static void names_and_contents_of_open_are_kept(void)
{
    struct room room;
    enter(&room);
    DO(1, &room, IPCM__OP_OPEN, 0, ipc_str("list"), ipc_str("a"),
       ipc_str("durability"), ipc_i64(3), ipc_str("items"), ipc_i64(1),
       ipc_i64(2));
    const uint64_t a = guest_result(room.guest, 0)->u64;
    DO(1, &room, IPCM__OP_OPEN, 0, ipc_str("list"), ipc_str("b"));
    const uint64_t b = guest_result(room.guest, 0)->u64;
    DO(0, &room, IPCM__OP_REMOVE, 0, ipc_str("b"));
    DO(-EEXIST, &room, IPCM__OP_OPEN, 0, ipc_str("list"), ipc_str("a"),
       ipc_str("durability"), ipc_i64(2));
    restart(&room);
    DO(0, &room, IPCM__OP_OPEN, 0, ipc_str("list"), ipc_str("a"));
    assert_int_equal(guest_result(room.guest, 0)->u64, a);
    expect_i64(room.guest, 2, IPC_DURABLE_ALWAYS);
    DO(0, &room, IPC_OP_LIST_LENGTH, a);
    expect_i64(room.guest, 0, 2);
    DO(-ESTALE, &room, IPC_OP_LIST_LENGTH, b);
    DO(1, &room, IPCM__OP_OPEN, 0, ipc_str("list"), ipc_str("b"));
    leave(&room);
}

static const struct test_case cases[] = {
    TEST_CASE(lists_come_back),
    TEST_CASE(dicts_and_sets_come_back),
    TEST_CASE(nested_ones_come_back_with_their_numbers),
    TEST_CASE(what_nothing_holds_goes),
    TEST_CASE(batches_are_kept_whole),
    TEST_CASE(names_and_contents_of_open_are_kept),
};

TEST_MAIN(cases)
