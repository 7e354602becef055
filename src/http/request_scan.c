/* SPDX-License-Identifier: MIT
 *
 * Finds the end of a request's head, and what can be refused before it has come: no request at all,
 * a line that does not end as it must, a head without end.
 */
#include "http/request.h"

#include <string.h>

static bool line_is_request(struct cx_str line);
static enum cx_status too_large(struct cx_str data, const struct cx_http_limits *limits,
                                const char **text);

enum http_scan request__scan(struct cx_str data, const struct cx_http_limits *limits,
                             size_t *scanned, enum cx_status *fault, const char **text)
{
    const size_t visible = data.len < limits->header_bytes ? data.len : limits->header_bytes;
    if (visible > 0 && (data.p[0] < 'A' || data.p[0] > 'Z')) {
        *fault = CX_BAD_REQUEST; /* a TLS hello, say: its sender should not wait for a timeout */
        *text = "This is not an HTTP request";
        return SCAN_FAILED;
    }
    /* *scanned is where a line begins. */
    while (*scanned < visible) {
        const char *line = data.p + *scanned;
        const char *lf = memchr(line, '\n', visible - *scanned);
        if (lf == NULL) {
            break;
        }
        const size_t len = (size_t)(lf - line);
        if (len == 0 || line[len - 1] != '\r') {
            *fault = CX_BAD_REQUEST;
            *text = "A line of the request head does not end with CR LF";
            return SCAN_FAILED;
        }
        if (*scanned == 0 && !line_is_request((struct cx_str){ line, len - 1 })) {
            *fault = CX_BAD_REQUEST;
            *text = "The request line is not that of an HTTP/1.1 or HTTP/1.0 request";
            return SCAN_FAILED;
        }
        *scanned += len + 1;
        if (len == 1) {
            return SCAN_HEAD;
        }
    }
    if (visible == limits->header_bytes) {
        *fault = too_large(data, limits, text);
        return SCAN_FAILED;
    }
    return SCAN_MORE;
}

/* Method SP target SP version, each without spaces of its own. */
static bool line_is_request(struct cx_str line)
{
    if (line.len < sizeof "A / HTTP/1.1" - 1) {
        return false;
    }
    const char *version = line.p + line.len - 8;
    if (memcmp(version, "HTTP/1.", 7) != 0 || (version[7] != '1' && version[7] != '0') ||
        version[-1] != ' ') {
        return false;
    }
    const char *space = memchr(line.p, ' ', line.len);
    const char *target = space + 1;
    return target < version - 1 && memchr(target, ' ', (size_t)(version - 1 - target)) == NULL;
}

static enum cx_status too_large(struct cx_str data, const struct cx_http_limits *limits,
                                const char **text)
{
    const char *space = memchr(data.p, ' ', limits->header_bytes);
    size_t target_len = 0;
    if (space != NULL) {
        const size_t rest = limits->header_bytes - (size_t)(space + 1 - data.p);
        const char *end = memchr(space + 1, ' ', rest);
        target_len = end != NULL ? (size_t)(end - space - 1) : rest;
    }
    if (target_len > limits->uri_bytes) {
        *text = "The request target is too long";
        return CX_URI_TOO_LONG;
    }
    *text = "The header fields are too large";
    return CX_HEADERS_TOO_LARGE;
}
