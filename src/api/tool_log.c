/* SPDX-License-Identifier: MIT
 *
 * The log of tool invocations: the last 500 requests of routes that are tools of agents, failures
 * too, with their real sizes and latencies. In memory, in a ring; each is told on the bus as well.
 *
 * Threads: loop.
 */
#include "api/api_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/json.h"

#define ENTRIES 500
#define RESOURCES_MAX 32 /* of an entry … */
#define RESOURCE_BYTES ((size_t)4 * 1024)
#define ANSWER_BYTES ((size_t)8 << 20)

struct api__tool_entry {
    const char *tool;
    const char *scope;
    const char *error; /* reason word; NULL = it went well */
    size_t input_bytes;
    size_t output_bytes;
    uint64_t latency_ns;
    int status;
    int64_t wall_us;
    struct cx_buf resources;  /* the elements of a JSON array; their memory is used again */
    char correlation_id[129]; /* the longest that is taken over */
};

static enum cx_step_result log_reply(struct cx_exchange *x);
static const struct cx_step log_steps[] = { { "reply", log_reply, false } };
API_ENDPOINT(api__tool_log_get, log_steps, 0);

void api__tool_log_free(struct cx_api *api)
{
    for (size_t i = 0; i < api->tool_log.count && i < ENTRIES; i++) {
        cx_buf_free(&api->tool_log.entries[i].resources);
    }
    free(api->tool_log.entries);
}

/* ---- Writing ---- */

static void put_resources(struct api__tool_entry *e, const json_t *ids);
static json_t *payload_of(const struct api__tool_entry *e);
static json_t *first_resources(const json_t *ids);

void cx_api_tool_invoked(void *context, const struct cx_http_invocation *invocation)
{
    struct cx_api *api = context;
    struct api__tool_log *log = &api->tool_log;
    if (log->entries == NULL) {
        log->entries = cx_alloc(ENTRIES * sizeof *log->entries);
    }
    struct api__tool_entry *e = &log->entries[log->count++ % ENTRIES];
    e->tool = invocation->tool;
    e->scope = cx_scope_name((enum cx_scope)invocation->scope);
    e->error = invocation->reason == CX_OK ? NULL : cx_status_reason(invocation->reason);
    e->input_bytes = invocation->input_bytes;
    e->output_bytes = invocation->output_bytes;
    e->latency_ns = invocation->latency_ns;
    e->status = invocation->status;
    e->wall_us = cx_clock_wall_us();
    const size_t len = strnlen(invocation->correlation_id, sizeof e->correlation_id - 1);
    memcpy(e->correlation_id, invocation->correlation_id, len);
    e->correlation_id[len] = '\0';
    put_resources(e, invocation->resource_ids);
    cx_events_emit(api->options.events, CX_EVENT_TOOL_INVOKED, payload_of(e),
                   first_resources(invocation->resource_ids), e->correlation_id);
}

/* How many of them an entry, and its event, speaks of. */
static size_t resource_count(const json_t *ids)
{
    size_t count = 0;
    size_t bytes = 0;
    while (count < json_array_size(ids) && count < RESOURCES_MAX) {
        bytes += json_string_length(json_array_get(ids, count));
        if (bytes > RESOURCE_BYTES / 2) { /* with the room that escapes take */
            break;
        }
        count++;
    }
    return count;
}

static void put_resources(struct api__tool_entry *e, const json_t *ids)
{
    if (e->resources.ceiling == 0) {
        cx_buf_init(&e->resources, 8 * RESOURCE_BYTES);
    }
    cx_buf_clear(&e->resources);
    const size_t count = resource_count(ids);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            cx_buf_putc(&e->resources, ',');
        }
        cx_json_write(json_array_get(ids, i), &e->resources);
    }
}

static json_t *first_resources(const json_t *ids)
{
    json_t *first = json_array();
    const size_t count = resource_count(ids);
    for (size_t i = 0; i < count; i++) {
        json_array_append(first, json_array_get(ids, i));
    }
    return first;
}

static double latency_ms(const struct api__tool_entry *e)
{
    return round((double)e->latency_ns / 1e3) / 1e3;
}

static json_t *payload_of(const struct api__tool_entry *e)
{
    json_t *payload = json_object();
    json_object_set_new(payload, "tool_name", json_string(e->tool));
    json_object_set_new(payload, "status", json_string(e->error == NULL ? "ok" : "error"));
    json_object_set_new(payload, "latency_ms", json_real(latency_ms(e)));
    json_object_set_new(payload, "error", e->error != NULL ? json_string(e->error) : json_null());
    return payload;
}

/* ---- Reading ---- */

static void put_entry(struct cx_buf *out, const struct api__tool_entry *e);

static enum cx_step_result log_reply(struct cx_exchange *x)
{
    const struct api__tool_log *log = &api__of(x)->tool_log;
    const char *text = cx_exchange_query(x, "limit");
    const char *tool = cx_exchange_query(x, "tool");
    uint64_t limit = ENTRIES;
    if (text != NULL && (!cx_parse_u64(cx_str_of(text), &limit) || limit < 1 || limit > ENTRIES)) {
        struct cx_faults faults;
        cx_faults_init(&faults);
        api__query_fault(&faults, "limit", "range", "must be between 1 and 500");
        return cx_exchange_fail_faults(x, &faults);
    }
    struct cx_buf answer;
    cx_buf_init(&answer, ANSWER_BYTES);
    cx_buf_puts(&answer, "{\"entries\":[");
    const size_t held = log->count < ENTRIES ? log->count : ENTRIES;
    size_t listed = 0;
    for (size_t back = 1; back <= held && listed < limit; back++) {
        const struct api__tool_entry *e = &log->entries[(log->count - back) % ENTRIES];
        if (tool == NULL || strcmp(tool, e->tool) == 0) {
            cx_buf_puts(&answer, listed++ > 0 ? "," : "");
            put_entry(&answer, e);
        }
    }
    cx_buf_puts(&answer, "]}");
    return cx_exchange_reply_buf(x, 200, "application/json", &answer);
}

static void put_entry(struct cx_buf *out, const struct api__tool_entry *e)
{
    char time[CX_TIME_TEXT_BYTES];
    cx_buf_printf(out,
                  "{\"tool_name\":\"%s\",\"scope\":\"%s\",\"input_bytes\":%zu,\"output_bytes\":%zu,"
                  "\"latency_ms\":%.3f,\"resource_ids\":[",
                  e->tool, e->scope, e->input_bytes, e->output_bytes, latency_ms(e));
    cx_buf_put_str(out, (struct cx_str){ e->resources.data, e->resources.len });
    cx_buf_printf(out, "],\"status\":\"%s\",\"http_status\":%d,\"error\":",
                  e->error == NULL ? "ok" : "error", e->status);
    if (e->error != NULL) {
        cx_buf_printf(out, "\"%s\"", e->error);
    } else {
        cx_buf_puts(out, "null");
    }
    cx_buf_puts(out, ",\"correlation_id\":");
    cx_json_write_string(cx_str_of(e->correlation_id), out);
    cx_buf_printf(out, ",\"timestamp\":\"%s\"}", cx_time_format(e->wall_us, time));
}
