/* The decoder, and the values in what msgpack-c makes of a frame. */
#ifndef IPC_MANAGER_WIRE_DECODER_H
#define IPC_MANAGER_WIRE_DECODER_H

#include <msgpack.h>

#include "wire/wire.h"

struct ipcm__decoder {
    struct ipcm__wire_limits limits;
    msgpack_zone zone;
    ipc_any *values;
    size_t value_room;
    size_t value_count;
    struct ipcm__request *calls;
    size_t call_room;
    struct ipcm__reply *answers;
    size_t answer_room;
};

struct ipcm__tree {
    const msgpack_object *items;
    size_t count;
    bool cut; /* it nests too deep to mean anything: count of them are there */
};

/* An array with room for so many; what is in it is not kept.  NULL: no
 * memory, and the old one is gone. */
void *ipcm__decoder_room(void *array, size_t *room, size_t need, size_t unit);

/* A frame without its length, checked.  *out is good until the next one. */
int ipcm__tree_read(struct ipcm__decoder *decoder, const void *data,
                    size_t bytes, struct ipcm__tree *out);

/* So many values, one behind the other, none of which is an array or a map. */
void ipcm__flat_read(const void *values, msgpack_object *out, size_t count);

bool ipcm__tree_is_integer(const msgpack_object *object);

/* Values from objects, which find room in the decoder.  strict: strings must be
 * UTF-8. */
int ipcm__tree_values(struct ipcm__decoder *decoder,
                      const msgpack_object *objects, size_t count, bool strict,
                      const ipc_any **out);

#endif
