/* A manager whose client has no memory or no descriptors, a manager on a full
 * disk, and one among signals: whoever is refused is told why, nothing is done
 * by half, nothing is left, and the server goes on. */
#include "manager/fault_support.h"

#include <sys/mount.h>

/* ---- memory ---- */

static void no_memory_in_the_client(void)
{
    struct served *served = served_new(test_tmpdir());
    const long stride = sweep_stride(1);
    long nth = 1;
    served_start(served);
    use_well(served);
    for (long step = sweep_first(stride);; nth += step, step = stride) {
        may_fail = true;
        fault_malloc_nth(nth, false);
        use_manager(served);
        const long count = fault_malloc_end();
        expect_whole(served);
        if (count < nth)
            break;
    }
    test_report("n", nth - 1);
    assert_true(nth > 20);
    use_well(served);
    served_stop(served);
    assert_int_equal(served->result, 0);
    served_free(served);
}

/* ---- descriptors ---- */

static void no_descriptors_in_the_client(void)
{
    struct served *served = served_new(test_tmpdir());
    int refused = 0;
    int left = 0;
    served_start(served);
    use_well(served);
    do {
        may_fail = true;
        fault_fds_left(left++);
        use_manager(served);
        fault_fds_restore();
        refused = tally.refused;
        expect_whole(served);
    } while (refused != 0);
    test_report("needed", left - 1);
    assert_in_range(left, 2, 30);
    use_well(served);
    served_stop(served);
    served_free(served);
}

/* ---- a disk that is full ---- */

struct disk { /* shared */
    int64_t appended;
    int64_t found;
    int error;
    int result;
};

static void fill_disk_and_come_back(void *arg)
{
    struct disk *disk = arg;
    static char text[4000];
    ipc_list *list;
    int rc;
    fault_small_shm(4u << 20, 0);
    assert_int_equal(mkdir("/dev/shm/disk", 0700), 0);
    struct served *served = served_new("/dev/shm/disk");
    memset(text, 'x', sizeof text);
    served_start(served);
    ipc_manager_connect_options options = IPC_MANAGER_CONNECT_OPTIONS_INIT;
    options.reconnect_ms = UINT32_MAX;
    options.flags = IPC_MANAGER_NO_ARENA;
    ipc_manager *manager =
        client_connect_with(served->server.address, &options);
    OK(ipc_manager_list(manager, "kept", &list));
    while ((rc = ipc_list_append(list, ipc_strn(text, sizeof text))) == 0)
        disk->appended++;
    disk->error = rc;
    role_wait_ok(&served->server.role, 10000);
    disk->result = served->result;
    (void)ipc_list_close(list);
    (void)ipc_manager_close(manager);
    /* Again, with more room. */
    assert_int_equal(mount("none", "/dev/shm", NULL, MS_REMOUNT, "size=32m"),
                     0);
    served_start(served);
    manager = client_connect(&served->server);
    OK(ipc_manager_list(manager, "kept", &list));
    disk->found = ipc_list_length(list);
    OK(ipc_list_append(list, ipc_strn(text, sizeof text)));
    OK(ipc_list_close(list));
    OK(ipc_manager_close(manager));
    served_stop(served);
    served_free(served);
}

/* It stops, and says why; what was acknowledged is there when it has room. */
static void a_full_disk_stops_it_and_loses_nothing(void)
{
    struct disk *disk = test_shared(sizeof *disk);
    struct role role;
    (void)test_tmpdir();
    role_start(&role, fill_disk_and_come_back, disk);
    role_wait_ok(&role, 30000);
    test_report("appended", disk->appended);
    assert_true(disk->appended > 100);
    assert_true(disk->error == -EIO || disk->error == -ENOTCONN ||
                disk->error == -ECONNRESET);
    assert_int_equal(disk->result, -EIO);
    assert_in_range(disk->found, disk->appended, disk->appended + 1);
}

/* ---- signals ---- */

static void signals_that_interrupt_both(void)
{
    struct served *served = served_new(test_tmpdir());
    served->signals = 2000;
    served_start(served);
    storm_start(2000);
    const int64_t until = test_now_ns() + (int64_t)300 * 1000000;
    long uses = 0;
    do {
        use_well(served);
        uses++;
    } while (test_now_ns() < until);
    test_report("hits", storm_stop());
    test_report("uses", uses);
    served_stop(served);
    assert_int_equal(served->result, 0);
    assert_true(served->signals > 0);
    served_free(served);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(no_memory_in_the_client, 90),
    TEST_CASE(no_descriptors_in_the_client),
    TEST_CASE(a_full_disk_stops_it_and_loses_nothing),
    TEST_CASE(signals_that_interrupt_both),
};
TEST_MAIN(cases)
