/* Linked into programs of which every process has one thread: there is nothing
 * in them for ThreadSanitizer, and it does not get them.  The linker sends
 * calls of pthread_create() here. */
#include "harness/harness.h"

#include <pthread.h>

/* NOLINTBEGIN(readability-identifier-naming): the linker's name */
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                          void *(*start)(void *), void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                          void *(*start)(void *), void *arg)
{
    (void)thread, (void)attr, (void)start, (void)arg;
    test_fail("it starts a thread: take it from the list of those that do not");
}
/* NOLINTEND(readability-identifier-naming) */
