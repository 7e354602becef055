/* SPDX-License-Identifier: MIT
 *
 * The exchange: one request and its answer. Here is the step runner, which alone advances an
 * exchange, its deadline, and the one place that drops it. An exchange whose client was answered
 * or has left while an operation is outstanding is abandoned: it lives on, unseen, until that
 * operation has completed.
 *
 *   NEW → BODY → RUNNING ⇄ WAITING → (PACKING) → ANSWERED → dropped
 *                            WAITING, PACKING → ABANDONED → dropped
 *
 * A stream (stream.c) is open between two of its steps; it runs and waits like any other.
 */
#include "http/http_internal.h"
#include "http/negotiate.h"

#include <stdlib.h>

#define ARENA_CEILING ((size_t)4 * 1024 * 1024)
#define SPARE_MAX 256

static struct cx_exchange *new_exchange(struct connection *c);
static void identify(struct cx_exchange *x);
static void run(struct cx_exchange *x);
static void after_step(struct cx_exchange *x, const struct cx_step *step,
                       enum cx_step_result result);
static void fail_by_outcome(struct cx_exchange *x);
static void abandon(struct cx_exchange *x);

#define MAY(state) (1U << EXCHANGE_##state)
static const unsigned legal_moves[EXCHANGE_STATE_COUNT] = {
    [EXCHANGE_NEW] = MAY(BODY) | MAY(RUNNING) | MAY(ANSWERED),
    [EXCHANGE_BODY] = MAY(RUNNING) | MAY(ANSWERED),
    [EXCHANGE_RUNNING] = MAY(WAITING) | MAY(PACKING) | MAY(ANSWERED),
    [EXCHANGE_WAITING] = MAY(RUNNING) | MAY(ABANDONED),
    [EXCHANGE_PACKING] = MAY(ANSWERED) | MAY(ABANDONED),
    [EXCHANGE_ANSWERED] = 0,
    [EXCHANGE_ABANDONED] = 0,
};
#undef MAY

void exchange__begin(struct connection *c, struct cx_str head)
{
    struct cx_exchange *x = new_exchange(c);
    const bool parsed = request__parse(&x->request, head, &c->http->options.limits, &x->arena);
    identify(x);
    if (!parsed) {
        x->close = true;
        observe__protocol_error(x->http, x->request.fault);
        (void)reply__problem(x, x->request.fault, x->request.fault_text, NULL);
        return;
    }
    if (!judge__head(x)) {
        return;
    }
    if (x->request.body_complete) {
        exchange__start(x);
        return;
    }
    if (x->stream.pieces) {
        connection__move(c, CONNECTION_STREAM);
        exchange__start(x);
        return;
    }
    if (x->request.expects_continue) {
        reply__continue(x);
    }
    exchange__move(x, EXCHANGE_BODY);
    connection__move(c, CONNECTION_BODY);
}

void exchange__refuse(struct connection *c, enum cx_status status, const char *text)
{
    struct cx_exchange *x = new_exchange(c);
    identify(x);
    x->close = true;
    observe__protocol_error(x->http, status);
    (void)reply__problem(x, status, text, NULL);
}

static struct cx_exchange *new_exchange(struct connection *c)
{
    struct cx_http *http = c->http;
    struct cx_exchange *x = http->spare;
    struct cx_arena arena;
    if (x != NULL) {
        http->spare = x->next_spare;
        http->spare_count--;
        arena = x->arena;
    } else {
        x = cx_alloc(sizeof *x);
        cx_arena_init(&arena, ARENA_CEILING);
    }
    *x = (struct cx_exchange){ .http = http, .connection = c, .arena = arena };
    x->info = &http->routes[http->route_count - 1];
    x->reply.headers_end = &x->reply.headers;
    x->started_ns = cx_clock_mono_ns();
    link__append(&http->exchanges, &x->link);
    http->exchange_count++;
    cx_gauge_set(http->exchanges_gauge, (double)http->exchange_count);
    c->exchange = x;
    c->requests++;
    connection__move(c, CONNECTION_WORK);
    return x;
}

void exchange__move(struct cx_exchange *x, enum exchange_state to)
{
    CX_CHECK((legal_moves[x->state] & (1U << to)) != 0);
    x->state = to;
}

static void identify(struct cx_exchange *x)
{
    uint8_t id[4];
    cx_random_fill(&x->http->random, id, sizeof id);
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof id; i++) {
        x->request_id[2 * i] = digits[id[i] >> 4];
        x->request_id[2 * i + 1] = digits[id[i] & 15];
    }
    const struct http_field *sent = x->request.known[KNOWN_CORRELATION_ID];
    if (sent != NULL &&
        negotiate__correlation_id_valid((struct cx_str){ sent->value, sent->value_len })) {
        x->correlation_id = sent->value;
        return;
    }
    char *made = cx_arena_alloc(&x->arena, CX_UUID_TEXT_BYTES);
    x->correlation_id = made != NULL ? cx_uuid4(&x->http->random, made) : x->request_id;
}

/* ---- Running --------------------------------------------------------------------------------- */

void exchange__start(struct cx_exchange *x)
{
    const struct cx_route *route = x->info->route;
    if (route->state_bytes > 0) {
        x->user_state = cx_arena_alloc(&x->arena, route->state_bytes);
        if (x->user_state == NULL) {
            (void)reply__problem(x, CX_NO_MEMORY, cx_status_text(CX_NO_MEMORY), NULL);
            return;
        }
    }
    deadline__start(x->http, &x->info->deadlines, &x->deadline, x);
    exchange__move(x, EXCHANGE_RUNNING);
    run(x);
}

void exchange__advance(struct cx_exchange *x)
{
    switch (x->state) {
    case EXCHANGE_WAITING:
        exchange__move(x, EXCHANGE_RUNNING);
        if (x->outcome != CX_OK && !x->info->route->steps[x->step].after_failure) {
            fail_by_outcome(x);
        } else {
            run(x);
        }
        break;
    case EXCHANGE_PACKING:
        reply__packed(x);
        break;
    case EXCHANGE_ABANDONED:
        exchange__drop(x);
        break;
    case EXCHANGE_NEW:
    case EXCHANGE_BODY:
    case EXCHANGE_RUNNING:
    case EXCHANGE_ANSWERED:
    case EXCHANGE_STATE_COUNT:
        CX_CHECK(x->state == EXCHANGE_WAITING); /* it waits for nothing */
    }
}

static void run(struct cx_exchange *x)
{
    const struct cx_route *route = x->info->route;
    while (x->state == EXCHANGE_RUNNING) {
        CX_CHECK(x->step < route->step_count);
        const struct cx_step *step = &route->steps[x->step++];
        x->step_started_ns = x->http->options.trace ? cx_clock_mono_ns() : 0;
        const enum cx_step_result result = step->run(x);
        after_step(x, step, result);
    }
}

void cx_exchange_go_to(struct cx_exchange *x, enum cx_step_result (*to)(struct cx_exchange *x))
{
    CX_CHECK(x->state == EXCHANGE_RUNNING);
    const struct cx_route *route = x->info->route;
    size_t step = 0;
    while (step < route->step_count && route->steps[step].run != to) {
        step++;
    }
    CX_CHECK(step < route->step_count);
    x->step = step;
}

/* Holds the word that a step ended with to what it did. */
static void after_step(struct cx_exchange *x, const struct cx_step *step,
                       enum cx_step_result result)
{
    static const char *const words[] = { "next", "wait", "replied", "failed" };
    if (x->http->options.trace) {
        observe__step(x, step->name, words[result]);
    }
    switch (result) {
    case CX_STEP_NEXT:
        CX_CHECK(x->state == EXCHANGE_RUNNING);
        break;
    case CX_STEP_WAIT:
        CX_CHECK(x->state == EXCHANGE_WAITING);
        if (x->connection == NULL) { /* the server was aborted from within the step */
            abandon(x);
        }
        break;
    case CX_STEP_REPLIED:
    case CX_STEP_FAILED:
        CX_CHECK(x->state == EXCHANGE_ANSWERED || x->state == EXCHANGE_PACKING);
        break;
    }
}

static void fail_by_outcome(struct cx_exchange *x)
{
    const bool ours = cx_status_http(x->outcome) >= 500;
    const char *detail = x->outcome_detail;
    x->reply.why = ours ? detail : NULL;
    (void)reply__problem(x, x->outcome,
                         !ours && detail != NULL ? detail : cx_status_text(x->outcome), NULL);
}

/* ---- Ending ---------------------------------------------------------------------------------- */

void exchange__on_deadline(void *arg)
{
    struct cx_exchange *x = arg;
    struct connection *c = x->connection;
    cx_counter_add(x->http->deadlines_passed, 1);
    if (x->overdue != CX_OK) {
        x->reply.why = "The request's deadline passed";
        (void)reply__problem(x, x->overdue, cx_status_text(x->overdue), NULL);
    } else {
        (void)reply__problem(x, CX_OVERLOADED, "The request's deadline passed", NULL);
    }
    if (c != NULL) {
        connection__proceed(c);
    }
}

void exchange__client_gone(struct cx_exchange *x)
{
    x->connection = NULL;
    if (x->state == EXCHANGE_ANSWERED) {
        exchange__drop(x);
        return;
    }
    cx_counter_add(x->http->client_gone, 1);
    observe__client_gone(x);
    deadline__stop(&x->deadline);
    if (x->operation != OPERATION_NONE) {
        abandon(x);
    } else if (x->state != EXCHANGE_RUNNING && x->queued.next == NULL) {
        exchange__drop(x);
    } else if (x->state != EXCHANGE_RUNNING) {
        exchange__move(x, EXCHANGE_ABANDONED); /* its completion is on the ready list */
    }
}

static void abandon(struct cx_exchange *x)
{
    exchange__move(x, EXCHANGE_ABANDONED);
    if (x->operation == OPERATION_JOB) {
        cx_job_cancel(x->job);
    } else if (x->operation != OPERATION_NONE && x->cancel != NULL) {
        x->cancel(x->op);
    } else if (x->operation == OPERATION_STREAM) {
        cx_stream_wake(x);
    }
}

void exchange__finish(struct cx_exchange *x, size_t bytes)
{
    struct connection *c = x->connection;
    deadline__stop(&x->deadline);
    observe__answered(x, bytes);
    if (c != NULL) {
        connection__answered(c, !x->close);
    }
    const bool detached = c == NULL || c->exchange != x;
    if (detached) {
        x->connection = NULL;
    }
    if (x->operation != OPERATION_NONE) {
        abandon(x);
        return;
    }
    if (x->queued.next != NULL) { /* its completion is on the ready list */
        exchange__move(x, EXCHANGE_ABANDONED);
        return;
    }
    exchange__move(x, EXCHANGE_ANSWERED);
    if (detached) {
        link__append(&x->http->done, &x->queued);
    }
}

void exchange__sweep(struct cx_http *http)
{
    struct link *link = NULL;
    while ((link = link__take_first(&http->done)) != NULL) {
        struct cx_exchange *x =
            (struct cx_exchange *)(void *)((char *)link - offsetof(struct cx_exchange, queued));
        exchange__drop(x);
    }
}

void exchange__drop(struct cx_exchange *x)
{
    struct cx_http *http = x->http;
    CX_CHECK(x->operation == OPERATION_NONE && x->state != EXCHANGE_RUNNING);
    deadline__stop(&x->deadline);
    link__remove(&x->queued);
    while (x->defers != NULL) {
        const struct http_defer *d = x->defers;
        x->defers = d->next;
        d->release(d->arg);
    }
    stream__drop(x);
    json_decref(x->resource_ids);
    request__free(&x->request);
    cx_buf_free(&x->reply.body);
    cx_buf_free(&x->reply.packed);
    link__remove(&x->link);
    http->exchange_count--;
    cx_gauge_set(http->exchanges_gauge, (double)http->exchange_count);
    if (http->spare_count < SPARE_MAX) {
        cx_arena_reset(&x->arena);
        x->next_spare = http->spare;
        http->spare = x;
        http->spare_count++;
    } else {
        cx_arena_free(&x->arena);
        free(x);
    }
    server__check_drained(http);
}

void exchange__free_spares(struct cx_http *http)
{
    while (http->spare != NULL) {
        struct cx_exchange *x = http->spare;
        http->spare = x->next_spare;
        cx_arena_free(&x->arena);
        free(x);
    }
}
