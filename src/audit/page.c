/* SPDX-License-Identifier: MIT
 *
 * A page of runs, newest first: from memory what is not yet in the index, then from the index. Any worker, with a
 * reader of the store of its own.
 */
#include "audit/query.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES ((size_t)8 * 1024 * 1024)
#define FOUND_MAX 1001

static size_t list_recent(struct cx_audit *a, const struct audit__selection *s, size_t most,
                          struct audit__found *found);
static enum cx_status put_page(struct cx_audit *a, const struct audit__found *found, size_t count,
                               size_t limit, struct cx_buf *out, struct cx_err *err);

enum cx_status cx_audit_list(struct cx_audit *a, const struct cx_audit_query *query,
                             struct cx_buf *out, struct cx_err *err)
{
    struct audit__selection s = { .agent = query->agent,
                                  .correlation = query->correlation,
                                  .to = INT64_MAX,
                                  .since_us = query->since_us };
    if (query->cursor.p != NULL) {
        uint64_t before = 0;
        if (!cx_parse_u64(query->cursor, &before) || before > INT64_MAX) {
            return cx_err_set(err, CX_INVALID, "cursor is not one of this list's");
        }
        s.to = before > 0 ? before - 1 : 0;
    }
    CX_CHECK(query->limit >= 1 && query->limit < FOUND_MAX);
    struct audit__found *found = cx_realloc_array(NULL, FOUND_MAX, sizeof *found);
    struct cx_db *db = cx_store_reader(a->options.store);
    size_t count = list_recent(a, &s, query->limit + 1, found);
    if (count > 0) {
        s.to = found[count - 1].sequence - 1;
    }
    enum cx_status status = CX_OK;
    if (count <= query->limit) {
        status = audit__index_select(db, &s, true, query->limit + 1 - count, found, &count, err);
    }
    cx_store_return(a->options.store, db);
    if (status == CX_OK) {
        status = put_page(a, found, count, query->limit, out, err);
    }
    free(found);
    return status;
}

/* The newest of what is in memory: a ring while going from the oldest to the newest. */
static size_t list_recent(struct cx_audit *a, const struct audit__selection *s, size_t most,
                          struct audit__found *found)
{
    size_t count = 0;
    audit__lock(a);
    for (const struct audit__recent *r = a->first_recent; r != NULL; r = r->next) {
        if (audit__is_selected(s, r)) {
            found[count++ % most] =
                (struct audit__found){ .sequence = r->sequence, .place = r->place };
        }
    }
    audit__unlock(a);
    const size_t kept = count < most ? count : most;
    struct audit__found *turned = cx_realloc_array(NULL, most, sizeof *turned);
    for (size_t i = 0; i < kept; i++) {
        turned[i] = found[(count - 1 - i) % most];
    }
    memcpy(found, turned, kept * sizeof *turned);
    free(turned);
    return kept;
}

static enum cx_status put_page(struct cx_audit *a, const struct audit__found *found, size_t count,
                               size_t limit, struct cx_buf *out, struct cx_err *err)
{
    struct audit__unpacked last_read = { .segment = 0 };
    struct cx_buf text;
    cx_buf_init(&text, AUDIT__LINE_MAX_BYTES);
    enum cx_status status = CX_OK;
    uint64_t last = 0;
    size_t put = 0;
    cx_buf_puts(out, "{\"entries\":[");
    size_t i = 0;
    for (; i < count && i < limit && status == CX_OK && (put == 0 || out->len < PAGE_BYTES); i++) {
        struct audit__line line;
        struct audit__entry entry;
        cx_buf_clear(&text);
        status = audit__read_line(a, &found[i].place, &last_read, &text, &line, &entry, err);
        last = found[i].sequence;
        if (status == CX_NOT_FOUND) {
            status = CX_OK; /* retention took it, or it is damaged, which verifying tells */
            continue;
        }
        if (status == CX_OK) {
            cx_buf_puts(out, put++ > 0 ? "," : "");
            audit__put_entry(&line, &entry, out);
            cx_buf_putc(out, '}');
        }
    }
    if (i < count) {
        cx_buf_printf(out, "],\"cursor\":\"%" PRIu64 "\"}", last);
    } else {
        cx_buf_puts(out, "],\"cursor\":null}");
    }
    cx_buf_free(&text);
    audit__unpacked_free(&last_read);
    if (status == CX_OK && out->failed) {
        status = cx_err_set(err, CX_TOO_LARGE, "%s", cx_status_text(CX_TOO_LARGE));
    }
    return status;
}
