/* SPDX-License-Identifier: MIT
 *
 * GET /state/snapshots: the packs that were built, newest first, as they are kept in the database.
 */
#include "api/api_internal.h"

#include <string.h>

struct listing {
    struct cx_api *api;
    struct cx_snapshot_query query;
    struct cx_buf answer;
};

static enum cx_step_result list_parse(struct cx_exchange *x);
static enum cx_step_result list_load(struct cx_exchange *x);
static enum cx_step_result list_reply(struct cx_exchange *x);

static const struct cx_step list_steps[] = {
    { "parse", list_parse, false }, /* loop             */
    { "load", list_load, false },   /* waits: read lane */
    { "reply", list_reply, false }, /* loop             */
};
API_ENDPOINT(api__snapshots, list_steps, sizeof(struct listing));

static void release_listing(void *arg);

static enum cx_step_result list_parse(struct cx_exchange *x)
{
    struct listing *l = cx_exchange_state(x);
    l->api = api__of(x);
    cx_exchange_defer(x, release_listing, l);
    struct cx_faults faults;
    cx_faults_init(&faults);
    size_t limit = 0;
    api__read_page(x, &faults, &limit, &l->query.cursor);
    api__read_time(x, &faults, "since", &l->query.since_us);
    const char *include = cx_exchange_query(x, "include");
    if (include != NULL && strcmp(include, "snapshot") != 0) {
        api__query_fault(&faults, "include", "value", "must be snapshot");
    }
    l->query.limit = (int64_t)limit;
    l->query.session = cx_str_of(cx_exchange_query(x, "session"));
    l->query.with_packs = include != NULL;
    return cx_exchange_fail_faults(x, &faults);
}

static void release_listing(void *arg)
{
    struct listing *l = arg;
    cx_buf_free(&l->answer);
}

static enum cx_status list_work(void *arg, struct cx_err *err);

static enum cx_step_result list_load(struct cx_exchange *x)
{
    struct listing *l = cx_exchange_state(x);
    return cx_exchange_work(x, l->api->options.read_lane, CX_PRIORITY_NORMAL, list_work, l);
}

static enum cx_status list_work(void *arg, struct cx_err *err)
{
    struct listing *l = arg;
    struct cx_db *db = cx_store_reader(l->api->options.store);
    json_t *page = NULL;
    const enum cx_status status = cx_state_snapshots(db, &l->query, &page, err);
    cx_store_return(l->api->options.store, db);
    return status == CX_OK ? api__write_answer(page, &l->answer, err) : status;
}

static enum cx_step_result list_reply(struct cx_exchange *x)
{
    struct listing *l = cx_exchange_state(x);
    return cx_exchange_reply_buf(x, 200, "application/json", &l->answer);
}
