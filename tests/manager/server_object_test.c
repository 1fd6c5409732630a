/* Objects of a server: names, numbers, references, limits. */
#include "server_support.h"

#define ASK_OPEN(wanted, guest, ...)                                           \
    must(wanted, guest, IPCM__OP_OPEN, 0, __VA_ARGS__)

static void names_are_the_same_for_all(void)
{
    struct desk desk;
    desk_open(&desk, NULL);
    struct guest *one = desk_guest(&desk);
    struct guest *two = desk_guest(&desk);
    ASK_OPEN(1, one, ipc_str("list"), ipc_str("data"));
    const uint64_t id = guest_result(one, 0)->u64;
    expect_i64(one, 1, 1);
    expect_i64(one, 2, IPC_DURABLE_NONE);
    ASK_OPEN(0, two, ipc_str("list"), ipc_str("data"));
    assert_int_equal(guest_result(two, 0)->u64, id);
    ASK_OPEN(-EINVAL, two, ipc_str("dict"), ipc_str("data"));
    expect_detail(two, "is a list");
    ASK_OPEN(1, two, ipc_str("set"), ipc_str("other"));
    must(0, two, IPCM__OP_NAMES, 0);
    assert_int_equal(guest_results(two), 4);
    expect_str(two, 0, "data");
    expect_str(two, 1, "list");
    expect_str(two, 2, "other");
    assert_int_equal(guest_count_objects(one), 2);
    guest_end(one);
    guest_end(two);
    /* What has a name stays. */
    struct guest *three = desk_guest(&desk);
    assert_int_equal(guest_count_objects(three), 2);
    ASK_OPEN(0, three, ipc_str("list"), ipc_str("data"));
    assert_int_equal(guest_result(three, 0)->u64, id);
    guest_end(three);
    desk_close(&desk);
}

static void names_that_are_none(void)
{
    struct desk desk;
    char text[4097];
    memset(text, 'n', sizeof text);
    desk_open(&desk, NULL);
    struct guest *guest = desk_guest(&desk);
    const ipc_any list = ipc_str("list");
    ASK_OPEN(-EINVAL, guest, list, ipc_str(""));
    ASK_OPEN(-EINVAL, guest, list, ipc_str("#17"));
    ASK_OPEN(-EINVAL, guest, list, ipc_strn("a\0b", 3));
    ASK_OPEN(-EINVAL, guest, list, ipc_strn(text, 4097));
    expect_detail(guest, "key_bytes is 4096");
    ASK_OPEN(-EINVAL, guest, list, ipc_i64(5));
    ASK_OPEN(-ENOSYS, guest, ipc_str("tree"), ipc_nil());
    ASK_OPEN(-EINVAL, guest, list);
    /* Too long for the arena: it lies in the second one. */
    ASK_OPEN(1, guest, list, ipc_strn(text, 4096));
    expect_i64(guest, 1, 0);
    guest_end(guest);
    desk_close(&desk);
}

static void a_removed_name_leaves_the_object(void)
{
    for (int served = 0; served < 2; served++) {
        struct desk desk;
        desk_open(&desk, NULL);
        struct guest *guest = desk_guest(&desk);
        ASK_OPEN(1, guest, ipc_str("list"), ipc_str("data"), ipc_str("served"),
                 ipc_bool(served == 1));
        const uint64_t id = guest_result(guest, 0)->u64;
        expect_i64(guest, 1, served == 0);
        must(0, guest, IPC_OP_LIST_APPEND, id, ipc_i64(1));
        must(0, guest, IPCM__OP_REMOVE, 0, ipc_str("data"));
        must(-ENOENT, guest, IPCM__OP_REMOVE, 0, ipc_str("data"));
        must(0, guest, IPC_OP_LIST_LENGTH, id);
        expect_i64(guest, 0, 1);
        ASK_OPEN(1, guest, ipc_str("list"), ipc_str("data"));
        assert_int_not_equal(guest_result(guest, 0)->u64, id);
        must(0, guest, IPC_OP_LIST_LENGTH, guest_result(guest, 0)->u64);
        expect_i64(guest, 0, 0);
        must(0, guest, IPCM__OP_DROP, 0, ipc_u64(id), ipc_i64(1));
        must(-ESTALE, guest, IPC_OP_LIST_LENGTH, id);
        guest_end(guest);
        desk_close(&desk);
    }
}

static void references_keep_what_has_no_name(void)
{
    struct desk desk;
    desk_open(&desk, NULL);
    struct guest *one = desk_guest(&desk);
    struct guest *two = desk_guest(&desk);
    const uint64_t id = guest_open(one, "dict", NULL);
    must(-EINVAL, two, IPCM__OP_REFER, 0, ipc_u64(id), ipc_i64(IPC_TYPE_LIST));
    must(0, two, IPCM__OP_REFER, 0, ipc_u64(id), ipc_i64(IPC_TYPE_DICT));
    expect_i64(two, 0, 1);
    must(-ESTALE, two, IPCM__OP_REFER, 0, ipc_i64(77), ipc_i64(7));
    guest_end(one);
    must(0, two, IPC_OP_DICT_LENGTH, id);
    /* More than there are is all that there are. */
    must(0, two, IPCM__OP_DROP, 0, ipc_u64(id), ipc_i64(5), ipc_i64(99),
         ipc_i64(1));
    must(-ESTALE, two, IPC_OP_DICT_LENGTH, id);
    must(-EINVAL, two, IPCM__OP_DROP, 0, ipc_u64(id));
    assert_int_equal(guest_count_objects(two), 0);
    guest_end(two);
    desk_close(&desk);
}

static void what_a_container_holds_lives(void)
{
    struct desk desk;
    desk_open(&desk, NULL);
    struct guest *one = desk_guest(&desk);
    const uint64_t outer = guest_open(one, "list", "outer");
    const uint64_t inner = guest_open(one, "list", NULL);
    must(0, one, IPC_OP_LIST_APPEND, inner, ipc_i64(5));
    must(0, one, IPC_OP_LIST_APPEND, outer, by_number(IPC_TYPE_LIST, inner));
    guest_end(one);
    struct guest *two = desk_guest(&desk);
    assert_int_equal(guest_count_objects(two), 1);
    must(0, two, IPC_OP_LIST_GET, outer, ipc_i64(0));
    const uint64_t again = guest_result(two, 0)->u64;
    must(0, two, IPC_OP_LIST_GET, again, ipc_i64(0));
    expect_i64(two, 0, 5);
    /* One reference for each reply; the last one that is given back counts. */
    must(0, two, IPC_OP_LIST_GET, outer, ipc_i64(0));
    must(0, two, IPCM__OP_DROP, 0, ipc_u64(again), ipc_i64(1));
    must(0, two, IPC_OP_LIST_LENGTH, again);
    must(0, two, IPCM__OP_DROP, 0, ipc_u64(again), ipc_i64(1));
    must(-ESTALE, two, IPC_OP_LIST_LENGTH, again);
    guest_end(two);
    desk_close(&desk);
}

static void the_two_arenas_do_not_mix(void)
{
    struct desk desk;
    desk_open(&desk, NULL);
    struct guest *guest = desk_guest(&desk);
    const uint64_t given = guest_open(guest, "list", NULL);
    ASK_OPEN(1, guest, ipc_str("list"), ipc_nil(), ipc_str("served"),
             ipc_bool(true));
    const uint64_t served = guest_result(guest, 0)->u64;
    must(-EXDEV, guest, IPC_OP_LIST_APPEND, given,
         by_number(IPC_TYPE_LIST, served));
    must(-EXDEV, guest, IPC_OP_LIST_APPEND, served,
         by_number(IPC_TYPE_LIST, given));
    guest_end(guest);
    desk_close(&desk);
}

static void contents_come_with_open(void)
{
    struct desk desk;
    desk_open(&desk, NULL);
    struct guest *guest = desk_guest(&desk);
    ASK_OPEN(1, guest, ipc_str("list"), ipc_nil(), ipc_str("items"), ipc_i64(1),
             ipc_i64(2));
    must(0, guest, IPC_OP_LIST_LENGTH, guest_result(guest, 0)->u64);
    expect_i64(guest, 0, 2);
    ASK_OPEN(1, guest, ipc_str("dict"), ipc_nil(), ipc_str("served"),
             ipc_bool(true), ipc_str("items"), ipc_str("a"), ipc_i64(1));
    must(0, guest, IPC_OP_DICT_GET, guest_result(guest, 0)->u64, ipc_str("a"));
    expect_i64(guest, 0, 1);
    const int64_t count = guest_count_objects(guest);
    ASK_OPEN(-EINVAL, guest, ipc_str("dict"), ipc_str("x"), ipc_str("items"),
             ipc_str("a"));
    ASK_OPEN(-EINVAL, guest, ipc_str("list"), ipc_str("x"), ipc_str("lenght"),
             ipc_i64(1));
    ASK_OPEN(-EINVAL, guest, ipc_str("list"), ipc_str("x"), ipc_str("served"));
    ASK_OPEN(-ENOTSUP, guest, ipc_str("list"), ipc_str("x"),
             ipc_str("durability"), ipc_i64(2));
    ASK_OPEN(-EINVAL, guest, ipc_str("list"), ipc_str("x"),
             ipc_str("durability"), ipc_i64(4));
    assert_int_equal(guest_count_objects(guest), count);
    guest_end(guest);
    desk_close(&desk);
}

static void looking_at_it(void)
{
    struct desk desk;
    desk_open(&desk, NULL);
    struct guest *guest = desk_guest(&desk);
    (void)guest_open(guest, "list", "orders");
    must(0, guest, IPCM__OP_PING, 0, ipc_str("x"), ipc_i64(1));
    expect_str(guest, 0, "x");
    expect_i64(guest, 1, 1);
    must(0, guest, IPCM__OP_DEBUG, 0);
    assert_non_null(strstr(guest_result(guest, 0)->str, "list \"orders\""));
    assert_non_null(strstr(guest_result(guest, 0)->str, "session 1"));
    must(0, guest, IPCM__OP_STATS, 0);
    assert_int_equal(guest_results(guest), 42);
    expect_str(guest, 6, "objects");
    expect_i64(guest, 7, 1);
    must(-EPERM, guest, IPCM__OP_SHUTDOWN, 0);
    must(-EPERM, guest, IPCM__OP_ARENA, 0);
    must(-ESRCH, guest, IPCM__OP_CANCEL, 0, ipc_i64(1));
    guest_end(guest);
    desk_close(&desk);
}

static void a_waiting_request_is_cancelled(void)
{
    struct desk desk;
    desk_open(&desk, NULL);
    struct guest *guest = desk_guest(&desk);
    const uint64_t list = guest_open(guest, "list", NULL);
    must(0, guest, IPC_OP_LIST_WATCH, list, ipc_i64(0), ipc_i64(0));
    const ipc_any version = *guest_result(guest, 0);
    const uint64_t id =
        post(guest, IPC_OP_LIST_WATCH, list, version, ipc_i64(-1));
    must(0, guest, IPCM__OP_CANCEL, 0, ipc_u64(id));
    assert_int_equal(guest_status(guest, id), -ECANCELED);
    /* And -ESTALE when its object goes. */
    const uint64_t other =
        post(guest, IPC_OP_LIST_WATCH, list, version, ipc_i64(-1));
    must(0, guest, IPCM__OP_DROP, 0, ipc_u64(list), ipc_i64(1));
    assert_int_equal(guest_status(guest, other), -ESTALE);
    guest_end(guest);
    desk_close(&desk);
}

static const struct test_case cases[] = {
    TEST_CASE(names_are_the_same_for_all),
    TEST_CASE(names_that_are_none),
    TEST_CASE(a_removed_name_leaves_the_object),
    TEST_CASE(references_keep_what_has_no_name),
    TEST_CASE(what_a_container_holds_lives),
    TEST_CASE(the_two_arenas_do_not_mix),
    TEST_CASE(contents_come_with_open),
    TEST_CASE(looking_at_it),
    TEST_CASE(a_waiting_request_is_cancelled),
};

TEST_MAIN(cases)
