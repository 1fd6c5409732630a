/* Events of a manager. */
#include "manager/kinds_support.h"

#define SET    IPCM__OP_EVENT_SET
#define CLEAR  IPCM__OP_EVENT_CLEAR
#define IS_SET IPCM__OP_EVENT_IS_SET
#define WAIT   IPCM__OP_EVENT_WAIT

#define FOREVER ipc_i64(-1)
#define NOW     ipc_i64(0)

static struct client *a, *b, *c;

static void begin(void)
{
    server_begin();
    a = client_new();
    b = client_new();
    c = client_new();
}

static void all_who_wait_go_on_when_it_is_set(void)
{
    begin();
    const uint64_t event = make(a, "event", "go");
    says(a, IS_SET, event, "0");
    does(a, WAIT, event, -EAGAIN, NOW);
    const uint64_t of_b = ask(b, WAIT, event, FOREVER);
    const uint64_t of_c = ask(c, WAIT, event, ipc_i64(IPC_MS(100)));
    does(a, SET, event, 0);
    expect_status(b, of_b, 0);
    expect_status(c, of_c, 0);
    says(b, IS_SET, event, "1");
    does(b, WAIT, event, 0, NOW);
    does(b, SET, event, 0);
    does(b, CLEAR, event, 0);
    does(b, CLEAR, event, 0);
    does(b, WAIT, event, -EAGAIN, NOW);
    server_end();
}

static void a_set_that_is_cleared_at_once_is_not_missed(void)
{
    begin();
    const uint64_t event = make(a, "event", NULL);
    const uint64_t of_b = ask(b, WAIT, event, FOREVER);
    (void)ask_now(a, SET, event);
    (void)ask_now(a, CLEAR, event);
    const uint64_t of_c = ask_now(c, WAIT, event, FOREVER); /* too late */
    pass(0);
    expect_status(b, of_b, 0);
    expect_status(c, of_c, WAITING);
    server_end();
}

static void a_deadline_ends_the_wait(void)
{
    begin();
    const uint64_t event = make(a, "event", NULL);
    const uint64_t of_b = ask(b, WAIT, event, ipc_i64(IPC_MS(100)));
    pass(99);
    expect_status(b, of_b, WAITING);
    pass(1);
    expect_status(b, of_b, -ETIMEDOUT);
    does(a, WAIT, event, -EINVAL);
    does(a, SET, event, -EINVAL, NOW);
    does(a, IPCM__OP_BARRIER_WAIT, event, -ENOSYS, NOW);
    refuses(a, -EINVAL, "event", ipc_str("value"), NOW);
    server_end();
}

static void who_dies_waiting_is_forgotten(void)
{
    begin();
    const uint64_t event = make(a, "event", NULL);
    (void)ask(b, WAIT, event, FOREVER);
    const uint64_t of_c = ask(c, WAIT, event, FOREVER);
    client_die(b);
    does(a, SET, event, 0);
    expect_status(c, of_c, 0);
    server_end();
}

static const struct test_case cases[] = {
    TEST_CASE(all_who_wait_go_on_when_it_is_set),
    TEST_CASE(a_set_that_is_cleared_at_once_is_not_missed),
    TEST_CASE(a_deadline_ends_the_wait),
    TEST_CASE(who_dies_waiting_is_forgotten),
};
TEST_MAIN(cases)
