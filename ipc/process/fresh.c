/* Being a fresh image of the program that another process has started.
 *
 * It learns that from a variable in its environment, in a constructor of this
 * library and so before the program's own: family memory has to be mapped
 * where the family has it before somebody else takes the place, and whoever
 * uses the library in a constructor has to find it there.
 *
 * What it was told is believed when it lies in a sealed memfd, names this
 * process's parent as the one who told it, and a start block in the memory of
 * that family that names this process.  Otherwise this is an ordinary process
 * that has inherited a variable.
 *
 * State
 *   image.state   by the only thread that there is: ORDINARY, or TAKEN by the
 *                 constructor, then ENTERED by ipc_spawn_main().  Until then
 *                 no process is started here: a program that does not call it
 *                 would start itself again and again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/error.h"
#include "process/child.h"
#include "process/fresh.h"

#define TRIES 16  /* to find the family's addresses free */
#define FIRST 101 /* of the constructors that are not libc's */

static struct {
    enum {
        ORDINARY,
        TAKEN,
        ENTERED
    } state;
    int fd; /* the request */
    struct ipc__request request;
    char **argv;
} image;

bool ipc__fresh_is_entered(void)
{
    return image.state != TAKEN;
}

char **ipc__fresh_argv(void)
{
    return image.argv;
}

static struct ipc__start *start_of(const struct ipc__request *request)
{
    return (struct ipc__start *)(uintptr_t)request->start;
}

/* ---- the constructor ---- */

/* The start block alone, to say that there is no more. */
static void report_from_afar(const struct ipc__request *request, int error)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t at = request->start - request->family.address;
    char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED,
                     request->family.fd, (off_t)(at & ~(page - 1)));
    if (map == MAP_FAILED)
        return;
    struct ipc__start *start =
        (struct ipc__start *)(void *)(map + (at & (page - 1)));
    ipc__child_report_failed(start, IPC__STEP_FAMILY, error);
}

/* The command line, for an exec. */
static char **read_arguments(void)
{
    FILE *file = fopen("/proc/self/cmdline", "re");
    char **argv = NULL;
    char *text = NULL;
    size_t size = 0;
    size_t count = 0;
    if (file == NULL)
        return NULL;
    for (;; count++) {
        char **more = realloc(argv, (count + 1) * sizeof *argv);
        if (more == NULL)
            break;
        argv = more;
        text = NULL;
        size = 0;
        if (getdelim(&text, &size, '\0', file) <= 0) {
            argv[count] = NULL;
            (void)fclose(file);
            return argv;
        }
        argv[count] = text;
    }
    (void)fclose(file);
    return NULL;
}

/* The kernel has put something where family memory has to be.  Another time it
 * will choose other addresses. */
static void try_again(int fd, int tries)
{
    char text[32];
    char **argv = read_arguments();
    (void)snprintf(text, sizeof text, "%d,%d", fd, tries + 1);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    if (argv != NULL && setenv(IPC__FRESH_VARIABLE, text, 1) == 0)
        (void)execv("/proc/self/exe", argv);
    free(argv); /* and it ends */
}

/* Read "fd,tries" and take it out of the environment. */
static bool read_variable(int *fd, int *tries)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    const char *text = getenv(IPC__FRESH_VARIABLE);
    if (text == NULL)
        return false;
    char *end = NULL;
    const long number = strtol(text, &end, 10);
    const long count = *end == ',' ? strtol(end + 1, &end, 10) : -1;
    const bool good = *end == '\0' && number > 2 && number <= INT32_MAX &&
                      count >= 0 && count <= TRIES;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    (void)unsetenv(IPC__FRESH_VARIABLE);
    *fd = (int)number;
    *tries = (int)count;
    return good && getauxval(AT_SECURE) == 0;
}

static bool is_inside(const struct ipc__request *request)
{
    const struct ipc__family_place *family = &request->family;
    const uint64_t at = request->start - family->address;
    return request->start >= family->address &&
           family->size >= sizeof(struct ipc__start) &&
           at <= family->size - sizeof(struct ipc__start) &&
           request->start % sizeof(uint64_t) == 0;
}

static void enter_family(int fd, int tries, const struct ipc__request *request)
{
    int rc = ipc__family_enter(&request->family);
    if (rc == -EEXIST && tries < TRIES)
        try_again(fd, tries);
    if (rc == 0)
        return;
    report_from_afar(request, rc);
    _exit(1);
}

static void restore_flags(int fd, const struct ipc__request_tables *tables,
                          uint32_t count)
{
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    for (uint32_t i = 0; i < count; i++)
        if (tables->fds[i].cloexec)
            (void)fcntl(tables->fds[i].number, F_SETFD, FD_CLOEXEC);
}

/* Priorities order the constructors of one program or library; a shared libipc
 * is before whatever uses it. */
__attribute__((constructor(FIRST))) static void take_request(void)
{
    int fd = -1;
    int tries = 0;
    struct ipc__request *request = &image.request;
    if (!read_variable(&fd, &tries) || ipc__request_peek(fd, request) != 0 ||
        !is_inside(request))
        return;
    if (getppid() != request->owner)
        _exit(1); /* nobody waits for it any more */
    enter_family(fd, tries, request);
    if (load_relaxed(&start_of(request)->pid) != getpid())
        _exit(1);
    if (request->socket >= 0)
        (void)fcntl(request->socket, F_SETFD, FD_CLOEXEC);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    image.fd = fd;
    image.state = TAKEN;
}

/* ---- ipc_spawn_main() ---- */

int ipc__fresh_become(const struct ipc__request *request,
                      const struct ipc__request_tables *tables, int parent_fd,
                      enum ipc__start_step *step)
{
    struct ipc__tree *tree = ipc__tree();
    *step = IPC__STEP_SETUP;
    if (tree == NULL)
        return -ENOSYS;
    ipc__set_start_method(request->method);
    ipc__tree_begin_fresh(tree, request, parent_fd);
    (void)prctl(PR_SET_NAME, request->name);
    if (request->has_entry) {
        const ipc__function function = ipc__entry_at(request->entry);
        *step = IPC__STEP_ENTRY;
        if (function == NULL)
            return -EINVAL;
        tree->current->target_ = (int (*)(void *))function;
        tree->current->arg_ = request->arg_bytes != 0
                                  ? (void *)(uintptr_t)tables->arg
                                  : (void *)(uintptr_t)request->arg;
    }
    const struct ipc__setup setup = {
        .cpus = tables->cpus,
        .rlimits = tables->rlimits,
        .cpu_count = request->cpu_count,
        .rlimit_count = request->rlimit_count,
        .nice = request->nice,
        .daemon = request->daemon != 0,
        .parent_pid = request->owner,
        /* Its own: the watcher's may be closed, and so may the other. */
        .parent_fd = parent_fd >= 0 && request->daemon != 0
                         ? fcntl(parent_fd, F_DUPFD_CLOEXEC, 3)
                         : -1,
    };
    *step = IPC__STEP_SETUP;
    if (parent_fd >= 0 && request->daemon != 0 && setup.parent_fd < 0)
        return -errno;
    return ipc__child_set_up(&setup);
}

static _Noreturn void run_request(void)
{
    struct ipc__start *start = start_of(&image.request);
    struct ipc__request *request = NULL;
    struct ipc__request_tables tables;
    enum ipc__start_step step = IPC__STEP_REQUEST;
    if (getppid() != image.request.owner ||
        !cas32_acquire(&start->state, IPC__START_BEGUN, IPC__START_ENTERED))
        _exit(1);
    int rc = ipc__request_read(image.fd, &request, &tables);
    if (rc == 0) {
        restore_flags(image.fd, &tables, request->fd_count);
        (void)close(image.fd);
        rc = ipc__fresh_become(request, &tables, -1, &step);
    }
    if (rc != 0) {
        ipc__child_report_failed(start, step, rc);
        _exit(1);
    }
    if (request->kind == IPC__REQUEST_TEMPLATE)
        ipc__template_run(request);
    ipc__child_report(start, IPC__START_RUNNING);
    ipc__child_run(ipc_current_process(), start);
}

void ipc_spawn_main(int argc, char **argv)
{
    (void)argc;
    image.argv = argv;
    if (image.state != TAKEN)
        return;
    image.state = ENTERED;
    run_request();
}
