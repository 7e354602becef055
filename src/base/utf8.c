/* SPDX-License-Identifier: MIT
 *
 * UTF-8 as RFC 3629 section 4 has it. Text is mostly ASCII, so words of eight bytes are looked at
 * first.
 */
#include "cortex/base.h"
#include "utf8.h"

#include <string.h>

static size_t ascii_prefix(const unsigned char *p, size_t len);

bool cx_utf8_valid(struct cx_str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t at = 0;
    while (at < s.len) {
        if (p[at] < 0x80) {
            at += ascii_prefix(p + at, s.len - at);
            continue;
        }
        uint32_t code = 0;
        const size_t unit = base__utf8_decode(p + at, s.len - at, &code);
        if (unit == 0) {
            return false;
        }
        at += unit;
    }
    return true;
}

size_t cx_utf8_length(struct cx_str s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.len; i++) {
        count += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    }
    return count;
}

size_t cx_utf8_cut(struct cx_str s, size_t max_bytes)
{
    if (s.len <= max_bytes) {
        return s.len;
    }
    size_t cut = max_bytes;
    /* A sequence has at most three continuation bytes; more of them is no UTF-8, and is cut
     * anywhere. */
    for (int back = 0; back < 3 && cut > 0 && ((unsigned char)s.p[cut] & 0xC0) == 0x80; back++) {
        cut--;
    }
    return ((unsigned char)s.p[cut] & 0xC0) == 0x80 ? max_bytes : cut;
}

size_t base__utf8_decode(const unsigned char *p, size_t len, uint32_t *code)
{
    const unsigned lead = p[0];
    if (lead < 0x80) {
        *code = lead;
        return 1;
    }
    size_t unit = 0;
    /* The second byte's range carries all of the exceptions: overlong forms, surrogates, >
     * U+10FFFF. */
    unsigned low = 0x80;
    unsigned high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) {
        unit = 2;
    } else if ((lead & 0xF0) == 0xE0) {
        unit = 3;
        low = lead == 0xE0 ? 0xA0 : 0x80;
        high = lead == 0xED ? 0x9F : 0xBF;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        unit = 4;
        low = lead == 0xF0 ? 0x90 : 0x80;
        high = lead == 0xF4 ? 0x8F : 0xBF;
    } else {
        return 0;
    }
    if (unit > len || p[1] < low || p[1] > high) {
        return 0;
    }
    uint32_t value = lead & (0xFFu >> (unit + 1));
    value = value << 6 | (p[1] & 0x3Fu);
    for (size_t i = 2; i < unit; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
        value = value << 6 | (p[i] & 0x3Fu);
    }
    *code = value;
    return unit;
}

size_t cx_utf8_decode(struct cx_str s, uint32_t *code)
{
    return s.len > 0 ? base__utf8_decode((const unsigned char *)s.p, s.len, code) : 0;
}

size_t cx_utf8_encode(uint32_t code, char out[CX_UTF8_BYTES_MAX])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    const size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len; i-- > 1;) {
        out[i] = (char)(0x80 | (code & 0x3F));
        code >>= 6;
    }
    out[0] = (char)(0xF00 >> len | code);
    return len;
}

static size_t ascii_prefix(const unsigned char *p, size_t len)
{
    size_t at = 0;
    while (len - at >= 8) {
        uint64_t word;
        memcpy(&word, p + at, sizeof word);
        if ((word & UINT64_C(0x8080808080808080)) != 0) {
            break;
        }
        at += 8;
    }
    while (at < len && p[at] < 0x80) {
        at++;
    }
    return at;
}
