/* SPDX-License-Identifier: MIT
 *
 * loop: the event loop, its timers and signals, lanes over uv_queue_work, and fetch, which is
 * curl_multi driven by the loop; and what callers of a service share: the circuit breaker and when to
 * try again. libuv and libcurl stay in here (http may use the uv loop itself).
 *
 * Threads: everything here belongs to the loop thread, except the work functions, which run on the
 * pool's workers. Completions always come on the loop thread, exactly once, and never before the
 * call that asked for them has returned: after a cancel too.
 */
#ifndef CORTEX_LOOP_H
#define CORTEX_LOOP_H

#include "cortex/base.h"

struct cx_loop;
struct uv_loop_s;

/* One loop a thread. pool_threads: how many workers the pool gets, the sum of what the lanes may
 * run; two for name look-ups come on top. Takes effect for the first loop of a process that queues
 * work. SIGPIPE is ignored from here on. */
enum cx_status cx_loop_new(unsigned pool_threads, struct cx_loop **out,
                           struct cx_err *err) CX_MUST_CHECK;
/* Returns after cx_loop_stop, or when nothing is left that could wake it. May be called again. */
void cx_loop_run(struct cx_loop *loop);
void cx_loop_stop(struct cx_loop *loop); /* lets the current iteration end */
/* Runs the loop until every handle that is being closed is closed, then frees. CX_CHECKs that
 * nothing else is open: a leaked handle is a bug of its room. */
void cx_loop_free(struct cx_loop **loop);
struct uv_loop_s *cx_loop_uv(struct cx_loop *loop);
uint64_t cx_loop_now_ms(const struct cx_loop *loop); /* monotonic, of this iteration */
/* How late the probe timer (every 100 ms) fired: the worst of the last 100 times, some 10 s, in
 * milliseconds. */
double cx_loop_lag_ms(const struct cx_loop *loop);

/* However much there is to do, an iteration of the loop stays short, so that who asks for little waits
 * for little: work that comes in bulk asks after each piece whether its turn is over, and leaves what is
 * left to the next iteration (a timer of zero). What sockets bring in one iteration shares one turn of
 * 0.25 ms; each timer has its own. A turn begins when it is first asked about: that is never yes. */
bool cx_loop_turn_over(struct cx_loop *loop);

/* Where code runs. A thread is the loop thread of the loop that it created. */
bool cx_on_loop_thread(void);
bool cx_on_worker_thread(void);
#define CX_ASSERT_LOOP() CX_CHECK(cx_on_loop_thread())
/* Blocking code: a lane's worker, a thread that has no loop, or the start-up and the end. */
#define CX_ASSERT_BLOCKING() CX_CHECK(!cx_on_loop_thread() || cx_loop_is_starting())
/* True on a thread that has a loop but is not within cx_loop_run: start-up may block, and so may
 * the end. */
bool cx_loop_is_starting(void);

/* ---- Timers and signals ---------------------------------------------------------------------- */
struct cx_timer;
void cx_timer_new(struct cx_loop *loop, void (*on_time)(void *ctx), void *ctx,
                  struct cx_timer **out);
/* Restarts. Both zero: as soon as sockets have had their turn, started from within on_time too. */
void cx_timer_start(struct cx_timer *t, uint64_t delay_ms, uint64_t repeat_ms);
void cx_timer_stop(struct cx_timer *t);
void cx_timer_free(struct cx_timer **t); /* at once for the caller; NULL is nothing */

struct cx_signal;
enum cx_status cx_signal_new(struct cx_loop *loop, int number, void (*on_signal)(void *ctx),
                             void *ctx, struct cx_signal **out, struct cx_err *err) CX_MUST_CHECK;
void cx_signal_free(struct cx_signal **s);

/* ---- Lanes -------------------------------------------------------------------------------------
 * A lane is a bounded share of the worker pool for one kind of blocking work: at most `running`
 * jobs at once, at most `waiting` queued behind them (high priority first, first in first out
 * within one). What does not fit is refused at once, so that a queue never outgrows what it can
 * serve; only work that gives memory back may go beyond it, within a bound too.
 */
struct cx_lane;
struct cx_lane_options {
    const char *name; /* static; the label of its metrics */
    unsigned running; /* 1 makes order structural */
    unsigned waiting;
    bool background; /* computes, under SCHED_BATCH: the loop wakes first on a busy machine */
};
void cx_lane_new(struct cx_loop *loop, const struct cx_lane_options *options, struct cx_lane **out);
/* Needs an empty lane (CX_CHECK). */
void cx_lane_free(struct cx_lane **lane);
size_t cx_lane_running(const struct cx_lane *lane);
size_t cx_lane_waiting(const struct cx_lane *lane);
uint64_t cx_lane_completed(const struct cx_lane *lane); /* jobs that have run, ever */

enum cx_priority { CX_PRIORITY_HIGH, CX_PRIORITY_NORMAL };
typedef void (*cx_work_fn)(void *arg); /* on a worker */
/* On the loop: CX_OK ran, CX_CANCELLED never did. */
typedef void (*cx_done_fn)(void *arg, enum cx_status status);
struct cx_job;
/* CX_OVERLOADED when the lane is full: then neither function is called. arg lives until on_done. */
enum cx_status cx_lane_submit(struct cx_lane *lane, enum cx_priority priority, cx_work_fn work,
                              cx_done_fn on_done, void *arg, struct cx_job **out) CX_MUST_CHECK;
/* For work that gives memory back, which the loop would have to do by itself where it is refused: beyond
 * what is full for others as many more may wait, and as many as may run. */
enum cx_status cx_lane_submit_freeing(struct cx_lane *lane, cx_work_fn work, cx_done_fn on_done,
                                      void *arg) CX_MUST_CHECK;
/* Asks that a job that has not begun does not begin. on_done comes all the same, later. The job
 * pointer is valid until on_done is called. */
void cx_job_cancel(struct cx_job *job);

/* ---- Fetch -------------------------------------------------------------------------------------
 * Outgoing HTTP on the loop. Names are resolved on the pool (at most two look-ups at once), never
 * by libcurl; redirects are not followed; only http and https; no proxy but the one given here.
 */
struct cx_fetch;
struct cx_fetch_options {
    const char *user_agent;
    const char *proxy;   /* http(s)://; NULL = none. This machine itself is asked directly */
    const char *ca_file; /* NULL = the system's */
    unsigned connections_max;
    unsigned waiting_max; /* calls under way or waiting; beyond it CX_OVERLOADED */
};
enum cx_status cx_fetch_new(struct cx_loop *loop, const struct cx_fetch_options *options,
                            struct cx_fetch **out, struct cx_err *err) CX_MUST_CHECK;
/* At start-up, when https will be asked for: reads the trusted certificates now (some 20 ms,
 * blocking; curl keeps them for a day) rather than on the loop with the first connection.
 * CX_INVALID when they cannot be read. */
enum cx_status cx_fetch_warm_tls(struct cx_fetch *fetch, struct cx_err *err) CX_MUST_CHECK;
/* Needs that no call is under way (CX_CHECK): cancel them and wait for their completions first. */
void cx_fetch_free(struct cx_fetch **fetch);
size_t cx_fetch_active(const struct cx_fetch *fetch);

struct cx_fetch_request {
    const char *method;
    const char *url;             /* http:// or https:// */
    const char *unix_socket;     /* path, or NULL */
    const char *const *headers;  /* "Name: value", ended by NULL; NULL = none */
    struct cx_str body;          /* copied */
    uint64_t connect_timeout_ms; /* TLS included; 0 = as long as timeout_ms */
    uint64_t
        first_byte_timeout_ms; /* from then to the first of the answer; 0 = as long as timeout_ms */
    uint64_t
        low_speed_bytes; /* a second, over low_speed_ms, is the least that an answer which has … */
    uint64_t low_speed_ms; /* … begun may bring; 0 = any pace */
    uint64_t timeout_ms;   /* for all of it, look-up and waiting for a connection included */
    size_t response_max_bytes;
    bool http2; /* try HTTP/2 over TLS */
};
enum cx_fetch_outcome {
    CX_FETCH_OK,        /* a response came, whatever its status */
    CX_FETCH_RESOLVE,   /* the name was not found */
    CX_FETCH_CONNECT,   /* refused, unreachable, connect timeout */
    CX_FETCH_TLS,       /* certificate or handshake */
    CX_FETCH_TIMEOUT,   /* of all of it, to the first byte, or by low speed */
    CX_FETCH_TOO_LARGE, /* the body passed response_max_bytes */
    CX_FETCH_BROKEN,    /* reset, cut short, not HTTP */
    CX_FETCH_CANCELLED
};
struct cx_fetch_response {
    enum cx_fetch_outcome outcome;
    int status;            /* with CX_FETCH_OK */
    struct cx_str body;    /* borrowed for the time of the callback */
    struct cx_str headers; /* raw lines of the last header block, borrowed */
    char reason[256];      /* why not, without URL or secrets */
};
/* The value of a header of a response, trimmed; { NULL, 0 } if it has none. */
struct cx_str cx_fetch_header(const struct cx_fetch_response *response, const char *name);
typedef void (*cx_fetch_fn)(void *ctx, const struct cx_fetch_response *response);
struct cx_call;
/* Copies all of the request. CX_INVALID: the address is not http(s) or its host not ASCII, the
 * method or a header line is none, a header frames the message (Content-Length, Transfer-Encoding,
 * Expect). CX_OVERLOADED: too many calls are under way. The call is valid until on_done is called;
 * on_done may start, cancel and free. */
enum cx_status cx_fetch_start(struct cx_fetch *fetch, const struct cx_fetch_request *request,
                              cx_fetch_fn on_done, void *ctx, struct cx_call **out,
                              struct cx_err *err) CX_MUST_CHECK;
/* Within on_done alone: the body changes hands, uncopied; the response's own is no more. */
void cx_call_take_body(struct cx_call *call, struct cx_buf *out);
/* on_done comes later with CX_FETCH_CANCELLED (or with what had come by then). */
void cx_call_cancel(struct cx_call *call);

/* ---- Circuit breaker ---------------------------------------------------------------------------
 * Whether a service that fails may be asked.
 *
 *   CLOSED     --so many failures in a row--> OPEN
 *   OPEN       --its time is over, a call is taken--> HALF_OPEN
 *   HALF_OPEN  --so many successes in a row--> CLOSED, --a failure--> OPEN
 *
 * While it is half-open one call is out at a time. What was sent before a change tells nothing after
 * it: each leave carries the epoch in which it was taken. Plain arithmetic, time comes from outside.
 */
enum cx_circuit { CX_CIRCUIT_CLOSED, CX_CIRCUIT_OPEN, CX_CIRCUIT_HALF_OPEN };
const char *cx_circuit_name(enum cx_circuit state); /* "closed", "open", "half_open" */
struct cx_breaker {
    unsigned failures_to_open; /* 0 = never opens */
    unsigned successes_to_close;
    uint64_t open_ms;
    enum cx_circuit state;
    unsigned failures;  /* in a row */
    unsigned successes; /* in a row, while half-open */
    bool probing;       /* the one call of half-open is out */
    uint64_t open_until_ms;
    uint64_t epoch;
    uint64_t opened; /* times */
};
void cx_breaker_init(struct cx_breaker *b, unsigned failures_to_open, unsigned successes_to_close,
                     uint64_t open_ms);
/* Whether cx_breaker_take would give leave. */
bool cx_breaker_ready(const struct cx_breaker *b, uint64_t now_ms);
/* Leave for one call, which must end in one of the three below. */
bool cx_breaker_take(struct cx_breaker *b, uint64_t now_ms, uint64_t *epoch);
void cx_breaker_success(struct cx_breaker *b, uint64_t epoch);
void cx_breaker_failure(struct cx_breaker *b, uint64_t epoch, uint64_t now_ms);
void cx_breaker_neutral(struct cx_breaker *b, uint64_t epoch); /* it says nothing */
uint64_t cx_breaker_wait_ms(const struct cx_breaker *b, uint64_t now_ms);

/* ---- Trying again ------------------------------------------------------------------------------
 * When a second try may go out, and whether one may at all. Time comes from outside.
 */
/* A token bucket: each call earns a share of a second try, and a reserve flows in over a minute, so
 * that a busy service's outage is not multiplied and a quiet one is still tried again. */
struct cx_retry_budget {
    uint64_t held;     /* thousandths of a try, as all here */
    uint64_t held_max; /* the reserve */
    uint64_t earned;   /* by a call */
    uint64_t filled_ms;
};
void cx_retry_budget_init(struct cx_retry_budget *b, unsigned percent, unsigned reserve,
                          uint64_t now_ms);
void cx_retry_budget_earn(struct cx_retry_budget *b);
bool cx_retry_budget_take(struct cx_retry_budget *b, uint64_t now_ms);
/* Full jitter: anything from 0 to base · 2^tries, at most cap (AWS Architecture Blog, "Exponential
 * Backoff And Jitter", 2015). tries: how many have failed, less one. */
uint64_t cx_backoff_ms(struct cx_random *random, unsigned tries, uint64_t base_ms, uint64_t cap_ms);

#endif
