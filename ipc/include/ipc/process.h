/* Processes: Python's multiprocessing.Process.
 *
 *     static int hello(void *arg)
 *     {
 *         printf("hello %s, I am %d\n", (char *)arg, ipc_getpid());
 *         return 0;                             // the exit code
 *     }
 *
 *     ipc_process p;
 *     char name[] = "world";
 *     ipc_process_init(&p, hello, name, NULL);
 *     if (ipc_process_start(&p) == 0)
 *         ipc_process_join(&p);
 *     ipc_process_close(&p);
 *
 * The "subclass" form embeds ipc_process as first member and has its run()
 * called with it:
 *
 *     struct counter { ipc_process process; int upto; };
 *     static int counter_run(ipc_process *self)
 *     {
 *         struct counter *c = (struct counter *)self; ...
 *     }
 *     static const ipc_process_ops counter_ops = {.run = counter_run};
 *
 *     struct counter c = {.upto = 5};
 *     ipc_process_init_ops(&c.process, &counter_ops, NULL);
 *
 * The child is a fork, unless another start method (below) is chosen: it sees
 * a copy of all memory, in which family memory (shared.h) is shared.  Standard
 * output and the other streams are flushed
 * before the fork.  A child whose target returns ends as in Python: it flushes
 * what it has printed and calls _exit(), so nothing is printed twice and no
 * exit handlers run.  A child that calls exit() runs the handlers that it has
 * set itself, and none of its parent's.  (In a program with several
 * threads only stdout and stderr are flushed, as another thread may be sitting
 * in a read of some stream; the child forgets what the others hold.)
 *
 * When a process ends normally (by exit(), by returning from main() or from
 * the target), its threads are joined (thread.h); then its daemon children are
 * terminated and its other children
 * joined, as in Python: SIGTERM first, SIGKILL a second later.  When it dies
 * in any other way (SIGKILL, _exit(), a crash) its daemon children end by
 * themselves within 100 ms, by SIGKILL; the others go on.  A daemon may have
 * children of its own; daemons among them end with it in the same way.
 *
 * A daemon child has one kernel thread more, which watches its parent.  It has
 * given up all rights, and ends with an exec, which a daemon therefore should
 * not do.  A daemon that is stopped ends when it is continued.
 *
 * Children are watched by pidfd.  There is no SIGCHLD handler and no
 * wait(-1): children of the program that are not ours are never touched.  A
 * program that waits for any child, or ignores SIGCHLD, may take an exit
 * status from us: see ipc_process_exitcode().
 *
 * Start methods
 *
 *     IPC_START_FORK        a copy of this process.  The quickest from a small
 *                           one; from one with much memory it takes long (tens
 *                           of milliseconds for 1 GiB).
 *     IPC_START_FORKSERVER  a fork of a template: a fresh image of the program
 *                           that has no threads and little memory.  Nearly as
 *                           quick as fork, whatever the size of this process.
 *     IPC_START_SPAWN       a fresh image of the program for each child.
 *
 * A fork of a program with threads has one thread, and locks that others held
 * at that moment stay held in it (malloc, stdio and libipc are fine).  So start
 * its children before its threads, or call little in them, or choose another
 * method.  The first start() of that kind in a process says so: its result is
 * 0, and ipc_error_detail() has a line about it.  (The thread of a pool does not
 * count: it holds no locks of that kind, and what it starts says nothing.)
 *
 * The other two know nothing of this process's memory but the family's.  What
 * they need is said at two places:
 *
 *     static int hello(void *arg) { ... }
 *     IPC_ENTRY(hello);                      // may run in a fresh image
 *
 *     int main(int argc, char **argv)
 *     {
 *         ipc_spawn_main(argc, argv);        // first
 *         const ipc_process_options options = {
 *             .size = sizeof options,
 *             .arg_bytes = 6,                // the argument travels as bytes
 *             .start_method = IPC_START_SPAWN,
 *         };
 *         ipc_process_init(&p, hello, "world", &options);
 *
 * There the argument is NULL, or bytes (arg_bytes), or a pointer into family
 * memory, which lies at the same address in every member of the family.  The
 * "subclass" form is for fork only.  The child has descriptors 0, 1 and 2, and
 * those in fds, under the same numbers and with the same close-on-exec flags;
 * none other.  ipc_current_process() is an object of its own with the same
 * name.  Everything else here holds for it too: a daemon watches the process
 * that called start(), and that process is its ipc_parent_process(), although
 * the kernel's parent of a forkserver child is the template.
 *
 * A fresh image is the same file that this process runs, also when it was
 * replaced or deleted since, with this process's arguments, environment, folder
 * and signal dispositions (handlers become the default).  Children of a
 * template begin with what it began with, limits and nice value included; but
 * with the descriptors 0, 1 and 2 of now.  /proc must be mounted.  This is not
 * for set-user-ID programs, nor for those that an interpreter runs.
 *
 * Threads: any; one ipc_process may be joined by several at once.
 * Processes: a handle belongs to the process that started it; in its children
 * every call on it fails with -ECHILD.
 * Crash: robust for everybody else. */
#ifndef IPC_PROCESS_H
#define IPC_PROCESS_H

#include <ipc/api.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

typedef struct ipc_process ipc_process;

enum ipc_start_method {
    IPC_START_DEFAULT = 0, /* what ipc_set_start_method() has chosen */
    IPC_START_FORK = 1,
    IPC_START_FORKSERVER = 2,
    IPC_START_SPAWN = 3
};

/* What a "subclass" provides.  All run in the child. */
typedef struct ipc_process_ops {
    /* The body; its result is the exit code (0 to 255). */
    int (*run)(ipc_process *self);
    /* Before run, after the child is set up.  A non-zero result ends the
     * child with that exit code instead.  May be NULL. */
    int (*on_start)(ipc_process *self);
    /* After run has returned (not after exit() or a signal), before the
     * child's own children are joined.  May be NULL. */
    void (*on_exit)(ipc_process *self, int exitcode);
} ipc_process_ops;

/* A limit for the child, as setrlimit(2): RLIMIT_..., and both values. */
typedef struct ipc_process_rlimit {
    int resource;
    uint64_t soft;
    uint64_t hard;
} ipc_process_rlimit;

/* What is pointed to is used by start() and must live until then. */
typedef struct ipc_process_options {
    uint32_t size; /* of this structure: IPC_PROCESS_OPTIONS_INIT */
    bool daemon;   /* ends with its parent */

    /* Shown by ps, top and error details.  NULL: "Process-1", "Process-2"...
     * Up to 31 bytes are kept; the kernel shows the first 15. */
    const char *name;

    /* If not 0, arg points to that many bytes: init copies them, and the
     * target gets a pointer to its copy. */
    size_t arg_bytes;

    /* Run on these CPUs only.  Count 0: as the parent. */
    const int *cpus;
    uint32_t cpu_count;

    /* Added to the nice value: positive is politer, negative needs rights. */
    int32_t nice;

    const ipc_process_rlimit *rlimits;
    uint32_t rlimit_count;

    uint32_t start_method; /* enum ipc_start_method */

    /* With spawn and forkserver: descriptors that the child has, beside 0, 1
     * and 2.  At most IPC_PROCESS_FDS_MAX. */
    const int *fds;
    uint32_t fd_count;
} ipc_process_options;

#define IPC_PROCESS_OPTIONS_INIT                                               \
    {                                                                          \
        sizeof(ipc_process_options), false, NULL, 0, NULL, 0, 0, NULL, 0,      \
            IPC_START_DEFAULT, NULL, 0                                         \
    }

#define IPC_PROCESS_FDS_MAX 128

/* The fields are shown so that it can be embedded; use the functions.  It has
 * to stay where it is while the program uses it, but need not outlive that: a
 * process whose object was a variable of main() is joined, or terminated, all
 * the same when main() has returned. */
struct ipc_process {
    const ipc_process_ops *ops_;
    int (*target_)(void *arg);
    void *arg_;
    void *arg_copy_;
    ipc_process_options options_;
    char name_[32];
    int32_t error_;            /* what init failed with */
    uint32_t state_;           /* 0: not init'ed */
    struct ipc__child *child_; /* once started: what the library knows */
    uint64_t reserved_[2];
};

/* ---- before it runs ---- */

/* Describe a process that will call target(arg).  The result of target is the
 * exit code (0 to 255).
 *
 * Errors: -E2BIG, -EINVAL, -ENOMEM.  A failed init is reported by start()
 * again, so its result need not be looked at. */
IPC_API int ipc_process_init(ipc_process *process, int (*target)(void *arg),
                             void *arg, const ipc_process_options *options)
    IPC_NONNULL(1, 2);

/* Describe a process that will call ops->run(process). */
IPC_API int ipc_process_init_ops(ipc_process *process,
                                 const ipc_process_ops *ops,
                                 const ipc_process_options *options)
    IPC_NONNULL(1, 2);

/* Change name or daemon flag.  Errors: -EBUSY it was started. */
IPC_API int ipc_process_set_name(ipc_process *process, const char *name)
    IPC_NONNULL(1, 2);
IPC_API int ipc_process_set_daemon(ipc_process *process, bool daemon)
    IPC_NONNULL(1);

/* Start it.  An object starts one process in its life.
 *
 * When CPUs, nice or limits are asked for, or it is a daemon, returns after
 * the child has set them: their errors are reported here, and there is no
 * child then.
 *
 * Errors: -EALREADY it was started; what init failed with; -EAGAIN no more
 * processes allowed, tried for 100 ms; -ENOMEM; -EMFILE, -ENFILE; -EINVAL a
 * CPU that does not exist; -EPERM or -EACCES nice or limits not allowed;
 * -EXDEV the child would be in another pid namespace.
 *
 * With spawn and forkserver it returns when the child is about to call the
 * target.  Errors, beside those: -EINVAL the target is not registered, the
 * argument is of another kind than the three above, main() has not called
 * ipc_spawn_main(), no such start method; -ENOTSUP the "subclass" form; -EBADF
 * one of fds is not open, or the program has closed the library's descriptor of
 * family memory; -EBUSY the template has one of fds open for something else;
 * -ETIMEDOUT the fresh image did not call ipc_spawn_main() within 10 s, and was
 * killed; -EPIPE it ended before that, or the template died twice; -EFBIG more
 * bytes than RLIMIT_FSIZE permits; -EPERM a set-user-ID program, or this
 * process was spawned itself and has not called ipc_spawn_main() yet; what
 * execve(2) gives. */
IPC_API IPC_MUST_USE int ipc_process_start(ipc_process *process) IPC_NONNULL(1);

/* ---- while it runs ---- */

/* Wait until it has ended: as long as it takes, not at all, or until a
 * deadline.  Several threads may join one process; joining again is fine.
 *
 * Errors: -EAGAIN (_nowait) and -ETIMEDOUT (_until) it runs; -EINVAL it was
 * not started; -EDEADLK a process joins itself; -ECHILD another process
 * started it. */
IPC_API int ipc_process_join(ipc_process *process) IPC_NONNULL(1);
IPC_API int ipc_process_join_nowait(ipc_process *process) IPC_NONNULL(1);
IPC_API int ipc_process_join_until(ipc_process *process, ipc_deadline deadline)
    IPC_NONNULL(1);

/* Was it started, and has it not ended?  False for a process that is not
 * ours. */
IPC_API bool ipc_process_is_alive(ipc_process *process) IPC_NONNULL(1);

/* How it ended: what it returned or gave to exit(), or the negative number
 * of the signal that killed it (-9 for SIGKILL).
 *
 * Errors: -EAGAIN it runs; -EINVAL it was not started; -ECHILD another
 * process started it, or its status is lost: another wait() took it (before
 * Linux 6.15), or the program ignores SIGCHLD and it was killed (the same). */
IPC_API int ipc_process_exitcode(ipc_process *process, int *out)
    IPC_NONNULL(1, 2);

/* Send SIGTERM, SIGKILL, SIGINT, or any signal.  Sent through the pidfd: never
 * to an innocent process that got the same pid.  A process that has ended is
 * left in peace, with result 0.
 *
 * Errors: -EINVAL it was not started, or no such signal; -EPERM; -ECHILD. */
IPC_API int ipc_process_terminate(ipc_process *process) IPC_NONNULL(1);
IPC_API int ipc_process_kill(ipc_process *process) IPC_NONNULL(1);
IPC_API int ipc_process_interrupt(ipc_process *process) IPC_NONNULL(1);
IPC_API int ipc_process_signal(ipc_process *process, int sig) IPC_NONNULL(1);

/* Its pid, or 0 before it is started. */
IPC_API int ipc_process_pid(const ipc_process *process) IPC_NONNULL(1);
IPC_API const char *ipc_process_name(const ipc_process *process) IPC_NONNULL(1);
IPC_API bool ipc_process_is_daemon(const ipc_process *process) IPC_NONNULL(1);

/* The sentinel: a descriptor that becomes readable (POLLIN) when the process
 * ends, for poll, epoll and event loops.  -EINVAL before start.
 * Owns: the process object, until ipc_process_close(). */
IPC_API int ipc_process_fd(const ipc_process *process) IPC_NONNULL(1);

/* Free what the object holds: descriptor and copied argument.  It can be
 * init'ed again.  A process that was never started, or is not ours, is fine.
 *
 * Errors: -EBUSY it runs; -EINVAL it is the object of the calling process or
 * of its parent. */
IPC_API int ipc_process_close(ipc_process *process) IPC_NONNULL(1);

/* ---- start methods ---- */

/* The method of processes that do not name one, in this process and in those
 * that it starts from now on.  IPC_START_DEFAULT: fork, as at the beginning.
 *
 * Errors: -EINVAL no such method. */
IPC_API int ipc_set_start_method(int method);

/* The method in force: never IPC_START_DEFAULT. */
IPC_API int ipc_get_start_method(void);

/* What main() calls first.  Returns at once in a process that somebody else
 * has started.  In a fresh image that ipc_process_start() has made it runs
 * the target and ends the process: as ever, by _exit() when all is flushed
 * and joined. */
IPC_API void ipc_spawn_main(int argc, char **argv);

/* At file scope, IPC_ENTRY(hello): this function, of any type, may be the
 * target of a fresh image.  Static functions are fine, and so are several of
 * one name.  A shared library that does this must not be unloaded, and one that
 * is loaded by dlopen() must be so in the fresh image too, before main(). */
#define IPC_ENTRY(function)                                                    \
    __attribute__((constructor)) static void ipc_entry_add_##function(void)    \
    {                                                                          \
        static ipc_entry entry;                                                \
        ipc_entry_add(&entry, #function, IPC_ENTRY_FUNCTION(function));        \
    }                                                                          \
    struct ipc_entry_end_

#ifdef __cplusplus
#    define IPC_ENTRY_FUNCTION(function) reinterpret_cast<void (*)()>(function)
#else
#    define IPC_ENTRY_FUNCTION(function) (void (*)(void))(function)
#endif

/* A registered function.  For IPC_ENTRY(). */
typedef struct ipc_entry {
    struct ipc_entry *next_;
    const char *name_;
    void (*function_)(void);
    uint32_t index_;
    uint32_t hash_;
} ipc_entry;

IPC_API void ipc_entry_add(ipc_entry *entry, const char *name,
                           void (*function)(void)) IPC_NONNULL(1, 2, 3);

/* The template of forkserver children. */
typedef struct ipc_forkserver_options {
    uint32_t size; /* of this structure: IPC_FORKSERVER_OPTIONS_INIT */

    /* Descriptors that it has, and its children too. */
    uint32_t fd_count;
    const int *fds;

    /* Called once in it, with preload_arg: loads what all its children will
     * need.  Registered by IPC_ENTRY().  It must leave no thread behind, or
     * the start fails with -EBUSY (those that end have 100 ms for it); what it
     * opens its children have too.  A result other than 0 ends it.  May be
     * NULL. */
    int (*preload)(void *arg);
    void *preload_arg; /* NULL, or in family memory */
} ipc_forkserver_options;

#define IPC_FORKSERVER_OPTIONS_INIT                                            \
    {                                                                          \
        sizeof(ipc_forkserver_options), 0, NULL, NULL, NULL                    \
    }

/* Start the template now, and return when its preload is done.  The first
 * forkserver child starts one otherwise, without a preload.
 *
 * It belongs to this process and dies with it; children of this process start
 * their own.  When it was killed the next start() makes another one in the same
 * way, so the preload may run again; the children that it had go on, but for
 * the status of those that then are killed (ipc_process_exitcode(): -ECHILD
 * before Linux 6.15); 32 bytes of family memory stay behind if it was killed
 * just making one, as nobody knows whether that was born.  While it is stopped,
 * start() waits.  It ignores SIGINT;
 * its children do not.
 *
 * Errors: -EALREADY there is one; what preload gave, or -EINVAL if that was
 * positive; -EBUSY it has left a thread behind; as ipc_process_start() with
 * spawn. */
IPC_API int ipc_forkserver_start(const ipc_forkserver_options *options);

/* End it.  With children that run, or were not closed, it stays until that is
 * over, but takes no more orders.  0 also when there is none. */
IPC_API int ipc_forkserver_stop(void);

/* Its pid, or 0. */
IPC_API int ipc_forkserver_pid(void);

/* ---- this process and its relatives ---- */

/* The object of the calling process: the one that it was started with, as it
 * was copied by the fork, or one of the library's. */
IPC_API ipc_process *ipc_current_process(void);

/* The object of the process that started this one, for name, pid, is_alive,
 * join (which waits for its end) and the sentinel; NULL in a main process. */
IPC_API ipc_process *ipc_parent_process(void);

/* The started children of this process that have not ended, in the order they
 * were started.  Stores up to capacity of them in out and returns how many
 * there are.  Children that have ended are joined by the way. */
IPC_API size_t ipc_active_children(ipc_process **out, size_t capacity);

/* As getpid(2) and getppid(2); the parent of a forkserver child is who started
 * it, while that lives. */
IPC_API int ipc_getpid(void);
IPC_API int ipc_getppid(void);

/* How many CPUs this process may run on: at least 1. */
IPC_API int ipc_cpu_count(void);

IPC_END_DECLS

#endif
