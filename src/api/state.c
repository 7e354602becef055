/* SPDX-License-Identifier: MIT
 *
 * The state's own contents: resources, hot facts, the summary. Reading goes over the read lane, changing
 * over the write lane; each change tells the snapshot and the bus.
 */
#include "api/api_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_MAX 512
#define NAME_MAX_CHARS 1024
#define URI_MAX_CHARS 4096
#define SUMMARY_MAX_CHARS 4096
#define FACT_PRIORITY_MAX 1000000
#define FACT_TTL_MAX_SECONDS (10LL * 366 * 86400)

/* One request: what its worker reads, and below what it writes. */
struct state_request {
    struct cx_api *api;
    struct cx_str id;
    const json_t *resource;
    struct cx_fact fact;
    struct cx_str summary;
    json_t *result; /* owned, released with the exchange */
    bool created;
    uint64_t version;
};

static enum cx_step_result discover_load(struct cx_exchange *x);
static enum cx_step_result discover_reply(struct cx_exchange *x);
static enum cx_step_result resource_load(struct cx_exchange *x);
static enum cx_step_result resource_parse(struct cx_exchange *x);
static enum cx_step_result resource_store(struct cx_exchange *x);
static enum cx_step_result resource_put_reply(struct cx_exchange *x);
static enum cx_step_result resource_remove(struct cx_exchange *x);
static enum cx_step_result removed_reply(struct cx_exchange *x);
static enum cx_step_result facts_load(struct cx_exchange *x);
static enum cx_step_result fact_parse(struct cx_exchange *x);
static enum cx_step_result fact_store(struct cx_exchange *x);
static enum cx_step_result fact_add_reply(struct cx_exchange *x);
static enum cx_step_result fact_remove(struct cx_exchange *x);
static enum cx_step_result summary_load(struct cx_exchange *x);
static enum cx_step_result summary_parse(struct cx_exchange *x);
static enum cx_step_result summary_store(struct cx_exchange *x);
static enum cx_step_result summary_put_reply(struct cx_exchange *x);
static enum cx_step_result result_reply(struct cx_exchange *x);

static const struct cx_step discover_steps[] = {
    { "load", discover_load, false },   /* waits: read lane */
    { "reply", discover_reply, false }, /* loop             */
};
static const struct cx_step resource_get_steps[] = {
    { "load", resource_load, false }, /* waits: read lane */
    { "reply", result_reply, false }, /* loop             */
};
static const struct cx_step resource_put_steps[] = {
    { "parse", resource_parse, false },     /* loop              */
    { "store", resource_store, false },     /* waits: write lane */
    { "reply", resource_put_reply, false }, /* loop              */
};
static const struct cx_step resource_delete_steps[] = {
    { "remove", resource_remove, false }, /* waits: write lane */
    { "reply", removed_reply, false },    /* loop              */
};
static const struct cx_step facts_get_steps[] = {
    { "load", facts_load, false },    /* waits: read lane */
    { "reply", result_reply, false }, /* loop             */
};
static const struct cx_step fact_add_steps[] = {
    { "parse", fact_parse, false },     /* loop              */
    { "store", fact_store, false },     /* waits: write lane */
    { "reply", fact_add_reply, false }, /* loop              */
};
static const struct cx_step fact_delete_steps[] = {
    { "remove", fact_remove, false },  /* waits: write lane */
    { "reply", removed_reply, false }, /* loop              */
};
static const struct cx_step summary_get_steps[] = {
    { "load", summary_load, false },  /* waits: read lane */
    { "reply", result_reply, false }, /* loop             */
};
static const struct cx_step summary_put_steps[] = {
    { "parse", summary_parse, false },     /* loop              */
    { "store", summary_store, false },     /* waits: write lane */
    { "reply", summary_put_reply, false }, /* loop              */
};

API_ENDPOINT(api__discover, discover_steps, sizeof(struct state_request));
API_ENDPOINT(api__resource_get, resource_get_steps, sizeof(struct state_request));
API_ENDPOINT(api__resource_put, resource_put_steps, sizeof(struct state_request));
API_ENDPOINT(api__resource_delete, resource_delete_steps, sizeof(struct state_request));
API_ENDPOINT(api__facts_get, facts_get_steps, sizeof(struct state_request));
API_ENDPOINT(api__fact_add, fact_add_steps, sizeof(struct state_request));
API_ENDPOINT(api__fact_delete, fact_delete_steps, sizeof(struct state_request));
API_ENDPOINT(api__summary_get, summary_get_steps, sizeof(struct state_request));
API_ENDPOINT(api__summary_put, summary_put_steps, sizeof(struct state_request));

/* ---- Shared by all of them ---- */

static void release_result(void *arg)
{
    struct state_request *r = arg;
    json_decref(r->result);
}

static struct state_request *begin(struct cx_exchange *x)
{
    struct state_request *r = cx_exchange_state(x);
    if (r->api == NULL) {
        r->api = api__of(x);
        cx_exchange_defer(x, release_result, r);
    }
    return r;
}

static enum cx_step_result read_lane(struct cx_exchange *x, cx_exchange_work_fn work)
{
    struct state_request *r = begin(x);
    return cx_exchange_work(x, r->api->options.read_lane, CX_PRIORITY_NORMAL, work, r);
}

static enum cx_step_result write_lane(struct cx_exchange *x, cx_exchange_work_fn work)
{
    struct state_request *r = begin(x);
    return cx_exchange_work(x, r->api->options.write_lane, CX_PRIORITY_NORMAL, work, r);
}

static enum cx_step_result reply_result(struct cx_exchange *x, int http_status)
{
    struct state_request *r = cx_exchange_state(x);
    return cx_exchange_reply_json(x, http_status, json_incref(r->result));
}

static enum cx_step_result result_reply(struct cx_exchange *x)
{
    return reply_result(x, 200);
}

static void told_changed(struct cx_exchange *x, const char *what, struct cx_str id)
{
    struct state_request *r = cx_exchange_state(x);
    json_t *payload = json_object();
    json_object_set_new(payload, "what", json_string(what));
    json_t *ids = NULL;
    if (id.p != NULL) {
        ids = json_array();
        json_array_append_new(ids, json_stringn(id.p, id.len));
    }
    api__state_changed(r->api, r->version);
    cx_events_emit(r->api->options.events, CX_EVENT_STATE_UPDATED, payload, ids,
                   cx_exchange_correlation_id(x));
}

/* After a change: the version that the loop must know before it serves another pack. */
static enum cx_status with_version(struct state_request *r, struct cx_db *db, enum cx_status status,
                                   struct cx_err *err)
{
    return status == CX_OK ? cx_state_version(db, &r->version, err) : status;
}

/* ---- Resources ---- */

static enum cx_status discover_work(void *arg, struct cx_err *err);
static enum cx_status resource_load_work(void *arg, struct cx_err *err);
static enum cx_status resource_store_work(void *arg, struct cx_err *err);
static enum cx_status resource_remove_work(void *arg, struct cx_err *err);
static bool read_id(struct cx_exchange *x);

static enum cx_step_result discover_load(struct cx_exchange *x)
{
    return read_lane(x, discover_work);
}

static enum cx_status discover_work(void *arg, struct cx_err *err)
{
    struct state_request *r = arg;
    struct cx_db *db = cx_store_reader(r->api->options.store);
    /* The version first: if a change comes between the two, the validator is older than what it
     * stands for, and the next request just gets the list again. */
    enum cx_status status = cx_state_version(db, &r->version, err);
    if (status == CX_OK) {
        status = cx_state_resources(db, &r->result, err);
    }
    cx_store_return(r->api->options.store, db);
    return status;
}

static enum cx_step_result discover_reply(struct cx_exchange *x)
{
    struct state_request *r = cx_exchange_state(x);
    char etag[64];
    snprintf(etag, sizeof etag, "W/\"%llx-%llx\"", (unsigned long long)r->api->started_us,
             (unsigned long long)r->version);
    cx_exchange_set_etag(x, etag);
    cx_exchange_set_cache_control(x, "private, no-cache");
    cx_exchange_set_header(x, "Vary", "Authorization");
    json_t *body = json_object();
    json_object_set(body, "resources", r->result);
    return cx_exchange_reply_json(x, 200, body);
}

static enum cx_step_result resource_load(struct cx_exchange *x)
{
    begin(x);
    if (!read_id(x)) {
        return cx_exchange_fail(x, CX_NOT_FOUND, "There is no such resource");
    }
    return read_lane(x, resource_load_work);
}

static bool read_id(struct cx_exchange *x)
{
    struct state_request *r = cx_exchange_state(x);
    r->id = cx_str_of(cx_exchange_param(x, "id"));
    return r->id.len >= 1 && r->id.len <= ID_MAX && cx_utf8_valid(r->id);
}

static enum cx_status resource_load_work(void *arg, struct cx_err *err)
{
    struct state_request *r = arg;
    struct cx_db *db = cx_store_reader(r->api->options.store);
    const enum cx_status status = cx_state_resource(db, r->id, &r->result, err);
    cx_store_return(r->api->options.store, db);
    return status;
}

static void resource_read(struct cx_exchange *x, const json_t *body, struct cx_faults *faults);

static enum cx_step_result resource_parse(struct cx_exchange *x)
{
    begin(x);
    json_t *body = NULL;
    const enum cx_step_result parsed = api__body_json(x, &body);
    if (parsed != CX_STEP_NEXT) {
        return parsed;
    }
    struct cx_faults faults;
    cx_faults_init(&faults);
    resource_read(x, body, &faults);
    return cx_exchange_fail_faults(x, &faults);
}

static void resource_read(struct cx_exchange *x, const json_t *body, struct cx_faults *faults)
{
    struct state_request *r = cx_exchange_state(x);
    struct cx_reader reader;
    cx_reader_init(&reader, body, faults, "body");
    struct cx_str id = { NULL, 0 };
    struct cx_str kind = { NULL, 0 };
    struct cx_str name = { NULL, 0 };
    struct cx_str uri = { NULL, 0 };
    const json_t *metadata = NULL;
    if (!read_id(x)) {
        json_t *loc = json_pack("[ss]", "path", "id");
        cx_faults_add(faults, loc, "length", "must be 1 to %d bytes of UTF-8", ID_MAX);
        json_decref(loc);
    } else if (cx_read_string(&reader, "id", CX_OPTIONAL, 1, ID_MAX, &id) &&
               !cx_str_eq(id, r->id)) {
        cx_read_fault(&reader, "id", "value", "must be the id of the path");
    }
    cx_read_string(&reader, "kind", CX_REQUIRED, 1, NAME_MAX_CHARS, &kind);
    cx_read_string(&reader, "name", CX_REQUIRED, 1, NAME_MAX_CHARS, &name);
    cx_read_string(&reader, "uri", CX_REQUIRED, 0, URI_MAX_CHARS, &uri);
    cx_read_object(&reader, "metadata", CX_OPTIONAL, &metadata);
    cx_reader_free(&reader);
    if (faults->count > 0) {
        return;
    }
    json_t *resource = json_object();
    json_object_set_new(resource, "id", json_stringn(r->id.p, r->id.len));
    json_object_set_new(resource, "kind", json_stringn(kind.p, kind.len));
    json_object_set_new(resource, "name", json_stringn(name.p, name.len));
    json_object_set_new(resource, "uri", json_stringn(uri.p, uri.len));
    json_object_set_new(resource, "metadata",
                        metadata != NULL ? json_deep_copy(metadata) : json_object());
    r->result = resource;
    r->resource = resource;
}

static enum cx_step_result resource_store(struct cx_exchange *x)
{
    return write_lane(x, resource_store_work);
}

static enum cx_status resource_store_work(void *arg, struct cx_err *err)
{
    struct state_request *r = arg;
    struct cx_db *db = cx_store_writer(r->api->options.store);
    return with_version(r, db, cx_state_put_resource(db, r->resource, &r->created, err), err);
}

static enum cx_step_result resource_put_reply(struct cx_exchange *x)
{
    struct state_request *r = cx_exchange_state(x);
    told_changed(x, "resource", r->id);
    return reply_result(x, r->created ? 201 : 200);
}

static enum cx_step_result resource_remove(struct cx_exchange *x)
{
    begin(x);
    if (!read_id(x)) {
        return cx_exchange_fail(x, CX_NOT_FOUND, "There is no such resource");
    }
    return write_lane(x, resource_remove_work);
}

static enum cx_status resource_remove_work(void *arg, struct cx_err *err)
{
    struct state_request *r = arg;
    struct cx_db *db = cx_store_writer(r->api->options.store);
    return with_version(r, db, cx_state_delete_resource(db, r->id, err), err);
}

static enum cx_step_result removed_reply(struct cx_exchange *x)
{
    struct state_request *r = cx_exchange_state(x);
    told_changed(x, "removed", r->id);
    return cx_exchange_reply_empty(x, 204);
}

/* ---- Facts ---- */

static enum cx_status facts_load_work(void *arg, struct cx_err *err);
static enum cx_status fact_store_work(void *arg, struct cx_err *err);
static enum cx_status fact_remove_work(void *arg, struct cx_err *err);

static enum cx_step_result facts_load(struct cx_exchange *x)
{
    return read_lane(x, facts_load_work);
}

static enum cx_status facts_load_work(void *arg, struct cx_err *err)
{
    struct state_request *r = arg;
    struct cx_db *db = cx_store_reader(r->api->options.store);
    json_t *facts = NULL;
    const enum cx_status status = cx_state_facts(db, cx_clock_wall_us(), &facts, err);
    cx_store_return(r->api->options.store, db);
    if (status == CX_OK) {
        r->result = json_object();
        json_object_set_new(r->result, "facts", facts);
    }
    return status;
}

static enum cx_step_result fact_parse(struct cx_exchange *x)
{
    struct state_request *r = begin(x);
    json_t *body = NULL;
    const enum cx_step_result parsed = api__body_json(x, &body);
    if (parsed != CX_STEP_NEXT) {
        return parsed;
    }
    struct cx_faults faults;
    struct cx_reader reader;
    cx_faults_init(&faults);
    cx_reader_init(&reader, body, &faults, "body");
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

static enum cx_step_result fact_store(struct cx_exchange *x)
{
    return write_lane(x, fact_store_work);
}

static enum cx_status fact_store_work(void *arg, struct cx_err *err)
{
    struct state_request *r = arg;
    struct cx_db *db = cx_store_writer(r->api->options.store);
    const enum cx_status status =
        cx_state_add_fact(db, &r->fact, cx_clock_wall_us(), &r->result, &r->created, err);
    return with_version(r, db, status, err);
}

static enum cx_step_result fact_add_reply(struct cx_exchange *x)
{
    struct state_request *r = cx_exchange_state(x);
    const char *id = json_string_value(json_object_get(r->result, "id"));
    told_changed(x, "fact", cx_str_of(id));
    return reply_result(x, r->created ? 201 : 200);
}

static enum cx_step_result fact_remove(struct cx_exchange *x)
{
    begin(x);
    if (!read_id(x)) {
        return cx_exchange_fail(x, CX_NOT_FOUND, "There is no such fact");
    }
    return write_lane(x, fact_remove_work);
}

static enum cx_status fact_remove_work(void *arg, struct cx_err *err)
{
    struct state_request *r = arg;
    struct cx_db *db = cx_store_writer(r->api->options.store);
    return with_version(r, db, cx_state_delete_fact(db, r->id, err), err);
}

/* ---- Summary ---- */

static enum cx_status summary_load_work(void *arg, struct cx_err *err);
static enum cx_status summary_store_work(void *arg, struct cx_err *err);

static enum cx_step_result summary_load(struct cx_exchange *x)
{
    return read_lane(x, summary_load_work);
}

static enum cx_status read_summary(struct state_request *r, struct cx_db *db, struct cx_err *err)
{
    json_t *text = NULL;
    bool fixed = false;
    const enum cx_status status = cx_state_summary(db, &text, &fixed, err);
    if (status == CX_OK) {
        r->result = json_object();
        json_object_set_new(r->result, "summary", text);
        json_object_set_new(r->result, "fixed", json_boolean(fixed));
    }
    return status;
}

static enum cx_status summary_load_work(void *arg, struct cx_err *err)
{
    struct state_request *r = arg;
    struct cx_db *db = cx_store_reader(r->api->options.store);
    const enum cx_status status = read_summary(r, db, err);
    cx_store_return(r->api->options.store, db);
    return status;
}

static enum cx_step_result summary_parse(struct cx_exchange *x)
{
    struct state_request *r = begin(x);
    json_t *body = NULL;
    const enum cx_step_result parsed = api__body_json(x, &body);
    if (parsed != CX_STEP_NEXT) {
        return parsed;
    }
    struct cx_faults faults;
    struct cx_reader reader;
    cx_faults_init(&faults);
    cx_reader_init(&reader, body, &faults, "body");
    /* null goes back to the generated sentence */
    cx_read_string(&reader, "summary", CX_OPTIONAL, 1, SUMMARY_MAX_CHARS, &r->summary);
    if (faults.count == 0 && json_object_get(body, "summary") == NULL) {
        cx_read_fault(&reader, "summary", "missing", "is required");
    }
    cx_reader_free(&reader);
    return cx_exchange_fail_faults(x, &faults);
}

static enum cx_step_result summary_store(struct cx_exchange *x)
{
    return write_lane(x, summary_store_work);
}

static enum cx_status summary_store_work(void *arg, struct cx_err *err)
{
    struct state_request *r = arg;
    struct cx_db *db = cx_store_writer(r->api->options.store);
    enum cx_status status = cx_state_set_summary(db, r->summary, err);
    if (status == CX_OK) {
        status = read_summary(r, db, err);
    }
    return with_version(r, db, status, err);
}

static enum cx_step_result summary_put_reply(struct cx_exchange *x)
{
    told_changed(x, "summary", (struct cx_str){ NULL, 0 });
    return reply_result(x, 200);
}
