/* SPDX-License-Identifier: MIT
 *
 * What header values ask for. Pure; any thread.
 */
#include "http/negotiate.h"

#include <string.h>
#include <strings.h>

static bool next_item(struct cx_str *rest, char separator, struct cx_str *item);
static int quality_of(struct cx_str item, struct cx_str *coding);
static int parse_quality(struct cx_str text);
static struct cx_str media_type(struct cx_str content_type);
static bool has_suffix(struct cx_str text, struct cx_str suffix);
static struct cx_str opaque_tag(struct cx_str tag);

bool negotiate__gzip(struct cx_str accept_encoding)
{
    int gzip = -1;
    int any = -1;
    int identity = -1;
    struct cx_str item = { NULL, 0 };
    while (next_item(&accept_encoding, ',', &item)) {
        struct cx_str coding = { NULL, 0 };
        const int quality = quality_of(item, &coding);
        if (cx_str_eq_nocase(coding, CX_STR("gzip")) ||
            cx_str_eq_nocase(coding, CX_STR("x-gzip"))) {
            gzip = quality;
        } else if (cx_str_eq_nocase(coding, CX_STR("identity"))) {
            identity = quality;
        } else if (cx_str_eq(coding, CX_STR("*"))) {
            any = quality;
        }
    }
    const int wanted = gzip >= 0 ? gzip : any;
    return wanted > 0 && wanted >= identity;
}

static bool next_item(struct cx_str *rest, char separator, struct cx_str *item)
{
    if (rest->len == 0) {
        return false;
    }
    const char *end = memchr(rest->p, separator, rest->len);
    const size_t len = end != NULL ? (size_t)(end - rest->p) : rest->len;
    const size_t used = end != NULL ? len + 1 : len;
    *item = cx_str_trim((struct cx_str){ rest->p, len });
    rest->p += used;
    rest->len -= used;
    return true;
}

/* "gzip;q=0.5" → 500; a malformed quality counts as 0. */
static int quality_of(struct cx_str item, struct cx_str *coding)
{
    struct cx_str part = { NULL, 0 };
    *coding = (struct cx_str){ NULL, 0 };
    (void)next_item(&item, ';', coding);
    int quality = 1000;
    while (next_item(&item, ';', &part)) {
        if (part.len >= 2 && (part.p[0] | 0x20) == 'q' && part.p[1] == '=') {
            quality = parse_quality((struct cx_str){ part.p + 2, part.len - 2 });
        }
    }
    return quality;
}

static int parse_quality(struct cx_str text)
{
    if (text.len == 0 || text.len > 5 || (text.p[0] != '0' && text.p[0] != '1') ||
        (text.len > 1 && text.p[1] != '.')) {
        return 0;
    }
    int value = (text.p[0] - '0') * 1000;
    int weight = 100;
    for (size_t i = 2; i < text.len; i++, weight /= 10) {
        if (text.p[i] < '0' || text.p[i] > '9') {
            return 0;
        }
        value += (text.p[i] - '0') * weight;
    }
    return value > 1000 ? 0 : value;
}

bool negotiate__etag_matches(struct cx_str if_none_match, struct cx_str etag)
{
    if (cx_str_eq(cx_str_trim(if_none_match), CX_STR("*"))) {
        return true;
    }
    /* A tag may hold a comma, so quotes are followed instead of splitting at commas. */
    const struct cx_str wanted = opaque_tag(etag);
    struct cx_str rest = if_none_match;
    while (rest.len > 0) {
        const char *open = memchr(rest.p, '"', rest.len);
        if (open == NULL) {
            return false;
        }
        const size_t left = rest.len - (size_t)(open + 1 - rest.p);
        const char *close = memchr(open + 1, '"', left);
        if (close == NULL) {
            return false;
        }
        const struct cx_str tag = { open + 1, (size_t)(close - open) - 1 };
        if (cx_str_eq(tag, wanted)) {
            return true;
        }
        rest = (struct cx_str){ close + 1, left - tag.len - 1 };
    }
    return false;
}

static struct cx_str opaque_tag(struct cx_str tag)
{
    if (tag.len >= 2 && tag.p[0] == 'W' && tag.p[1] == '/') {
        tag = (struct cx_str){ tag.p + 2, tag.len - 2 };
    }
    if (tag.len >= 2 && tag.p[0] == '"' && tag.p[tag.len - 1] == '"') {
        tag = (struct cx_str){ tag.p + 1, tag.len - 2 };
    }
    return tag;
}

static struct cx_str media_type(struct cx_str content_type)
{
    struct cx_str type = { NULL, 0 };
    (void)next_item(&content_type, ';', &type);
    return type;
}

static bool has_suffix(struct cx_str text, struct cx_str suffix)
{
    return text.len > suffix.len &&
           strncasecmp(text.p + text.len - suffix.len, suffix.p, suffix.len) == 0;
}

bool negotiate__is_json(struct cx_str content_type)
{
    const struct cx_str type = media_type(content_type);
    return cx_str_eq_nocase(type, CX_STR("application/json")) ||
           (type.len > 12 && strncasecmp(type.p, "application/", 12) == 0 &&
            has_suffix(type, CX_STR("+json")));
}

bool negotiate__is_ndjson(struct cx_str content_type)
{
    return cx_str_eq_nocase(media_type(content_type), CX_STR("application/x-ndjson"));
}

bool negotiate__compressible(struct cx_str content_type)
{
    const struct cx_str type = media_type(content_type);
    if (cx_str_eq_nocase(type, CX_STR("text/event-stream"))) {
        return false;
    }
    return negotiate__is_json(content_type) || negotiate__is_ndjson(content_type) ||
           (type.len > 5 && strncasecmp(type.p, "text/", 5) == 0) ||
           cx_str_eq_nocase(type, CX_STR("application/javascript")) ||
           cx_str_eq_nocase(type, CX_STR("application/yaml")) ||
           cx_str_eq_nocase(type, CX_STR("image/svg+xml"));
}

bool negotiate__correlation_id_valid(struct cx_str text)
{
    if (text.len == 0 || text.len > 128) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < 0x20 || text.p[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

bool negotiate__traceparent_valid(struct cx_str text)
{
    static const char shape[] = "00-00000000000000000000000000000000-0000000000000000-00";
    if (text.len < sizeof shape - 1 || memcmp(text.p, "ff", 2) == 0) {
        return false;
    }
    unsigned trace = 0;
    unsigned parent = 0;
    for (size_t i = 0; i < sizeof shape - 1; i++) {
        const char c = text.p[i];
        if (shape[i] == '-') {
            if (c != '-') {
                return false;
            }
            continue;
        }
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
        trace += i >= 3 && i < 35 && c != '0' ? 1 : 0;
        parent += i >= 36 && i < 52 && c != '0' ? 1 : 0;
    }
    /* Version 00 is exactly this long; a later one may go on after a dash. */
    const bool whole = text.len == sizeof shape - 1 ||
                       (memcmp(text.p, "00", 2) != 0 && text.p[sizeof shape - 1] == '-');
    return trace > 0 && parent > 0 && whole;
}
