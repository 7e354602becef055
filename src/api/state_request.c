/* SPDX-License-Identifier: MIT
 *
 * See state_request.h. A change that is on disk must reach the snapshot and the bus even where its
 * client has left or its deadline has passed: then the exchange's end tells of it.
 */
#include "api/state_request.h"

static void release_request(void *arg);
static void tell_change(struct api__state_request *r);

struct api__state_request *api__state_begin(struct cx_exchange *x)
{
    struct api__state_request *r = cx_exchange_state(x);
    if (r->x == NULL) {
        r->x = x;
        r->api = api__of(x);
        cx_exchange_defer(x, release_request, r);
    }
    return r;
}

static void release_request(void *arg)
{
    struct api__state_request *r = arg;
    tell_change(r);
    json_decref(r->resource);
    api__body_free(&r->body);
    cx_buf_free(&r->answer);
}

static void tell_change(struct api__state_request *r)
{
    if (!r->stored) {
        return;
    }
    r->stored = false;
    if (!api__state_changed(r->api, r->version)) {
        return; /* it was there already */
    }
    json_t *payload = json_object();
    json_object_set_new(payload, "what", json_string(r->what));
    json_t *ids = json_array();
    if (r->id.p != NULL) {
        json_array_append_new(ids, json_stringn(r->id.p, r->id.len));
    }
    cx_events_emit(r->api->options.events, CX_EVENT_STATE_UPDATED, payload, ids,
                   cx_exchange_correlation_id(r->x));
}

bool api__state_read_id(struct cx_exchange *x)
{
    struct api__state_request *r = api__state_begin(x);
    r->id = cx_str_of(cx_exchange_param(x, "id"));
    return r->id.len >= 1 && r->id.len <= API_STATE_ID_MAX && cx_utf8_valid(r->id);
}

enum cx_step_result api__state_read(struct cx_exchange *x, cx_exchange_work_fn work)
{
    struct api__state_request *r = api__state_begin(x);
    return cx_exchange_work(x, r->api->options.read_lane, CX_PRIORITY_NORMAL, work, r);
}

enum cx_step_result api__state_change(struct cx_exchange *x, const char *what,
                                      cx_exchange_work_fn work)
{
    struct api__state_request *r = api__state_begin(x);
    r->what = what;
    return cx_exchange_work(x, r->api->options.write_lane, CX_PRIORITY_NORMAL, work, r);
}

enum cx_status api__state_changed_work(struct api__state_request *r, struct cx_db *db,
                                       enum cx_status status, struct cx_err *err)
{
    if (status != CX_OK) {
        return status;
    }
    r->stored = true;
    return cx_state_version(db, &r->version, err);
}

enum cx_step_result api__state_reply(struct cx_exchange *x)
{
    struct api__state_request *r = cx_exchange_state(x);
    tell_change(r);
    return cx_exchange_reply_buf(x, r->created ? 201 : 200, "application/json", &r->answer);
}

enum cx_step_result api__state_removed_reply(struct cx_exchange *x)
{
    tell_change(cx_exchange_state(x));
    return cx_exchange_reply_empty(x, 204);
}
