/* Key files. */
#include "manager/client_support.h"

#include <fcntl.h>

static const char *path_of(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", test_tmpdir(), name);
    return path;
}

static void write_file(const char *name, size_t bytes, mode_t mode)
{
    char data[2000];
    memset(data, 'k', sizeof data);
    const int fd =
        open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, bytes), (ssize_t)bytes);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static int read_file(const char *name, size_t room, size_t *bytes)
{
    static uint8_t key[IPC_MANAGER_KEY_MAX];
    return ipc_manager_key_read(path_of(name), key, room, bytes);
}

static void a_new_key_is_random_and_for_us_only(void)
{
    uint8_t one[64];
    uint8_t two[64];
    size_t bytes = 0;
    struct stat status;
    const mode_t before = umask(0277);
    OK(ipc_manager_key_write(path_of("one")));
    umask(0);
    OK(ipc_manager_key_write(path_of("two")));
    umask(before);
    assert_int_equal(stat(path_of("one"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    OK(ipc_manager_key_read(path_of("one"), one, sizeof one, &bytes));
    assert_int_equal(bytes, 32);
    OK(ipc_manager_key_read(path_of("two"), two, sizeof two, &bytes));
    assert_memory_not_equal(one, two, 32);
    IS(ipc_manager_key_write(path_of("one")), -EEXIST);
    assert_true(ipc_manager_key_write("/no/such/folder/key") < 0);
}

static void a_key_that_others_may_touch_is_refused(void)
{
    size_t bytes = 0;
    static const mode_t modes[] = {0640, 0604, 0620, 0602};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        write_file("key", 40, modes[i]);
        IS(read_file("key", 64, &bytes), -EACCES);
    }
    write_file("key", 40, 0400);
    OK(read_file("key", 64, &bytes));
    assert_int_equal(bytes, 40);
}

static void a_key_of_no_length_is_refused(void)
{
    size_t bytes = 0;
    write_file("short", 31, 0600);
    IS(read_file("short", 64, &bytes), -EINVAL);
    write_file("empty", 0, 0600);
    IS(read_file("empty", 64, &bytes), -EINVAL);
    write_file("long", 65, 0600);
    IS(read_file("long", 64, &bytes), -EMSGSIZE);
    write_file("right", 64, 0600);
    OK(read_file("right", 64, &bytes));
    IS(read_file("missing", 64, &bytes), -ENOENT);
    char target[200];
    snprintf(target, sizeof target, "%s", path_of("right"));
    assert_int_equal(symlink(target, path_of("link")), 0);
    IS(read_file("link", 64, &bytes), -ELOOP);
    assert_int_equal(mkdir(path_of("folder"), 0700), 0);
    assert_true(read_file("folder", 64, &bytes) < 0);
}

static const struct test_case cases[] = {
    TEST_CASE(a_new_key_is_random_and_for_us_only),
    TEST_CASE(a_key_that_others_may_touch_is_refused),
    TEST_CASE(a_key_of_no_length_is_refused),
};

TEST_MAIN(cases)
