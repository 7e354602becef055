/* SPDX-License-Identifier: MIT
 *
 * GET /db/list, /db/schema/{name} and /db/sample: databases that the configuration names, and our own,
 * looked at on the inspect lane.
 */
#include "api/api_internal.h"

#define NAME_MAX_BYTES 512
#define ROWS_MAX 1000
#define ROWS_DEFAULT 10

struct db {
    struct cx_api *api;
    struct cx_str name;
    struct cx_str table;
    uint64_t limit;
    struct cx_buf answer;
};

static enum cx_step_result list_look(struct cx_exchange *x);
static enum cx_step_result schema_look(struct cx_exchange *x);
static enum cx_step_result sample_look(struct cx_exchange *x);
static enum cx_step_result db_reply(struct cx_exchange *x);

static const struct cx_step list_steps[] = {
    { "look", list_look, false }, /* waits: inspect lane */
    { "reply", db_reply, false }, /* loop                */
};
static const struct cx_step schema_steps[] = {
    { "look", schema_look, false }, /* waits: inspect lane */
    { "reply", db_reply, false },   /* loop                */
};
static const struct cx_step sample_steps[] = {
    { "look", sample_look, false }, /* waits: inspect lane */
    { "reply", db_reply, false },   /* loop                */
};
API_TOOL(api__db_list, "db.list", list_steps, sizeof(struct db));
API_TOOL(api__db_schema, "db.describe", schema_steps, sizeof(struct db));
API_TOOL(api__db_sample, "db.sample", sample_steps, sizeof(struct db));

static void release_db(void *arg)
{
    struct db *d = arg;
    cx_buf_free(&d->answer);
}

static struct db *begin(struct cx_exchange *x)
{
    struct db *d = cx_exchange_state(x);
    d->api = api__of(x);
    cx_exchange_defer(x, release_db, d);
    return d;
}

static enum cx_step_result look(struct cx_exchange *x, cx_exchange_work_fn work)
{
    struct db *d = cx_exchange_state(x);
    return cx_exchange_work(x, d->api->options.inspect_lane, CX_PRIORITY_NORMAL, work, d);
}

static enum cx_status answer(struct db *d, enum cx_status status, json_t *found, struct cx_err *err)
{
    return status == CX_OK ? api__write_answer(found, &d->answer, err) : status;
}

/* ---- The looks ---- */

static enum cx_status list_work(void *arg, struct cx_err *err)
{
    struct db *d = arg;
    json_t *found = NULL;
    const enum cx_status status = cx_databases_list(d->api->options.databases, &found, err);
    return answer(d, status, found, err);
}

static enum cx_step_result list_look(struct cx_exchange *x)
{
    (void)begin(x);
    return look(x, list_work);
}

static enum cx_status schema_work(void *arg, struct cx_err *err)
{
    struct db *d = arg;
    json_t *found = NULL;
    const enum cx_status status =
        cx_databases_schema(d->api->options.databases, d->name, &found, err);
    return answer(d, status, found, err);
}

static enum cx_step_result schema_look(struct cx_exchange *x)
{
    struct db *d = begin(x);
    d->name = cx_str_of(cx_exchange_param(x, "name"));
    cx_exchange_set_resources(x, json_pack("[s%]", d->name.p, d->name.len));
    return look(x, schema_work);
}

static enum cx_status sample_work(void *arg, struct cx_err *err)
{
    struct db *d = arg;
    json_t *found = NULL;
    const enum cx_status status =
        cx_databases_sample(d->api->options.databases, d->name, d->table, (size_t)d->limit,
                            d->api->options.inspect_payload_bytes, &found, err);
    return answer(d, status, found, err);
}

static void read_name(struct cx_exchange *x, struct cx_faults *faults, const char *name,
                      struct cx_str *out)
{
    *out = cx_str_of(cx_exchange_query(x, name));
    if (out->len == 0) {
        api__query_fault(faults, name, "missing", "is required");
    } else if (out->len > NAME_MAX_BYTES || !cx_utf8_valid(*out)) {
        api__query_fault(faults, name, "length", "must be at most 512 bytes of UTF-8");
    }
}

static enum cx_step_result sample_look(struct cx_exchange *x)
{
    struct db *d = begin(x);
    const char *limit = cx_exchange_query(x, "limit");
    struct cx_faults faults;
    cx_faults_init(&faults);
    read_name(x, &faults, "name", &d->name);
    read_name(x, &faults, "table", &d->table);
    d->limit = ROWS_DEFAULT;
    if (limit != NULL &&
        (!cx_parse_u64(cx_str_of(limit), &d->limit) || d->limit < 1 || d->limit > ROWS_MAX)) {
        api__query_fault(&faults, "limit", "range", "must be between 1 and 1000");
    }
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &faults);
    if (checked != CX_STEP_NEXT) {
        return checked;
    }
    cx_exchange_set_resources(
        x, json_pack("[s%, s%]", d->name.p, d->name.len, d->table.p, d->table.len));
    return look(x, sample_work);
}

static enum cx_step_result db_reply(struct cx_exchange *x)
{
    struct db *d = cx_exchange_state(x);
    return cx_exchange_reply_buf(x, 200, "application/json", &d->answer);
}
