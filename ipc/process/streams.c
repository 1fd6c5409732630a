#include "process/streams.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/single_threaded.h>

/* Another thread may hold the lock of an input stream for as long as it waits
 * for input: then only the standard streams are safe to flush. */
void ipc__flush_all(void)
{
    if (__libc_single_threaded) {
        ipc__flush_pending();
    } else {
        (void)fflush(stdout);
        (void)fflush(stderr);
    }
}

#ifdef __GLIBC__
/* glibc's list of all streams.  Looking whether there is anything to do costs
 * nothing; fflush(NULL) locks every stream, which in a new child means a copy
 * of each page that one lies on: 11 us, where a fork takes 150. */
extern FILE *_IO_list_all; /* NOLINT(readability-identifier-naming) */

static bool is_pending(void)
{
    for (const FILE *stream = _IO_list_all; stream != NULL;
         stream = stream->_chain)
        if (stream->_IO_write_ptr > stream->_IO_write_base ||
            stream->_mode > 0) /* wide: its buffer is elsewhere */
            return true;
    return false;
}
#else
static bool is_pending(void)
{
    return true;
}
#endif

void ipc__flush_pending(void)
{
    if (is_pending())
        (void)fflush(NULL);
}
