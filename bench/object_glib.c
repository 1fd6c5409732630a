/* GLib's hash table under its mutex: a dict for the threads of one process. */
#include "object_peer.h"

#include <err.h>
#include <glib.h>
#include <stdlib.h>

struct glib_dict {
    GMutex mutex;
    GHashTable *table;
};

static void *make(size_t members)
{
    struct glib_dict *dict = g_new0(struct glib_dict, 1);

    (void)members;
    g_mutex_init(&dict->mutex);
    dict->table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return dict;
}

static void drop(void *object)
{
    struct glib_dict *dict = object;

    g_hash_table_destroy(dict->table);
    g_mutex_clear(&dict->mutex);
    g_free(dict);
}

static uint64_t set(void *object, size_t member,
                    const struct object_item *items, size_t count)
{
    struct glib_dict *dict = object;

    (void)member;
    for (size_t i = 0; i < count; i++) {
        g_mutex_lock(&dict->mutex);
        g_hash_table_insert(dict->table, g_strdup(items[i].key),
                            GSIZE_TO_POINTER(items[i].number));
        g_mutex_unlock(&dict->mutex);
    }
    return 0;
}

static uint64_t get(void *object, size_t member,
                    const struct object_item *items, size_t count)
{
    struct glib_dict *dict = object;
    uint64_t sum = 0;

    (void)member;
    for (size_t i = 0; i < count; i++) {
        gpointer value;

        g_mutex_lock(&dict->mutex);
        if (!g_hash_table_lookup_extended(dict->table, items[i].key, NULL,
                                          &value))
            errx(EXIT_FAILURE, "%s is missing", items[i].key);
        sum += GPOINTER_TO_SIZE(value);
        g_mutex_unlock(&dict->mutex);
    }
    return sum;
}

static uint64_t length(void *object, enum object_op op)
{
    struct glib_dict *dict = object;

    (void)op;
    return g_hash_table_size(dict->table);
}

const struct object_peer object_peers_glib[] = {
    {.name = "BASE-GHashTable-threads",
     .threads = true,
     .grow_max = UINT64_MAX,
     .make = make,
     .drop = drop,
     .run = {[DICT_SET] = set, [DICT_GET] = get},
     .length = length},
    {0},
};
