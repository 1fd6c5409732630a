/* The version of libipc, of these headers and of the library that runs.
 *
 * While the major version is 0 the minor version says what is compatible:
 * 0.2 may break what was written for 0.1. */
#ifndef IPC_VERSION_H
#define IPC_VERSION_H

#include <ipc/api.h>

IPC_BEGIN_DECLS

#define IPC_VERSION_MAJOR  0
#define IPC_VERSION_MINOR  1
#define IPC_VERSION_PATCH  0
#define IPC_VERSION_STRING "0.1.0"

/* One number that grows with every release: 0.1.0 is 100. */
#define IPC_VERSION_NUMBER                                                     \
    (IPC_VERSION_MAJOR * 10000 + IPC_VERSION_MINOR * 100 + IPC_VERSION_PATCH)

/* The IPC_VERSION_NUMBER of the library that is loaded, which may be newer
 * than the headers that the program was compiled with. */
IPC_API int ipc_version_number(void);

/* The same as text, for instance "0.1.0".  Owns: the library. */
IPC_API const char *ipc_version(void);

IPC_END_DECLS

#endif
