#include "process/streams.h"

#include <stdio.h>
#include <stdio_ext.h>
#include <sys/single_threaded.h>

#ifdef __GLIBC__
/* glibc's list of all streams.  To look whether there is anything to do costs
 * nothing; fflush(NULL) locks every stream, which in a new child means a copy
 * of each page that one lies on: 11 us, where a fork takes 150.  And it would
 * wait for another thread that sits in a read of some stream, for ever
 * perhaps.  Nothing is locked here, as in exit(). */
extern FILE *_IO_list_all; /* NOLINT(readability-identifier-naming) */

void ipc__flush_pending(void)
{
    for (FILE *stream = _IO_list_all; stream != NULL; stream = stream->_chain)
        if (stream->_IO_write_ptr > stream->_IO_write_base ||
            stream->_mode > 0) /* wide: its buffer is elsewhere */
            (void)fflush_unlocked(stream);
}

/* Whatever was to be flushed before the fork is by now, unless there were
 * other threads, which print on. */
void ipc__drop_inherited(void)
{
    if (__libc_single_threaded)
        return;
    for (FILE *stream = _IO_list_all; stream != NULL; stream = stream->_chain)
        if (stream->_IO_write_ptr > stream->_IO_write_base)
            __fpurge(stream);
}
#else
void ipc__flush_pending(void)
{
    (void)fflush(NULL);
}

void ipc__drop_inherited(void)
{
}
#endif

/* The other threads go on printing: only the standard streams are safe to
 * flush then, with their locks. */
void ipc__flush_all(void)
{
    if (__libc_single_threaded) {
        ipc__flush_pending();
    } else {
        (void)fflush(stdout);
        (void)fflush(stderr);
    }
}
