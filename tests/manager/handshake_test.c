/* The handshake: who has the key gets in, and nobody else. */
#include "manager/handshake_support.h"

/* ---- all is well ---- */

static void assert_hex(const struct ipcm__shake *shake, const char *hex)
{
    const void *data;
    const size_t bytes = ipcm__shake_output(shake, &data);
    char text[2 * IPCM__WELCOME_BYTES + 1] = "";
    for (size_t i = 0; i < bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", ((const uint8_t *)data)[i]);
    assert_string_equal(text, hex);
}

#define REPEAT_16(byte)                                                        \
    byte byte byte byte byte byte byte byte byte byte byte byte byte byte byte \
        byte

static void the_example_of_the_protocol_is_what_is_sent(void)
{
    struct ipcm__shake client, server;
    uint8_t of_client[32], of_server[32];
    memset(of_client, 0xc1, sizeof of_client);
    memset(of_server, 0x5e, sizeof of_server);
    struct ipcm__shake_options options = options_of(key);
    options.nonce = of_client;
    assert_int_equal(ipcm__shake_begin(&client, IPCM__CLIENT, &options), 0);
    options.nonce = of_server;
    assert_int_equal(ipcm__shake_begin(&server, IPCM__SERVER, &options), 0);

    assert_hex(&client, "6c6962697063310a0100000001000000" REPEAT_16("c1c1")
                            REPEAT_16("00") "6712000000000000");
    assert_int_equal(hand_over(&client, &server), IPCM__SHAKE_MORE);
    assert_hex(&server, "6c6962697063310a0100000000000000" REPEAT_16("5e5e"));
    assert_int_equal(hand_over(&server, &client), IPCM__SHAKE_MORE);
    assert_hex(&client, "eaea36b6cc99562e24c0aa79b6524f24"
                        "c545d6ec54872619020215195aeeb89f");
    assert_int_equal(hand_over(&client, &server), IPCM__SHAKE_ASK);
    ipcm__shake_accept(&server, &welcome);
    assert_hex(&server, "6c6962697063310a0100000000000000" REPEAT_16(
                            "11") "efcdab8967452301"
                                  "04000000"
                                  "00001000"
                                  "40000000"
                                  "00000000"
                                  "10000000"
                                  "00000100"
                                  "21f9267973d6b064470eb23e1afcaf74f7a56543b0ac"
                                  "dbb5ad6246f93e17bd"
                                  "46");
    assert_int_equal(hand_over(&server, &client), IPCM__SHAKE_DONE);
    assert_memory_equal(&client.welcome, &welcome, sizeof welcome);
}

static void it_is_the_same_byte_by_byte(void)
{
    static const uint8_t session[16] = "an older session";
    struct ipcm__shake shakes[2];
    struct ipcm__shake_options options = options_of(key);
    int rc = IPCM__SHAKE_MORE;
    options.session = session;
    assert_int_equal(ipcm__shake_begin(&shakes[0], IPCM__CLIENT, &options), 0);
    begin(&shakes[1], IPCM__SERVER, key);

    for (int turn = 0; rc != IPCM__SHAKE_DONE; turn ^= 1) {
        const void *data;
        while (ipcm__shake_output(&shakes[turn], &data) > 0) {
            const uint8_t byte = *(const uint8_t *)data;
            const size_t wants = ipcm__shake_wants(&shakes[!turn]);
            ipcm__shake_sent(&shakes[turn], 1);
            rc = ipcm__shake_feed(&shakes[!turn], &byte, 1);
            assert_true(rc >= 0);
            if (rc == IPCM__SHAKE_ASK) {
                assert_int_equal(ipcm__shake_wants(&shakes[!turn]), 0);
                assert_memory_equal(shakes[!turn].session, session, 16);
                assert_int_equal(shakes[!turn].pid, 4711);
                ipcm__shake_accept(&shakes[!turn], &welcome);
            } else if (rc == IPCM__SHAKE_MORE && wants > 1) {
                assert_int_equal(ipcm__shake_wants(&shakes[!turn]), wants - 1);
            }
        }
    }
    assert_memory_equal(&shakes[0].welcome, &welcome, sizeof welcome);
    assert_int_equal(ipcm__shake_wants(&shakes[0]), 0);
    assert_int_equal(ipcm__shake_wants(&shakes[1]), 0);
}

static void messages_have_a_handshake_of_their_own(void)
{
    struct ipcm__shake client, server;
    struct ipcm__shake_options options = options_of(key);
    options.purpose = IPCM__FOR_MESSAGES;
    assert_int_equal(ipcm__shake_begin(&client, IPCM__CLIENT, &options), 0);
    assert_int_equal(ipcm__shake_begin(&server, IPCM__SERVER, &options), 0);
    reach_ask(&client, &server);
    ipcm__shake_accept(&server, &(struct ipcm__welcome){.frame_bytes = 77});
    assert_int_equal(hand_over(&server, &client), IPCM__SHAKE_DONE);
    assert_int_equal(client.welcome.frame_bytes, 77);

    /* A proof for one is none for the other. */
    begin(&client, IPCM__CLIENT, key);
    assert_int_equal(ipcm__shake_begin(&server, IPCM__SERVER, &options), 0);
    assert_int_equal(hand_over(&client, &server), -EINVAL);
    assert_int_equal(hand_over(&server, &client), -EINVAL);
    begin(&client, IPCM__CLIENT, key);
    begin(&server, IPCM__SERVER, key);
    assert_int_equal(hand_over(&client, &server), IPCM__SHAKE_MORE);
    assert_int_equal(hand_over(&server, &client), IPCM__SHAKE_MORE);
    server.purpose = IPCM__FOR_MESSAGES;
    assert_int_equal(hand_over(&client, &server), -EACCES);
}

static void nonces_are_new_each_time(void)
{
    struct ipcm__shake first, second;
    begin(&first, IPCM__CLIENT, key);
    begin(&second, IPCM__CLIENT, key);
    assert_memory_not_equal(first.hello, second.hello, sizeof first.hello);
    begin(&first, IPCM__SERVER, key);
    begin(&second, IPCM__SERVER, key);
    assert_memory_not_equal(first.challenge, second.challenge,
                            sizeof first.challenge);
}

/* ---- keys ---- */

static void t69_keys_that_are_too_short_or_too_long_are_none(void)
{
    static const size_t lengths[] = {0, 1, 31, 1025, SIZE_MAX};
    static uint8_t long_key[1025];
    struct ipcm__shake shake;
    struct ipcm__shake_options options = options_of(long_key);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        options.key_bytes = lengths[i];
        assert_int_equal(ipcm__shake_begin(&shake, IPCM__CLIENT, &options),
                         -EINVAL);
        assert_int_equal(ipcm__shake_begin(&shake, IPCM__SERVER, &options),
                         -EINVAL);
    }
    options.key_bytes = IPC_MANAGER_KEY_MAX;
    assert_int_equal(ipcm__shake_begin(&shake, IPCM__CLIENT, &options), 0);
}

static void t69_a_client_with_a_wrong_key_is_refused(void)
{
    struct ipcm__shake client, server;
    const void *data;
    begin(&client, IPCM__CLIENT, other_key);
    begin(&server, IPCM__SERVER, key);
    assert_int_equal(hand_over(&client, &server), IPCM__SHAKE_MORE);
    assert_int_equal(hand_over(&server, &client), IPCM__SHAKE_MORE);
    assert_int_equal(hand_over(&client, &server), -EACCES);
    assert_int_equal(ipcm__shake_output(&server, &data), IPCM__REFUSAL_BYTES);
    assert_int_equal(hand_over(&server, &client), -EACCES);
    /* And stays so. */
    assert_int_equal(ipcm__shake_wants(&server), 0);
    assert_int_equal(ipcm__shake_feed(&server, "x", 1), -EACCES);
    ipcm__shake_accept(&server, &welcome);
    assert_int_equal(ipcm__shake_output(&server, &data), 0);
}

static void t69_a_server_with_a_wrong_key_is_not_believed(void)
{
    struct ipcm__shake client, server;
    begin(&client, IPCM__CLIENT, key);
    begin(&server, IPCM__SERVER, key);
    reach_ask(&client, &server);
    server.key = other_key;
    ipcm__shake_accept(&server, &welcome);
    assert_int_equal(hand_over(&server, &client), -EACCES);
    assert_int_equal(client.welcome.in_flight, 0);
}

static void t69_the_certificate_is_part_of_the_proof(void)
{
    static const uint8_t of_one[32] = {1};
    static const uint8_t of_another[32] = {2};
    struct ipcm__shake client, server;
    struct ipcm__shake_options options = options_of(key);
    options.binding = of_one;
    assert_int_equal(ipcm__shake_begin(&client, IPCM__CLIENT, &options), 0);
    options.binding = of_another;
    assert_int_equal(ipcm__shake_begin(&server, IPCM__SERVER, &options), 0);
    assert_int_equal(hand_over(&client, &server), IPCM__SHAKE_MORE);
    assert_int_equal(hand_over(&server, &client), IPCM__SHAKE_MORE);
    assert_int_equal(hand_over(&client, &server), -EACCES);
}

/* ---- replay and reflection ---- */

static void t69_what_a_client_once_said_is_of_no_use(void)
{
    struct ipcm__shake client, server;
    uint8_t hello[IPCM__HELLO_BYTES], proof[IPCM__PROOF_BYTES];
    begin(&client, IPCM__CLIENT, key);
    begin(&server, IPCM__SERVER, key);
    assert_int_equal(tap(&client, &server, hello), IPCM__SHAKE_MORE);
    assert_int_equal(hand_over(&server, &client), IPCM__SHAKE_MORE);
    assert_int_equal(tap(&client, &server, proof), IPCM__SHAKE_ASK);

    begin(&server, IPCM__SERVER, key);
    assert_int_equal(ipcm__shake_feed(&server, hello, sizeof hello),
                     IPCM__SHAKE_MORE);
    ipcm__shake_sent(&server, IPCM__CHALLENGE_BYTES);
    assert_int_equal(ipcm__shake_feed(&server, proof, sizeof proof), -EACCES);
}

static void t69_what_a_server_once_said_is_of_no_use(void)
{
    struct ipcm__shake client, server;
    uint8_t challenge[IPCM__CHALLENGE_BYTES], answer[IPCM__WELCOME_BYTES];
    begin(&client, IPCM__CLIENT, key);
    begin(&server, IPCM__SERVER, key);
    assert_int_equal(hand_over(&client, &server), IPCM__SHAKE_MORE);
    assert_int_equal(tap(&server, &client, challenge), IPCM__SHAKE_MORE);
    assert_int_equal(hand_over(&client, &server), IPCM__SHAKE_ASK);
    ipcm__shake_accept(&server, &welcome);
    assert_int_equal(tap(&server, &client, answer), IPCM__SHAKE_DONE);

    begin(&client, IPCM__CLIENT, key);
    ipcm__shake_sent(&client, IPCM__HELLO_BYTES);
    assert_int_equal(ipcm__shake_feed(&client, challenge, sizeof challenge),
                     IPCM__SHAKE_MORE);
    ipcm__shake_sent(&client, IPCM__PROOF_BYTES);
    assert_int_equal(ipcm__shake_feed(&client, answer, sizeof answer), -EACCES);
}

/* Somebody without the key sends back what he hears. */
static void t69_a_clients_own_words_do_not_convince_it(void)
{
    struct ipcm__shake client;
    uint8_t answer[IPCM__WELCOME_BYTES];
    uint8_t challenge[IPCM__CHALLENGE_BYTES];
    const void *data;

    begin(&client, IPCM__CLIENT, key);
    ipcm__shake_sent(&client, IPCM__HELLO_BYTES);
    assert_int_equal(
        ipcm__shake_feed(&client, client.hello, IPCM__CHALLENGE_BYTES),
        -EPROTO);

    begin(&client, IPCM__CLIENT, key);
    ipcm__shake_sent(&client, IPCM__HELLO_BYTES);
    memcpy(challenge, client.hello, sizeof challenge);
    ipcm__put32le(challenge + 12, 0);
    assert_int_equal(ipcm__shake_feed(&client, challenge, sizeof challenge),
                     IPCM__SHAKE_MORE);
    assert_int_equal(ipcm__shake_output(&client, &data), IPCM__PROOF_BYTES);
    memset(answer, 0, sizeof answer);
    memcpy(answer, challenge, 16);
    memcpy(answer + 64, data, IPCM__PROOF_BYTES);
    ipcm__shake_sent(&client, IPCM__PROOF_BYTES);
    assert_int_equal(ipcm__shake_feed(&client, answer, sizeof answer), -EACCES);
}

/* The server never says more about the key than "no": whoever it speaks to
 * hears the same, whatever the key is. */
static void t69_a_server_tells_nothing_before_the_proof(void)
{
    static const uint8_t nonce[32] = {7};
    struct ipcm__shake server[2];
    for (int i = 0; i < 2; i++) {
        struct ipcm__shake client;
        struct ipcm__shake_options options =
            options_of(i == 0 ? key : other_key);
        options.nonce = nonce;
        assert_int_equal(ipcm__shake_begin(&client, IPCM__CLIENT, &options), 0);
        assert_int_equal(ipcm__shake_begin(&server[i], IPCM__SERVER, &options),
                         0);
        assert_int_equal(hand_over(&client, &server[i]), IPCM__SHAKE_MORE);
    }
    assert_memory_equal(server[0].out, server[1].out, sizeof server[0].out);
    for (int i = 0; i < 2; i++) {
        static const uint8_t guess[IPCM__PROOF_BYTES];
        ipcm__shake_sent(&server[i], IPCM__CHALLENGE_BYTES);
        assert_int_equal(ipcm__shake_feed(&server[i], guess, sizeof guess),
                         -EACCES);
    }
    assert_memory_equal(server[0].out, server[1].out, IPCM__REFUSAL_BYTES);
}

static void the_end_wipes_what_was_proved(void)
{
    struct ipcm__shake client, server;
    uint8_t proof[IPCM__PROOF_BYTES];
    begin(&client, IPCM__CLIENT, key);
    begin(&server, IPCM__SERVER, key);
    assert_int_equal(hand_over(&client, &server), IPCM__SHAKE_MORE);
    assert_int_equal(hand_over(&server, &client), IPCM__SHAKE_MORE);
    assert_int_equal(tap(&client, &server, proof), IPCM__SHAKE_ASK);
    ipcm__shake_end(&server);
    assert_null(memmem(&server, sizeof server, proof, sizeof proof));
    assert_null(server.key);
    assert_int_equal(ipcm__shake_wants(&server), 0);
    assert_int_equal(ipcm__shake_feed(&server, "", 0), -EPROTO);
}

static const struct test_case cases[] = {
    TEST_CASE(the_example_of_the_protocol_is_what_is_sent),
    TEST_CASE(it_is_the_same_byte_by_byte),
    TEST_CASE(messages_have_a_handshake_of_their_own),
    TEST_CASE(nonces_are_new_each_time),
    TEST_CASE(t69_keys_that_are_too_short_or_too_long_are_none),
    TEST_CASE(t69_a_client_with_a_wrong_key_is_refused),
    TEST_CASE(t69_a_server_with_a_wrong_key_is_not_believed),
    TEST_CASE(t69_the_certificate_is_part_of_the_proof),
    TEST_CASE(t69_what_a_client_once_said_is_of_no_use),
    TEST_CASE(t69_what_a_server_once_said_is_of_no_use),
    TEST_CASE(t69_a_clients_own_words_do_not_convince_it),
    TEST_CASE(t69_a_server_tells_nothing_before_the_proof),
    TEST_CASE(the_end_wipes_what_was_proved),
};
TEST_MAIN(cases)
