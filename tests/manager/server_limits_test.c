/* Limits of a server: what is too much is refused, and the error says which
 * limit it was.  And its options, and types of the program's own. */
#include "server_support.h"

#include <sys/stat.h>

struct room {
    struct desk desk;
    struct guest *guest;
};

static void enter(struct room *room, const ipc_manager_limits *limits)
{
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    options.limits = limits;
    desk_open(&room->desk, &options);
    room->guest = desk_guest(&room->desk);
}

static void leave(struct room *room)
{
    guest_end(room->guest);
    desk_close(&room->desk);
}

static void limits_of_values(void)
{
    ipc_manager_limits limits = IPC_MANAGER_LIMITS_INIT;
    struct room room;
    limits.key_bytes = 8;
    limits.value_bytes = 16;
    enter(&room, &limits);
    const uint64_t dict = guest_open(room.guest, "dict", NULL);
    must(0, room.guest, IPC_OP_DICT_SET, dict, ipc_str("12345678"),
         ipc_str("1234567890123456"));
    must(-EMSGSIZE, room.guest, IPC_OP_DICT_SET, dict, ipc_str("123456789"),
         ipc_i64(1));
    expect_detail(room.guest, "key_bytes is 8");
    must(-EMSGSIZE, room.guest, IPC_OP_DICT_UPDATE, dict, ipc_str("a"),
         ipc_i64(1), ipc_str("123456789"), ipc_i64(1));
    must(-EMSGSIZE, room.guest, IPC_OP_DICT_SET, dict, ipc_str("a"),
         ipc_bytes("12345678901234567", 17));
    expect_detail(room.guest, "value_bytes is 16");
    must(0, room.guest, IPC_OP_DICT_LENGTH, dict);
    expect_i64(room.guest, 0, 1);
    leave(&room);
}

static void limits_of_numbers(void)
{
    ipc_manager_limits limits = IPC_MANAGER_LIMITS_INIT;
    struct room room;
    limits.objects = 4;
    limits.session_objects = 3;
    limits.container_length = 3;
    enter(&room, &limits);
    const uint64_t list = guest_open(room.guest, "list", "a");
    must(0, room.guest, IPC_OP_LIST_EXTEND, list, ipc_i64(1), ipc_i64(2));
    must(-EDQUOT, room.guest, IPC_OP_LIST_EXTEND, list, ipc_i64(3), ipc_i64(4));
    expect_detail(room.guest, "container_length is 3");
    must(0, room.guest, IPC_OP_LIST_LENGTH, list);
    expect_i64(room.guest, 0, 2);
    must(0, room.guest, IPC_OP_LIST_APPEND, list, ipc_i64(3));
    must(-EDQUOT, room.guest, IPC_OP_LIST_APPEND_NEW, list, ipc_i64(7));
    (void)guest_open(room.guest, "dict", "b");
    (void)guest_open(room.guest, "set", "c");
    must(-EDQUOT, room.guest, IPCM__OP_OPEN, 0, ipc_str("set"), ipc_str("d"));
    expect_detail(room.guest, "session_objects is 3");
    assert_int_equal(guest_count_objects(room.guest), 3);
    struct guest *other = desk_guest(&room.desk);
    (void)guest_open(other, "set", "e");
    must(-EDQUOT, other, IPCM__OP_OPEN, 0, ipc_str("set"), ipc_nil());
    expect_detail(other, "objects is 4");
    guest_end(other);
    leave(&room);
}

static void limits_of_memory(void)
{
    ipc_manager_limits limits = IPC_MANAGER_LIMITS_INIT;
    struct room room;
    char text[8000];
    memset(text, 'x', sizeof text);
    limits.arena_bytes = 65536;
    limits.memory_bytes = 65536;
    enter(&room, &limits);
    for (int served = 0; served < 2; served++) {
        must(1, room.guest, IPCM__OP_OPEN, 0, ipc_str("list"), ipc_nil(),
             ipc_str("served"), ipc_bool(served == 1));
        const uint64_t list = guest_result(room.guest, 0)->u64;
        int64_t status = 0;
        int64_t done = -1;
        while (status == 0) {
            status = ask(room.guest, IPC_OP_LIST_APPEND, list,
                         ipc_strn(text, sizeof text));
            done++;
        }
        assert_int_equal(status, -ENOSPC);
        expect_detail(room.guest, served ? "memory_bytes is 65536"
                                         : "arena_bytes is 65536");
        must(0, room.guest, IPC_OP_LIST_LENGTH, list);
        expect_i64(room.guest, 0, done);
        must(0, room.guest, IPC_OP_LIST_CLEAR, list);
        must(0, room.guest, IPC_OP_LIST_APPEND, list,
             ipc_strn(text, sizeof text));
    }
    leave(&room);
}

/* Frames within their limits, but wrong inside: an error reply; others break
 * the connection. */
static void frames_that_are_wrong(void)
{
    static const uint8_t no_utf8[] = {0x94, 1, 1, 1, 0xa1, 0xff};
    static const uint8_t an_array[] = {0x94, 2, 1, 1, 0x90};
    static const uint8_t old_id[] = {0x93, 2, 0xcd, 1, 0, 0};
    static const uint8_t no_array[] = {0x01};
    static const uint8_t cut[] = {0x93, 3, 1};
    struct room room;
    enter(&room, NULL);
    struct ipcm__server *server = room.desk.server;
    struct ipcm__session *session = room.guest->session;
    assert_int_equal(ipcm__server_feed(server, session, no_utf8, 6), 0);
    assert_int_equal(guest_status(room.guest, 1), -EILSEQ);
    assert_int_equal(ipcm__server_feed(server, session, an_array, 5), 0);
    assert_int_equal(guest_status(room.guest, 2), -EINVAL);
    assert_int_equal(ipcm__server_feed(server, session, old_id, 6), -EPROTO);
    assert_int_equal(guest_status(room.guest, 0), -EPROTO);
    assert_int_equal(ipcm__server_feed(server, session, no_array, 1), -EPROTO);
    assert_int_equal(ipcm__server_feed(server, session, cut, 3), -EPROTO);
    leave(&room);
}

/* ---- options ---- */

static int read_options(const ipc_manager_options *options)
{
    struct ipcm__config config;
    const int rc = ipcm__config_read(options, false, &config);
    if (rc == 0)
        ipcm__config_free(&config);
    return rc;
}

static void options_that_make_no_sense(void)
{
    const char *const plain[] = {"tcp://127.0.0.1:1"};
    const char *const tls[] = {"tls://127.0.0.1:1"};
    const char *const junk[] = {"carrier pigeon"};
    ipc_manager_limits limits = IPC_MANAGER_LIMITS_INIT;
    ipc_manager_options good = IPC_MANAGER_OPTIONS_INIT;
    good.addresses = plain;
    good.address_count = 1;
    good.key = desk_key;
    good.key_bytes = sizeof desk_key;
    good.limits = &limits;
    assert_int_equal(read_options(&good), 0);
    ipc_manager_options bad = good;
    bad.key_bytes = 31;
    assert_int_equal(read_options(&bad), -EINVAL);
    bad = good;
    bad.key = NULL;
    assert_int_equal(read_options(&bad), -EINVAL);
    bad = good;
    bad.flags = 8;
    assert_int_equal(read_options(&bad), -EINVAL);
    bad = good;
    bad.durability = IPC_DURABLE_ALWAYS;
    assert_int_equal(read_options(&bad), -EINVAL);
    bad = good;
    bad.addresses = tls;
    assert_int_equal(read_options(&bad), -EINVAL);
    bad.addresses = junk;
    assert_int_equal(read_options(&bad), -EINVAL);
    bad = good;
    bad.address_count = 9;
    assert_int_equal(read_options(&bad), -EINVAL);
    bad = good;
    limits.frame_bytes = 100;
    assert_int_equal(read_options(&bad), -EINVAL);
    assert_non_null(strstr(ipc_error_detail(), "frame_bytes is 100"));
    limits.frame_bytes = 0;
    limits.depth = 65;
    assert_int_equal(read_options(&bad), -EINVAL);
}

static void defaults_are_filled_in(void)
{
    struct ipcm__config config;
    assert_int_equal(ipcm__config_read(NULL, true, &config), 0);
    assert_int_equal(config.key_bytes, 32);
    assert_int_equal(config.address_count, 1);
    assert_int_equal(config.limits.frame_bytes, 1 << 20);
    assert_int_equal(config.limits.in_flight, 256);
    assert_int_equal(config.limits.local_session_grace_ms, 0);
    assert_int_equal(config.limits.container_length, UINT32_MAX);
    assert_int_equal(config.wire.nodes, 65536);
    assert_int_equal(config.stop_fd, -1);
    ipcm__config_free(&config);
    assert_int_equal(config.key[0], 0);
}

static void check_changes_nothing(void)
{
    char path[160];
    char store[160];
    struct stat about;
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    (void)snprintf(path, sizeof path, "unix:%s/no/socket", test_tmpdir());
    (void)snprintf(store, sizeof store, "%s/store", test_tmpdir());
    const char *addresses[] = {path};
    options.addresses = addresses;
    options.address_count = 1;
    options.key = desk_key;
    options.key_bytes = sizeof desk_key;
    assert_int_equal(ipc_manager_check(&options), 0);
    path[strlen(path) - strlen("/socket")] = 0;
    assert_int_equal(stat(path + strlen("unix:"), &about), -1);
    /* test_tmpdir() itself may be entered by others. */
    (void)chmod(test_tmpdir(), 0755);
    assert_int_equal(ipc_manager_check(&options), -EACCES);
    addresses[0] = "tcp://127.0.0.1:0";
    assert_int_equal(ipc_manager_check(&options), 0);
    addresses[0] = "tcp://0.0.0.0:0";
    assert_int_equal(ipc_manager_check(&options), -EPERM);
    options.flags = IPC_MANAGER_PLAIN_TCP;
    assert_int_equal(ipc_manager_check(&options), 0);
    (void)chmod(test_tmpdir(), 0700);
}

/* ---- types of the program's own ---- */

struct counter {
    int64_t n;
};

static int counters;

static int counter_create(const ipc_any *args, size_t count, void **out)
{
    if (count == 1 && args[0].type != IPC_TYPE_I64)
        return -EINVAL;
    struct counter *counter = calloc(1, sizeof *counter);
    if (counter == NULL)
        return -ENOMEM;
    counter->n = count == 1 ? args[0].i64 : 0;
    counters++;
    *out = counter;
    return 0;
}

static int counter_call(void *self, const char *method, const ipc_any *args,
                        size_t count, ipc_manager_results *results)
{
    struct counter *counter = self;
    if (strcmp(method, "next") == 0)
        return ipc_manager_result(results, ipc_i64(++counter->n));
    if (strcmp(method, "length") == 0 && count == 1)
        return ipc_manager_result(results, ipc_u64(strlen(args[0].str)));
    return -EINVAL;
}

static void counter_destroy(void *self)
{
    counters--;
    free(self);
}

static void registered_types(void)
{
    static const ipc_manager_type_ops counter = {
        sizeof counter, 0, counter_create, counter_call, counter_destroy};
    ipc_manager_type_ops none = {sizeof none, 0, NULL, NULL, NULL};
    struct room room;
    assert_int_equal(ipc_manager_register("counter", &counter), 0);
    assert_int_equal(ipc_manager_register("counter", &counter), -EEXIST);
    assert_int_equal(ipc_manager_register("list", &counter), -EINVAL);
    assert_int_equal(ipc_manager_register("", &counter), -EINVAL);
    assert_int_equal(ipc_manager_register("none", &none), -EINVAL);
    enter(&room, NULL);
    must(1, room.guest, IPCM__OP_OPEN, 0, ipc_str("counter"), ipc_str("hits"),
         ipc_i64(41));
    const uint64_t id = guest_result(room.guest, 0)->u64;
    must(-EINVAL, room.guest, IPCM__OP_OPEN, 0, ipc_str("counter"), ipc_nil(),
         ipc_str("no number"));
    must(0, room.guest, IPCM__OP_CALL, id, ipc_str("next"));
    expect_i64(room.guest, 0, 42);
    must(0, room.guest, IPCM__OP_CALL, id, ipc_str("length"), ipc_str("four"));
    expect_i64(room.guest, 0, 4);
    must(-EINVAL, room.guest, IPCM__OP_CALL, id, ipc_str("jump"));
    must(-EINVAL, room.guest, IPCM__OP_CALL, id);
    must(-EINVAL, room.guest, IPC_OP_LIST_LENGTH, id);
    must(0, room.guest, IPCM__OP_NAMES, 0);
    expect_str(room.guest, 1, "counter");
    must(0, room.guest, IPCM__OP_REMOVE, 0, ipc_str("hits"));
    assert_int_equal(counters, 1);
    must(0, room.guest, IPCM__OP_DROP, 0, ipc_u64(id), ipc_i64(1));
    assert_int_equal(counters, 0);
    (void)guest_open(room.guest, "counter", "left");
    leave(&room);
    assert_int_equal(counters, 0);
}

static const struct test_case cases[] = {
    TEST_CASE(limits_of_values),           TEST_CASE(limits_of_numbers),
    TEST_CASE(limits_of_memory),           TEST_CASE(frames_that_are_wrong),
    TEST_CASE(options_that_make_no_sense), TEST_CASE(defaults_are_filled_in),
    TEST_CASE(check_changes_nothing),      TEST_CASE(registered_types),
};

TEST_MAIN(cases)
