/* SPDX-License-Identifier: MIT
 *
 * What a batch asks a Chroma server for in each of its phases, and what the answers say. Loop thread, but
 * for the two that choose among ids.
 */
#include <stdlib.h>

#include "api/batch_chroma.h"

#define UPSERT_BYTES ((size_t)16 * 1024 * 1024) /* about; servers take 40 MiB by default */
#define NUMBER_BYTES 12                         /* of a vector, as text */
#define PASSAGES_MAX ((size_t)50000)            /* found by one operation */

/* ---- What is asked for ---- */

static void make_look(struct api__batch *b);
static void make_find(struct api__batch *b);
static bool make_put(struct api__batch *b);

bool api__chroma_batch_make(struct api__batch *b)
{
    struct api__chroma_batch *c = b->chroma;
    c->op = (struct cx_chroma_op){ .vectors = CX_CHROMA_NO_VECTORS };
    switch (c->phase) {
    case FLATTEN:
        return false;
    case LOOK:
    case LOOK_AGAIN:
        make_look(b);
        return c->at < b->row_count;
    case FIND_WHOLE:
    case FIND_PASSAGES:
        make_find(b);
        return c->at < c->parent_count && !c->absent &&
               (c->phase == FIND_PASSAGES || c->has_passages);
    case PUT:
        return make_put(b);
    case REMOVE:
        c->some = c->gone_count - c->at < CX_CHROMA_DOCUMENTS_MAX ? c->gone_count - c->at
                                                                  : CX_CHROMA_DOCUMENTS_MAX;
        c->op.verb = CX_CHROMA_DELETE;
        c->op.ids = c->gone + c->at;
        c->op.id_count = c->some;
        return c->some > 0;
    }
    return false;
}

static void ask_about_rows(struct api__batch *b, enum cx_chroma_verb verb)
{
    struct api__chroma_batch *c = b->chroma;
    c->op.verb = verb;
    c->op.vectors = c->of_clients ? CX_CHROMA_CLIENTS : CX_CHROMA_OURS;
    c->op.dimension = c->dimension;
    c->op.docs = c->docs + c->at;
    c->op.doc_count = c->some;
}

static void make_look(struct api__batch *b)
{
    struct api__chroma_batch *c = b->chroma;
    const size_t left = b->row_count - c->at;
    c->some = left < CX_CHROMA_DOCUMENTS_MAX ? left : CX_CHROMA_DOCUMENTS_MAX;
    for (size_t i = c->at; i < c->at + c->some; i++) {
        json_decref(c->docs[i].before); /* of the first time that it was looked at */
        c->docs[i].before = NULL;
    }
    ask_about_rows(b, CX_CHROMA_LOOK);
}

static bool is_gone_whole(void *ctx, struct cx_str id);
static bool is_gone_passage(void *ctx, struct cx_str id);

static void make_find(struct api__batch *b)
{
    struct api__chroma_batch *c = b->chroma;
    const size_t left = c->parent_count - c->at;
    c->some = left < c->parents_max ? left : c->parents_max;
    c->op.verb = CX_CHROMA_IDS;
    c->op.limit = PASSAGES_MAX;
    c->op.wanted_ctx = c;
    if (c->phase == FIND_WHOLE) {
        c->op.ids = c->parent_ids + c->at;
        c->op.id_count = c->some;
        c->op.wanted = is_gone_whole;
        return;
    }
    json_t *list = json_array();
    for (size_t i = c->at; i < c->at + c->some; i++) {
        (void)json_array_append_new(list, json_stringn(c->parent_ids[i].p, c->parent_ids[i].len));
    }
    json_decref(c->where);
    c->where = json_pack("{s:{s:o}}", "parent", "$in", list);
    c->op.where = c->where;
    c->op.wanted = is_gone_passage;
}

/* A text that is put as passages leaves no row of its own. Chroma's lane. */
static bool is_gone_whole(void *ctx, struct cx_str id)
{
    const struct api__chroma_batch *c = ctx;
    return json_object_getn(c->rows, id.p, id.len) == NULL;
}

/* Of a text that was sent, behind its last passage. Chroma's lane. */
static bool is_gone_passage(void *ctx, struct cx_str id)
{
    const struct api__chroma_batch *c = ctx;
    struct cx_str parent = { NULL, 0 };
    const size_t number = cx_document_passage_number(id, &parent);
    const json_t *kept = number > 0 ? json_object_getn(c->parents, parent.p, parent.len) : NULL;
    return kept != NULL && number > (size_t)json_integer_value(kept) &&
           json_object_getn(c->rows, id.p, id.len) == NULL;
}

static bool make_put(struct api__batch *b)
{
    struct api__chroma_batch *c = b->chroma;
    while (c->at < b->row_count && c->docs[c->at].unchanged) {
        c->at++;
    }
    size_t bytes = 0;
    c->some = 0;
    while (c->at + c->some < b->row_count) {
        const struct cx_chroma_document *doc = &c->docs[c->at + c->some];
        const size_t own = doc->unchanged
                               ? 0
                               : doc->content.len + doc->uri.len + doc->summary.len +
                                     2 * doc->metadata.len + (size_t)c->dimension * NUMBER_BYTES;
        const bool full = c->some == CX_CHROMA_DOCUMENTS_MAX || bytes + own > UPSERT_BYTES;
        if (c->some > 0 && full && !b->whole) {
            break;
        }
        bytes += own;
        c->some++;
    }
    ask_about_rows(b, CX_CHROMA_PUT);
    return c->some > 0;
}

/* ---- What came of it ---- */

static enum cx_status take_look(struct api__batch *b);
static void take_found(struct api__batch *b);
static void take_put(struct api__batch *b);

enum cx_status api__chroma_batch_take(struct api__batch *b)
{
    struct api__chroma_batch *c = b->chroma;
    const bool is_find = c->phase == FIND_WHOLE || c->phase == FIND_PASSAGES;
    if ((is_find || c->phase == REMOVE) && c->op.status == CX_NOT_FOUND) {
        c->at += c->some; /* deleted as a whole meanwhile */
        return CX_OK;
    }
    if (c->op.status != CX_OK) {
        return c->op.status;
    }
    if (c->phase == LOOK || c->phase == LOOK_AGAIN) {
        return take_look(b);
    }
    if (is_find) {
        take_found(b);
    } else if (c->phase == PUT) {
        take_put(b);
    } else {
        b->done.removed += c->op.absent ? 0 : c->some;
        c->at += c->some;
    }
    return CX_OK;
}

static enum cx_status check_passage(const struct cx_chroma_document *doc, struct cx_err *err);

static enum cx_status take_look(struct api__batch *b)
{
    struct api__chroma_batch *c = b->chroma;
    c->absent = c->op.absent;
    if (c->absent && b->rows[0].own_vector && !c->of_clients) {
        return cx_err_set(
            &b->op.err, CX_CONFLICT,
            "collection \"%.*s\" is made by a document that brings its vector: a text "
            "needs one of %u dimensions",
            (int)b->collection.len, b->collection.p, b->rows[0].dimension);
    }
    for (size_t i = c->at; i < c->at + c->some; i++) {
        const enum cx_status status = check_passage(&c->docs[i], &b->op.err);
        if (status != CX_OK) {
            return status;
        }
        b->unchanged[i] = c->docs[i].unchanged;
    }
    c->at += c->some;
    return CX_OK;
}

static enum cx_status check_passage(const struct cx_chroma_document *doc, struct cx_err *err)
{
    struct cx_str parent = { NULL, 0 };
    if (!doc->there || cx_document_passage_number(doc->doc_id, &parent) == 0) {
        return CX_OK;
    }
    return cx_document_passage_check(doc->doc_id, cx_document_is_passage(doc->before, parent),
                                     doc->flat, err);
}

static void take_found(struct api__batch *b)
{
    struct api__chroma_batch *c = b->chroma;
    if (c->op.count >= PASSAGES_MAX && c->some > 1) {
        c->parents_max = c->some / 2; /* there may be more: again, of fewer */
        return;
    }
    const size_t found = json_array_size(c->op.answer);
    c->gone = cx_realloc_array(c->gone, c->gone_count + found + 1, sizeof *c->gone);
    for (size_t i = 0; i < found; i++) {
        const json_t *id = json_array_get(c->op.answer, i);
        const size_t len = json_string_length(id);
        c->gone[c->gone_count++] = (struct cx_str){ cx_strndup(json_string_value(id), len), len };
    }
    c->at += c->some;
}

static void take_put(struct api__batch *b)
{
    struct api__chroma_batch *c = b->chroma;
    for (size_t i = c->at; i < c->at + c->some; i++) {
        if (!c->docs[i].unchanged) {
            *(c->docs[i].there ? &b->done.updated : &b->done.indexed) += 1;
        }
    }
    c->at += c->some;
}

void api__chroma_batch_forget_gone(struct api__chroma_batch *c)
{
    for (size_t i = 0; i < c->gone_count; i++) {
        free((char *)c->gone[i].p);
    }
    c->gone_count = 0;
}
