/* SPDX-License-Identifier: MIT
 *
 * fetch: outgoing HTTP calls, from the request to the one completion. Owns the calls, their queue
 * and their deadlines. The request is checked in request.c, the name found in resolve.c, the bytes
 * moved in transfer.c.
 *
 *   NEW --> RESOLVING --> WAITING --> RUNNING --> SETTLED --> on_done, freed
 *    '----------------------^             (each but NEW may go to SETTLED)
 *
 * Whatever ends a call (curl, the deadline, a cancel, a name that is not found) only settles it:
 * the outcome is noted, what was under way is taken down, and a task is put off. The task, alone on
 * the stack, completes it. So a completion never comes from within a call of ours or of curl's, and
 * on_done may start, cancel and free. Loop thread only.
 */
#include "pace.h"

#include "cortex/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum call_state { CALL_NEW, CALL_RESOLVING, CALL_WAITING, CALL_RUNNING, CALL_SETTLED };

struct cx_call { /* owner: its fetch, until on_done has returned */
    struct cx_fetch *fetch;
    enum call_state state;
    struct cx_call *next; /* in the queue of those that wait */
    struct cx_call *previous;
    struct loop__request request;
    struct loop__waiter waiter;
    struct loop__transfer transfer;
    struct cx_timer *deadline;
    struct loop__pace pace; /* RUNNING */
    struct loop__task completion;
    struct cx_fetch_response response;
    cx_fetch_fn on_done;
    void *ctx;
    char addresses[LOOP__ADDRESSES_BYTES];
};

struct cx_fetch { /* owner: who made it */
    struct cx_loop *loop;
    struct loop__multi *multi;
    struct loop__resolver *resolver;
    struct loop__transfer_options options;
    struct loop__turn turn;
    struct loop__peer proxy;
    char *user_agent;
    char *ca_file;
    char *proxy_url;
    size_t running_max;
    size_t active_max;
    size_t active;         /* not yet completed */
    size_t running;        /* in the multi */
    struct cx_call *first; /* those that wait */
    struct cx_call *last;
    struct cx_series *active_now;
    struct cx_series *outcomes[CX_FETCH_CANCELLED + 1];
};

static enum cx_status read_proxy(struct cx_fetch *fetch, const char *text, struct cx_err *err);
static void destroy(struct cx_fetch *fetch);
static void move_call(struct cx_call *call, enum call_state to);
static const struct loop__peer *via_of(const struct cx_call *call);
static void resolve_call(struct cx_call *call);
static void on_resolved(void *ctx, const char *addresses, const char *reason);
static void queue_call(struct cx_call *call);
static void unqueue_call(struct cx_call *call);
static void start_waiting(struct cx_fetch *fetch);
static void run_call(struct cx_call *call);
static void on_ended(void *ctx, CURL *easy, CURLcode code);
static void on_slow(void *ctx, const char *reason);
static void on_deadline(void *ctx);
static void settle_call(struct cx_call *call);
static void fail_call(struct cx_call *call, enum cx_fetch_outcome outcome, const char *reason);
static void on_completion(void *ctx);

/* ---- A fetch --------------------------------------------------------------------------------- */

enum cx_status cx_fetch_new(struct cx_loop *loop, const struct cx_fetch_options *options,
                            struct cx_fetch **out, struct cx_err *err)
{
    static const char *const labels[] = {
        [CX_FETCH_OK] = "outcome=\"ok\"",           [CX_FETCH_RESOLVE] = "outcome=\"resolve\"",
        [CX_FETCH_CONNECT] = "outcome=\"connect\"", [CX_FETCH_TLS] = "outcome=\"tls\"",
        [CX_FETCH_TIMEOUT] = "outcome=\"timeout\"", [CX_FETCH_TOO_LARGE] = "outcome=\"too_large\"",
        [CX_FETCH_BROKEN] = "outcome=\"broken\"",   [CX_FETCH_CANCELLED] = "outcome=\"cancelled\"",
    };
    CX_ASSERT_LOOP();
    CX_CHECK(options->connections_max > 0 && options->waiting_max > 0);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return cx_err_set(err, CX_INTERNAL, "libcurl could not be initialised");
    }
    struct cx_fetch *fetch = cx_alloc(sizeof(*fetch));
    fetch->loop = loop;
    fetch->running_max = options->connections_max;
    fetch->active_max = options->waiting_max;
    fetch->user_agent = options->user_agent != NULL ? cx_strdup(options->user_agent) : NULL;
    fetch->ca_file = options->ca_file != NULL ? cx_strdup(options->ca_file) : NULL;
    fetch->active_now = cx_metrics_series(CX_M_FETCH_ACTIVE, "");
    for (size_t i = 0; i < CX_ARRAY_LEN(labels); i++) {
        fetch->outcomes[i] = cx_metrics_series(CX_M_FETCH_REQUESTS, labels[i]);
    }
    loop__turn_init(&fetch->turn, loop);
    fetch->resolver = loop__resolver_new(loop);
    enum cx_status status = CX_OK;
    if (options->proxy != NULL) {
        status = read_proxy(fetch, options->proxy, err);
    }
    if (status == CX_OK) {
        fetch->multi = loop__multi_new(loop, options->connections_max, on_ended, fetch);
        status = fetch->multi != NULL ? CX_OK : CX_NO_MEMORY;
    }
    if (status != CX_OK) {
        destroy(fetch);
        return status;
    }
    fetch->options = (struct loop__transfer_options){ .user_agent = fetch->user_agent,
                                                      .ca_file = fetch->ca_file,
                                                      .proxy = fetch->proxy_url,
                                                      .turn = &fetch->turn };
    *out = fetch;
    return CX_OK;
}

/* The port is written out: without one curl takes 1080, and the entry for the proxy's name has to
 * say the same. */
static enum cx_status read_proxy(struct cx_fetch *fetch, const char *text, struct cx_err *err)
{
    CURLU *url = curl_url();
    char *whole = NULL;
    if (url == NULL) {
        return CX_NO_MEMORY;
    }
    enum cx_status status = loop__peer_read(url, text, 0, &fetch->proxy, err);
    if (status == CX_OK) {
        char port[8];
        (void)snprintf(port, sizeof(port), "%u", fetch->proxy.port);
        if (curl_url_set(url, CURLUPART_PORT, port, 0) == CURLUE_OK &&
            curl_url_get(url, CURLUPART_URL, &whole, 0) == CURLUE_OK) {
            fetch->proxy_url = cx_strdup(whole);
            curl_free(whole);
        } else {
            status = CX_NO_MEMORY;
        }
    }
    curl_url_cleanup(url);
    return status;
}

void cx_fetch_free(struct cx_fetch **fetch)
{
    struct cx_fetch *gone = *fetch;
    if (gone == NULL) {
        return;
    }
    CX_ASSERT_LOOP();
    *fetch = NULL;
    CX_CHECK(gone->active == 0);
    destroy(gone);
}

static void destroy(struct cx_fetch *fetch)
{
    loop__multi_free(&fetch->multi);
    loop__resolver_free(&fetch->resolver);
    loop__defer_cancel(&fetch->turn.renewal);
    free(fetch->user_agent);
    free(fetch->ca_file);
    free(fetch->proxy_url);
    free(fetch);
    curl_global_cleanup();
}

enum cx_status cx_fetch_warm_tls(struct cx_fetch *fetch, struct cx_err *err)
{
    return loop__warm_tls(fetch->multi, &fetch->options, err);
}

size_t cx_fetch_active(const struct cx_fetch *fetch)
{
    return fetch->active;
}

/* ---- A call, from start to completion -------------------------------------------------------- */

enum cx_status cx_fetch_start(struct cx_fetch *fetch, const struct cx_fetch_request *request,
                              cx_fetch_fn on_done, void *ctx, struct cx_call **out,
                              struct cx_err *err)
{
    CX_ASSERT_LOOP();
    if (fetch->active >= fetch->active_max) {
        return cx_err_set(err, CX_OVERLOADED, "%zu outgoing requests are under way", fetch->active);
    }
    struct cx_call *call = cx_alloc(sizeof(*call));
    const enum cx_status status = loop__request_copy(request, &call->request, err);
    if (status != CX_OK) {
        free(call);
        return status;
    }
    call->fetch = fetch;
    call->on_done = on_done;
    call->ctx = ctx;
    call->waiter.on_resolved = on_resolved;
    call->waiter.ctx = call;
    call->completion.run = on_completion;
    call->completion.ctx = call;
    cx_timer_new(fetch->loop, on_deadline, call, &call->deadline);
    cx_timer_start(call->deadline, request->timeout_ms, 0);
    fetch->active++;
    cx_gauge_set(fetch->active_now, (double)fetch->active);
    resolve_call(call);
    if (out != NULL) {
        *out = call;
    }
    return CX_OK;
}

void cx_call_cancel(struct cx_call *call)
{
    CX_ASSERT_LOOP();
    fail_call(call, CX_FETCH_CANCELLED, "cancelled");
}

void cx_call_take_body(struct cx_call *call, struct cx_buf *out)
{
    CX_ASSERT_LOOP();
    CX_CHECK(call->state == CALL_SETTLED);
    call->response.body = (struct cx_str){ NULL, 0 };
    *out = call->transfer.body;
    cx_buf_init(&call->transfer.body, 0);
}

/* Whose name has to be found: the service's, or the proxy's that leads to it. */
static const struct loop__peer *via_of(const struct cx_call *call)
{
    const struct cx_fetch *fetch = call->fetch;
    const struct loop__request *request = &call->request;
    if (fetch->proxy_url != NULL && request->unix_socket == NULL &&
        !loop__peer_is_loopback(&request->peer)) {
        return &fetch->proxy;
    }
    return &request->peer;
}

static void resolve_call(struct cx_call *call)
{
    const struct loop__peer *via = via_of(call);
    if (call->request.unix_socket != NULL || via->lookup[0] == '\0') {
        queue_call(call);
        return;
    }
    const char *known = loop__resolve_known(call->fetch->resolver, via->lookup);
    if (known != NULL) {
        (void)snprintf(call->addresses, sizeof(call->addresses), "%s", known);
        queue_call(call);
        return;
    }
    move_call(call, CALL_RESOLVING);
    loop__resolve(call->fetch->resolver, via->lookup, &call->waiter);
}

static void on_resolved(void *ctx, const char *addresses, const char *reason)
{
    struct cx_call *call = ctx;
    if (addresses == NULL) {
        char text[sizeof(call->response.reason)];
        (void)snprintf(text, sizeof(text), "the name was not found: %s", reason);
        fail_call(call, CX_FETCH_RESOLVE, text);
        return;
    }
    (void)snprintf(call->addresses, sizeof(call->addresses), "%s", addresses);
    queue_call(call);
}

static void queue_call(struct cx_call *call)
{
    struct cx_fetch *fetch = call->fetch;
    move_call(call, CALL_WAITING);
    call->previous = fetch->last;
    if (fetch->last != NULL) {
        fetch->last->next = call;
    } else {
        fetch->first = call;
    }
    fetch->last = call;
    start_waiting(fetch);
}

static void unqueue_call(struct cx_call *call)
{
    struct cx_fetch *fetch = call->fetch;
    if (call->previous != NULL) {
        call->previous->next = call->next;
    } else {
        fetch->first = call->next;
    }
    if (call->next != NULL) {
        call->next->previous = call->previous;
    } else {
        fetch->last = call->previous;
    }
    call->next = call->previous = NULL;
}

static void start_waiting(struct cx_fetch *fetch)
{
    while (fetch->running < fetch->running_max && fetch->first != NULL) {
        struct cx_call *call = fetch->first;
        unqueue_call(call);
        run_call(call);
    }
}

static void run_call(struct cx_call *call)
{
    struct cx_fetch *fetch = call->fetch;
    move_call(call, CALL_RUNNING);
    fetch->running++;
    const char *addresses = call->addresses[0] != '\0' ? call->addresses : NULL;
    if (loop__transfer_new(&call->transfer, &call->request, &fetch->options, via_of(call),
                           addresses, call) != CX_OK ||
        !loop__multi_add(fetch->multi, call->transfer.easy)) {
        fail_call(call, CX_FETCH_BROKEN, "there is no memory for it");
        return;
    }
    loop__pace_start(&call->pace, fetch->loop, &call->transfer, on_slow, call);
}

static void on_ended(void *ctx, CURL *easy, CURLcode code)
{
    (void)ctx;
    struct cx_call *call = loop__transfer_ctx(easy);
    loop__transfer_outcome(&call->transfer, code, &call->response);
    settle_call(call);
}

static void on_slow(void *ctx, const char *reason)
{
    fail_call(ctx, CX_FETCH_TIMEOUT, reason);
}

static void on_deadline(void *ctx)
{
    struct cx_call *call = ctx;
    const char *phase = "looking the name up";
    if (call->state == CALL_WAITING) {
        phase = "waiting for a free connection";
    } else if (call->state == CALL_RUNNING) {
        phase = loop__transfer_phase(&call->transfer);
    }
    char text[sizeof(call->response.reason)];
    (void)snprintf(text, sizeof(text), "no answer within %llu ms: still %s",
                   (unsigned long long)call->request.timeout_ms, phase);
    fail_call(call, CX_FETCH_TIMEOUT, text);
}

/* Nothing if the outcome is known already. */
static void fail_call(struct cx_call *call, enum cx_fetch_outcome outcome, const char *reason)
{
    if (call->state == CALL_SETTLED) {
        return;
    }
    call->response.outcome = outcome;
    (void)snprintf(call->response.reason, sizeof(call->response.reason), "%s", reason);
    settle_call(call);
}

static void settle_call(struct cx_call *call)
{
    struct cx_fetch *fetch = call->fetch;
    if (call->state == CALL_RESOLVING) {
        loop__resolve_leave(&call->waiter);
    } else if (call->state == CALL_WAITING) {
        unqueue_call(call);
    } else if (call->state == CALL_RUNNING) {
        loop__pace_stop(&call->pace);
        if (call->transfer.easy != NULL) {
            loop__multi_remove(fetch->multi, call->transfer.easy);
            loop__transfer_close(&call->transfer);
        }
        fetch->running--;
    }
    move_call(call, CALL_SETTLED);
    cx_timer_free(&call->deadline);
    loop__defer(fetch->loop, &call->completion);
}

static void on_completion(void *ctx)
{
    struct cx_call *call = ctx;
    struct cx_fetch *fetch = call->fetch;
    fetch->active--;
    cx_gauge_set(fetch->active_now, (double)fetch->active);
    cx_counter_add(fetch->outcomes[call->response.outcome], 1);
    start_waiting(fetch);
    /* Last, because it may free the fetch. */
    call->on_done(call->ctx, &call->response);
    loop__transfer_free(&call->transfer);
    loop__request_free(&call->request);
    free(call);
}

static void move_call(struct cx_call *call, enum call_state to)
{
    static const unsigned allowed[] = {
        [CALL_NEW] = 1U << CALL_RESOLVING | 1U << CALL_WAITING,
        [CALL_RESOLVING] = 1U << CALL_WAITING | 1U << CALL_SETTLED,
        [CALL_WAITING] = 1U << CALL_RUNNING | 1U << CALL_SETTLED,
        [CALL_RUNNING] = 1U << CALL_SETTLED,
        [CALL_SETTLED] = 0,
    };
    CX_CHECK((allowed[call->state] & 1U << to) != 0);
    call->state = to;
}

/* ---- Reading a response ---------------------------------------------------------------------- */

struct cx_str cx_fetch_header(const struct cx_fetch_response *response, const char *name)
{
    const struct cx_str wanted = cx_str_of(name);
    const char *at = response->headers.p;
    const char *end = at != NULL ? at + response->headers.len : NULL;
    while (at != NULL && at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;
        struct cx_str line = { at, (size_t)(stop - at) };
        if (line.len > 0 && line.p[line.len - 1] == '\r') {
            line.len--;
        }
        const char *colon = memchr(line.p, ':', line.len);
        if (colon != NULL &&
            cx_str_eq_nocase((struct cx_str){ line.p, (size_t)(colon - line.p) }, wanted)) {
            return cx_str_trim(
                (struct cx_str){ colon + 1, line.len - (size_t)(colon + 1 - line.p) });
        }
        at = newline != NULL ? newline + 1 : end;
    }
    return (struct cx_str){ NULL, 0 };
}
