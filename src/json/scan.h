/* SPDX-License-Identifier: MIT
 *
 * json: skipping over the bytes of a string that need no care, eight at a time; shared by the
 * parser and the writer. (S. E. Anderson, "Bit Twiddling Hacks": a byte below n, a byte equal to n.
 * The test of a word may see one that is not there, never miss one; the bytes are then looked at
 * singly.)
 */
#ifndef CORTEX_JSON_SCAN_H
#define CORTEX_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define JSON__EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Must be escaped: control characters, the quote, the backslash. */
static inline bool json__is_special(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

/* The bytes from p, len at most, before the first special one; with ascii_only also before the
 * first of a character beyond ASCII. */
static inline size_t json__plain_run(const char *p, size_t len, bool ascii_only)
{
    size_t n = 0;
    while (len - n >= 8) {
        uint64_t word;
        memcpy(&word, p + n, 8);
        const uint64_t quote = word ^ JSON__EACH('"');
        const uint64_t backslash = word ^ JSON__EACH('\\');
        uint64_t found = ((word - JSON__EACH(0x20)) & ~word) | ((quote - JSON__EACH(1)) & ~quote) |
                         ((backslash - JSON__EACH(1)) & ~backslash);
        if (ascii_only) {
            found |= word;
        }
        if ((found & JSON__EACH(0x80)) != 0) {
            break;
        }
        n += 8;
    }
    while (n < len) {
        const unsigned char c = (unsigned char)p[n];
        if (json__is_special(c) || (ascii_only && c >= 0x80)) {
            break;
        }
        n++;
    }
    return n;
}

#endif
