/* SPDX-License-Identifier: MIT
 *
 * The head of an answer: written in one pass into memory that was reserved for it, because every
 * request pays for it.
 */
#include <string.h>
#include <strings.h>

#include "http/http_internal.h"

static size_t head_bound(const struct cx_exchange *x);

static char *put(char *p, const char *text, size_t len)
{
    memcpy(p, text, len);
    return p + len;
}

static char *put_text(char *p, const char *text)
{
    return put(p, text, strlen(text));
}

static char *put_line(char *p, const char *name, const char *value)
{
    p = put_text(p, name);
    p = put(p, ": ", 2);
    p = put_text(p, value);
    return put(p, "\r\n", 2);
}

static char *put_number(char *p, uint64_t value)
{
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (count > 0) {
        *p++ = digits[--count];
    }
    return p;
}

static char *put_number_line(char *p, const char *name_and_colon, uint64_t value)
{
    p = put_text(p, name_and_colon);
    p = put_number(p, value);
    return put(p, "\r\n", 2);
}

#define PUT(p, literal) put((p), (literal), sizeof(literal) - 1)

void reply__write_head(struct cx_exchange *x, size_t body_bytes, bool gzipped, bool keep_alive)
{
    struct cx_buf *out = &x->http->out;
    const struct http_reply *r = &x->reply;
    char *begin = cx_buf_reserve(out, head_bound(x));
    if (begin == NULL) {
        return;
    }
    char *p = PUT(begin, "HTTP/1.1 ");
    p = put_number(p, (uint64_t)r->status);
    *p++ = ' ';
    p = put_text(p, reply__phrase(r->status));
    p = PUT(p, "\r\nDate: ");
    p = put_text(p, server__date(x->http));
    p = PUT(p, "\r\n");
    if (r->status != 304 && r->status != 204) {
        if (r->content_type != NULL) {
            p = put_line(p, "Content-Type", r->content_type);
        }
        if (x->stream.state == STREAM_NONE) {
            p = put_number_line(p, "Content-Length: ", body_bytes);
        } else if (x->stream.chunked) {
            p = PUT(p, "Transfer-Encoding: chunked\r\n");
        }
    }
    if (gzipped) {
        p = PUT(p, "Content-Encoding: gzip\r\n");
    }
    if (r->varies && !reply__sets_header(x, "Vary", "Accept-Encoding")) {
        p = PUT(p, "Vary: Accept-Encoding\r\n");
    }
    p = put_line(p, "X-Correlation-ID", x->correlation_id);
    p = put_line(p, "X-Request-ID", x->request_id);
    p = PUT(p, "X-Content-Type-Options: nosniff\r\n");
    p = put_line(p, "Cache-Control", r->cache_control != NULL ? r->cache_control : "no-store");
    if (r->etag != NULL) {
        p = put_line(p, "ETag", r->etag);
    }
    if (r->retry_after_s > 0) {
        p = put_number_line(p, "Retry-After: ", r->retry_after_s);
    }
    if (x->limited) {
        const uint64_t now_s = (uint64_t)(server__wall_us(x->http) / 1000000);
        p = put_number_line(p, "X-RateLimit-Limit: ", x->rate.limit);
        p = put_number_line(p, "X-RateLimit-Remaining: ", x->rate.remaining);
        p = put_number_line(p, "X-RateLimit-Reset: ", now_s + x->rate.full_in_s);
    }
    if (x->cors_origin != NULL) {
        p = put_line(p, "Access-Control-Allow-Origin", x->cors_origin);
        p = PUT(p,
                "Access-Control-Expose-Headers: X-Correlation-ID, X-Request-ID, ETag, Retry-After, "
                "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset\r\nVary: Origin\r\n");
    }
    for (const struct http_header_line *line = r->headers; line != NULL; line = line->next) {
        p = put_line(p, line->name, line->value);
    }
    if (!keep_alive) {
        p = PUT(p, "Connection: close\r\n");
    } else if (x->request.http_1_0) {
        p = PUT(p, "Connection: keep-alive\r\n");
    }
    p = PUT(p, "\r\n");
    out->len += (size_t)(p - begin);
    out->data[out->len] = '\0';
}

static size_t head_bound(const struct cx_exchange *x)
{
    const struct http_reply *r = &x->reply;
    size_t bound = 1024; /* all that is fixed or a number */
    bound += strlen(x->correlation_id);
    bound += r->content_type != NULL ? strlen(r->content_type) : 0;
    bound += r->cache_control != NULL ? strlen(r->cache_control) : 0;
    bound += r->etag != NULL ? strlen(r->etag) : 0;
    bound += x->cors_origin != NULL ? strlen(x->cors_origin) : 0;
    for (const struct http_header_line *line = r->headers; line != NULL; line = line->next) {
        bound += strlen(line->name) + strlen(line->value) + 4;
    }
    return bound;
}

bool reply__sets_header(const struct cx_exchange *x, const char *name, const char *word)
{
    for (const struct http_header_line *line = x->reply.headers; line != NULL; line = line->next) {
        if (strcasecmp(line->name, name) == 0 &&
            (word == NULL || strcasestr(line->value, word) != NULL)) {
            return true;
        }
    }
    return false;
}

const char *reply__phrase(int http_status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 206, "Partial Content" },
        { 301, "Moved Permanently" },
        { 302, "Found" },
        { 304, "Not Modified" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 406, "Not Acceptable" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 410, "Gone" },
        { 411, "Length Required" },
        { 412, "Precondition Failed" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 421, "Misdirected Request" },
        { 422, "Unprocessable Content" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 499, "Client Closed Request" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 507, "Insufficient Storage" },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(phrases); i++) {
        if (phrases[i].status == http_status) {
            return phrases[i].phrase;
        }
    }
    return "Unknown";
}
