/* SPDX-License-Identifier: MIT
 *
 * Slices of bytes.
 */
#include "cortex/base.h"

#include <string.h>

static char lower_of(char c);
static bool is_blank(char c);

struct cx_str cx_str_of(const char *text)
{
    return (struct cx_str){ text, text != NULL ? strlen(text) : 0 };
}

bool cx_str_eq_nocase(struct cx_str a, struct cx_str b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (lower_of(a.p[i]) != lower_of(b.p[i])) {
            return false;
        }
    }
    return true;
}

struct cx_str cx_str_trim(struct cx_str s)
{
    while (s.len > 0 && is_blank(s.p[0])) {
        s.p++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.p[s.len - 1])) {
        s.len--;
    }
    return s;
}

bool cx_parse_u64(struct cx_str s, uint64_t *out)
{
    if (s.len == 0) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        const unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value)) {
            return false;
        }
    }
    *out = value;
    return true;
}

/* Not tolower(), which asks the locale. */
static char lower_of(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}
