/* SPDX-License-Identifier: MIT
 *
 * Writing hits (hits.h): as values of JSON first they would cost a tenth of a search.
 */
#include "hits.h"

#include <math.h>
#include <string.h>

#include "cortex/json.h"

#define TEXTS_BYTES ((size_t)64 * 1024 * 1024) /* of all hits */

enum { DOC_ID, URI, SUMMARY, METADATA, CONTENT, VECTOR };

static void write_hit(struct vector__hits *hits, const struct vector__candidate *candidate,
                      bool compared, const struct cx_stmt *row, const json_t *metadata);
static void write_text(struct cx_buf *out, const char *before, struct cx_str text);
static void write_number(struct cx_buf *out, const char *before, double number, bool there);
static void write_vector(struct cx_buf *out, struct cx_str blob);
static double shortest(float number);

enum cx_status vector__hit_write(struct vector__hits *hits,
                                 const struct vector__candidate *candidate, bool compared,
                                 const struct cx_stmt *row, struct cx_err *err)
{
    for (int column = DOC_ID; column <= CONTENT; column++) {
        hits->bytes += cx_stmt_text(row, column).len;
    }
    if (hits->bytes > TEXTS_BYTES) {
        return cx_err_set(err, CX_TOO_LARGE,
                          "The hits hold more than %zu bytes: ask for fewer, or for less of them",
                          TEXTS_BYTES);
    }
    json_t *metadata = NULL;
    const enum cx_status status =
        vector__parse_metadata(cx_stmt_text(row, METADATA), &metadata, err);
    if (status != CX_OK) {
        return status;
    }
    if (vector__filter_holds(hits->search->filter, metadata)) {
        write_hit(hits, candidate, compared, row, metadata);
    }
    json_decref(metadata);
    return CX_OK;
}

static void write_hit(struct vector__hits *hits, const struct vector__candidate *candidate,
                      bool compared, const struct cx_stmt *row, const json_t *metadata)
{
    struct cx_buf *out = hits->out;
    const unsigned include = hits->search->include;
    write_text(out, hits->count > 0 ? ",{\"doc_id\":" : "{\"doc_id\":", cx_stmt_text(row, DOC_ID));
    write_number(out, ",\"score\":", candidate->score, true);
    write_text(out, ",\"uri\":", cx_stmt_text(row, URI));
    write_text(out, ",\"summary\":", cx_stmt_text(row, SUMMARY));
    cx_buf_puts(out, ",\"metadata\":");
    cx_json_write(metadata, out);
    if ((include & CX_INCLUDE_CONTENT) != 0) {
        write_text(out, ",\"content\":", cx_stmt_text(row, CONTENT));
    }
    if ((include & CX_INCLUDE_VECTOR) != 0) {
        write_vector(out, cx_stmt_blob(row, VECTOR));
    }
    if ((include & CX_INCLUDE_SCORES) != 0) {
        /* A leg that was not asked is null, and so is the vector leg of a document without a vector. */
        write_number(out, ",\"scores\":{\"semantic\":", candidate->semantic, compared);
        write_number(out, ",\"keyword\":", candidate->keyword,
                     hits->search->mode != CX_SEARCH_SEMANTIC);
        cx_buf_putc(out, '}');
    }
    cx_buf_putc(out, '}');
    if (hits->ids != NULL) {
        (void)json_array_append_new(hits->ids, vector__json_text(cx_stmt_text(row, DOC_ID)));
    }
    hits->count++;
}

/* NULL is null. */
static void write_text(struct cx_buf *out, const char *before, struct cx_str text)
{
    cx_buf_puts(out, before);
    if (text.p == NULL) {
        cx_buf_puts(out, "null");
    } else {
        cx_json_write_string(cx_utf8_valid(text) ? text : CX_STR(""), out);
    }
}

static void write_number(struct cx_buf *out, const char *before, double number, bool there)
{
    cx_buf_puts(out, before);
    if (there) {
        cx_json_write_real(number, out);
    } else {
        cx_buf_puts(out, "null");
    }
}

static void write_vector(struct cx_buf *out, struct cx_str blob)
{
    if (blob.p == NULL) {
        cx_buf_puts(out, ",\"vector\":null");
        return;
    }
    cx_buf_puts(out, ",\"vector\":[");
    for (size_t at = 0; at + sizeof(float) <= blob.len; at += sizeof(float)) {
        float number;
        memcpy(&number, blob.p + at, sizeof number);
        write_number(out, at > 0 ? "," : "", shortest(number), true);
    }
    cx_buf_putc(out, ']');
}

/* In the fewest digits that read back as the same float. */
static double shortest(float number)
{
    for (int digits = 6; digits < 9; digits++) {
        const double scale =
            number == 0 ? 1 : pow(10, digits - 1 - floor(log10(fabs((double)number))));
        const double rounded = round((double)number * scale) / scale;
        if ((float)rounded == number) {
            return isfinite(rounded) ? rounded : 0;
        }
    }
    return isfinite(number) ? (double)number : 0;
}
