/* Journal: what an arena looked like before the changes of a visit.
 *
 * State, under the arena's lock
 *   journal  records, each: the words as they were, and one word behind them
 *            that says where they were and how many
 *   saved    so many words of it count
 *   journal_present  so many have memory
 *
 * Invariants
 *   1  what a visit changes, of what existed before it, has a record;
 *   2  saved is 0 when nobody is inside.
 *
 * Order
 *   A record is written, then counted, then what it is about is changed: in
 *   program order, which is all that the one who undoes it needs, for he has the
 *   lock.  To store 0 in saved is the commit.
 *
 * Death
 *   Whoever takes the lock next undoes the records, the last one first, and
 *   counts each one off when that is done.  He may die anywhere: the record that
 *   he was at is undone again, with the same outcome. */
#include <errno.h>
#include <string.h>

#include "kernel/memory.h"
#include "object/parts.h"

#define WORD         sizeof(uint64_t)
#define OFFSET_BITS  40
#define RECORD_MAX   (((uint64_t)1 << (64 - OFFSET_BITS)) - 1)
#define GROWTH_LEAST ((uint64_t)64 << 10) /* bytes */

/* ---- memory for it ---- */

static int populate(struct ipc__visit *v, uint64_t words)
{
    ipc_arena *arena = v->arena;
    const uint64_t present = v->room;
    const uint64_t most = ipc__journal_max(arena);
    if (words > most)
        return ipc__visit_fail(v, -ENOSPC,
                               "a change, or transaction, of %zu bytes: the "
                               "arena has a journal of %zu",
                               (size_t)(words * WORD), (size_t)(most * WORD));
    uint64_t wanted = round_up(words + present / 8, GROWTH_LEAST / WORD);
    if (wanted > most)
        wanted = most;
    const int rc = ipc__memory_populate(
        (char *)arena + IPC__JOURNAL_AT + present * WORD / 4096 * 4096,
        round_up((wanted - present) * WORD + 4096, 4096));
    if (rc != 0)
        return ipc__visit_fail(v, rc, "no memory for the arena's journal");
    store_release(&arena->journal_present, wanted);
    v->room = wanted;
    return 0;
}

int ipc__journal_room(struct ipc__visit *v, uint64_t words, uint64_t ranges)
{
    const uint64_t most = UINT32_MAX; /* no journal has so many */
    words = words < most ? words : most;
    ranges = ranges < most ? ranges : most;
    const uint64_t needed = v->arena->saved + words + 2 * ranges +
                            words / RECORD_MAX + IPC__SAVED_MAX;
    if (v->rc >= 0 && needed > v->room)
        (void)populate(v, needed);
    return v->rc;
}

void ipc__journal_shrink(struct ipc__visit *v)
{
    ipc_arena *arena = v->arena;
    if (likely(v->room <= 16 * IPC__JOURNAL_LEAST))
        return;
    char *from = (char *)arena + IPC__JOURNAL_AT + IPC__JOURNAL_LEAST * WORD;
    const size_t size = (v->room - IPC__JOURNAL_LEAST) * WORD / 4096 * 4096;
    store_release(&arena->journal_present, IPC__JOURNAL_LEAST);
    ipc__memory_release(from, size, 0);
    v->room = IPC__JOURNAL_LEAST;
}

/* ---- saving ---- */

/* May a record say this?  Else it would let us write anywhere. */
static bool is_journalled(const struct ipc__visit *v, uint64_t offset,
                          uint64_t bytes)
{
    const ipc_arena *arena = v->arena;
    const uint64_t end = offset + bytes;
    if (offset >= arena->heap - IPC__ARENA_HEADER)
        return end <= arena->heap_present && end <= v->limit;
    return (offset >= offsetof(struct ipc_arena, top) &&
            end <= offsetof(struct ipc_arena, saved)) ||
           (offset >= offsetof(struct ipc_arena, bitmap) &&
            end <= sizeof(struct ipc_arena));
}

static void save(struct ipc__visit *v, const void *at, uint64_t words)
{
    const uint64_t saved = load_relaxed(&v->arena->saved);
    if (saved > v->room || v->room - saved < words + 1 ||
        !is_journalled(v, ipc__offset(v, at), words * WORD)) {
        (void)ipc__visit_spoilt(v, "its journal");
        return;
    }
    uint64_t *journal = v->journal + saved;
    memmove(journal, at, words * WORD); /* in spoilt memory they may overlap */
    journal[words] = ipc__offset(v, at) / WORD | words << OFFSET_BITS;
    compiler_barrier();
    store_relaxed(&v->arena->saved, saved + words + 1);
    compiler_barrier();
}

void ipc__save_slow(struct ipc__visit *v, const void *at, uint64_t words)
{
    /* Also after an error, as far as there is room: who was promised room
     * stores without asking again. */
    const char *from = at;
    while (words > 0) {
        const uint64_t n = words < RECORD_MAX ? words : RECORD_MAX;
        if (v->arena->saved + n + 1 > v->room &&
            (v->rc < 0 ||
             populate(v, v->arena->saved + n + 1 + IPC__SAVED_MAX) != 0))
            return;
        save(v, from, n);
        from += n * WORD;
        words -= n;
    }
}

/* ---- undoing ---- */

int ipc__journal_undo(struct ipc__visit *v, uint64_t to)
{
    ipc_arena *arena = v->arena;
    uint64_t saved;
    while ((saved = load_relaxed(&arena->saved)) > to) {
        if (saved > v->room)
            return -EUCLEAN;
        const uint64_t record = v->journal[saved - 1];
        const uint64_t words = record >> OFFSET_BITS;
        const uint64_t offset =
            (record & (((uint64_t)1 << OFFSET_BITS) - 1)) * WORD;
        if (words == 0 || words > saved - 1 - to ||
            !is_journalled(v, offset, words * WORD))
            return -EUCLEAN;
        memmove((char *)arena + offset, v->journal + saved - 1 - words,
                words * WORD);
        compiler_barrier();
        store_relaxed(&arena->saved, saved - 1 - words);
        compiler_barrier();
    }
    return saved == to ? 0 : -EUCLEAN;
}
