/* Names of objects.
 *
 * State
 *   names      keyed hash of a name -> the first object whose name has it
 *   name_list  those with a name, in the order in which they came */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fail.h"
#include "server/core.h"

uint64_t ipcm__hash(const struct ipcm__server *server, const void *data,
                    size_t bytes)
{
    _Static_assert(crypto_shorthash_BYTES == sizeof(uint64_t) &&
                       crypto_shorthash_KEYBYTES == sizeof server->hash_key,
                   "SipHash-2-4");
    uint64_t hash;
    (void)crypto_shorthash((unsigned char *)&hash, data, bytes,
                           server->hash_key);
    return hash;
}

static bool is_it(const struct ipcm__object *object, const char *name,
                  size_t bytes)
{
    return object->name_bytes == bytes &&
           memcmp(object->name, name, bytes) == 0;
}

struct ipcm__object *ipcm__name_find(struct ipcm__server *server,
                                     const char *name, size_t bytes)
{
    struct ipcm__object *at =
        ipcm__map_get(&server->names, ipcm__hash(server, name, bytes));
    while (at != NULL && !is_it(at, name, bytes))
        at = at->next_of_name;
    return at;
}

int ipcm__name_check(const struct ipcm__server *server, const char *name,
                     size_t bytes)
{
    if (bytes == 0)
        return ipcm__fail(-EINVAL, "an empty name");
    if (bytes > server->limits->key_bytes)
        return ipcm__fail(-EINVAL, "a name of %zu bytes: key_bytes is %u",
                          bytes, server->limits->key_bytes);
    if (name[0] == '#')
        return ipcm__fail(-EINVAL, "a name does not begin with '#'");
    if (memchr(name, 0, bytes) != NULL)
        return ipcm__fail(-EINVAL, "a zero byte in a name");
    return 0;
}

int ipcm__name_add(struct ipcm__object *object, const char *name, size_t bytes)
{
    struct ipcm__server *server = object->server;
    const uint64_t hash = ipcm__hash(server, name, bytes);
    char *copy = malloc(bytes + 1);
    if (copy == NULL)
        return ipcm__fail(-ENOMEM, "no memory for a name");
    memcpy(copy, name, bytes);
    copy[bytes] = 0;
    struct ipcm__object *others = ipcm__map_get(&server->names, hash);
    const int rc = ipcm__map_put(&server->names, hash, object);
    if (rc < 0) {
        free(copy);
        return rc;
    }
    object->next_of_name = others;
    object->name = copy;
    object->name_bytes = bytes;
    list_append(&server->name_list, &object->of_names);
    return 0;
}

void ipcm__name_remove(struct ipcm__object *object)
{
    struct ipcm__server *server = object->server;
    if (object->name == NULL)
        return;
    const uint64_t hash = ipcm__hash(server, object->name, object->name_bytes);
    struct ipcm__object *first = ipcm__map_get(&server->names, hash);
    if (first == object) {
        (void)ipcm__map_take(&server->names, hash);
        if (object->next_of_name != NULL) /* there is room: one was taken */
            (void)ipcm__map_put(&server->names, hash, object->next_of_name);
    } else {
        while (first != NULL && first->next_of_name != object)
            first = first->next_of_name;
        if (first != NULL)
            first->next_of_name = object->next_of_name;
    }
    list_remove(&object->of_names);
    free(object->name);
    object->name = NULL;
    object->name_bytes = 0;
    object->next_of_name = NULL;
}
