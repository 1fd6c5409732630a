/* Threads: Python's threading.Thread, with the verbs of process.h.
 *
 *     static int hello(void *arg)
 *     {
 *         printf("hello %s, I am %d\n", (char *)arg, ipc_gettid());
 *         return 0;                             // the exit code
 *     }
 *
 *     ipc_thread t;
 *     char name[] = "world";
 *     ipc_thread_init(&t, hello, name, NULL);
 *     if (ipc_thread_start(&t) == 0)
 *         ipc_thread_join(&t);
 *     ipc_thread_close(&t);
 *
 * A program changes from processes to threads by changing that one word.
 * Then everything is shared: the target sees the memory of its starter and
 * not a copy, and a crash ends them all.
 *
 * The "subclass" form embeds ipc_thread as first member and has its run()
 * called with it:
 *
 *     struct counter { ipc_thread thread; int upto; };
 *     static int counter_run(ipc_thread *self)
 *     {
 *         struct counter *c = (struct counter *)self; ...
 *     }
 *     static const ipc_thread_ops counter_ops = {.run = counter_run};
 *
 *     struct counter c = {.upto = 5};
 *     ipc_thread_init_ops(&c.thread, &counter_ops, NULL);
 *
 * When a process ends normally (by exit(), by returning from main() or from
 * the target of an ipc_process), its threads that are not daemons are joined
 * first, as in Python: before its children are, and before the exit handlers
 * that were set earlier than the first thread was started.  Daemon threads are
 * left alone: they run on until the process is gone.  Timers count as threads
 * here, see timer.h.  A thread may call exit(): it waits for the others, but
 * not for itself.  Only one may do so: newer C libraries have the second
 * caller wait for ever.
 *
 * They are POSIX threads.  One may call pthread_exit() or be cancelled (not
 * asynchronously); but do not join or detach its pthread_t, which belongs to
 * the library.  What has ended is joined behind the scenes by later calls, so
 * that the stack of a thread that nobody joins is not kept.
 *
 * Threads: any; one ipc_thread may be joined by several at once.
 * Fork: a forked child has one thread, which is its main thread.  On the
 * handles of its parent's threads every call fails with -ECHILD there.
 * Signals: not for signal handlers.
 * Crash: threads die with their process. */
#ifndef IPC_THREAD_H
#define IPC_THREAD_H

#include <ipc/api.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

typedef struct ipc_thread ipc_thread;

/* What a "subclass" provides.  All run in the new thread. */
typedef struct ipc_thread_ops {
    /* The body; its result is the exit code. */
    int (*run)(ipc_thread *self);
    /* Before run.  A non-zero result ends the thread with that exit code
     * instead.  May be NULL. */
    int (*on_start)(ipc_thread *self);
    /* After run has returned (not after pthread_exit()).  May be NULL. */
    void (*on_exit)(ipc_thread *self, int exitcode);
} ipc_thread_ops;

/* What is pointed to is used by start() and must live until then. */
typedef struct ipc_thread_options {
    uint32_t size; /* of this structure: IPC_THREAD_OPTIONS_INIT */
    bool daemon;   /* not waited for at the end of the process */

    /* Shown by top -H, ps -L and error details.  NULL: "Thread-1",
     * "Thread-2"...  Up to 31 bytes are kept; the kernel shows the first
     * 15. */
    const char *name;

    /* If not 0, arg points to that many bytes: init copies them, and the
     * target gets a pointer to its copy. */
    size_t arg_bytes;

    /* Run on these CPUs only.  Count 0: as the starter. */
    const int *cpus;
    uint32_t cpu_count;

    /* Added to the nice value, of this thread alone: positive is politer,
     * negative needs rights. */
    int32_t nice;

    /* Of the stack.  0: what is usual on the system (ulimit -s).  Rounded up
     * to whole pages. */
    size_t stack_bytes;
} ipc_thread_options;

#define IPC_THREAD_OPTIONS_INIT                                                \
    {                                                                          \
        sizeof(ipc_thread_options), false, NULL, 0, NULL, 0, 0, 0              \
    }

/* The fields are shown so that it can be embedded; use the functions.  It has
 * to stay where it is while the program uses it, and so does its thread by
 * ipc_current_thread() and in ops.  It need not outlive that: a thread whose
 * object was a variable of main() is joined all the same when main() has
 * returned. */
struct ipc_thread {
    const ipc_thread_ops *ops_;
    int (*target_)(void *arg);
    void *arg_;
    void *arg_copy_;
    ipc_thread_options options_;
    char name_[32];
    int32_t error_;              /* what init failed with */
    uint32_t state_;             /* says that it was init'ed */
    struct ipc__thread *record_; /* once started: what the library knows */
    uint64_t reserved_[4];
};

/* ---- before it runs ---- */

/* Describe a thread that will call target(arg).  The result of target is the
 * exit code.
 *
 * Errors: -E2BIG, -EINVAL, -ENOMEM.  A failed init is reported by start()
 * again, so its result need not be looked at. */
IPC_API int ipc_thread_init(ipc_thread *thread, int (*target)(void *arg),
                            void *arg, const ipc_thread_options *options)
    IPC_NONNULL(1, 2);

/* Describe a thread that will call ops->run(thread). */
IPC_API int ipc_thread_init_ops(ipc_thread *thread, const ipc_thread_ops *ops,
                                const ipc_thread_options *options)
    IPC_NONNULL(1, 2);

/* Change name or daemon flag.  Errors: -EBUSY it was started. */
IPC_API int ipc_thread_set_name(ipc_thread *thread, const char *name)
    IPC_NONNULL(1, 2);
IPC_API int ipc_thread_set_daemon(ipc_thread *thread, bool daemon)
    IPC_NONNULL(1);

/* Start it.  An object starts one thread in its life.
 *
 * When CPUs or nice are asked for, returns after the thread has set them:
 * their errors are reported here, and there is no thread then.
 *
 * Errors: -EALREADY it was started; what init failed with; -EAGAIN no more
 * threads allowed or no memory for the stack, tried for 100 ms; -ENOMEM;
 * -EINVAL it was not init'ed, a CPU that does not exist, or stack_bytes too
 * small; -EPERM or -EACCES nice not allowed; -ENOSYS the kernel is too old. */
IPC_API IPC_MUST_USE int ipc_thread_start(ipc_thread *thread) IPC_NONNULL(1);

/* ---- while it runs ---- */

/* Wait until it has ended: as long as it takes, not at all, or until a
 * deadline.  Then also what it had thread-locally is destroyed.  Several
 * threads may join one thread; joining again is fine.  The main thread has
 * ended when it has begun to end the process.
 *
 * Errors: -EAGAIN (_nowait) and -ETIMEDOUT (_until) it runs; -EINVAL it was
 * not started, or was started by others than this library; -EDEADLK a thread
 * joins itself, or one that has called exit() and waits for the caller;
 * -ECHILD it is a thread of another process. */
IPC_API int ipc_thread_join(ipc_thread *thread) IPC_NONNULL(1);
IPC_API int ipc_thread_join_nowait(ipc_thread *thread) IPC_NONNULL(1);
IPC_API int ipc_thread_join_until(ipc_thread *thread, ipc_deadline deadline)
    IPC_NONNULL(1);

/* Was it started, and has it not ended?  False for a thread of another
 * process. */
IPC_API bool ipc_thread_is_alive(ipc_thread *thread) IPC_NONNULL(1);

/* How it ended: what the target returned, whatever int that is, or what it
 * gave to pthread_exit(), as an int; -ECANCELED when it was cancelled (or
 * called pthread_exit(PTHREAD_CANCELED), which is the same).
 *
 * Errors: -EAGAIN it runs; -EINVAL it was not started by this library;
 * -ECHILD it is a thread of another process. */
IPC_API int ipc_thread_exitcode(ipc_thread *thread, int *out) IPC_NONNULL(1, 2);

/* A number that no other thread of this process has or had; 0 before start.
 * (Python's may be used again.) */
IPC_API uint64_t ipc_thread_ident(const ipc_thread *thread) IPC_NONNULL(1);

/* The kernel's number for it, as gettid(2), top -H and /proc/self/task show
 * it; 0 before start.  It may be another thread's when this one has ended. */
IPC_API int ipc_thread_native_id(const ipc_thread *thread) IPC_NONNULL(1);

IPC_API const char *ipc_thread_name(const ipc_thread *thread) IPC_NONNULL(1);
IPC_API bool ipc_thread_is_daemon(const ipc_thread *thread) IPC_NONNULL(1);

/* Free what the object holds.  It can be init'ed again.  A thread that was
 * never started, or is not ours, is fine.
 *
 * Errors: -EBUSY it runs; -EINVAL it is the main thread's, or of one that
 * others have started. */
IPC_API int ipc_thread_close(ipc_thread *thread) IPC_NONNULL(1);

/* ---- the threads of this process ---- */

/* The object of the calling thread: the one that it was started with, one
 * named "MainThread", or, in a thread that others have started, one named
 * "Dummy-1", "Dummy-2"..., which lives as long as the thread.  NULL when there
 * is no memory for that, or the thread is in its very last steps.  In a
 * callback of timer.h, the object of the thread that runs the timers. */
IPC_API ipc_thread *ipc_current_thread(void);

/* The object of the main thread: the one that began the process, in a forked
 * child the one that has called fork(). */
IPC_API ipc_thread *ipc_main_thread(void);

/* The threads that are alive (Python: enumerate()): the main thread, always,
 * and then those that were started or have called ipc_current_thread(), in
 * that order.  Stores up to capacity of them in out and returns how many there
 * are.  An object among them is only good as long as it is not closed and, for
 * those of others, its thread runs. */
IPC_API size_t ipc_active_threads(ipc_thread **out, size_t capacity);

/* As gettid(2). */
IPC_API int ipc_gettid(void);

IPC_END_DECLS

#endif
