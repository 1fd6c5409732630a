/* T66: clients that say anything, in any order: requests that make sense, those
 * that do not, and frames with bytes changed.  The server stands it, and in the
 * end nothing of theirs is left. */
#include "server_support.h"

#include "harness/scale.h"

enum {
    GUESTS = 6,
    TYPES = 14,
    EACH = 3, /* objects of a type that a guest knows of */
    NAMES = 16,
    ARGS = 8,
    PLACES = 3 /* enum ipcm__place */
};

static struct test_random lot;
static struct desk desk;
static struct guest *guests[GUESTS];
static uint64_t known[GUESTS][TYPES][EACH];
static int speaker; /* the guest whose turn it is */
static long asked, done, broken;

static long roll(long low, long high)
{
    return test_random_between(&lot, low, high);
}

/* ---- words ---- */

/* What operations expect: v any value, k a key, i a small number, h a holder, w
 * how long to wait, c a container, t a token, o an object's number, b a truth,
 * s a name; * once more from there on. */
struct shape {
    uint32_t op;
    const char *args;
};

static const struct shape shapes[] = {
    {IPC_OP_LIST_APPEND, "v"},
    {IPC_OP_LIST_APPEND, "c"},
    {IPC_OP_LIST_INSERT, "iv"},
    {IPC_OP_LIST_GET, "i"},
    {IPC_OP_LIST_SET, "iv"},
    {IPC_OP_LIST_POP, "i"},
    {IPC_OP_LIST_REMOVE, "v"},
    {IPC_OP_LIST_INDEX, "vii"},
    {IPC_OP_LIST_COUNT, "v"},
    {IPC_OP_LIST_EXTEND, "vvvv"},
    {IPC_OP_LIST_SLICE, "iii"},
    {IPC_OP_LIST_REPLACE, "iivv"},
    {IPC_OP_LIST_SORT, "i"},
    {IPC_OP_LIST_REVERSE, ""},
    {IPC_OP_LIST_CLEAR, ""},
    {IPC_OP_LIST_COPY, ""},
    {IPC_OP_LIST_WATCH, "iw"},
    {IPC_OP_LIST_APPEND_NEW, "i"},
    {IPC_OP_DICT_SET, "kv"},
    {IPC_OP_DICT_SET, "kc"},
    {IPC_OP_DICT_GET, "k"},
    {IPC_OP_DICT_SETDEFAULT, "kv"},
    {IPC_OP_DICT_POP, "k"},
    {IPC_OP_DICT_POPITEM, ""},
    {IPC_OP_DICT_INCR, "ki"},
    {IPC_OP_DICT_CAS, "kbvbv"},
    {IPC_OP_DICT_WATCH, "kiw"},
    {IPC_OP_DICT_UPDATE, "kvkv"},
    {IPC_OP_DICT_MERGE, "c"},
    {IPC_OP_DICT_ITEMS, ""},
    {IPC_OP_DICT_CLEAR, ""},
    {IPC_OP_DICT_COPY, ""},
    {IPC_OP_DICT_NEXT, "v"},
    {IPC_OP_DICT_GET_OR_NEW, "ki"},
    {IPC_OP_SET_ADD, "k"},
    {IPC_OP_SET_REMOVE, "k"},
    {IPC_OP_SET_POP, ""},
    {IPC_OP_SET_UPDATE, "kkk"},
    {IPC_OP_SET_COPY, ""},
    {IPC_OP_SET_UNION, "c"},
    {IPC_OP_SET_INTERSECT, "c"},
    {IPC_OP_SET_SUBTRACT, "c"},
    {IPC_OP_SET_NEXT, "v"},
    {IPC_OP_SET_WATCH, "iw"},
    {IPCM__OP_PING, "vv"},
    {IPCM__OP_DROP, "oi"},
    {IPCM__OP_REMOVE, "s"},
    {IPCM__OP_NAMES, ""},
    {IPCM__OP_CANCEL, "o"},
    {IPCM__OP_DEBUG, ""},
    {IPCM__OP_STATS, ""},
    {IPCM__OP_VALUE_SET, "v"},
    {IPCM__OP_VALUE_INCR, "i"},
    {IPCM__OP_VALUE_CAS, "vv"},
    {IPCM__OP_ARRAY_GET, "i"},
    {IPCM__OP_ARRAY_SET, "ii"},
    {IPCM__OP_ARRAY_SLICE, "ii"},
    {IPCM__OP_ARRAY_PUT, "iii"},
    {IPCM__OP_QUEUE_PUT, "viw"},
    {IPCM__OP_QUEUE_GET, "w"},
    {IPCM__OP_QUEUE_TAKE, "w"},
    {IPCM__OP_QUEUE_TAKE_DEAD, ""},
    {IPCM__OP_QUEUE_ACK, "i"},
    {IPCM__OP_QUEUE_NACK, "i"},
    {IPCM__OP_QUEUE_EXTEND, "ii"},
    {IPCM__OP_QUEUE_TASK_DONE, ""},
    {IPCM__OP_QUEUE_JOIN, "w"},
    {IPCM__OP_LOCK_ACQUIRE, "hw"},
    {IPCM__OP_LOCK_RELEASE, "h"},
    {IPCM__OP_LOCK_CHECK, "i"},
    {IPCM__OP_LOCK_TOKEN, "h"},
    {IPCM__OP_SEMAPHORE_ACQUIRE, "w"},
    {IPCM__OP_SEMAPHORE_RELEASE, "i"},
    {IPCM__OP_CONDITION_WAIT, "hw"},
    {IPCM__OP_CONDITION_NOTIFY, "hi"},
    {IPCM__OP_EVENT_SET, ""},
    {IPCM__OP_EVENT_CLEAR, ""},
    {IPCM__OP_EVENT_WAIT, "w"},
    {IPCM__OP_BARRIER_WAIT, "w"},
    {IPCM__OP_BARRIER_ENROLL, ""},
    {IPCM__OP_BARRIER_LEAVE, ""},
    {IPCM__OP_BARRIER_RESET, ""},
    {IPCM__OP_BARRIER_INFO, ""},
};

static const char *const types[TYPES + 1] = {"list",
                                             "dict",
                                             "set",
                                             "namespace",
                                             "value",
                                             "array",
                                             "queue",
                                             "lock",
                                             "rlock",
                                             "semaphore",
                                             "bounded_semaphore",
                                             "condition",
                                             "event",
                                             "barrier",
                                             "no such type"};

/* The first of them are for one type each, mostly. */
static const char *const names[NAMES] = {"a", "b", "c",  "d", "e", "f",
                                         "g", "h", "i",  "j", "k", "l",
                                         "m", "n", "#x", ""};

/* Which types have an operation: from this one on, up to the next line's. */
static const struct {
    uint32_t first;
    int types[3];
} owners[] = {
    {IPC_OP_LIST_APPEND, {0, 0, 0}},
    {IPC_OP_DICT_SET, {1, 1, 3}},
    {IPC_OP_SET_ADD, {2, 2, 2}},
    {IPCM__OP_VALUE_GET, {4, 4, 4}},
    {IPCM__OP_ARRAY_GET, {5, 5, 5}},
    {IPCM__OP_QUEUE_PUT, {6, 6, 6}},
    {IPCM__OP_LOCK_ACQUIRE, {7, 8, 11}},
    {IPCM__OP_SEMAPHORE_ACQUIRE, {9, 10, 10}},
    {IPCM__OP_CONDITION_WAIT, {11, 11, 11}},
    {IPCM__OP_EVENT_SET, {12, 12, 12}},
    {IPCM__OP_BARRIER_WAIT, {13, 13, 13}},
};

static uint64_t object_of(int type)
{
    return known[speaker][type][roll(0, EACH - 1)];
}

static uint64_t some_object(void)
{
    return roll(0, 9) == 0 ? (uint64_t)roll(0, 300)
                           : object_of((int)roll(0, TYPES - 1));
}

/* One that has the operation, but for a tenth. */
static uint64_t object_for(uint32_t op)
{
    int type = 0;
    if (roll(0, 9) == 0)
        return some_object();
    for (size_t i = 0; i < sizeof owners / sizeof owners[0]; i++)
        if (op >= owners[i].first)
            type = owners[i].types[roll(0, 2)];
    return object_of(type);
}

static ipc_any container(void)
{
    static const int type_of[] = {0, 1, 2, 3}; /* as their types are */
    const long which = roll(0, 3);
    return by_number((uint32_t)(IPC_TYPE_LIST + which),
                     roll(0, 9) == 0 ? some_object()
                                     : object_of(type_of[which]));
}

static int64_t number(void)
{
    static const int64_t odd[] = {INT64_MIN, INT64_MAX, -1, 1 << 20};
    return roll(0, 19) == 0 ? odd[roll(0, 3)] : roll(-3, 9);
}

static ipc_any value(void)
{
    static char text[3000];
    if (text[0] == 0)
        memset(text, 'x', sizeof text);
    switch (roll(0, 7)) {
    case 0:
        return ipc_nil();
    case 1:
        return ipc_bool(roll(0, 1) == 0);
    case 2:
        return ipc_f64((double)roll(-2, 2) / 2);
    case 3:
        return ipc_strn(text, (size_t)roll(0, sizeof text));
    case 4:
        return ipc_bytes(text, (size_t)roll(0, 9));
    case 5:
        return ipc_u64(test_random_next(&lot));
    default:
        return ipc_i64(number());
    }
}

static ipc_any argument(char kind)
{
    static const int64_t times[] = {0, 0, IPC_MS(1), -1};
    switch (kind) {
    case 'i':
        return ipc_i64(number());
    case 'h':
        return ipc_i64(roll(1, 2));
    case 'w':
        return ipc_i64(times[roll(0, 3)]);
    case 'c':
        return container();
    case 'o':
        return ipc_u64(some_object());
    case 'b':
        return ipc_bool(roll(0, 1) == 0);
    case 's':
        return ipc_str(names[roll(0, NAMES - 1)]);
    case 'k':
        return roll(0, 3) != 0 ? ipc_str(names[roll(0, NAMES - 1)]) : value();
    default:
        return value();
    }
}

/* ---- requests ---- */

static size_t fill(const char *args, ipc_any *to)
{
    size_t count = 0;
    while (args[count] != 0) {
        to[count] = argument(args[count]);
        count++;
    }
    return count;
}

static size_t fill_open(ipc_any *to)
{
    static const char *const option_names[] = {
        "served",  "tracked",    "order",          "capacity", "lease_ns",
        "parties", "durability", "value",          "length",   "type",
        "lock",    "items",      "max_deliveries", "nonsense"};
    const long type = roll(0, TYPES);
    size_t count = 0;
    to[count++] = ipc_str(types[type]);
    to[count++] = roll(0, 1) == 0   ? ipc_nil()
                  : roll(0, 4) == 0 ? argument('s')
                                    : ipc_str(names[type]);
    if (roll(0, 1) == 0)
        return count;
    to[count++] = ipc_str(option_names[roll(0, 13)]);
    to[count++] = roll(0, 2) == 0   ? value()
                  : roll(0, 1) == 0 ? argument('o')
                                    : argument('b');
    return count;
}

/* One that makes sense, at least at first sight; or none. */
static struct ipcm__request request(ipc_any *args)
{
    struct ipcm__request made = {.args = args};
    if (roll(0, 9) == 0) {
        made.op = IPCM__OP_OPEN;
        made.object = 0;
        made.count = fill_open(args);
    } else if (roll(0, 9) == 0) {
        made.op = (uint32_t)roll(0, 500);
        made.object = object_for(made.op);
        made.count = (size_t)roll(0, ARGS);
        for (size_t i = 0; i < made.count; i++)
            args[i] = roll(0, 5) == 0 ? container() : value();
    } else {
        const struct shape *shape =
            &shapes[roll(0, (long)(sizeof shapes / sizeof shapes[0]) - 1)];
        made.op = shape->op;
        made.count = fill(shape->args, args);
        if (shape->op < IPCM__OP_PING || shape->op >= IPCM__OP_VALUE_GET)
            made.object = object_for(shape->op);
    }
    return made;
}

/* The number of what came, to be used. */
static void learn(const struct ipcm__request *request,
                  const struct desk_reply *reply)
{
    if (reply->status < 0 || reply->results.count == 0 ||
        request->op != IPCM__OP_OPEN)
        return;
    for (int type = 0; type < TYPES; type++)
        if (strcmp(types[type], request->args[0].str) == 0)
            known[speaker][type][roll(0, EACH - 1)] =
                reply->results.items[0].u64;
}

static void be_born(int i)
{
    if (guests[i] != NULL)
        guest_end(guests[i]);
    guests[i] = desk_guest(&desk);
    memset(known[i], 0, sizeof known[i]);
}

/* As a connection does it: an error is its end. */
static void say(int i)
{
    ipc_any batch[3][ARGS];
    ipc_any args[ARGS];
    struct ipcm__request calls[3];
    struct ipcm__buffer out = {NULL, 0, 0, 0};
    struct guest *guest = guests[i];
    speaker = i;
    struct ipcm__request one = request(args);
    if (roll(0, 19) == 0) {
        one = (struct ipcm__request){.op = IPCM__OP_BATCH,
                                     .calls = calls,
                                     .call_count = (size_t)roll(0, 3)};
        for (size_t k = 0; k < one.call_count; k++)
            calls[k] = request(batch[k]);
    }
    one.id = roll(0, 999) == 0 ? guest->id : ++guest->id;
    asked++;
    if (ipcm__encode_request(&out, &desk.config.wire, &one) == 0) {
        if (roll(0, 499) == 0)
            out.data[roll(IPCM__FRAME_HEAD, (long)out.end - 1)] =
                (uint8_t)roll(0, 255);
        const int rc = ipcm__server_feed(desk.server, guest->session,
                                         out.data + IPCM__FRAME_HEAD,
                                         out.end - IPCM__FRAME_HEAD);
        const struct desk_reply *reply = guest_reply(guest, one.id);
        done += reply != NULL && reply->status >= 0;
        if (reply != NULL)
            learn(&one, reply);
        guest_forget(guest);
        if (rc < 0) {
            broken++;
            be_born(i);
        }
    }
    ipcm__buffer_free(&out);
}

/* ---- the end ---- */

/* A figure of STATS. */
static int64_t figure(struct guest *guest, const char *name)
{
    must(0, guest, IPCM__OP_STATS, 0);
    const ipc_anys *all = &guest_reply(guest, guest->id)->results;
    for (size_t i = 0; i + 1 < all->count; i += 2)
        if (strcmp(all->items[i].str, name) == 0)
            return all->items[i + 1].i64;
    test_fail("no figure %s", name);
}

static void remove_names(struct guest *guest)
{
    must(0, guest, IPCM__OP_NAMES, 0);
    const ipc_anys *all = &guest_reply(guest, guest->id)->results;
    const size_t count = all->count;
    char there[64][16];
    assert_true(count / 2 <= 64);
    for (size_t i = 0; i < count; i += 2)
        (void)snprintf(there[i / 2], sizeof there[0], "%s", all->items[i].str);
    for (size_t i = 0; i < count / 2; i++)
        must(0, guest, IPCM__OP_REMOVE, 0, ipc_str(there[i]));
}

/* How many containers there are in an arena, which is whole. */
static int64_t containers_in(int place)
{
    ipc_arena_info info = IPC_ARENA_INFO_INIT;
    ipc_arena *arena = desk.server->sites[place].arena;
    if (arena == NULL)
        return 0;
    const int rc = ipc_arena_check(arena);
    if (rc != 0)
        test_fail("arena %d: %s", place, ipc_error_detail());
    assert_int_equal(ipc_arena_query(arena, &info), 0);
    return (int64_t)info.objects;
}

/* The arenas have their own, from the first name on. */
static void count_before(ipc_deadline now, int64_t *before)
{
    struct guest *guest = desk_guest(&desk);
    for (int served = 0; served < 2; served++) {
        must(1, guest, IPCM__OP_OPEN, 0, ipc_str("list"), ipc_str("first"),
             ipc_str("served"), ipc_bool(served == 1));
        must(0, guest, IPCM__OP_REMOVE, 0, ipc_str("first"));
    }
    guest_end(guest);
    assert_int_equal(ipcm__server_turn(desk.server, now), 0);
    for (int place = 0; place < PLACES; place++)
        before[place] = containers_in(place);
}

static void expect_nothing_left(const int64_t *before)
{
    struct guest *guest = desk_guest(&desk);
    remove_names(guest);
    assert_int_equal(figure(guest, "objects"), 0);
    assert_int_equal(figure(guest, "sessions"), 1);
    assert_int_equal(figure(guest, "waiting"), 0);
    assert_int_equal(figure(guest, "queue_bytes"), 0);
    for (int place = 0; place < PLACES; place++)
        assert_int_equal(containers_in(place), before[place]);
    guest_end(guest);
}

static void t66_whatever_they_say_it_goes_on(void)
{
    ipc_manager_limits limits = IPC_MANAGER_LIMITS_INIT;
    ipc_manager_options options = IPC_MANAGER_OPTIONS_INIT;
    int64_t before[PLACES];
    ipc_deadline now = ipc_after_ms(0);
    limits.objects = 200;
    limits.session_objects = 100;
    limits.container_length = 1000;
    limits.arena_bytes = 4u << 20;
    limits.memory_bytes = 4u << 20;
    limits.queue_bytes = 1u << 20;
    options.limits = &limits;
    lot.state = test_seed();
    desk_open(&desk, &options);
    count_before(now, before);
    for (int i = 0; i < GUESTS; i++)
        be_born(i);
    const long messages = 100000 * test_scale();
    for (long n = 0; n < messages; n++) {
        const int i = (int)roll(0, GUESTS - 1);
        say(i);
        if (roll(0, 1999) == 0)
            be_born(i);
        now += roll(0, 100000);
        if (roll(0, 9) == 0)
            assert_int_equal(ipcm__server_turn(desk.server, now), 0);
        for (int k = 0; k < GUESTS; k++)
            guest_forget(guests[k]);
    }
    for (int i = 0; i < GUESTS; i++)
        guest_end(guests[i]);
    assert_int_equal(ipcm__server_turn(desk.server, now), 0);
    expect_nothing_left(before);
    test_report("messages", asked);
    test_report("done", done);
    test_report("broken", broken);
    assert_true(done > messages / 10);
    desk_close(&desk);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t66_whatever_they_say_it_goes_on, 110),
};
TEST_MAIN(cases)
