/* Small models of locks, sound and broken. */
#include "crash/harness_model.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

struct model *model;

void model_new(void)
{
    model = test_shared(sizeof *model);
}

long futex(uint32_t *word, int op, uint32_t value,
           const struct timespec *timeout)
{
    return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

uint32_t load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

void store(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static bool swap_if(uint32_t *word, uint32_t old, uint32_t new)
{
    return __atomic_compare_exchange_n(word, &old, new, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

void naive_take(void)
{
    while (!swap_if(&model->lock, 0, 1))
        (void)futex(&model->lock, FUTEX_WAIT, 1, NULL);
}

void naive_give(void)
{
    store(&model->lock, 0);
    (void)futex(&model->lock, FUTEX_WAKE, 1, NULL);
}

static struct robust_list_head *robust;
static uint32_t own_tid;

void robust_attach(void *ctx)
{
    (void)ctx;
    size_t size;
    if (syscall(SYS_get_robust_list, 0, &robust, &size) != 0)
        test_skip("no robust list in this thread");
    own_tid = (uint32_t)syscall(SYS_gettid);
}

static void announce(uint32_t *word)
{
    char *entry = word == NULL ? NULL : (char *)word - robust->futex_offset;
    __atomic_store_n(&robust->list_op_pending,
                     (struct robust_list *)(void *)entry, __ATOMIC_SEQ_CST);
}

bool robust_take(void)
{
    uint32_t keep = 0;
    announce(&model->lock);
    for (;;) {
        uint32_t seen = load(&model->lock);
        if (seen == 0 || (seen & FUTEX_OWNER_DIED)) {
            uint32_t mine = own_tid | keep | (seen & FUTEX_WAITERS);
            if (swap_if(&model->lock, seen, mine))
                return seen != 0;
        } else if ((seen & FUTEX_WAITERS) ||
                   swap_if(&model->lock, seen, seen | FUTEX_WAITERS)) {
            keep = FUTEX_WAITERS;
            (void)futex(&model->lock, FUTEX_WAIT, seen | FUTEX_WAITERS, NULL);
        }
    }
}

void robust_give(void)
{
    if (__atomic_exchange_n(&model->lock, 0, __ATOMIC_SEQ_CST) & FUTEX_WAITERS)
        (void)futex(&model->lock, FUTEX_WAKE, 1, NULL);
    announce(NULL);
}
