/* Check mode: the graph of who waits for whom.
 *
 * State
 *   slot.waits_for   in every region where a thread has a slot: the object it
 *                    sleeps on, 0 for none.  Written by that thread, in check
 *                    mode only; read by anybody
 *
 * An object is named by a number that means the same in all processes: 8 bits
 * of its region's id, which of its words it is, and the offset there; or 0 and
 * its address, for private memory, which only threads of the same process
 * understand.  From the object follows its owner (the word says), from the owner what that one waits for
 * (one of its slots says), and so on.  A circle is one that leads back to the
 * caller.
 *
 * Order
 *   [wait→look]  each thread writes what it waits for before it looks, with
 *   full barriers in between: of those in a circle at least the last one to
 *   write sees all of it.
 *
 * Death
 *   Who dies waiting leaves its number in slots of the dead, which are not
 *   looked at, and wiped by who claims them. */
#include "core/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/owner.h"
#include "core/peers.h"
#include "core/region.h"

#define UNKNOWN 2u

uint32_t ipc__check_mode = UNKNOWN;

/* ---- on and off ---- */

bool ipc__check_begin(void)
{
    const char *text = getenv("IPC_CHECK");
    const bool on = text != NULL && text[0] != '\0' && strcmp(text, "0") != 0;
    (void)cas32_relaxed(&ipc__check_mode, UNKNOWN, on ? 1 : 0);
    return load_relaxed(&ipc__check_mode) == 1;
}

bool ipc_check_enable(bool on)
{
    const bool before = ipc__checking();
    store_relaxed(&ipc__check_mode, on ? 1 : 0);
    return before;
}

bool ipc_check_is_enabled(void)
{
    return ipc__checking();
}

/* ---- numbers for objects ---- */

#define OFFSET_MASK (((uint64_t)1 << 48) - 1)
#define WORD_SHIFT  48 /* how many words after its head, 8 bits */
#define TAG_SHIFT   56

/* Not 0. */
static uint64_t tag_of(const struct ipc__region *region)
{
    return (region->facts.id | 1) << TAG_SHIFT;
}

static uint64_t number_of(const struct ipc__owned *object, const uint64_t *word)
{
    const struct ipc__region *region = ipc__region_find(object, NULL, NULL);
    const uint64_t base = (uint64_t)(uintptr_t)region;
    const uint64_t tag = region != NULL ? tag_of(region) : 0;
    const uint64_t index = (uint64_t)(word - &object->word) & 0xff;
    return tag | index << WORD_SHIFT |
           (((uint64_t)(uintptr_t)object - base) & OFFSET_MASK);
}

static uint32_t word_index(uint64_t number)
{
    return (uint32_t)(number >> WORD_SHIFT) & 0xff;
}

/* What is read of an object while it is sure to be mapped. */
struct object {
    uint64_t number;
    const void *address; /* NULL: this process does not see it */
    uint64_t word;
    char label[24];
};

static void read_object(struct object *object, const void *address)
{
    const struct ipc__owned *owned = address;
    const uint32_t index = word_index(object->number);
    object->address = address;
    object->word = load_acquire(&owned->word + index);
    if (index != 0) /* a reader's: how often it reads is in there too */
        object->word &= ~(uint64_t)IPC__OWNER_SPARE;
    memcpy(object->label, owned->label, sizeof object->label);
    object->label[sizeof object->label - 1] = '\0';
}

static bool read_if_here(struct ipc__region *region, void *arg)
{
    struct object *object = arg;
    const uint64_t offset = object->number & OFFSET_MASK;
    const uint64_t end =
        offset + sizeof(struct ipc__owned) +
        (uint64_t)word_index(object->number) * sizeof(uint64_t);
    if (tag_of(region) >> TAG_SHIFT != object->number >> TAG_SHIFT ||
        end > ipc__region_mapped_size(region))
        return false;
    read_object(object, (char *)region + offset);
    return true;
}

/* The object with that number.  pid is the process of who named it. */
static struct object find_object(uint64_t number, int32_t pid)
{
    struct object object = {.number = number};
    if (number >> TAG_SHIFT != 0)
        ipc__region_each(read_if_here, &object);
    else if (pid == getpid())
        read_object(&object, (const void *)(uintptr_t)(number & OFFSET_MASK));
    return object;
}

/* ---- what a thread says and what it finds ---- */

struct words {
    uint64_t owner;
    uint64_t waits_for; /* 0: nothing, or nobody knows */
    int32_t pid;
};

static bool say(struct ipc__region *region, void *arg)
{
    ipc__peer_say(region, *(const uint64_t *)arg);
    return false;
}

static bool ask(struct ipc__region *region, void *arg)
{
    struct words *words = arg;
    return ipc__peer_ask(region, words->owner, &words->waits_for, &words->pid);
}

static void tell(uint64_t number)
{
    ipc__region_each(say, &number);
    full_barrier(); /* [wait→look] */
}

void ipc__check_done(void)
{
    tell(0);
}

/* ---- the circle ---- */

#define CIRCLE_MAX 64
#define LINE_BYTES 256

/* Add to a line of which used bytes are written.  Returns how many are then. */
__attribute__((format(printf, 3, 4))) static size_t
append(char line[LINE_BYTES], size_t used, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(line + used, LINE_BYTES - used, format, arguments);
    va_end(arguments);
    const size_t room = LINE_BYTES - 1 - used;
    return used + (n < 0 ? 0 : (size_t)n < room ? (size_t)n : room);
}

/* "waits for lock "a", held by pid 7" */
static size_t append_step(char line[LINE_BYTES], size_t used,
                          const struct object *object)
{
    char name[24];
    int32_t pid;
    const uint32_t tid = (uint32_t)object->word & FUTEX_BITS_TID;
    ipc__peer_describe(object->address, object->word, &pid, name);
    if (object->label[0] != '\0')
        used = append(line, used, "waits for lock \"%s\"", object->label);
    else
        used = append(line, used, "waits for lock %p", object->address);
    used = append(line, used, ", held by pid %d", (int)pid);
    return pid == (int32_t)tid ? used : append(line, used, " thread %u", tid);
}

/* Follow it from the object that the caller waits for.  True: back to the
 * caller, and line says how. */
static bool find_circle(const struct ipc__owned *first, const uint64_t *word,
                        char line[LINE_BYTES], int *length)
{
    struct object object = {.number = number_of(first, word)};
    size_t used = append(line, 0, "deadlock: pid %d ", (int)ipc__self.pid);
    read_object(&object, first);
    for (int steps = 0; steps < CIRCLE_MAX; steps++) {
        if ((uint32_t)object.word == 0 || !ipc__owner_is_possible(object.word))
            return false;
        used = append_step(line, used, &object);
        const uint64_t owner = object.word & IPC__OWNER_MASK;
        *length = steps;
        if (owner == ipc__self.id)
            return steps > 0;
        struct words next = {.owner = owner};
        ipc__region_each(ask, &next);
        if (next.waits_for == 0)
            return false;
        object = find_object(next.waits_for, next.pid);
        if (object.address == NULL)
            return false;
        used = append(line, used, ", which ");
    }
    return false;
}

__thread bool ipc__check_insists;

int ipc__check_wait(const struct ipc__owned *object, const uint64_t *word)
{
    char line[LINE_BYTES];
    tell(number_of(object, word));
    if (ipc__check_insists)
        return 0;
    /* While we looked, somebody in it may have gone on.  But who waits for
     * what we hold does not; once that was seen, nor does who waits for him;
     * and so on: each time one more is sure. */
    int steps = 1;
    for (int i = 0; i <= steps; i++)
        if (!find_circle(object, word, line, &steps))
            return 0;
    tell(0);
    return ipc__fail(-EDEADLK, "%s", line);
}
