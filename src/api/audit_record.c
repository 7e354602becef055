/* SPDX-License-Identifier: MIT
 *
 * POST /audit/record: an agent's run into the ledger. The content of its entry is what the client sent
 * of the members that are known, in the order of the table below, numbers as they are.
 */
#include "api/audit.h"

#include <string.h>

enum member_type { STRING, ANY, BOOLEAN, REAL, ARRAY, LIST, OBJECT };
struct member {
    const char *name;
    enum member_type type;
    bool required;
    size_t max; /* bytes of a string; 0 = the body's limit */
};
static const struct member members[] = {
    { "run_id", STRING, true, CX_AUDIT_RUN_ID_MAX },
    { "agent_name", STRING, true, CX_AUDIT_NAME_MAX },
    { "method_name", STRING, true, CX_AUDIT_NAME_MAX },
    { "prompt", STRING, true, 0 },
    { "raw_output", STRING, true, 0 },
    { "correlation_id", STRING, false, CX_AUDIT_NAME_MAX },
    { "parsed_data", ANY, false, 0 },
    { "parse_ok", BOOLEAN, false, 0 },
    { "parse_strategy", STRING, false, 0 },
    { "parse_confidence", REAL, false, 0 },
    { "parse_error", STRING, false, 0 },
    { "provider_name", STRING, false, 0 },
    { "model_name", STRING, false, 0 },
    { "latency_ms", REAL, false, 0 },
    { "context_refs", ARRAY, false, 0 },
    { "policy_decisions", LIST, false, 0 },
    { "usage", OBJECT, false, 0 },
};
#define IDENTIFIERS 3 /* the first ones must not be empty */

static enum cx_step_result record_body(struct cx_exchange *x);
static enum cx_step_result record_compose(struct cx_exchange *x);
static enum cx_step_result record_check(struct cx_exchange *x);

static const struct cx_step record_steps[] = {
    { "body", record_body, false },         /* loop, or waits: cpu lane where it is large    */
    { "compose", record_compose, false },   /* loop, or waits: cpu lane; JSON → its entry    */
    { "check", record_check, false },       /* loop:  every fault of the input               */
    { "append", api__audit_append, false }, /* waits: ledger lane, together with others      */
    { "reply", api__audit_receipt, false }, /* loop                                          */
};
API_ENDPOINT(api__audit_record, record_steps, sizeof(struct api__audit_append));

static enum cx_step_result record_body(struct cx_exchange *x)
{
    return api__body_parse(x, &api__audit_begin(x)->body);
}

static enum cx_status compose_work(void *arg, struct cx_err *err);

static enum cx_step_result record_compose(struct cx_exchange *x)
{
    struct api__audit_append *a = cx_exchange_state(x);
    if (a->body.text.len > API_INLINE_BODY_BYTES) {
        return cx_exchange_work(x, a->api->options.cpu_lane, CX_PRIORITY_NORMAL, compose_work, a);
    }
    struct cx_err err = { "" };
    const enum cx_status status = compose_work(a, &err);
    return status == CX_OK ? CX_STEP_NEXT : cx_exchange_fail(x, status, "%s", err.text);
}

static bool is_good(const struct member *m, const json_t *value);

/* Faults are left for the loop: their list is made again there, which is rare. */
static enum cx_status compose_work(void *arg, struct cx_err *err)
{
    struct api__audit_append *a = arg;
    struct cx_buf *out = &a->content;
    if (!json_is_object(a->body.json)) {
        return CX_OK;
    }
    const char *before = "{";
    for (size_t i = 0; i < CX_ARRAY_LEN(members); i++) {
        const json_t *value = json_object_get(a->body.json, members[i].name);
        if (value == NULL || (json_is_null(value) && members[i].type != ANY)) {
            continue;
        }
        if (!is_good(&members[i], value)) {
            cx_buf_clear(out);
            return CX_OK;
        }
        cx_buf_puts(out, before);
        cx_buf_putc(out, '"');
        cx_buf_puts(out, members[i].name);
        cx_buf_puts(out, "\":");
        cx_json_write(value, out);
        before = ",";
    }
    cx_buf_putc(out, '}');
    return out->failed ? cx_err_set(err, CX_TOO_LARGE, "An entry has at most %zu bytes",
                                    CX_AUDIT_ENTRY_MAX_BYTES)
                       : CX_OK;
}

static bool is_good(const struct member *m, const json_t *value)
{
    switch (m->type) {
    case STRING:
        return json_is_string(value) && (m->max == 0 || json_string_length(value) <= m->max);
    case ANY:
        return true;
    case BOOLEAN:
        return json_is_boolean(value);
    case REAL:
        return json_is_number(value) && json_number_value(value) >= 0.0;
    case ARRAY:
        return json_is_array(value);
    case LIST:
        return json_is_array(value) || json_is_object(value);
    case OBJECT:
        return json_is_object(value);
    }
    return false;
}

static void find_fault(struct cx_reader *r, const struct member *m, size_t index);
static struct cx_str text_of(const json_t *object, const char *name);

static enum cx_step_result record_check(struct cx_exchange *x)
{
    struct api__audit_append *a = cx_exchange_state(x);
    const json_t *json = a->body.json;
    struct cx_faults faults;
    struct cx_reader r;
    cx_faults_init(&faults);
    cx_reader_init(&r, json, &faults, "body");
    for (size_t i = 0; r.object != NULL && i < CX_ARRAY_LEN(members); i++) {
        find_fault(&r, &members[i], i);
    }
    cx_reader_free(&r);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &faults);
    if (checked != CX_STEP_NEXT) {
        return checked;
    }
    a->record.kind = CX_AUDIT_RUN;
    a->record.run_id = text_of(json, "run_id");
    a->record.agent = text_of(json, "agent_name");
    a->record.correlation = text_of(json, "correlation_id");
    a->method = text_of(json, "method_name");
    const json_t *parse_ok = json_object_get(json, "parse_ok");
    a->record.parse_ok = !json_is_boolean(parse_ok) ? CX_AUDIT_UNSAID
                         : json_is_true(parse_ok)   ? CX_AUDIT_YES
                                                    : CX_AUDIT_NO;
    const json_t *latency = json_object_get(json, "latency_ms");
    a->record.latency_ms = json_is_number(latency) ? json_number_value(latency) : -1.0;
    return CX_STEP_NEXT;
}

static struct cx_str text_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_string(value)
               ? (struct cx_str){ json_string_value(value), json_string_length(value) }
               : (struct cx_str){ NULL, 0 };
}

static void find_fault(struct cx_reader *r, const struct member *m, size_t index)
{
    static const char *const types[] = {
        [STRING] = "a string",  [ANY] = "a value",    [BOOLEAN] = "true or false",
        [REAL] = "a number",    [ARRAY] = "an array", [LIST] = "an array or an object",
        [OBJECT] = "an object",
    };
    const json_t *value = json_object_get(r->object, m->name);
    if (value == NULL || (json_is_null(value) && m->type != ANY)) {
        if (m->required) {
            cx_read_fault(r, m->name, "missing", "is required");
        }
    } else if (m->type == STRING && json_is_string(value)) {
        if (m->max > 0 && json_string_length(value) > m->max) {
            cx_read_fault(r, m->name, "length", "must be at most %zu bytes", m->max);
        } else if (index < IDENTIFIERS && json_string_length(value) == 0) {
            cx_read_fault(r, m->name, "length", "must not be empty");
        }
    } else if (m->type == REAL && json_is_number(value)) {
        if (json_number_value(value) < 0.0) {
            cx_read_fault(r, m->name, "range", "must not be negative");
        }
    } else if (!is_good(m, value)) {
        cx_read_fault(r, m->name, "type", "must be %s", types[m->type]);
    }
}
