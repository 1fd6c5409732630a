/* Lists by number: every operation. */
#include "server_support.h"

#define LIST(name) IPC_OP_LIST_##name

struct room {
    struct desk desk;
    struct guest *guest;
    uint64_t list;
};

static void enter(struct room *room)
{
    desk_open(&room->desk, NULL);
    room->guest = desk_guest(&room->desk);
    room->list = guest_open(room->guest, "list", "data");
}

static void leave(struct room *room)
{
    guest_end(room->guest);
    desk_close(&room->desk);
}

/* The list is these numbers. */
static void expect_list(struct room *room, size_t count, const int64_t *wanted)
{
    must(0, room->guest, LIST(SLICE), room->list, ipc_i64(0),
         ipc_i64(INT64_MAX), ipc_i64(1));
    assert_int_equal(guest_results(room->guest), count);
    for (size_t i = 0; i < count; i++)
        expect_i64(room->guest, i, wanted[i]);
}
#define EXPECT_LIST(room, ...)                                                 \
    expect_list(room, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t),      \
                (const int64_t[]){__VA_ARGS__})

static void append_and_get(void)
{
    struct room room;
    enter(&room);
    must(0, room.guest, LIST(APPEND), room.list, ipc_i64(111));
    must(0, room.guest, LIST(APPEND), room.list, ipc_i64(333));
    must(0, room.guest, LIST(GET), room.list, ipc_i64(-1));
    expect_i64(room.guest, 0, 333);
    must(-ERANGE, room.guest, LIST(GET), room.list, ipc_i64(2));
    must(0, room.guest, LIST(LENGTH), room.list);
    expect_i64(room.guest, 0, 2);
    leave(&room);
}

static void change_items(void)
{
    struct room room;
    enter(&room);
    must(0, room.guest, LIST(EXTEND), room.list, ipc_i64(3), ipc_i64(1),
         ipc_i64(2), ipc_i64(1));
    must(0, room.guest, LIST(INSERT), room.list, ipc_i64(0), ipc_i64(9));
    EXPECT_LIST(&room, 9, 3, 1, 2, 1);
    must(0, room.guest, LIST(SET), room.list, ipc_i64(0), ipc_i64(8));
    must(-EINVAL, room.guest, LIST(POP), room.list, ipc_i64(0),
         ipc_i64(IPC_TYPE_STR));
    must(-ERANGE, room.guest, LIST(POP), room.list, ipc_i64(9),
         ipc_i64(IPC_TYPE_I64));
    must(-EINVAL, room.guest, LIST(POP), room.list, ipc_i64(0), ipc_str("int"));
    EXPECT_LIST(&room, 8, 3, 1, 2, 1);
    must(0, room.guest, LIST(POP), room.list, ipc_i64(0),
         ipc_i64(IPC_TYPE_I64));
    expect_i64(room.guest, 0, 8);
    must(0, room.guest, LIST(COUNT), room.list, ipc_i64(1));
    expect_i64(room.guest, 0, 2);
    must(0, room.guest, LIST(INDEX), room.list, ipc_i64(2), ipc_i64(0),
         ipc_i64(INT64_MAX));
    expect_i64(room.guest, 0, 2);
    must(-ENOENT, room.guest, LIST(INDEX), room.list, ipc_i64(7), ipc_i64(0),
         ipc_i64(9));
    must(0, room.guest, LIST(REMOVE), room.list, ipc_i64(1));
    EXPECT_LIST(&room, 3, 2, 1);
    must(-ENOENT, room.guest, LIST(REMOVE), room.list, ipc_i64(7));
    must(0, room.guest, LIST(CONTAINS), room.list, ipc_i64(2));
    expect_i64(room.guest, 0, 1);
    must(0, room.guest, LIST(CONTAINS), room.list, ipc_i64(7));
    expect_i64(room.guest, 0, 0);
    leave(&room);
}

static void change_order(void)
{
    struct room room;
    enter(&room);
    must(0, room.guest, LIST(EXTEND), room.list, ipc_i64(3), ipc_i64(1),
         ipc_i64(2));
    must(0, room.guest, LIST(SORT), room.list, ipc_i64(0));
    EXPECT_LIST(&room, 1, 2, 3);
    must(0, room.guest, LIST(SORT), room.list, ipc_i64(1));
    EXPECT_LIST(&room, 3, 2, 1);
    must(-EINVAL, room.guest, LIST(SORT), room.list, ipc_i64(2));
    must(0, room.guest, LIST(REVERSE), room.list);
    EXPECT_LIST(&room, 1, 2, 3);
    must(0, room.guest, LIST(REPLACE), room.list, ipc_i64(1), ipc_i64(2),
         ipc_i64(7), ipc_i64(8));
    EXPECT_LIST(&room, 1, 7, 8, 3);
    must(0, room.guest, LIST(SLICE), room.list, ipc_i64(-1), ipc_i64(-5),
         ipc_i64(-2));
    assert_int_equal(guest_results(room.guest), 2);
    expect_i64(room.guest, 1, 7);
    must(0, room.guest, LIST(CLEAR), room.list);
    must(0, room.guest, LIST(LENGTH), room.list);
    expect_i64(room.guest, 0, 0);
    leave(&room);
}

static void values_of_all_types(void)
{
    const ipc_any values[] = {ipc_nil(),
                              ipc_bool(true),
                              ipc_i64(INT64_MIN),
                              ipc_u64(UINT64_MAX),
                              ipc_f64(0.5),
                              ipc_str("a text that is long enough for a block"),
                              ipc_bytes("\0\xff", 2)};
    struct room room;
    enter(&room);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        must(0, room.guest, LIST(APPEND), room.list, values[i]);
        must(0, room.guest, LIST(GET), room.list, ipc_i64(-1));
        assert_true(ipc_any_equal(guest_result(room.guest, 0), &values[i]));
    }
    leave(&room);
}

static void nested_ones_are_references(void)
{
    struct room room;
    enter(&room);
    for (uint32_t type = IPC_TYPE_LIST; type <= IPC_TYPE_NAMESPACE; type++) {
        must(0, room.guest, LIST(APPEND_NEW), room.list, ipc_i64(type));
        const ipc_any made = *guest_result(room.guest, 0);
        assert_int_equal(made.type, type);
        must(0, room.guest, LIST(GET), room.list, ipc_i64(-1));
        assert_int_equal(guest_result(room.guest, 0)->u64, made.u64);
    }
    must(-EINVAL, room.guest, LIST(APPEND_NEW), room.list, ipc_i64(5));
    must(0, room.guest, LIST(GET), room.list, ipc_i64(0));
    const uint64_t inner = guest_result(room.guest, 0)->u64;
    must(0, room.guest, LIST(APPEND), inner, ipc_str("seen by all"));
    must(-ELOOP, room.guest, LIST(APPEND), inner,
         by_number(IPC_TYPE_LIST, room.list));
    must(-EINVAL, room.guest, LIST(APPEND), inner,
         by_number(IPC_TYPE_DICT, room.list));
    must(-ESTALE, room.guest, LIST(APPEND), inner,
         by_number(IPC_TYPE_LIST, 999));
    /* Taken out it lives on as long as somebody has it. */
    must(0, room.guest, LIST(CLEAR), room.list);
    must(0, room.guest, LIST(GET), inner, ipc_i64(0));
    expect_str(room.guest, 0, "seen by all");
    must(0, room.guest, IPCM__OP_DROP, 0, ipc_u64(inner), ipc_i64(99));
    must(-ESTALE, room.guest, LIST(LENGTH), inner);
    leave(&room);
}

static void copies_are_their_own(void)
{
    struct room room;
    enter(&room);
    must(0, room.guest, LIST(EXTEND), room.list, ipc_i64(1), ipc_i64(2));
    must(0, room.guest, LIST(COPY), room.list);
    const uint64_t copy = guest_result(room.guest, 0)->u64;
    assert_int_not_equal(copy, room.list);
    must(0, room.guest, LIST(APPEND), copy, ipc_i64(3));
    EXPECT_LIST(&room, 1, 2);
    must(0, room.guest, LIST(LENGTH), copy);
    expect_i64(room.guest, 0, 3);
    must(0, room.guest, IPCM__OP_DROP, 0, ipc_u64(copy), ipc_i64(1));
    must(-ESTALE, room.guest, LIST(LENGTH), copy);
    leave(&room);
}

static void watch_waits_for_a_change(void)
{
    struct room room;
    enter(&room);
    must(0, room.guest, LIST(WATCH), room.list, ipc_i64(0), ipc_i64(-1));
    const ipc_any version = *guest_result(room.guest, 0);
    must(-EAGAIN, room.guest, LIST(WATCH), room.list, version, ipc_i64(0));
    const uint64_t id =
        post(room.guest, LIST(WATCH), room.list, version, ipc_i64(1000000));
    assert_int_equal(guest_status(room.guest, id), DESK_NONE);
    assert_int_equal(ipcm__server_turn(room.desk.server, ipc_now() + 2000000),
                     0);
    assert_int_equal(guest_status(room.guest, id), -ETIMEDOUT);
    const uint64_t again =
        post(room.guest, LIST(WATCH), room.list, version, ipc_i64(-1));
    struct guest *other = desk_guest(&room.desk);
    must(0, other, LIST(APPEND), room.list, ipc_i64(1));
    assert_int_equal(ipcm__server_turn(room.desk.server, ipc_now() + 20000000),
                     0);
    assert_int_equal(ipcm__server_turn(room.desk.server, ipc_now() + 40000000),
                     0);
    assert_int_equal(guest_status(room.guest, again), 0);
    guest_end(other);
    leave(&room);
}

static void wrong_arguments_are_errors(void)
{
    struct room room;
    enter(&room);
    must(-EINVAL, room.guest, LIST(APPEND), room.list);
    must(-EINVAL, room.guest, LIST(APPEND), room.list, ipc_i64(1), ipc_i64(2));
    must(-EINVAL, room.guest, LIST(GET), room.list, ipc_str("one"));
    must(-EINVAL, room.guest, LIST(SLICE), room.list, ipc_i64(0), ipc_i64(1),
         ipc_i64(0));
    must(-EINVAL, room.guest, IPC_OP_DICT_GET, room.list, ipc_str("key"));
    must(-EINVAL, room.guest, IPCM__OP_QUEUE_INFO, room.list);
    must(-ENOSYS, room.guest, 77777, room.list);
    must(-EINVAL, room.guest, LIST(WATCH), room.list, ipc_i64(0), ipc_i64(-2));
    must(-ESTALE, room.guest, LIST(LENGTH), 12345);
    must(-EINVAL, room.guest, LIST(LENGTH), 0);
    leave(&room);
}

static const struct test_case cases[] = {
    TEST_CASE(append_and_get),
    TEST_CASE(change_items),
    TEST_CASE(change_order),
    TEST_CASE(values_of_all_types),
    TEST_CASE(nested_ones_are_references),
    TEST_CASE(copies_are_their_own),
    TEST_CASE(watch_waits_for_a_change),
    TEST_CASE(wrong_arguments_are_errors),
};

TEST_MAIN(cases)
