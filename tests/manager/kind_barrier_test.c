/* Barriers of a manager: phases, and what breaks them. */
#include "manager/kinds_support.h"

#define WAIT   IPCM__OP_BARRIER_WAIT
#define ENROLL IPCM__OP_BARRIER_ENROLL
#define LEAVE  IPCM__OP_BARRIER_LEAVE
#define ABORT  IPCM__OP_BARRIER_ABORT
#define RESET  IPCM__OP_BARRIER_RESET
#define INFO   IPCM__OP_BARRIER_INFO

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

static uint64_t make_barrier(int64_t parties)
{
    return make(a, "barrier", "b", ipc_str("parties"), ipc_i64(parties));
}

static void all_go_on_when_the_last_has_come(void)
{
    begin();
    const uint64_t barrier = make_barrier(3);
    for (int phase = 0; phase < 3; phase++) {
        const uint64_t of_a = ask(a, WAIT, barrier, FOREVER);
        const uint64_t of_b = ask(b, WAIT, barrier, ipc_i64(IPC_MS(100)));
        says(c, INFO, barrier, "3 2 false");
        expect_status(a, of_a, WAITING);
        says(c, WAIT, barrier, "2", phase == 1 ? NOW : FOREVER);
        expect_answer(a, of_a, 0, "0");
        expect_answer(b, of_b, 0, "1");
        says(c, INFO, barrier, "3 0 false");
    }
    pass(200);
    says(c, INFO, barrier, "3 0 false");
    server_end();
}

static void the_next_phase_may_begin_in_the_same_turn(void)
{
    begin();
    const uint64_t barrier = make_barrier(2);
    const uint64_t first = ask(a, WAIT, barrier, FOREVER);
    (void)ask_now(b, WAIT, barrier, FOREVER);
    const uint64_t next = ask_now(b, WAIT, barrier, FOREVER);
    (void)ask_now(c, ABORT, barrier);
    pass(0);
    expect_answer(a, first, 0, "0");
    expect_status(b, next, -ECANCELED);
    server_end();
}

static void one_party_waits_for_nobody(void)
{
    begin();
    const uint64_t barrier = make_barrier(1);
    says(a, WAIT, barrier, "0", NOW);
    says(a, WAIT, barrier, "0", FOREVER);
    server_end();
}

static void a_session_may_be_several_parties(void)
{
    begin();
    const uint64_t barrier = make_barrier(3);
    const uint64_t first = ask(a, WAIT, barrier, FOREVER);
    const uint64_t second = ask(a, WAIT, barrier, FOREVER);
    says(a, WAIT, barrier, "2", FOREVER);
    expect_answer(a, first, 0, "0");
    expect_answer(a, second, 0, "1");
    client_die(a);
    says(b, INFO, barrier, "3 0 false");
    server_end();
}

static void not_at_all_does_not_come(void)
{
    begin();
    const uint64_t barrier = make_barrier(2);
    does(a, WAIT, barrier, -EAGAIN, NOW);
    says(a, INFO, barrier, "2 0 false");
    server_end();
}

/* ---- broken ---- */

static void a_deadline_breaks_it_for_everybody(void)
{
    begin();
    const uint64_t barrier = make_barrier(3);
    const uint64_t of_a = ask(a, WAIT, barrier, FOREVER);
    const uint64_t of_b = ask(b, WAIT, barrier, ipc_i64(IPC_MS(100)));
    pass(100);
    expect_status(b, of_b, -ETIMEDOUT);
    expect_status(a, of_a, -ECANCELED);
    does(c, WAIT, barrier, -ECANCELED, FOREVER);
    does(c, WAIT, barrier, -ECANCELED, NOW);
    says(c, INFO, barrier, "3 0 true");
    does(c, RESET, barrier, 0);
    says(c, INFO, barrier, "3 0 false");
    server_end();
}

static void abort_and_reset_end_the_wait(void)
{
    begin();
    const uint64_t barrier = make_barrier(2);
    uint64_t id = ask(a, WAIT, barrier, FOREVER);
    does(b, RESET, barrier, 0);
    expect_status(a, id, -ECANCELED);
    says(c, INFO, barrier, "2 0 false");
    id = ask(a, WAIT, barrier, FOREVER);
    does(b, ABORT, barrier, 0);
    expect_status(a, id, -ECANCELED);
    does(b, ABORT, barrier, 0);
    does(b, RESET, barrier, 0);
    id = ask(a, WAIT, barrier, FOREVER);
    says(b, WAIT, barrier, "1", FOREVER);
    expect_answer(a, id, 0, "0");
    server_end();
}

static void the_death_of_one_who_waits_breaks_it(void)
{
    begin();
    const uint64_t barrier = make_barrier(3);
    const uint64_t of_a = ask(a, WAIT, barrier, FOREVER);
    (void)ask(b, WAIT, barrier, FOREVER);
    client_die(b);
    expect_status(a, of_a, -ECANCELED);
    server_end();
}

static void the_death_of_one_who_has_gone_on_does_not(void)
{
    begin();
    const uint64_t barrier = make_barrier(2);
    (void)ask(a, WAIT, barrier, FOREVER);
    does(b, WAIT, barrier, 0, FOREVER);
    client_die(b);
    says(a, INFO, barrier, "2 0 false");
    server_end();
}

static void the_death_of_one_who_is_enrolled_breaks_it(void)
{
    begin();
    const uint64_t barrier = make_barrier(2);
    does(b, LEAVE, barrier, -ESRCH);
    does(b, ENROLL, barrier, 0);
    does(b, ENROLL, barrier, -EALREADY);
    does(c, ENROLL, barrier, 0);
    does(a, ENROLL, barrier, -ENOSPC);
    does(c, LEAVE, barrier, 0);
    does(c, LEAVE, barrier, -ESRCH);
    const uint64_t of_a = ask(a, WAIT, barrier, FOREVER);
    client_die(c);
    expect_status(a, of_a, WAITING);
    client_die(b);
    expect_status(a, of_a, -ECANCELED);
    does(a, RESET, barrier, 0);
    does(a, ENROLL, barrier, 0); /* the place of the dead is free */
    server_end();
}

static void who_is_cancelled_has_not_come(void)
{
    begin();
    const uint64_t barrier = make_barrier(2);
    const uint64_t id = ask(a, WAIT, barrier, FOREVER);
    does(a, IPCM__OP_CANCEL, 0, 0, ipc_u64(id));
    says(a, INFO, barrier, "2 0 false");
    const uint64_t of_b = ask(b, WAIT, barrier, FOREVER);
    says(c, WAIT, barrier, "1", FOREVER);
    expect_answer(b, of_b, 0, "0");
    server_end();
}

/* ---- coming back ---- */

static void who_comes_back_waits_anew_and_who_does_not_breaks_it(void)
{
    config_begin();
    the_config.limits.local_session_grace_ms = 1000;
    server_open();
    a = client_new();
    b = client_new();
    const uint64_t barrier = make_barrier(2);
    const uint64_t id = ask(b, WAIT, barrier, FOREVER);
    client_lose(b);
    says(a, INFO, barrier, "2 0 false");
    client_return(b);
    b->last = id - 1;
    (void)ask(b, WAIT, barrier, FOREVER);
    says(a, WAIT, barrier, "1", FOREVER);
    expect_answer(b, id, 0, "0");
    (void)ask(b, WAIT, barrier, FOREVER);
    client_lose(b);
    const uint64_t of_a = ask(a, WAIT, barrier, FOREVER);
    pass(999);
    expect_status(a, of_a, WAITING);
    pass(1);
    expect_status(a, of_a, -ECANCELED);
    server_end();
}

static void wrong_requests_change_nothing(void)
{
    begin();
    const uint64_t barrier = make_barrier(2);
    does(a, WAIT, barrier, -EINVAL);
    does(a, WAIT, barrier, -EINVAL, ipc_i64(-2));
    does(a, ABORT, barrier, -EINVAL, NOW);
    does(a, IPCM__OP_EVENT_SET, barrier, -ENOSYS);
    says(a, INFO, barrier, "2 0 false");
    refuses(a, -EINVAL, "barrier");
    refuses(a, -EINVAL, "barrier", ipc_str("parties"), ipc_i64(0));
    refuses(a, -EINVAL, "barrier", ipc_str("parties"), ipc_i64(65536));
    refuses(a, -EINVAL, "barrier", ipc_str("parties"), ipc_str("two"));
    server_end();
}

static const struct test_case cases[] = {
    TEST_CASE(all_go_on_when_the_last_has_come),
    TEST_CASE(the_next_phase_may_begin_in_the_same_turn),
    TEST_CASE(one_party_waits_for_nobody),
    TEST_CASE(a_session_may_be_several_parties),
    TEST_CASE(not_at_all_does_not_come),
    TEST_CASE(a_deadline_breaks_it_for_everybody),
    TEST_CASE(abort_and_reset_end_the_wait),
    TEST_CASE(the_death_of_one_who_waits_breaks_it),
    TEST_CASE(the_death_of_one_who_has_gone_on_does_not),
    TEST_CASE(the_death_of_one_who_is_enrolled_breaks_it),
    TEST_CASE(who_is_cancelled_has_not_come),
    TEST_CASE(who_comes_back_waits_anew_and_who_does_not_breaks_it),
    TEST_CASE(wrong_requests_change_nothing),
};
TEST_MAIN(cases)
