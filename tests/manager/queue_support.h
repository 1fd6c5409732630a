/* Queues of a manager, for who tests them. */
#ifndef MANAGER_QUEUE_SUPPORT_H
#define MANAGER_QUEUE_SUPPORT_H

#include "manager/kinds_support.h"

#define PUT       IPCM__OP_QUEUE_PUT
#define GET       IPCM__OP_QUEUE_GET
#define TAKE      IPCM__OP_QUEUE_TAKE
#define TAKE_DEAD IPCM__OP_QUEUE_TAKE_DEAD
#define ACK       IPCM__OP_QUEUE_ACK
#define NACK      IPCM__OP_QUEUE_NACK
#define EXTEND    IPCM__OP_QUEUE_EXTEND
#define TASK_DONE IPCM__OP_QUEUE_TASK_DONE
#define JOIN      IPCM__OP_QUEUE_JOIN
#define CLOSE     IPCM__OP_QUEUE_CLOSE
#define INFO      IPCM__OP_QUEUE_INFO

#define FOREVER ipc_i64(-1)
#define NOW     ipc_i64(0)
#define NONE    ipc_i64(0) /* priority */

static struct client *a, *b, *c;

static inline void begin_queues(void)
{
    server_begin();
    a = client_new();
    b = client_new();
    c = client_new();
}

#define put(queue, value) does(a, PUT, queue, 0, value, NONE, NOW)

/* The token of a take that was answered. */
static inline uint64_t token_of(const struct client *client, uint64_t id)
{
    const struct answer *answer = find_answer(client, id);
    assert_non_null(answer);
    assert_int_equal(answer->status, 0);
    const char *last = strrchr(answer->text, ' ');
    const char *token = last;
    while (token[-1] != ' ')
        token--;
    return strtoull(token, NULL, 10);
}

static inline uint64_t take(struct client *client, uint64_t queue)
{
    return token_of(client, ask(client, TAKE, queue, NOW));
}

#endif
