#include "sync/file_record.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kernel/syscall.h"

#define SIZE IPC__FILE_RECORD_BYTES

#define US_PER_S 1000000

static const char lines[][SIZE + 1] = {
    [IPC__FILE_FREE] = "ipc-lock free                                   "
                       "               \n",
    [IPC__FILE_HELD] = "ipc-lock held   pid         tid         since   "
                       "       .000000 \n",
    [IPC__FILE_REPAIR] = "ipc-lock repair pid         tid         since   "
                         "       .000000 \n",
    [IPC__FILE_LOST] = "ipc-lock lost                                   "
                       "               \n",
};

/* Where the numbers end in the lines that have them. */
enum {
    WORD_END = 15,
    PID_END = 27,
    TID_END = 39,
    S_END = 55,
    US_END = 62
};

static bool names_owner(enum ipc__file_state state)
{
    return state == IPC__FILE_HELD || state == IPC__FILE_REPAIR;
}

/* By hand: printf and scanf take longer than all the rest of an acquire.  All
 * numbers fit: the kernel's largest pid has 7 digits, and 30 years are 9 digits
 * of seconds. */

static void put_number(char *end, uint32_t value)
{
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
}

/* Up to max digits, over blanks. */
static uint32_t get_number(const char *end, int max)
{
    uint32_t value = 0;
    for (const char *at = end - max; at < end; at++)
        if (*at >= '0' && *at <= '9')
            value = value * 10 + (uint32_t)(*at - '0');
    return value;
}

static void format(const struct ipc__file_record *record, char out[SIZE])
{
    memcpy(out, lines[record->state], SIZE);
    if (!names_owner(record->state))
        return;
    put_number(out + PID_END, (uint32_t)record->pid);
    put_number(out + TID_END, (uint32_t)record->tid);
    put_number(out + S_END, (uint32_t)(record->since_us / US_PER_S));
    put_number(out + US_END, (uint32_t)(record->since_us % US_PER_S));
}

static bool parse(const char text[SIZE], struct ipc__file_record *out)
{
    static const char zeros[SIZE];
    *out = (struct ipc__file_record){.state = IPC__FILE_FREE};
    if (memcmp(text, zeros, SIZE) == 0)
        return true;

    int state = IPC__FILE_FREE;
    while (memcmp(text, lines[state], WORD_END) != 0)
        if (++state > IPC__FILE_LOST)
            return false;
    out->state = (enum ipc__file_state)state;
    if (names_owner(out->state)) {
        out->pid = (int32_t)get_number(text + PID_END, 7);
        out->tid = (int32_t)get_number(text + TID_END, 7);
        out->since_us = (int64_t)get_number(text + S_END, 9) * US_PER_S +
                        get_number(text + US_END, 6);
    }
    /* It is a record if we would write it so. */
    char again[SIZE];
    format(out, again);
    return memcmp(text, again, SIZE) == 0;
}

int ipc__file_record_read(int fd, struct ipc__file_record *out)
{
    char text[SIZE + 1]; /* one more, to see that there is no more */
    ssize_t n;
    do {
        n = pread(fd, text, sizeof text, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    *out = (struct ipc__file_record){.state = IPC__FILE_FREE};
    if (n == 0 || (n == SIZE && parse(text, out)))
        return 0;
    return -EUCLEAN;
}

int ipc__file_record_check(int fd)
{
    struct ipc__file_record record;
    int rc = -EUCLEAN;
    for (int tries = 0; rc == -EUCLEAN && tries < 5; tries++)
        rc = ipc__file_record_read(fd, &record);
    return rc;
}

int ipc__file_record_write(int fd, const struct ipc__file_record *record)
{
    /* Within one page, so that the copy never stops half-way for another page
     * to be brought in, where a signal would be looked at. */
    _Alignas(SIZE) char text[SIZE];
    format(record, text);
    ssize_t n;
    do {
        n = pwrite(fd, text, sizeof text, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return n == SIZE ? 0 : -ENOSPC;
}

int ipc__file_record_reserve(int fd)
{
    long rc;
    do {
        rc = ipc__syscall4(SYS_fallocate, fd, 0, 0, SIZE);
    } while (rc == -EINTR);
    return rc == -ENOSPC || rc == -EDQUOT ? (int)rc : 0;
}

bool ipc__file_record_equal(const struct ipc__file_record *a,
                            const struct ipc__file_record *b)
{
    return a->state == b->state && a->pid == b->pid && a->tid == b->tid &&
           a->since_us == b->since_us;
}
