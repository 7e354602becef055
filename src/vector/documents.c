/* SPDX-License-Identifier: MIT
 *
 * Documents that come and go. Each function is one transaction; what it means for the index is
 * prepared within it, so that after the commit nothing is left that could fail. A crash in between
 * costs nothing: the index is made anew at start.
 *
 * Threads: the write lane (cx_vector_unchanged: any worker).
 */
#include "rows.h"

#include <stdio.h>
#include <stdlib.h>

#include "cortex/crypto.h"

/* What a transaction will have changed. */
struct batch {
    struct vector__entry *entries;
    size_t count;
    size_t added;
    size_t bytes;
};

static enum cx_status check_documents(struct cx_vector *v, const struct cx_document *docs,
                                      size_t count, struct cx_err *err);
static bool learn_dimension(struct cx_vector *v, const struct cx_document *docs, size_t count);
static enum cx_status put_all(struct cx_vector *v, struct cx_db *db, const struct cx_document *docs,
                              size_t count, struct batch *batch, struct cx_vector_put *figures,
                              struct cx_err *err);
static enum cx_status put_one(struct cx_vector *v, struct cx_db *db, const struct cx_document *doc,
                              int64_t now_us, struct batch *batch, struct cx_vector_put *figures,
                              struct cx_err *err);
static void batch_free(struct batch *batch);

void cx_document_make_id(struct cx_str collection, struct cx_str uri, struct cx_str content,
                         char id[33])
{
    /* Lengths in front: no two documents give the same bytes. */
    char lengths[64];
    const int len =
        snprintf(lengths, sizeof lengths, "cortex-document:%zu:%zu:", collection.len, uri.len);
    const struct cx_str parts[] = { { lengths, (size_t)len }, collection, uri, content };
    uint8_t digest[CX_SHA256_BYTES];
    cx_sha256_parts(parts, CX_ARRAY_LEN(parts), digest);
    (void)cx_hex(digest, 16, id);
}

enum cx_status cx_vector_unchanged(struct cx_vector *v, struct cx_db *db,
                                   const struct cx_document *docs, size_t count, bool *unchanged,
                                   struct cx_err *err)
{
    (void)v; /* one collection, of one model: what is stored was embedded by it */
    for (size_t i = 0; i < count; i++) {
        uint8_t hash[CX_SHA256_BYTES];
        cx_sha256(docs[i].content, hash);
        struct vector__stored stored;
        const enum cx_status status = vector__row_find(db, &docs[i], hash, &stored, err);
        if (status != CX_OK) {
            return status;
        }
        unchanged[i] = stored.found && stored.same_content;
    }
    return CX_OK;
}

enum cx_status cx_vector_put(struct cx_vector *v, struct cx_db *db, const struct cx_document *docs,
                             size_t count, struct cx_vector_put *out, struct cx_err *err)
{
    enum cx_status status = check_documents(v, docs, count, err);
    if (status == CX_OK) {
        status = cx_db_begin(db, err);
    }
    if (status != CX_OK) {
        return status;
    }
    const bool learned = learn_dimension(v, docs, count);
    struct cx_vector_put figures = { 0 };
    struct batch batch = { .entries = cx_alloc((count + 1) * sizeof *batch.entries) };
    status = put_all(v, db, docs, count, &batch, &figures, err);
    if (status == CX_OK) {
        status = cx_db_commit(db, err);
    }
    if (status != CX_OK) {
        cx_db_rollback(db);
        batch_free(&batch);
        if (learned) {
            vector__index_set_dimension(&v->index, 0);
        }
        return status;
    }
    v->claimed = v->claimed || figures.indexed > 0;
    CX_CHECK(pthread_rwlock_wrlock(&v->index.lock) == 0);
    for (size_t i = 0; i < batch.count; i++) {
        vector__index_set(&v->index, &batch.entries[i]);
    }
    CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
    batch_free(&batch);
    vector__update_figures(v);
    *out = figures;
    return CX_OK;
}

enum cx_status cx_vector_delete(struct cx_vector *v, struct cx_db *db, const struct cx_str *ids,
                                size_t count, size_t *deleted, struct cx_err *err)
{
    enum cx_status status = cx_db_begin(db, err);
    if (status != CX_OK) {
        return status;
    }
    int64_t *gone = cx_alloc((count + 1) * sizeof *gone);
    size_t gone_count = 0;
    for (size_t i = 0; i < count && status == CX_OK; i++) {
        int64_t id = 0;
        status = vector__row_delete(db, ids[i], &id, err);
        if (status == CX_OK && id != 0) {
            gone[gone_count++] = id;
        }
    }
    if (status == CX_OK) {
        status = cx_db_commit(db, err);
    }
    if (status != CX_OK) {
        cx_db_rollback(db);
        free(gone);
        return status;
    }
    CX_CHECK(pthread_rwlock_wrlock(&v->index.lock) == 0);
    for (size_t i = 0; i < gone_count; i++) {
        vector__index_remove(&v->index, gone[i]);
    }
    CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
    free(gone);
    vector__update_figures(v);
    *deleted = gone_count;
    return CX_OK;
}

static enum cx_status check_documents(struct cx_vector *v, const struct cx_document *docs,
                                      size_t count, struct cx_err *err)
{
    unsigned dimension = v->index.dimension;
    for (size_t i = 0; i < count; i++) {
        if (docs[i].doc_id.len < 1 || docs[i].doc_id.len > 512) {
            return cx_err_set(err, CX_INVALID, "doc_id must have 1 to 512 bytes");
        }
        if (docs[i].vector == NULL) {
            continue;
        }
        if (docs[i].dimension < 1 || docs[i].dimension > VECTOR__DIMENSION_MAX) {
            return cx_err_set(err, CX_INVALID, "a vector must have 1 to %d dimensions",
                              VECTOR__DIMENSION_MAX);
        }
        dimension = dimension == 0 ? docs[i].dimension : dimension;
        if (docs[i].dimension != dimension) {
            return cx_err_set(err, CX_CONFLICT,
                              "a vector has %u dimensions, collection \"default\" has %u",
                              docs[i].dimension, dimension);
        }
    }
    return CX_OK;
}

/* The first vector of all decides. True when it did. */
static bool learn_dimension(struct cx_vector *v, const struct cx_document *docs, size_t count)
{
    for (size_t i = 0; i < count && v->index.dimension == 0; i++) {
        if (docs[i].vector != NULL) {
            vector__index_set_dimension(&v->index, docs[i].dimension);
            return true;
        }
    }
    return false;
}

static enum cx_status put_all(struct cx_vector *v, struct cx_db *db, const struct cx_document *docs,
                              size_t count, struct batch *batch, struct cx_vector_put *figures,
                              struct cx_err *err)
{
    const int64_t now_us = cx_clock_wall_us();
    enum cx_status status = CX_OK;
    for (size_t i = 0; i < count && status == CX_OK; i++) {
        status = put_one(v, db, &docs[i], now_us, batch, figures, err);
    }
    if (status == CX_OK && !v->claimed && batch->added > 0) {
        status = vector__row_claim(v, db, err);
    }
    if (status == CX_OK) {
        status = vector__index_reserve(&v->index, batch->added, err);
    }
    return status;
}

static enum cx_status put_one(struct cx_vector *v, struct cx_db *db, const struct cx_document *doc,
                              int64_t now_us, struct batch *batch, struct cx_vector_put *figures,
                              struct cx_err *err)
{
    uint8_t hash[CX_SHA256_BYTES];
    cx_sha256(doc->content, hash);
    struct vector__stored stored;
    enum cx_status status = vector__row_find(db, doc, hash, &stored, err);
    if (status != CX_OK) {
        return status;
    }
    if (doc->vector == NULL && !(stored.found && stored.same_content)) {
        return cx_err_set(err, CX_CONFLICT,
                          "document \"%.*s\" was changed by another request; send it again",
                          (int)(doc->doc_id.len < 128 ? doc->doc_id.len : 128), doc->doc_id.p);
    }
    struct vector__entry entry = { 0 };
    if (doc->vector != NULL) {
        entry.vector = cx_alloc(doc->dimension * sizeof(float));
        if (!vector__copy_unit(entry.vector, doc->vector, doc->dimension)) {
            vector__entry_free(&entry);
            return cx_err_set(err, CX_INVALID, "a vector holds a number that is not finite");
        }
    }
    bool same = stored.found && stored.same_content;
    if (same && entry.vector != NULL) {
        status = vector__row_same_vector(db, stored.id, entry.vector, doc->dimension, &same, err);
    }
    if (status == CX_OK && same && stored.same_fields) {
        vector__entry_free(&entry);
        figures->unchanged++;
        return CX_OK;
    }
    json_t *metadata = NULL;
    if (status == CX_OK) {
        status = vector__parse_metadata(doc->metadata, &metadata, err);
    }
    if (status == CX_OK) {
        vector__facets_of(metadata, &v->facet_key, &entry.facets, &entry.facet_count);
        json_decref(metadata);
        entry.doc_id = cx_strndup(doc->doc_id.p, doc->doc_id.len);
        batch->bytes += vector__entry_bytes(&entry);
        const size_t added = batch->added + (stored.found ? 0 : 1);
        if (vector__index_bytes_with(&v->index, added) + batch->bytes > v->index_bytes_max) {
            status = cx_err_set(err, CX_OVERLOADED,
                                "the vector index has reached its limit of %zu bytes",
                                v->index_bytes_max);
        }
    }
    if (status == CX_OK && !stored.found) {
        status = vector__row_insert(db, doc, hash, now_us, &stored.id, err);
    } else if (status == CX_OK) {
        status =
            stored.same_content ? CX_OK : vector__row_update_content(db, doc, stored.id, hash, err);
        if (status == CX_OK) {
            status = vector__row_update_fields(db, doc, stored.id, now_us, err);
        }
    }
    if (status == CX_OK && entry.vector != NULL) {
        status = vector__row_write_vector(db, stored.id, entry.vector, doc->dimension, err);
    }
    if (status != CX_OK) {
        vector__entry_free(&entry);
        return status;
    }
    entry.rowid = stored.id;
    batch->entries[batch->count++] = entry;
    batch->added += stored.found ? 0 : 1;
    *(stored.found ? &figures->updated : &figures->indexed) += 1;
    return CX_OK;
}

static void batch_free(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        vector__entry_free(&batch->entries[i]);
    }
    free(batch->entries);
}
