/* The line of text at the start of a lock file, 64 bytes with its newline:
 *
 *     ipc-lock free
 *     ipc-lock held   pid    4711 tid    4712 since        86.123456
 *     ipc-lock repair pid    4711 tid    4712 since        86.123456
 *     ipc-lock lost
 *
 * A file that is empty or holds 64 zero bytes is new, and free.  The time is
 * in seconds on the monotonic clock.  Each change is one pwrite() of all 64
 * bytes, which SIGKILL cannot split: the kernel does not look at signals while
 * it copies them.  A reader without the lock may see a mixture of two lines.
 */
#ifndef IPC_SYNC_FILE_RECORD_H
#define IPC_SYNC_FILE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#define IPC__FILE_RECORD_BYTES 64

enum ipc__file_state {
    IPC__FILE_FREE,
    IPC__FILE_HELD,
    IPC__FILE_REPAIR, /* held, and an owner before it died */
    IPC__FILE_LOST,   /* given up, until reset */
};

struct ipc__file_record {
    enum ipc__file_state state;
    int32_t pid, tid; /* 0 unless held or repair */
    int64_t since_us;
};

/* Returns 0, -EUCLEAN for what is not a record, or what the kernel says. */
int ipc__file_record_read(int fd, struct ipc__file_record *out);

/* Is there a record?  Needs no lock: what may be a mixture is read again. */
int ipc__file_record_check(int fd);

int ipc__file_record_write(int fd, const struct ipc__file_record *record);

/* Make the bytes of an empty file real, as zeros, so that no record lacks the
 * room later.  Not every file system can: then that is no error.  What
 * somebody else wrote meanwhile stays. */
int ipc__file_record_reserve(int fd);

bool ipc__file_record_equal(const struct ipc__file_record *a,
                            const struct ipc__file_record *b);

#endif
