/* Check mode: who waits for whom, so that circles are found. */
#ifndef IPC_CORE_CHECK_H
#define IPC_CORE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include <ipc/check.h>

#include "base/atomic.h"
#include "base/bits.h"

/* What memory of objects that are no more is filled with: no object of ours
 * looks like that. */
#define IPC__CHECK_WIPED 0xdb

/* Is it on?  0: no; 1: yes; 2: nobody has looked at the environment yet. */
extern uint32_t ipc__check_mode __attribute__((visibility("hidden")));

/* Was it ever on? */
extern uint32_t ipc__check_mode_used __attribute__((visibility("hidden")));

bool ipc__check_begin(void);

static inline bool ipc__checking(void)
{
    const uint32_t mode = load_relaxed(&ipc__check_mode);
    return unlikely(mode != 0) && (mode == 1 || ipc__check_begin());
}

/* The head of public objects that are owned. */
struct ipc__owned {
    uint64_t word;
    int64_t since_ns;
    char label[24];
};

/* In check mode, before the calling thread sleeps because of the owner in a
 * word of an object, its head or another one: say so to the others, and look
 * for a circle.  0, or -EDEADLK with the circle as detail line: then nothing
 * is said any more.  The calling thread is registered there. */
int ipc__check_wait(const struct ipc__owned *object, const uint64_t *word);

/* While set, the calling thread says what it waits for, but is not refused: it
 * cannot do without. */
extern __thread bool ipc__check_insists
    __attribute__((visibility("hidden"), tls_model("initial-exec")));

/* It does not wait any more. */
void ipc__check_forget(void);

/* After any wait that may have been in check mode, whether it is on or not
 * now. */
static inline void ipc__check_done(void)
{
    if (unlikely(load_relaxed(&ipc__check_mode_used) != 0))
        ipc__check_forget();
}

#endif
