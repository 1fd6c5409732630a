/* ipc_lock where the machine itself delays or garbles the death of an owner:
 * T14, memory runs out; T15, a core is dumped. */
#include "unit/lock_support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define MIB ((size_t)1 << 20)

static void read_line(const char *path, char *out, int size)
{
    FILE *file = fopen(path, "re");
    out[0] = '\0';
    if (file == NULL)
        return;
    if (fgets(out, size, file) == NULL)
        out[0] = '\0';
    (void)fclose(file);
}

static bool write_text(const char *folder, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const ssize_t length = (ssize_t)strlen(text);
    const bool ok = fd >= 0 && write(fd, text, (size_t)length) == length;
    if (fd >= 0)
        (void)close(fd);
    return ok;
}

/* ---- T14: a memory group that is too small ---- */

enum {
    GROUP_MIB = 64,
    OOM_MS = 2500
};

struct hungry {
    struct stage stage;
    char group[128];
    int64_t last_ns; /* when it was seen alive last */
};

/* A folder for a group, of either version; false: not here. */
static bool make_group(char *out, size_t size)
{
    static const struct {
        const char *root;
        const char *limit;
    } versions[] = {
        {"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
        {"/sys/fs/cgroup", "memory.max"},
    };
    for (size_t i = 0; i < 2; i++) {
        char limit[32];
        (void)snprintf(out, size, "%s/ipc-test-%d", versions[i].root,
                       (int)getpid());
        (void)snprintf(limit, sizeof limit, "%zu", GROUP_MIB * MIB);
        if (mkdir(out, 0700) != 0)
            continue;
        if (write_text(out, versions[i].limit, limit))
            return true;
        (void)rmdir(out);
    }
    return false;
}

static void eat_until_killed(void *arg)
{
    struct hungry *hungry = arg;
    char self[16];
    (void)snprintf(self, sizeof self, "%d", (int)getpid());
    if (!write_text(hungry->group, "cgroup.procs", self))
        test_skip("cannot enter a memory group");
    expect_rc(ipc_lock_acquire(hungry->stage.lock), 0);
    meet_signal(&hungry->stage.ready);
    meet_wait(&hungry->stage.go, 1, LIMIT_MS);
    for (int i = 0; i < 4 * GROUP_MIB; i++) {
        char *food = mmap(NULL, MIB, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        hungry->last_ns = test_now_ns();
        memset(food, 1, MIB);
    }
}

static void t14_an_owner_killed_for_its_memory_is_told(void)
{
    ipc_lock *lock = new_lock(NULL);
    struct hungry *hungry = test_shared(sizeof *hungry);
    struct stage *waiting = stage_new(lock);
    struct role eater, waiter;
    hungry->stage.lock = lock;
    if (!make_group(hungry->group, sizeof hungry->group))
        test_skip("no memory groups here");
    role_start(&eater, eat_until_killed, hungry);
    if (!meet_within(&hungry->stage.ready, 1, 5000)) {
        const int status = role_kill(&eater);
        (void)rmdir(hungry->group);
        if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_SKIPPED)
            _exit(TEST_SKIPPED);
        test_fail("the eater failed");
    }
    start_waiter(&waiter, take_and_give, waiting);
    meet_signal(&hungry->stage.go);
    int status = 0;
    const bool died = role_dead_within(&eater, LIMIT_MS, &status);
    if (!died)
        (void)role_kill(&eater);
    (void)rmdir(hungry->group);
    assert_true(died && WIFSIGNALED(status));
    role_wait_ok(&waiter, OOM_MS + SLACK_MS);
    assert_int_equal(waiting->rc, IPC_OWNER_DIED);
    test_report("ms", to_ms(waiting->got_ns - hungry->last_ns));
    expect_rc(ipc_lock_free(lock), 0);
}

/* ---- T15: a core is dumped ---- */

enum {
    TOUCHED_MIB = 300,
    CORE_LIMIT_MIB = 600,
    SMALL_CORE_MIB = 200
};

static void skip_without_cores(void)
{
    char pattern[256];
    struct rlimit limit;
    read_line("/proc/sys/kernel/core_pattern", pattern, sizeof pattern);
    if (strchr(pattern, '/') != NULL || strchr(pattern, '|') != NULL ||
        pattern[0] == '\0')
        test_skip("cores do not go to the current folder here");
    limit.rlim_cur = limit.rlim_max = CORE_LIMIT_MIB * MIB;
    if (setrlimit(RLIMIT_CORE, &limit) != 0)
        test_skip("no cores for this user");
}

struct dumper {
    struct stage stage;
    size_t touch;
};

/* SIGQUIT: sanitizers leave it alone. */
static void hold_and_dump(void *arg)
{
    struct dumper *dumper = arg;
    assert_int_equal(chdir(test_tmpdir()), 0);
    char *touched = mmap(NULL, dumper->touch + MIB, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(touched, 1, dumper->touch);
    expect_rc(ipc_lock_acquire(dumper->stage.lock), 0);
    meet_signal(&dumper->stage.ready);
    meet_wait(&dumper->stage.go, 1, LIMIT_MS);
    (void)raise(SIGQUIT);
}

static bool is_dumping(pid_t pid)
{
    char path[64], text[4096];
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    return strstr(text, "CoreDumping:\t1") != NULL;
}

/* By the re-check: the kernel tells of the death only when the core is
 * written; a look at /proc shows it before. */
static void t15_a_dumping_owner_is_found_by_recheck(void)
{
    ipc_lock *lock = new_lock(NULL);
    struct dumper *dumper = test_shared(sizeof *dumper);
    struct stage *waiting = stage_new(lock);
    struct role role, waiter;
    skip_without_cores();
    dumper->stage.lock = lock;
    dumper->touch = TOUCHED_MIB * MIB;
    role_start(&role, hold_and_dump, dumper);
    meet_wait(&dumper->stage.ready, 1, LIMIT_MS);
    start_waiter(&waiter, take_and_give, waiting);
    const int64_t start = test_now_ns();
    meet_signal(&dumper->stage.go);
    const long ms = expect_told(&waiter, waiting, start);
    test_report("still_dumping", is_dumping(role.pid));
    const int status = role_wait_dead(&role, 20000);
    test_report("dump_ms", to_ms(test_now_ns() - start));
    test_report("ms", ms);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT);
    expect_rc(ipc_lock_free(lock), 0);
}

/* Family memory is a range of addresses of which little is in use.  A dump
 * that went through all of it would have the kernel fill it first. */
static void t15_a_core_leaves_the_reserved_range_out(void)
{
    ipc_lock *lock = new_lock(NULL);
    struct dumper *dumper = test_shared(sizeof *dumper);
    struct role role;
    char path[256];
    struct stat st;
    skip_without_cores();
    dumper->stage.lock = lock;
    role_start(&role, hold_and_dump, dumper);
    meet_wait(&dumper->stage.ready, 1, LIMIT_MS);
    meet_signal(&dumper->stage.go);
    (void)role_wait_dead(&role, 20000);
    (void)snprintf(path, sizeof path, "%s/core", test_tmpdir());
    if (stat(path, &st) != 0) {
        (void)snprintf(path, sizeof path, "%s/core.%d", test_tmpdir(),
                       (int)role.pid);
        if (stat(path, &st) != 0)
            test_skip("no core was written");
    }
    test_report("core_mib", (long long)((size_t)st.st_size / MIB));
    assert_true((size_t)st.st_size < SMALL_CORE_MIB * MIB);
    expect_rc(ipc_lock_acquire(lock), IPC_OWNER_DIED);
    expect_rc(ipc_lock_release(lock), 0);
    expect_rc(ipc_lock_free(lock), 0);
}

static const struct test_case cases[] = {
    TEST_CASE(t14_an_owner_killed_for_its_memory_is_told),
    TEST_CASE(t15_a_dumping_owner_is_found_by_recheck),
    TEST_CASE(t15_a_core_leaves_the_reserved_range_out),
};
TEST_MAIN(cases)
