/* Check mode: the graph of who waits for whom.
 *
 * State
 *   slot.waits_for, waits_region   in every region where a thread has a slot:
 *                    the object it sleeps on; waits_for is 0 for none.  Written by that thread, in check
 *                    mode only; read by anybody
 *
 * An object is named by the id of its region and a number: its offset there,
 * and which of its words it is.  Private memory has no region, and addresses
 * there mean something to the threads of one process only; they may be
 * unmapped when somebody looks, so the kernel is asked to read them.  From the
 * object follows its owner (the word says), from the owner what that one waits
 * for (one of its slots says), and so on.  A circle is one that leads back to
 * the caller.
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
#include <sys/uio.h>
#include <unistd.h>

#include "core/error.h"
#include "core/owner.h"
#include "core/peers.h"
#include "core/region.h"

#define UNKNOWN 2u

uint32_t ipc__check_mode = UNKNOWN;
uint32_t ipc__check_mode_used;

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
#define NUMBER      ((uint64_t)1 << 63) /* so that none is 0 */

static struct ipc__wait wait_for(const struct ipc__owned *object,
                                 const uint64_t *word)
{
    const struct ipc__region *region = ipc__region_find(object, NULL, NULL);
    const uint64_t base = (uint64_t)(uintptr_t)region;
    const uint64_t index = (uint64_t)(word - &object->word) & 0xff;
    const struct ipc__wait wait = {
        .number = NUMBER | index << WORD_SHIFT |
                  (((uint64_t)(uintptr_t)object - base) & OFFSET_MASK),
        .region = region != NULL ? region->facts.id : 0,
        .pid = ipc__self.pid,
    };
    return wait;
}

static uint32_t word_index(uint64_t number)
{
    return (uint32_t)(number >> WORD_SHIFT) & 0xff;
}

/* What is read of an object. */
struct object {
    struct ipc__wait wait;
    const void *address; /* NULL: this process does not see it */
    uint64_t word;
    char label[24];
};

/* owned is it, or a copy of its head; word is its word or a copy. */
static void note_object(struct object *object, const void *address,
                        const struct ipc__owned *owned, uint64_t word)
{
    object->address = address;
    object->word = word;
    if (word_index(object->wait.number) != 0)
        /* A reader's: how often it reads is in there too. */
        object->word &= ~(uint64_t)IPC__OWNER_SPARE;
    memcpy(object->label, owned->label, sizeof object->label);
    object->label[sizeof object->label - 1] = '\0';
}

static void read_object(struct object *object, const void *address)
{
    const struct ipc__owned *owned = address;
    note_object(object, address, owned,
                load_acquire(&owned->word + word_index(object->wait.number)));
}

static bool read_if_here(struct ipc__region *region, void *arg)
{
    struct object *object = arg;
    const uint64_t offset = object->wait.number & OFFSET_MASK;
    const uint64_t end =
        offset + sizeof(struct ipc__owned) +
        (uint64_t)word_index(object->wait.number) * sizeof(uint64_t);
    if (region->facts.id != object->wait.region ||
        end > ipc__region_mapped_size(region) || offset % 8 != 0)
        return false;
    read_object(object, (char *)region + offset);
    return true;
}

/* Copy memory of this process that may not be there.  Also -1 where a filter
 * forbids it: then circles through private memory are not seen. */
static bool copy_private(void *out, uintptr_t address, size_t size)
{
    struct iovec to = {out, size};
    struct iovec from = {(void *)address, size};
    return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)size;
}

static void read_private(struct object *object)
{
    const uintptr_t address = object->wait.number & OFFSET_MASK;
    const uintptr_t at =
        address + (uintptr_t)word_index(object->wait.number) * 8;
    struct ipc__owned owned = {.word = 0};
    uint64_t word = 0;
    if (object->wait.pid == getpid() &&
        copy_private(&owned, address, sizeof owned) &&
        copy_private(&word, at, sizeof word))
        note_object(object, (const void *)address, &owned, word);
}

static struct object find_object(const struct ipc__wait *wait)
{
    struct object object = {.wait = *wait};
    if (wait->region != 0)
        ipc__region_each(read_if_here, &object);
    else
        read_private(&object);
    return object;
}

/* ---- what a thread says and what it finds ---- */

struct question {
    uint64_t owner;
    struct ipc__wait answer;
};

static bool say(struct ipc__region *region, void *arg)
{
    ipc__peer_say(region, arg);
    return false;
}

static bool ask(struct ipc__region *region, void *arg)
{
    struct question *question = arg;
    return ipc__peer_ask(region, question->owner, &question->answer);
}

/* Whether this thread has said that it waits. */
static __thread bool has_said;

static void tell(struct ipc__wait wait)
{
    has_said = wait.number != 0;
    ipc__region_each(say, &wait);
    full_barrier(); /* [wait→look] */
}

void ipc__check_forget(void)
{
    if (has_said)
        tell((struct ipc__wait){.number = 0});
}

/* ---- the circle ---- */

#define CIRCLE_MAX 64
#define LINE_BYTES 1000

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
    struct object object = {.wait = wait_for(first, word)};
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
        struct question next = {.owner = owner};
        ipc__region_each(ask, &next);
        if (next.answer.number == 0)
            return false;
        object = find_object(&next.answer);
        if (object.address == NULL)
            return false;
        used = append(line, used, ", which ");
    }
    return false;
}

__thread bool ipc__check_insists;

int ipc__check_wait(const struct ipc__owned *object, const uint64_t *word)
{
    store_relaxed(&ipc__check_mode_used, 1);
    char line[LINE_BYTES];
    tell(wait_for(object, word));
    if (ipc__check_insists)
        return 0;
    /* While we looked, somebody in it may have gone on.  But who waits for
     * what we hold does not; once that was seen, nor does who waits for him;
     * and so on: each time one more is sure.  (But for readers that have only
     * just come, and step back for a writer: they are given a moment.) */
    int steps = 1;
    for (int i = 0; i <= steps; i++) {
        if (!find_circle(object, word, line, &steps))
            return 0;
        ipc_sleep_until(ipc_after_ms(1));
    }
    ipc__check_forget();
    return ipc__fail(-EDEADLK, "%s", line);
}
