/* SPDX-License-Identifier: MIT
 *
 * The way of records into the ledger. Each request lets its record wait; one job on the ledger lane
 * writes all that wait when it begins, and while it does the next group gathers: its job is queued
 * already, so that the lane goes on without asking the loop. What was written is brought into the index
 * a moment later, on the write lane.
 */
#include "api/audit.h"

#include <stdlib.h>

#define SCRATCH_BYTES ((size_t)16 * 1024) /* three names, each byte of which may take six */
#define INDEX_DELAY_MS 20                 /* lets a slice gather … */
#define INDEX_DELAY_BUSY_MS                                                                        \
    200                     /* … a larger one where many come: each is a sync of the same disk */
#define INDEX_BUSY_ROWS 256 /* … so many at once */
#define INDEX_RETRY_MS 1000 /* after a failure */
#define TIDY_FIRST_MS 1000
#define TIDY_EVERY_MS 60000

struct commit {
    struct cx_api *api;
    struct cx_job *job;
    struct cx_audit_record *records;
    bool more;
};

static void release_append(void *arg);
static void tell(struct api__audit_append *a);
static void put_member(const char *before, struct cx_str value, struct cx_buf *out);
static void submit_commit(struct cx_api *api);
static void commit_work(void *arg);
static void on_committed(void *arg, enum cx_status status);
static void tidy_after_seal(struct cx_api *api);
static void on_tidy_time(void *ctx);

struct api__audit_append *api__audit_begin(struct cx_exchange *x)
{
    struct api__audit_append *a = cx_exchange_state(x);
    if (a->x == NULL) {
        a->x = x;
        a->api = api__of(x);
        a->record.ctx = a;
        a->record.latency_ms = -1.0;
        cx_buf_init(&a->content, CX_AUDIT_ENTRY_MAX_BYTES);
        cx_exchange_defer(x, release_append, a);
    }
    return a;
}

/* What is in the ledger is told, also where its client has left. */
static void release_append(void *arg)
{
    struct api__audit_append *a = arg;
    tell(a);
    cx_buf_free(&a->content);
    api__body_free(&a->body);
}

static void tell(struct api__audit_append *a)
{
    const struct cx_audit_record *r = &a->record;
    if (a->told || r->status != CX_OK || r->sequence == 0 || r->known) {
        return;
    }
    a->told = true;
    struct cx_buf *payload = &a->api->audit.scratch[0];
    struct cx_buf *ids = &a->api->audit.scratch[1];
    cx_buf_clear(payload);
    put_member("{\"run_id\":", r->run_id, payload);
    if (r->kind == CX_AUDIT_RUN) {
        put_member(",\"agent_name\":", r->agent, payload);
        put_member(",\"method_name\":", a->method, payload);
    }
    cx_buf_puts(payload, ",\"sequence\":");
    cx_buf_put_u64(payload, r->sequence);
    cx_buf_putc(payload, '}');
    cx_buf_clear(ids);
    put_member("[", r->run_id, ids);
    cx_buf_putc(ids, ']');
    CX_CHECK(!payload->failed && !ids->failed);
    cx_events_emit_text(a->api->options.events, CX_EVENT_AUDIT_RECORDED,
                        (struct cx_str){ payload->data, payload->len },
                        (struct cx_str){ ids->data, ids->len }, cx_exchange_correlation_id(a->x));
}

static void put_member(const char *before, struct cx_str value, struct cx_buf *out)
{
    cx_buf_puts(out, before);
    cx_json_write_string(value, out);
}

enum cx_step_result api__audit_append(struct cx_exchange *x)
{
    struct api__audit_append *a = cx_exchange_state(x);
    a->record.content = (struct cx_str){ a->content.data, a->content.len };
    struct cx_err err = { "" };
    bool commit = false;
    const enum cx_status status = cx_audit_offer(a->api->options.audit, &a->record, &commit, &err);
    if (status != CX_OK) {
        cx_exchange_set_retry_after(x, 1);
        return cx_exchange_fail(x, status, "%s", err.text);
    }
    if (commit) {
        submit_commit(a->api);
    }
    cx_exchange_set_overdue(x, CX_OUTCOME_UNKNOWN); /* it is written, or not, whoever waits */
    return cx_exchange_wait(x, NULL, NULL);
}

/* At most two of them are on the lane, which is the ledger's alone: it is never full. */
static void submit_commit(struct cx_api *api)
{
    struct commit *c = cx_alloc(sizeof *c);
    c->api = api;
    api->audit.commits++;
    CX_CHECK(cx_lane_submit(api->options.ledger_lane, CX_PRIORITY_HIGH, commit_work, on_committed,
                            c, &c->job) == CX_OK);
}

static void commit_work(void *arg)
{
    struct commit *c = arg;
    c->records = cx_audit_commit(c->api->options.audit, &c->more);
}

static void on_committed(void *arg, enum cx_status status)
{
    struct commit *c = arg;
    struct cx_api *api = c->api;
    CX_CHECK(status == CX_OK); /* nobody cancels it */
    api->audit.commits--;
    if (c->more) {
        submit_commit(api);
    }
    const struct cx_err conflict = { "This run_id is taken by an entry with other content" };
    for (struct cx_audit_record *r = c->records, *next = NULL; r != NULL; r = next) {
        next = r->next;
        struct api__audit_append *a = r->ctx;
        cx_exchange_resume(a->x, r->status, r->status == CX_CONFLICT ? &conflict : NULL);
    }
    free(c);
    api__audit_index_wake(api);
    tidy_after_seal(api);
    if (cx_audit_failed(api->options.audit)) {
        cx_api_check_health(api);
    }
}

enum cx_step_result api__audit_receipt(struct cx_exchange *x)
{
    struct api__audit_append *a = cx_exchange_state(x);
    tell(a);
    struct cx_buf *answer = &a->api->audit.scratch[0];
    cx_buf_clear(answer);
    cx_audit_write_receipt(&a->record, answer);
    CX_CHECK(!answer->failed);
    return cx_exchange_reply_bytes(x, 200, "application/json",
                                   (struct cx_str){ answer->data, answer->len },
                                   (struct cx_str){ NULL, 0 });
}

/* ---- The index --------------------------------------------------------------------------------- */

static void on_index_time(void *ctx);
static void index_work(void *arg);
static void on_indexed(void *arg, enum cx_status status);

void api__audit_start(struct cx_api *api)
{
    for (size_t i = 0; i < CX_ARRAY_LEN(api->audit.scratch); i++) {
        cx_buf_init(&api->audit.scratch[i], SCRATCH_BYTES);
    }
    cx_timer_new(api->options.loop, on_index_time, api, &api->audit.timer);
    cx_timer_new(api->options.loop, on_tidy_time, api, &api->audit.tidy_timer);
    cx_timer_start(api->audit.tidy_timer, TIDY_FIRST_MS, TIDY_EVERY_MS);
}

void api__audit_index_wake(struct cx_api *api)
{
    if (api->audit.timer != NULL && api->audit.job == NULL && !api->audit.waking) {
        api->audit.waking = true;
        cx_timer_start(api->audit.timer,
                       api->audit.index_busy ? INDEX_DELAY_BUSY_MS : INDEX_DELAY_MS, 0);
    }
}

static void on_index_time(void *ctx)
{
    struct cx_api *api = ctx;
    struct cx_audit_figures figures;
    cx_audit_figures(api->options.audit, &figures);
    api->audit.waking = false;
    api->audit.index_busy = figures.unindexed >= INDEX_BUSY_ROWS;
    if (api->audit.job == NULL &&
        cx_lane_submit(api->options.write_lane, CX_PRIORITY_NORMAL, index_work, on_indexed, api,
                       &api->audit.job) != CX_OK) {
        api->audit.job = NULL;
        api__audit_index_wake(api);
    }
}

static void index_work(void *arg)
{
    struct cx_api *api = arg;
    struct cx_err err = { "" };
    api->audit.index_more = false;
    api->audit.index_status = cx_audit_index(api->options.audit, &api->audit.index_more, &err);
    if (api->audit.index_status != CX_OK) {
        CX_LOG(CX_LOG_WARN, "ledger: not indexed, trying again", CX_S("error", err.text));
    }
}

static void on_indexed(void *arg, enum cx_status status)
{
    struct cx_api *api = arg;
    api->audit.job = NULL;
    if (api->audit.timer == NULL) {
        return; /* draining: the next start goes on */
    }
    if (status != CX_OK || api->audit.index_status != CX_OK) {
        api->audit.waking = true;
        cx_timer_start(api->audit.timer, INDEX_RETRY_MS, 0);
    } else if (api->audit.index_more) {
        on_index_time(api);
    }
}

void api__audit_stop(struct cx_api *api)
{
    cx_timer_free(&api->audit.timer);
    cx_timer_free(&api->audit.tidy_timer);
}

void api__audit_free(struct cx_api *api)
{
    for (size_t i = 0; i < CX_ARRAY_LEN(api->audit.scratch); i++) {
        cx_buf_free(&api->audit.scratch[i]);
    }
}

bool api__audit_idle(const struct cx_api *api)
{
    return api->audit.job == NULL && api->audit.tidy_job == NULL && api->audit.commits == 0 &&
           api->audit.walks == 0;
}

/* ---- Sealed segments --------------------------------------------------------------------------- */

static void tidy_work(void *arg);
static void on_tidied(void *arg, enum cx_status status);

static void tidy_after_seal(struct cx_api *api)
{
    struct cx_audit_figures figures;
    cx_audit_figures(api->options.audit, &figures);
    if (figures.segment != api->audit.segment) {
        api->audit.segment = figures.segment;
        on_tidy_time(api);
    }
}

/* On the cpu lane, piece by piece: a large segment stands in nobody's way. */
static void on_tidy_time(void *ctx)
{
    struct cx_api *api = ctx;
    if (api->audit.tidy_timer != NULL && api->audit.tidy_job == NULL &&
        cx_lane_submit(api->options.cpu_lane, CX_PRIORITY_NORMAL, tidy_work, on_tidied, api,
                       &api->audit.tidy_job) != CX_OK) {
        api->audit.tidy_job = NULL; /* the next round asks again */
    }
}

static void tidy_work(void *arg)
{
    struct cx_api *api = arg;
    struct cx_err err = { "" };
    if (cx_audit_tidy(api->options.audit, &api->audit.tidy_more, &err) != CX_OK) {
        CX_LOG(CX_LOG_WARN, "ledger: sealed segments are left as they are for now",
               CX_S("error", err.text));
        api->audit.tidy_more = false;
    }
}

static void on_tidied(void *arg, enum cx_status status)
{
    struct cx_api *api = arg;
    api->audit.tidy_job = NULL;
    if (status == CX_OK && api->audit.tidy_more) {
        on_tidy_time(api);
    } else {
        api__audit_index_wake(api); /* which forgets what was removed */
    }
}
