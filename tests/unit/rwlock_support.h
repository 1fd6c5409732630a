/* What the tests of rwlocks have in common. */
#ifndef RWLOCK_SUPPORT_H
#define RWLOCK_SUPPORT_H

#include "unit/actor_support.h"

#include <errno.h>

#include <ipc/rwlock.h>

#include "core/peers.h"
#include "core/waiting.h"

enum {
    MAX_READERS = 120,
    MAX_DEPTH = 127
};

/* Long enough for whoever should wait, short enough for a test. */
#define SOON ipc_after_ms(30)

/* ---- for actors: arg is the rwlock ---- */

#define RWLOCK_ACT(name, call)                                                 \
    static inline int name(void *arg)                                          \
    {                                                                          \
        ipc_rwlock *rwlock = arg;                                              \
        return call;                                                           \
    }

RWLOCK_ACT(read_it, ipc_rwlock_acquire_read(rwlock))
RWLOCK_ACT(read_nowait, ipc_rwlock_acquire_read_nowait(rwlock))
RWLOCK_ACT(read_at_once, ipc_rwlock_acquire_read_until(rwlock, IPC_TIME_NOW))
RWLOCK_ACT(read_soon, ipc_rwlock_acquire_read_until(rwlock, SOON))
RWLOCK_ACT(read_late,
           ipc_rwlock_acquire_read_until(rwlock, ipc_after_ms(LIMIT_MS)))
RWLOCK_ACT(write_it, ipc_rwlock_acquire_write(rwlock))
RWLOCK_ACT(write_nowait, ipc_rwlock_acquire_write_nowait(rwlock))
RWLOCK_ACT(write_at_once, ipc_rwlock_acquire_write_until(rwlock, IPC_TIME_NOW))
RWLOCK_ACT(write_soon, ipc_rwlock_acquire_write_until(rwlock, SOON))
RWLOCK_ACT(write_late,
           ipc_rwlock_acquire_write_until(rwlock, ipc_after_ms(LIMIT_MS)))
RWLOCK_ACT(release_it, ipc_rwlock_release(rwlock))
RWLOCK_ACT(downgrade_it, ipc_rwlock_downgrade(rwlock))
RWLOCK_ACT(say_consistent, ipc_rwlock_consistent(rwlock))
RWLOCK_ACT(reset_it, ipc_rwlock_reset(rwlock))
RWLOCK_ACT(is_reading, ipc_rwlock_is_reading(rwlock))
RWLOCK_ACT(is_writing, ipc_rwlock_is_writing(rwlock))

/* All the forms of each. */
enum {
    FORMS = 5
};

static int (*const read_forms[FORMS])(void *arg) = {
    read_it, read_nowait, read_soon, read_at_once, read_late};
static int (*const write_forms[FORMS])(void *arg) = {
    write_it, write_nowait, write_soon, write_at_once, write_late};

/* ---- from the case ---- */

static inline ipc_rwlock *new_rwlock(const char *label)
{
    const ipc_rwlock_options options = {sizeof options, 0, label};
    ipc_rwlock *rwlock = NULL;
    expect_rc(ipc_rwlock_new(&options, &rwlock), 0);
    return rwlock;
}

/* Nobody holds it, and no trace of anybody is left: the words at least. */
static inline void expect_free(const ipc_rwlock *rwlock)
{
    assert_int_equal((uint32_t)rwlock->word_, 0);
    for (int i = 0; i < MAX_READERS; i++)
        if ((uint32_t)rwlock->readers_[i] != 0)
            test_fail("readers_[%d] is 0x%llx", i,
                      (unsigned long long)rwlock->readers_[i]);
}

/* It is free and sound, and goes. */
static inline void free_good_rwlock(ipc_rwlock *rwlock)
{
    expect_rc(ipc_rwlock_acquire_write(rwlock), 0);
    expect_rc(ipc_rwlock_release(rwlock), 0);
    expect_free(rwlock);
    expect_rc(ipc_rwlock_free(rwlock), 0);
}

static inline void tell_all(struct actor *actors, int count,
                            int (*fn)(void *arg), void *arg)
{
    for (int i = 0; i < count; i++)
        actor_tell(&actors[i], fn, arg);
}

static inline void all_wait(const struct actor *actors, int count)
{
    for (int i = 0; i < count; i++)
        actor_waits(&actors[i]);
}

static inline void expect_all(const struct actor *actors, int count, int rc)
{
    for (int i = 0; i < count; i++)
        expect_rc(actor_result(&actors[i]), rc);
}

/* Those who wait for it get it, in whatever order, and leave.  Readers may be
 * sent away.  Returns how many were not. */
static inline int serve_all(struct actor *crowd, int count, ipc_rwlock *rwlock)
{
    int served = 0, left = count;
    while (left > 0) {
        for (int i = 0; i < count; i++) {
            if (crowd[i].page->fn == NULL || crowd[i].page->fn == release_it ||
                !actor_is_done(&crowd[i]))
                continue;
            const int rc = actor_result(&crowd[i]);
            assert_true(rc == 0 || rc == -EOWNERDEAD);
            served += rc == 0;
            left--;
            expect_rc(actor_asks(&crowd[i], release_it, rwlock),
                      rc == 0 ? 0 : -EPERM);
        }
        poll_pause();
    }
    return served;
}

/* What somebody gets who comes from nowhere, and holds it no longer. */
static inline int stranger_gets(int (*fn)(void *arg), ipc_rwlock *rwlock)
{
    struct actor stranger;
    actor_start(&stranger);
    const int rc = actor_asks(&stranger, fn, rwlock);
    if (rc >= 0)
        expect_rc(actor_asks(&stranger, release_it, rwlock), 0);
    actor_end(&stranger);
    return rc;
}

/* Leave it as one did that held it when it was killed. */
static inline void die_in(int (*fn)(void *arg), ipc_rwlock *rwlock)
{
    struct actor doomed;
    actor_start(&doomed);
    expect_rc(actor_asks(&doomed, fn, rwlock), 0);
    actor_kill(&doomed);
}

#endif
