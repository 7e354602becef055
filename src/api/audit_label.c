/* SPDX-License-Identifier: MIT
 *
 * POST /audit/entries/{run_id}/label: a judgement of a run, for training: an entry of its own that points
 * at the run's. The newest one counts.
 */
#include "api/audit.h"

struct labelling {
    struct api__audit_append append; /* first: what is shared looks at it */
    uint64_t sequence;               /* of the run */
    uint8_t hash[CX_SHA256_BYTES];
};

#define LABEL_MAX_BYTES 256

static enum cx_step_result label_body(struct cx_exchange *x);
static enum cx_step_result label_parse(struct cx_exchange *x);
static enum cx_step_result label_find(struct cx_exchange *x);
static enum cx_step_result label_compose(struct cx_exchange *x);

static const struct cx_step label_steps[] = {
    { "body", label_body, false },          /* loop, or waits: cpu lane where it is large */
    { "parse", label_parse, false },        /* loop                                       */
    { "find", label_find, false },          /* waits: read lane; is there such a run?     */
    { "compose", label_compose, false },    /* loop                                       */
    { "append", api__audit_append, false }, /* waits: ledger lane, together with others   */
    { "reply", api__audit_receipt, false }, /* loop                                       */
};
API_ENDPOINT(api__audit_label, label_steps, sizeof(struct labelling));

static enum cx_step_result label_body(struct cx_exchange *x)
{
    return api__body_parse(x, &api__audit_begin(x)->body);
}

static enum cx_step_result label_parse(struct cx_exchange *x)
{
    struct api__audit_append *a = cx_exchange_state(x);
    struct cx_str label = { NULL, 0 };
    struct cx_str notes = { NULL, 0 };
    struct cx_faults faults;
    struct cx_reader r;
    cx_faults_init(&faults);
    cx_reader_init(&r, a->body.json, &faults, "body");
    if (cx_read_string(&r, "label", CX_REQUIRED, 1, SIZE_MAX, &label) &&
        label.len > LABEL_MAX_BYTES) {
        cx_read_fault(&r, "label", "length", "must be at most %d bytes", LABEL_MAX_BYTES);
    }
    cx_read_string(&r, "notes", CX_OPTIONAL, 0, SIZE_MAX, &notes);
    cx_reader_free(&r);
    a->record.kind = CX_AUDIT_LABEL;
    a->record.run_id = cx_str_of(cx_exchange_param(x, "run_id"));
    return cx_exchange_fail_faults(x, &faults);
}

static enum cx_status find_work(void *arg, struct cx_err *err)
{
    struct labelling *l = arg;
    return cx_audit_locate(l->append.api->options.audit, l->append.record.run_id, &l->sequence,
                           l->hash, err);
}

static enum cx_step_result label_find(struct cx_exchange *x)
{
    struct labelling *l = cx_exchange_state(x);
    return cx_exchange_work(x, l->append.api->options.read_lane, CX_PRIORITY_NORMAL, find_work, l);
}

static enum cx_step_result label_compose(struct cx_exchange *x)
{
    static const char *const members[] = { "label", "gold", "notes" };
    struct labelling *l = cx_exchange_state(x);
    struct cx_buf *out = &l->append.content;
    char hash[CX_SHA256_HEX_BYTES];
    cx_buf_puts(out, "{\"run_id\":");
    cx_json_write_string(l->append.record.run_id, out);
    cx_buf_printf(out, ",\"labelled_sequence\":%llu,\"labelled_hash\":\"%s\"",
                  (unsigned long long)l->sequence, cx_hex(l->hash, sizeof l->hash, hash));
    for (size_t i = 0; i < CX_ARRAY_LEN(members); i++) {
        const json_t *value = json_object_get(l->append.body.json, members[i]);
        if (value != NULL && !json_is_null(value)) {
            cx_buf_printf(out, ",\"%s\":", members[i]);
            cx_json_write(value, out);
        }
    }
    cx_buf_putc(out, '}');
    return out->failed ? cx_exchange_fail(x, CX_TOO_LARGE, "An entry has at most %zu bytes",
                                          CX_AUDIT_ENTRY_MAX_BYTES)
                       : CX_STEP_NEXT;
}
