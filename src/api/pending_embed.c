/* SPDX-License-Identifier: MIT
 *
 * Embeds a slice of pending documents window by window, and finds those that are refused (pending.h).
 * On the loop.
 */
#include "api/pending.h"

#include <stdlib.h>
#include <string.h>

#define EMBED_MS 120000    /* a slice may take; the service's own timeout is shorter */
#define REFUSED_IN_A_ROW 8 /* looks like a service that fails rather than like bad documents */

static void embed_window(struct api__pending *p);
static void on_embedded(void *ctx, struct cx_embed_result *result);
static void narrow_down(struct api__pending *p, const struct cx_err *err);
static void end_window(struct api__pending *p);
static bool others_wait(const struct api__pending *p);

void api__pending_embed_slice(struct api__pending *p)
{
    p->texts = cx_realloc_array(NULL, p->slice.count, sizeof *p->texts);
    for (size_t i = 0; i < p->slice.count; i++) {
        p->texts[i] = p->slice.items[i].content;
    }
    p->at = 0;
    p->count = p->slice.count;
    embed_window(p);
}

static bool is_refusal(enum cx_status status)
{
    return status == CX_INVALID || status == CX_TOO_LARGE;
}

static void embed_window(struct api__pending *p)
{
    struct cx_err err = { "" };
    p->state = PENDING_EMBEDDING;
    const enum cx_status status =
        cx_embedder_start(p->api->options.embedder, CX_EMBED_DOCUMENT, p->texts + p->at, p->count,
                          EMBED_MS, NULL, on_embedded, p, &p->call, &err);
    if (is_refusal(status)) {
        narrow_down(p, &err);
    } else if (status != CX_OK) {
        api__pending_fail(p, err.text[0] != '\0' ? err.text : cx_status_text(status), 0);
    }
}

static void on_embedded(void *ctx, struct cx_embed_result *result)
{
    struct api__pending *p = ctx;
    p->call = NULL;
    if (result->status == CX_OK) {
        p->vectors = result->vectors;
        p->dimension = result->dimension;
        p->stored = 0;
        p->filled = 0;
        api__pending_fill(p);
    } else if (p->timer == NULL) {
        api__pending_rest(p);
    } else if (is_refusal(result->status) || result->input_refused) {
        narrow_down(p, &result->err);
    } else {
        if (result->status == CX_EMBEDDING_UNAUTHORIZED) {
            api__reembed_give_up(p->api, result->status, &result->err);
        }
        api__pending_fail(
            p, result->err.text[0] != '\0' ? result->err.text : cx_status_text(result->status),
            result->retry_after_ms);
    }
}

/* At least one text of the window: halves of it are tried until it stands alone. */
static void narrow_down(struct api__pending *p, const struct cx_err *err)
{
    if (p->count > 1) {
        p->count /= 2;
        embed_window(p);
        return;
    }
    const struct cx_vector_waiting *item = &p->slice.items[p->at];
    char doc_id[129];
    const size_t len = cx_utf8_cut(item->doc_id, sizeof doc_id - 1);
    memcpy(doc_id, item->doc_id.p, len);
    doc_id[len] = '\0';
    CX_LOG(CX_LOG_WARN, "a document cannot be embedded and is passed over", CX_S("doc_id", doc_id),
           CX_S("error", err->text));
    api__refused_add(&p->refused, item);
    p->refused_in_a_row++;
    if (p->refused_in_a_row % REFUSED_IN_A_ROW == 0) {
        p->after = item->id;
        api__pending_fail(p, "the service refuses one document after the other", 0);
        return;
    }
    end_window(p);
}

/* ---- On to the next ---- */

void api__pending_stored(struct api__pending *p)
{
    api__pending_succeeded(p);
    if (p->refused_in_a_row >= REFUSED_IN_A_ROW) {
        /* It was the service after all: those get another chance. */
        api__refused_forget(&p->refused, p->refused_in_a_row);
        p->asked = true;
    }
    p->refused_in_a_row = 0;
    end_window(p);
}

static void end_window(struct api__pending *p)
{
    free(p->vectors);
    p->vectors = NULL;
    p->at += p->count;
    p->count = p->slice.count - p->at;
    p->after = p->slice.items[p->at - 1].id;
    if (p->timer == NULL) {
        api__pending_rest(p);
    } else if (p->count > 0) {
        embed_window(p);
    } else {
        p->after = p->slice.last;
        api__pending_drop_slice(p);
        if (others_wait(p)) {
            /* A slice each: a large collection holds up no small one. */
            p->asked = true;
            p->after = 0;
            api__collection_release(p->api, &p->v);
        }
        api__pending_read(p);
    }
}

static bool others_wait(const struct api__pending *p)
{
    struct cx_vector_store_figures all;
    struct cx_vector_figures own;
    cx_vector_store_figures(p->api->vector, &all);
    cx_vector_figures(p->v, &own);
    return all.pending > own.pending;
}

void api__pending_drop_slice(struct api__pending *p)
{
    cx_vector_pending_free(&p->slice);
    free(p->texts);
    p->texts = NULL;
    free(p->vectors);
    p->vectors = NULL;
}
