/* The least that two processes need to wait for each other: what the kernel
 * and the caches cost, without any object. */
#include "sync_peer.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A word for each player, on a cache line of its own. */
struct table {
    struct {
        SYNC_LINE uint32_t word;
    } of[2];
};

static void *table_make(uint32_t n)
{
    struct table *table = bench_shared(sizeof *table);

    (void)n;
    table->of[0].word = 1;
    return table;
}

static void table_drop(void *table)
{
    munmap(table, sizeof(struct table));
}

/* ---- a word, and a sleep until it is 1 ---- */

static int futex_turn(struct table *table, size_t me)
{
    uint32_t *mine = &table->of[me].word;
    uint32_t *other = &table->of[1 - me].word;

    while (__atomic_load_n(mine, __ATOMIC_ACQUIRE) == 0) {
        if (syscall(SYS_futex, mine, FUTEX_WAIT, 0, NULL, NULL, 0) != 0 &&
            errno != EAGAIN && errno != EINTR)
            return -1;
    }
    __atomic_store_n(mine, 0, __ATOMIC_RELAXED);
    __atomic_store_n(other, 1, __ATOMIC_RELEASE);
    return syscall(SYS_futex, other, FUTEX_WAKE, 1, NULL, NULL, 0) < 0;
}

SYNC_MATCH_LOOPS(futex, futex_turn)

/* ---- a word, and a look at it again and again ---- */

static void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

/* Each player counts his turns in a word that he alone writes. */
static int line_turn(struct table *table, size_t me)
{
    const uint32_t *other = &table->of[1 - me].word;
    uint32_t *mine = &table->of[me].word;
    uint32_t turns = *mine;

    while (__atomic_load_n(other, __ATOMIC_ACQUIRE) != turns + me)
        pause_cpu();
    __atomic_store_n(mine, turns + 1, __ATOMIC_RELEASE);
    return 0;
}

SYNC_MATCH_LOOPS(line, line_turn)

static void *line_make(uint32_t n)
{
    (void)n;
    return bench_shared(sizeof(struct table));
}

/* ---- a byte through a pipe ---- */

struct pipes {
    int of[2][2]; /* by player: where he reads, where the other writes */
};

static int pipe_turn(const struct pipes *pipes, size_t me)
{
    char byte;

    if (read(pipes->of[me][0], &byte, 1) != 1)
        return -1;
    return write(pipes->of[1 - me][1], &byte, 1) != 1;
}

SYNC_MATCH_LOOPS(pipe, pipe_turn)

static void *pipe_make(uint32_t n)
{
    static struct pipes pipes;

    (void)n;
    if (pipe2(pipes.of[0], O_CLOEXEC) != 0 ||
        pipe2(pipes.of[1], O_CLOEXEC) != 0 || write(pipes.of[0][1], "", 1) != 1)
        err(EXIT_FAILURE, "pipe");
    return &pipes;
}

static void pipe_drop(void *object)
{
    const struct pipes *pipes = object;

    for (size_t i = 0; i < 2; i++) {
        close(pipes->of[i][0]);
        close(pipes->of[i][1]);
    }
}

#define RAW_FUTEX                                                              \
    {                                                                          \
        "raw-futex", false, table_make, table_drop, futex_turns, futex_follow  \
    }
#define RAW_LINE                                                               \
    {                                                                          \
        "raw-cache-line", true, line_make, table_drop, line_turns, line_follow \
    }

static const struct sync_match events[] = {
    RAW_FUTEX,
    RAW_LINE,
    {"pipe", false, pipe_make, pipe_drop, pipe_turns, pipe_follow},
    {0},
};

static const struct sync_match conditions[] = {
    RAW_FUTEX,
    RAW_LINE,
    {0},
};

const struct sync_peers sync_peers_raw = {
    .events = events,
    .conditions = conditions,
};
