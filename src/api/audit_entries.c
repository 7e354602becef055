/* SPDX-License-Identifier: MIT
 *
 * GET /audit/entries, /audit/entries/{run_id}, /audit/stats and /keys: looking into the ledger, on the
 * read lane; the figures are kept in memory.
 */
#include "api/api_internal.h"

#define STATS_MAX_BYTES ((size_t)4 << 20)

struct looking {
    struct cx_api *api;
    struct cx_audit_query query;
    struct cx_str run_id;
    struct cx_buf answer;
};

static enum cx_step_result list_parse(struct cx_exchange *x);
static enum cx_step_result list_load(struct cx_exchange *x);
static enum cx_step_result entry_load(struct cx_exchange *x);
static enum cx_step_result stats_load(struct cx_exchange *x);
static enum cx_step_result keys_load(struct cx_exchange *x);
static enum cx_step_result reply(struct cx_exchange *x);

static const struct cx_step list_steps[] = {
    { "parse", list_parse, false }, /* loop             */
    { "load", list_load, false },   /* waits: read lane */
    { "reply", reply, false },      /* loop             */
};
static const struct cx_step entry_steps[] = {
    { "load", entry_load, false }, /* waits: read lane */
    { "reply", reply, false },     /* loop             */
};
static const struct cx_step stats_steps[] = {
    { "load", stats_load, false }, /* waits: read lane */
    { "reply", reply, false },     /* loop             */
};
static const struct cx_step keys_steps[] = {
    { "load", keys_load, false }, /* waits: read lane */
    { "reply", reply, false },    /* loop             */
};
API_ENDPOINT(api__audit_entries, list_steps, sizeof(struct looking));
API_ENDPOINT(api__audit_entry, entry_steps, sizeof(struct looking));
API_ENDPOINT(api__audit_stats, stats_steps, sizeof(struct looking));
API_ENDPOINT(api__keys, keys_steps, sizeof(struct looking));

static void release_looking(void *arg);

static struct looking *begin(struct cx_exchange *x)
{
    struct looking *l = cx_exchange_state(x);
    l->api = api__of(x);
    cx_buf_init(&l->answer, API_ANSWER_MAX_BYTES);
    cx_exchange_defer(x, release_looking, l);
    return l;
}

static void release_looking(void *arg)
{
    struct looking *l = arg;
    cx_buf_free(&l->answer);
}

static enum cx_step_result load(struct cx_exchange *x, cx_exchange_work_fn work)
{
    struct looking *l = cx_exchange_state(x);
    return cx_exchange_work(x, l->api->options.read_lane, CX_PRIORITY_NORMAL, work, l);
}

static enum cx_step_result reply(struct cx_exchange *x)
{
    struct looking *l = cx_exchange_state(x);
    return cx_exchange_reply_buf(x, 200, "application/json", &l->answer);
}

/* ---- A page ---- */

static enum cx_step_result list_parse(struct cx_exchange *x)
{
    struct looking *l = begin(x);
    struct cx_faults faults;
    cx_faults_init(&faults);
    api__read_page(x, &faults, &l->query.limit, &l->query.cursor);
    api__read_time(x, &faults, "since", &l->query.since_us);
    l->query.agent = cx_str_of(cx_exchange_query(x, "agent"));
    l->query.correlation = cx_str_of(cx_exchange_query(x, "correlation_id"));
    return cx_exchange_fail_faults(x, &faults);
}

static enum cx_status list_work(void *arg, struct cx_err *err)
{
    struct looking *l = arg;
    return cx_audit_list(l->api->options.audit, &l->query, &l->answer, err);
}

static enum cx_step_result list_load(struct cx_exchange *x)
{
    return load(x, list_work);
}

/* ---- One entry ---- */

static enum cx_status entry_work(void *arg, struct cx_err *err)
{
    struct looking *l = arg;
    return cx_audit_find(l->api->options.audit, l->run_id, &l->answer, err);
}

static enum cx_step_result entry_load(struct cx_exchange *x)
{
    struct looking *l = begin(x);
    l->run_id = cx_str_of(cx_exchange_param(x, "run_id"));
    return load(x, entry_work);
}

/* ---- Figures ---- */

static enum cx_status stats_work(void *arg, struct cx_err *err)
{
    struct looking *l = arg;
    (void)err;
    cx_audit_stats(l->api->options.audit, &l->answer);
    return l->answer.failed || l->answer.len > STATS_MAX_BYTES ? CX_NO_MEMORY : CX_OK;
}

static enum cx_step_result stats_load(struct cx_exchange *x)
{
    (void)begin(x);
    return load(x, stats_work);
}

/* ---- Public keys ---- */

static enum cx_status keys_work(void *arg, struct cx_err *err)
{
    struct looking *l = arg;
    return cx_audit_keys(l->api->options.audit, &l->answer, err);
}

static enum cx_step_result keys_load(struct cx_exchange *x)
{
    (void)begin(x);
    return load(x, keys_work);
}
