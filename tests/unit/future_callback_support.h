/* What the tests of callbacks have in common: what they have noted. */
#ifndef FUTURE_CALLBACK_SUPPORT_H
#define FUTURE_CALLBACK_SUPPORT_H

#include "unit/future_support.h"

/* What callbacks have noted, in the order in which they were called. */
struct notes {
    uint32_t count; /* waited for: last */
    int what[64];
    int tid;
    bool blocked;
    char name[16];
};

struct note {
    struct notes *notes;
    int what;
};

static inline void write_down(struct notes *notes, int what)
{
    sigset_t set;
    notes->what[notes->count] = what;
    notes->tid = ipc_gettid();
    (void)pthread_sigmask(SIG_SETMASK, NULL, &set);
    notes->blocked = sigismember(&set, SIGTERM) && sigismember(&set, SIGINT);
    (void)snprintf(notes->name, sizeof notes->name, "%s",
                   ipc_thread_name(ipc_current_thread()));
    say(&notes->count);
}

static inline void note_down(ipc_future *future, void *arg)
{
    const struct note *note = arg;
    assert_true(ipc_future_done(future));
    write_down(note->notes, note->what);
}

static inline void add(ipc_future *future, struct note *note)
{
    CHECK(ipc_future_add_done_callback(future, note_down, note), 0);
}

static inline void expect_count(struct notes *notes, uint32_t count)
{
    meet_wait(&notes->count, count, LIMIT_MS);
    assert_int_equal(notes->count, count);
}

/* The thread ends when it is not needed any more. */
static inline void expect_no_thread(void)
{
    const int64_t from = test_now_ns();
    while (count_kernel_threads() > 1 && !THREAD_SANITIZED &&
           test_now_ns() - from < LIMIT_MS * NS_PER_MS)
        poll_pause();
    assert_true(count_kernel_threads() == 1 || THREAD_SANITIZED);
}

/* Until the last callback has returned. */
static inline void free_soon(ipc_future *future)
{
    int rc;
    while ((rc = ipc_future_free(future)) == -EBUSY)
        poll_pause();
    assert_int_equal(rc, 0);
}

#endif
