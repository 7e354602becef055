/* SPDX-License-Identifier: MIT
 *
 * GET, PUT and DELETE of one key of hot state. It lives in memory and is changed on the loop; where it
 * is to outlive the process, a change is on disk before it shows, and before it is acknowledged.
 */
#include "api/hot.h"

#define TTL_DEFAULT_SECONDS 300
#define TTL_MAX_SECONDS (10ULL * 366 * 86400)
#define ENVELOPE_BYTES 256 /* around a value in an answer */

struct hot_request {
    struct cx_exchange *x;
    struct cx_api *api;
    struct api__body body;
    struct cx_hot_entry entry;
    bool saved;  /* on disk, and not in memory yet */
    bool erased; /* on disk, and not in memory yet */
    bool created;
    struct cx_timer *timer; /* while room is being made */
};

static enum cx_step_result hot_get(struct cx_exchange *x);
static enum cx_step_result hot_body(struct cx_exchange *x);
static enum cx_step_result hot_parse(struct cx_exchange *x);
static enum cx_step_result hot_save(struct cx_exchange *x);
static enum cx_step_result hot_put(struct cx_exchange *x);
static enum cx_step_result hot_put_reply(struct cx_exchange *x);
static enum cx_step_result hot_erase(struct cx_exchange *x);
static enum cx_step_result hot_remove(struct cx_exchange *x);

static const struct cx_step hot_get_steps[] = {
    { "get", hot_get, false }, /* loop */
};
static const struct cx_step hot_put_steps[] = {
    { "body", hot_body, false },       /* loop, or waits: cpu lane where it is large          */
    { "parse", hot_parse, false },     /* loop                                                */
    { "save", hot_save, false },       /* loop, or waits: write lane where it is persisted    */
    { "put", hot_put, false },         /* loop, or waits: turns of it, while room is made     */
    { "reply", hot_put_reply, false }, /* loop                                                */
};
static const struct cx_step hot_delete_steps[] = {
    { "erase", hot_erase, false },   /* loop, or waits: write lane where it is persisted */
    { "remove", hot_remove, false }, /* loop                                             */
};
API_ENDPOINT(api__hot_get, hot_get_steps, 0);
API_ENDPOINT(api__hot_put, hot_put_steps, sizeof(struct hot_request));
API_ENDPOINT(api__hot_delete, hot_delete_steps, sizeof(struct hot_request));

static void read_name(struct cx_exchange *x, struct cx_faults *faults, const char *name, size_t max,
                      struct cx_str *out)
{
    *out = cx_str_of(cx_exchange_param(x, name));
    if (out->len < 1 || out->len > max || !cx_utf8_valid(*out)) {
        json_t *loc = json_pack("[ss]", "path", name);
        cx_faults_add(faults, loc, "length", "must be 1 to %zu bytes of UTF-8", max);
        json_decref(loc);
    }
}

void api__hot_read_path(struct cx_exchange *x, struct cx_faults *faults, struct cx_str *space,
                        struct cx_str *key)
{
    read_name(x, faults, "namespace", CX_HOT_NAMESPACE_MAX_BYTES, space);
    if (key != NULL) {
        read_name(x, faults, "key", CX_HOT_KEY_MAX_BYTES, key);
    }
}

void api__hot_tell(struct cx_api *api, const char *what, struct cx_str space, struct cx_str key,
                   const char *correlation_id)
{
    json_t *payload = json_object();
    json_object_set_new(payload, "what", json_string(what));
    json_object_set_new(payload, "namespace", json_stringn(space.p, space.len));
    json_t *ids = json_array();
    if (key.p != NULL) {
        json_object_set_new(payload, "key", json_stringn(key.p, key.len));
        json_array_append_new(ids, json_stringn(key.p, key.len));
    }
    cx_events_emit(api->options.events, CX_EVENT_STATE_UPDATED, payload, ids, correlation_id);
}

/* ---- Getting ---- */

static void put_expiry(struct cx_buf *out, const struct cx_hot_entry *entry)
{
    char text[CX_TIME_TEXT_BYTES];
    if (entry->expires_us == 0) {
        cx_buf_puts(out, "\"expires_at\":null");
    } else {
        cx_buf_printf(out, "\"expires_at\":\"%s\"", cx_time_format(entry->expires_us, text));
    }
    cx_buf_printf(out, ",\"size_bytes\":%zu}", entry->value.len);
}

static enum cx_step_result hot_get(struct cx_exchange *x)
{
    struct cx_api *api = api__of(x);
    struct cx_hot_entry entry;
    struct cx_str space;
    struct cx_str key;
    struct cx_faults faults;
    cx_faults_init(&faults);
    api__hot_read_path(x, &faults, &space, &key);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &faults);
    if (checked != CX_STEP_NEXT) {
        return checked;
    }
    if (!cx_hot_get(api->hot.hot, space, key, cx_loop_now_ms(api->options.loop), &entry)) {
        return cx_exchange_fail(x, CX_NOT_FOUND, "There is no such key, or it has expired");
    }
    struct cx_buf answer;
    cx_buf_init(&answer, entry.value.len + ENVELOPE_BYTES);
    cx_buf_puts(&answer, "{\"value\":");
    cx_buf_put_str(&answer, entry.value);
    cx_buf_putc(&answer, ',');
    put_expiry(&answer, &entry);
    return cx_exchange_reply_buf(x, 200, "application/json", &answer);
}

/* ---- Putting ---- */

static void release_put(void *arg);
static void apply(struct hot_request *r);

static enum cx_step_result hot_body(struct cx_exchange *x)
{
    struct hot_request *r = cx_exchange_state(x);
    r->x = x;
    r->api = api__of(x);
    cx_exchange_defer(x, release_put, r);
    return api__body_parse(x, &r->body);
}

/* What is on disk shows, even if its client has left. */
static void release_put(void *arg)
{
    struct hot_request *r = arg;
    if (r->saved && cx_hot_make_room(r->api->hot.hot, &r->entry,
                                     cx_loop_now_ms(r->api->options.loop), SIZE_MAX)) {
        apply(r);
    }
    api__body_free(&r->body);
}

static void read_ttl(struct cx_exchange *x, struct cx_faults *faults, struct cx_hot_entry *entry);
static struct cx_str trimmed(struct cx_str text);

static enum cx_step_result hot_parse(struct cx_exchange *x)
{
    struct hot_request *r = cx_exchange_state(x);
    struct cx_faults faults;
    cx_faults_init(&faults);
    api__hot_read_path(x, &faults, &r->entry.space, &r->entry.key);
    read_ttl(x, &faults, &r->entry);
    r->entry.value = trimmed(r->body.text);
    r->entry.stamp = cx_hot_stamp(r->api->hot.hot);
    return cx_exchange_fail_faults(x, &faults);
}

static void read_ttl(struct cx_exchange *x, struct cx_faults *faults, struct cx_hot_entry *entry)
{
    const char *text = cx_exchange_query(x, "ttl");
    uint64_t seconds = TTL_DEFAULT_SECONDS;
    if (text != NULL && (!cx_parse_u64(cx_str_of(text), &seconds) || seconds > TTL_MAX_SECONDS)) {
        api__query_fault(faults, "ttl", "range",
                         "must be a number of seconds up to ten years; 0 means for ever");
        return;
    }
    if (seconds > 0) {
        entry->expires_ms = cx_loop_now_ms(api__of(x)->options.loop) + seconds * 1000;
        entry->expires_us = cx_clock_wall_us() + (int64_t)seconds * 1000000;
    }
}

/* It was parsed: what it is made of is known to be good, and stands as the client wrote it. */
static struct cx_str trimmed(struct cx_str text)
{
    while (text.len > 0 && (unsigned char)text.p[0] <= ' ') {
        text.p++;
        text.len--;
    }
    while (text.len > 0 && (unsigned char)text.p[text.len - 1] <= ' ') {
        text.len--;
    }
    return text;
}

static enum cx_status save_work(void *arg, struct cx_err *err);

static enum cx_step_result hot_save(struct cx_exchange *x)
{
    struct hot_request *r = cx_exchange_state(x);
    if (!r->api->hot.persist) {
        return CX_STEP_NEXT;
    }
    return cx_exchange_work(x, r->api->options.write_lane, CX_PRIORITY_NORMAL, save_work, r);
}

static enum cx_status save_work(void *arg, struct cx_err *err)
{
    struct hot_request *r = arg;
    const enum cx_status status =
        cx_hot_save(cx_store_writer(r->api->options.store), &r->entry, err);
    r->saved = status == CX_OK;
    return status;
}

static bool make_room(struct hot_request *r)
{
    return cx_hot_make_room(r->api->hot.hot, &r->entry, cx_loop_now_ms(r->api->options.loop),
                            API_HOT_STEPS);
}

static void on_turn(void *ctx);

static enum cx_step_result hot_put(struct cx_exchange *x)
{
    struct hot_request *r = cx_exchange_state(x);
    if (make_room(r)) {
        apply(r);
        return CX_STEP_NEXT;
    }
    cx_timer_new(r->api->options.loop, on_turn, r, &r->timer);
    cx_timer_start(r->timer, 0, 0);
    return cx_exchange_wait(x, NULL, NULL);
}

static void on_turn(void *ctx)
{
    struct hot_request *r = ctx;
    if (!make_room(r)) {
        cx_timer_start(r->timer, 0, 0);
        return;
    }
    cx_timer_free(&r->timer);
    apply(r);
    cx_exchange_resume(r->x, CX_OK, NULL);
}

static void apply(struct hot_request *r)
{
    cx_hot_put(r->api->hot.hot, &r->entry, cx_loop_now_ms(r->api->options.loop), &r->created);
    r->saved = false;
    api__hot_tell(r->api, "hot", r->entry.space, r->entry.key, cx_exchange_correlation_id(r->x));
}

static enum cx_step_result hot_put_reply(struct cx_exchange *x)
{
    const struct hot_request *r = cx_exchange_state(x);
    struct cx_buf answer;
    cx_buf_init(&answer, ENVELOPE_BYTES);
    cx_buf_putc(&answer, '{');
    put_expiry(&answer, &r->entry);
    return cx_exchange_reply_buf(x, r->created ? 201 : 200, "application/json", &answer);
}

/* ---- Removing ---- */

static void release_delete(void *arg);
static bool remove_now(struct hot_request *r);
static enum cx_status erase_work(void *arg, struct cx_err *err);

static enum cx_step_result hot_erase(struct cx_exchange *x)
{
    struct hot_request *r = cx_exchange_state(x);
    r->x = x;
    r->api = api__of(x);
    cx_exchange_defer(x, release_delete, r);
    struct cx_faults faults;
    cx_faults_init(&faults);
    api__hot_read_path(x, &faults, &r->entry.space, &r->entry.key);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &faults);
    r->entry.stamp = cx_hot_stamp(r->api->hot.hot);
    if (checked != CX_STEP_NEXT || !r->api->hot.persist) {
        return checked;
    }
    return cx_exchange_work(x, r->api->options.write_lane, CX_PRIORITY_NORMAL, erase_work, r);
}

static enum cx_status erase_work(void *arg, struct cx_err *err)
{
    struct hot_request *r = arg;
    const enum cx_status status =
        cx_hot_erase(cx_store_writer(r->api->options.store), &r->entry, 1, err);
    r->erased = status == CX_OK;
    return status;
}

/* What is off the disk is gone, even if its client has left. */
static void release_delete(void *arg)
{
    struct hot_request *r = arg;
    if (r->erased) {
        (void)remove_now(r);
    }
}

static enum cx_step_result hot_remove(struct cx_exchange *x)
{
    struct hot_request *r = cx_exchange_state(x);
    return remove_now(r)
               ? cx_exchange_reply_empty(x, 204)
               : cx_exchange_fail(x, CX_NOT_FOUND, "There is no such key, or it has expired");
}

static bool remove_now(struct hot_request *r)
{
    r->erased = false;
    const bool removed = cx_hot_remove(r->api->hot.hot, r->entry.space, r->entry.key,
                                       r->entry.stamp, cx_loop_now_ms(r->api->options.loop));
    if (removed) {
        api__hot_tell(r->api, "hot_removed", r->entry.space, r->entry.key,
                      cx_exchange_correlation_id(r->x));
    }
    return removed;
}
