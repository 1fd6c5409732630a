/* What the tests of bad use have in common. */
#ifndef BAD_USE_SUPPORT_H
#define BAD_USE_SUPPORT_H

#include "harness/harness.h"
#include "harness/role.h"

#include <errno.h>
#include <string.h>

#include <ipc/check.h>
#include <ipc/error.h>

#include "core/error.h"

enum {
    LIMIT_MS = 10000 /* it hangs */
};

/* What an earlier call left as detail must not be left by this one. */
#define STALE "of an earlier call"

/* The call gives this error, and says more about it. */
#define REFUSED(call, error)                                                   \
    (ipc__set_detail("%s", STALE),                                             \
     expect_refused(__FILE__, __LINE__, #call, (call), (error)))

/* And in particular this. */
#define REFUSED_SAYING(call, error, part)                                      \
    (REFUSED(call, error), expect_part(__FILE__, __LINE__, #call, (part)))

#define WORKS(call) expect_result(__FILE__, __LINE__, #call, (call), 0)

static inline void expect_result(const char *file, int line, const char *call,
                                 int rc, int expected)
{
    if (rc != expected)
        test_fail_at(file, line, "%s: %d (%s: %s), expected %d", call, rc,
                     ipc_strerror(rc), ipc_error_detail(), expected);
}

static inline void expect_refused(const char *file, int line, const char *call,
                                  int rc, int expected)
{
    expect_result(file, line, call, rc, expected);
    if (ipc_error_detail()[0] == '\0' || strcmp(ipc_error_detail(), STALE) == 0)
        test_fail_at(file, line, "%s: no detail", call);
}

static inline void expect_part(const char *file, int line, const char *call,
                               const char *part)
{
    if (strstr(ipc_error_detail(), part) == NULL)
        test_fail_at(file, line, "%s: \"%s\" does not say \"%s\"", call,
                     ipc_error_detail(), part);
}

/* Run by another process while this one has what it has. */
static inline void elsewhere(void (*fn)(void *arg), void *arg)
{
    struct role role;
    role_start(&role, fn, arg);
    role_wait_ok(&role, LIMIT_MS);
}

#endif
