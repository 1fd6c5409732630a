#include "core/waiting.h"

#include <errno.h>

#include "kernel/futex.h"

bool ipc__sleep(struct ipc__pace *pace, const uint32_t *word, uint32_t value,
                const uint32_t *life, uint32_t life_value,
                ipc_deadline deadline)
{
    if (pace->due == 0)
        pace->due = ipc_after_ns(IPC__RECHECK_NS);
    (void)ipc__futex_wait_two(word, value, life, life_value,
                              deadline < pace->due ? deadline : pace->due);
    const ipc_deadline now = ipc_now();
    if (now < pace->due)
        return false;
    pace->due = now + IPC__RECHECK_NS;
    return true;
}
