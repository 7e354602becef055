/* SPDX-License-Identifier: MIT
 *
 * POST /vector/search. The query becomes a vector where the mode wants one; if the embedding
 * service fails and the client did not insist on `semantic`, the answer comes by keyword and says
 * so.
 */
#include "api/search_request.h"

#include <math.h>

struct search {
    struct api__search_run run;
    struct api__body body;
    struct cx_buf answer; /* from here on: the search's results */
    json_t *hit_ids;
};

static enum cx_step_result search_body(struct cx_exchange *x);
static enum cx_step_result search_parse(struct cx_exchange *x);
static enum cx_step_result search_hits(struct cx_exchange *x);
static enum cx_step_result search_reply(struct cx_exchange *x);

static const struct cx_step search_steps[] = {
    /* clang-format off */
    { "body", search_body, false },        /* loop, or waits: cpu lane where it is large             */
    { "parse", search_parse, false },      /* loop:  body → struct search, every fault of it at once */
    { "embed", api__search_embed, false }, /* waits: provider                                        */
    { "ask", api__search_ask, true },      /* loop: or by keyword? Waits: Chroma, where it answers   */
    { "hits", search_hits, false },        /* waits: cpu lane                                        */
    { "reply", search_reply, false },      /* loop                                                   */
    /* clang-format on */
};
API_TOOL(api__search, "vector.search", search_steps, sizeof(struct search));

/* ---- parse ---- */

static void release_search(void *arg);

static enum cx_step_result search_body(struct cx_exchange *x)
{
    const enum cx_step_result there = api__need_store(x);
    if (there != CX_STEP_NEXT) {
        return there;
    }
    struct search *s = cx_exchange_state(x);
    s->run.api = api__of(x);
    cx_exchange_defer(x, release_search, s);
    return api__body_parse(x, &s->body);
}

static enum cx_step_result search_parse(struct cx_exchange *x)
{
    struct search *s = cx_exchange_state(x);
    struct cx_faults faults;
    cx_faults_init(&faults);
    api__search_read(x, s->body.json, NULL, &faults, &s->run.q);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &faults);
    return checked == CX_STEP_NEXT ? api__search_find(x) : checked;
}

static void release_search(void *arg)
{
    struct search *s = arg;
    api__search_release(&s->run);
    json_decref(s->hit_ids);
    api__body_free(&s->body);
    cx_buf_free(&s->answer);
}

/* ---- hits ---- */

static enum cx_status search_work(void *arg, struct cx_err *err);

static enum cx_step_result search_hits(struct cx_exchange *x)
{
    struct search *s = cx_exchange_state(x);
    return cx_exchange_work(x, s->run.api->options.cpu_lane, CX_PRIORITY_HIGH, search_work, s);
}

static void write_rest(const struct search *s, struct cx_buf *out);
static void write_ms(struct cx_buf *out, const char *before, uint64_t ns);

static enum cx_status search_work(void *arg, struct cx_err *err)
{
    struct search *s = arg;
    s->hit_ids = json_array();
    cx_buf_init(&s->answer, API_ANSWER_MAX_BYTES);
    cx_buf_puts(&s->answer, "{\"hits\":");
    const enum cx_status status = api__search_write(&s->run, &s->answer, s->hit_ids, err);
    if (status != CX_OK) {
        return status;
    }
    write_rest(s, &s->answer);
    if (s->answer.starved) {
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    return s->answer.failed
               ? cx_err_set(err, CX_TOO_LARGE,
                            "The answer would be larger than %zu bytes: ask for less at once",
                            API_ANSWER_MAX_BYTES)
               : CX_OK;
}

static void write_rest(const struct search *s, struct cx_buf *out)
{
    char timestamp[CX_TIME_TEXT_BYTES];
    const struct cx_str query = s->run.q.what.query;
    cx_buf_puts(out, ",\"query\":");
    cx_json_write_string(query.p != NULL ? query : CX_STR(""), out);
    cx_buf_puts(out, ",\"timestamp\":\"");
    cx_buf_puts(out, cx_time_format(cx_clock_wall_us(), timestamp));
    write_ms(out, "\",\"query_embedding_time_ms\":", s->run.embed_ns);
    write_ms(out, ",\"search_time_ms\":", s->run.took_ns);
    if (s->run.degraded != NULL) {
        cx_buf_puts(out, ",\"degraded\":");
        cx_json_write_string(cx_str_of(s->run.degraded), out);
    }
    cx_buf_putc(out, '}');
}

/* As many digits as mean something. */
static void write_ms(struct cx_buf *out, const char *before, uint64_t ns)
{
    cx_buf_puts(out, before);
    cx_json_write_real(round((double)ns / 1e3) / 1e3, out);
}

/* ---- reply ---- */

static enum cx_step_result search_reply(struct cx_exchange *x)
{
    struct search *s = cx_exchange_state(x);
    api__search_tell(x, s->hit_ids);
    s->hit_ids = NULL;
    return cx_exchange_reply_buf(x, 200, "application/json", &s->answer);
}
