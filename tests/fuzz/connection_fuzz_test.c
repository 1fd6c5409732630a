/* T67 for connections: the other side sends what no library sent.  Each such
 * packet gives an error, costs nothing, and the next message arrives. */
#include "harness/scale.h"
#include "unit/connection_support.h"

#include <sys/mman.h>
#include <sys/socket.h>

#include "channel/connection_packet.h"

enum {
    EACH = 1000, /* packets of each kind */
    MAX_BYTES = 1 << 20,
    MAX_FDS = 8
};

static struct {
    ipc_connection *raw; /* whose socket we write to */
    int socket;
    ipc_connection *good; /* the library's */
    struct test_random random;
    long packets, errors, slowest_ns;
} fuzz;

/* ---- raw packets ---- */

struct raw {
    const void *data;
    size_t bytes;
    int fds[MAX_FDS];
    size_t fd_count;
};

static void send_raw(const struct raw *raw)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * MAX_FDS)];
        struct cmsghdr align;
    } control;
    const size_t size = sizeof(int) * raw->fd_count;
    struct iovec part = {(void *)(uintptr_t)raw->data, raw->bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    memset(&control, 0, sizeof control);
    if (raw->fd_count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(size);
        struct cmsghdr *item = CMSG_FIRSTHDR(&message);
        item->cmsg_level = SOL_SOCKET;
        item->cmsg_type = SCM_RIGHTS;
        item->cmsg_len = CMSG_LEN(size);
        memcpy(CMSG_DATA(item), raw->fds, size);
    }
    const ssize_t n = sendmsg(fuzz.socket, &message, MSG_NOSIGNAL);
    if (n != (ssize_t)raw->bytes)
        test_fail("sendmsg of %zu bytes: %zd, %m", raw->bytes, n);
    fuzz.packets++;
}

static void send_head(uint32_t kind, uint64_t bytes, size_t inside, int fd)
{
    static char packet[sizeof(struct ipc__packet_head) + 100000];
    const struct ipc__packet_head head = {.kind = kind, .bytes = bytes};
    struct raw raw = {.data = packet, .bytes = sizeof head + inside};
    memcpy(packet, &head, sizeof head);
    if (fd >= 0)
        raw.fds[raw.fd_count++] = fd;
    send_raw(&raw);
}

/* ---- the library's side ---- */

/* Any of the calls. */
static int receive_anyhow(void)
{
    static char buffer[1000];
    void *data = NULL;
    size_t bytes;
    int fd = -1;
    int rc;
    const int64_t start = test_now_ns();
    switch (test_random_between(&fuzz.random, 0, 2)) {
    case 0:
        rc = ipc_connection_recv_nowait(fuzz.good, &data, &bytes);
        free(data);
        break;
    case 1:
        rc = ipc_connection_recv_into_nowait(fuzz.good, buffer, sizeof buffer,
                                             &bytes);
        break;
    default:
        rc = ipc_connection_recv_fd_nowait(fuzz.good, &fd);
        if (rc == 0)
            (void)close(fd);
        break;
    }
    const int64_t ns = test_now_ns() - start;
    if (ns > fuzz.slowest_ns)
        fuzz.slowest_ns = ns;
    fuzz.errors += rc < 0;
    return rc;
}

/* What was sent is refused, whatever the call. */
static void expect_refused(int error)
{
    const int rc = receive_anyhow();
    if (rc != error)
        test_fail("%d (%s: %s), expected %d", rc, ipc_strerror(rc),
                  ipc_error_detail(), error);
    assert_true(ipc_error_detail()[0] != '\0');
}

/* Whatever it was, it is over now, and a message gets through. */
static void expect_sound(void)
{
    int rc;
    do {
        rc = receive_anyhow();
    } while (rc != -EAGAIN);
    send_message(fuzz.raw, FLAT, 5);
    recv_message(fuzz.good, FLAT, 5);
}

static int before;

static void begin(void)
{
    const ipc_connection_options options = {.size = sizeof options,
                                            .max_bytes = MAX_BYTES};
    struct ends ends = new_pipe();
    const int fd = ipc_connection_detach(ends.b);
    expect_rc(ipc_connection_from_fd(fd, &options, &fuzz.good), 0);
    fuzz.raw = ends.a;
    fuzz.socket = ipc_connection_fileno(ends.a);
    fuzz.random = (struct test_random){test_seed()};
    before = count_fds();
}

static void end(void)
{
    expect_sound();
    send_message(fuzz.raw, SPILLED, 6);
    recv_message(fuzz.good, SPILLED, 6);
    assert_int_equal(count_fds(), before);
    test_report("packets", fuzz.packets);
    test_report("errors", fuzz.errors);
    test_report("slowest_us", fuzz.slowest_ns / 1000);
    expect_rc(ipc_connection_close(fuzz.raw), 0);
    expect_rc(ipc_connection_close(fuzz.good), 0);
}

/* ---- heads ---- */

static void t67_heads_cut_at_every_byte(void)
{
    static const uint32_t kinds[] = {IPC__PACKET_BYTES, IPC__PACKET_SPILLED,
                                     IPC__PACKET_FD};
    begin();
    for (long i = 0; i < EACH * test_scale(); i++) {
        struct ipc__packet_head head = {.kind = kinds[i % 3]};
        for (size_t bytes = 0; bytes < sizeof head; bytes++) {
            const struct raw raw = {.data = &head, .bytes = bytes};
            send_raw(&raw);
            expect_refused(-EPROTO);
        }
        expect_sound();
    }
    end();
}

static void t67_lengths_that_are_not_there(void)
{
    static const uint64_t lengths[] = {0,
                                       1,
                                       99,
                                       101,
                                       UINT64_C(1) << 31,
                                       (UINT64_C(1) << 32) + 100,
                                       UINT64_C(1) << 63,
                                       (UINT64_C(1) << 63) - 1,
                                       -(uint64_t)32,
                                       -(uint64_t)16,
                                       UINT64_MAX};
    begin();
    for (long i = 0; i < EACH * test_scale(); i++)
        for (size_t k = 0; k < COUNT(lengths); k++) {
            send_head(IPC__PACKET_BYTES, lengths[k], 100, -1);
            expect_refused(-EPROTO);
        }
    end();
}

static void t67_kinds_that_do_not_exist(void)
{
    begin();
    for (long i = 0; i < EACH * test_scale(); i++) {
        const uint32_t bit = 1u << (i % 32);
        const uint32_t kind = IPC__PACKET_BYTES ^ bit;
        send_head(kind, 100, 100, -1);
        expect_refused(-EPROTO);
        send_head((uint32_t)test_random_next(&fuzz.random) | 0x80000000, 100,
                  100, -1);
        expect_refused(-EPROTO);
        expect_sound();
    }
    end();
}

/* As large as the socket lets them be. */
static long largest_packet(void)
{
    int bytes = 0;
    socklen_t size = sizeof bytes;
    assert_int_equal(
        getsockopt(fuzz.socket, SOL_SOCKET, SO_SNDBUF, &bytes, &size), 0);
    return bytes - 32;
}

static void t67_random_packets(void)
{
    static unsigned char bytes[1000000];
    begin();
    const long large = largest_packet() < (long)sizeof bytes
                           ? largest_packet()
                           : (long)sizeof bytes;
    for (long i = 0; i < EACH * test_scale(); i++) {
        struct raw raw = {.data = bytes};
        const long most = i % 50 == 0 ? large : 200;
        raw.bytes = (size_t)test_random_between(&fuzz.random, 0, most);
        for (size_t at = 0; at + 8 <= raw.bytes; at += 8) {
            const uint64_t word = test_random_next(&fuzz.random);
            memcpy(bytes + at, &word, sizeof word);
        }
        if (i % 2 == 0) { /* as if it were ours */
            const uint32_t kind =
                IPC__PACKET_BYTES +
                (uint32_t)(test_random_next(&fuzz.random) % 4);
            memcpy(bytes, &kind, sizeof kind);
        }
        while ((long)raw.fd_count < i % 3)
            raw.fds[raw.fd_count++] = 0;
        send_raw(&raw);
        expect_sound();
    }
    end();
}

/* ---- descriptors ---- */

static void t67_descriptors_that_are_missing_or_too_many(void)
{
    begin();
    for (long i = 0; i < EACH * test_scale(); i++) {
        const struct ipc__packet_head head = {.kind = IPC__PACKET_FD};
        const struct raw raw = {.data = &head,
                                .bytes = sizeof head,
                                .fd_count = (size_t)(2 + i % (MAX_FDS - 1))};
        size_t bytes;
        int fd;
        send_head(IPC__PACKET_SPILLED, 300, 100, -1);
        expect_rc(ipc_connection_recv_into_nowait(fuzz.good, NULL, 0, &bytes),
                  -EPROTO);
        send_head(IPC__PACKET_FD, 0, 0, -1);
        expect_rc(ipc_connection_recv_fd_nowait(fuzz.good, &fd), -EPROTO);
        send_raw(&raw);
        expect_rc(ipc_connection_recv_fd_nowait(fuzz.good, &fd), -EPROTO);
        send_head(IPC__PACKET_FD, 1, 1, 0);
        expect_rc(ipc_connection_recv_fd_nowait(fuzz.good, &fd), -EPROTO);
        /* Nobody asked for it, and nobody gets it. */
        send_head(IPC__PACKET_BYTES, 10, 10, 0);
        expect_sound();
    }
    end();
}

/* As many as a packet takes, and a receiver that has no room for them. */
static void t67_hundreds_of_descriptors(void)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * 253)];
        struct cmsghdr align;
    } control;
    struct ipc__packet_head head = {.kind = IPC__PACKET_FD};
    struct iovec part = {&head, sizeof head};
    begin();
    for (long i = 0; i < 100 * test_scale(); i++) {
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof control};
        memset(&control, 0, sizeof control); /* all of them are 0 */
        struct cmsghdr *item = CMSG_FIRSTHDR(&message);
        item->cmsg_level = SOL_SOCKET;
        item->cmsg_type = SCM_RIGHTS;
        item->cmsg_len = CMSG_LEN(sizeof(int) * 253);
        assert_int_equal(sendmsg(fuzz.socket, &message, MSG_NOSIGNAL),
                         sizeof head);
        fuzz.packets++;
        int fd;
        expect_rc(ipc_connection_recv_fd_nowait(fuzz.good, &fd), -EPROTO);
        expect_sound();
    }
    end();
}

/* A memfd of so many bytes, with these seals. */
static int new_memfd(off_t bytes, int seals)
{
    const int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, bytes), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static void expect_spill_refused(uint64_t bytes, int fd)
{
    static char buffer[1];
    size_t got;
    send_head(IPC__PACKET_SPILLED, bytes, 100, fd);
    expect_rc(
        ipc_connection_recv_into_nowait(fuzz.good, buffer, sizeof buffer, &got),
        -EPROTO);
}

static void t67_memory_that_is_not_sealed(void)
{
    static const int seals[] = {0,
                                F_SEAL_SEAL,
                                F_SEAL_SHRINK,
                                F_SEAL_SHRINK | F_SEAL_GROW,
                                F_SEAL_SHRINK | F_SEAL_WRITE,
                                F_SEAL_GROW | F_SEAL_WRITE};
    begin();
    for (size_t i = 0; i < COUNT(seals); i++) {
        const int fd = new_memfd(1000, seals[i]);
        before = count_fds();
        for (long k = 0; k < 200 * test_scale(); k++)
            expect_spill_refused(1100, fd);
        expect_sound();
        (void)close(fd);
        before--;
    }
    end();
}

static void t67_memory_of_another_size(void)
{
    static const off_t sizes[] = {0, 1, 999, 1001, 1 << 20, (off_t)1 << 40};
    const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    begin();
    for (size_t i = 0; i < COUNT(sizes); i++) {
        const int fd = new_memfd(sizes[i], all);
        before = count_fds();
        for (long k = 0; k < 200 * test_scale(); k++)
            expect_spill_refused(1100, fd);
        expect_sound();
        (void)close(fd);
        before--;
    }
    end();
}

/* More than the limit, all of it there: not even looked at. */
static void t67_memory_without_bounds(void)
{
    const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    const int fd = new_memfd((off_t)1 << 40, all);
    void *data;
    size_t bytes;
    begin();
    for (long i = 0; i < EACH * test_scale(); i++) {
        send_head(IPC__PACKET_SPILLED, (UINT64_C(1) << 40) + 100, 100, fd);
        expect_rc(ipc_connection_recv_nowait(fuzz.good, &data, &bytes), -EFBIG);
        send_head(IPC__PACKET_SPILLED, UINT64_MAX, 100, fd);
        expect_rc(ipc_connection_recv_nowait(fuzz.good, &data, &bytes), -EFBIG);
    }
    end();
    (void)close(fd);
}

/* Before anything is allocated for it. */
static void t67_promises_are_not_believed(void)
{
    static char buffer[1];
    size_t got;
    begin();
    for (long i = 0; i < EACH * test_scale(); i++) {
        void *data;
        size_t bytes;
        send_head(IPC__PACKET_SPILLED, MAX_BYTES, 100, 0);
        expect_rc(ipc_connection_recv_nowait(fuzz.good, &data, &bytes),
                  -EPROTO);
        send_head(IPC__PACKET_SPILLED, MAX_BYTES, 100, -1);
        expect_rc(ipc_connection_recv_into_nowait(fuzz.good, buffer, 1, &got),
                  -EPROTO);
    }
    end();
}

/* Reading some of these would wait for good, or have effects. */
static void t67_descriptors_of_other_things(void)
{
    static const char *const paths[] = {"/dev/zero", "/", "/proc/self/maps",
                                        "/dev/null"};
    int fds[8];
    size_t count = 0;
    begin();
    for (size_t i = 0; i < COUNT(paths); i++)
        fds[count++] = open(paths[i], O_RDONLY | O_CLOEXEC);
    assert_int_equal(pipe(fds + count), 0);
    count += 2;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds + count), 0);
    count += 2;
    before = count_fds();
    for (long i = 0; i < EACH * test_scale(); i++)
        for (size_t k = 0; k < count; k++)
            expect_spill_refused(1100, fds[k]);
    end();
    for (size_t i = 0; i < count; i++)
        (void)close(fds[i]);
}

/* A message that its sender still holds in memory: it cannot change it. */
static void t67_sealed_memory_is_received(void)
{
    const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    begin();
    const int fd = new_memfd(5000, all);
    before = count_fds();
    for (long i = 0; i < EACH * test_scale(); i++) {
        void *data;
        size_t bytes;
        send_head(IPC__PACKET_SPILLED, 5100, 100, fd);
        expect_rc(ipc_connection_recv_nowait(fuzz.good, &data, &bytes), 0);
        assert_int_equal(bytes, 5100);
        free(data);
    }
    end();
    (void)close(fd);
}

static const struct test_case cases[] = {
    TEST_CASE(t67_heads_cut_at_every_byte),
    TEST_CASE(t67_lengths_that_are_not_there),
    TEST_CASE(t67_kinds_that_do_not_exist),
    TEST_CASE(t67_random_packets),
    TEST_CASE(t67_descriptors_that_are_missing_or_too_many),
    TEST_CASE(t67_hundreds_of_descriptors),
    TEST_CASE(t67_memory_that_is_not_sealed),
    TEST_CASE(t67_memory_of_another_size),
    TEST_CASE(t67_memory_without_bounds),
    TEST_CASE(t67_promises_are_not_believed),
    TEST_CASE(t67_descriptors_of_other_things),
    TEST_CASE(t67_sealed_memory_is_received),
};
TEST_MAIN(cases)
