/* Frames: the length before them, and the buffer in which they are put
 * together. */
#include "wire/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "wire/bytes.h"

#define FIRST_ROOM 512u
/* An empty buffer with more room than this gives it back. */
#define KEPT_ROOM ((size_t)64 << 10)
/* No limit of a server's lets more than this come together. */
#define MOST_ROOM ((size_t)1 << 33)

int ipcm__frame_length(const void *head, const struct ipcm__wire_limits *limits,
                       uint32_t *out)
{
    const uint32_t length = ipcm__get32le(head);
    if (length == 0)
        return ipcm__fail(-EPROTO, "an empty frame");
    if (length > limits->frame_bytes)
        return ipcm__fail(
            -EMSGSIZE, "a frame of %" PRIu32 " bytes: frame_bytes is %" PRIu32,
            length, limits->frame_bytes);
    *out = length;
    return 0;
}

void ipcm__buffer_free(struct ipcm__buffer *buffer)
{
    free(buffer->data);
    memset(buffer, 0, sizeof *buffer);
}

/* What was sent already makes room again, once it is at least as much as what
 * would have to be moved. */
static void close_up(struct ipcm__buffer *buffer)
{
    const size_t used = buffer->end - buffer->begin;
    if (buffer->begin == 0 || buffer->begin < used)
        return;
    memmove(buffer->data, buffer->data + buffer->begin, used);
    buffer->begin = 0;
    buffer->end = used;
}

uint8_t *ipcm__buffer_reserve(struct ipcm__buffer *buffer, size_t bytes)
{
    if (buffer->data != NULL && bytes <= buffer->room - buffer->end)
        return buffer->data + buffer->end;
    if (buffer->data != NULL)
        close_up(buffer);
    if (bytes > MOST_ROOM - buffer->end)
        return NULL;
    size_t room = buffer->room < FIRST_ROOM ? FIRST_ROOM : buffer->room;
    while (room < buffer->end + bytes)
        room *= 2;
    if (room != buffer->room) {
        uint8_t *data = realloc(buffer->data, room);
        if (data == NULL)
            return NULL;
        buffer->data = data;
        buffer->room = room;
    }
    return buffer->data + buffer->end;
}

void ipcm__buffer_sent(struct ipcm__buffer *buffer, size_t n)
{
    buffer->begin += n;
    if (buffer->begin < buffer->end)
        return;
    buffer->begin = 0;
    buffer->end = 0;
    if (buffer->room > KEPT_ROOM)
        ipcm__buffer_free(buffer);
}
