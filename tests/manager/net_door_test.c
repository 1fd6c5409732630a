/* Doors in the file system, and those who come through them. */
#include "manager/net_support.h"

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 0777;
}

static void a_unix_door_is_ours_alone(void)
{
    const struct ipcm__address address = unix_address("run/manager");
    struct ipcm__door door;
    struct ipcm__peer peer;
    char path[200];
    int client, server;

    umask(0);
    assert_int_equal(ipcm__door_open(&address, 0, &door), 0);
    snprintf(path, sizeof path, "%s/run", test_tmpdir());
    assert_int_equal(mode_of(path), 0700);
    assert_int_equal(mode_of(address.path), 0600);
    assert_int_equal(ipcm__door_accept(&door, &server, &peer), -EAGAIN);

    assert_int_equal(ipcm__net_connect(&address, 0, ipc_after_s(5), &client),
                     0);
    accept_one(&door, &server, &peer);
    assert_int_equal(peer.uid, geteuid());
    assert_int_equal(peer.pid, getpid());
    assert_true(peer.pidfd >= 0);
    assert_non_null(strstr(peer.text, "unix: pid "));
    assert_true(fcntl(server, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(client, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(server, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(client, F_GETFD) & FD_CLOEXEC);
    close(peer.pidfd);
    close(client);
    close(server);
    ipcm__door_close(&door);
    assert_int_equal(access(address.path, F_OK), -1);
    assert_int_equal(rmdir(path), 0); /* the lock file is gone too */
}

static void a_shared_unix_door_is_open_to_all(void)
{
    const struct ipcm__address address = unix_address("run/manager");
    struct ipcm__door door;
    char path[200];
    umask(077);
    assert_int_equal(ipcm__door_open(&address, IPCM__DOOR_SHARED, &door), 0);
    snprintf(path, sizeof path, "%s/run", test_tmpdir());
    assert_int_equal(mode_of(path), 0711);
    assert_int_equal(mode_of(address.path), 0666);
    ipcm__door_close(&door);
}

static void a_folder_that_others_may_enter_is_refused(void)
{
    static const mode_t modes[] = {0711, 0755, 0770, 0777, 0600};
    const struct ipcm__address address = unix_address("run/manager");
    struct ipcm__door door;
    char path[200];
    snprintf(path, sizeof path, "%s/run", test_tmpdir());
    assert_int_equal(mkdir(path, 0700), 0);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(ipcm__door_open(&address, 0, &door), -EACCES);
        assert_non_null(strstr(ipc_error_detail(), "mode"));
    }
    assert_int_equal(chmod(path, 0700), 0);
    assert_int_equal(ipcm__door_open(&address, IPCM__DOOR_SHARED, &door),
                     -EACCES);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(symlink("/", path), 0);
    assert_true(ipcm__door_open(&address, 0, &door) < 0);
}

static void a_folder_of_somebody_else_is_refused(void)
{
    const struct ipcm__address address = unix_address("run/manager");
    struct ipcm__door door;
    char path[200];
    snprintf(path, sizeof path, "%s/run", test_tmpdir());
    assert_int_equal(mkdir(path, 0700), 0);
    if (chown(path, 65534, 65534) != 0)
        test_skip("only root can give folders away");
    assert_int_equal(ipcm__door_open(&address, 0, &door), -EPERM);
}

static void a_door_that_is_open_is_not_opened_again(void)
{
    const struct ipcm__address address = unix_address("run/manager");
    struct ipcm__door door, second;
    assert_int_equal(ipcm__door_open(&address, 0, &door), 0);
    assert_int_equal(ipcm__door_open(&address, 0, &second), -EADDRINUSE);
    ipcm__door_close(&door);
    assert_int_equal(ipcm__door_open(&address, 0, &second), 0);
    ipcm__door_close(&second);
}

static void what_somebody_else_has_there_is_left_alone(void)
{
    const struct ipcm__address address = unix_address("run/manager");
    struct ipcm__door door;
    char path[200];
    snprintf(path, sizeof path, "%s/run", test_tmpdir());
    assert_int_equal(mkdir(path, 0700), 0);

    int fd = foreign_socket(&address, SOCK_STREAM);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(ipcm__door_open(&address, 0, &door), -EADDRINUSE);
    close(fd);
    assert_int_equal(unlink(address.path), 0);

    fd = foreign_socket(&address, SOCK_DGRAM);
    assert_int_equal(ipcm__door_open(&address, 0, &door), -EADDRINUSE);
    close(fd);
    assert_int_equal(unlink(address.path), 0);

    fd = open(address.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    assert_int_equal(ipcm__door_open(&address, 0, &door), -EADDRINUSE);
    assert_int_equal(access(address.path, F_OK), 0);
    assert_int_equal(unlink(address.path), 0);
    assert_int_equal(rmdir(path), 0);
}

struct stage {
    struct ipcm__address address;
    uint32_t open;
};

static void open_and_wait(void *arg)
{
    struct stage *stage = arg;
    struct ipcm__door door;
    assert_int_equal(ipcm__door_open(&stage->address, 0, &door), 0);
    meet_signal(&stage->open);
    pause();
}

static void what_a_dead_server_left_is_taken_over(void)
{
    struct stage *stage = test_shared(sizeof *stage);
    struct ipcm__door door;
    struct role role;
    int fd;
    stage->address = unix_address("run/manager");
    role_start(&role, open_and_wait, stage);
    meet_wait(&stage->open, 1, 5000);
    assert_int_equal(ipcm__door_open(&stage->address, 0, &door), -EADDRINUSE);
    role_kill(&role);
    assert_int_equal(ipcm__net_connect(&stage->address, 0, ipc_after_s(5), &fd),
                     -ECONNREFUSED);
    assert_int_equal(ipcm__door_open(&stage->address, 0, &door), 0);
    ipcm__door_close(&door);
}

/* One that was replaced meanwhile belongs to somebody else. */
static void a_door_removes_no_file_but_its_own(void)
{
    const struct ipcm__address address = unix_address("run/manager");
    struct ipcm__door door;
    assert_int_equal(ipcm__door_open(&address, 0, &door), 0);
    assert_int_equal(unlink(address.path), 0);
    const int other = open(address.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ipcm__door_close(&door);
    assert_int_equal(access(address.path, F_OK), 0);
    close(other);
}

static void forget(void *arg)
{
    ipcm__door_forget(arg);
}

static void a_child_forgets_a_door_and_leaves_it_open(void)
{
    const struct ipcm__address address = unix_address("run/manager");
    struct ipcm__door door;
    struct role role;
    int fd;
    assert_int_equal(ipcm__door_open(&address, 0, &door), 0);
    role_start(&role, forget, &door);
    role_wait_ok(&role, 5000);
    assert_int_equal(ipcm__net_connect(&address, 0, ipc_after_s(5), &fd), 0);
    close(fd);
    ipcm__door_close(&door);
}

static void connect_and_end(void *arg)
{
    int fd;
    assert_int_equal(ipcm__net_connect(arg, 0, ipc_after_s(5), &fd), 0);
    pause();
}

static void the_end_of_a_peer_is_seen_by_its_pidfd(void)
{
    struct ipcm__address address = unix_address("run/manager");
    struct ipcm__door door;
    struct ipcm__peer peer;
    struct role role;
    int fd;
    assert_int_equal(ipcm__door_open(&address, 0, &door), 0);
    role_start(&role, connect_and_end, &address);
    accept_one(&door, &fd, &peer);
    assert_int_equal(peer.pid, role.pid);
    struct pollfd at = {.fd = peer.pidfd, .events = POLLIN};
    assert_int_equal(poll(&at, 1, 0), 0);
    role_kill(&role);
    assert_int_equal(poll(&at, 1, 5000), 1);
    close(peer.pidfd);
    close(fd);
    ipcm__door_close(&door);
}

static const struct test_case cases[] = {
    TEST_CASE(a_unix_door_is_ours_alone),
    TEST_CASE(a_shared_unix_door_is_open_to_all),
    TEST_CASE(a_folder_that_others_may_enter_is_refused),
    TEST_CASE(a_folder_of_somebody_else_is_refused),
    TEST_CASE(a_door_that_is_open_is_not_opened_again),
    TEST_CASE(what_somebody_else_has_there_is_left_alone),
    TEST_CASE(what_a_dead_server_left_is_taken_over),
    TEST_CASE(a_door_removes_no_file_but_its_own),
    TEST_CASE(a_child_forgets_a_door_and_leaves_it_open),
    TEST_CASE(the_end_of_a_peer_is_seen_by_its_pidfd),
};
TEST_MAIN(cases)
