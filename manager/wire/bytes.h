/* Numbers in bytes, whatever the machine's own order is. */
#ifndef IPC_MANAGER_WIRE_BYTES_H
#define IPC_MANAGER_WIRE_BYTES_H

#include <stdint.h>

static inline uint32_t ipcm__get32le(const void *from)
{
    const uint8_t *b = (const uint8_t *)from;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
           (uint32_t)b[3] << 24;
}

static inline void ipcm__put32le(void *to, uint32_t value)
{
    uint8_t *b = (uint8_t *)to;
    for (int i = 0; i < 4; i++)
        b[i] = (uint8_t)(value >> 8 * i);
}

static inline uint64_t ipcm__get64le(const void *from)
{
    const uint8_t *b = (const uint8_t *)from;
    return (uint64_t)ipcm__get32le(b) | (uint64_t)ipcm__get32le(b + 4) << 32;
}

static inline void ipcm__put64le(void *to, uint64_t value)
{
    uint8_t *b = (uint8_t *)to;
    ipcm__put32le(b, (uint32_t)value);
    ipcm__put32le(b + 4, (uint32_t)(value >> 32));
}

/* As MessagePack has them: 1 to 8 bytes, the highest first. */
static inline uint64_t ipcm__get_be(const void *from, unsigned bytes)
{
    const uint8_t *b = (const uint8_t *)from;
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | b[i];
    return value;
}

static inline void ipcm__put_be(void *to, uint64_t value, unsigned bytes)
{
    uint8_t *b = (uint8_t *)to;
    for (unsigned i = bytes; i > 0; i--) {
        b[i - 1] = (uint8_t)value;
        value >>= 8;
    }
}

#endif
