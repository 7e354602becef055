/* SPDX-License-Identifier: MIT
 *
 * loop, inside the room: a request of fetch, checked and copied, so that the caller's is not needed
 * any more.
 */
#ifndef CORTEX_LOOP_REQUEST_H
#define CORTEX_LOOP_REQUEST_H

#include "resolve.h"

#include <curl/curl.h>

/* A host and a port as they stand in an address, and whether they need a look-up. */
struct loop__peer {
    char host[LOOP__HOST_BYTES]; /* as curl names it: lower case, no trailing dot */
    /* as getaddrinfo is asked, trailing dot kept; "" = an address literal */
    char lookup[LOOP__HOST_BYTES];
    unsigned port;
};

struct loop__request { /* owner: its call */
    CURLU *url;
    struct loop__peer peer;
    char *method;
    char *unix_socket; /* NULL = none */
    struct curl_slist *headers;
    char *body; /* NULL = none was given */
    size_t body_len;
    uint64_t connect_timeout_ms;
    uint64_t first_byte_timeout_ms;
    uint64_t low_speed_bytes;
    uint64_t low_speed_ms;
    uint64_t timeout_ms;
    size_t response_max_bytes;
    bool http2;
    bool has_body;
};

enum cx_status loop__request_copy(const struct cx_fetch_request *from, struct loop__request *to,
                                  struct cx_err *err) CX_MUST_CHECK;
void loop__request_free(struct loop__request *request); /* what it owns */

/* Reads scheme, host and port of an address (http or https), and takes the trailing dot off the
 * host in it. default_port: for an address without a port; 0 = that of the scheme. */
enum cx_status loop__peer_read(CURLU *url, const char *text, unsigned default_port,
                               struct loop__peer *out, struct cx_err *err) CX_MUST_CHECK;
/* localhost or a loopback address: never through a proxy. */
bool loop__peer_is_loopback(const struct loop__peer *peer);

#endif
