/* The last steps of a thread.
 *
 * libc calls the destructors of pthread keys when a thread has returned, has
 * called pthread_exit() or was cancelled, whoever started it; and, while there
 * is anything left, up to PTHREAD_DESTRUCTOR_ITERATIONS times.  We have one
 * key.  In the first rounds what is thread-local is destroyed; in the last
 * but one a thread of ours is declared ended.  So whoever has joined it may
 * rely on it that the destructors of others, too, have run: those who wait
 * with a deadline see the end when it comes, and the pthread_join() that
 * follows waits for a few instructions only.  (The last round is the
 * sanitizers': they forget the thread in it.)
 *
 * The main thread's values stay: other threads may go on when main() has left
 * by pthread_exit().  A thread that has called fork() is the main thread in
 * the child, so nothing that it was in its parent ends there. */
#include "thread/context.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

#include "core/error.h"
#include "thread/internal.h"

#define LAST_ROUND (PTHREAD_DESTRUCTOR_ITERATIONS - 1)

__thread struct ipc__context ipc__context;

bool ipc__is_main_thread(void)
{
    return gettid() == getpid();
}

bool ipc__context_is_over(void)
{
    return ipc__context.rounds >= LAST_ROUND;
}

/* The key, plus 1; 0: none yet. */
static uint32_t key_made;

static void end_thread(void *unused);

int ipc__context_prepare(void)
{
    pthread_key_t key;
    if (likely(load_acquire(&key_made) != 0))
        return 0;
    const int error = pthread_key_create(&key, end_thread);
    if (error != 0)
        return ipc__fail(-error, error == EAGAIN
                                     ? "the system has no thread keys left"
                                     : "no memory for a thread key");
    if (!cas32_release(&key_made, 0, (uint32_t)key + 1))
        (void)pthread_key_delete(key); /* somebody else was faster */
    return 0;
}

int ipc__context_arm(void)
{
    const int rc = ipc__context_prepare();
    if (rc != 0)
        return rc;
    const pthread_key_t key = (pthread_key_t)(load_acquire(&key_made) - 1);
    if (pthread_setspecific(key, &ipc__context) != 0)
        return ipc__fail(-ENOMEM, "no memory for the end of the thread");
    return 0;
}

/* A thread that was not started with us may go on to ask who it is: it gets
 * another record. */
static bool end_record(bool last)
{
    struct ipc__thread *record = ipc__context.record;
    if (record == NULL)
        return true;
    if (record->kind == IPC__THREAD_STARTED && !last)
        return false;
    ipc__context.record = NULL;
    ipc__thread_end(record);
    return true;
}

static void end_main_thread(void)
{
    struct ipc__thread *record = ipc__context_record();
    if (record != NULL && record->kind == IPC__THREAD_MAIN)
        ipc__thread_end(record);
}

/* One round of it. */
static void end_thread(void *unused)
{
    (void)unused;
    if (ipc__is_main_thread()) {
        end_main_thread();
        return;
    }
    ipc__context.rounds++;
    const bool last = ipc__context_is_over();
    const bool clean = ipc__values_end(last);
    if (!end_record(last) || !clean)
        (void)ipc__context_arm(); /* there is room: it was armed before */
}
