/* What the server shows of this client to people.
 *
 * Sent in every connection, before what waits for it and without waiting for an
 * answer: whether the session has come back or not, the server may have put
 * something else there. */
#include "client/link.h"

#include <stdlib.h>
#include <string.h>

/* Where a text of so many bytes can be cut: not within a character. */
static size_t cut(const char *text, size_t bytes)
{
    while (bytes > 0 && ((unsigned char)text[bytes] & 0xc0) == 0x80)
        bytes--;
    return bytes;
}

void ipcm__label_take(ipc_manager *manager, const char *label)
{
    size_t bytes = label != NULL ? strlen(label) : 0;
    if (bytes >= sizeof manager->label)
        bytes = cut(label, sizeof manager->label - 1);
    if (bytes > 0)
        memcpy(manager->label, label, bytes);
    manager->label[bytes] = '\0';
}

void ipcm__link_label(struct ipcm__link *link)
{
    const char *label = link->manager->label;
    if (label[0] == '\0')
        return;
    struct ipcm__ask *ask = calloc(1, sizeof *ask + sizeof(ipc_any));
    if (ask == NULL)
        return; /* it is for people only */
    ipc_any *arg = (ipc_any *)(void *)(ask + 1);
    *arg = ipc_str(label);
    ask->request.op = IPCM__OP_LABEL;
    ask->request.args = arg;
    ask->request.count = 1;
    list_append(&link->queue, &ask->place);
}
