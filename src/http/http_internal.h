/* SPDX-License-Identifier: MIT
 *
 * http, inside the room: server, connection, exchange, and who calls whom.
 *
 *   server.c      what all share; drains; runs what became ready; listener.c listens
 *   deadline.c    lists of deadlines and the one timer behind them
 *   turn.c        what waits for the loop's next turn
 *   connection.c  which state a connection is in; connection_read.c bytes in; connection_wait.c its
 *                 deadlines; output.c bytes out
 *   request.c     reads a head; request_rules.c what it may say; request_body.c the body
 *   judge.c       the order in which a request head is judged
 *   exchange.c    the step runner; the one place that drops an exchange; exchange_wait.c its waits
 *   stream.c      answers and bodies piece by piece
 *   reply.c       what an answer is made of; reply_head.c its head; problem.c the body of a refusal
 *   observe.c     counters and log lines
 *
 * All of it on the loop thread. Work on a connection happens between server__enter and
 * server__leave: a completion that comes within is put on the ready list and runs before leave
 * returns, so no two exchanges are ever inside one another and the output scratch has one writer
 * at a time.
 */
#ifndef CORTEX_HTTP_INTERNAL_H
#define CORTEX_HTTP_INTERNAL_H

#include <uv.h>

#include "cortex/http.h"
#include "cortex/metrics.h"
#include "http/auth.h"
#include "http/ratelimit.h"
#include "http/request.h"
#include "http/router.h"

/* ---- Lists and deadlines --------------------------------------------------------------------- */
struct link {
    struct link *next; /* both NULL: not in a list */
    struct link *previous;
};
void link__init(struct link *head);
void link__append(struct link *head, struct link *link);
void link__remove(struct link *link);             /* nothing if it is in none */
struct link *link__take_first(struct link *head); /* NULL: empty */
bool link__empty(const struct link *head);

/* A list whose members all wait equally long is in the order of their deadlines. */
struct deadlines {
    struct link head;
    uint64_t span_ms;
    void (*on_time)(void *owner);
};
struct deadline {
    struct link link;
    uint64_t at_ms;
    void *owner;
};
void deadline__start(struct cx_http *http, struct deadlines *list, struct deadline *deadline,
                     void *owner);
void deadline__stop(struct deadline *deadline);
void deadline__on_timer(void *http); /* the server's timer */

/* ---- Server ---------------------------------------------------------------------------------- */
struct route_info {
    const struct cx_route *route; /* NULL: what no route answers */
    const char *label;            /* the template, or "other" */
    struct deadlines deadlines;
    struct cx_series *seconds;
    struct {
        int status;
        unsigned method;
        struct cx_series *series;
    } counts[24];
    unsigned count_used;
};

struct listener {
    uv_tcp_t tcp;
    struct cx_http *http;
    struct listener *next;
    bool guarded; /* Host and Origin are checked */
    bool waits;   /* a client that it has is taken in the next turn */
    unsigned accepted;
};

enum http_state { HTTP_SERVING, HTTP_DRAINING, HTTP_DRAINED };

struct cx_http {
    struct cx_loop *loop;
    struct cx_http_options options; /* its strings are owned */
    enum http_state state;
    void (*on_drained)(void *ctx);
    void *on_drained_ctx;
    struct cx_timer *drained_timer;

    struct router *router;
    struct route_info *routes; /* one a route, and the last for none */
    size_t route_count;
    struct cx_str *prompt_paths; /* of CX_ROUTE_PROMPT */
    size_t prompt_count;
    struct cx_tokens *tokens;
    struct ratelimit *limiter; /* NULL = off */

    struct listener *listeners;
    size_t listeners_open;
    struct link connections;
    size_t connection_count;
    struct link exchanges;
    size_t exchange_count;
    struct cx_exchange *spare; /* finished exchanges, for the next requests */
    unsigned spare_count;

    bool busy; /* between enter and leave */
    struct link ready;
    struct link done;      /* answered exchanges, until no step of theirs is on the stack */
    struct link unsettled; /* connections that a stream was written to */
    struct cx_timer *settle_timer;

    struct deadlines header_deadlines;
    struct deadlines body_deadlines;
    struct deadlines idle_deadlines;
    struct deadlines write_deadlines;
    struct deadlines linger_deadlines;
    struct cx_timer *timer;
    uint64_t timer_at_ms; /* 0 = not running */

    struct link late; /* connections whose bytes wait for the next turn */
    struct cx_timer *turn_timer;

    struct cx_buf out;     /* answers of the connection that is being worked on */
    struct cx_buf scratch; /* a body that is being built */
    struct cx_buf zipped;
    char *read_buffer;
    struct cx_random random;
    char host[64]; /* the last Host that was allowed */
    size_t host_len;
    int64_t wall_us;
    uint64_t wall_at_ms; /* of the loop's clock */
    char date[CX_TIME_TEXT_BYTES];
    uint64_t date_until_ms;

    uint8_t (*proxies)[16];
    size_t proxy_count;

    size_t unsent_bytes; /* of all connections: handed to the system, or to be */
    size_t stream_count;

    struct cx_series *connections_gauge;
    struct cx_series *accepted;
    struct cx_series *refused;
    struct cx_series *exchanges_gauge;
    struct cx_series *client_gone;
    struct cx_series *postponed;
    struct cx_series *deadlines_passed;
    struct cx_series *rate_limited;
    struct cx_series *rate_buckets;
    struct cx_series *streams_gauge;
    struct cx_series *stream_sent;
    struct cx_series *stream_taken;
    struct cx_series *unsent_gauge;
};

void server__enter(struct cx_http *http);
void server__leave(struct cx_http *http);
void server__check_drained(struct cx_http *http);
void server__close_listeners(struct cx_http *http);
const char *server__date(struct cx_http *http);
int64_t server__wall_us(struct cx_http *http); /* as of this iteration of the loop */

/* ---- Connection ------------------------------------------------------------------------------ */
enum connection_state {
    CONNECTION_IDLE,    /* between requests */
    CONNECTION_HEAD,    /* part of a head has come */
    CONNECTION_BODY,    /* its exchange collects a body */
    CONNECTION_STREAM,  /* its exchange takes its body piece by piece */
    CONNECTION_WORK,    /* its exchange runs or waits; what comes is stashed */
    CONNECTION_DISCARD, /* answered early: the rest of the body is read off */
    CONNECTION_STOPPED, /* reads no further request; closes when all is written */
    CONNECTION_LINGER,  /* our side is shut: reads until the client has seen why */
    CONNECTION_CLOSING, /* uv_close was called */
    CONNECTION_STATE_COUNT
};

struct connection {
    uv_tcp_t tcp;
    struct cx_http *http;
    struct link link;
    struct link unsettled;
    struct link late; /* in http->late: its stash waits for the next turn */
    enum connection_state state;
    struct cx_exchange *exchange; /* from the head's end to the answer's (and a discarded body's) */
    struct cx_buf stash;          /* what came and was not taken yet */
    size_t scanned;               /* of the head that is being collected */
    struct deadline deadline;
    struct deadlines *awaits; /* the list that deadline is in */
    size_t unsent_seen;       /* by the last look at a slow reader */
    size_t lingered;
    unsigned writes;   /* uv_writes under way */
    unsigned requests; /* begun on this connection */
    bool guarded;
    bool reading;
    bool eof;     /* the client has sent all it will send */
    bool broken;  /* a write failed */
    bool linger;  /* close so that the client can still read its answer … */
    bool patient; /* … however much of a streamed body it has still to send */
};

#define CONNECTION_READ_BYTES ((size_t)64 * 1024)  /* of http->read_buffer */
#define CONNECTION_STASH_PAUSE ((size_t)64 * 1024) /* beyond it a connection is not read from */

void connection__accept(struct listener *listener);
/* Takes of the stash what can be taken, writes what is to be written, sees what comes next. */
void connection__proceed(struct connection *c);
void connection__move(struct connection *c, enum connection_state to);
/* After everything that can change it: writes, decides what comes next, and what it waits for. */
void connection__settle(struct connection *c);
/* Reads from it, or not, by how much it has stashed. */
void connection__pace_reading(struct connection *c);
/* Its deadline is that of its state from now on; begun: even if it was that already. */
void connection__await(struct connection *c, bool begun);
/* The answer of its exchange is in the output. */
void connection__answered(struct connection *c, bool keep_alive);
void connection__close(struct connection *c);
/* Closes it if it waits for a next request; bodies are no longer read off in patience. */
void connection__drain(struct connection *c);
/* 16 bytes; IPv4 as mapped. False: unknown. */
bool connection__peer(const struct connection *c, uint8_t address[16]);
void connection__on_header_time(void *connection);
void connection__on_body_time(void *connection);
void connection__on_write_time(void *connection);
void connection__on_close_time(void *connection);
/* Something was written to it outside of its turn: it is looked at as soon as that is safe. */
void connection__settle_later(struct connection *c);
bool connection__settle_waiting(struct cx_http *http); /* false: none */

/* ---- Turn ------------------------------------------------------------------------------------ */
/* Whether what has come on a connection is to wait for the next turn: the present one is over, or others
 * wait already; but not if it asks for a CX_ROUTE_PROMPT. */
bool turn__is_late(struct connection *c, struct cx_str data);
void turn__postpone(struct connection *c);      /* connection__proceed in the next turn */
bool turn__postpone_accept(struct listener *l); /* true: its client is accepted in the next turn */
void turn__on_timer(void *http);

/* ---- Output ---------------------------------------------------------------------------------- */
/* Answers are appended to http->out by reply.c. */
void output__flush(struct connection *c);
/* Sends what is in http->out and then data, which it frees. */
void output__flush_owned(struct connection *c, char *data, size_t len);
/* Writes past what was gathered: how much the socket took at once. May set broken. */
size_t output__try(struct connection *c, const uv_buf_t *bufs, unsigned count);
/* Queues data behind what is being written, and frees it when that is done. */
void output__queue(struct connection *c, char *data, size_t len);
void output__count_unsent(struct cx_http *http, size_t added, size_t gone);

/* ---- Exchange -------------------------------------------------------------------------------- */
enum exchange_state {
    EXCHANGE_NEW,
    EXCHANGE_BODY,      /* collects its body */
    EXCHANGE_RUNNING,   /* a step is on the stack */
    EXCHANGE_WAITING,   /* one operation is outstanding */
    EXCHANGE_PACKING,   /* the answer is being compressed */
    EXCHANGE_ANSWERED,  /* its answer is in the output */
    EXCHANGE_ABANDONED, /* answered or left, but its operation has not completed */
    EXCHANGE_STATE_COUNT
};
enum operation_kind { OPERATION_NONE, OPERATION_JOB, OPERATION_OTHER, OPERATION_STREAM };

struct http_defer {
    struct http_defer *next;
    void (*release)(void *arg);
    void *arg;
};
struct http_header_line {
    struct http_header_line *next;
    const char *name;
    const char *value;
};

struct http_reply {
    int status;
    const char *content_type;
    struct http_header_line *headers; /* in the order set */
    struct http_header_line **headers_end;
    const char *etag;
    const char *cache_control;
    unsigned retry_after_s; /* 0 = none */
    bool varies;            /* by Accept-Encoding */
    enum cx_status reason;  /* of a refusal */
    const char *why;        /* for the log of a refusal; NULL = what the client was told */
    struct cx_buf body;     /* while it is packed */
    struct cx_buf packed;
};

enum stream_state { STREAM_NONE, STREAM_OPEN, STREAM_ENDED };
struct http_stream {
    enum stream_state state; /* of the answer */
    bool chunked;
    bool gone_at_eof;
    bool woken;
    bool pieces;    /* the body is taken piece by piece */
    unsigned wants; /* of enum cx_stream_wait, while it waits */
    size_t unsent_max;
    struct cx_buf pending; /* written while an earlier write is under way */
    uint64_t sent;
    enum cx_status fault; /* why the body will not come to its end */
    const char *fault_text;
};

struct cx_exchange {
    struct cx_http *http;
    struct connection *connection; /* NULL once the client has left or was answered */
    struct cx_exchange *next_spare;
    struct link link;
    struct link queued; /* ready or done */
    struct route_info *info;
    struct http_request request;
    struct cx_arena arena;
    void *user_state;
    struct http_defer *defers;
    enum exchange_state state;
    enum operation_kind operation;

    const char *params[ROUTER_PARAMS_MAX];
    size_t param_count;
    struct http_field *query; /* decoded on first use */
    size_t query_count;
    const char *correlation_id;
    const char *token_name;
    unsigned token_scopes;
    const char *cors_origin; /* an allowed one */
    json_t *resource_ids;
    struct ratelimit_verdict rate;

    size_t step;
    uint64_t started_ns;
    uint64_t step_started_ns;
    struct deadline deadline;
    struct cx_job *job;
    void (*cancel)(void *op);
    void *op;
    const char *outcome_detail;
    enum cx_status outcome;
    enum cx_status overdue; /* CX_OK = CX_OVERLOADED */

    char request_id[9];
    bool query_read;
    bool openai; /* refusals in OpenAI's shape */
    bool limited;
    bool close; /* the connection ends with this answer */
    struct http_reply reply;
    struct http_stream stream;
};

void exchange__move(struct cx_exchange *x, enum exchange_state to);
/* The head of the connection's next request, as request__scan found it. */
void exchange__begin(struct connection *c, struct cx_str head);
/* A request that never had a whole head. */
void exchange__refuse(struct connection *c, enum cx_status status, const char *text);
/* Its body is complete: runs the steps. */
void exchange__start(struct cx_exchange *x);
/* Goes on after its operation has completed. */
void exchange__advance(struct cx_exchange *x);
/* The client left: cancels what is outstanding and drops, now or when that has completed. */
void exchange__client_gone(struct cx_exchange *x);
/* After the answer is in the output. */
void exchange__finish(struct cx_exchange *x, size_t bytes);
bool exchange__accepts_gzip(struct cx_exchange *x);
void exchange__drop(struct cx_exchange *x);
void exchange__sweep(struct cx_http *http); /* drops what is done; not from within a step */
void exchange__run_ready(struct cx_http *http);
void exchange__on_deadline(void *exchange);
/* Waits for the packing of the reply's body instead of a step's operation. False: the lane is
 * full. */
bool exchange__pack(struct cx_exchange *x, struct cx_lane *lane);
/* The operation has completed: it goes on from the ready list. */
void exchange__complete(struct cx_exchange *x, enum cx_status status, const struct cx_err *err);
void exchange__free_spares(struct cx_http *http);
static inline bool exchange__is_head(const struct cx_exchange *x)
{
    return x->request.parser.method == HTTP_HEAD && x->request.method.len == 4;
}

/* False: it was refused, and the answer is in the output. */
bool judge__head(struct cx_exchange *x);
/* An address literal as 16 bytes, IPv4 as mapped. */
bool judge__parse_address(struct cx_str text, uint8_t address[16]);

/* ---- Stream ---------------------------------------------------------------------------------- */
/* How much of a streamed body may be fed now. */
size_t stream__room(const struct cx_exchange *x);
void stream__body_came(struct cx_exchange *x, size_t bytes);
/* The body is not what it should be, or too slow. */
void stream__body_failed(struct cx_exchange *x, enum cx_status status, const char *text);
/* It waits for the client: to send, or to read. */
bool stream__awaits_body(const struct cx_exchange *x);
bool stream__awaits_reader(const struct cx_exchange *x);
void stream__written(struct cx_exchange *x); /* a write has completed */
void stream__cut(struct cx_exchange *x, enum cx_status status, const char *text);
void stream__drop(struct cx_exchange *x);
void stream__drain(struct cx_exchange *x);

/* ---- Reply ----------------------------------------------------------------------------------- */
/* fail without the rule of what a client may see: text goes out as it is. */
enum cx_step_result reply__problem(struct cx_exchange *x, enum cx_status status, const char *text,
                                   json_t *errors);
/* With the body that was packed. */
void reply__packed(struct cx_exchange *x);
void reply__continue(struct cx_exchange *x); /* 100 */
bool reply__may_keep_alive(const struct cx_exchange *x);
void reply__write_head(struct cx_exchange *x, size_t body_bytes, bool gzipped, bool keep_alive);
/* The endpoint set that header itself (and word is in its value, if not NULL). */
bool reply__sets_header(const struct cx_exchange *x, const char *name, const char *word);
const char *reply__phrase(int http_status);

struct problem {
    int http_status;
    const char *reason;
    const char *detail;
    const json_t *errors; /* NULL = none */
    const char *correlation_id;
    bool openai; /* the shape of OpenAI's errors instead of RFC 9457's */
};
void problem__write(const struct problem *p, struct cx_buf *out);
/* What can be said of it without memory. */
#define PROBLEM_BRIEF_BYTES 256
struct cx_str problem__brief(const struct problem *p, char text[PROBLEM_BRIEF_BYTES]);

/* ---- Observe --------------------------------------------------------------------------------- */
void observe__init(struct cx_http *http);
/* Before it had its answer. */
void observe__client_gone(struct cx_exchange *x);
void observe__answered(struct cx_exchange *x, size_t bytes);
/* A stream counts when its head goes out; observe__answered only logs its end. */
void observe__opened(struct cx_exchange *x);
void observe__disconnected(const char *reason); /* of a stream's client, by us */
void observe__protocol_error(struct cx_http *http, enum cx_status status);
void observe__step(struct cx_exchange *x, const char *name, const char *how);

#endif
