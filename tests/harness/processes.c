/* Children and orphans: finding, describing and ending them. */
#include "harness/internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void test__describe(pid_t pid, char *out, size_t size)
{
    char name[64] = "?", call[128] = "?", state = '?';
    pid_t parent;
    (void)test__proc_state(pid, &state, &parent);
    if (test__proc_read(pid, "comm", name, sizeof name))
        name[strcspn(name, "\n")] = '\0';
    if (test__proc_read(pid, "syscall", call, sizeof call))
        call[strcspn(call, " \n")] = '\0';
    (void)snprintf(out, size, "pid %d (%s) state %c, in system call %s",
                   (int)pid, name, state, call);
}

int test__children(struct lines *out, bool with_ended)
{
    /* The cheap question first: usually there is none. */
    siginfo_t info;
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 &&
        errno == ECHILD)
        return 0;

    DIR *dir = opendir("/proc");
    if (dir == NULL)
        return 0;
    int count = 0;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        pid_t pid = (pid_t)test__number(entry->d_name, 10, NULL), parent;
        char state;
        if (!test__proc_state(pid, &state, &parent) || parent != getpid())
            continue;
        if (state == 'Z' && !with_ended)
            continue;
        count++;
        char text[256];
        test__describe(pid, text, sizeof text);
        lines_add(out, "%s", text);
    }
    (void)closedir(dir);
    return count;
}

static void kill_listed_children(void)
{
    struct lines children = {NULL, 0};
    (void)test__children(&children, false);
    for (size_t i = 0; i < children.count; i++) {
        long pid = test__number(children.text[i] + strlen("pid "), 10, NULL);
        if (pid > 0)
            (void)kill((pid_t)pid, SIGKILL);
    }
    lines_free(&children);
}

void test__kill_children(void)
{
    /* The children of those that are killed become ours: go on until the
     * kernel says that there is none. */
    for (;;) {
        kill_listed_children();
        if (waitpid(-1, NULL, __WALL) < 0 && errno == ECHILD)
            return;
    }
}
