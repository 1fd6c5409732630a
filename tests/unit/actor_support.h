/* Actors: processes, or threads, that do what they are told, one thing after
 * the other, so that a case reads like a play.
 *
 *     static int read_it(void *arg) { return ipc_rwlock_acquire_read(arg); }
 *
 *     struct actor anna, bert;
 *     actor_start(&anna);                      // a process of its own
 *     actor_start_thread(&bert);
 *     expect_rc(actor_asks(&anna, read_it, lock), 0);
 *     actor_tell(&bert, write_it, lock);
 *     actor_waits(&bert);                      // it sleeps in write_it()
 *     actor_kill(&anna);
 *     expect_rc(actor_result(&bert), 0);
 *     actor_end(&bert);
 *
 * An actor that is never ended ends with the case if it is a process. */
#ifndef ACTOR_SUPPORT_H
#define ACTOR_SUPPORT_H

#include "unit/lock_support.h"

#include <stdio.h>
#include <sys/mman.h>

enum {
    IDLE_LIMIT_MS = 60000 /* the case has forgotten its actor */
};

/* Function pointers are the same in all processes of a case. */
struct actor_page {
    uint32_t told, begun, done; /* orders; words to meet at */
    uint32_t order, answer;     /* the same, for the thread sanitizer */
    int32_t tid;
    int (*fn)(void *arg);
    void *arg;
    int rc;
    int64_t end_ns; /* when fn returned */
    char detail[256];
};

struct actor {
    struct actor_page *page;
    struct role role; /* a process, */
    pthread_t thread; /* or a thread */
    bool is_thread;
};

static inline bool actor_obeys(struct actor_page *page, uint32_t order)
{
    meet_wait(&page->told, order, IDLE_LIMIT_MS);
    (void)__atomic_load_n(&page->order, __ATOMIC_ACQUIRE);
    if (page->fn == NULL)
        return false;
    meet_signal(&page->begun);
    page->rc = page->fn(page->arg);
    page->end_ns = test_now_ns();
    (void)snprintf(page->detail, sizeof page->detail, "%s", ipc_error_detail());
    __atomic_store_n(&page->answer, order, __ATOMIC_RELEASE);
    meet_signal(&page->done);
    return true;
}

static inline void actor_plays(void *arg)
{
    struct actor_page *page = arg;
    __atomic_store_n(&page->tid, (int32_t)syscall(SYS_gettid),
                     __ATOMIC_RELAXED);
    meet_signal(&page->done); /* order 0: it is there */
    for (uint32_t order = 1; actor_obeys(page, order);)
        order++;
}

static inline void *actor_thread(void *arg)
{
    actor_plays(arg);
    return NULL;
}

static inline void actor_start(struct actor *actor)
{
    *actor = (struct actor){.page = test_shared(sizeof *actor->page)};
    role_start(&actor->role, actor_plays, actor->page);
    meet_wait(&actor->page->done, 1, LIMIT_MS);
}

static inline void actor_start_thread(struct actor *actor)
{
    *actor = (struct actor){.page = test_shared(sizeof *actor->page),
                            .is_thread = true};
    assert_int_equal(
        pthread_create(&actor->thread, NULL, actor_thread, actor->page), 0);
    meet_wait(&actor->page->done, 1, LIMIT_MS);
}

static inline void actors_start(struct actor *actors, int count)
{
    for (int i = 0; i < count; i++)
        actor_start(&actors[i]);
}

static inline void actors_start_threads(struct actor *actors, int count)
{
    for (int i = 0; i < count; i++)
        actor_start_thread(&actors[i]);
}

static inline void actor_tell(struct actor *actor, int (*fn)(void *arg),
                              void *arg)
{
    struct actor_page *page = actor->page;
    page->fn = fn;
    page->arg = arg;
    __atomic_add_fetch(&page->order, 1, __ATOMIC_RELEASE);
    meet_signal(&page->told);
}

static inline pid_t actor_tid(const struct actor *actor)
{
    return __atomic_load_n(&actor->page->tid, __ATOMIC_RELAXED);
}

/* Has it done what it was told? */
static inline bool actor_is_done(const struct actor *actor)
{
    const struct actor_page *page = actor->page;
    return __atomic_load_n(&page->answer, __ATOMIC_ACQUIRE) ==
           __atomic_load_n(&page->order, __ATOMIC_RELAXED);
}

/* What it returned. */
#define actor_result(actor) actor_result_at((actor), __FILE__, __LINE__)
static inline int actor_result_at(const struct actor *actor, const char *file,
                                  int line)
{
    struct actor_page *page = actor->page;
    const uint32_t order = __atomic_load_n(&page->order, __ATOMIC_RELAXED);
    if (!meet_within(&page->done, order + 1, LIMIT_MS))
        test_fail_at(file, line, "actor %d does not return",
                     (int)actor_tid(actor));
    (void)__atomic_load_n(&page->answer, __ATOMIC_ACQUIRE);
    return page->rc;
}

#define actor_asks(actor, fn, arg)                                             \
    (actor_tell((actor), (fn), (arg)), actor_result(actor))

/* Does it sleep in what it was told to do? */
static inline bool actor_sleeps(const struct actor *actor)
{
    const struct actor_page *page = actor->page;
    return __atomic_load_n(&page->begun, __ATOMIC_SEQ_CST) ==
               __atomic_load_n(&page->order, __ATOMIC_RELAXED) &&
           asleep_in_futex(actor_tid(actor)) && !actor_is_done(actor);
}

/* Wait until it does. */
#define actor_waits(actor) actor_waits_at((actor), __FILE__, __LINE__)
static inline void actor_waits_at(const struct actor *actor, const char *file,
                                  int line)
{
    const int64_t end = test_now_ns() + LIMIT_MS * NS_PER_MS;
    while (!actor_sleeps(actor)) {
        if (actor_is_done(actor))
            test_fail_at(file, line, "actor %d does not wait: %d (%s)",
                         (int)actor_tid(actor), actor->page->rc,
                         actor->page->detail);
        if (test_now_ns() > end)
            test_fail_at(file, line, "actor %d does not sleep",
                         (int)actor_tid(actor));
        poll_pause();
    }
}

/* It still sleeps after those who look once more have looked: longer than a
 * re-check takes. */
static inline void actor_goes_on_waiting(const struct actor *actor)
{
    wait_ms(RECHECK_MS);
    actor_waits(actor);
}

static inline void actor_kill(struct actor *actor)
{
    assert_false(actor->is_thread);
    (void)role_kill(&actor->role);
    (void)munmap(actor->page, sizeof *actor->page);
}

static inline void actor_end(struct actor *actor)
{
    actor_tell(actor, NULL, NULL);
    if (actor->is_thread)
        assert_int_equal(pthread_join(actor->thread, NULL), 0);
    else
        role_wait_ok(&actor->role, LIMIT_MS);
    (void)munmap(actor->page, sizeof *actor->page);
}

static inline void actors_end(struct actor *actors, int count)
{
    for (int i = 0; i < count; i++)
        actor_end(&actors[i]);
}

/* A name in /dev/shm of this case's own, the same in all its processes. */
static inline void name_it(char name[64], const char *what)
{
    (void)snprintf(name, 64, "ipc-test-%d-%s", (int)getsid(0), what);
}

#endif
