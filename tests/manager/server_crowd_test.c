/* T70: a thousand clients with a session, and beside them silent ones, slow
 * ones, and some who never read.  A good client is served all the same, and the
 * server's memory stays bounded. */
#include "server_socket_support.h"

#include "harness/scale.h"

enum {
    IDLE = 1000,  /* they have a session */
    SILENT = 300, /* they connect, and say nothing or half a word */
    SLOW = 50,    /* they say HELLO a byte at a time */
    DEAF = 10,    /* they ask, and never read */
    OTHERS = 100, /* descriptors for all else */
    SAMPLES = 20000,
    HANDSHAKE_MS = 4000,
    STEP_MS = 80 /* a byte of a slow one: too slow for HANDSHAKE_MS */
};

static struct caller idle[IDLE];
static struct caller deaf[DEAF];
static int silent[SILENT];
static int slow[SLOW];
static int64_t samples[SAMPLES];

/* How many of a thousand there can be with the descriptors that may be had. */
static int raise_descriptors(void)
{
    struct rlimit limit;
    const rlim_t wanted = IDLE + SILENT + SLOW + DEAF + OTHERS;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    if (limit.rlim_cur >= wanted)
        return IDLE;
    const rlim_t rest = wanted - IDLE;
    if (limit.rlim_cur < rest + 50)
        test_skip("%llu descriptors are too few",
                  (unsigned long long)limit.rlim_cur);
    return (int)(limit.rlim_cur - rest);
}

static long resident_kb(pid_t pid)
{
    char path[64];
    char line[256];
    long kb = -1;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "VmRSS:", 6) == 0)
            kb = strtol(line + 6, NULL, 10);
    (void)fclose(file);
    assert_true(kb > 0);
    return kb;
}

/* ---- the good one ---- */

static int by_size(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Of a hundred appends the slowest but one, in microseconds. */
static long long p99_us(size_t count)
{
    assert_true(count > 0);
    qsort(samples, count, sizeof samples[0], by_size);
    return samples[count * 99 / 100] / 1000;
}

static void append_one(struct caller *good, uint64_t list, size_t *count)
{
    const int64_t begin = test_now_ns();
    call_for(0, good, IPC_OP_LIST_APPEND, list, ipc_i64(1));
    samples[*count % SAMPLES] = test_now_ns() - begin;
    ++*count;
}

/* ---- the others ---- */

static void come_in(const struct hall *hall, int count)
{
    for (int i = 0; i < count; i++)
        caller_must_open(hall, i % 2, &idle[i]);
    for (int i = 0; i < SILENT; i++) {
        silent[i] = hall_dial(hall, i % 2);
        assert_true(silent[i] >= 0);
        if (i % 3 == 0)
            send_all(silent[i], "libipc1", 7);
    }
    for (int i = 0; i < SLOW; i++) {
        slow[i] = hall_dial(hall, i % 2);
        assert_true(slow[i] >= 0);
    }
}

/* More replies than a socket holds, and than may be queued. */
static void never_read(const struct hall *hall, struct caller *caller)
{
    static char text[60000];
    const ipc_any first = ipc_i64(0);
    struct ipcm__buffer out = {NULL, 0, 0, 0};
    caller_must_open(hall, 0, caller);
    const uint64_t list = caller_object(caller, "list", NULL);
    memset(text, 'x', sizeof text);
    call_for(0, caller, IPC_OP_LIST_APPEND, list, ipc_strn(text, sizeof text));
    for (uint64_t i = 0; i < 200; i++) {
        const struct ipcm__request request = {.id = 100 + i,
                                              .op = IPC_OP_LIST_GET,
                                              .object = list,
                                              .args = &first,
                                              .count = 1};
        assert_int_equal(ipcm__encode_request(&out, &caller_limits, &request),
                         0);
    }
    send_all(caller->fd, out.data, out.end);
    ipcm__buffer_free(&out);
}

/* One byte more from each of the slow ones; those who have been sent away get
 * an error, which is theirs. */
static void say_a_byte(size_t place)
{
    static const char hello[IPCM__HELLO_BYTES] = "libipc1\n\1\0\0\0\1\0\0";
    for (int i = 0; i < SLOW; i++)
        (void)send(slow[i], hello + place, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* It is sent away: the server says why, or not, and closes. */
static void expect_sent_away(int fd)
{
    char bytes[IPCM__WELCOME_BYTES];
    while (receive_some(fd, bytes, sizeof bytes) != 0)
        ;
    close(fd);
}

/* Appends go on until the slow ones have not managed to say HELLO. */
static size_t serve_meanwhile(struct caller *good, uint64_t list)
{
    const int64_t begin = test_now_ns();
    size_t count = 0;
    for (size_t place = 0; place < IPCM__HELLO_BYTES - 1; place++) {
        const int64_t until =
            begin + (int64_t)(place + 1) * STEP_MS * (int64_t)1000000;
        say_a_byte(place);
        do
            append_one(good, list, &count);
        while (test_now_ns() < until);
    }
    return count;
}

static void t70_a_thousand_clients_and_bad_ones_among_them(void)
{
    struct hall hall;
    struct caller good;
    size_t count = 0;
    const int clients = raise_descriptors();
    hall_prepare(&hall);
    hall.limits.connections = IDLE + SILENT + SLOW + DEAF + OTHERS;
    hall.limits.half_open = SILENT + SLOW + OTHERS;
    hall.limits.handshake_ms = HANDSHAKE_MS;
    hall.limits.queued_bytes = 256 * 1024;
    hall.limits.slow_client_ms = 1000;
    hall_open(&hall);
    caller_must_open(&hall, 0, &good);
    const uint64_t list = caller_object(&good, "list", NULL);
    while (count < 1000)
        append_one(&good, list, &count);
    test_report("p99_us_alone", p99_us(count));
    const long before_kb = resident_kb(hall.role.pid);

    come_in(&hall, clients);
    for (int i = 0; i < DEAF; i++)
        never_read(&hall, &deaf[i]);
    const size_t served = serve_meanwhile(&good, list);
    test_report("p99_us", p99_us(served < SAMPLES ? served : SAMPLES));
    const long after_kb = resident_kb(hall.role.pid);
    test_report("clients", clients);
    test_report("rss_kb_more", after_kb - before_kb);
    /* A frame or so of each, and what the deaf ones may have queued. */
    assert_in_range(after_kb - before_kb, 0, 128 * 1024);

    for (int i = 0; i < SILENT; i++)
        expect_sent_away(silent[i]);
    for (int i = 0; i < SLOW; i++)
        expect_sent_away(slow[i]);
    assert_int_equal(caller_stat(&good, "slow"), DEAF);
    assert_int_equal(caller_stat(&good, "connections"), clients + 1);
    for (int i = 0; i < clients; i++) {
        call_for(0, &idle[i], IPCM__OP_PING, 0);
        caller_close(&idle[i]);
    }
    for (int i = 0; i < DEAF; i++)
        caller_close(&deaf[i]);
    caller_close(&good);
    hall_close(&hall);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t70_a_thousand_clients_and_bad_ones_among_them, 90),
};
TEST_MAIN(cases)
