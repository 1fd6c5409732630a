/* A store in the case's own folder, and what is in it, as text. */
#ifndef MANAGER_STORE_SUPPORT_H
#define MANAGER_STORE_SUPPORT_H

#include "harness/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ipc/error.h>

#include "store/store.h"

#define expect_rc(call, wanted) expect_rc_at(call, wanted, #call, __LINE__)
static inline void expect_rc_at(int64_t rc, int64_t wanted, const char *call,
                                int line)
{
    if (rc != wanted)
        test_fail_at(__FILE__, line, "%s is %lld, not %lld; %s", call,
                     (long long)rc, (long long)wanted, ipc_error_detail());
}

#define ok(call) expect_rc(call, 0)

static inline void expect_detail(const char *part)
{
    if (strstr(ipc_error_detail(), part) == NULL)
        test_fail("the detail is \"%s\", without \"%s\"", ipc_error_detail(),
                  part);
}

/* ---- files ---- */

/* NULL: the case's own. */
static const char *store_folder;

static inline const char *store_file(const char *suffix)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/store%s",
                   store_folder != NULL ? store_folder : test_tmpdir(), suffix);
    return path;
}

#define the_path store_file("")

static inline bool is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* The bytes of a file: the caller's. */
static inline uint8_t *slurp(const char *path, size_t *bytes)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    uint8_t *data = malloc((size_t)st.st_size + 1);
    assert_non_null(data);
    assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
    assert_int_equal(close(fd), 0);
    *bytes = (size_t)st.st_size;
    return data;
}

static inline void spew(const char *path, const void *data, size_t bytes)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, bytes), (ssize_t)bytes);
    assert_int_equal(close(fd), 0);
}

/* ---- a store ---- */

static inline struct ipcm__store *open_store(void)
{
    struct ipcm__store *store = NULL;
    ok(ipcm__store_open(the_path, 0, &store));
    assert_non_null(store);
    return store;
}

static inline void add_object(struct ipcm__store *store, uint64_t id,
                              const char *name)
{
    const struct ipcm__store_object object = {
        .id = id,
        .type = "list",
        .name = name,
        .name_bytes = name == NULL ? 0 : strlen(name),
        .durability = 3,
        .options = "opt",
        .option_bytes = 3,
    };
    ok(ipcm__store_add(store, &object, true));
}

static inline int try_log(struct ipcm__store *store, uint64_t object,
                          const char *text, bool sync)
{
    const struct ipcm__store_entry entry = {
        .object = object, .op = 1, .args = text, .arg_bytes = strlen(text)};
    return ipcm__store_log(store, &entry, sync);
}

static inline void log_text(struct ipcm__store *store, uint64_t object,
                            const char *text)
{
    ok(try_log(store, object, text, false));
}

static inline void add_answer(struct ipcm__store *store, char session,
                              uint64_t request, const char *reply,
                              uint32_t keep)
{
    struct ipcm__store_answer answer = {.uid = 1000,
                                        .request = request,
                                        .reply = reply,
                                        .reply_bytes =
                                            reply == NULL ? 0 : strlen(reply)};
    memset(answer.session, session, sizeof answer.session);
    ok(ipcm__store_answer(store, &answer, keep));
}

/* ---- what is in it ---- */

struct told {
    char text[8192];
    size_t length;
};

__attribute__((format(printf, 2, 3))) static inline void
tell(struct told *told, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(told->text + told->length,
                            sizeof told->text - told->length, format, args);
    va_end(args);
    assert_true(n >= 0 && told->length + (size_t)n < sizeof told->text);
    told->length += (size_t)n;
}

static inline int tell_object(void *arg, const struct ipcm__store_object *of)
{
    tell(arg, "%s %" PRIu64 " %.*s %u %.*s;", of->type, of->id,
         of->name == NULL ? 1 : (int)of->name_bytes,
         of->name == NULL ? "-" : of->name, (unsigned)of->durability,
         (int)of->option_bytes, (const char *)of->options);
    return 0;
}

static inline int tell_entry(void *arg, const struct ipcm__store_entry *of)
{
    tell(arg, " %" PRIu64 ":%.*s", of->object, (int)of->arg_bytes,
         (const char *)of->args);
    return 0;
}

static inline int tell_answer(void *arg, const struct ipcm__store_answer *of)
{
    tell(arg, " %c%" PRIu64 "=%.*s", of->session[0], of->request,
         of->reply == NULL ? 1 : (int)of->reply_bytes,
         of->reply == NULL ? "-" : (const char *)of->reply);
    return 0;
}

/* "list 1 name 3 opt; 1:text 1:text a5=reply" */
static inline const char *contents(struct ipcm__store *store)
{
    static struct told told;
    static const struct ipcm__store_loader loader = {tell_object, tell_entry,
                                                     tell_answer};
    told.length = 0;
    told.text[0] = '\0';
    ok(ipcm__store_load(store, &loader, &told));
    return told.text;
}

/* ---- a sum of it, where it is too long for text ---- */

static inline void mix(uint64_t *sum, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < bytes; i++)
        *sum = (*sum ^ at[i]) * 0x100000001b3u;
    *sum = (*sum ^ bytes) * 0x100000001b3u;
}

static inline int mix_object(void *arg, const struct ipcm__store_object *of)
{
    mix(arg, of->type, strlen(of->type));
    mix(arg, of->name == NULL ? "" : of->name, of->name_bytes);
    mix(arg, of->options, of->option_bytes);
    mix(arg, &of->id, sizeof of->id);
    return 0;
}

static inline int mix_entry(void *arg, const struct ipcm__store_entry *of)
{
    mix(arg, of->args, of->arg_bytes);
    mix(arg, &of->object, sizeof of->object);
    return 0;
}

static inline int mix_answer(void *arg, const struct ipcm__store_answer *of)
{
    mix(arg, of->session, sizeof of->session);
    mix(arg, of->reply == NULL ? "" : of->reply, of->reply_bytes);
    return 0;
}

static inline uint64_t digest(struct ipcm__store *store)
{
    static const struct ipcm__store_loader loader = {mix_object, mix_entry,
                                                     mix_answer};
    uint64_t sum = 0;
    ok(ipcm__store_load(store, &loader, &sum));
    return sum;
}

#endif
