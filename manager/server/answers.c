/* Answers: the last ones of a session that may come back.
 *
 * A ring of as many as may be unanswered at a time: who has come back repeats
 * no others.  When they take more than session_reply_bytes the oldest are
 * forgotten, but for the fact. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "server/core.h"

struct answer {
    uint64_t id; /* 0: none */
    uint8_t *frame;
    size_t bytes;
};

struct ipcm__answers {
    size_t room;
    size_t next;
    size_t bytes; /* of all frames */
    size_t most;
    struct answer items[];
};

int ipcm__answers_new(struct ipcm__server *server, struct ipcm__answers **out)
{
    const size_t room = server->limits->in_flight;
    struct ipcm__answers *answers =
        calloc(1, sizeof *answers + room * sizeof answers->items[0]);
    if (answers == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a session");
    answers->room = room;
    answers->most = server->limits->session_reply_bytes;
    *out = answers;
    return 0;
}

static void forget(struct ipcm__answers *answers, struct answer *answer)
{
    answers->bytes -= answer->bytes;
    free(answer->frame);
    answer->frame = NULL;
    answer->bytes = 0;
}

void ipcm__answers_free(struct ipcm__answers *answers)
{
    if (answers == NULL)
        return;
    for (size_t i = 0; i < answers->room; i++)
        forget(answers, &answers->items[i]);
    free(answers);
}

int ipcm__answers_add(struct ipcm__answers *answers, uint64_t id,
                      const void *frame, size_t bytes)
{
    struct answer *answer = &answers->items[answers->next];
    forget(answers, answer);
    answer->id = id;
    answers->next = (answers->next + 1) % answers->room;
    if (frame == NULL || bytes > answers->most)
        return 0;
    for (size_t i = answers->next; answers->bytes + bytes > answers->most;
         i = (i + 1) % answers->room)
        forget(answers, &answers->items[i]);
    answer->frame = malloc(bytes);
    if (answer->frame == NULL)
        return ipcm__fail(-ENOMEM, "no memory for an answer");
    memcpy(answer->frame, frame, bytes);
    answer->bytes = bytes;
    answers->bytes += bytes;
    return 0;
}

int ipcm__answers_find(const struct ipcm__answers *answers, uint64_t id,
                       const void **frame, size_t *bytes)
{
    for (size_t i = 0; i < answers->room; i++)
        if (answers->items[i].id == id) {
            *frame = answers->items[i].frame;
            *bytes = answers->items[i].bytes;
            return 1;
        }
    return 0;
}
