/* Dicts, sets and namespaces by number: every operation. */
#include "server_support.h"

#define DICT(name) IPC_OP_DICT_##name
#define SET(name)  IPC_OP_SET_##name

struct room {
    struct desk desk;
    struct guest *guest;
};

static void enter(struct room *room)
{
    desk_open(&room->desk, NULL);
    room->guest = desk_guest(&room->desk);
}

static void leave(struct room *room)
{
    guest_end(room->guest);
    desk_close(&room->desk);
}

/* What dicts and namespaces have in common. */
static void use_items(struct guest *guest, uint64_t dict)
{
    const ipc_any apples = ipc_str("apples");
    const ipc_any pears = ipc_str("pears");
    must(0, guest, DICT(SET), dict, apples, ipc_i64(3));
    must(0, guest, DICT(GET), dict, apples);
    expect_i64(guest, 0, 3);
    must(-ENOENT, guest, DICT(GET), dict, pears);
    must(0, guest, DICT(CONTAINS), dict, apples);
    expect_i64(guest, 0, 1);
    must(0, guest, DICT(CONTAINS), dict, pears);
    expect_i64(guest, 0, 0);
    must(0, guest, DICT(INCR), dict, apples, ipc_i64(-1));
    expect_i64(guest, 0, 2);
    must(0, guest, DICT(INCR), dict, pears, ipc_i64(7));
    expect_i64(guest, 0, 7);
    must(0, guest, DICT(SET), dict, pears, ipc_i64(INT64_MAX));
    must(-EOVERFLOW, guest, DICT(INCR), dict, pears, ipc_i64(1));
    must(0, guest, DICT(LENGTH), dict);
    expect_i64(guest, 0, 2);
    must(0, guest, DICT(POP), dict, pears);
    expect_i64(guest, 0, INT64_MAX);
    must(-ENOENT, guest, DICT(POP), dict, pears);
    must(0, guest, DICT(SETDEFAULT), dict, pears, ipc_str("new"));
    expect_i64(guest, 0, 1);
    expect_str(guest, 1, "new");
    must(0, guest, DICT(SETDEFAULT), dict, pears, ipc_str("newer"));
    expect_i64(guest, 0, 0);
    expect_str(guest, 1, "new");
    must(-EINVAL, guest, DICT(INCR), dict, pears, ipc_i64(1));
}

static void use_cas(struct guest *guest, uint64_t dict)
{
    const ipc_any key = ipc_str("state");
    const ipc_any yes = ipc_bool(true);
    const ipc_any no = ipc_bool(false);
    must(0, guest, DICT(CAS), dict, key, no, ipc_nil(), yes, ipc_i64(1));
    expect_i64(guest, 0, 1);
    must(0, guest, DICT(CAS), dict, key, no, ipc_nil(), yes, ipc_i64(2));
    expect_i64(guest, 0, 0);
    must(0, guest, DICT(CAS), dict, key, yes, ipc_i64(1), yes, ipc_i64(2));
    expect_i64(guest, 0, 1);
    must(0, guest, DICT(CAS), dict, key, yes, ipc_i64(2), no, ipc_nil());
    expect_i64(guest, 0, 1);
    must(-ENOENT, guest, DICT(GET), dict, key);
    must(-EINVAL, guest, DICT(CAS), dict, key, ipc_i64(1), ipc_nil(), yes,
         ipc_i64(1));
}

static void use_many(struct guest *guest, const char *type, uint64_t dict)
{
    must(0, guest, DICT(CLEAR), dict);
    must(0, guest, DICT(UPDATE), dict, ipc_str("a"), ipc_i64(1), ipc_str("b"),
         ipc_i64(2));
    must(-EINVAL, guest, DICT(UPDATE), dict, ipc_str("a"));
    must(0, guest, DICT(KEYS), dict);
    expect_str(guest, 1, "b");
    must(0, guest, DICT(VALUES), dict);
    expect_i64(guest, 1, 2);
    must(0, guest, DICT(ITEMS), dict);
    assert_int_equal(guest_results(guest), 4);
    expect_str(guest, 2, "b");
    expect_i64(guest, 3, 2);

    const uint64_t other = guest_open(guest, type, NULL);
    const bool is_dict = strcmp(type, "dict") == 0;
    must(0, guest, DICT(SET), other, ipc_str("c"), ipc_i64(3));
    must(0, guest, DICT(MERGE), dict,
         by_number(is_dict ? IPC_TYPE_DICT : IPC_TYPE_NAMESPACE, other));
    must(0, guest, DICT(LENGTH), dict);
    expect_i64(guest, 0, 3);
    must(0, guest, DICT(COPY), dict);
    const uint64_t copy = guest_result(guest, 0)->u64;
    must(0, guest, DICT(GET), copy, ipc_str("c"));
    expect_i64(guest, 0, 3);
    must(0, guest, DICT(GET_OR_NEW), copy, ipc_str("list"),
         ipc_i64(IPC_TYPE_LIST));
    const uint64_t made = guest_result(guest, 0)->u64;
    must(0, guest, DICT(GET_OR_NEW), copy, ipc_str("list"),
         ipc_i64(IPC_TYPE_LIST));
    assert_int_equal(guest_result(guest, 0)->u64, made);
    must(-EINVAL, guest, DICT(GET_OR_NEW), copy, ipc_str("c"),
         ipc_i64(IPC_TYPE_LIST));
    must(0, guest, DICT(LENGTH), dict);
    expect_i64(guest, 0, 3);
}

static void dict_operations(void)
{
    struct room room;
    enter(&room);
    const uint64_t dict = guest_open(room.guest, "dict", "stock");
    use_items(room.guest, dict);
    use_cas(room.guest, dict);
    use_many(room.guest, "dict", dict);
    must(0, room.guest, DICT(POPITEM), dict);
    expect_str(room.guest, 0, "c");
    expect_i64(room.guest, 1, 3);
    must(0, room.guest, DICT(NEXT), dict, ipc_i64(0));
    expect_str(room.guest, 1, "a");
    const ipc_any after = *guest_result(room.guest, 0);
    must(0, room.guest, DICT(NEXT), dict, after);
    expect_str(room.guest, 1, "b");
    const ipc_any last = *guest_result(room.guest, 0);
    must(0, room.guest, DICT(NEXT), dict, last);
    assert_int_equal(guest_results(room.guest), 0);
    must(-EINVAL, room.guest, DICT(SET), dict, by_number(IPC_TYPE_DICT, dict),
         ipc_i64(1));
    must(0, room.guest, DICT(SET), dict, ipc_i64(1), ipc_i64(1));
    leave(&room);
}

static void namespace_operations(void)
{
    struct room room;
    enter(&room);
    const uint64_t names = guest_open(room.guest, "namespace", "settings");
    use_items(room.guest, names);
    use_cas(room.guest, names);
    use_many(room.guest, "namespace", names);
    must(-EINVAL, room.guest, DICT(SET), names, ipc_i64(1), ipc_i64(1));
    must(-EINVAL, room.guest, DICT(GET), names, ipc_strn("a\0b", 3));
    leave(&room);
}

static void dict_watch(void)
{
    struct room room;
    enter(&room);
    const ipc_any key = ipc_str("state");
    const uint64_t dict = guest_open(room.guest, "dict", NULL);
    must(0, room.guest, DICT(WATCH), dict, key, ipc_u64(UINT64_MAX),
         ipc_i64(0));
    expect_i64(room.guest, 0, 0);
    assert_int_equal(guest_result(room.guest, 1)->type, IPC_TYPE_NIL);
    const uint64_t id =
        post(room.guest, DICT(WATCH), dict, key, ipc_i64(0), ipc_i64(-1));
    must(0, room.guest, DICT(SET), dict, ipc_str("other"), ipc_i64(1));
    assert_int_equal(guest_status(room.guest, id), DESK_NONE);
    must(0, room.guest, DICT(SET), dict, key, ipc_i64(5));
    assert_int_equal(guest_status(room.guest, id), 0);
    assert_int_equal(guest_reply(room.guest, id)->results.items[1].i64, 5);
    leave(&room);
}

static void set_operations(void)
{
    struct room room;
    enter(&room);
    struct guest *guest = room.guest;
    const uint64_t a = guest_open(guest, "set", "a");
    const uint64_t b = guest_open(guest, "set", "b");
    must(0, guest, SET(ADD), a, ipc_i64(1));
    expect_i64(guest, 0, 1);
    must(0, guest, SET(ADD), a, ipc_i64(1));
    expect_i64(guest, 0, 0);
    must(0, guest, SET(UPDATE), a, ipc_i64(2), ipc_i64(3));
    must(0, guest, SET(UPDATE), b, ipc_i64(2), ipc_i64(3), ipc_i64(4));
    must(0, guest, SET(IS_SUBSET), a, by_number(IPC_TYPE_SET, b));
    expect_i64(guest, 0, 0);
    must(0, guest, SET(INTERSECT), a, by_number(IPC_TYPE_SET, b));
    must(0, guest, SET(MEMBERS), a);
    assert_int_equal(guest_results(guest), 2);
    must(0, guest, SET(IS_SUBSET), a, by_number(IPC_TYPE_SET, b));
    expect_i64(guest, 0, 1);
    must(0, guest, SET(UNION), a, by_number(IPC_TYPE_SET, b));
    must(0, guest, SET(LENGTH), a);
    expect_i64(guest, 0, 3);
    must(0, guest, SET(COPY), b);
    const uint64_t copy = guest_result(guest, 0)->u64;
    must(0, guest, SET(DISCARD), copy, ipc_i64(4));
    expect_i64(guest, 0, 1);
    must(0, guest, SET(DISCARD), copy, ipc_i64(4));
    expect_i64(guest, 0, 0);
    must(0, guest, SET(SUBTRACT), a, by_number(IPC_TYPE_SET, copy));
    must(0, guest, SET(CONTAINS), a, ipc_i64(4));
    expect_i64(guest, 0, 1);
    must(0, guest, SET(POP), a);
    expect_i64(guest, 0, 4);
    must(-ENOENT, guest, SET(POP), a);
    must(-ENOENT, guest, SET(REMOVE), a, ipc_i64(4));
    must(0, guest, SET(REMOVE), copy, ipc_i64(2));
    must(0, guest, SET(NEXT), copy, ipc_i64(0));
    expect_i64(guest, 1, 3);
    must(0, guest, SET(CLEAR), copy);
    must(0, guest, SET(WATCH), copy, ipc_i64(0), ipc_i64(0));
    must(-EINVAL, guest, SET(UNION), a, ipc_i64(7));
    leave(&room);
}

static const struct test_case cases[] = {
    TEST_CASE(dict_operations),
    TEST_CASE(namespace_operations),
    TEST_CASE(dict_watch),
    TEST_CASE(set_operations),
};

TEST_MAIN(cases)
