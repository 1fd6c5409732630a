#include "core/waiting.h"

#include <limits.h>
#include <sched.h>

#include "base/atomic.h"
#include "base/bits.h"

int64_t ipc__recheck_ns = IPC__RECHECK_NS;

/* ---- sleeping ---- */

static ipc_deadline next_look(struct ipc__pace *pace, ipc_deadline deadline)
{
    if (pace->due == 0)
        pace->due = ipc_after_ns(ipc__recheck_ns);
    return deadline < pace->due ? deadline : pace->due;
}

static bool is_due(struct ipc__pace *pace)
{
    const ipc_deadline now = ipc_now();
    if (now < pace->due)
        return false;
    pace->due = now + ipc__recheck_ns;
    return true;
}

/* A word that is waited for may be part of something else by now, of a message
 * in a queue for instance: it has changed, and that is all it says.  Not for
 * ThreadSanitizer, to which that is a race. */
__attribute__((no_sanitize("thread"))) static uint32_t
glance(const uint32_t *word)
{
    return load_relaxed(word);
}

/* The kernel tells one sleeper of a death, and that may be one whom the first
 * word has woken already: it will not look at that life word again, so it
 * tells the others. */
static void pass_news_on(const struct ipc__futex *words, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        if (unlikely(glance(words[i].word) != words[i].expected))
            ipc__futex_wake(words[i].word, INT_MAX);
}

bool ipc__sleep(struct ipc__pace *pace, const uint32_t *word, uint32_t value,
                const uint32_t *life, uint32_t life_value,
                ipc_deadline deadline)
{
    const ipc_deadline until = next_look(pace, deadline);
    if (life == NULL) {
        (void)ipc__futex_wait(word, value, until);
    } else {
        const struct ipc__futex words[] = {{word, value}, {life, life_value}};
        (void)ipc__futex_wait_many(words, array_length(words), until);
        pass_news_on(words, array_length(words));
    }
    return is_due(pace);
}

bool ipc__sleep_many(struct ipc__pace *pace, const struct ipc__futex *words,
                     uint32_t count, ipc_deadline deadline)
{
    (void)ipc__futex_wait_many(words, count, next_look(pace, deadline));
    pass_news_on(words, count);
    return is_due(pace);
}

/* ---- spinning ---- */

/* A sleep and the wake-up that ends it cost both sides some microseconds each,
 * and a word that another CPU is about to change is seen within a fraction of
 * one.  So it pays to look for a while; but only if the other one is running.
 * Nobody can know that; each thread goes by what it has found lately: its
 * limit follows twice the number of looks that were enough, and shrinks by a
 * quarter with each spin in vain, down to a few looks.  Two that answer each
 * other and both sleep would never find out that they need not: so once in a
 * while one looks for long. */
#define SPIN_MIN       12
#define EXPLORE        32 /* spins in vain until the next long one */
#define YIELDS         4
#define LOOKS_PER_READ 2 /* pauses between two looks at a line in use */

__thread uint32_t ipc__spin_limit;
static __thread uint32_t in_vain = EXPLORE; /* the first time, ask */

static bool has_one_cpu(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1;
}

static void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

void ipc__pause(int times)
{
    for (int i = 0; i < times; i++)
        pause_cpu();
}

static SLOW_PATH void explore(void)
{
    in_vain = 0;
    ipc__spin_limit = has_one_cpu() ? 0 : IPC__SPIN_MAX;
}

bool ipc__spin(const uint32_t *word, uint32_t value)
{
    if (unlikely(in_vain >= EXPLORE))
        explore();
    const uint32_t limit = ipc__spin_limit;
    for (uint32_t looks = 0; looks < limit; looks++) {
        ipc__pause(LOOKS_PER_READ);
        if (glance(word) != value) {
            const uint32_t enough = 2 * looks + SPIN_MIN;
            ipc__spin_limit =
                limit + (enough > limit ? (enough - limit) / 2 : 0);
            if (ipc__spin_limit > IPC__SPIN_MAX)
                ipc__spin_limit = IPC__SPIN_MAX;
            in_vain = 0;
            return true;
        }
    }
    if (in_vain++ == 0 && limit == IPC__SPIN_MAX)
        ipc__spin_limit = SPIN_MIN; /* the long one was in vain too */
    else if (limit > SPIN_MIN)
        ipc__spin_limit = limit - (limit + 3) / 4;
    return false;
}

bool ipc__yield(const uint32_t *word, uint32_t value)
{
    for (int i = 0; i < YIELDS; i++) {
        (void)sched_yield();
        if (glance(word) != value)
            return true;
    }
    return false;
}
