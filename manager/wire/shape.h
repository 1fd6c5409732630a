/* What the one pass over a frame knows of it, for the decoder. */
#ifndef IPC_MANAGER_WIRE_SHAPE_H
#define IPC_MANAGER_WIRE_SHAPE_H

#include "wire/wire.h"

/* No limit on the depth goes beyond. */
#define IPCM__DEPTH_MAX 64u

/* Type of the MessagePack ext that a container is, and its bytes. */
#define IPCM__EXT_CONTAINER 1
#define IPCM__EXT_BYTES     9u

struct ipcm__shape {
    uint32_t nodes; /* values, arrays included */
    uint32_t depth; /* 1: the array itself is all */
};

/* ipcm__wire_check(), with more to tell. */
int ipcm__wire_shape(const void *data, size_t bytes,
                     const struct ipcm__wire_limits *limits,
                     struct ipcm__shape *out);

#endif
