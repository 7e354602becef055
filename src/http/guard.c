/* SPDX-License-Identifier: MIT
 *
 * Host and Origin. Pure; any thread.
 */
#include "http/guard.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

struct authority {
    struct cx_str name; /* without brackets and trailing dot */
    unsigned port;      /* 0 = not said */
    bool literal;
    bool loopback;
};

static bool parse_authority(struct cx_str text, struct authority *out);
static bool parse_port(struct cx_str text, unsigned *port);
static void classify(struct authority *a, bool bracketed);
static bool name_is(const struct authority *a, const char *name);

bool guard__host_allowed(struct cx_str host, const char *const *names)
{
    struct authority a;
    if (!parse_authority(host, &a)) {
        return false;
    }
    if (a.literal || name_is(&a, "localhost")) {
        return true;
    }
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        if (strcmp(names[i], "*") == 0 || name_is(&a, names[i])) {
            return true;
        }
    }
    return false;
}

bool guard__origin_allowed(struct cx_str origin, struct cx_str host, const char *const *allowed)
{
    for (size_t i = 0; allowed != NULL && allowed[i] != NULL; i++) {
        struct cx_str known = cx_str_of(allowed[i]);
        if (known.len > 1 && known.p[known.len - 1] == '/') {
            known.len--;
        }
        if (cx_str_eq(known, CX_STR("*")) || cx_str_eq_nocase(known, origin)) {
            return true;
        }
    }
    const bool http = origin.len > 7 && strncasecmp(origin.p, "http://", 7) == 0;
    const bool https = origin.len > 8 && strncasecmp(origin.p, "https://", 8) == 0;
    if (!http && !https) {
        return false; /* "null", extensions */
    }
    const size_t skip = http ? 7 : 8;
    struct authority page;
    if (!parse_authority((struct cx_str){ origin.p + skip, origin.len - skip }, &page)) {
        return false;
    }
    if (page.loopback || name_is(&page, "localhost")) {
        return true;
    }
    struct authority own;
    if (!parse_authority(host, &own)) {
        return false;
    }
    const unsigned usual = http ? 80 : 443;
    return cx_str_eq_nocase(page.name, own.name) &&
           (page.port != 0 ? page.port : usual) == (own.port != 0 ? own.port : usual);
}

static bool parse_authority(struct cx_str text, struct authority *out)
{
    *out = (struct authority){ .port = 0 };
    bool bracketed = false;
    struct cx_str port = { NULL, 0 };
    if (text.len > 0 && text.p[0] == '[') {
        const char *close = memchr(text.p, ']', text.len);
        if (close == NULL) {
            return false;
        }
        bracketed = true;
        out->name = (struct cx_str){ text.p + 1, (size_t)(close - text.p) - 1 };
        const size_t used = out->name.len + 2;
        if (used < text.len) {
            if (text.p[used] != ':') {
                return false;
            }
            port = (struct cx_str){ text.p + used + 1, text.len - used - 1 };
        }
    } else {
        const char *colon = text.len > 0 ? memchr(text.p, ':', text.len) : NULL;
        const size_t len = colon != NULL ? (size_t)(colon - text.p) : text.len;
        out->name = (struct cx_str){ text.p, len };
        if (colon != NULL) {
            port = (struct cx_str){ colon + 1, text.len - len - 1 };
        }
        if (len > 1 && text.p[len - 1] == '.') {
            out->name.len--;
        }
    }
    if (out->name.len == 0 || (port.p != NULL && !parse_port(port, &out->port))) {
        return false;
    }
    classify(out, bracketed);
    return !bracketed || out->literal;
}

static bool parse_port(struct cx_str text, unsigned *port)
{
    uint64_t value = 0;
    if (!cx_parse_u64(text, &value) || value == 0 || value > 65535) {
        return false;
    }
    *port = (unsigned)value;
    return true;
}

static void classify(struct authority *a, bool bracketed)
{
    char text[INET6_ADDRSTRLEN + 1];
    if (a->name.len >= sizeof text) {
        return;
    }
    memcpy(text, a->name.p, a->name.len);
    text[a->name.len] = '\0';
    struct in_addr v4;
    struct in6_addr v6;
    if (!bracketed && inet_pton(AF_INET, text, &v4) == 1) {
        a->literal = true;
        a->loopback = (ntohl(v4.s_addr) >> 24) == 127;
    } else if (bracketed && inet_pton(AF_INET6, text, &v6) == 1) {
        a->literal = true;
        a->loopback = IN6_IS_ADDR_LOOPBACK(&v6);
    }
}

static bool name_is(const struct authority *a, const char *name)
{
    return cx_str_eq_nocase(a->name, cx_str_of(name));
}
