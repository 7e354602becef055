/* SPDX-License-Identifier: MIT
 *
 * Looking entries up. What is written and not yet in the index is found in memory, so that an entry is
 * found as soon as it was acknowledged. Any worker, with a reader of the store of its own.
 */
#include "audit/query.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cortex/json.h"

/* ---- Lines ------------------------------------------------------------------------------------- */

enum cx_status audit__read_line(const struct cx_audit *a, const struct audit__place *place,
                                struct audit__unpacked *last, struct cx_buf *buf,
                                struct audit__line *line, struct audit__entry *entry,
                                struct cx_err *err)
{
    *line = (struct audit__line){ .sequence = 0 };
    *entry = (struct audit__entry){ .kind = CX_AUDIT_RUN };
    if (place->bytes < 2 || place->bytes > AUDIT__LINE_MAX_BYTES) {
        return cx_err_set(err, CX_NOT_FOUND, "There is no such entry");
    }
    const size_t at = buf->len;
    const enum cx_status status =
        audit__read_at(a->dir, place->segment, place->offset, place->bytes, last, buf, err);
    if (status != CX_OK) {
        return status;
    }
    const struct cx_str text = { buf->data + at, place->bytes - 1 };
    if (!audit__line_parse(text, line) || !audit__entry_parse(line->entry, entry)) {
        CX_LOG(CX_LOG_ERROR, "ledger: an entry is not what was written",
               CX_I("segment", place->segment), CX_I("offset", place->offset));
        return cx_err_set(err, CX_NOT_FOUND, "This entry is damaged");
    }
    return CX_OK;
}

/* The members of the content, and where it stands in the chain: without its closing brace. */
void audit__put_entry(const struct audit__line *line, const struct audit__entry *entry,
                      struct cx_buf *out)
{
    char text[CX_SHA256_HEX_BYTES];
    char time[CX_TIME_TEXT_BYTES];
    cx_buf_append(out, entry->content.p, entry->content.len - 1);
    cx_buf_printf(out, ",\"recorded_at\":\"%s\",\"sequence\":%" PRIu64,
                  cx_time_format(entry->recorded_us, time), line->sequence);
    cx_buf_printf(out, ",\"hash\":\"%s\"", cx_hex(line->hash, sizeof line->hash, text));
    cx_buf_printf(out, ",\"previous_hash\":\"%s\"",
                  cx_hex(line->previous, sizeof line->previous, text));
}

/* ---- Receipts and figures ---------------------------------------------------------------------- */

void cx_audit_write_receipt(const struct cx_audit_record *r, struct cx_buf *out)
{
    char text[CX_SHA256_HEX_BYTES];
    char time[CX_TIME_TEXT_BYTES];
    char name[AUDIT__SEGMENT_NAME_BYTES];
    cx_buf_puts(out, "{\"run_id\":");
    cx_json_write_string(r->run_id, out);
    cx_buf_puts(out, ",\"recorded_at\":\"");
    cx_buf_puts(out, cx_time_format(r->recorded_us, time));
    cx_buf_puts(out, "\",\"ledger_path\":\"" CX_AUDIT_FOLDER "/");
    cx_buf_puts(out, audit__segment_name(r->segment, false, name));
    cx_buf_puts(out, "\",\"sequence\":");
    cx_buf_put_u64(out, r->sequence);
    cx_buf_puts(out, ",\"hash\":\"");
    cx_buf_puts(out, cx_hex(r->hash, sizeof r->hash, text));
    cx_buf_puts(out, "\",\"checkpoint\":");
    cx_buf_puts(out, r->checkpoint);
    cx_buf_putc(out, '}');
}

void cx_audit_figures(struct cx_audit *a, struct cx_audit_figures *out)
{
    audit__lock_queue(a);
    *out = (struct cx_audit_figures){ .size = a->shown_size, .segment = a->shown_segment };
    memcpy(out->head, a->shown_head, sizeof out->head);
    audit__unlock_queue(a);
    out->unindexed = atomic_load(&a->recent_count);
}

void cx_audit_stats(struct cx_audit *a, struct cx_buf *out)
{
    char text[CX_SHA256_HEX_BYTES];
    struct cx_audit_figures figures;
    cx_audit_figures(a, &figures);
    audit__lock(a);
    const struct audit__totals t = a->totals;
    cx_buf_printf(out, "{\"total_entries\":%" PRIu64 ",\"agents\":{", t.runs);
    const char *comma = "";
    for (size_t i = 0; i < AUDIT__AGENT_BUCKETS; i++) {
        for (const struct audit__agent *agent = a->agents[i]; agent != NULL; agent = agent->next) {
            cx_buf_puts(out, comma);
            cx_json_write_string((struct cx_str){ agent->name, agent->len }, out);
            cx_buf_printf(out, ":%" PRIu64, agent->entries);
            comma = ",";
        }
    }
    cx_buf_printf(out, "},\"other_agents\":%" PRIu64 ",\"success_rate\":", a->other_agents);
    cx_buf_printf(out, "%.6f,\"avg_latency_ms\":%.3f",
                  t.judged > 0 ? (double)t.parsed / (double)t.judged : 0.0,
                  t.timed > 0 ? t.latency_ms / (double)t.timed : 0.0);
    cx_buf_printf(out,
                  ",\"ledger_entries\":%" PRIu64 ",\"head\":\"%s\",\"segment\":%" PRIu32
                  ",\"unindexed\":%zu}",
                  figures.size, cx_hex(figures.head, sizeof figures.head, text), figures.segment,
                  figures.unindexed);
    audit__unlock(a);
}

static enum cx_status find_place(struct cx_audit *a, struct cx_db *db, struct cx_str run_id,
                                 struct audit__found *found, struct cx_err *err);

/* ---- One run ----------------------------------------------------------------------------------- */

enum cx_status cx_audit_find(struct cx_audit *a, struct cx_str run_id, struct cx_buf *out,
                             struct cx_err *err)
{
    struct cx_db *db = cx_store_reader(a->options.store);
    struct audit__found found;
    struct audit__line line;
    struct audit__entry entry;
    struct cx_buf text;
    cx_buf_init(&text, AUDIT__LINE_MAX_BYTES);
    enum cx_status status = find_place(a, db, run_id, &found, err);
    if (status == CX_OK) {
        status = audit__read_line(a, &found.place, NULL, &text, &line, &entry, err);
    }
    if (status == CX_OK) {
        audit__put_entry(&line, &entry, out);
        struct audit__found labels[AUDIT__LABELS_MAX];
        size_t count = 0;
        cx_buf_puts(out, ",\"labels\":");
        status = audit__find_labels(a, db, run_id, labels, &count, err);
        if (status == CX_OK) {
            status = audit__put_labels(a, labels, count, NULL, out, err);
        }
        cx_buf_putc(out, '}');
    }
    if (status == CX_OK && out->failed) {
        status = cx_err_set(err, CX_TOO_LARGE, "%s", cx_status_text(CX_TOO_LARGE));
    }
    cx_buf_free(&text);
    cx_store_return(a->options.store, db);
    return status;
}

enum cx_status audit__find_run(struct cx_audit *a, struct cx_db *db, int64_t run_hash,
                               struct cx_str run_id, struct audit__found *found, bool *in_memory,
                               struct cx_err *err)
{
    audit__lock(a);
    const struct audit__recent *recent = audit__recent_find(a, run_hash, run_id, CX_AUDIT_RUN);
    if (recent != NULL) {
        *found = (struct audit__found){ .sequence = recent->sequence,
                                        .recorded_us = recent->recorded_us,
                                        .place = recent->place };
    }
    const uint64_t removed_to = a->removed_to;
    audit__unlock(a);
    *in_memory = recent != NULL;
    return *in_memory ? CX_OK : audit__index_find(db, run_hash, run_id, removed_to, found, err);
}

static enum cx_status find_place(struct cx_audit *a, struct cx_db *db, struct cx_str run_id,
                                 struct audit__found *found, struct cx_err *err)
{
    bool in_memory = false;
    return audit__find_run(a, db, audit__run_hash(run_id), run_id, found, &in_memory, err);
}

enum cx_status audit__put_labels(struct cx_audit *a, const struct audit__found *found, size_t count,
                                 struct audit__unpacked *last, struct cx_buf *out,
                                 struct cx_err *err)
{
    enum cx_status status = CX_OK;
    struct cx_buf text;
    cx_buf_init(&text, AUDIT__LINE_MAX_BYTES);
    size_t put = 0;
    cx_buf_putc(out, '[');
    for (size_t i = 0; i < count && status == CX_OK; i++) {
        struct audit__line line;
        struct audit__entry entry;
        cx_buf_clear(&text);
        status = audit__read_line(a, &found[i].place, last, &text, &line, &entry, err);
        if (status == CX_NOT_FOUND) {
            status = CX_OK; /* it is damaged, which verifying tells; the run is not */
        } else if (status == CX_OK) {
            cx_buf_puts(out, put++ > 0 ? "," : "");
            audit__put_entry(&line, &entry, out);
            cx_buf_putc(out, '}');
        }
    }
    cx_buf_putc(out, ']');
    cx_buf_free(&text);
    return status;
}

/* Those in the index, then those in memory. */
enum cx_status audit__find_labels(struct cx_audit *a, struct cx_db *db, struct cx_str run_id,
                                  struct audit__found *found, size_t *count, struct cx_err *err)
{
    const int64_t run_hash = audit__run_hash(run_id);
    /* Memory first: what is taken out of it meanwhile is then in the index. */
    struct audit__found fresh[AUDIT__LABELS_MAX];
    size_t fresh_count = 0;
    audit__lock(a);
    for (const struct audit__recent *r = a->buckets[(uint64_t)run_hash & (a->bucket_count - 1)];
         r != NULL && fresh_count < AUDIT__LABELS_MAX; r = r->next_in_bucket) {
        if (r->run_hash == run_hash && r->kind == CX_AUDIT_LABEL && cx_str_eq(r->run_id, run_id)) {
            fresh[fresh_count++] =
                (struct audit__found){ .sequence = r->sequence, .place = r->place };
        }
    }
    audit__unlock(a);
    const enum cx_status status = audit__index_labels(db, run_hash, run_id, found, count, err);
    for (size_t i = fresh_count; i-- > 0;) { /* newest first in its bucket */
        if (*count > 0 && found[*count - 1].sequence >= fresh[i].sequence) {
            continue;
        }
        if (*count == AUDIT__LABELS_MAX) {
            memmove(found, found + 1, (AUDIT__LABELS_MAX - 1) * sizeof *found);
            --*count;
        }
        found[(*count)++] = fresh[i];
    }
    return status;
}

enum cx_status cx_audit_locate(struct cx_audit *a, struct cx_str run_id, uint64_t *sequence,
                               uint8_t hash[CX_SHA256_BYTES], struct cx_err *err)
{
    struct cx_db *db = cx_store_reader(a->options.store);
    struct audit__found found;
    struct audit__line line;
    struct audit__entry entry;
    struct cx_buf text;
    cx_buf_init(&text, AUDIT__LINE_MAX_BYTES);
    enum cx_status status = find_place(a, db, run_id, &found, err);
    if (status == CX_OK) {
        status = audit__read_line(a, &found.place, NULL, &text, &line, &entry, err);
    }
    if (status == CX_OK) {
        *sequence = line.sequence;
        memcpy(hash, line.hash, sizeof line.hash);
    }
    cx_buf_free(&text);
    cx_store_return(a->options.store, db);
    return status;
}

/* ---- Keys -------------------------------------------------------------------------------------- */

enum cx_status cx_audit_keys(const struct cx_audit *a, struct cx_buf *out, struct cx_err *err)
{
    struct audit__keys keys;
    const enum cx_status status = audit__keys_read(a->dir, &keys, err);
    if (status != CX_OK) {
        return status == CX_INVALID || status == CX_NOT_FOUND ? CX_LEDGER_DAMAGED : status;
    }
    cx_buf_puts(out, "{\"keys\":[");
    for (size_t i = 0; i < keys.count; i++) {
        cx_buf_puts(out, i > 0 ? "," : "");
        audit__key_write(&keys.rows[i], out);
        out->len--; /* its newline */
    }
    cx_buf_printf(out, "],\"current\":\"%s\"}", cx_signer_key_id(a->options.signer));
    audit__keys_free(&keys);
    return CX_OK;
}
