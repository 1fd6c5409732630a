/* Two sides of a handshake, for tests. */
#ifndef MANAGER_HANDSHAKE_SUPPORT_H
#define MANAGER_HANDSHAKE_SUPPORT_H

#include "harness/harness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <ipc/error.h>
#include <ipc/manager.h>

#include "wire/bytes.h"
#include "wire/handshake.h"

static uint8_t key[32];
static uint8_t other_key[32];
static const struct ipcm__welcome welcome = {
    .session = {0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
                0x11, 0x11, 0x11, 0x11, 0x11, 0x11},
    .instance = UINT64_C(0x0123456789abcdef),
    .flags = IPCM__WELCOME_ARENA,
    .frame_bytes = 1u << 20,
    .in_flight = 64,
    .depth = 16,
    .nodes = 65536,
};

static inline void make_keys(void)
{
    for (size_t i = 0; i < sizeof key; i++) {
        key[i] = (uint8_t)i;
        other_key[i] = (uint8_t)(255 - i);
    }
}

static inline struct ipcm__shake_options options_of(const uint8_t *its_key)
{
    make_keys();
    return (struct ipcm__shake_options){.purpose = IPCM__FOR_MANAGER,
                                        .key = its_key,
                                        .key_bytes = sizeof key,
                                        .pid = 4711};
}

static inline void begin(struct ipcm__shake *shake, enum ipcm__role role,
                         const uint8_t *its_key)
{
    const struct ipcm__shake_options options = options_of(its_key);
    assert_int_equal(ipcm__shake_begin(shake, role, &options), 0);
}

/* What one has to say, all of it, to the other: the result of feeding it. */
static inline int hand_over(struct ipcm__shake *from, struct ipcm__shake *to)
{
    const void *data;
    const size_t bytes = ipcm__shake_output(from, &data);
    const int rc = ipcm__shake_feed(to, data, bytes);
    ipcm__shake_sent(from, bytes);
    return rc;
}

/* The same, and keep it. */
static inline int tap(struct ipcm__shake *from, struct ipcm__shake *to,
                      uint8_t *kept)
{
    const void *data;
    const size_t bytes = ipcm__shake_output(from, &data);
    memcpy(kept, data, bytes);
    return hand_over(from, to);
}

/* Up to the server's question. */
static inline void reach_ask(struct ipcm__shake *client,
                             struct ipcm__shake *server)
{
    assert_int_equal(hand_over(client, server), IPCM__SHAKE_MORE);
    assert_int_equal(hand_over(server, client), IPCM__SHAKE_MORE);
    assert_int_equal(hand_over(client, server), IPCM__SHAKE_ASK);
}

#endif
