/* SPDX-License-Identifier: MIT
 *
 * The state's resources: all of them, one, putting and removing one. Reading goes over the read
 * lane, changing over the write lane.
 */
#include "api/state_request.h"

#include <stdio.h>

#define NAME_MAX_CHARS 1024
#define URI_MAX_CHARS 4096

static enum cx_step_result discover_load(struct cx_exchange *x);
static enum cx_step_result discover_reply(struct cx_exchange *x);
static enum cx_step_result resource_load(struct cx_exchange *x);
static enum cx_step_result resource_body(struct cx_exchange *x);
static enum cx_step_result resource_parse(struct cx_exchange *x);
static enum cx_step_result resource_store(struct cx_exchange *x);
static enum cx_step_result resource_remove(struct cx_exchange *x);

static const struct cx_step discover_steps[] = {
    { "load", discover_load, false },   /* waits: read lane */
    { "reply", discover_reply, false }, /* loop             */
};
static const struct cx_step resource_get_steps[] = {
    { "load", resource_load, false },     /* waits: read lane */
    { "reply", api__state_reply, false }, /* loop             */
};
static const struct cx_step resource_put_steps[] = {
    { "body", resource_body, false },     /* loop, or waits: cpu lane where it is large */
    { "parse", resource_parse, false },   /* loop                                       */
    { "store", resource_store, false },   /* waits: write lane                          */
    { "reply", api__state_reply, false }, /* loop                                       */
};
static const struct cx_step resource_delete_steps[] = {
    { "remove", resource_remove, false },         /* waits: write lane */
    { "reply", api__state_removed_reply, false }, /* loop              */
};

API_ENDPOINT(api__discover, discover_steps, sizeof(struct api__state_request));
API_ENDPOINT(api__resource_get, resource_get_steps, sizeof(struct api__state_request));
API_ENDPOINT(api__resource_put, resource_put_steps, sizeof(struct api__state_request));
API_ENDPOINT(api__resource_delete, resource_delete_steps, sizeof(struct api__state_request));

/* ---- Reading ---- */

static enum cx_status discover_work(void *arg, struct cx_err *err);

static enum cx_step_result discover_load(struct cx_exchange *x)
{
    return api__state_read(x, discover_work);
}

static enum cx_status discover_work(void *arg, struct cx_err *err)
{
    struct api__state_request *r = arg;
    struct cx_db *db = cx_store_reader(r->api->options.store);
    json_t *resources = NULL;
    /* The version first: if a change comes between the two, the validator is older than what it
     * stands for, and the next request just gets the list again. */
    enum cx_status status = cx_state_version(db, &r->version, err);
    if (status == CX_OK) {
        status = cx_state_resources(db, &resources, err);
    }
    cx_store_return(r->api->options.store, db);
    return status == CX_OK
               ? api__write_answer(json_pack("{s:o}", "resources", resources), &r->answer, err)
               : status;
}

static enum cx_step_result discover_reply(struct cx_exchange *x)
{
    struct api__state_request *r = cx_exchange_state(x);
    char etag[64];
    snprintf(etag, sizeof etag, "W/\"%llx-%llx\"", (unsigned long long)r->api->started_us,
             (unsigned long long)r->version);
    cx_exchange_set_etag(x, etag);
    cx_exchange_set_cache_control(x, "private, no-cache");
    cx_exchange_set_header(x, "Vary", "Authorization");
    return api__state_reply(x);
}

static enum cx_status resource_load_work(void *arg, struct cx_err *err);

static enum cx_step_result resource_load(struct cx_exchange *x)
{
    if (!api__state_read_id(x)) {
        return cx_exchange_fail(x, CX_NOT_FOUND, "There is no such resource");
    }
    return api__state_read(x, resource_load_work);
}

static enum cx_status resource_load_work(void *arg, struct cx_err *err)
{
    struct api__state_request *r = arg;
    struct cx_db *db = cx_store_reader(r->api->options.store);
    json_t *resource = NULL;
    const enum cx_status status = cx_state_resource(db, r->id, &resource, err);
    cx_store_return(r->api->options.store, db);
    return status == CX_OK ? api__write_answer(resource, &r->answer, err) : status;
}

/* ---- Putting ---- */

static enum cx_step_result resource_body(struct cx_exchange *x)
{
    return api__body_parse(x, &api__state_begin(x)->body);
}

static void resource_read(struct cx_exchange *x, struct cx_faults *faults);

static enum cx_step_result resource_parse(struct cx_exchange *x)
{
    struct cx_faults faults;
    cx_faults_init(&faults);
    resource_read(x, &faults);
    return cx_exchange_fail_faults(x, &faults);
}

static void resource_read(struct cx_exchange *x, struct cx_faults *faults)
{
    struct api__state_request *r = cx_exchange_state(x);
    struct cx_reader reader;
    cx_reader_init(&reader, r->body.json, faults, "body");
    struct cx_str id = { NULL, 0 };
    struct cx_str kind = { NULL, 0 };
    struct cx_str name = { NULL, 0 };
    struct cx_str uri = { NULL, 0 };
    const json_t *metadata = NULL;
    if (!api__state_read_id(x)) {
        json_t *loc = json_pack("[ss]", "path", "id");
        cx_faults_add(faults, loc, "length", "must be 1 to %d bytes of UTF-8", API_STATE_ID_MAX);
        json_decref(loc);
    } else if (cx_read_string(&reader, "id", CX_OPTIONAL, 1, API_STATE_ID_MAX, &id) &&
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
    r->resource = json_object();
    json_object_set_new(r->resource, "id", json_stringn(r->id.p, r->id.len));
    json_object_set_new(r->resource, "kind", json_stringn(kind.p, kind.len));
    json_object_set_new(r->resource, "name", json_stringn(name.p, name.len));
    json_object_set_new(r->resource, "uri", json_stringn(uri.p, uri.len));
    json_object_set_new(r->resource, "metadata",
                        metadata != NULL ? json_incref((json_t *)metadata) : json_object());
}

static enum cx_status resource_store_work(void *arg, struct cx_err *err);

static enum cx_step_result resource_store(struct cx_exchange *x)
{
    return api__state_change(x, "resource", resource_store_work);
}

static enum cx_status resource_store_work(void *arg, struct cx_err *err)
{
    struct api__state_request *r = arg;
    struct cx_db *db = cx_store_writer(r->api->options.store);
    const enum cx_status status = api__state_changed_work(
        r, db, cx_state_put_resource(db, r->resource, &r->created, err), err);
    return status == CX_OK ? api__write_answer(json_incref(r->resource), &r->answer, err) : status;
}

/* ---- Removing ---- */

static enum cx_status resource_remove_work(void *arg, struct cx_err *err);

static enum cx_step_result resource_remove(struct cx_exchange *x)
{
    if (!api__state_read_id(x)) {
        return cx_exchange_fail(x, CX_NOT_FOUND, "There is no such resource");
    }
    return api__state_change(x, "removed", resource_remove_work);
}

static enum cx_status resource_remove_work(void *arg, struct cx_err *err)
{
    struct api__state_request *r = arg;
    struct cx_db *db = cx_store_writer(r->api->options.store);
    return api__state_changed_work(r, db, cx_state_delete_resource(db, r->id, err), err);
}
