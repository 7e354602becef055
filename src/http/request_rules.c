/* SPDX-License-Identifier: MIT
 *
 * What a head that is well formed may say: its target, its host, and how long its body is. Pure; any
 * thread.
 */
#include <string.h>
#include <strings.h>

#include "http/request_internal.h"
#include "http/text.h"

bool request__refuse(struct http_request *r, enum cx_status status, const char *text)
{
    if (r->fault == CX_OK) {
        r->fault = status;
        r->fault_text = text;
    }
    return false;
}

bool request__read_target(struct http_request *r, struct cx_str target)
{
    for (size_t i = 0; i < target.len; i++) {
        if (target.p[i] < 0x21 || target.p[i] > 0x7e || target.p[i] == '#') {
            return request__refuse(r, CX_BAD_REQUEST,
                                   "The request target contains a byte that must be escaped");
        }
    }
    const bool connect = cx_str_eq(r->method, CX_STR("CONNECT"));
    if (connect || cx_str_eq(r->method, CX_STR("PRI"))) {
        return request__refuse(r, CX_BAD_REQUEST, "This is not a proxy, and speaks HTTP/1.1 only");
    }
    if (target.len == 1 && target.p[0] == '*') {
        if (!cx_str_eq(r->method, CX_STR("OPTIONS"))) {
            return request__refuse(r, CX_BAD_REQUEST, "The target * belongs to OPTIONS");
        }
        r->path = target;
        return true;
    }
    if (target.p[0] != '/') {
        const size_t scheme_len = target.len > 7 && strncasecmp(target.p, "http://", 7) == 0    ? 7
                                  : target.len > 8 && strncasecmp(target.p, "https://", 8) == 0 ? 8
                                                                                                : 0;
        if (scheme_len == 0) {
            return request__refuse(r, CX_BAD_REQUEST,
                                   "The request target is neither a path nor an http URL");
        }
        const char *authority = target.p + scheme_len;
        size_t len = 0;
        while (scheme_len + len < target.len && authority[len] != '/' && authority[len] != '?') {
            len++;
        }
        r->host = (struct cx_str){ authority, len };
        target = (struct cx_str){ authority + len, target.len - scheme_len - len };
    }
    const char *question = target.len > 0 ? memchr(target.p, '?', target.len) : NULL;
    const size_t path_len = question != NULL ? (size_t)(question - target.p) : target.len;
    r->path = path_len > 0 ? (struct cx_str){ target.p, path_len } : CX_STR("/");
    if (question != NULL) {
        r->query = (struct cx_str){ question + 1, target.len - path_len - 1 };
    }
    return true;
}

bool request__read_host(struct http_request *r)
{
    const struct http_field *field = r->known[KNOWN_HOST];
    if (field == NULL) {
        return r->http_1_0 || request__refuse(r, CX_BAD_REQUEST, "A Host header field is required");
    }
    const struct cx_str host = { field->value, field->value_len };
    if (host.len == 0) {
        return request__refuse(r, CX_BAD_REQUEST, "The Host header field is empty");
    }
    if (!text__is_host(host)) {
        return request__refuse(r, CX_BAD_REQUEST, "The Host header field is not a host");
    }
    if (r->host.p == NULL) {
        r->host = host;
        return true;
    }
    return cx_str_eq_nocase(r->host, host) ||
           request__refuse(r, CX_BAD_REQUEST,
                           "The Host header field contradicts the request target");
}

/* RFC 9112 6: one length, said once, in one way. */
bool request__read_framing(struct http_request *r)
{
    const struct http_field *length = r->known[KNOWN_CONTENT_LENGTH];
    const struct http_field *coding = r->known[KNOWN_TRANSFER_ENCODING];
    if (length != NULL && coding != NULL) {
        return request__refuse(r, CX_BAD_REQUEST,
                               "Content-Length and Transfer-Encoding contradict each other");
    }
    if (coding != NULL) {
        if (r->http_1_0 || strcasecmp(coding->value, "chunked") != 0) {
            return request__refuse(r, CX_BAD_REQUEST,
                                   "Only the transfer coding 'chunked' is understood");
        }
        r->body_kind = BODY_CHUNKED;
    } else if (length != NULL) {
        const struct cx_str text = { length->value, length->value_len };
        if (!cx_parse_u64(text, &r->content_length) || r->content_length > INT64_MAX ||
            (text.len > 1 && text.p[0] == '0')) {
            return request__refuse(r, CX_BAD_REQUEST, "Content-Length is not a number");
        }
        r->body_kind = r->content_length > 0 ? BODY_LENGTH : BODY_NONE;
    }
    r->body_complete = r->body_kind == BODY_NONE;
    const struct http_field *expect = r->known[KNOWN_EXPECT];
    r->expects_continue = expect != NULL && !r->http_1_0 && !r->body_complete &&
                          strcasecmp(expect->value, "100-continue") == 0;
    return true;
}
