/* SPDX-License-Identifier: MIT
 *
 * Which bytes may stand where in a head. Pure; any thread.
 */
#include "http/text.h"

#include <string.h>

static bool eight_may_have_control(const unsigned char *p);
static bool bytes_have_control(const unsigned char *p, size_t len);

/* Eight at a time, because every head and every header value passes through here. */
bool text__has_control(struct cx_str text)
{
    const unsigned char *p = (const unsigned char *)text.p;
    if (text.len < 8) {
        return bytes_have_control(p, text.len);
    }
    const size_t last =
        text.len - 8; /* what is left of eights is looked at with what precedes it */
    for (size_t i = 0; i < last; i += 8) {
        if (eight_may_have_control(p + i) && bytes_have_control(p + i, 8)) {
            return true;
        }
    }
    return eight_may_have_control(p + last) && bytes_have_control(p + last, 8);
}

static bool eight_may_have_control(const unsigned char *p)
{
    const uint64_t ones = UINT64_MAX / 255;
    uint64_t word = 0;
    memcpy(&word, p, sizeof word);
    const uint64_t del = word ^ (ones * 0x7f);
    const uint64_t suspects = ((word - ones * 0x20) & ~word) | ((del - ones) & ~del);
    return (suspects & (ones * 0x80)) != 0;
}

static bool bytes_have_control(const unsigned char *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

bool text__is_host(struct cx_str text)
{
    static const bool allowed[256] = {
        ['-'] = true, ['.'] = true, [':'] = true, ['['] = true, [']'] = true, ['_'] = true,
        ['~'] = true, ['%'] = true, ['!'] = true, ['$'] = true, ['&'] = true, ['('] = true,
        [')'] = true, ['*'] = true, ['+'] = true, [';'] = true, ['='] = true, ['\''] = true,
        ['0'] = true, ['1'] = true, ['2'] = true, ['3'] = true, ['4'] = true, ['5'] = true,
        ['6'] = true, ['7'] = true, ['8'] = true, ['9'] = true,
    };
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.p[i];
        const unsigned char lower = c | 0x20;
        if (!allowed[c] && (lower < 'a' || lower > 'z')) {
            return false;
        }
    }
    return true;
}
