#include "ticket_folder.h"

#include "ticket_say.h"

#include <ipc/error.h>

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A signal handler can be given nothing: there is one folder in a program. */
static struct {
    char path[PATH_MAX];
    char file[PATH_MAX + 32], lock[PATH_MAX + 32], undo[PATH_MAX + 32];
    pid_t owner; /* 0: not made */
} folder;

void ticket_folder_remove(void)
{
    if (folder.owner != getpid())
        return;
    unlink(folder.file);
    unlink(folder.lock);
    unlink(folder.undo);
    rmdir(folder.path);
    folder.owner = 0;
}

/* Tidy up, then die of the signal as if it had not been handled. */
static void on_signal(int sig)
{
    ticket_folder_remove();
    raise(sig); /* with SA_RESETHAND: delivered when we return */
}

static void tidy_up_when_interrupted(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    struct sigaction action = {.sa_flags = (int)SA_RESETHAND}, old;

    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        sigaction(signals[i], NULL, &old);
        if (old.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
    }
}

const char *ticket_folder_make(void)
{
    const char *tmp = getenv("TMPDIR");
    int length;

    if (tmp == NULL || *tmp == '\0')
        tmp = "/tmp";
    length =
        snprintf(folder.path, sizeof folder.path, "%s/ticket-race-XXXXXX", tmp);
    errno = ENAMETOOLONG;
    if (length >= (int)sizeof folder.path || mkdtemp(folder.path) == NULL) {
        say(STDERR_FILENO, "ticket-race: no temporary folder in %s: %s", tmp,
            ipc_strerror(-errno));
        return NULL;
    }
    snprintf(folder.file, sizeof folder.file, "%s/tickets.json", folder.path);
    snprintf(folder.lock, sizeof folder.lock, "%s/tickets.json.lock",
             folder.path);
    snprintf(folder.undo, sizeof folder.undo, "%s/tickets.json.undo",
             folder.path);
    folder.owner = getpid();
    tidy_up_when_interrupted();
    return folder.file;
}
