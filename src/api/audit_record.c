/* SPDX-License-Identifier: MIT
 *
 * POST /audit/record: an agent's run into the ledger. The content of its entry is what the client sent
 * of the members that are known, in the order of the table below, numbers as they are.
 */
#include "api/audit.h"

enum member_type { STRING, ANY, BOOLEAN, REAL, ARRAY, LIST, OBJECT };
struct member {
    struct cx_str name;
    enum member_type type;
    bool required;
    size_t max; /* bytes of a string; 0 = the body's limit */
};
#define NAME(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
enum { RUN_ID, AGENT, METHOD, CORRELATION = 5, PARSE_OK = 7, LATENCY = 13, MEMBERS = 17 };
static const struct member members[MEMBERS] = {
    [RUN_ID] = { NAME("run_id"), STRING, true, CX_AUDIT_RUN_ID_MAX },
    [AGENT] = { NAME("agent_name"), STRING, true, CX_AUDIT_NAME_MAX },
    [METHOD] = { NAME("method_name"), STRING, true, CX_AUDIT_NAME_MAX },
    { NAME("prompt"), STRING, true, 0 },
    { NAME("raw_output"), STRING, true, 0 },
    [CORRELATION] = { NAME("correlation_id"), STRING, false, CX_AUDIT_NAME_MAX },
    { NAME("parsed_data"), ANY, false, 0 },
    [PARSE_OK] = { NAME("parse_ok"), BOOLEAN, false, 0 },
    { NAME("parse_strategy"), STRING, false, 0 },
    { NAME("parse_confidence"), REAL, false, 0 },
    { NAME("parse_error"), STRING, false, 0 },
    { NAME("provider_name"), STRING, false, 0 },
    { NAME("model_name"), STRING, false, 0 },
    [LATENCY] = { NAME("latency_ms"), REAL, false, 0 },
    { NAME("context_refs"), ARRAY, false, 0 },
    { NAME("policy_decisions"), LIST, false, 0 },
    { NAME("usage"), OBJECT, false, 0 },
};
#define IDENTIFIERS 3 /* the first ones must not be empty */

struct recording {
    struct api__audit_append append; /* first: what is shared looks at it */
    const json_t *values[MEMBERS];   /* of the body; NULL = not there */
    bool good;                       /* all of them, and composed */
};

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
API_ENDPOINT(api__audit_record, record_steps, sizeof(struct recording));

static enum cx_step_result record_body(struct cx_exchange *x)
{
    return api__body_parse(x, &api__audit_begin(x)->body);
}

static enum cx_status compose_work(void *arg, struct cx_err *err);

static enum cx_step_result record_compose(struct cx_exchange *x)
{
    struct recording *r = cx_exchange_state(x);
    if (r->append.body.text.len > API_INLINE_BODY_BYTES) {
        return cx_exchange_work(x, r->append.api->options.cpu_lane, CX_PRIORITY_NORMAL,
                                compose_work, r);
    }
    struct cx_err err = { "" };
    const enum cx_status status = compose_work(r, &err);
    return status == CX_OK ? CX_STEP_NEXT : cx_exchange_fail(x, status, "%s", err.text);
}

enum judgement { GOOD, MISSING, OF_ANOTHER_TYPE, TOO_LONG, EMPTY, NEGATIVE };
static void find_members(json_t *object, const json_t *values[MEMBERS]);
static enum judgement judge(size_t index, const json_t *value);

/* Faults are left for the loop: their list is made there, which is rare. */
static enum cx_status compose_work(void *arg, struct cx_err *err)
{
    struct recording *r = arg;
    struct cx_buf *out = &r->append.content;
    if (!json_is_object(r->append.body.json)) {
        return CX_OK;
    }
    find_members(r->append.body.json, r->values);
    for (size_t i = 0; i < MEMBERS; i++) {
        if (judge(i, r->values[i]) != GOOD) {
            return CX_OK;
        }
    }
    if (r->append.body.text.len <= out->ceiling) {
        (void)cx_buf_reserve(out, r->append.body.text.len); /* mostly all that it takes */
    }
    char before = '{';
    for (size_t i = 0; i < MEMBERS; i++) {
        if (r->values[i] == NULL) {
            continue;
        }
        cx_buf_putc(out, before);
        cx_buf_putc(out, '"');
        cx_buf_put_str(out, members[i].name);
        cx_buf_puts(out, "\":");
        cx_json_write(r->values[i], out);
        before = ',';
    }
    cx_buf_putc(out, '}');
    r->good = !out->failed;
    return out->failed ? cx_err_set(err, CX_TOO_LARGE, "An entry has at most %zu bytes",
                                    CX_AUDIT_ENTRY_MAX_BYTES)
                       : CX_OK;
}

/* In one walk: asking the object for each name would hash each name. null is as good as nothing, but
 * where it is a value like any other. */
static void find_members(json_t *object, const json_t *values[MEMBERS])
{
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        const struct cx_str name = { json_object_iter_key(at), json_object_iter_key_len(at) };
        const json_t *value = json_object_iter_value(at);
        for (size_t i = 0; i < MEMBERS; i++) {
            if (cx_str_eq(name, members[i].name)) {
                values[i] = json_is_null(value) && members[i].type != ANY ? NULL : value;
                break;
            }
        }
    }
}

static bool is_of_type(enum member_type type, const json_t *value);

static enum judgement judge(size_t index, const json_t *value)
{
    const struct member *m = &members[index];
    if (value == NULL) {
        return m->required ? MISSING : GOOD;
    }
    if (!is_of_type(m->type, value)) {
        return OF_ANOTHER_TYPE;
    }
    if (m->type == STRING) {
        const size_t len = json_string_length(value);
        return m->max > 0 && len > m->max        ? TOO_LONG
               : index < IDENTIFIERS && len == 0 ? EMPTY
                                                 : GOOD;
    }
    return m->type == REAL && json_number_value(value) < 0.0 ? NEGATIVE : GOOD;
}

static bool is_of_type(enum member_type type, const json_t *value)
{
    switch (type) {
    case STRING:
        return json_is_string(value);
    case ANY:
        return true;
    case BOOLEAN:
        return json_is_boolean(value);
    case REAL:
        return json_is_number(value);
    case ARRAY:
        return json_is_array(value);
    case LIST:
        return json_is_array(value) || json_is_object(value);
    case OBJECT:
        return json_is_object(value);
    }
    return false;
}

static enum cx_step_result fail_faults(struct cx_exchange *x, const struct recording *r);
static struct cx_str text_of(const json_t *value);

static enum cx_step_result record_check(struct cx_exchange *x)
{
    struct recording *r = cx_exchange_state(x);
    if (!r->good) {
        return fail_faults(x, r);
    }
    struct cx_audit_record *record = &r->append.record;
    record->kind = CX_AUDIT_RUN;
    record->run_id = text_of(r->values[RUN_ID]);
    record->agent = text_of(r->values[AGENT]);
    record->correlation = text_of(r->values[CORRELATION]);
    r->append.method = text_of(r->values[METHOD]);
    if (r->values[PARSE_OK] != NULL) {
        record->parse_ok = json_is_true(r->values[PARSE_OK]) ? CX_AUDIT_YES : CX_AUDIT_NO;
    }
    if (r->values[LATENCY] != NULL) {
        record->latency_ms = json_number_value(r->values[LATENCY]);
    }
    return CX_STEP_NEXT;
}

static struct cx_str text_of(const json_t *value)
{
    return value != NULL ? (struct cx_str){ json_string_value(value), json_string_length(value) }
                         : (struct cx_str){ NULL, 0 };
}

static void put_fault(struct cx_reader *reader, size_t index, const json_t *value);

static enum cx_step_result fail_faults(struct cx_exchange *x, const struct recording *r)
{
    struct cx_faults faults;
    struct cx_reader reader;
    cx_faults_init(&faults);
    cx_reader_init(&reader, r->append.body.json, &faults, "body");
    for (size_t i = 0; reader.object != NULL && i < MEMBERS; i++) {
        put_fault(&reader, i, r->values[i]);
    }
    cx_reader_free(&reader);
    const enum cx_step_result failed = cx_exchange_fail_faults(x, &faults);
    CX_CHECK(failed != CX_STEP_NEXT); /* the same judgement has refused it before */
    return failed;
}

static void put_fault(struct cx_reader *reader, size_t index, const json_t *value)
{
    static const char *const types[] = {
        [STRING] = "a string",  [ANY] = "a value",    [BOOLEAN] = "true or false",
        [REAL] = "a number",    [ARRAY] = "an array", [LIST] = "an array or an object",
        [OBJECT] = "an object",
    };
    const struct member *m = &members[index];
    switch (judge(index, value)) {
    case GOOD:
        break;
    case MISSING:
        cx_read_fault(reader, m->name.p, "missing", "is required");
        break;
    case OF_ANOTHER_TYPE:
        cx_read_fault(reader, m->name.p, "type", "must be %s", types[m->type]);
        break;
    case TOO_LONG:
        cx_read_fault(reader, m->name.p, "length", "must be at most %zu bytes", m->max);
        break;
    case EMPTY:
        cx_read_fault(reader, m->name.p, "length", "must not be empty");
        break;
    case NEGATIVE:
        cx_read_fault(reader, m->name.p, "range", "must not be negative");
        break;
    }
}
