/* Values: to end, compare and show them. */
#include <ipc/any.h>

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/error.h"
#include "object/object.h"

_Static_assert(sizeof(ipc_any) == 16, "two registers");

const char *ipc_type_name(uint32_t type)
{
    static const char *const names[] = {"nil",    "bool",   "int",      "int",
                                        "double", "string", "bytes",    "list",
                                        "dict",   "set",    "namespace"};
    return type < array_length(names) ? names[type] : "unknown";
}

static bool is_text(uint32_t type)
{
    return type == IPC_TYPE_STR || type == IPC_TYPE_BYTES;
}

static bool is_handle(uint32_t type)
{
    return type >= IPC_TYPE_LIST && type <= IPC_TYPE_NAMESPACE;
}

/* All handles begin with what they have in common. */
static struct ipc__handle *handle_of(const ipc_any *any)
{
    return (struct ipc__handle *)(void *)any->list;
}

/* ---- end ---- */

void ipc_any_free(ipc_any *any)
{
    if (any == NULL)
        return;
    if (is_text(any->type))
        free((void *)(uintptr_t)any->bytes);
    else if (is_handle(any->type))
        (void)ipc__handle_close(handle_of(any));
    *any = ipc_nil();
}

void ipc_anys_free(ipc_anys *anys)
{
    if (anys == NULL)
        return;
    for (size_t i = 0; i < anys->count; i++)
        ipc_any_free(&anys->items[i]);
    free(anys->items);
    anys->items = NULL;
    anys->count = 0;
}

/* ---- compare ---- */

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

/* Both are integers. */
static int compare_integers(const ipc_any *a, const ipc_any *b)
{
    const bool a_below = a->type == IPC_TYPE_I64 && a->i64 < 0;
    const bool b_below = b->type == IPC_TYPE_I64 && b->i64 < 0;
    if (a_below != b_below)
        return a_below ? -1 : 1;
    return ORDER(a->u64, b->u64);
}

static int compare_doubles(double a, double b)
{
    if (isnan(a) || isnan(b))
        return (isnan(a) != 0) - (isnan(b) != 0);
    return ORDER(a, b);
}

static int compare_bytes(const ipc_any *a, const ipc_any *b)
{
    const uint32_t both = a->size < b->size ? a->size : b->size;
    const int order = both != 0 ? memcmp(a->bytes, b->bytes, both) : 0;
    return order != 0 ? order : ORDER(a->size, b->size);
}

/* By where they are served, then by what they are of. */
static int compare_handles(const ipc_any *any_a, const ipc_any *any_b)
{
    const struct ipc__handle *a = (const struct ipc__handle *)any_a->list;
    const struct ipc__handle *b = (const struct ipc__handle *)any_b->list;
    if (a == b)
        return 0;
    if (a == NULL || b == NULL)
        return a == NULL ? -1 : 1;
    int order = ORDER((uintptr_t)a->arena, (uintptr_t)b->arena);
    if (order == 0)
        order = ORDER((uintptr_t)a->remote, (uintptr_t)b->remote);
    if (order != 0)
        return order;
    const uint64_t of_a = ipc_any_identity(any_a);
    const uint64_t of_b = ipc_any_identity(any_b);
    return ORDER(of_a, of_b);
}

static uint32_t rank_of(uint32_t type)
{
    return type == IPC_TYPE_U64 ? IPC_TYPE_I64 : type;
}

int ipc_any_compare(const ipc_any *a, const ipc_any *b)
{
    const uint32_t rank = rank_of(a->type);
    const int order = ORDER(rank, rank_of(b->type));
    if (order != 0)
        return order;
    if (rank == IPC_TYPE_I64)
        return compare_integers(a, b);
    if (rank == IPC_TYPE_F64)
        return compare_doubles(a->f64, b->f64);
    if (rank == IPC_TYPE_BOOL)
        return ORDER(a->boolean, b->boolean);
    if (is_text(rank))
        return compare_bytes(a, b);
    return is_handle(rank) ? compare_handles(a, b) : 0;
}

/* ---- show ---- */

struct sink {
    char *out;
    uint64_t room; /* the zero at the end not counted */
    uint64_t length;
};

static void put(struct sink *sink, char c)
{
    if (sink->length < sink->room)
        sink->out[sink->length] = c;
    sink->length++;
}

static void put_text(struct sink *sink, const char *text)
{
    for (; *text != '\0'; text++)
        put(sink, *text);
}

/* With 15 digits if they tell it from all others, with a point whatever the
 * locale says, and never looking like an integer. */
static void put_double(struct sink *sink, double value)
{
    if (isnan(value)) {
        put_text(sink, "nan");
        return;
    }
    if (isinf(value)) {
        put_text(sink, value < 0 ? "-inf" : "inf");
        return;
    }
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    bool is_integer = true;
    for (const char *c = text; *c != '\0'; c++) {
        if (strchr("0123456789+-e", *c) != NULL) {
            is_integer = is_integer && *c != 'e';
            put(sink, *c);
        } else if (is_integer) {
            is_integer = false;
            put(sink, '.');
        }
    }
    if (is_integer)
        put_text(sink, ".0");
}

/* Bytes above 127 of a string are its text. */
static void put_quoted(struct sink *sink, const ipc_any *any)
{
    static const char digits[] = "0123456789abcdef";
    static const char named[] = "\nn\rr\tt\"\"\\\\"; /* what, and its letter */
    const unsigned char *bytes = any->bytes;
    put(sink, '"');
    for (uint32_t i = 0; i < any->size; i++) {
        const unsigned char c = bytes[i];
        const char *name = NULL;
        for (size_t n = 0; n < sizeof named - 1; n += 2)
            if ((unsigned char)named[n] == c)
                name = &named[n + 1];
        if (name != NULL) {
            put(sink, '\\');
            put(sink, *name);
        } else if (c < ' ' || c == 127 ||
                   (c > 127 && any->type == IPC_TYPE_BYTES)) {
            put_text(sink, "\\x");
            put(sink, digits[c >> 4]);
            put(sink, digits[c & 15]);
        } else {
            put(sink, (char)c);
        }
    }
    put(sink, '"');
}

static void put_any(struct sink *sink, const ipc_any *any)
{
    char number[24];
    switch (any->type) {
    case IPC_TYPE_NIL:
        put_text(sink, "nil");
        break;
    case IPC_TYPE_BOOL:
        put_text(sink, any->boolean ? "true" : "false");
        break;
    case IPC_TYPE_I64:
        snprintf(number, sizeof number, "%" PRId64, any->i64);
        put_text(sink, number);
        break;
    case IPC_TYPE_U64:
        snprintf(number, sizeof number, "%" PRIu64, any->u64);
        put_text(sink, number);
        break;
    case IPC_TYPE_F64:
        put_double(sink, any->f64);
        break;
    case IPC_TYPE_BYTES:
        put(sink, 'b');
        put_quoted(sink, any);
        break;
    case IPC_TYPE_STR:
        put_quoted(sink, any);
        break;
    default:
        put(sink, '<');
        put_text(sink, ipc_type_name(any->type));
        put(sink, '>');
        break;
    }
}

int ipc_any_format(const ipc_any *any, char *out, size_t size)
{
    struct sink sink = {out, size > 0 ? size - 1 : 0, 0};
    put_any(&sink, any);
    if (size > 0)
        out[sink.length < sink.room ? sink.length : sink.room] = '\0';
    if (sink.length > INT_MAX)
        return ipc__fail(-EOVERFLOW, "a text of %" PRIu64 " bytes",
                         sink.length);
    return (int)sink.length;
}
