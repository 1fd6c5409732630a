/* A /dev/shm of our own.
 *
 * Names that other programs make meanwhile would look like leftovers of a
 * case, and two test programs would see each other's segments.  Root gets a
 * mount namespace; other users one inside of a user namespace that maps them
 * to themselves, after which they give the rights up that came with it, so
 * that permissions mean to the tests what they mean outside. */
#include "harness/internal.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    (void)close(fd);
    return ok;
}

static bool become_mapped_user(uid_t uid, gid_t gid)
{
    char uid_map[64], gid_map[64];
    (void)snprintf(uid_map, sizeof uid_map, "%u %u 1", uid, uid);
    (void)snprintf(gid_map, sizeof gid_map, "%u %u 1", gid, gid);
    return write_file("/proc/self/setgroups", "deny") &&
           write_file("/proc/self/uid_map", uid_map) &&
           write_file("/proc/self/gid_map", gid_map);
}

static bool mount_shm(const char *options)
{
    /* What is mounted here shall not be seen elsewhere.  In a chroot "/" is no
     * mount, but /dev/shm may be. */
    return (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 ||
            mount(NULL, "/dev/shm", NULL, MS_PRIVATE, NULL) == 0) &&
           mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, options) ==
               0;
}

static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0, 0, 0}};
    (void)syscall(SYS_capset, &header, data);
}

static bool enter(const char *options)
{
    if (geteuid() == 0)
        return unshare(CLONE_NEWNS) == 0 && mount_shm(options);
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
        !become_mapped_user(uid, gid) || !mount_shm(options))
        return false;
    drop_capabilities();
    return true;
}

/* A step that fails half-way would leave us in a namespace without rights, so
 * a child tries first. */
static bool works_in_a_child(const char *options)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(enter(options) ? 0 : 1);
    int status;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

bool test__own_shm(const char *options)
{
    return works_in_a_child(options) && enter(options);
}

void test__shm_alone(void)
{
    static const char held[] = "IPC_TEST_SHM_HELD";
    /* A test program inside of a case: its elder has the lock. */
    if (getenv(held) != NULL)
        return;
    int fd = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)flock(fd, LOCK_EX); /* until this program ends */
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    (void)setenv(held, "1", 1);
}

bool test__shm_private(void)
{
    static bool done; /* a run inside of a case inherits it */
    const char *choice = getenv("IPC_TEST_SHM");
    if (!done && (choice == NULL || strcmp(choice, "real") != 0))
        done = test__own_shm("mode=1777");
    return done;
}
