/* Options: one word after the other, then what they mean together. */
#include "managerd.h"

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <string.h>

#include <ipc/version.h>

#define ERROR(...) (managerd_log(IPC_MANAGER_LOG_ERROR, __VA_ARGS__), -EINVAL)

/* Above all characters, which is what getopt calls short options. */
enum option_id {
    LISTEN = 256,
    USER,
    KEY_FILE,
    MAKE_KEY,
    STORE,
    DURABILITY,
    SNAPSHOT_BYTES,
    TLS_CERTIFICATE,
    TLS_KEY,
    TLS_CLIENT_CA,
    PLAIN_TCP,
    NO_ARENA,
    REMOTE_SHUTDOWN,
    LIMIT,
    LOG_LEVEL,
    CHECK,
    VERSION,
    HELP
};

static const struct option table[] = {
    {"listen", required_argument, NULL, LISTEN},
    {"uid", required_argument, NULL, USER},
    {"key-file", required_argument, NULL, KEY_FILE},
    {"make-key", required_argument, NULL, MAKE_KEY},
    {"store", required_argument, NULL, STORE},
    {"durability", required_argument, NULL, DURABILITY},
    {"snapshot-bytes", required_argument, NULL, SNAPSHOT_BYTES},
    {"tls-certificate", required_argument, NULL, TLS_CERTIFICATE},
    {"tls-key", required_argument, NULL, TLS_KEY},
    {"tls-client-ca", required_argument, NULL, TLS_CLIENT_CA},
    {"plain-tcp", no_argument, NULL, PLAIN_TCP},
    {"no-arena", no_argument, NULL, NO_ARENA},
    {"remote-shutdown", no_argument, NULL, REMOTE_SHUTDOWN},
    {"limit", required_argument, NULL, LIMIT},
    {"log-level", required_argument, NULL, LOG_LEVEL},
    {"check", no_argument, NULL, CHECK},
    {"version", no_argument, NULL, VERSION},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

/* ---- single values ---- */

struct word {
    const char *word;
    uint32_t means;
};

/* Words end with an empty one. */
static int take_word(const struct word *words, const char *wrong,
                     const char *text, uint32_t *out)
{
    for (; words->word != NULL; words++) {
        if (strcmp(words->word, text) == 0) {
            *out = words->means;
            return 0;
        }
    }
    return ERROR("%s, not '%s'", wrong, text);
}

static int take_durability(const char *text, uint32_t *out)
{
    static const struct word words[] = {
        {"none", IPC_DURABLE_NONE},
        {"interval", IPC_DURABLE_INTERVAL},
        {"always", IPC_DURABLE_ALWAYS},
        {NULL, 0},
    };
    return take_word(words, "--durability takes none, interval or always", text,
                     out);
}

static int take_log_level(const char *text, int *out)
{
    static const struct word words[] = {
        {"error", IPC_MANAGER_LOG_ERROR},
        {"warning", IPC_MANAGER_LOG_WARNING},
        {"info", IPC_MANAGER_LOG_INFO},
        {"debug", IPC_MANAGER_LOG_DEBUG},
        {NULL, 0},
    };
    uint32_t level = 0;
    const int rc = take_word(
        words, "--log-level takes error, warning, info or debug", text, &level);
    if (rc == 0)
        *out = (int)level;
    return rc;
}

static int take_file(const char *name, const char *text, const char **out)
{
    if (text[0] == '\0')
        return ERROR("--%s takes the name of a file", name);
    *out = text;
    return 0;
}

static int take_address(const char *text, struct managerd_options *out)
{
    if (out->address_count == MANAGERD_ADDRESSES_MAX)
        return ERROR("--listen: at most %d are possible",
                     MANAGERD_ADDRESSES_MAX);
    out->addresses[out->address_count++] = text;
    return 0;
}

static int take_user(const char *text, struct managerd_options *out)
{
    uint64_t uid;
    if (out->uid_count == MANAGERD_UIDS_MAX)
        return ERROR("--uid: at most %d are possible", MANAGERD_UIDS_MAX);
    /* The last one means "none" to the system. */
    if (managerd_number(text, false, UINT32_MAX - 1, &uid) < 0) {
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread yet. */
        const struct passwd *user = getpwnam(text);
        if (user == NULL)
            return ERROR("--uid takes a user, by name or number, not '%s'",
                         text);
        uid = user->pw_uid;
    }
    out->uids[out->uid_count++] = (uint32_t)uid;
    return 0;
}

static int take_snapshot_bytes(const char *text, uint32_t *out)
{
    uint64_t bytes;
    if (managerd_number(text, true, UINT32_MAX, &bytes) < 0 || bytes == 0)
        return ERROR("--snapshot-bytes takes a number from 1 to %u, perhaps "
                     "with K, M or G behind it, not '%s'",
                     UINT32_MAX, text);
    *out = (uint32_t)bytes;
    return 0;
}

/* ---- one option ---- */

static int take_flag(int id, struct managerd_options *out)
{
    switch (id) {
    case PLAIN_TCP:
        out->flags |= IPC_MANAGER_PLAIN_TCP;
        return 0;
    case NO_ARENA:
        out->flags |= IPC_MANAGER_NO_ARENA;
        return 0;
    case REMOTE_SHUTDOWN:
        out->flags |= IPC_MANAGER_REMOTE_SHUTDOWN;
        return 0;
    case CHECK:
        out->check = true;
        return 0;
    case VERSION:
        printf("ipc-managerd %s\n", ipc_version());
        return 1;
    default:
        managerd_help(stdout);
        return 1;
    }
}

static int take_one(int id, struct managerd_options *out)
{
    switch (id) {
    case LISTEN:
        return take_address(optarg, out);
    case USER:
        return take_user(optarg, out);
    case KEY_FILE:
        return take_file("key-file", optarg, &out->key_file);
    case MAKE_KEY:
        return take_file("make-key", optarg, &out->make_key);
    case STORE:
        return take_file("store", optarg, &out->store);
    case DURABILITY:
        return take_durability(optarg, &out->durability);
    case SNAPSHOT_BYTES:
        return take_snapshot_bytes(optarg, &out->snapshot_bytes);
    case TLS_CERTIFICATE:
        return take_file("tls-certificate", optarg, &out->tls_certificate);
    case TLS_KEY:
        return take_file("tls-key", optarg, &out->tls_key);
    case TLS_CLIENT_CA:
        return take_file("tls-client-ca", optarg, &out->tls_client_ca);
    case LIMIT:
        return managerd_limit_set(&out->limits, optarg);
    case LOG_LEVEL:
        return take_log_level(optarg, &out->log_level);
    default:
        return take_flag(id, out);
    }
}

/* getopt is told to be silent: it would not know about the journal. */
static int refuse(int id, char **argv)
{
    if (id == ':')
        return ERROR("%s needs a value", argv[optind - 1]);
    if (optopt >= LISTEN)
        return ERROR("%s: it takes no value", argv[optind - 1]);
    if (optopt != 0)
        return ERROR("there is no option '-%c'; see --help", optopt);
    return ERROR("'%s' is no option, or could be several; see --help",
                 argv[optind - 1]);
}

/* ---- all of them together ---- */

static bool has_tls(const struct managerd_options *options)
{
    for (size_t i = 0; i < options->address_count; i++)
        if (strncmp(options->addresses[i], "tls:", 4) == 0)
            return true;
    return false;
}

static int check_together(const struct managerd_options *options, int words)
{
    const bool tls_given = options->tls_certificate != NULL ||
                           options->tls_key != NULL ||
                           options->tls_client_ca != NULL;
    if (options->make_key != NULL)
        return words == 1 ? 0 : ERROR("--make-key goes with no other option");
    if (options->key_file == NULL)
        return ERROR("--key-file FILE is needed; --make-key FILE makes one");
    if (options->durability > IPC_DURABLE_NONE && options->store == NULL)
        return ERROR("--durability needs --store FILE");
    if (options->snapshot_bytes != 0 && options->store == NULL)
        return ERROR("--snapshot-bytes needs --store FILE");
    if (has_tls(options) &&
        (options->tls_certificate == NULL || options->tls_key == NULL))
        return ERROR("tls:// needs --tls-certificate and --tls-key");
    if (tls_given && !has_tls(options))
        return ERROR("--tls-... is for addresses with tls://, and there are "
                     "none");
    return 0;
}

int managerd_options_parse(int argc, char **argv, struct managerd_options *out)
{
    const ipc_manager_limits limits = IPC_MANAGER_LIMITS_INIT;
    int id, words = 0;

    *out = (struct managerd_options){.limits = limits,
                                     .log_level = IPC_MANAGER_LOG_INFO};
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread yet. */
    while ((id = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        const int rc = id < LISTEN ? refuse(id, argv) : take_one(id, out);
        if (rc != 0)
            return rc;
        words++;
    }
    if (optind < argc)
        return ERROR("there is no option '%s'; see --help", argv[optind]);
    return check_together(out, words);
}
