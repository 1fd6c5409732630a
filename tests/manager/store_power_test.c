/* T71: the power fails.  What was written and not yet synced is lost, or is
 * there in part, sector by sector; what a commit with IPC_DURABLE_ALWAYS has
 * acknowledged is there, and nothing is by half.
 *
 * SQLite writes through a layer of ours, which remembers for the file and its
 * log what is on the disk for certain, and what is on its way.  At some of the
 * writes and syncs it makes a copy of what a disk might hold then, which is
 * opened. */
#include "manager/store_support.h"

#include <sqlite3.h>

#include "harness/scale.h"

enum {
    SECTOR = 512,
    ON_THE_WAY = 4096, /* writes between two syncs */
    COPIES = 30,       /* for a quick run */
    EVENTS = 300,      /* from one copy to the next, about */
    PADDING = 1000     /* of a number, so that the log grows: it is copied to
                          the file at 2,000 pages */
};

/* ---- what a disk holds ---- */

struct bytes {
    uint8_t *data;
    size_t size;
    size_t room;
};

struct change {
    sqlite3_int64 at;
    size_t size;
    uint8_t *data; /* NULL: the file is cut at `at` */
};

/* The file, and its log. */
static struct disk {
    struct bytes certain;
    struct change changes[ON_THE_WAY];
    size_t count;
} disks[2];

static struct test_random lot;

static void change_bytes(struct bytes *bytes, size_t at, const uint8_t *data,
                         size_t size)
{
    if (at + size > bytes->room) {
        bytes->room = 2 * (at + size);
        bytes->data = realloc(bytes->data, bytes->room);
        assert_non_null(bytes->data);
    }
    if (at + size > bytes->size) {
        memset(bytes->data + bytes->size, 0, at + size - bytes->size);
        bytes->size = at + size;
    }
    memcpy(bytes->data + at, data, size);
}

static void make_change(struct bytes *bytes, const struct change *change)
{
    const size_t at = (size_t)change->at;
    if (change->data != NULL)
        change_bytes(bytes, at, change->data, change->size);
    else if (at < bytes->size)
        bytes->size = at;
}

/* Some of its sectors. */
static void make_half(struct bytes *bytes, const struct change *change)
{
    if (change->data == NULL) {
        if (test_random_between(&lot, 0, 1) == 0)
            make_change(bytes, change);
        return;
    }
    for (size_t done = 0; done < change->size;) {
        const size_t at = (size_t)change->at + done;
        const size_t left = change->size - done;
        const size_t room = SECTOR - at % SECTOR;
        const size_t size = left < room ? left : room;
        if (test_random_between(&lot, 0, 1) == 0)
            change_bytes(bytes, at, change->data + done, size);
        done += size;
    }
}

static void note(struct disk *disk, sqlite3_int64 at, const void *data,
                 size_t size)
{
    assert_true(disk->count < ON_THE_WAY);
    struct change *change = &disk->changes[disk->count++];
    *change = (struct change){.at = at, .size = size};
    if (data == NULL)
        return;
    change->data = malloc(size);
    assert_non_null(change->data);
    memcpy(change->data, data, size);
}

static void settle(struct disk *disk)
{
    for (size_t i = 0; i < disk->count; i++) {
        make_change(&disk->certain, &disk->changes[i]);
        free(disk->changes[i].data);
    }
    disk->count = 0;
}

/* Before a write or a sync: here the power may fail. */
static void event(void);

/* ---- SQLite's files, through ours ---- */

struct lossy {
    sqlite3_file base;
    struct disk *disk;
    sqlite3_file *real;
};

static sqlite3_vfs *real_vfs;

static struct lossy *lossy(sqlite3_file *file)
{
    return (struct lossy *)(void *)file;
}
#define REAL(file)    lossy(file)->real
#define METHODS(file) lossy(file)->real->pMethods

static int lossy_close(sqlite3_file *file)
{
    return METHODS(file)->xClose(REAL(file));
}

static int lossy_read(sqlite3_file *file, void *to, int size, sqlite3_int64 at)
{
    return METHODS(file)->xRead(REAL(file), to, size, at);
}

static int lossy_write(sqlite3_file *file, const void *data, int size,
                       sqlite3_int64 at)
{
    event();
    note(lossy(file)->disk, at, data, (size_t)size);
    return METHODS(file)->xWrite(REAL(file), data, size, at);
}

static int lossy_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    event();
    note(lossy(file)->disk, size, NULL, 0);
    return METHODS(file)->xTruncate(REAL(file), size);
}

static int lossy_sync(sqlite3_file *file, int flags)
{
    event();
    settle(lossy(file)->disk);
    return METHODS(file)->xSync(REAL(file), flags);
}

static int lossy_size(sqlite3_file *file, sqlite3_int64 *out)
{
    return METHODS(file)->xFileSize(REAL(file), out);
}

static int lossy_lock(sqlite3_file *file, int lock)
{
    return METHODS(file)->xLock(REAL(file), lock);
}

static int lossy_unlock(sqlite3_file *file, int lock)
{
    return METHODS(file)->xUnlock(REAL(file), lock);
}

static int lossy_is_reserved(sqlite3_file *file, int *out)
{
    return METHODS(file)->xCheckReservedLock(REAL(file), out);
}

static int lossy_control(sqlite3_file *file, int op, void *arg)
{
    return METHODS(file)->xFileControl(REAL(file), op, arg);
}

static int lossy_sector(sqlite3_file *file)
{
    return METHODS(file)->xSectorSize(REAL(file));
}

static int lossy_traits(sqlite3_file *file)
{
    return METHODS(file)->xDeviceCharacteristics(REAL(file));
}

static int lossy_shm_map(sqlite3_file *file, int page, int size, int extend,
                         void volatile **out)
{
    return METHODS(file)->xShmMap(REAL(file), page, size, extend, out);
}

static int lossy_shm_lock(sqlite3_file *file, int at, int n, int flags)
{
    return METHODS(file)->xShmLock(REAL(file), at, n, flags);
}

static void lossy_shm_barrier(sqlite3_file *file)
{
    METHODS(file)->xShmBarrier(REAL(file));
}

static int lossy_shm_unmap(sqlite3_file *file, int remove)
{
    return METHODS(file)->xShmUnmap(REAL(file), remove);
}

static const sqlite3_io_methods lossy_methods = {
    .iVersion = 2,
    .xClose = lossy_close,
    .xRead = lossy_read,
    .xWrite = lossy_write,
    .xTruncate = lossy_truncate,
    .xSync = lossy_sync,
    .xFileSize = lossy_size,
    .xLock = lossy_lock,
    .xUnlock = lossy_unlock,
    .xCheckReservedLock = lossy_is_reserved,
    .xFileControl = lossy_control,
    .xSectorSize = lossy_sector,
    .xDeviceCharacteristics = lossy_traits,
    .xShmMap = lossy_shm_map,
    .xShmLock = lossy_shm_lock,
    .xShmBarrier = lossy_shm_barrier,
    .xShmUnmap = lossy_shm_unmap,
};

static int lossy_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file,
                      int flags, int *out)
{
    (void)vfs;
    struct lossy *own = lossy(file);
    const bool is_log = (flags & SQLITE_OPEN_WAL) != 0;
    size_t bytes = 0;
    if (!is_log && (flags & SQLITE_OPEN_MAIN_DB) == 0)
        return SQLITE_CANTOPEN; /* there is no other */
    own->real = (sqlite3_file *)(void *)(own + 1);
    own->disk = &disks[is_log];
    const int rc = real_vfs->xOpen(real_vfs, name, own->real, flags, out);
    if (rc != SQLITE_OK)
        return rc;
    own->base.pMethods = &lossy_methods;
    settle(own->disk);
    free(own->disk->certain.data);
    own->disk->certain.data = slurp(name, &bytes);
    own->disk->certain.size = bytes;
    own->disk->certain.room = bytes;
    return SQLITE_OK;
}

/* From now on for all that is opened. */
static sqlite3_vfs lossy_vfs;

static void begin_loss(void)
{
    assert_int_equal(sqlite3_initialize(), SQLITE_OK);
    real_vfs = sqlite3_vfs_find(NULL);
    assert_non_null(real_vfs);
    lossy_vfs = *real_vfs;
    lossy_vfs.zName = "lossy";
    lossy_vfs.pNext = NULL;
    lossy_vfs.szOsFile = (int)sizeof(struct lossy) + real_vfs->szOsFile;
    lossy_vfs.xOpen = lossy_open;
    assert_int_equal(sqlite3_vfs_register(&lossy_vfs, 1), SQLITE_OK);
}

static void end_loss(void)
{
    assert_int_equal(sqlite3_vfs_unregister(&lossy_vfs), SQLITE_OK);
    for (int i = 0; i < 2; i++) {
        settle(&disks[i]);
        free(disks[i].certain.data);
        disks[i].certain = (struct bytes){NULL, 0, 0};
    }
}

/* ---- what is in a store ---- */

struct numbered {
    uint64_t number;
    uint8_t padding[PADDING];
};

static void log_number(struct ipcm__store *store, uint64_t object,
                       uint64_t number, bool sync)
{
    const struct numbered numbered = {.number = number};
    const struct ipcm__store_entry entry = {.object = object,
                                            .op = 1,
                                            .args = &numbered,
                                            .arg_bytes = sizeof numbered};
    ok(ipcm__store_log(store, &entry, sync));
}

struct counted {
    uint64_t last[3]; /* by object */
    bool gap;
};

static int count_object(void *arg, const struct ipcm__store_object *object)
{
    (void)arg;
    (void)object;
    return 0;
}

static int count_entry(void *arg, const struct ipcm__store_entry *entry)
{
    struct counted *counted = arg;
    struct numbered numbered;
    assert_int_equal(entry->arg_bytes, sizeof numbered);
    memcpy(&numbered, entry->args, sizeof numbered);
    counted->gap |= numbered.number != counted->last[entry->object] + 1;
    counted->last[entry->object] = numbered.number;
    return 0;
}

static int count_answer(void *arg, const struct ipcm__store_answer *answer)
{
    (void)arg;
    (void)answer;
    return 0;
}

/* ---- copies ---- */

static uint64_t promised; /* the last number that has to be there */
static uint64_t begun;    /* the last that may be */
static long copied;
static long countdown;
static uint64_t might_be_lost;
static uint64_t in_file; /* copies in which the log had been copied */

static void look_at(const char *path)
{
    static const struct ipcm__store_loader loader = {count_object, count_entry,
                                                     count_answer};
    struct counted counted = {{0}, false};
    struct ipcm__store *store;
    const int rc = ipcm__store_open(path, 0, &store);
    if (rc != 0)
        test_fail("copy %ld: %s", copied, ipc_error_detail());
    ok(ipcm__store_load(store, &loader, &counted));
    ok(ipcm__store_close(store));
    if (counted.gap || counted.last[1] != counted.last[2] ||
        counted.last[1] < promised || counted.last[1] > begun)
        test_fail("copy %ld: %" PRIu64 " was promised, %" PRIu64
                  " begun; there are %" PRIu64 " and %" PRIu64 "%s",
                  copied, promised, begun, counted.last[1], counted.last[2],
                  counted.gap ? ", with a gap" : "");
    might_be_lost += begun - promised;
    copied++;
}

static void make_copy(const char *path, const struct disk *disk)
{
    struct bytes bytes = {NULL, 0, 0};
    if (disk->certain.size != 0)
        change_bytes(&bytes, 0, disk->certain.data, disk->certain.size);
    for (size_t k = 0; k < disk->count; k++)
        make_half(&bytes, &disk->changes[k]);
    spew(path, bytes.data, bytes.size);
    free(bytes.data);
}

static void event(void)
{
    const char *suffixes[] = {".copy", ".copy-wal"};
    char path[256];
    if (begun == 0 || --countdown > 0)
        return;
    countdown = test_random_between(&lot, 1, 2L * EVENTS);
    in_file += disks[0].certain.size > 100 * (size_t)4096;
    for (int i = 0; i < 2; i++)
        make_copy(store_file(suffixes[i]), &disks[i]);
    (void)snprintf(path, sizeof path, "%s", store_file(".copy"));
    assert_int_equal(sqlite3_vfs_register(real_vfs, 1), SQLITE_OK);
    look_at(path);
    assert_int_equal(sqlite3_vfs_register(&lossy_vfs, 1), SQLITE_OK);
    for (int i = 0; i < 2; i++)
        (void)unlink(store_file(suffixes[i]));
}

/* ---- the writer ---- */

/* Groups of the next number for both objects; some of them are to be on the
 * disk before they are acknowledged, and then all before them are too. */
static void write_numbers(long copies)
{
    struct ipcm__store *store = open_store();
    add_object(store, 1, "one");
    add_object(store, 2, "two");
    ok(ipcm__store_commit(store));
    for (uint64_t number = 1; copied < copies; number++) {
        const bool sync = test_random_between(&lot, 0, 3) == 0;
        begun = number;
        log_number(store, 1, number, false);
        log_number(store, 2, number, sync);
        ok(ipcm__store_commit(store));
        if (number % 100 == 0)
            ok(ipcm__store_sync(store));
        if (sync || number % 100 == 0)
            promised = number;
    }
    test_report("groups", (long long)begun);
    begun = 0; /* the end is not looked at */
    ok(ipcm__store_close(store));
}

/* On a disk that does not let it wait. */
static void t71_what_was_promised_survives_a_loss_of_power(void)
{
    lot.state = test_seed();
    store_folder = "/dev/shm/power";
    assert_int_equal(mkdir(store_folder, 0700), 0);
    begin_loss();
    write_numbers(COPIES * test_scale());
    end_loss();
    (void)unlink(the_path);
    assert_int_equal(rmdir(store_folder), 0);
    test_report("copies", copied);
    test_report("might_be_lost", (long long)might_be_lost);
    test_report("in_file", (long long)in_file);
    assert_true(might_be_lost > 0);
    assert_true(in_file > 0);
}

static const struct test_case cases[] = {
    TEST_CASE_LIMIT(t71_what_was_promised_survives_a_loss_of_power, 60),
};
TEST_MAIN(cases)
