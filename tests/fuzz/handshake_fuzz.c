/* Fuzz target: the handshake.
 *
 * The first byte says who hears the rest: the server, the client, or both sides
 * of one handshake whose messages are changed on their way.  Key and nonces are
 * always the same, so the corpus can hold what is right, and the proofs are
 * computed here once more, from PROTOCOL.md.  Whatever comes
 *
 *  - nobody is convinced but by the right proof;
 *  - never more is taken than the handshake needs, nor more sent than it has;
 *  - an error stays. */
#include "fuzz/fuzz.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <sodium.h>

#include "wire/handshake.h"

static const uint8_t key[32] = "0123456789abcdef0123456789abcde";
static const uint8_t client_nonce[32] = "the nonce of the client, always";
static const uint8_t server_nonce[32] = "the nonce of the server, always";
static const struct ipcm__welcome welcome = {
    .session = "a session that i",
    .instance = 1,
    .frame_bytes = 1u << 20,
    .in_flight = 64,
    .depth = 16,
    .nodes = 65536,
};

struct input {
    const uint8_t *data;
    size_t size;
};

static uint8_t next(struct input *input)
{
    if (input->size == 0)
        return 0;
    input->size--;
    return *input->data++;
}

static void begin(struct ipcm__shake *shake, enum ipcm__role role,
                  bool messages)
{
    const struct ipcm__shake_options options = {
        .purpose = messages ? IPCM__FOR_MESSAGES : IPCM__FOR_MANAGER,
        .key = key,
        .key_bytes = sizeof key,
        .nonce = role == IPCM__CLIENT ? client_nonce : server_nonce,
        .pid = 1,
    };
    fuzz_assert(ipcm__shake_begin(shake, role, &options) == 0);
}

/* ---- once more ---- */

static void mac(const char *label, const struct input *parts, size_t count,
                uint8_t out[32])
{
    static const uint8_t no_binding[32];
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, sizeof key);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)label, 16);
    crypto_auth_hmacsha256_update(&state, no_binding, sizeof no_binding);
    for (size_t i = 0; i < count; i++)
        crypto_auth_hmacsha256_update(&state, parts[i].data, parts[i].size);
    crypto_auth_hmacsha256_final(&state, out);
}

/* What has gone over the wire, each way. */
struct transcript {
    uint8_t in[512];
    size_t in_size;
    uint8_t out[512];
    size_t out_size;
};

static bool is_proved(const struct transcript *t, bool messages)
{
    uint8_t right[32];
    const struct input parts[] = {{t->in, 72}, {t->out, 48}};
    mac(messages ? "libipc1 caller\0" : "libipc1 client\0", parts, 2, right);
    return t->in_size >= 104 && memcmp(t->in + 72, right, 32) == 0;
}

static bool is_answered(const struct transcript *t, bool messages)
{
    uint8_t right[32];
    const struct input parts[] = {
        {t->out, 72}, {t->in, 48}, {t->out + 72, 32}, {t->in + 48, 64}};
    mac(messages ? "libipc1 listen\0" : "libipc1 server\0", parts, 4, right);
    return t->in_size >= 144 && memcmp(t->in + 112, right, 32) == 0;
}

/* ---- one side ---- */

static void take_output(struct ipcm__shake *shake, struct transcript *t)
{
    const void *data;
    const size_t size = ipcm__shake_output(shake, &data);
    fuzz_assert(size <= IPCM__WELCOME_BYTES);
    fuzz_assert(t->out_size + size <= sizeof t->out);
    memcpy(t->out + t->out_size, data, size);
    t->out_size += size;
    ipcm__shake_sent(shake, size);
}

/* The next piece of the input, as long as its first byte says. */
static int feed(struct ipcm__shake *shake, struct input *input,
                struct transcript *t)
{
    uint8_t piece[128];
    const size_t wants = ipcm__shake_wants(shake);
    size_t size = next(input);
    fuzz_assert(wants <= IPCM__WELCOME_BYTES);
    if (size > wants)
        size = wants;
    if (size > input->size)
        size = input->size;
    memcpy(piece, input->data, size);
    input->data += size;
    input->size -= size;
    memcpy(t->in + t->in_size, piece, size);
    t->in_size += size;
    const int rc = ipcm__shake_feed(shake, piece, size);
    if (rc == IPCM__SHAKE_MORE && size < wants)
        fuzz_assert(ipcm__shake_wants(shake) == wants - size);
    return rc;
}

static void fuzz_side(struct input *input, enum ipcm__role role, bool messages)
{
    struct ipcm__shake shake;
    struct transcript t;
    int rc = IPCM__SHAKE_MORE;
    memset(&t, 0, sizeof t);
    begin(&shake, role, messages);
    while (rc == IPCM__SHAKE_MORE && input->size > 0) {
        take_output(&shake, &t);
        rc = feed(&shake, input, &t);
    }
    if (rc == IPCM__SHAKE_ASK) {
        fuzz_assert(role == IPCM__SERVER && is_proved(&t, messages));
        fuzz_assert(ipcm__shake_wants(&shake) == 0);
        ipcm__shake_accept(&shake, &welcome);
        take_output(&shake, &t);
        fuzz_assert(t.out_size == 48 + 96);
    } else if (rc == IPCM__SHAKE_DONE) {
        fuzz_assert(role == IPCM__CLIENT && is_answered(&t, messages));
    } else if (rc < 0) {
        fuzz_assert(rc == -EPROTO || rc == -EPROTONOSUPPORT || rc == -EACCES ||
                    rc == -EUSERS || rc == -EINVAL);
        fuzz_assert(ipcm__shake_wants(&shake) == 0);
        fuzz_assert(ipcm__shake_feed(&shake, "x", 1) == rc);
        take_output(&shake, &t);
    }
    if (role == IPCM__SERVER && rc == IPCM__SHAKE_MORE)
        fuzz_assert(!is_proved(&t, messages) || t.in_size < 104);
    ipcm__shake_end(&shake);
}

/* ---- both sides ---- */

/* A message, or what the input makes of it.  True: it is another one. */
static bool change(struct input *input, uint8_t *data, size_t size)
{
    uint8_t before[IPCM__WELCOME_BYTES];
    memcpy(before, data, size);
    for (uint8_t edits = next(input) & 3; edits > 0 && size > 0; edits--) {
        const uint8_t at = next(input);
        data[at % size] ^= next(input);
    }
    return memcmp(before, data, size) != 0;
}

static void fuzz_both(struct input *input, bool messages)
{
    struct ipcm__shake shakes[2];
    bool changed = false;
    int rc = IPCM__SHAKE_MORE;
    begin(&shakes[0], IPCM__CLIENT, messages);
    begin(&shakes[1], IPCM__SERVER, messages);
    for (int turn = 0; turn < 4 && rc == IPCM__SHAKE_MORE; turn++) {
        uint8_t data[IPCM__WELCOME_BYTES];
        const void *output;
        struct ipcm__shake *from = &shakes[turn & 1];
        struct ipcm__shake *to = &shakes[!(turn & 1)];
        const size_t size = ipcm__shake_output(from, &output);
        memcpy(data, output, size);
        ipcm__shake_sent(from, size);
        changed = change(input, data, size) || changed;
        fuzz_assert(ipcm__shake_wants(to) == size);
        const size_t first = size > 0 ? next(input) % size : 0;
        rc = ipcm__shake_feed(to, data, first);
        if (rc == IPCM__SHAKE_MORE)
            rc = ipcm__shake_feed(to, data + first, size - first);
        if (rc == IPCM__SHAKE_ASK) {
            fuzz_assert(!changed);
            ipcm__shake_accept(to, &welcome);
            rc = IPCM__SHAKE_MORE;
        }
    }
    fuzz_assert(changed ? rc < 0 : rc == IPCM__SHAKE_DONE);
    ipcm__shake_end(&shakes[0]);
    ipcm__shake_end(&shakes[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    const uint8_t how = next(&input);
    const bool messages = (how & 4) != 0;
    if ((how & 3) == 0)
        fuzz_side(&input, IPCM__SERVER, messages);
    else if ((how & 3) == 1)
        fuzz_side(&input, IPCM__CLIENT, messages);
    else
        fuzz_both(&input, messages);
    return 0;
}
