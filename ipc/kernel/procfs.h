/* What /proc tells about a thread of another process. */
#ifndef IPC_KERNEL_PROCFS_H
#define IPC_KERNEL_PROCFS_H

#include <stdbool.h>
#include <stdint.h>

/* When a thread was started, in clock ticks since boot: with its tid, its
 * identity.  tid 0 is the caller.
 *
 * Returns 0; 1 if it has ended and is only waited for (a zombie); a negative
 * errno if /proc cannot tell: -ENOENT also for a living one that it hides
 * (hidepid). */
int ipc__proc_start_time(int tid, uint64_t *ticks);

/* Does /proc show the processes by the numbers that we know them by?  It may be
 * another pid namespace's, or not mounted. */
bool ipc__proc_is_ours(void);

/* Is its process writing a core dump?  Such a thread never runs again, but
 * the kernel announces its death only when the dump is written. */
bool ipc__proc_is_dumping(int tid);

/* The process that a thread belongs to, or 0. */
int ipc__proc_pid_of(int tid);

/* The short name of a process or thread, or "" ; size at least 16. */
void ipc__proc_name(int tid, char *out, int size);

/* The inode of the caller's pid namespace; 0 when /proc cannot tell. */
uint64_t ipc__proc_pid_namespace(void);

#endif
