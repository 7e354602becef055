/* SPDX-License-Identifier: MIT
 *
 * The state's hot facts and its summary. Reading goes over the read lane, changing over the write
 * lane.
 */
#include "api/state_request.h"

#include <stdio.h>

#define FACT_PRIORITY_MAX 1000000
#define FACT_TTL_MAX_SECONDS (10LL * 366 * 86400)

static enum cx_step_result state_body(struct cx_exchange *x);
static enum cx_step_result facts_load(struct cx_exchange *x);
static enum cx_step_result fact_parse(struct cx_exchange *x);
static enum cx_step_result fact_store(struct cx_exchange *x);
static enum cx_step_result fact_remove(struct cx_exchange *x);
static enum cx_step_result summary_load(struct cx_exchange *x);
static enum cx_step_result summary_parse(struct cx_exchange *x);
static enum cx_step_result summary_store(struct cx_exchange *x);

static const struct cx_step facts_get_steps[] = {
    { "load", facts_load, false },        /* waits: read lane */
    { "reply", api__state_reply, false }, /* loop             */
};
static const struct cx_step fact_add_steps[] = {
    { "body", state_body, false },        /* loop, or waits: cpu lane where it is large */
    { "parse", fact_parse, false },       /* loop                                       */
    { "store", fact_store, false },       /* waits: write lane                          */
    { "reply", api__state_reply, false }, /* loop                                       */
};
static const struct cx_step fact_delete_steps[] = {
    { "remove", fact_remove, false },             /* waits: write lane */
    { "reply", api__state_removed_reply, false }, /* loop              */
};
static const struct cx_step summary_get_steps[] = {
    { "load", summary_load, false },      /* waits: read lane */
    { "reply", api__state_reply, false }, /* loop             */
};
static const struct cx_step summary_put_steps[] = {
    { "body", state_body, false },        /* loop, or waits: cpu lane where it is large */
    { "parse", summary_parse, false },    /* loop                                       */
    { "store", summary_store, false },    /* waits: write lane                          */
    { "reply", api__state_reply, false }, /* loop                                       */
};

API_ENDPOINT(api__facts_get, facts_get_steps, sizeof(struct api__state_request));
API_ENDPOINT(api__fact_add, fact_add_steps, sizeof(struct api__state_request));
API_ENDPOINT(api__fact_delete, fact_delete_steps, sizeof(struct api__state_request));
API_ENDPOINT(api__summary_get, summary_get_steps, sizeof(struct api__state_request));
API_ENDPOINT(api__summary_put, summary_put_steps, sizeof(struct api__state_request));

static enum cx_step_result state_body(struct cx_exchange *x)
{
    return api__body_parse(x, &api__state_begin(x)->body);
}

/* ---- Facts ---- */

static enum cx_status facts_load_work(void *arg, struct cx_err *err);

static enum cx_step_result facts_load(struct cx_exchange *x)
{
    return api__state_read(x, facts_load_work);
}

static enum cx_status facts_load_work(void *arg, struct cx_err *err)
{
    struct api__state_request *r = arg;
    struct cx_db *db = cx_store_reader(r->api->options.store);
    json_t *facts = NULL;
    const enum cx_status status = cx_state_facts(db, cx_clock_wall_us(), &facts, err);
    cx_store_return(r->api->options.store, db);
    return status == CX_OK ? api__write_answer(json_pack("{s:o}", "facts", facts), &r->answer, err)
                           : status;
}

static enum cx_step_result fact_parse(struct cx_exchange *x)
{
    struct api__state_request *r = api__state_begin(x);
    struct cx_faults faults;
    struct cx_reader reader;
    cx_faults_init(&faults);
    cx_reader_init(&reader, r->body.json, &faults, "body");
    if (cx_read_string(&reader, "text", CX_REQUIRED, 1, CX_FACT_MAX_BYTES, &r->fact.text) &&
        r->fact.text.len > CX_FACT_MAX_BYTES) {
        cx_read_fault(&reader, "text", "length", "must be at most %d bytes", CX_FACT_MAX_BYTES);
    }
    cx_read_int(&reader, "priority", CX_OPTIONAL, -FACT_PRIORITY_MAX, FACT_PRIORITY_MAX,
                &r->fact.priority);
    int64_t ttl_seconds = 0;
    if (cx_read_int(&reader, "ttl_seconds", CX_OPTIONAL, 1, FACT_TTL_MAX_SECONDS, &ttl_seconds)) {
        r->fact.expires_us = cx_clock_wall_us() + ttl_seconds * 1000000;
    }
    cx_reader_free(&reader);
    return cx_exchange_fail_faults(x, &faults);
}

static enum cx_status fact_store_work(void *arg, struct cx_err *err);

static enum cx_step_result fact_store(struct cx_exchange *x)
{
    return api__state_change(x, "fact", fact_store_work);
}

static enum cx_status fact_store_work(void *arg, struct cx_err *err)
{
    struct api__state_request *r = arg;
    struct cx_db *db = cx_store_writer(r->api->options.store);
    json_t *fact = NULL;
    enum cx_status status =
        cx_state_add_fact(db, &r->fact, cx_clock_wall_us(), &fact, &r->created, err);
    if (status != CX_OK) {
        return status;
    }
    const char *id = json_string_value(json_object_get(fact, "id"));
    snprintf(r->fact_id, sizeof r->fact_id, "%s", id != NULL ? id : "");
    r->id = cx_str_of(r->fact_id);
    status = api__state_changed_work(r, db, CX_OK, err);
    if (status != CX_OK) {
        json_decref(fact);
        return status;
    }
    return api__write_answer(fact, &r->answer, err);
}

static enum cx_status fact_remove_work(void *arg, struct cx_err *err);

static enum cx_step_result fact_remove(struct cx_exchange *x)
{
    if (!api__state_read_id(x)) {
        return cx_exchange_fail(x, CX_NOT_FOUND, "There is no such fact");
    }
    return api__state_change(x, "removed", fact_remove_work);
}

static enum cx_status fact_remove_work(void *arg, struct cx_err *err)
{
    struct api__state_request *r = arg;
    struct cx_db *db = cx_store_writer(r->api->options.store);
    return api__state_changed_work(r, db, cx_state_delete_fact(db, r->id, err), err);
}

/* ---- Summary ---- */

static enum cx_status summary_load_work(void *arg, struct cx_err *err);
static enum cx_status write_summary(struct api__state_request *r, struct cx_db *db,
                                    struct cx_err *err);

static enum cx_step_result summary_load(struct cx_exchange *x)
{
    return api__state_read(x, summary_load_work);
}

static enum cx_status summary_load_work(void *arg, struct cx_err *err)
{
    struct api__state_request *r = arg;
    struct cx_db *db = cx_store_reader(r->api->options.store);
    const enum cx_status status = write_summary(r, db, err);
    cx_store_return(r->api->options.store, db);
    return status;
}

static enum cx_status write_summary(struct api__state_request *r, struct cx_db *db,
                                    struct cx_err *err)
{
    json_t *text = NULL;
    bool fixed = false;
    const enum cx_status status = cx_state_summary(db, &text, &fixed, err);
    if (status != CX_OK) {
        return status;
    }
    return api__write_answer(json_pack("{s:o, s:b}", "summary", text, "fixed", (int)fixed),
                             &r->answer, err);
}

static enum cx_step_result summary_parse(struct cx_exchange *x)
{
    struct api__state_request *r = api__state_begin(x);
    struct cx_faults faults;
    struct cx_reader reader;
    cx_faults_init(&faults);
    cx_reader_init(&reader, r->body.json, &faults, "body");
    /* null goes back to the generated sentence */
    if (cx_read_string(&reader, "summary", CX_OPTIONAL, 1, CX_SUMMARY_MAX_BYTES, &r->summary) &&
        r->summary.len > CX_SUMMARY_MAX_BYTES) {
        cx_read_fault(&reader, "summary", "length", "must be at most %d bytes",
                      CX_SUMMARY_MAX_BYTES);
    }
    if (faults.count == 0 && json_object_get(r->body.json, "summary") == NULL) {
        cx_read_fault(&reader, "summary", "missing", "is required");
    }
    cx_reader_free(&reader);
    return cx_exchange_fail_faults(x, &faults);
}

static enum cx_status summary_store_work(void *arg, struct cx_err *err);

static enum cx_step_result summary_store(struct cx_exchange *x)
{
    return api__state_change(x, "summary", summary_store_work);
}

static enum cx_status summary_store_work(void *arg, struct cx_err *err)
{
    struct api__state_request *r = arg;
    struct cx_db *db = cx_store_writer(r->api->options.store);
    const enum cx_status status =
        api__state_changed_work(r, db, cx_state_set_summary(db, r->summary, err), err);
    return status == CX_OK ? write_summary(r, db, err) : status;
}
