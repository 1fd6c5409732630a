/* References: which objects a session has handles to, and how many. */
#include <errno.h>
#include <stdlib.h>

#include "fail.h"
#include "server/core.h"

struct ipcm__references {
    struct ipcm__map counts; /* object -> how many, as a pointer */
};

int ipcm__references_new(struct ipcm__references **out)
{
    *out = calloc(1, sizeof **out);
    return *out != NULL ? 0 : ipcm__fail(-ENOMEM, "no memory for a session");
}

static uintptr_t count_of(const struct ipcm__session *session,
                          const struct ipcm__object *object)
{
    return (uintptr_t)ipcm__map_get(&session->references->counts, object->id);
}

int ipcm__session_refer(struct ipcm__session *session,
                        struct ipcm__object *object)
{
    const struct ipcm__server *server = object->server;
    struct ipcm__map *counts = &session->references->counts;
    const uintptr_t had = count_of(session, object);
    if (had == 0 && counts->count >= server->limits->session_objects)
        return ipcm__fail(-EDQUOT,
                          "the session has %zu objects: session_objects is %u; "
                          "see ipc_manager_drop()",
                          counts->count, server->limits->session_objects);
    int rc = 0;
    if (object->kind->type != 0)
        rc = ipcm__place_hold(object);
    if (rc == 0)
        rc = ipcm__map_put(counts, object->id, (void *)(had + 1));
    if (rc < 0)
        return rc;
    list_remove(&object->of_loose);
    object->references++;
    return 0;
}

void ipcm__session_unrefer(struct ipcm__session *session,
                           struct ipcm__object *object, uint64_t n)
{
    struct ipcm__map *counts = &session->references->counts;
    const uintptr_t had = count_of(session, object);
    const uintptr_t less = n < had ? (uintptr_t)n : had;
    if (less == 0)
        return;
    if (less == had)
        (void)ipcm__map_take(counts, object->id);
    else /* it is there: nothing is allocated */
        (void)ipcm__map_put(counts, object->id, (void *)(had - less));
    object->references -= less;
    ipcm__object_look(object);
}

void ipcm__references_end(struct ipcm__session *session)
{
    struct ipcm__references *references = session->references;
    size_t at = 0;
    uint64_t id;
    void *count;
    if (references == NULL)
        return;
    while ((count = ipcm__map_next(&references->counts, &at, &id)) != NULL) {
        struct ipcm__object *object =
            ipcm__map_get(&session->server->objects, id);
        if (object == NULL)
            continue;
        object->references -= (uintptr_t)count;
        ipcm__object_look(object);
    }
    ipcm__map_free(&references->counts);
    free(references);
    session->references = NULL;
}
