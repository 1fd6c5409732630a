/* The handshake: what is none, and refusals. */
#include "manager/handshake_support.h"

/* ---- broken ones ---- */

/* Of each message in turn all but the end: nobody is done. */
static void t69_cut_at_any_byte_it_waits_for_the_rest(void)
{
    static const size_t lengths[] = {IPCM__HELLO_BYTES, IPCM__CHALLENGE_BYTES,
                                     IPCM__PROOF_BYTES, IPCM__WELCOME_BYTES};
    long long cuts = 0;
    for (int step = 0; step < 4; step++) {
        for (size_t cut = 0; cut < lengths[step]; cut++) {
            struct ipcm__shake shakes[2];
            const void *data;
            begin(&shakes[0], IPCM__CLIENT, key);
            begin(&shakes[1], IPCM__SERVER, key);
            for (int i = 0; i < step; i++)
                if (hand_over(&shakes[i & 1], &shakes[!(i & 1)]) ==
                    IPCM__SHAKE_ASK)
                    ipcm__shake_accept(&shakes[1], &welcome);
            struct ipcm__shake *to = &shakes[!(step & 1)];
            assert_int_equal(ipcm__shake_output(&shakes[step & 1], &data),
                             lengths[step]);
            assert_int_equal(ipcm__shake_feed(to, data, cut), IPCM__SHAKE_MORE);
            assert_int_equal(ipcm__shake_wants(to), lengths[step] - cut);
            cuts++;
        }
    }
    test_report("cuts", cuts);
}

/* One bit of one message is another one on its way. */
static bool done_with_bit(int step, size_t bit)
{
    struct ipcm__shake shakes[2];
    int rc = IPCM__SHAKE_MORE;
    begin(&shakes[0], IPCM__CLIENT, key);
    begin(&shakes[1], IPCM__SERVER, key);
    for (int i = 0; i < 4 && rc == IPCM__SHAKE_MORE; i++) {
        struct ipcm__shake *from = &shakes[i & 1];
        uint8_t bytes[IPCM__WELCOME_BYTES];
        const void *data;
        const size_t count = ipcm__shake_output(from, &data);
        memcpy(bytes, data, count);
        if (i == step && bit < 8 * count)
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ipcm__shake_sent(from, count);
        rc = ipcm__shake_feed(&shakes[!(i & 1)], bytes, count);
        if (rc == IPCM__SHAKE_ASK) {
            ipcm__shake_accept(&shakes[1], &welcome);
            rc = IPCM__SHAKE_MORE;
        }
    }
    return rc == IPCM__SHAKE_DONE;
}

static void t69_any_bit_that_was_changed_is_noticed(void)
{
    static const size_t lengths[] = {IPCM__HELLO_BYTES, IPCM__CHALLENGE_BYTES,
                                     IPCM__PROOF_BYTES, IPCM__WELCOME_BYTES};
    long long bits = 0;
    assert_true(done_with_bit(0, SIZE_MAX));
    for (int step = 0; step < 4; step++)
        for (size_t bit = 0; bit < 8 * lengths[step]; bit++, bits++)
            if (done_with_bit(step, bit))
                test_fail("message %d, bit %zu", step, bit);
    test_report("bits", bits);
}

static void t69_what_is_no_handshake_is_told_by_its_first_byte(void)
{
    static const char *const table[] = {"GET / HTTP/1.1", "\x16\x03\x01", "li ",
                                        "libipc2\n", ""};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct ipcm__shake shake;
        const void *data;
        const size_t bytes = table[i][0] == '\0' ? 1 : strlen(table[i]);
        begin(&shake, IPCM__SERVER, key);
        assert_int_equal(ipcm__shake_feed(&shake, table[i], bytes), -EPROTO);
        assert_int_equal(ipcm__shake_output(&shake, &data), 0);
        begin(&shake, IPCM__CLIENT, key);
        ipcm__shake_sent(&shake, IPCM__HELLO_BYTES);
        assert_int_equal(ipcm__shake_feed(&shake, table[i], bytes), -EPROTO);
    }
}

static void t69_more_than_a_handshake_is_none(void)
{
    struct ipcm__shake shake;
    uint8_t hello[IPCM__HELLO_BYTES + 1] = {0};
    begin(&shake, IPCM__CLIENT, key);
    memcpy(hello, shake.hello, IPCM__HELLO_BYTES);
    begin(&shake, IPCM__SERVER, key);
    assert_int_equal(ipcm__shake_feed(&shake, hello, sizeof hello), -EPROTO);
    assert_int_equal(ipcm__shake_feed(&shake, hello, 0), -EPROTO);
}

static void t69_a_proof_cannot_come_before_the_challenge_went(void)
{
    struct ipcm__shake client, server;
    begin(&client, IPCM__CLIENT, key);
    begin(&server, IPCM__SERVER, key);
    assert_int_equal(hand_over(&client, &server), IPCM__SHAKE_MORE);
    assert_int_equal(ipcm__shake_feed(&server, client.hello, 32), -EPROTO);
}

/* ---- refusals ---- */

static void t69_another_version_is_told_which_is_spoken(void)
{
    static const uint32_t versions[] = {0, 2, UINT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        struct ipcm__shake client, server;
        const void *data;
        begin(&client, IPCM__CLIENT, key);
        begin(&server, IPCM__SERVER, key);
        ipcm__put32le(client.out + 8, versions[i]);
        /* Told by the first bytes: it may be shorter than ours. */
        assert_int_equal(ipcm__shake_feed(&server, client.out, 16),
                         -EPROTONOSUPPORT);
        assert_int_equal(ipcm__shake_output(&server, &data),
                         IPCM__REFUSAL_BYTES);
        assert_int_equal(ipcm__get32le((const uint8_t *)data + 8), 1);
        assert_int_equal(ipcm__get32le((const uint8_t *)data + 12),
                         EPROTONOSUPPORT);
        ipcm__shake_sent(&client, IPCM__HELLO_BYTES);
        assert_int_equal(hand_over(&server, &client), -EPROTONOSUPPORT);
    }
}

static void t69_a_server_of_another_version_is_none_of_ours(void)
{
    struct ipcm__shake client, server;
    begin(&client, IPCM__CLIENT, key);
    begin(&server, IPCM__SERVER, key);
    assert_int_equal(hand_over(&client, &server), IPCM__SHAKE_MORE);
    ipcm__put32le(server.out + 8, 2);
    assert_int_equal(hand_over(&server, &client), -EPROTONOSUPPORT);
    assert_non_null(strstr(ipc_error_detail(), "version 2"));
}

static void refusals_say_why(void)
{
    static const int errors[][2] = {{EACCES, -EACCES},
                                    {EUSERS, -EUSERS},
                                    {EPROTONOSUPPORT, -EPROTONOSUPPORT},
                                    {EINVAL, -EINVAL},
                                    {ENOMEM, -EPROTO}};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        struct ipcm__shake client, server;
        /* Before HELLO. */
        begin(&client, IPCM__CLIENT, key);
        begin(&server, IPCM__SERVER, key);
        ipcm__shake_refuse(&server, errors[i][0]);
        assert_int_equal(ipcm__shake_wants(&server), 0);
        assert_int_equal(hand_over(&server, &client), errors[i][1]);
        /* Instead of WELCOME. */
        begin(&client, IPCM__CLIENT, key);
        begin(&server, IPCM__SERVER, key);
        reach_ask(&client, &server);
        ipcm__shake_refuse(&server, errors[i][0]);
        assert_int_equal(hand_over(&server, &client), errors[i][1]);
    }
}

/* The rest of CHALLENGE first, if some of it is on its way. */
static void a_refusal_interrupts_no_message(void)
{
    for (size_t sent = 0; sent < IPCM__CHALLENGE_BYTES; sent++) {
        struct ipcm__shake client, server;
        const void *data;
        begin(&client, IPCM__CLIENT, key);
        begin(&server, IPCM__SERVER, key);
        assert_int_equal(hand_over(&client, &server), IPCM__SHAKE_MORE);
        (void)ipcm__shake_output(&server, &data);
        assert_int_equal(ipcm__shake_feed(&client, data, sent),
                         IPCM__SHAKE_MORE);
        ipcm__shake_sent(&server, sent);
        ipcm__shake_refuse(&server, EUSERS);
        size_t bytes = ipcm__shake_output(&server, &data);
        if (sent > 0) {
            const size_t wants = ipcm__shake_wants(&client);
            assert_int_equal(bytes, wants + IPCM__REFUSAL_BYTES);
            assert_int_equal(ipcm__shake_feed(&client, data, wants),
                             IPCM__SHAKE_MORE);
            data = (const uint8_t *)data + wants;
            bytes -= wants;
            ipcm__shake_sent(&client, IPCM__PROOF_BYTES);
        }
        assert_int_equal(ipcm__shake_feed(&client, data, bytes), -EUSERS);
    }
}

static void a_server_that_takes_nothing_is_no_manager(void)
{
    struct ipcm__shake client, server;
    struct ipcm__welcome none = welcome;
    none.in_flight = 0;
    begin(&client, IPCM__CLIENT, key);
    begin(&server, IPCM__SERVER, key);
    reach_ask(&client, &server);
    ipcm__shake_accept(&server, &none);
    assert_int_equal(hand_over(&server, &client), -EPROTO);
}

static const struct test_case cases[] = {
    TEST_CASE(t69_cut_at_any_byte_it_waits_for_the_rest),
    TEST_CASE(t69_any_bit_that_was_changed_is_noticed),
    TEST_CASE(t69_what_is_no_handshake_is_told_by_its_first_byte),
    TEST_CASE(t69_more_than_a_handshake_is_none),
    TEST_CASE(t69_a_proof_cannot_come_before_the_challenge_went),
    TEST_CASE(t69_another_version_is_told_which_is_spoken),
    TEST_CASE(t69_a_server_of_another_version_is_none_of_ours),
    TEST_CASE(refusals_say_why),
    TEST_CASE(a_refusal_interrupts_no_message),
    TEST_CASE(a_server_that_takes_nothing_is_no_manager),
};
TEST_MAIN(cases)
