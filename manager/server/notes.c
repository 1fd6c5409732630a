/* Notes: what a call has done, until one knows that it holds.
 *
 * A call on containers may fail as late as its reply is encoded, or the batch
 * that it is part of.  Until then what the store is to get, and the references
 * that the reply hands out, are notes. */
#include <errno.h>
#include <stdlib.h>

#include "fail.h"
#include "server/core.h"

static int room_for(void *items, size_t *room, size_t count, size_t size)
{
    void **at = items;
    if (count < *room)
        return 0;
    const size_t more = *room != 0 ? *room * 2 : 16;
    void *grown = reallocarray(*at, more, size);
    if (grown == NULL)
        return ipcm__fail(-ENOMEM, "no memory for %zu notes", more);
    *at = grown;
    *room = more;
    return 0;
}

static int add(struct ipcm__object *object, const struct ipcm__note *note)
{
    struct ipcm__notes *notes = &object->server->notes;
    if (object->server->keeper == NULL)
        return 0;
    const int rc = room_for(&notes->items, &notes->room, notes->count,
                            sizeof *notes->items);
    if (rc == 0)
        notes->items[notes->count++] = *note;
    return rc;
}

int ipcm__note_made(struct ipcm__object *object, const ipc_any *options,
                    size_t count)
{
    const struct ipcm__note note = {object, 0, options, count, {NULL, 0}};
    return add(object, &note);
}

int ipcm__note_done(struct ipcm__object *object, uint32_t op,
                    const ipc_any *args, size_t count)
{
    const struct ipcm__note note = {object, op, args, count, {NULL, 0}};
    return add(object, &note);
}

int ipcm__note_moved(struct ipcm__object *object, uint32_t op, ipc_anys *args)
{
    const struct ipcm__note note = {object, op, NULL, 0, *args};
    const int rc = object->server->keeper != NULL ? add(object, &note) : 0;
    if (rc < 0 || object->server->keeper == NULL)
        ipcm__results_end(args);
    *args = (ipc_anys){NULL, 0};
    return rc;
}

int ipcm__note_referred(struct ipcm__object *object)
{
    struct ipcm__notes *notes = &object->server->notes;
    const int rc =
        room_for(&notes->referred, &notes->referred_room, notes->referred_count,
                 sizeof(struct ipcm__object *));
    if (rc == 0)
        notes->referred[notes->referred_count++] = object;
    return rc;
}

static void clear(struct ipcm__notes *notes)
{
    for (size_t i = 0; i < notes->count; i++)
        ipcm__results_end(&notes->items[i].owned);
    notes->count = 0;
    notes->referred_count = 0;
    notes->named = NULL;
}

void ipcm__notes_keep(struct ipcm__server *server)
{
    struct ipcm__notes *notes = &server->notes;
    for (size_t i = 0; i < notes->count; i++) {
        const struct ipcm__note *note = &notes->items[i];
        const bool is_owned = note->owned.items != NULL;
        const ipc_any *args = is_owned ? note->owned.items : note->args;
        const size_t count = is_owned ? note->owned.count : note->count;
        /* An error spoils the group, and is told by its commit. */
        if (note->op == 0)
            (void)ipcm__keeper_add(server->keeper, note->object, args, count);
        else
            (void)ipcm__keep(note->object, note->op, args, count);
    }
    clear(notes);
}

void ipcm__notes_undo(struct ipcm__server *server,
                      struct ipcm__session *session)
{
    struct ipcm__notes *notes = &server->notes;
    struct ipcm__object *named = notes->named;
    const size_t referred = notes->referred_count;
    clear(notes);
    if (named != NULL)
        ipcm__name_remove(named);
    for (size_t i = 0; i < referred; i++)
        ipcm__session_unrefer(session, notes->referred[i], 1);
}

void ipcm__notes_free(struct ipcm__server *server)
{
    clear(&server->notes);
    free(server->notes.items);
    free(server->notes.referred);
    server->notes = (struct ipcm__notes){NULL};
}
