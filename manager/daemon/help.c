/* Help: what --help prints. */
#include "managerd.h"

#include <inttypes.h>

static const char help[] =
    "usage: ipc-managerd --key-file FILE [options]\n"
    "       ipc-managerd --make-key FILE\n"
    "\n"
    "Own lists, dicts, queues, locks and other objects, and share them with\n"
    "programs that have the key: ipc_manager_connect() in <ipc/manager.h>.\n"
    "\n"
    "  --listen ADDRESS       where to be found; up to 8 times:\n"
    "                         unix:PATH, tcp://HOST:PORT, tls://HOST:PORT\n"
    "                         (default: unix:, which is the socket manager in\n"
    "                         $XDG_RUNTIME_DIR/libipc or /tmp/libipc-UID)\n"
    "  --uid USER             a user, by name or number, who may come over\n"
    "                         unix: too; up to 64 times\n"
    "  --key-file FILE        the key: 32 to 1024 bytes, mode 0600\n"
    "  --make-key FILE        make such a file, and do nothing else\n"
    "\n"
    "  --store FILE           where what is durable is kept; made if missing\n"
    "  --durability LEVEL     of named objects that do not say: none\n"
    "                         (default), interval or always\n"
    "  --snapshot-bytes N     of log before a snapshot (default 64M)\n"
    "\n"
    "  --tls-certificate FILE, --tls-key FILE\n"
    "                         PEM, for tls://\n"
    "  --tls-client-ca FILE   PEM; clients need a certificate of it\n"
    "\n"
    "  --plain-tcp            tcp:// on any address, unencrypted; without\n"
    "                         this only on loopback\n"
    "  --no-arena             nobody works on the memory directly\n"
    "  --remote-shutdown      who has the key may end the server\n"
    "  --limit NAME=VALUE     see below\n"
    "\n"
    "  --log-level LEVEL      error, warning, info (default) or debug\n"
    "  --check                look whether all is well with options, key,\n"
    "                         store, certificates and addresses; start\n"
    "                         nothing, change nothing\n"
    "  --version              print it\n"
    "  --help                 print this\n"
    "\n"
    "Limits, and what they are unless told, or told to be 0.  Those of bytes\n"
    "may be written with K, M or G: 64K are 65536.\n"
    "\n";

static const char help_end[] =
    "\n"
    "It stays in the foreground and logs to standard error.  SIGTERM and\n"
    "SIGINT end it in order; SIGHUP means nothing.\n"
    "\n"
    "Exit code: 0 it was told to end, and has; 1 something went wrong; 2 it\n"
    "was called with options that are wrong.\n";

static void print_value(FILE *out, const struct managerd_limit *limit)
{
    static const char *const units[] = {"", "K", "M", "G"};
    uint64_t value = limit->is;
    char text[24];
    size_t unit = 0;
    while (managerd_limit_is_size(limit) && value != 0 && value % 1024 == 0 &&
           unit < 3) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(text, sizeof text, "%" PRIu64 "%s", value, units[unit]);
    fprintf(out, "%10s", text);
}

void managerd_help(FILE *out)
{
    fputs(help, out);
    for (size_t i = 0; i < managerd_limit_count; i++) {
        const struct managerd_limit *limit = &managerd_limits[i];
        fprintf(out, "  %-22s ", limit->name);
        print_value(out, limit);
        fprintf(out, "  %s\n", limit->what);
    }
    fputs(help_end, out);
}
