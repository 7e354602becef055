/* SPDX-License-Identifier: MIT
 *
 * Percent-decoding and query strings. Pure; any thread.
 */
#include "http/url.h"

#include <string.h>

static int hex_value(char c);
static bool decoded_utf8_valid(struct cx_str raw);

bool url__valid(struct cx_str raw)
{
    if (raw.len == 0 || memchr(raw.p, '%', raw.len) == NULL) {
        return true; /* the request line holds only printable ASCII */
    }
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.p[i] != '%') {
            continue;
        }
        if (raw.len - i < 3) {
            return false;
        }
        const int high = hex_value(raw.p[i + 1]);
        const int low = hex_value(raw.p[i + 2]);
        if (high < 0 || low < 0 || high + low == 0) {
            return false;
        }
        i += 2;
    }
    return decoded_utf8_valid(raw);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The text between two ASCII bytes is whole, so it is enough to judge runs of escapes, which are
 * decoded piecewise: no buffer of the client's size is needed. */
static bool decoded_utf8_valid(struct cx_str raw)
{
    char run[256];
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        const bool escape = raw.p[i] == '%';
        const int byte = escape ? hex_value(raw.p[i + 1]) * 16 + hex_value(raw.p[i + 2])
                                : (unsigned char)raw.p[i];
        i += escape ? 2 : 0;
        if (byte < 0x80) {
            if (!cx_utf8_valid((struct cx_str){ run, len })) {
                return false;
            }
            len = 0;
            continue;
        }
        run[len++] = (char)byte;
        if (len == sizeof run) {
            /* Keeps the last sequence, which may be unfinished, for the next round. */
            size_t cut = len;
            while (cut > len - 4 && ((unsigned char)run[cut - 1] & 0xc0U) == 0x80U) {
                cut--;
            }
            if (((unsigned char)run[cut - 1] & 0xc0U) != 0xc0U) {
                return false;
            }
            cut--;
            if (!cx_utf8_valid((struct cx_str){ run, cut })) {
                return false;
            }
            memmove(run, run + cut, len - cut);
            len -= cut;
        }
    }
    return cx_utf8_valid((struct cx_str){ run, len });
}

size_t url__decode(struct cx_str raw, bool plus_is_space, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.p[i];
        if (c == '%' && raw.len - i >= 3) {
            c = (char)(hex_value(raw.p[i + 1]) * 16 + hex_value(raw.p[i + 2]));
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        out[len++] = c;
    }
    out[len] = '\0';
    return len;
}

bool url__next_pair(struct cx_str *rest, struct cx_str *name, struct cx_str *value)
{
    while (rest->len > 0) {
        const char *end = memchr(rest->p, '&', rest->len);
        const size_t len = end != NULL ? (size_t)(end - rest->p) : rest->len;
        const struct cx_str pair = { rest->p, len };
        const size_t used = end != NULL ? len + 1 : len;
        rest->p += used;
        rest->len -= used;
        if (pair.len == 0) {
            continue;
        }
        const char *equals = memchr(pair.p, '=', pair.len);
        const size_t name_len = equals != NULL ? (size_t)(equals - pair.p) : pair.len;
        *name = (struct cx_str){ pair.p, name_len };
        *value = equals != NULL ? (struct cx_str){ equals + 1, pair.len - name_len - 1 }
                                : (struct cx_str){ pair.p + pair.len, 0 };
        return true;
    }
    return false;
}
