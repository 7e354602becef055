/* SPDX-License-Identifier: MIT
 *
 * The answer: headers that an endpoint sets, the head, and the body as it is, compressed or left
 * out. Everything is written into the server's output scratch at once, because an exchange answers
 * only when it is its connection's turn.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/http_internal.h"
#include "http/negotiate.h"
#include "http/text.h"

#define COPY_MAX ((size_t)64 * 1024) /* a larger body is sent from its own memory */
#define GZIP_MIN ((size_t)1024)
#define GZIP_AT_ONCE ((size_t)8 * 1024)
#define GZIP_LEVEL 1
#define BODY_CEILING ((size_t)256 * 1024 * 1024)
#define DISCARD_MAX ((size_t)64 * 1024) /* of an unread body, for the sake of the connection */

static enum cx_step_result answer(struct cx_exchange *x, const char *content_type,
                                  struct cx_buf *owned, struct cx_str body, struct cx_str gzip);
static bool not_modified(struct cx_exchange *x);
static bool zip_now(struct cx_exchange *x, struct cx_str *body);
static bool pack(struct cx_exchange *x, struct cx_buf *owned, struct cx_str body);
static void swap_bufs(struct cx_buf *a, struct cx_buf *b);
static void send_answer(struct cx_exchange *x, struct cx_buf *owned, struct cx_str body,
                        bool gzipped);
static const char *copy_value(struct cx_exchange *x, const char *value);

/* ---- Headers --------------------------------------------------------------------------------- */

void cx_exchange_set_header(struct cx_exchange *x, const char *name, const char *value)
{
    const struct cx_str parts[] = { cx_str_of(name), cx_str_of(value) };
    struct http_header_line *line =
        cx_arena_alloc(&x->arena, sizeof *line + parts[0].len + parts[1].len + 2);
    if (line == NULL) {
        return;
    }
    if (text__has_control(parts[0]) || text__has_control(parts[1])) {
        CX_LOG(CX_LOG_ERROR, "a header value with control bytes was left out",
               CX_S("header", name));
        return;
    }
    char *text = (char *)(line + 1);
    line->name = memcpy(text, name, parts[0].len + 1);
    line->value = memcpy(text + parts[0].len + 1, value, parts[1].len + 1);
    *x->reply.headers_end = line;
    x->reply.headers_end = &line->next;
}

void cx_exchange_set_retry_after(struct cx_exchange *x, unsigned seconds)
{
    x->reply.retry_after_s = seconds > 0 ? seconds : 1;
}

void cx_exchange_set_etag(struct cx_exchange *x, const char *etag)
{
    x->reply.etag = copy_value(x, etag);
}

void cx_exchange_set_cache_control(struct cx_exchange *x, const char *value)
{
    x->reply.cache_control = copy_value(x, value);
}

static const char *copy_value(struct cx_exchange *x, const char *value)
{
    const struct cx_str text = cx_str_of(value);
    return text__has_control(text) ? NULL : cx_arena_strndup(&x->arena, text.p, text.len);
}

/* ---- Refusals -------------------------------------------------------------------------------- */

enum cx_step_result cx_exchange_fail(struct cx_exchange *x, enum cx_status status,
                                     const char *format, ...)
{
    struct cx_err err = { "" };
    if (format != NULL) {
        char said[sizeof err.text];
        va_list args;
        va_start(args, format);
        (void)vsnprintf(said, sizeof said, format, args);
        va_end(args);
        (void)cx_err_set(&err, status, "%s", said); /* makes valid UTF-8 of it */
    }
    const bool internal = cx_status_http(status) == 500;
    const char *text = err.text[0] != '\0' && !internal ? err.text : cx_status_text(status);
    x->reply.why = internal && err.text[0] != '\0' ? cx_arena_strdup(&x->arena, err.text) : NULL;
    return reply__problem(x, status, text, NULL);
}

enum cx_step_result cx_exchange_fail_faults(struct cx_exchange *x, struct cx_faults *faults)
{
    if (faults->count == 0) {
        return CX_STEP_NEXT;
    }
    struct cx_err sentence = { .text = "" };
    cx_faults_sentence(faults, &sentence);
    const enum cx_step_result result = reply__problem(x, CX_INVALID, sentence.text, faults->list);
    cx_faults_free(faults);
    return result;
}

enum cx_step_result reply__problem(struct cx_exchange *x, enum cx_status status, const char *text,
                                   json_t *errors)
{
    CX_CHECK(status != CX_OK);
    if (x->stream.state == STREAM_OPEN) {
        stream__cut(x, status, text);
        return CX_STEP_FAILED;
    }
    struct cx_http *http = x->http;
    struct http_reply *r = &x->reply;
    r->status = cx_status_http(status);
    r->reason = status;
    r->etag = NULL;
    r->cache_control = NULL;
    if (r->status == 503 && r->retry_after_s == 0) {
        r->retry_after_s = 1;
    }
    if (r->status >= 500 && r->why == NULL) {
        r->why = cx_arena_strdup(&x->arena, text);
    }
    cx_buf_clear(&http->scratch);
    const struct problem problem = { .http_status = r->status,
                                     .reason = cx_status_reason(status),
                                     .detail = text,
                                     .errors = errors,
                                     .correlation_id = x->correlation_id,
                                     .openai = x->openai };
    problem__write(&problem, &http->scratch);
    r->content_type = x->openai ? "application/json" : "application/problem+json";
    char brief[PROBLEM_BRIEF_BYTES];
    const struct cx_str body = http->scratch.failed
                                   ? problem__brief(&problem, brief)
                                   : (struct cx_str){ http->scratch.data, http->scratch.len };
    send_answer(x, NULL, body, false);
    return CX_STEP_FAILED;
}

/* ---- Answers --------------------------------------------------------------------------------- */

enum cx_step_result cx_exchange_reply_json(struct cx_exchange *x, int http_status, json_t *steals)
{
    if (steals == NULL) { /* jansson found no memory while it was built */
        return cx_exchange_fail(x, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    struct cx_buf *body = &x->http->scratch;
    cx_buf_clear(body);
    cx_json_write(steals, body);
    json_decref(steals);
    if (body->failed) {
        return cx_exchange_fail(x, CX_NO_MEMORY, "%s", "The answer is too large");
    }
    x->reply.status = http_status;
    return answer(x, "application/json", body, (struct cx_str){ body->data, body->len },
                  (struct cx_str){ NULL, 0 });
}

enum cx_step_result cx_exchange_reply_bytes(struct cx_exchange *x, int http_status,
                                            const char *content_type, struct cx_str body,
                                            struct cx_str gzip)
{
    x->reply.status = http_status;
    return answer(x, content_type, NULL, body, gzip);
}

enum cx_step_result cx_exchange_reply_buf(struct cx_exchange *x, int http_status,
                                          const char *content_type, struct cx_buf *steals)
{
    if (steals->failed) {
        cx_buf_free(steals);
        return cx_exchange_fail(x, CX_NO_MEMORY, "%s", "The answer is too large");
    }
    x->reply.status = http_status;
    const enum cx_step_result result =
        answer(x, content_type, steals, (struct cx_str){ steals->data, steals->len },
               (struct cx_str){ NULL, 0 });
    cx_buf_free(steals);
    return result;
}

enum cx_step_result cx_exchange_reply_empty(struct cx_exchange *x, int http_status)
{
    x->reply.status = http_status;
    x->reply.content_type = NULL;
    send_answer(x, NULL, (struct cx_str){ NULL, 0 }, false);
    return CX_STEP_REPLIED;
}

/* owned: body is all of it, and its memory may be taken; NULL: body is borrowed for this call. */
static enum cx_step_result answer(struct cx_exchange *x, const char *content_type,
                                  struct cx_buf *owned, struct cx_str body, struct cx_str gzip)
{
    x->reply.content_type = content_type;
    x->reply.varies = gzip.p != NULL ||
                      (body.len >= GZIP_MIN && negotiate__compressible(cx_str_of(content_type)));
    if (not_modified(x)) {
        x->reply.status = 304;
        send_answer(x, NULL, (struct cx_str){ NULL, 0 }, false);
        return CX_STEP_REPLIED;
    }
    const bool zip = x->reply.varies && exchange__accepts_gzip(x) &&
                     !reply__sets_header(x, "Content-Encoding", NULL);
    bool zipped = false;
    if (zip && gzip.p != NULL) {
        body = gzip;
        zipped = true;
    } else if (zip && body.len <= GZIP_AT_ONCE) {
        zipped = zip_now(x, &body);
    } else if (zip && pack(x, owned, body)) {
        return CX_STEP_REPLIED;
    }
    send_answer(x, zipped ? NULL : owned, body, zipped);
    return CX_STEP_REPLIED;
}

static bool not_modified(struct cx_exchange *x)
{
    const struct http_request *r = &x->request;
    if (x->reply.etag == NULL || x->reply.status != 200 || r->known[KNOWN_IF_NONE_MATCH] == NULL ||
        (!exchange__is_head(x) && !cx_str_eq(r->method, CX_STR("GET")))) {
        return false;
    }
    const char *tags = cx_exchange_header(x, "if-none-match");
    return tags != NULL && negotiate__etag_matches(cx_str_of(tags), cx_str_of(x->reply.etag));
}

static bool zip_now(struct cx_exchange *x, struct cx_str *body)
{
    struct cx_buf *zipped = &x->http->zipped;
    cx_buf_clear(zipped);
    if (!cx_gzip(*body, GZIP_LEVEL, zipped) || zipped->len >= body->len) {
        return false;
    }
    *body = (struct cx_str){ zipped->data, zipped->len };
    return true;
}

static bool pack(struct cx_exchange *x, struct cx_buf *owned, struct cx_str body)
{
    struct http_reply *r = &x->reply;
    struct cx_lane *lane = x->http->options.compress_lane;
    if (lane == NULL || x->connection == NULL) {
        return false;
    }
    /* The worker may begin at once: the buffers are in their places before it is asked. */
    cx_buf_init(&r->packed, body.len + 1024);
    cx_buf_init(&r->body, BODY_CEILING);
    if (owned == NULL) {
        cx_buf_append(&r->body, body.p, body.len);
    } else {
        swap_bufs(&r->body, owned);
    }
    if (!r->body.failed && exchange__pack(x, lane)) {
        return true;
    }
    if (owned != NULL) {
        swap_bufs(&r->body, owned);
    }
    cx_buf_free(&r->body);
    return false;
}

static void swap_bufs(struct cx_buf *a, struct cx_buf *b)
{
    const struct cx_buf kept = *a;
    *a = *b;
    *b = kept;
}

void reply__packed(struct cx_exchange *x)
{
    struct http_reply *r = &x->reply;
    const bool packed = x->outcome == CX_OK && r->packed.len > 0 && r->packed.len < r->body.len;
    struct cx_buf *body = packed ? &r->packed : &r->body;
    send_answer(x, body, (struct cx_str){ body->data, body->len }, packed);
}

void reply__continue(struct cx_exchange *x)
{
    struct cx_buf *out = &x->http->out;
    cx_buf_puts(out, "HTTP/1.1 100 Continue\r\n\r\n");
    x->connection->broken = x->connection->broken || out->failed; /* it would wait for it */
}

static void send_answer(struct cx_exchange *x, struct cx_buf *owned, struct cx_str body,
                        bool gzipped)
{
    struct cx_http *http = x->http;
    struct connection *c = x->connection;
    const int status = x->reply.status;
    const bool bodyless = exchange__is_head(x) || status == 204 || status == 304;
    const size_t sent = bodyless ? 0 : body.len;
    x->close = !reply__may_keep_alive(x);
    if (c == NULL) {
        exchange__finish(x, 0);
        return;
    }
    reply__write_head(x, body.len, gzipped, !x->close);
    if (sent <= COPY_MAX) {
        cx_buf_append(&http->out, body.p, sent);
    } else {
        char *data = NULL;
        size_t len = sent;
        if (owned != NULL) {
            data = cx_buf_take(owned, &len);
        } else if ((data = malloc(sent)) != NULL) {
            memcpy(data, body.p, sent);
        }
        c->broken = c->broken || data == NULL || http->out.failed; /* no body without its head */
        output__flush_owned(c, data, len);
    }
    /* Half an answer must not be followed by another. */
    c->broken = c->broken || http->out.failed;
    exchange__finish(x, sent);
}

bool reply__may_keep_alive(const struct cx_exchange *x)
{
    const struct connection *c = x->connection;
    const struct http_request *r = &x->request;
    if (x->close || c == NULL || !r->keep_alive || x->http->state != HTTP_SERVING) {
        return false;
    }
    const unsigned most = x->http->options.limits.requests_per_connection;
    if (most > 0 && c->requests >= most) {
        return false;
    }
    if (r->body_complete) {
        return true;
    }
    if (r->expects_continue || x->operation != OPERATION_NONE || x->queued.next != NULL) {
        return false; /* what reads the body off would outlive it */
    }
    return r->pieces ||
           (r->body_kind == BODY_LENGTH && r->content_length - r->body_seen <= DISCARD_MAX);
}
