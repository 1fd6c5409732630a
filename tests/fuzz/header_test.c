/* Headers that nobody of ours wrote: every bit flipped, random, cut short, and
 * such as only malice makes.  Attaching gives an error or works; it never
 * crashes, also not later when what was attached is used and closed. */
#include "harness/scale.h"
#include "unit/segment_support.h"

#include <stdlib.h>
#include <sys/mman.h>

#include <ipc/lock.h>
#include <ipc/rlock.h>

#include "core/region.h"
#include "kernel/futex.h"

enum {
    DATA = 5000,
    FILE_SIZE = IPC__REGION_TABLE + DATA
};

/* A good file, and what is tried of it; shared with the role that tries. */
struct fuzz {
    char name[80];
    uint64_t seed;
    uint64_t step; /* where it was when it crashed */
    uint64_t attached;
    uint64_t refused;
    unsigned char good[FILE_SIZE];
    unsigned char file[FILE_SIZE];
};

static struct fuzz *fuzz;

static struct ipc__region *file_region(void)
{
    return (struct ipc__region *)(void *)fuzz->file;
}

/* What ipc__region_check() wants: it is no secret. */
static void seal(struct ipc__region_facts *facts)
{
    const unsigned char *byte = (const unsigned char *)facts;
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < offsetof(struct ipc__region_facts, checksum); i++)
        hash = (hash ^ byte[i]) * 16777619u;
    facts->checksum = hash;
}

static void make_good_file(void)
{
    fuzz = test_shared(sizeof *fuzz);
    (void)snprintf(fuzz->name, sizeof fuzz->name, "%s", shm_name("fuzz"));
    ipc_segment *segment = make_segment(fuzz->name, DATA);
    assert_int_equal(ipc_segment_close(segment), 0);
    const int fd = open(shm_path(fuzz->name), O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, fuzz->good, FILE_SIZE), FILE_SIZE);
    (void)close(fd);
    unlink_segment(fuzz->name);

    struct ipc__region_facts facts;
    memcpy(&facts, fuzz->good, sizeof facts);
    const uint32_t checksum = facts.checksum;
    seal(&facts);
    assert_int_equal(facts.checksum, checksum); /* else this tests nothing */
}

static void restore(void)
{
    memcpy(fuzz->file, fuzz->good, FILE_SIZE);
}

/* size bytes of it, with a hole behind that makes it longer. */
static void write_file(size_t size, off_t length)
{
    const int fd = open(shm_path(fuzz->name),
                        O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, fuzz->file, size) != (ssize_t)size ||
        ftruncate(fd, length) != 0)
        test_fail("write: %m");
    (void)close(fd);
}

/* ---- attach, and use what came ---- */

static int count(int rc)
{
    if (rc == 0)
        fuzz->attached++;
    else
        fuzz->refused++;
    return rc;
}

static void use_segment(void)
{
    ipc_segment *segment = NULL;
    if (count(ipc_segment_open(fuzz->name, &segment)) != 0)
        return;
    volatile char *data = ipc_segment_data(segment);
    const size_t size = ipc_segment_size(segment);
    if (size > 0 && size <= DATA) { /* behind that may be a hole */
        data[0] = 1;
        data[size - 1] = 1;
    }
    if (size >= sizeof(ipc_lock)) {
        ipc_lock *lock = ipc_segment_data(segment);
        if (ipc_lock_acquire_nowait(lock) >= 0)
            (void)ipc_lock_release(lock);
    }
    (void)ipc_segment_id(segment);
    (void)ipc_segment_close(segment);
}

static void use_lock(void)
{
    ipc_lock *lock = NULL;
    if (count(ipc_lock_open(fuzz->name, &lock)) != 0)
        return;
    ipc_lock_holder holder = IPC_LOCK_HOLDER_INIT;
    (void)ipc_lock_owner(lock, &holder);
    if (ipc_lock_acquire_nowait(lock) >= 0)
        (void)ipc_lock_release(lock);
    (void)ipc_lock_close(lock);
}

static void use_rlock(void)
{
    ipc_rlock *rlock = NULL;
    if (count(ipc_rlock_open(fuzz->name, &rlock)) != 0)
        return;
    if (ipc_rlock_acquire_nowait(rlock) >= 0)
        (void)ipc_rlock_release(rlock);
    (void)ipc_rlock_close(rlock);
}

static void use_file(void)
{
    ipc_segment *segment = NULL;
    use_segment();
    use_lock();
    use_rlock();
    (void)ipc_segment_gc();
    if (ipc_segment_open_or_create(fuzz->name, 64, NULL, &segment) == 0)
        (void)ipc_segment_close(segment);
    (void)ipc_segment_unlink(fuzz->name);
    (void)unlink(shm_path(fuzz->name));
}

static int count_mappings(void)
{
    char line[600];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (fgets(line, sizeof line, maps) != NULL)
        found += strstr(line, "/dev/shm/") != NULL;
    (void)fclose(maps);
    return found;
}

/* In a process of its own: what crashes is that one. */
static void try_all(void (*part)(void *arg))
{
    enum {
        LIMIT = 60000
    };
    make_good_file();
    fuzz->seed = test_seed();
    const int rc = role_try(part, NULL, LIMIT);
    test_report("attached", (long long)fuzz->attached);
    test_report("refused", (long long)fuzz->refused);
    if (rc >= ROLE_SIGNAL)
        test_fail("SIG%s at step %llu", sigabbrev_np(rc - ROLE_SIGNAL),
                  (unsigned long long)fuzz->step);
    assert_int_equal(rc, 0);
    (void)unlink(shm_path(fuzz->name));
}

/* ---- flipped bits ---- */

static void flip(size_t bit)
{
    restore();
    fuzz->file[bit / 8] ^= (unsigned char)(1u << bit % 8);
    fuzz->step = bit;
}

static void flip_facts(void *arg)
{
    (void)arg;
    for (size_t bit = 0; bit < sizeof(struct ipc__region_facts) * 8; bit++) {
        ipc_segment *segment = NULL;
        flip(bit);
        write_file(FILE_SIZE, FILE_SIZE);
        const int rc = ipc_segment_open(fuzz->name, &segment);
        if (rc != -EUCLEAN && rc != -EPROTONOSUPPORT)
            test_fail("bit %zu flipped: %d", bit, rc);
        (void)ipc_segment_gc();
        assert_true(shm_exists(fuzz->name)); /* none of ours: left alone */
        use_file();
    }
}

static void every_bit_of_the_facts_is_checked(void)
{
    try_all(flip_facts);
    assert_int_equal(fuzz->attached, 0);
}

static void flip_and_seal(void *arg)
{
    (void)arg;
    for (size_t bit = 0; bit < sizeof(struct ipc__region_facts) * 8; bit++) {
        flip(bit);
        seal(&file_region()->facts);
        write_file(FILE_SIZE, FILE_SIZE);
        use_file();
    }
}

static void every_bit_flipped_with_the_checksum_set_right(void)
{
    try_all(flip_and_seal);
}

static void flip_the_rest(void *arg)
{
    (void)arg;
    const size_t first = sizeof(struct ipc__region_facts) * 8;
    const size_t end = ((size_t)IPC__REGION_HEADER + 256) * 8;
    for (size_t bit = first; bit < end; bit++) {
        flip(bit);
        write_file(FILE_SIZE, FILE_SIZE);
        use_file();
    }
}

static void every_bit_flipped_behind_the_facts(void)
{
    try_all(flip_the_rest);
}

/* ---- random ---- */

static uint64_t random_size(struct test_random *random)
{
    const uint64_t any = test_random_next(random);
    switch (any % 6) {
    case 0:
        return any >> any % 64;
    case 1:
        return any % 100000;
    case 2:
        return (uint64_t)FILE_SIZE + any / 8 % 16 - 8;
    case 3:
        return (uint64_t)IPC__REGION_TABLE + any / 8 % 16 - 8;
    case 4:
        return UINT64_MAX - any / 8 % 40000;
    default:
        return FILE_SIZE;
    }
}

static void random_facts(void *arg)
{
    struct test_random random = {fuzz->seed};
    (void)arg;
    for (long step = 0; step < 3000 * test_scale(); step++) {
        struct ipc__region_facts *facts = &file_region()->facts;
        fuzz->step = (uint64_t)step;
        restore();
        facts->size = random_size(&random);
        facts->data_size = test_random_next(&random) % 4 == 0
                               ? random_size(&random)
                               : facts->size - IPC__REGION_TABLE;
        facts->kind = (uint32_t)test_random_next(&random) % 6;
        facts->flags = (uint32_t)test_random_next(&random);
        facts->id = test_random_next(&random);
        seal(facts);
        write_file(FILE_SIZE, FILE_SIZE);
        use_file();
    }
}

static void random_facts_with_the_right_checksum(void)
{
    try_all(random_facts);
}

static void random_bytes(void *arg)
{
    struct test_random random = {fuzz->seed};
    (void)arg;
    for (long step = 0; step < 500 * test_scale(); step++) {
        fuzz->step = (uint64_t)step;
        restore();
        /* All of it, or the table and what follows it. */
        const size_t first =
            step % 2 == 0 ? 0 : sizeof(struct ipc__region_facts);
        for (size_t i = first; i + 8 <= FILE_SIZE; i += 8) {
            const uint64_t bytes = test_random_next(&random);
            memcpy(&fuzz->file[i], &bytes, sizeof bytes);
        }
        file_region()->opens = 0; /* else it counts as abandoned */
        write_file(FILE_SIZE, FILE_SIZE);
        use_file();
    }
}

static void random_bytes_from_the_start_or_behind_the_facts(void)
{
    try_all(random_bytes);
}

/* ---- sizes ---- */

static void cut_short(void *arg)
{
    (void)arg;
    for (size_t size = 0; size < FILE_SIZE; size += size < 5000 ? 1 : 97) {
        ipc_segment *segment = NULL;
        fuzz->step = size;
        restore();
        write_file(size, (off_t)size);
        const int rc = ipc_segment_open(fuzz->name, &segment);
        if (rc != -EUCLEAN)
            test_fail("cut to %zu bytes: %d", size, rc);
        use_file();
    }
}

static void every_short_file_is_refused(void)
{
    try_all(cut_short);
    assert_int_equal(fuzz->attached, 0);
}

/* Sizes that fit the file and each other, but nothing that we ever made. */
static void odd_sizes(void *arg)
{
    static const uint64_t sizes[] = {
        1,
        64,
        512,
        4096,
        IPC__REGION_TABLE - 1,
        IPC__REGION_TABLE,
        ((uint64_t)1 << 40) + IPC__REGION_TABLE,
        ((uint64_t)1 << 40) + IPC__REGION_TABLE + 1,
        (uint64_t)1 << 42,
    };
    (void)arg;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct ipc__region_facts *facts = &file_region()->facts;
        fuzz->step = i;
        restore();
        facts->size = sizes[i];
        facts->data_size = sizes[i] - IPC__REGION_TABLE;
        seal(facts);
        write_file(FILE_SIZE,
                   sizes[i] > FILE_SIZE ? (off_t)sizes[i] : (off_t)FILE_SIZE);
        use_file();
        if (count_mappings() != 0)
            test_fail("%llu bytes are still mapped after close",
                      (unsigned long long)sizes[i]);
    }
}

static void odd_sizes_that_fit_the_file(void)
{
    try_all(odd_sizes);
}

/* ---- the table of peers ---- */

/* Slots that claim to be ours, and lead anywhere. */
static void forge_slots(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < IPC__REGION_SLOTS; i += 7) {
        fuzz->step = i;
        restore();
        struct ipc__slot *slot = &file_region()->slots[i];
        slot->pid = getpid();
        slot->tid = (uint32_t)gettid();
        slot->life = slot->tid | FUTEX_BIT_WAITERS;
        slot->birth = (uint32_t)i;
        slot->next = (void *)(uintptr_t)0x10;
        slot->prev = (void *)(uintptr_t)0x20;
        write_file(FILE_SIZE, FILE_SIZE);
        use_file();
    }
}

static void slots_that_claim_to_be_ours(void)
{
    try_all(forge_slots);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(every_bit_of_the_facts_is_checked, 120),
    TEST_CASE_LIMIT(every_bit_flipped_with_the_checksum_set_right, 120),
    TEST_CASE_LIMIT(every_bit_flipped_behind_the_facts, 120),
    TEST_CASE_LIMIT(random_facts_with_the_right_checksum, 120),
    TEST_CASE_LIMIT(random_bytes_from_the_start_or_behind_the_facts, 120),
    TEST_CASE_LIMIT(every_short_file_is_refused, 120),
    TEST_CASE_LIMIT(odd_sizes_that_fit_the_file, 120),
    TEST_CASE_LIMIT(slots_that_claim_to_be_ours, 120),
};
TEST_MAIN(cases)
