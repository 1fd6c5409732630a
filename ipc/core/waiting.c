#include "core/waiting.h"

#include <errno.h>

#include "kernel/futex.h"

bool ipc__sleep(const uint32_t *word, uint32_t value, const uint32_t *life,
                uint32_t life_value, ipc_deadline deadline)
{
    const ipc_deadline recheck = ipc_after_ns(IPC__RECHECK_NS);
    return ipc__futex_wait_two(word, value, life, life_value,
                               deadline < recheck ? deadline : recheck) ==
           -ETIMEDOUT;
}
