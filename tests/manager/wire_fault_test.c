/* The wire when memory runs out: an error, and nothing half-done. */
#include "harness/faults.h"

#include "manager/wire_support.h"

enum {
    CALLS = 400
};

static struct ipcm__request calls[CALLS];
static ipc_any args[CALLS];

static const struct ipcm__request *long_request(void)
{
    static const struct ipcm__request request = {
        .id = 1, .op = IPCM__OP_BATCH, .calls = calls, .call_count = CALLS};
    for (size_t i = 0; i < CALLS; i++) {
        args[i] = ipc_str("a text of some bytes");
        calls[i] = (struct ipcm__request){.op = IPC_OP_LIST_APPEND,
                                          .object = i,
                                          .args = &args[i],
                                          .count = 1};
    }
    return &request;
}

/* The nth allocation fails, for every n that there is. */
static void encoding_without_memory_changes_nothing(void)
{
    const struct ipcm__request *request = long_request();
    int rc = -ENOMEM;
    long nth = 0;
    while (rc != 0) {
        struct ipcm__buffer buffer = {0};
        fault_malloc_nth(++nth, true);
        rc = ipcm__encode_request(&buffer, &wire_limits, request);
        fault_malloc_end();
        assert_true(rc == 0 || rc == -ENOMEM);
        if (rc != 0)
            assert_int_equal(buffer.end, 0);
        ipcm__buffer_free(&buffer);
    }
    assert_true(nth > 1);
    test_report("allocations", nth - 1);
}

static void decoding_without_memory_can_be_tried_again(void)
{
    struct ipcm__buffer buffer = {0};
    int rc = -ENOMEM;
    long nth = 0;
    assert_int_equal(
        ipcm__encode_request(&buffer, &wire_limits, long_request()), 0);
    const uint8_t *data = buffer.data + IPCM__FRAME_HEAD;
    const size_t bytes = buffer.end - IPCM__FRAME_HEAD;
    while (rc != 0) {
        struct ipcm__decoder *decoder = wire_decoder(&wire_limits);
        struct ipcm__request request;
        fault_malloc_nth(++nth, true);
        rc = ipcm__decode_request(decoder, data, bytes, &request);
        fault_malloc_end();
        assert_true(rc == 0 || rc == -ENOMEM);
        assert_int_equal(ipcm__decode_request(decoder, data, bytes, &request),
                         0);
        assert_int_equal(request.call_count, CALLS);
        wire_assert_same(&request.calls[CALLS - 1].args[0], &args[CALLS - 1]);
        ipcm__decoder_free(decoder);
    }
    assert_true(nth > 1);
    test_report("allocations", nth - 1);
    ipcm__buffer_free(&buffer);
}

static void a_decoder_without_memory_is_none(void)
{
    struct ipcm__decoder *decoder = NULL;
    for (long nth = 1; nth <= 2; nth++) {
        fault_malloc_nth(nth, true);
        const int rc = ipcm__decoder_new(&wire_limits, &decoder);
        fault_malloc_end();
        assert_int_equal(rc, -ENOMEM);
        assert_null(decoder);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(encoding_without_memory_changes_nothing),
    TEST_CASE(decoding_without_memory_can_be_tried_again),
    TEST_CASE(a_decoder_without_memory_is_none),
};
TEST_MAIN(cases)
