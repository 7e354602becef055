/* SPDX-License-Identifier: MIT
 *
 * One request as it comes off the wire: the end of its head is found, the head is parsed, its body
 * is decoded. No sockets and no loop, so that every byte sequence can be tested and fuzzed.
 *
 *   request__scan   over everything since the request's first byte, until it says HEAD
 *   request__parse  the whole head, once
 *   request__feed   body bytes, until it says they are all there
 *
 * The verdict does not depend on where the input was split.
 */
#ifndef CORTEX_HTTP_REQUEST_H
#define CORTEX_HTTP_REQUEST_H

#include <llhttp.h>

#include "cortex/http.h"

struct http_field { /* both end with a NUL */
    const char *name;
    const char *value;
    uint32_t name_len;
    uint32_t value_len;
};

enum http_known {
    KNOWN_ACCEPT_ENCODING,
    KNOWN_AUTHORIZATION,
    KNOWN_CONTENT_LENGTH,
    KNOWN_CONTENT_TYPE,
    KNOWN_CORRELATION_ID,
    KNOWN_EXPECT,
    KNOWN_HOST,
    KNOWN_IF_NONE_MATCH,
    KNOWN_ORIGIN,
    KNOWN_TRANSFER_ENCODING,
    KNOWN_COUNT,
    KNOWN_NONE = KNOWN_COUNT
};

enum http_body_kind { BODY_NONE, BODY_LENGTH, BODY_CHUNKED };
enum http_feed { FEED_MORE, FEED_COMPLETE, FEED_FAILED };

/* Memory: what is not in `body` lies in the arena that parse was given. */
struct http_request {
    llhttp_t parser;
    struct cx_str method;
    struct cx_str path;  /* undecoded, begins with '/'; "*" for OPTIONS * */
    struct cx_str query; /* undecoded, without '?' */
    struct cx_str
        host; /* of the target if that is absolute, else of Host; { NULL, 0 } in HTTP/1.0 without */
    struct http_field *fields;
    size_t field_count;
    const struct http_field *known[KNOWN_COUNT]; /* the first of its name */
    bool http_1_0;
    bool keep_alive; /* as the client asks */
    bool expects_continue;
    enum http_body_kind body_kind;
    bool body_complete;
    bool discard; /* body bytes are counted and dropped */
    bool pieces;  /* the body is taken as it comes: no room for the whole of it */
    uint64_t content_length;
    uint64_t body_seen;
    size_t body_limit;
    size_t framing_seen; /* bytes of chunk extensions and trailers */
    size_t field_capacity;
    bool parsing_body;
    struct cx_buf body;
    enum cx_status fault; /* why parse or feed refused */
    const char *fault_text;
};

enum http_scan { SCAN_MORE, SCAN_HEAD, SCAN_FAILED };
/* data: all bytes since the first of the head, without blank lines in front. *scanned starts at 0
 * and is kept between calls; with SCAN_HEAD it is the length of the head, blank line included. On
 * SCAN_FAILED fault and text are set. */
enum http_scan request__scan(struct cx_str data, const struct cx_http_limits *limits,
                             size_t *scanned, enum cx_status *fault, const char **text);
/* head: as found by scan; copied into the arena. False: fault and fault_text say why. */
bool request__parse(struct http_request *r, struct cx_str head, const struct cx_http_limits *limits,
                    struct cx_arena *arena);
/* Between parse and the first feed: how large the body may become. False (413) when its stated
 * length is beyond. */
bool request__expect_body(struct http_request *r, size_t limit);
/* From now on the body is read off and dropped, up to limit bytes. */
void request__discard_body(struct http_request *r, size_t limit);
/* *used <= data.len: what lies behind it belongs to the next request. */
enum http_feed request__feed(struct http_request *r, struct cx_str data, size_t *used);
void request__free(struct http_request *r); /* the body */

/* All values of a field, joined by ", "; NULL if there is none or no memory. */
const char *request__header(const struct http_request *r, const char *name, struct cx_arena *arena);

#endif
