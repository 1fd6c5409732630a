/* Signals: a thread waits for them, all others have them blocked.
 *
 * Why a thread: the server looks at one descriptor, which says "end"; the
 * service manager is to be told before it drains, not after; and SIGHUP must
 * not end it. */
#include "managerd.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct {
    sigset_t set;
    int stop_fd;
} state;

static void stop(int sig)
{
    const uint64_t one = 1;
    managerd_log(IPC_MANAGER_LOG_INFO, "SIG%s: it ends", sigabbrev_np(sig));
    managerd_notify("STOPPING=1");
    (void)!write(state.stop_fd, &one, sizeof one);
}

static void *wait_for_signals(void *arg)
{
    bool stopping = false;
    int sig;
    (void)arg;
    while (sigwait(&state.set, &sig) == 0) {
        if (sig == SIGHUP) {
            managerd_log(IPC_MANAGER_LOG_INFO,
                         "SIGHUP: nothing is read again; start it anew");
        } else if (!stopping) {
            stopping = true;
            stop(sig);
        }
    }
    return NULL;
}

int managerd_signals_begin(int *stop_fd)
{
    pthread_t thread;
    state.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (state.stop_fd < 0)
        return -errno;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&state.set);
    (void)sigaddset(&state.set, SIGTERM);
    (void)sigaddset(&state.set, SIGINT);
    (void)sigaddset(&state.set, SIGHUP);
    int error = pthread_sigmask(SIG_BLOCK, &state.set, NULL);
    if (error == 0)
        error = pthread_create(&thread, NULL, wait_for_signals, NULL);
    if (error != 0) {
        (void)close(state.stop_fd);
        return -error;
    }
    (void)pthread_detach(thread);
    *stop_fd = state.stop_fd;
    return 0;
}
