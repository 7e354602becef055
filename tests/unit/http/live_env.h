/* SPDX-License-Identifier: MIT
 *
 * A server of toy routes and its clients in one thread: the test drives the loop, and both ends
 * make progress while it waits for what it expects. Nothing sleeps; a wait that lasts LIVE_WAIT_NS
 * fails the test.
 *
 *   GET /now            "now"                         POST /echo          the body back (1 MiB)
 *   GET /work           a job on a lane, then "done"  GET /wait           until env_resume
 *   GET /brief          like /wait, deadline 60 ms    GET /bytes?n=       n bytes of text/plain
 *   GET /secret         scope vector                  GET /fail?status=   cx_exchange_fail
 *   GET /tagged         an ETag                       GET /item/{id}      its id; DELETE too
 *   GET /limited        rate limited                  POST /v1/x          OpenAI's errors, vector
 *   GET /two            two waits                     POST /maybe         a body or none
 *   GET /health         while draining, prompt        GET /outcome        like /wait, after_failure
 *   GET /busy           takes the rest of the turn
 *
 * Streams (stream_routes.c):
 *
 *   POST /lines         NDJSON: the body back, piece by piece; JSON of 16 bytes: as /echo
 *   POST /held          NDJSON: takes nothing before e->take, then all; says how much it took
 *   POST /first         NDJSON: ends its answer with the first piece
 *   POST /piped         NDJSON: each piece is "work" until env_piped
 *   GET /flow?n=        n bytes in pieces of 16 KiB, as the client reads
 *   GET /events         open until the drain; e->events[] may be written to
 *   GET /cut            fails after "some"
 */
#ifndef CORTEX_LIVE_ENV_H
#define CORTEX_LIVE_ENV_H

#include <stdatomic.h>

#include "cortex/http.h"

#define LIVE_WAIT_NS UINT64_C(60000000000)

struct client {
    int fd;
    struct cx_buf got;
    bool eof;
    bool reset;
    bool deaf; /* does not read */
};

struct env {
    struct cx_loop *loop;
    struct cx_lane *lane;
    struct cx_http_options options; /* to be changed before env_start */
    struct cx_http *http;
    int port;
    bool drained;
    struct cx_exchange *waiting; /* the last that waits */
    unsigned waits;
    unsigned cancels;
    bool resume_on_cancel; /* later, by a timer */
    struct cx_exchange *late[64];
    unsigned late_count;
    unsigned works;
    atomic_uint works_begun; /* counted by the workers */
    unsigned released;       /* defers that ran */
    struct cx_timer *timer;
    bool hold_work; /* jobs wait until it is cleared */
    char order[64]; /* a letter for each /busy, /now, /health and /bytes, as they were answered */
    struct cx_route *routes;
    struct cx_exchange *events[8]; /* open ones */
    unsigned event_count;
    struct cx_exchange *held;
    bool take;
    size_t taken;
    size_t flown;
    struct cx_exchange *piped;
    bool piped_left;
    struct client *clients[64];
    unsigned client_count;
};

extern const struct cx_route stream_routes[];
extern const size_t stream_route_count;

void env_open(struct env *e);  /* options have quick time limits where a test can change them */
void env_start(struct env *e); /* listens */
/* Aborts what is left, waits for the end, and fails where something outlives it. */
void env_close(struct env *e);
void env_turn(struct env *e); /* one round of loop and clients; may wait for an event */
void env_take(struct env *e); /* lets the server take in what has been sent; waits for nothing */
/* Turns until the claim holds; false after LIVE_WAIT_NS. */
#define ENV_UNTIL(e, claim)                                                                        \
    do {                                                                                           \
        const uint64_t until_ = cx_clock_mono_ns() + LIVE_WAIT_NS;                                 \
        while (!(claim) && cx_clock_mono_ns() < until_) {                                          \
            env_turn(e);                                                                           \
        }                                                                                          \
        EXPECT(claim);                                                                             \
    } while (0)
void env_release_work(struct env *e); /* ends hold_work */
void env_piped(struct env *e);        /* what /piped works on is done */
void env_resume(struct env *e, enum cx_status status, const char *text);

void client_open(struct env *e, struct client *c); /* the next two together */
void client_make(struct client *c);
void client_connect(struct env *e, struct client *c);
void client_send(struct env *e, struct client *c, const char *text);
void client_send_bytes(struct env *e, struct client *c, const char *data, size_t len);
void client_half_close(struct client *c);
void client_reset(struct env *e, struct client *c); /* RST */
void client_close(struct env *e, struct client *c);
bool client_has(const struct client *c, const char *text);
/* How often text is in what came. */
unsigned client_count(const struct client *c, const char *text);
/* Sends and receives a whole answer (of stated length, or up to the end); returns its status. */
int client_ask(struct env *e, struct client *c, const char *request);
const char *client_body(const struct client *c); /* of the first answer in got */
/* The content of the first answer's chunks so far; *ended when its last chunk has come. */
struct cx_buf client_chunks(const struct client *c, bool *ended);
/* "GET path HTTP/1.1 … with Host and these further lines ("A: b\r\n"). */
const char *get(const char *path, const char *lines);

#endif
