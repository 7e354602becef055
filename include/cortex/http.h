/* SPDX-License-Identifier: MIT
 *
 * http: an HTTP/1.1 server (RFC 9110, 9112) on the loop. In the order of life: tokens, options,
 * routes, server, then the exchange, which is one request and its answer and all that an endpoint
 * sees.
 *
 * Threads: the loop thread, except work functions (cx_exchange_work), which run on a lane and see
 * only their arg.
 */
#ifndef CORTEX_HTTP_H
#define CORTEX_HTTP_H

#include <jansson.h>

#include "cortex/base.h"
#include "cortex/json.h"
#include "cortex/loop.h"

/* ---- Tokens ------------------------------------------------------------------------------------
 * A set of bearer tokens, kept as SHA-256 digests. Immutable once the server has it.
 */
enum cx_scope {
    CX_SCOPE_NONE = 0,
    CX_SCOPE_CONTEXT = 1 << 0,
    CX_SCOPE_VECTOR = 1 << 1,
    CX_SCOPE_DATABASE = 1 << 2,
    CX_SCOPE_FILESYSTEM = 1 << 3,
    CX_SCOPE_SERVICES = 1 << 4,
    CX_SCOPE_STATE = 1 << 5,
    CX_SCOPE_AUDIT = 1 << 6,
    CX_SCOPE_ALL = (1 << 7) - 1
};
/* "context" … "audit", "*"; false for another word. */
bool cx_scope_parse(struct cx_str word, unsigned *out);
const char *cx_scope_name(enum cx_scope scope);

struct cx_token {
    const char *name; /* for logs and as `session`; never the token itself */
    uint8_t sha256[32];
    unsigned scopes;    /* of enum cx_scope */
    int64_t expires_us; /* wall clock; 0 = never */
};
struct cx_tokens;
void cx_tokens_new(struct cx_tokens **out);
void cx_tokens_add(struct cx_tokens *t, const struct cx_token *token); /* copies */
size_t cx_tokens_count(const struct cx_tokens *t);
void cx_tokens_free(struct cx_tokens **t);

/* ---- Options --------------------------------------------------------------------------------- */
struct cx_http_limits {  /* 0 = a default, but for the last */
    size_t header_bytes; /* request line and header fields together; beyond: 431 */
    size_t header_count;
    size_t uri_bytes;           /* beyond: 414 */
    size_t connections;         /* beyond: closed at once */
    size_t exchanges;           /* in work at once; beyond: 503 */
    unsigned header_timeout_ms; /* from the first byte of a request to the end of its head: 408 */
    unsigned body_timeout_ms;   /* for the whole body: 408; a stream renews it with each chunk */
    unsigned idle_timeout_ms;   /* keep-alive without a request */
    unsigned write_timeout_ms;  /* a client that does not read its answer */
    size_t unsent_bytes;        /* of all answers that are streamed, together; see Streams */
    unsigned requests_per_connection; /* 0 = no limit */
};
struct cx_http_rate { /* token bucket; per_second 0 = off */
    double per_second;
    double burst;
    size_t buckets_max;
};
struct cx_http_invocation;
struct cx_http_options {
    struct cx_http_limits limits;
    struct cx_http_rate rate;
    const char *const *server_names;    /* ended by NULL; "*" = any */
    bool check_host;                    /* also for listeners that are not loopback */
    const char *const *allowed_origins; /* ended by NULL; localhost origins are always allowed */
    const char *const *trusted_proxies; /* addresses whose X-Forwarded-For counts; ended by NULL */
    bool access_log;
    unsigned slow_request_ms;      /* longer ones are logged; 0 = never */
    bool trace;                    /* the walk of each exchange through its steps */
    struct cx_lane *compress_lane; /* gzip of bodies over 8 KiB; smaller ones are done at once */
    void *context;                 /* cx_exchange_context */
    /* Told of each request of a route with a tool name that a valid token made, when it was answered or
     * its client has left. NULL = nobody cares. */
    void (*on_tool)(void *context, const struct cx_http_invocation *invocation);
};
/* Borrowed for the call. */
struct cx_http_invocation {
    const char *tool;
    unsigned scope;
    size_t input_bytes;  /* of the body, as far as it was read, and the query */
    size_t output_bytes; /* of the answer's body, as it went out */
    uint64_t latency_ns;
    int status;            /* 499: the client left */
    enum cx_status reason; /* CX_OK, or why it failed */
    const char *correlation_id;
    const json_t *resource_ids; /* cx_exchange_set_resources; NULL = none */
};

/* ---- Routes ------------------------------------------------------------------------------------
 * An endpoint is a table of steps; steps run in order, each ends with one of four words.
 */
struct cx_exchange;
enum cx_step_result {
    CX_STEP_NEXT,    /* go on with the next step */
    CX_STEP_WAIT,    /* one operation is outstanding; its completion resumes with the next step */
    CX_STEP_REPLIED, /* the answer was given */
    CX_STEP_FAILED   /* cx_exchange_fail was called */
};
struct cx_step {
    const char *name; /* for traces */
    enum cx_step_result (*run)(struct cx_exchange *x);
    /* When the operation that this step follows ended badly, the exchange fails with its status by
     * itself, unless this is true: then the step runs and asks cx_exchange_outcome. */
    bool after_failure;
};
enum cx_route_flags {
    CX_ROUTE_UNLIMITED = 1 << 0, /* not rate limited */
    CX_ROUTE_BODY = 1 << 1, /* takes a body: 411 without a length, 415 unless application/json */
    CX_ROUTE_BODY_OPTIONAL = 1 << 2,  /* takes one, or none */
    CX_ROUTE_WHILE_DRAINING = 1 << 3, /* answered while draining (health) */
    CX_ROUTE_OPENAI_ERRORS = 1 << 4,  /* errors in OpenAI's shape */
    /* Takes a body of application/x-ndjson, of any length and piece by piece (Streams, below). May
     * stand beside a route of the same method and path that takes JSON. */
    CX_ROUTE_NDJSON = 1 << 5,
    /* Of a literal path and no body: goes before those that wait for the loop's next turn. */
    CX_ROUTE_PROMPT = 1 << 6
};
struct cx_route {
    const char *method; /* GET answers HEAD too */
    const char *path;   /* segments are literal or {name}: "/vector/documents/{doc_id}" */
    unsigned scope;     /* CX_SCOPE_NONE: no token needed */
    unsigned flags;
    size_t body_bytes;    /* 413 beyond; 0 = the server's default of 8 MiB */
    unsigned deadline_ms; /* 0 = 30 s */
    size_t state_bytes;   /* zeroed memory for cx_exchange_state */
    const struct cx_step *steps;
    size_t step_count;
    const char *tool; /* its name as a tool of agents; NULL = it is none */
};

/* ---- Server ---------------------------------------------------------------------------------- */
struct cx_http;
/* options and what they point to are copied; routes are borrowed for the server's life. */
enum cx_status cx_http_new(struct cx_loop *loop, const struct cx_http_options *options,
                           const struct cx_route *routes, size_t route_count, struct cx_http **out,
                           struct cx_err *err) CX_MUST_CHECK;
/* Binds and listens. "127.0.0.1:4949", "[::1]:4949", port 0 = any; *port is the one bound. */
enum cx_status cx_http_listen(struct cx_http *http, const char *address, int *port,
                              struct cx_err *err) CX_MUST_CHECK;
/* An already listening socket (socket activation). Takes fd over. */
enum cx_status cx_http_listen_fd(struct cx_http *http, int fd, struct cx_err *err) CX_MUST_CHECK;
void cx_http_set_tokens(struct cx_http *http,
                        struct cx_tokens *tokens); /* takes over; frees the old */
void cx_http_set_rate(struct cx_http *http, const struct cx_http_rate *rate);
/* Closes the listeners and idle connections, answers what is in flight with Connection: close,
 * refuses new requests on old connections with 503 shutting_down (but CX_ROUTE_WHILE_DRAINING
 * ones). on_drained comes once, later, when no connection and no exchange is left. */
void cx_http_drain(struct cx_http *http, void (*on_drained)(void *ctx), void *ctx);
/* Closes every connection now. Exchanges end as their operations complete. on_drained (if asked)
 * follows. */
void cx_http_abort(struct cx_http *http);
size_t cx_http_connections(const struct cx_http *http);
size_t cx_http_exchanges(const struct cx_http *http);
/* Needs that it has drained, or never listened (CX_CHECK). */
void cx_http_free(struct cx_http **http);

/* ---- Exchange: what came --------------------------------------------------------------------- */
void *cx_exchange_context(struct cx_exchange *x); /* cx_http_options.context */
void *cx_exchange_state(struct cx_exchange *x);   /* state_bytes of the route, zeroed */
/* Memory that lives as long as the exchange (and so as any operation of it). Ceiling: 4 MiB beside
 * body. */
struct cx_arena *cx_exchange_arena(struct cx_exchange *x);
/* Called when the exchange ends, latest first: for what the state owns outside the arena (json_t
 * …). */
void cx_exchange_defer(struct cx_exchange *x, void (*release)(void *arg), void *arg);
const char *cx_exchange_param(struct cx_exchange *x, const char *name); /* of the path, decoded */
const char *cx_exchange_query(struct cx_exchange *x,
                              const char *name); /* decoded; NULL = absent; the first of several */
const char *cx_exchange_header(struct cx_exchange *x,
                               const char *name); /* any case; several are joined by ", " */
struct cx_str cx_exchange_body(struct cx_exchange *x);
const char *cx_exchange_correlation_id(struct cx_exchange *x);
const char *cx_exchange_traceparent(struct cx_exchange *x); /* NULL = none that is valid */
const char *cx_exchange_token_name(struct cx_exchange *x);  /* NULL without a token */
/* Whether its token has that scope too, beside the route's own. */
bool cx_exchange_may(const struct cx_exchange *x, enum cx_scope scope);
/* Until the deadline; of a stream, which has none: a day. */
uint64_t cx_exchange_left_ms(struct cx_exchange *x);

/* ---- Exchange: waiting ----------------------------------------------------------------------- */
/* A blocking function of an endpoint. What it returns becomes the outcome; err goes into the
 * reply's detail where the status is below 500, and into the log otherwise. */
typedef enum cx_status (*cx_exchange_work_fn)(void *arg, struct cx_err *err);
/* Runs work(arg) on the lane and returns CX_STEP_WAIT; a full lane fails the exchange (503). */
enum cx_step_result cx_exchange_work(struct cx_exchange *x, struct cx_lane *lane,
                                     enum cx_priority priority, cx_exchange_work_fn work,
                                     void *arg);
/* For any other operation that has been started and will call cx_exchange_resume exactly once,
 * never before this step has returned. cancel (or NULL) asks it to hurry. */
enum cx_step_result cx_exchange_wait(struct cx_exchange *x, void (*cancel)(void *op), void *op);
/* What the client is told if the deadline passes during the wait that this step begins, where the operation may
 * have an effect all the same; CX_OVERLOADED without. */
void cx_exchange_set_overdue(struct cx_exchange *x, enum cx_status status);
void cx_exchange_resume(struct cx_exchange *x, enum cx_status status, const struct cx_err *err);
/* How the last operation ended. */
enum cx_status cx_exchange_outcome(struct cx_exchange *x, const char **detail);

/* ---- Exchange: the answer -------------------------------------------------------------------- */
/* The text goes to the client, except with a status of 500: then into the log alone. NULL gives the
 * status's own sentence. */
enum cx_step_result cx_exchange_fail(struct cx_exchange *x, enum cx_status status,
                                     const char *format, ...) CX_PRINTF(3, 4);
/* 422 with all of them (and takes their list); CX_STEP_NEXT if there is none. */
enum cx_step_result cx_exchange_fail_faults(struct cx_exchange *x, struct cx_faults *faults);
enum cx_step_result cx_exchange_reply_json(struct cx_exchange *x, int http_status, json_t *steals);
/* Copies. gzip: the same body ready compressed, or { NULL, 0 } to let the server do it. */
enum cx_step_result cx_exchange_reply_bytes(struct cx_exchange *x, int http_status,
                                            const char *content_type, struct cx_str body,
                                            struct cx_str gzip);
/* Takes the buffer's memory over, so that a large body (made on a lane) is not copied. */
enum cx_step_result cx_exchange_reply_buf(struct cx_exchange *x, int http_status,
                                          const char *content_type, struct cx_buf *steals);
enum cx_step_result cx_exchange_reply_empty(struct cx_exchange *x, int http_status); /* 204 … */
/* Before the reply. Values are checked to be free of control bytes. */
void cx_exchange_set_header(struct cx_exchange *x, const char *name, const char *value);
void cx_exchange_set_retry_after(struct cx_exchange *x, unsigned seconds);
/* Sets ETag; a matching If-None-Match (weak comparison) turns a 200 to GET or HEAD into 304. */
void cx_exchange_set_etag(struct cx_exchange *x, const char *etag);
/* What the request was about, an array of strings, for cx_http_invocation; stolen. */
void cx_exchange_set_resources(struct cx_exchange *x, json_t *ids);
void cx_exchange_set_cache_control(struct cx_exchange *x, const char *value); /* default no-store */

/* ---- Exchange: streams -------------------------------------------------------------------------
 * An answer of any length that is written piece by piece, for milliseconds or hours; a body of any
 * length that is taken piece by piece (CX_ROUTE_NDJSON); or both at once. The endpoint stays a table
 * of steps. A step opens the answer; a step (the same again, by go_to) writes and takes what there
 * is and waits for more as its one operation; the last ends it. What is short of the end when the
 * exchange fails is cut: the client sees a body that has no end.
 *
 *     static enum cx_step_result upper_open(struct cx_exchange *x)
 *     {
 *         return cx_stream_open(x, 200, &(struct cx_stream_options){ .content_type = … });
 *     }
 *     static enum cx_step_result upper_copy(struct cx_exchange *x)
 *     {
 *         const struct cx_str piece = cx_exchange_body(x);
 *         (void)cx_stream_write(x, piece);
 *         cx_stream_take(x, piece.len);
 *         if (cx_stream_body_ended(x)) {
 *             return cx_stream_end(x);
 *         }
 *         cx_exchange_go_to(x, upper_copy);
 *         return cx_stream_wait(x, CX_WAIT_BODY, NULL, NULL);
 *     }
 *
 * Time: the deadline ends when the answer is opened. A client that reads nothing of what waits for
 * it for write_timeout_ms is disconnected, but not while its body still comes: it may send all of it
 * before it reads. Drain wakes every stream once (cx_stream_draining).
 * Loop thread.
 */
struct cx_stream_options {
    const char *content_type;
    /* What may wait for the client beside what its socket holds; 0 = 1 MiB. A write beyond it (or
     * beyond the server's unsent_bytes) disconnects the client: who would rather leave something out
     * asks cx_stream_unsent first. */
    size_t unsent_max;
    /* For answers without an end of their own: a client that has shut its side is gone. Otherwise it
     * may still be reading. */
    bool gone_at_eof;
};
/* Within a step: the head goes out, chunked, or up to the end of the connection for HTTP/1.0; never
 * compressed, with X-Accel-Buffering: no. CX_STEP_NEXT: it is open. CX_STEP_REPLIED to a HEAD: there
 * is nothing more to do. Headers are set before. */
enum cx_step_result cx_stream_open(struct cx_exchange *x, int http_status,
                                   const struct cx_stream_options *options);
/* At any time while it is open, within a step or not: goes to the socket at once, the rest waits;
 * copied. Never calls back. False: the client is gone, or disconnected by this; the exchange ends by
 * itself, later. */
bool cx_stream_write(struct cx_exchange *x, struct cx_str bytes);
size_t cx_stream_unsent(const struct cx_exchange *x); /* bytes that wait for the client */
/* Within a step, which returns what this returns: the whole answer has been written. What the client
 * has still to send of its body is read off. */
enum cx_step_result cx_stream_end(struct cx_exchange *x);

/* cx_exchange_body is what has come of a streamed body and was not taken, valid until the step ends.
 * While 256 KiB of it are not taken the client is not read from. */
void cx_stream_take(struct cx_exchange *x, size_t bytes);
/* All has come and was taken. */
bool cx_stream_body_ended(const struct cx_exchange *x);

enum cx_stream_wait {
    CX_WAIT_BODY = 1 << 0,   /* until some of the body is there, or its end; for body_timeout_ms */
    CX_WAIT_ROOM = 1 << 1,   /* until at most half of unsent_max waits for the client */
    CX_WAIT_PATIENT = 1 << 2 /* for the body without a time limit: it is our turn to move */
};
/* Waits for the first of these (0 = none), for cx_stream_wake and for the drain; returns
 * CX_STEP_WAIT. Bad outcomes are those of CX_WAIT_BODY: CX_BAD_REQUEST, CX_REQUEST_TIMEOUT; for
 * after_failure. When the client leaves, cancel(op) is called and the exchange lives on until
 * cx_stream_wake (which cancel may call); cancel NULL: it ends at once. */
enum cx_step_result cx_stream_wait(struct cx_exchange *x, unsigned what, void (*cancel)(void *op),
                                   void *op);
/* Ends a wait, this one or the next. The step runs later. */
void cx_stream_wake(struct cx_exchange *x);
bool cx_stream_draining(const struct cx_exchange *x); /* the server ends: say farewell soon */
/* The step to run next, in place of the one that follows in the table: how a table loops. */
void cx_exchange_go_to(struct cx_exchange *x, enum cx_step_result (*run)(struct cx_exchange *x));

#endif
