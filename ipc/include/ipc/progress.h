/* A progress bar for the terminal, for programs that want one:
 *
 *     blur  [############            ]  50%  512/1024  1.3 k/s  0:03 left
 *
 *     ipc_progress_bar bar;
 *     ipc_progress_bar_begin(&bar, "blur", 1024, NULL);
 *     ... ipc_progress_bar_update(&bar, done); ...
 *     ipc_progress_bar_end(&bar);
 *
 * It is drawn on standard error, and only if that is a terminal, at most ten
 * times a second; without colour where NO_COLOR is set or TERM is "dumb".
 * ipc_progress_bar_show() is made for ipc_map_options.progress:
 *
 *     .progress = ipc_progress_bar_show, .progress_arg = &bar
 *
 * The bar is the caller's memory; whatever becomes of it, nothing is to be
 * freed.  This is the only part of the library that prints; what cannot be
 * written is left out.
 *
 * Threads: one at a time.  Processes: its own.  Fork: a child has a copy, and
 * should not draw it. */
#ifndef IPC_PROGRESS_H
#define IPC_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipc/api.h>
#include <ipc/time.h>

IPC_BEGIN_DECLS

typedef struct ipc_progress_bar_options {
    uint32_t size;    /* of this structure: IPC_PROGRESS_BAR_OPTIONS_INIT */
    bool quiet;       /* draw nothing: for a program's --quiet */
    bool always;      /* also if it is no terminal */
    int32_t fd;       /* instead of standard error; 0: that */
    uint32_t width;   /* columns; 0: the terminal's */
    const char *unit; /* of the rate: "pages" makes "12 pages/s" */
} ipc_progress_bar_options;

#define IPC_PROGRESS_BAR_OPTIONS_INIT                                          \
    {                                                                          \
        sizeof(ipc_progress_bar_options), false, false, 0, 0, NULL             \
    }

typedef struct ipc_progress_bar {
    ipc_progress_bar_options options_;
    char label_[32];
    char unit_[16];
    size_t total_;
    size_t done_;
    ipc_deadline began_;
    ipc_deadline drawn_;
    uint32_t shown_; /* columns drawn */
    uint32_t flags_;
    uint64_t reserved_[4];
} ipc_progress_bar;

/* total 0: it is not known, and a count is shown instead of a bar.  label and
 * unit are copied, 31 and 15 bytes of them.
 *
 * Errors: -EINVAL a negative descriptor; -EINVAL, -E2BIG options of another
 * version. */
IPC_API int ipc_progress_bar_begin(ipc_progress_bar *bar, const char *label,
                                   size_t total,
                                   const ipc_progress_bar_options *options)
    IPC_NONNULL(1);

/* done: so far, not since the last time.  Cheap to call for each item. */
IPC_API void ipc_progress_bar_update(ipc_progress_bar *bar, size_t done)
    IPC_NONNULL(1);

/* Draw it a last time and end the line. */
IPC_API void ipc_progress_bar_end(ipc_progress_bar *bar) IPC_NONNULL(1);

/* update() with the bar as last argument. */
IPC_API void ipc_progress_bar_show(size_t done, size_t total, void *bar);

IPC_END_DECLS

#endif
