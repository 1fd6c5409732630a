#include "sync/file_record.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kernel/syscall.h"

#define SIZE IPC__FILE_RECORD_BYTES

#define US_PER_S 1000000

static const char *const words[] = {
    [IPC__FILE_FREE] = "ipc-lock free",
    [IPC__FILE_HELD] = "ipc-lock held",
    [IPC__FILE_REPAIR] = "ipc-lock repair",
    [IPC__FILE_LOST] = "ipc-lock lost",
};

static bool names_owner(enum ipc__file_state state)
{
    return state == IPC__FILE_HELD || state == IPC__FILE_REPAIR;
}

/* By hand: printf and scanf take longer than all the rest of an acquire. */

static char *put_text(char *at, const char *text)
{
    while (*text != '\0')
        *at++ = *text++;
    return at;
}

static char *put_number(char *at, int64_t value, int min_digits)
{
    char digits[20];
    int n = 0;
    for (; value > 0 || n < min_digits; value /= 10)
        digits[n++] = (char)('0' + value % 10);
    while (n > 0)
        *at++ = digits[--n];
    return at;
}

/* The number that follows prefix; 0 if it is not there. */
static int64_t get_number(const char **at, const char *prefix, int max_digits)
{
    const size_t n = strlen(prefix);
    if (strncmp(*at, prefix, n) != 0)
        return 0;
    int64_t value = 0;
    for (*at += n; **at >= '0' && **at <= '9' && max_digits > 0; max_digits--)
        value = value * 10 + (*(*at)++ - '0');
    return value;
}

static void format(const struct ipc__file_record *record, char out[SIZE])
{
    memset(out, ' ', SIZE);
    out[SIZE - 1] = '\n';
    char *at = put_text(out, words[record->state]);
    if (!names_owner(record->state))
        return;
    /* It fits: the kernel's largest pid has 7 digits, and the seconds have 9
     * after 30 years. */
    at = put_number(put_text(at, " pid="), record->pid, 1);
    at = put_number(put_text(at, " tid="), record->tid, 1);
    at = put_number(put_text(at, " since="), record->since_us / US_PER_S, 1);
    put_number(put_text(at, "."), record->since_us % US_PER_S, 6);
}

static bool parse(const char text[SIZE], struct ipc__file_record *out)
{
    static const char zeros[SIZE];
    *out = (struct ipc__file_record){.state = IPC__FILE_FREE};
    if (memcmp(text, zeros, SIZE) == 0)
        return true;
    if (text[SIZE - 1] != '\n')
        return false;

    /* Take what may be there; it is a record if we would write it so. */
    for (int i = IPC__FILE_FREE; i <= IPC__FILE_LOST; i++) {
        const size_t n = strlen(words[i]);
        if (memcmp(text, words[i], n) == 0) {
            const char *at = text + n;
            out->state = (enum ipc__file_state)i;
            out->pid = (int32_t)get_number(&at, " pid=", 7);
            out->tid = (int32_t)get_number(&at, " tid=", 7);
            out->since_us = get_number(&at, " since=", 9) * US_PER_S;
            out->since_us += get_number(&at, ".", 6);
            break;
        }
    }
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
    char text[SIZE];
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
