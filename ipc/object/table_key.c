/* Keys: which values may be keys, how they are stored, and their hashes.
 *
 * Equal keys are stored alike: an unsigned integer that fits is a signed one,
 * -0.0 is +0.0, and what a short string does not fill is zero.  So keys that fit
 * into an item are equal if its words are.
 *
 * Hashes are keyed with random numbers of the arena, for keys may come from
 * strangers: strings by SipHash-1-3 (the length is in the first word, so there
 * is none at the end), numbers by one long multiplication. */
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "object/table.h"

/* ---- hashes ---- */

struct sip {
    uint64_t a, b, c, d;
};

static inline uint64_t turned(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

static inline void sip_round(struct sip *s)
{
    s->a += s->b;
    s->c += s->d;
    s->b = turned(s->b, 13) ^ s->a;
    s->d = turned(s->d, 16) ^ s->c;
    s->a = turned(s->a, 32) + s->d;
    s->c += s->b;
    s->d = turned(s->d, 21) ^ s->a;
    s->b = turned(s->b, 17) ^ s->c;
    s->c = turned(s->c, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->d ^= word;
    sip_round(s);
    s->a ^= word;
}

static inline struct sip sip_begin(const uint64_t key[2], uint64_t word)
{
    struct sip s = {
        .a = key[0] ^ UINT64_C(0x736f6d6570736575),
        .b = key[1] ^ UINT64_C(0x646f72616e646f6d),
        .c = key[0] ^ UINT64_C(0x6c7967656e657261),
        .d = key[1] ^ UINT64_C(0x7465646279746573),
    };
    sip_word(&s, word);
    return s;
}

static inline uint32_t folded(uint64_t hash)
{
    return (uint32_t)(hash ^ hash >> 32);
}

static inline uint32_t sip_end(struct sip *s)
{
    s->c ^= 0xff;
    sip_round(s);
    sip_round(s);
    sip_round(s);
    return folded(s->a ^ s->b ^ s->c ^ s->d);
}

static uint32_t hash_of_long(const uint64_t key[2], uint64_t first,
                             const char *text, uint32_t size)
{
    struct sip s = sip_begin(key, first);
    uint64_t word;
    for (; size >= sizeof word; size -= (uint32_t)sizeof word) {
        memcpy(&word, text, sizeof word);
        sip_word(&s, word);
        text += sizeof word;
    }
    word = 0;
    memcpy(&word, text, size);
    sip_word(&s, word);
    return sip_end(&s);
}

static inline uint32_t hash_of_short(const uint64_t key[2],
                                     const struct ipc__item *item)
{
    struct sip s = sip_begin(key, item->words[0]);
    sip_word(&s, item->words[1]);
    return sip_end(&s);
}

static inline uint32_t hash_of_number(const uint64_t key[2],
                                      const struct ipc__item *item)
{
    __extension__ typedef unsigned __int128 wide;
    const wide product =
        (wide)(item->words[1] ^ key[0]) * (key[1] | 1) + item->words[0];
    const uint64_t sum = (uint64_t)product ^ (uint64_t)(product >> 64);
    return folded(sum * UINT64_C(0x9e3779b97f4a7c15));
}

/* ---- how they are stored ---- */

static inline uint64_t load64(const char *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof word);
    return word;
}

static inline uint64_t load32(const char *text)
{
    uint32_t word;
    memcpy(&word, text, sizeof word);
    return word;
}

/* Up to 7 bytes. */
static inline uint64_t load_few(const char *text, uint32_t size)
{
    if (size >= 4)
        return load32(text) | load32(text + size - 4) << 8 * (size - 4);
    if (size == 0)
        return 0;
    const uint64_t middle = (unsigned char)text[size / 2];
    const uint64_t end = (unsigned char)text[size - 1];
    return (unsigned char)text[0] | middle << 8 * (size / 2) |
           end << 8 * (size - 1);
}

_Static_assert(IPC__ITEM_SHORT == 14, "two bytes before the text");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the tag comes first");

static inline void store_short(const ipc_any *any, struct ipc__item *out)
{
    const char *text = any->str;
    const uint32_t size = any->size;
    const uint64_t head = any->type | (uint64_t)size << 8;
    if (size >= 8) {
        out->words[0] = head | load64(text) << 16;
        out->words[1] = load64(text + size - 8) >> 8 * (14 - size);
        return;
    }
    const uint64_t all = load_few(text, size);
    out->words[0] = head | all << 16;
    out->words[1] = all >> 48;
}

static int store_f64(const ipc_any *any, struct ipc__item *out)
{
    const double value = any->f64 == 0 ? 0 : any->f64;
    if (isnan(value))
        return ipc__fail(-EINVAL, "NaN is no key: it equals nothing");
    out->words[0] = IPC_TYPE_F64;
    memcpy(&out->words[1], &value, sizeof value);
    return 0;
}

static int store_number(const ipc_any *any, struct ipc__item *out)
{
    switch (any->type) {
    case IPC_TYPE_NIL:
        out->words[0] = out->words[1] = 0;
        return 0;
    case IPC_TYPE_BOOL:
        out->words[0] = IPC_TYPE_BOOL;
        out->words[1] = any->boolean;
        return 0;
    case IPC_TYPE_I64:
    case IPC_TYPE_U64:
        out->words[0] = any->type == IPC_TYPE_U64 && any->u64 > INT64_MAX
                            ? IPC_TYPE_U64
                            : IPC_TYPE_I64;
        out->words[1] = any->u64;
        return 0;
    case IPC_TYPE_F64:
        return store_f64(any, out);
    default:
        return ipc__fail(-EINVAL, "a %s is no key", ipc_type_name(any->type));
    }
}

static int make_long(const uint64_t key[2], const ipc_any *any,
                     struct ipc__key *out)
{
    if (any->bytes == NULL)
        return ipc__fail(-EINVAL, "a key at NULL");
    if (any->size > IPC_ANY_BYTES_MAX)
        return ipc__fail(-EINVAL, "a key of more than %u bytes",
                         IPC_ANY_BYTES_MAX);
    out->item.words[0] = any->type | IPC__ITEM_LONG | (uint64_t)any->size << 32;
    out->item.words[1] = 0;
    out->hash = hash_of_long(key, out->item.words[0], any->str, any->size);
    return 0;
}

int ipc__key_make(const ipc_arena *arena, const ipc_any *any,
                  struct ipc__key *out)
{
    const uint64_t *key = arena->hash_key;
    out->any = any;
    if (any->type == IPC_TYPE_STR || any->type == IPC_TYPE_BYTES) {
        if (unlikely(any->size > IPC__ITEM_SHORT ||
                     (any->bytes == NULL && any->size != 0)))
            return make_long(key, any, out);
        store_short(any, &out->item);
        out->hash = hash_of_short(key, &out->item);
        return 0;
    }
    const int rc = store_number(any, &out->item);
    if (likely(rc == 0))
        out->hash = hash_of_number(key, &out->item);
    return rc;
}

int ipc__key_make_in(struct ipc__visit *v, const ipc_any *any,
                     struct ipc__key *out)
{
    if (v->rc >= 0 && ipc__key_make(v->arena, any, out) != 0)
        v->rc = -EINVAL; /* with the detail line of the one that failed */
    return v->rc;
}

int ipc__key_of_row(struct ipc__visit *v, const struct ipc__row *row,
                    struct ipc__key *out)
{
    struct ipc__handle handle;
    out->item = row->key;
    out->hash = (uint32_t)(load_relaxed(&row->mark) >> 32);
    if (ipc__item_is_handle(&out->item))
        return ipc__visit_spoilt(v, "a key that is a handle");
    out->any = &out->own;
    return ipc__item_look(v, &out->item, &handle, &out->own);
}

int ipc__key_missing(const ipc_any *key)
{
    char text[80];
    (void)ipc_any_format(key, text, sizeof text);
    return ipc__fail(-ENOENT, "there is no %s", text);
}
