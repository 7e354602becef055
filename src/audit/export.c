/* SPDX-License-Identifier: MIT
 *
 * Runs with their labels as lines, oldest first, for those who learn from them. Each piece looks anew, so
 * that nothing is held while the client is slow. Any worker, with a reader of the store of its own.
 */
#include "audit/query.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/json.h"

#define PIECE_BYTES ((size_t)256 * 1024)
#define PIECE_RUNS 256
#define PIECE_NS UINT64_C(20000000)

static enum cx_status next_places(struct cx_audit *a, struct cx_db *db,
                                  const struct cx_audit_export *e, struct audit__found *found,
                                  size_t *count, struct cx_err *err);
struct last_read { /* labels stand elsewhere than what they judge */
    struct audit__unpacked runs;
    struct audit__unpacked labels;
};
static enum cx_status put_run(struct cx_audit *a, struct cx_db *db, const struct cx_audit_export *e,
                              const struct audit__found *found, struct last_read *last,
                              struct cx_buf *out, struct cx_err *err);

enum cx_status cx_audit_export_some(struct cx_audit *a, struct cx_audit_export *e,
                                    struct cx_buf *out, bool *more, struct cx_err *err)
{
    if (e->end == 0) {
        struct cx_audit_figures figures;
        cx_audit_figures(a, &figures);
        e->end = figures.size;
    }
    struct cx_db *db = cx_store_reader(a->options.store);
    struct audit__found found[PIECE_RUNS];
    size_t count = 0;
    const uint64_t until = cx_clock_mono_ns() + PIECE_NS;
    enum cx_status status = next_places(a, db, e, found, &count, err);
    struct last_read last = { .runs = { .segment = 0 } };
    size_t done = 0;
    while (status == CX_OK && done < count && out->len < PIECE_BYTES &&
           (done == 0 || cx_clock_mono_ns() < until)) {
        status = put_run(a, db, e, &found[done], &last, out, err);
        e->after = found[done++].sequence;
    }
    audit__unpacked_free(&last.runs);
    audit__unpacked_free(&last.labels);
    cx_store_return(a->options.store, db);
    *more = done < count || count == PIECE_RUNS;
    if (status == CX_OK && out->failed) {
        status = cx_err_set(err, CX_TOO_LARGE, "%s", cx_status_text(CX_TOO_LARGE));
    }
    return status;
}

/* ---- Which come next --------------------------------------------------------------------------- */

static size_t recent_places(struct cx_audit *a, const struct audit__selection *s,
                            struct audit__found *found);

/* Memory first: what is taken out of it meanwhile is then in the index. */
static enum cx_status next_places(struct cx_audit *a, struct cx_db *db,
                                  const struct cx_audit_export *e, struct audit__found *found,
                                  size_t *count, struct cx_err *err)
{
    const struct audit__selection s = { .agent = e->agent,
                                        .correlation = e->correlation,
                                        .after = e->after,
                                        .to = e->end,
                                        .since_us = e->since_us,
                                        .until_us = e->until_us };
    struct audit__found *recent = cx_realloc_array(NULL, PIECE_RUNS, sizeof *recent);
    const size_t recent_count = recent_places(a, &s, recent);
    const enum cx_status status = audit__index_select(db, &s, false, PIECE_RUNS, found, count, err);
    for (size_t i = 0; status == CX_OK && i < recent_count && *count < PIECE_RUNS; i++) {
        if (*count == 0 || recent[i].sequence > found[*count - 1].sequence) {
            found[(*count)++] = recent[i];
        }
    }
    free(recent);
    return status;
}

static size_t recent_places(struct cx_audit *a, const struct audit__selection *s,
                            struct audit__found *found)
{
    size_t count = 0;
    audit__lock(a);
    for (const struct audit__recent *r = a->first_recent; r != NULL && count < PIECE_RUNS;
         r = r->next) {
        if (audit__is_selected(s, r)) {
            found[count++] = (struct audit__found){ .sequence = r->sequence, .place = r->place };
        }
    }
    audit__unlock(a);
    return count;
}

/* ---- One line ---------------------------------------------------------------------------------- */

static struct cx_str run_id_of(const json_t *content)
{
    const json_t *value = json_object_get(content, "run_id");
    return (struct cx_str){ json_string_value(value), json_string_length(value) };
}

static bool has_label(struct cx_audit *a, const struct audit__found *newest, struct cx_str label,
                      struct audit__unpacked *last)
{
    struct cx_buf text;
    struct audit__line line;
    struct audit__entry entry;
    json_t *content = NULL;
    cx_buf_init(&text, AUDIT__LINE_MAX_BYTES);
    bool same = false;
    if (audit__read_line(a, &newest->place, last, &text, &line, &entry, NULL) == CX_OK &&
        cx_json_parse(entry.content, &content, NULL) == CX_OK) {
        const json_t *value = json_object_get(content, "label");
        same = json_is_string(value) &&
               cx_str_eq(label,
                         (struct cx_str){ json_string_value(value), json_string_length(value) });
    }
    json_decref(content);
    cx_buf_free(&text);
    return same;
}

static enum cx_status put_run(struct cx_audit *a, struct cx_db *db, const struct cx_audit_export *e,
                              const struct audit__found *found, struct last_read *last,
                              struct cx_buf *out, struct cx_err *err)
{
    struct cx_buf text;
    struct audit__line line;
    struct audit__entry entry;
    json_t *content = NULL;
    struct audit__found labels[AUDIT__LABELS_MAX];
    size_t count = 0;
    cx_buf_init(&text, AUDIT__LINE_MAX_BYTES);
    enum cx_status status =
        audit__read_line(a, &found->place, &last->runs, &text, &line, &entry, err);
    if (status == CX_NOT_FOUND) {
        cx_buf_free(&text);
        return CX_OK; /* retention took it, or it is damaged, which verifying tells */
    }
    if (status == CX_OK) {
        status = cx_json_parse(entry.content, &content, err);
    }
    if (status == CX_OK) {
        status = audit__find_labels(a, db, run_id_of(content), labels, &count, err);
    }
    const bool wanted =
        count > 0 ? e->label.p == NULL || has_label(a, &labels[count - 1], e->label, &last->labels)
                  : e->label.p == NULL && !e->labelled;
    if (status == CX_OK && wanted) {
        audit__put_entry(&line, &entry, out);
        cx_buf_puts(out, ",\"labels\":");
        status = audit__put_labels(a, labels, count, &last->labels, out, err);
        cx_buf_puts(out, "}\n");
    }
    json_decref(content);
    cx_buf_free(&text);
    return status;
}
