/* Faults on purpose: system calls that fail, memory that runs out, a full
 * /dev/shm, no descriptors left, storms of signals, another user.
 *
 * They hold for the calling process, and what it forks, for good unless a
 * function here ends them.  Make them in a role (role.h) or in the case itself;
 * in the case not those of calls that the harness needs at its end to look for
 * leaks, such as openat, read, mmap. */
#ifndef HARNESS_FAULTS_H
#define HARNESS_FAULTS_H

#include "harness/harness.h"

/* ---- system calls ---- */

/* From now on this call fails with this errno in all threads: a seccomp
 * filter, so there is no way back. */
void fault_syscall(int number, int error);

/* The nth call from now on (1: the next one) fails, once, in this process;
 * nth 0: none, only count.  Not for rt_sigreturn, vfork, clone3 and calls made
 * with SIGSYS blocked. */
void fault_syscall_nth(int number, long nth, int error);

/* How often the call of fault_syscall_nth() was made so far.  When it was
 * made fewer than nth times there are no more to fail. */
long fault_syscall_count(void);

/* ---- memory: link ipc_fault_malloc ---- */

/* The nth allocation from now on (1: the next one) fails, and with `onward`
 * all after it; nth 0: none, only count.  What libc allocates for itself is
 * included.  Skips the case where a sanitizer owns malloc(). */
void fault_malloc_nth(long nth, bool onward);

/* How many allocations there were since; and no more faults. */
long fault_malloc_end(void);

/* ---- resources ---- */

/* Put a tmpfs of this size and number of files (0: no limit) on /dev/shm, for
 * this process.  The root folder counts as a file.  Skips the case where
 * namespaces are not permitted. */
void fault_small_shm(size_t size_bytes, long inodes);

/* Let only this many more descriptors be opened; and no limit again but the
 * old one. */
void fault_fds_left(int count);
void fault_fds_restore(void);

/* ---- signals ---- */

/* Interrupt the calling thread so many times a second with SIGALRM, whose
 * handler is set without SA_RESTART.  storm_stop() returns how often that
 * happened. */
void storm_start(int per_second);
long storm_stop(void);

/* ---- users ---- */

/* Become user and group 65534 for good.  Skips where that is not permitted.
 * Best in a role: the case could not clean up any more. */
void become_nobody(void);

#endif
