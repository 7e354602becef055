/* SPDX-License-Identifier: MIT
 *
 * loop, inside the room: the parts of fetch. fetch.c moves calls through their states, transfer.c
 * is one curl easy handle, multi.c is curl_multi on the uv loop.
 */
#ifndef CORTEX_LOOP_FETCH_H
#define CORTEX_LOOP_FETCH_H

#include "internal.h"
#include "request.h"

/* ---- multi.c: curl_multi driven by uv -------------------------------------------------------- */

struct loop__multi;
/* A transfer has ended; called from the loop, never from within curl. easy is still in the
 * multi. */
typedef void (*loop__transfer_fn)(void *ctx, CURL *easy, CURLcode code);
/* NULL when there is no memory. */
struct loop__multi *loop__multi_new(struct cx_loop *loop, unsigned connections_max,
                                    loop__transfer_fn on_ended, void *ctx);
/* Needs that no easy handle is in it. Closes the kept connections. */
void loop__multi_free(struct loop__multi **multi);
bool loop__multi_add(struct loop__multi *multi, CURL *easy);
void loop__multi_remove(struct loop__multi *multi, CURL *easy);
CURLM *loop__multi_curl(struct loop__multi *multi);

/* ---- transfer.c: one request and its response ------------------------------------------------ */

/* What may be read of answers, of all transfers together, before the loop looks at its other
 * sockets: curl by itself reads for as long as something comes. */
struct loop__turn {
    struct cx_loop *loop;
    size_t bytes; /* read in this one */
    struct loop__task renewal;
};
void loop__turn_init(struct loop__turn *turn, struct cx_loop *loop);

/* What all transfers of a fetch have in common; the strings live as long as the fetch. */
struct loop__transfer_options {
    const char *user_agent;
    const char *ca_file;
    const char *proxy;
    struct loop__turn *turn;
};

struct loop__transfer {                  /* owner: its call */
    const struct loop__request *request; /* the call's too */
    CURL *easy;                          /* NULL = not begun */
    CURLSH *names;                       /* this transfer's own table of addresses */
    struct curl_slist *resolve;          /* what goes into it */
    struct cx_buf headers;
    struct cx_buf body;
    struct loop__turn *turn;
    struct loop__task resumption; /* put off while the transfer is paused for its next turn */
    size_t header_bytes;
    bool head_ended; /* a blank line was read: what follows is a new block or trailers */
    bool too_large;
    bool resolves; /* curl may "look up" the host, which is a literal */
    char error[CURL_ERROR_SIZE];
};

/* addresses: of request->peer (or of the proxy), NULL when none are needed. CX_OK, or
 * CX_NO_MEMORY. */
enum cx_status loop__transfer_new(struct loop__transfer *t, const struct loop__request *request,
                                  const struct loop__transfer_options *options,
                                  const struct loop__peer *via, const char *addresses,
                                  void *ctx) CX_MUST_CHECK;
void *loop__transfer_ctx(CURL *easy);
/* Frees the curl half; must not be in a multi. The response stays. */
void loop__transfer_close(struct loop__transfer *t);
void loop__transfer_free(struct loop__transfer *t);
/* Says what a curl result means, before loop__transfer_close. */
void loop__transfer_outcome(const struct loop__transfer *t, CURLcode code,
                            struct cx_fetch_response *out);
/* When, since its start, there was a connection on which the request could go out; 0 = not yet. */
uint64_t loop__transfer_connected_ms(const struct loop__transfer *t);
/* What the transfer is waiting for, in words. */
const char *loop__transfer_phase(const struct loop__transfer *t);

/* ---- warm.c: the certificates, read ahead ---------------------------------------------------- */

enum cx_status loop__warm_tls(struct loop__multi *multi,
                              const struct loop__transfer_options *options,
                              struct cx_err *err) CX_MUST_CHECK;

#endif
