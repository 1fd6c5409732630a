/* Attributes of the public interface.
 *
 * Every header of libipc compiles alone, as C11 and as C++17, and includes
 * what it needs.  <ipc/ipc.h> includes them all. */
#ifndef IPC_API_H
#define IPC_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#    define IPC_BEGIN_DECLS extern "C" {
#    define IPC_END_DECLS   }
#else
#    define IPC_BEGIN_DECLS
#    define IPC_END_DECLS
#endif

/* A function that programs may call: exported from libipc.so. */
#define IPC_API __attribute__((visibility("default")))

/* Ignoring the result is a bug: the call may not have happened. */
#define IPC_MUST_USE __attribute__((warn_unused_result))

/* The arguments at these positions are never NULL. */
#define IPC_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))

#endif
