/* SPDX-License-Identifier: MIT
 *
 * The body of a request: decoded by llhttp, held to its limit, kept or dropped.
 */
#include "http/request_internal.h"

#define EXTENSION_BYTES_MAX 4096 /* chunk extensions and trailers of one body together */
#define RESERVE_STEP ((size_t)256 * 1024)

bool request__expect_body(struct http_request *r, size_t limit)
{
    r->body_limit = limit;
    cx_buf_init(&r->body, limit);
    return r->content_length <= limit;
}

void request__discard_body(struct http_request *r, size_t limit)
{
    r->discard = true;
    r->body_limit = limit;
    cx_buf_free(&r->body);
}

enum http_feed request__feed(struct http_request *r, struct cx_str data, size_t *used)
{
    *used = 0;
    if (r->body_complete) {
        return FEED_COMPLETE;
    }
    if (data.len == 0) {
        return FEED_MORE;
    }
    if (!r->parsing_body) {
        r->parsing_body = true;
        llhttp_resume(&r->parser);
    }
    const llhttp_errno_t error = llhttp_execute(&r->parser, data.p, data.len);
    if (error == HPE_OK) {
        *used = data.len;
        return FEED_MORE;
    }
    if (error == HPE_PAUSED && r->body_complete) {
        *used = (size_t)(llhttp_get_error_pos(&r->parser) - data.p);
        return FEED_COMPLETE;
    }
    (void)request__refuse(r, CX_BAD_REQUEST, "The chunks of the body are not well formed");
    return FEED_FAILED;
}

int request__on_chunk_extension(llhttp_t *parser, const char *at, size_t len)
{
    (void)at;
    struct http_request *r = parser->data;
    r->framing_seen += len;
    if (r->framing_seen > EXTENSION_BYTES_MAX) {
        (void)request__refuse(r, CX_BAD_REQUEST, "The chunk extensions or trailers are too large");
        return HPE_USER;
    }
    return 0;
}

int request__on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct http_request *r = parser->data;
    r->body_seen += len;
    if (r->body_seen > r->body_limit) {
        (void)request__refuse(r, CX_TOO_LARGE, "The body is too large");
        return HPE_USER;
    }
    if (r->discard) {
        return 0;
    }
    if (!r->pieces && r->body.cap - r->body.len <= len && r->content_length > 0) {
        /* Room for what was announced, but never far ahead of what has come. */
        const uint64_t left = r->content_length - (r->body_seen - len);
        const size_t ahead = r->body.len + RESERVE_STEP;
        (void)cx_buf_reserve(&r->body, left < ahead ? (size_t)left : ahead);
    }
    cx_buf_append(&r->body, at, len);
    if (r->body.failed) {
        (void)request__refuse(r, CX_NO_MEMORY, "There is no memory for this body");
        return HPE_USER;
    }
    return 0;
}

int request__on_message_complete(llhttp_t *parser)
{
    struct http_request *r = parser->data;
    r->body_complete = true;
    return HPE_PAUSED;
}

void request__free(struct http_request *r)
{
    cx_buf_free(&r->body);
}
