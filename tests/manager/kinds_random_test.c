/* All kinds at once: clients that ask for anything, come, go, wait, are
 * cancelled and die, in random order.  In the end nothing is held, nobody
 * waits, and everything has been given back. */
#include "manager/queue_support.h"

#include "harness/scale.h"

enum {
    CLIENTS = 8,
    OBJECTS = 10
};

static struct test_random dice;
static struct client *crowd[CLIENTS];
static uint64_t objects[OBJECTS];
static long asked, died;

static long roll(long low, long high)
{
    return test_random_between(&dice, low, high);
}

static ipc_any holder(void)
{
    return ipc_i64(roll(1, 2));
}

static ipc_any some_time(void)
{
    static const int64_t times[] = {-1, 0, IPC_MS(1), IPC_MS(20), -1};
    return ipc_i64(times[roll(0, 4)]);
}

/* Owned by a client that stays. */
static void make_objects(struct client *owner)
{
    const uint64_t lock = make(owner, "lock", "lock");
    const uint64_t made[OBJECTS] = {
        lock,
        make(owner, "rlock", "rlock"),
        make(owner, "condition", "own"),
        make(owner, "condition", "other", ipc_str("lock"), ipc_u64(lock)),
        make(owner, "semaphore", "plain", ipc_str("value"), ipc_i64(1)),
        make(owner, "bounded_semaphore", "bounded", ipc_str("value"),
             ipc_i64(2)),
        make(owner, "event", "event"),
        make(owner, "barrier", "barrier", ipc_str("parties"), ipc_i64(3)),
        make(owner, "queue", "queue", ipc_str("capacity"), ipc_i64(4),
             ipc_str("lease_ns"), ipc_i64(IPC_MS(15)),
             ipc_str("max_deliveries"), ipc_i64(3)),
        make(owner, "queue", "stack", ipc_str("order"), ipc_str("lifo"))};
    memcpy(objects, made, sizeof made);
}

/* ---- what may be asked ---- */

static void ask_lock(struct client *client, uint64_t lock)
{
    if (roll(0, 2) == 0)
        (void)ask_now(client, IPCM__OP_LOCK_ACQUIRE, lock, holder(),
                      some_time());
    else
        (void)ask_now(client, IPCM__OP_LOCK_RELEASE, lock, holder());
}

static void ask_condition(struct client *client, uint64_t condition)
{
    const long what = roll(0, 3);
    if (what == 0)
        (void)ask_now(client, IPCM__OP_CONDITION_WAIT, condition, holder(),
                      some_time());
    else if (what == 1)
        (void)ask_now(client, IPCM__OP_CONDITION_NOTIFY, condition, holder(),
                      ipc_i64(roll(-1, 2)));
    else
        ask_lock(client, condition);
}

static void ask_semaphore(struct client *client, uint64_t semaphore)
{
    if (roll(0, 1) == 0)
        (void)ask_now(client, IPCM__OP_SEMAPHORE_ACQUIRE, semaphore,
                      some_time());
    else
        (void)ask_now(client, IPCM__OP_SEMAPHORE_RELEASE, semaphore,
                      ipc_i64(roll(1, 2)));
}

static void ask_event_or_barrier(struct client *client, uint64_t event,
                                 uint64_t barrier)
{
    static const uint32_t of_event[] = {IPCM__OP_EVENT_SET,
                                        IPCM__OP_EVENT_CLEAR};
    static const uint32_t of_barrier[] = {
        IPCM__OP_BARRIER_ENROLL, IPCM__OP_BARRIER_LEAVE, IPCM__OP_BARRIER_ABORT,
        IPCM__OP_BARRIER_RESET, IPCM__OP_BARRIER_RESET};
    switch (roll(0, 4)) {
    case 0:
        (void)ask_now(client, of_event[roll(0, 1)], event, );
        break;
    case 1:
        (void)ask_now(client, IPCM__OP_EVENT_WAIT, event, some_time());
        break;
    case 2:
        (void)ask_now(client, of_barrier[roll(0, 4)], barrier, );
        break;
    default:
        (void)ask_now(client, IPCM__OP_BARRIER_WAIT, barrier, some_time());
        break;
    }
}

static void ask_queue(struct client *client, uint64_t queue)
{
    static uint64_t token; /* the last one that was seen */
    uint64_t id;
    switch (roll(0, 7)) {
    case 0:
    case 1:
        (void)ask_now(client, PUT, queue, ipc_str("message"), NONE,
                      some_time());
        break;
    case 2:
        (void)ask_now(client, GET, queue, some_time());
        break;
    case 3:
        id = ask_now(client, roll(0, 3) == 0 ? TAKE_DEAD : TAKE, queue, );
        id = ask_now(client, TAKE, queue, some_time());
        if (status_of(client, id) == 0)
            token = token_of(client, id);
        break;
    case 4:
        (void)ask_now(client, roll(0, 1) == 0 ? ACK : NACK, queue,
                      ipc_u64(token));
        break;
    case 5:
        (void)ask_now(client, EXTEND, queue, ipc_u64(token),
                      ipc_i64(IPC_MS(roll(0, 30))));
        break;
    case 6:
        (void)ask_now(client, JOIN, queue, some_time());
        break;
    default:
        (void)ask_now(client, TASK_DONE, queue, );
        break;
    }
}

static void ask_anything(struct client *client)
{
    const uint64_t object = objects[roll(0, OBJECTS - 1)];
    asked++;
    if (roll(0, 9) == 0)
        (void)ask_now(client, IPCM__OP_CANCEL, 0,
                      ipc_u64(client->last - (uint64_t)roll(0, 5)));
    else if (object == objects[0] || object == objects[1])
        ask_lock(client, object);
    else if (object == objects[2] || object == objects[3])
        ask_condition(client, object);
    else if (object == objects[4] || object == objects[5])
        ask_semaphore(client, object);
    else if (object == objects[6] || object == objects[7])
        ask_event_or_barrier(client, objects[6], objects[7]);
    else
        ask_queue(client, object);
}

/* ---- the crowd ---- */

static void be_born(int i)
{
    if (crowd[i] == NULL)
        crowd[i] = client_new();
    else
        assert_int_equal(ipcm__session_open_bare(server, keep_answer, crowd[i],
                                                 &crowd[i]->session),
                         0);
    crowd[i]->last = 0;
    crowd[i]->answered = 0;
    for (int o = 0; o < OBJECTS; o++)
        (void)ask_now(crowd[i], IPCM__OP_REFER, objects[o], NOW);
}

/* Its requests that wait come again when it does. */
static void lose_and_return(struct client *client)
{
    client_lose(client);
    pass(roll(0, 10));
    client_return(client);
    client->session->highest = client->last;
}

static void live(int i)
{
    const long what = roll(0, 99);
    if (what == 0) {
        client_die(crowd[i]);
        be_born(i);
        died++;
    } else if (what == 1) {
        lose_and_return(crowd[i]);
    } else if (what < 20) {
        pass(roll(0, 10));
    } else {
        ask_anything(crowd[i]);
    }
}

static void expect_nothing_is_left(struct client *owner)
{
    for (int o = 0; o < OBJECTS; o++) {
        const struct ipcm__object *object =
            ipcm__object_find(server, objects[o]);
        assert_non_null(object);
        assert_true(list_is_empty(&object->holds));
        assert_true(list_is_empty(&object->waiting));
    }
    for (int o = 0; o < 4; o++) {
        const uint64_t id =
            ask(owner, IPCM__OP_LOCK_ACQUIRE, objects[o], holder(), NOW);
        const int64_t status = status_of(owner, id);
        assert_true(status == 0 || status == IPC_OWNER_DIED ||
                    (o == 3 && status < 0)); /* the lock of objects[0] */
    }
    says(owner, IPCM__OP_SEMAPHORE_VALUE, objects[5], "2");
    does(owner, IPCM__OP_BARRIER_RESET, objects[7], 0);
    says(owner, IPCM__OP_BARRIER_INFO, objects[7], "3 0 false");
}

static void whatever_is_done_nothing_is_left_in_the_end(void)
{
    dice.state = test_seed();
    for (long round = 0; round < 4 * test_scale(); round++) {
        config_begin();
        the_config.limits.local_session_grace_ms = 100;
        server_open();
        const uint64_t before = charged();
        struct client *owner = client_new();
        memset(crowd, 0, sizeof crowd);
        make_objects(owner);
        for (int i = 0; i < CLIENTS; i++)
            be_born(i);
        for (int i = 0; i < 5000; i++)
            live((int)roll(0, CLIENTS - 1));
        for (int i = 0; i < CLIENTS; i++)
            client_die(crowd[i]);
        expect_nothing_is_left(owner);
        static const char *const names[OBJECTS] = {
            "lock",    "rlock", "own",     "other", "plain",
            "bounded", "event", "barrier", "queue", "stack"};
        for (int o = 0; o < OBJECTS; o++)
            does(owner, IPCM__OP_REMOVE, 0, 0, ipc_str(names[o]));
        client_die(owner);
        assert_int_equal(charged(), before);
        server_end();
    }
    test_report("asked", asked);
    test_report("died", died);
}

static const struct test_case cases[] = {
    TEST_CASE(whatever_is_done_nothing_is_left_in_the_end),
};
TEST_MAIN(cases)
