/* Wire: bytes to requests and replies, and back.  PROTOCOL.md sections 2 to 7.
 *
 * Nothing here does I/O, knows a handle or keeps anything but what is passed
 * in: the server, the client, the store, the tests and the fuzzer call the same
 * functions.
 *
 * Bytes that came from outside pass ipcm__wire_check() before anything else
 * sees them: one pass, without allocation, that knows afterwards that they are
 * one whole MessagePack array within the limits.  Only then are they read, by
 * flat.c or, if they nest, by msgpack-c.  Every ..._decode_...() does that by
 * itself.
 *
 * Containers among values are numbers here: an ipc_any whose type is
 * IPC_TYPE_LIST to _NAMESPACE has the object's number in .u64, in both
 * directions.  Who owns the handles puts numbers in and out.
 *
 * Decoded strings and bytes point into the bytes that were decoded, and are not
 * ended by zero.
 *
 * Errors here: -EPROTO the connection is to be closed; -EMSGSIZE the same, for
 * a limit; -EINVAL, -EILSEQ an error reply will do; -ENOMEM.  All have a detail
 * line.  Threads: one at a time for each buffer and decoder. */
#ifndef IPC_MANAGER_WIRE_H
#define IPC_MANAGER_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/any.h>

/* Operations of libipc's containers have the numbers of <ipc/remote.h>. */
enum ipcm__op {
    IPCM__OP_FIRST = 256,
    IPCM__OP_PING = 256,
    IPCM__OP_OPEN,
    IPCM__OP_REFER,
    IPCM__OP_DROP,
    IPCM__OP_REMOVE,
    IPCM__OP_NAMES,
    IPCM__OP_BATCH,
    IPCM__OP_CANCEL,
    IPCM__OP_GOODBYE,
    IPCM__OP_SHUTDOWN,
    IPCM__OP_COUNT,
    IPCM__OP_DEBUG,
    IPCM__OP_STATS,
    IPCM__OP_ARENA,
    IPCM__OP_LABEL,

    IPCM__OP_VALUE_GET = 320,
    IPCM__OP_VALUE_SET,
    IPCM__OP_VALUE_INCR,
    IPCM__OP_VALUE_CAS,

    IPCM__OP_ARRAY_GET = 336,
    IPCM__OP_ARRAY_SET,
    IPCM__OP_ARRAY_LENGTH,
    IPCM__OP_ARRAY_SLICE,
    IPCM__OP_ARRAY_PUT,

    IPCM__OP_QUEUE_PUT = 352,
    IPCM__OP_QUEUE_GET,
    IPCM__OP_QUEUE_TAKE,
    IPCM__OP_QUEUE_TAKE_DEAD,
    IPCM__OP_QUEUE_ACK,
    IPCM__OP_QUEUE_NACK,
    IPCM__OP_QUEUE_EXTEND,
    IPCM__OP_QUEUE_TASK_DONE,
    IPCM__OP_QUEUE_JOIN,
    IPCM__OP_QUEUE_CLOSE,
    IPCM__OP_QUEUE_INFO,

    IPCM__OP_LOCK_ACQUIRE = 384,
    IPCM__OP_LOCK_RELEASE,
    IPCM__OP_LOCK_CHECK,
    IPCM__OP_LOCK_IS_HELD,
    IPCM__OP_LOCK_TOKEN,

    IPCM__OP_SEMAPHORE_ACQUIRE = 400,
    IPCM__OP_SEMAPHORE_RELEASE,
    IPCM__OP_SEMAPHORE_VALUE,

    IPCM__OP_CONDITION_WAIT = 416,
    IPCM__OP_CONDITION_NOTIFY,

    IPCM__OP_EVENT_SET = 432,
    IPCM__OP_EVENT_CLEAR,
    IPCM__OP_EVENT_IS_SET,
    IPCM__OP_EVENT_WAIT,

    IPCM__OP_BARRIER_WAIT = 448,
    IPCM__OP_BARRIER_ENROLL,
    IPCM__OP_BARRIER_LEAVE,
    IPCM__OP_BARRIER_ABORT,
    IPCM__OP_BARRIER_RESET,
    IPCM__OP_BARRIER_INFO,

    IPCM__OP_CALL = 480
};

/* What kind of request it is, by its number: a table, used by both sides. */
#define IPCM__OP_KNOWN   1u  /* there is such an operation */
#define IPCM__OP_CHANGES 2u  /* doing it twice is not doing it once */
#define IPCM__OP_WAITS   4u  /* has an argument ns, and may be answered late */
#define IPCM__OP_BATCHES 8u  /* may be in a BATCH */
#define IPCM__OP_LOGGED  16u /* of a durable object: goes into the store */
uint32_t ipcm__op_flags(uint32_t op);

/* "LIST_APPEND", for logs and details; "?" if there is none. */
const char *ipcm__op_name(uint32_t op);

struct ipcm__wire_limits {
    uint32_t frame_bytes;
    uint32_t depth;
    uint32_t nodes;
};

/* ---- frames ---- */

#define IPCM__FRAME_HEAD 4u

/* The length in a frame's first four bytes.  -EMSGSIZE, -EPROTO it is 0. */
int ipcm__frame_length(const void *head, const struct ipcm__wire_limits *limits,
                       uint32_t *out);

/* Bytes to be sent.  Zero-filled is empty. */
struct ipcm__buffer {
    uint8_t *data;
    size_t begin; /* sent already up to here */
    size_t end;
    size_t room;
};

void ipcm__buffer_free(struct ipcm__buffer *buffer);

/* room for so many bytes more at end; NULL: -ENOMEM. */
uint8_t *ipcm__buffer_reserve(struct ipcm__buffer *buffer, size_t bytes);

/* n bytes at begin were sent.  An empty buffer that has grown large shrinks. */
void ipcm__buffer_sent(struct ipcm__buffer *buffer, size_t n);

/* ---- requests and replies ---- */

struct ipcm__request {
    uint64_t id;
    uint32_t op;
    uint64_t object;
    const ipc_any *args;
    size_t count;

    /* BATCH only, which has no args: ids are 0. */
    const struct ipcm__request *calls;
    size_t call_count;
};

struct ipcm__reply {
    uint64_t id;
    int64_t status;
    const char *detail; /* negative status: NULL, or detail_bytes of text */
    size_t detail_bytes;
    const ipc_any *results;
    size_t count;

    /* Of a BATCH that was done, which has no results: ids are 0. */
    const struct ipcm__reply *calls;
    size_t call_count;
};

/* Append a frame, length and all.  An error leaves the buffer as it was.
 * -EMSGSIZE longer than frame_bytes, or more nodes. */
int ipcm__encode_request(struct ipcm__buffer *buffer,
                         const struct ipcm__wire_limits *limits,
                         const struct ipcm__request *request);
int ipcm__encode_reply(struct ipcm__buffer *buffer,
                       const struct ipcm__wire_limits *limits,
                       const struct ipcm__reply *reply);

/* One array of values, without a length before it: what the store keeps. */
int ipcm__encode_values(struct ipcm__buffer *buffer,
                        const struct ipcm__wire_limits *limits,
                        const ipc_any *values, size_t count);

/* Memory that decoding uses again and again. */
struct ipcm__decoder;
int ipcm__decoder_new(const struct ipcm__wire_limits *limits,
                      struct ipcm__decoder **out);
void ipcm__decoder_free(struct ipcm__decoder *decoder);

/* A frame without its length.  *out is good until the decoder's next use, and
 * as long as the bytes are. */
int ipcm__decode_request(struct ipcm__decoder *decoder, const void *data,
                         size_t bytes, struct ipcm__request *out);
int ipcm__decode_reply(struct ipcm__decoder *decoder, const void *data,
                       size_t bytes, struct ipcm__reply *out);
int ipcm__decode_values(struct ipcm__decoder *decoder, const void *data,
                        size_t bytes, const ipc_any **out, size_t *count);

/* The one pass: 0 or an error, as above.  nodes (may be NULL): how many there
 * are. */
int ipcm__wire_check(const void *data, size_t bytes,
                     const struct ipcm__wire_limits *limits, uint32_t *nodes);

/* Is it UTF-8, without surrogates and what is longer than it need be? */
bool ipcm__utf8(const void *data, size_t bytes);

/* ---- arguments ----
 *
 * Readers for who answers requests: the argument at a place, of that type and
 * within these bounds, or -EINVAL with a detail that says which. */
int ipcm__arg_i64(const struct ipcm__request *request, size_t place,
                  int64_t low, int64_t high, int64_t *out);
int ipcm__arg_u64(const struct ipcm__request *request, size_t place,
                  uint64_t *out);
int ipcm__arg_bool(const struct ipcm__request *request, size_t place,
                   bool *out);
int ipcm__arg_str(const struct ipcm__request *request, size_t place,
                  const char **out, size_t *bytes);

/* Exactly so many arguments, or from low to high. */
int ipcm__arg_count(const struct ipcm__request *request, size_t low,
                    size_t high);

#endif
