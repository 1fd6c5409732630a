/* The life of a case's process. */
#include "harness/internal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

bool test__unfit_to_exit;

/* What the case prints goes to the log; it has a session of its own, dies
 * with the runner, and a failed assertion of it need not write a core. */
static void set_up(int log_fd, pid_t runner)
{
    test__catch_stop(false);
    (void)setsid();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != runner)
        _exit(1);

    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (dup2(null_fd, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0)
        _exit(1);
    if (null_fd > 2)
        (void)close(null_fd);
    (void)close(log_fd);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

void test__case_main(const struct test_case *test, int log_fd, pid_t runner)
{
    set_up(log_fd, runner);

    struct held before;
    test__held_now(&before);
    test->run();
    test__held_compare(&before);
    test__held_free(&before);

    test__page->finished = 1;
    int code = test__page->leaks[0] == '\0' ? 0 : 1;
    if (test__unfit_to_exit) {
        (void)fflush(stdout);
        _exit(code);
    }
    /* exit(), so that what sanitizers and the library do there is done. */
    exit(code); /* NOLINT(concurrency-mt-unsafe): its threads have ended */
}
