/* ipc-managerd: ipc_manager_serve() as a program. */
#include "managerd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ipc/error.h>

/* The detail says it all: these codes are ours, and too general to add. */
static bool is_general(int rc)
{
    return rc == -EINVAL || rc == -E2BIG || rc == -EPERM || rc == -EBUSY ||
           rc == -EMSGSIZE || rc == -EPROTONOSUPPORT || rc == -EUCLEAN ||
           rc == -ELOOP;
}

/* Of what is not permitted this is: an option was not given. */
static bool lacks_plain_tcp(int rc, const char *detail)
{
    return rc == -EPERM && strncmp(detail, "tcp:", 4) == 0;
}

int managerd_complain(int rc)
{
    const char *detail = ipc_error_detail();
    const char *error = ipc_strerror(rc);
    if (lacks_plain_tcp(rc, detail)) {
        managerd_log(IPC_MANAGER_LOG_ERROR, "%s (--plain-tcp)", detail);
        return MANAGERD_MISUSED;
    }
    if (*detail == '\0')
        managerd_log(IPC_MANAGER_LOG_ERROR, "%s", error);
    else if (is_general(rc) || strstr(detail, error) != NULL)
        managerd_log(IPC_MANAGER_LOG_ERROR, "%s", detail);
    else
        managerd_log(IPC_MANAGER_LOG_ERROR, "%s (%s)", detail, error);
    return rc == -EINVAL || rc == -E2BIG ? MANAGERD_MISUSED : MANAGERD_FAILED;
}

/* Standard input, output and error are there: or what is opened next would be
 * taken for them. */
static bool has_stdio(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

/* As many descriptors as the system lets us have: a connection takes two. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int check(const struct managerd_options *options,
                 struct managerd_key *key)
{
    ipc_manager_options config;
    managerd_config(options, key, 0, &config);
    const int rc = ipc_manager_check(&config);
    return rc < 0 ? managerd_complain(rc) : 0;
}

static int serve(const struct managerd_options *options,
                 struct managerd_key *key)
{
    ipc_manager_options config;
    int stop_fd;
    (void)umask(S_IRWXG | S_IRWXO);
    raise_descriptors();
    int rc = managerd_signals_begin(&stop_fd);
    if (rc < 0) {
        managerd_log(IPC_MANAGER_LOG_ERROR, "signals: %s", ipc_strerror(rc));
        return MANAGERD_FAILED;
    }
    managerd_config(options, key, stop_fd, &config);
    rc = ipc_manager_serve(&config);
    return rc < 0 ? managerd_complain(rc) : 0;
}

static int run(const struct managerd_options *options)
{
    struct managerd_key key;
    if (options->make_key != NULL)
        return managerd_key_make(options->make_key);
    int code = managerd_key_read(options->key_file, &key);
    if (code == 0)
        code = options->check ? check(options, &key) : serve(options, &key);
    managerd_key_wipe(&key);
    return code;
}

static int end_of_output(void)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return 0;
    managerd_log(IPC_MANAGER_LOG_ERROR, "standard output: %s",
                 ipc_strerror(-errno));
    return MANAGERD_FAILED;
}

int main(int argc, char **argv)
{
    struct managerd_options options;
    if (!has_stdio())
        return MANAGERD_FAILED;
    managerd_log_begin();
    const int rc = managerd_options_parse(argc, argv, &options);
    if (rc < 0)
        return MANAGERD_MISUSED;
    if (rc > 0)
        return end_of_output();
    managerd_log_level(options.log_level);
    return run(&options);
}
