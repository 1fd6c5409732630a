/* The two sides of the handshake, and what they have in common. */
#ifndef IPC_MANAGER_WIRE_HANDSHAKE_PARTS_H
#define IPC_MANAGER_WIRE_HANDSHAKE_PARTS_H

#include <stdbool.h>

#include "wire/handshake.h"

enum ipcm__shake_state {
    IPCM__SERVER_HELLO = 1, /* is awaited */
    IPCM__SERVER_PROOF,
    IPCM__SERVER_ASKS,
    IPCM__SERVER_ACCEPTED,
    IPCM__CLIENT_CHALLENGE,
    IPCM__CLIENT_WELCOME,
    IPCM__CLIENT_DONE,
    IPCM__SHAKE_OVER /* refused, or an error */
};

#define MAGIC_BYTES 8u
#define LABEL_BYTES 16u

/* Where things are in messages: see PROTOCOL.md. */
#define AT_VERSION       8u
#define AT_PURPOSE       12u /* HELLO */
#define AT_STATUS        12u /* CHALLENGE, WELCOME */
#define AT_NONCE         16u
#define AT_HELLO_SESSION 48u
#define AT_HELLO_PID     64u
#define AT_SESSION       16u /* WELCOME, this and the following */
#define AT_INSTANCE      32u
#define AT_FLAGS         40u
#define AT_FRAME_BYTES   44u
#define AT_IN_FLIGHT     48u
#define AT_GRACE         52u
#define AT_DEPTH         56u
#define AT_NODES         60u
#define AT_MAC           64u

/* The HMAC of a role; the server's covers the client's, and WELCOME up to its
 * own. */
void ipcm__shake_prove(const struct ipcm__shake *shake, enum ipcm__role role,
                       const uint8_t *welcome, uint8_t out[IPCM__MAC_BYTES]);
bool ipcm__shake_is_proof(const struct ipcm__shake *shake, enum ipcm__role role,
                          const uint8_t *welcome, const uint8_t *mac);

/* What all but PROOF begin with; number: status or purpose. */
void ipcm__shake_head(uint8_t *to, uint32_t number);

void ipcm__shake_send(struct ipcm__shake *shake, const void *message,
                      uint32_t bytes);

/* The error that ends it; returns it. */
int ipcm__shake_give_up(struct ipcm__shake *shake, int error);

/* in[] has grown: results of ipcm__shake_feed(). */
int ipcm__shake_hello(struct ipcm__shake *shake);
int ipcm__shake_proof(struct ipcm__shake *shake);
int ipcm__shake_challenge(struct ipcm__shake *shake);
int ipcm__shake_welcome(struct ipcm__shake *shake);

#endif
