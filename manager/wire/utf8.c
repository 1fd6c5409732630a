/* UTF-8. */
#include "wire/wire.h"

#include <string.h>

/* Bytes of ASCII at the beginning, eight at a time. */
static size_t ascii(const uint8_t *at, size_t bytes)
{
    size_t n = 0;
    uint64_t word;
    while (bytes - n >= sizeof word) {
        memcpy(&word, at + n, sizeof word);
        if ((word & UINT64_C(0x8080808080808080)) != 0)
            break;
        n += sizeof word;
    }
    while (n < bytes && at[n] < 0x80)
        n++;
    return n;
}

/* How many bytes the character takes that begins here with 0x80 or more; 0: it
 * is none.  What its second byte may be keeps out what is longer than it need
 * be (e0, f0), surrogates (ed) and what is above U+10FFFF (f4). */
static size_t character(const uint8_t *at, size_t bytes)
{
    size_t length;
    uint8_t low = 0x80;
    uint8_t high = 0xbf;

    if (at[0] >= 0xc2 && at[0] <= 0xdf)
        length = 2;
    else if (at[0] >= 0xe0 && at[0] <= 0xef)
        length = 3;
    else if (at[0] >= 0xf0 && at[0] <= 0xf4)
        length = 4;
    else
        return 0;
    if (at[0] == 0xe0)
        low = 0xa0;
    else if (at[0] == 0xed)
        high = 0x9f;
    else if (at[0] == 0xf0)
        low = 0x90;
    else if (at[0] == 0xf4)
        high = 0x8f;

    if (bytes < length || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

bool ipcm__utf8(const void *data, size_t bytes)
{
    const uint8_t *at = data;
    size_t done = 0;
    while (done < bytes) {
        done += ascii(at + done, bytes - done);
        if (done == bytes)
            break;
        const size_t length = character(at + done, bytes - done);
        if (length == 0)
            return false;
        done += length;
    }
    return true;
}
