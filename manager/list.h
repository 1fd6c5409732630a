/* Lists of things that have a place for it in themselves.
 *
 *     struct call { struct list of_object; };
 *     struct list waiting;
 *     list_init(&waiting);
 *     list_append(&waiting, &call->of_object);
 *
 *     struct list *at, *next;
 *     for (at = waiting.next; at != &waiting; at = next) {
 *         next = at->next;
 *         struct call *call = list_entry(at, struct call, of_object);
 *         ...                                  // call may be removed
 *     }
 *
 * A place that is in no list points to itself, so removing twice is fine. */
#ifndef IPC_MANAGER_LIST_H
#define IPC_MANAGER_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *previous;
};

#define list_entry(at, type, member)                                           \
    ((type *)(void *)((char *)(at)-offsetof(type, member)))

static inline void list_init(struct list *list)
{
    list->next = list;
    list->previous = list;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_append(struct list *list, struct list *place)
{
    place->next = list;
    place->previous = list->previous;
    list->previous->next = place;
    list->previous = place;
}

static inline void list_prepend(struct list *list, struct list *place)
{
    list_append(list->next, place);
}

static inline void list_remove(struct list *place)
{
    place->next->previous = place->previous;
    place->previous->next = place->next;
    list_init(place);
}

#endif
