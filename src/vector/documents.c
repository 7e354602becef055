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
#include "owner.h"
#include "passages.h"

/* What a transaction will have changed. */
struct batch {
    struct vector__entry *entries;
    size_t count;
    size_t room;
    float *vectors; /* of the entries; NULL = none has come with one */
    unsigned dimension;
    size_t added;
    size_t bytes;
    struct vector__ids removed;
    /* Takes the place of the index where the dimension changes; NULL where it does not. */
    struct vector__index *next;
};

static enum cx_status check_ids(const struct cx_document *docs, size_t count, struct cx_err *err);
static enum cx_status put_all(struct cx_vector *v, struct cx_db *db, const struct cx_document *docs,
                              size_t count, struct vector__claim claim, struct batch *batch,
                              struct cx_vector_put *figures, struct cx_err *err);
static enum cx_status make_place(struct cx_vector *v, struct cx_db *db,
                                 const struct cx_document *docs, size_t count, size_t at,
                                 struct batch *batch, struct cx_err *err);
static enum cx_status put_one(struct cx_vector *v, struct cx_db *db, const struct cx_document *doc,
                              int64_t now_us, struct batch *batch, struct cx_vector_put *figures,
                              struct cx_err *err);
static size_t bytes_with(const struct cx_vector *v, const struct batch *batch, size_t added);
static float *next_vector(struct batch *batch, unsigned dimension);
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

bool cx_document_passage_id(struct cx_str parent, size_t number, char *id)
{
    return snprintf(id, CX_DOC_ID_MAX + 1, "%.*s#%04zu", (int)parent.len, parent.p, number) <=
           CX_DOC_ID_MAX;
}

size_t cx_document_passage_number(struct cx_str doc_id, struct cx_str *parent)
{
    size_t at = doc_id.len;
    while (at > 0 && doc_id.p[at - 1] != '#') {
        at--;
    }
    const struct cx_str digits = { doc_id.p + at, doc_id.len - at };
    uint64_t number = 0;
    if (at < 2 || digits.len < 4 || !cx_parse_u64(digits, &number)) {
        return 0;
    }
    *parent = (struct cx_str){ doc_id.p, at - 1 };
    return (size_t)number;
}

enum cx_status cx_vector_unchanged(struct cx_vector *v, struct cx_db *db,
                                   const struct cx_document *docs, size_t count, bool *unchanged,
                                   struct cx_err *err)
{
    const bool stored_at_all = vector__is_stored(v);
    for (size_t i = 0; i < count; i++) {
        unchanged[i] = false;
        if (!stored_at_all) {
            continue;
        }
        uint8_t hash[CX_SHA256_BYTES];
        cx_sha256(docs[i].content, hash);
        struct vector__stored stored;
        const enum cx_status status = vector__row_find(v, db, &docs[i], hash, &stored, err);
        if (status != CX_OK) {
            return status;
        }
        unchanged[i] = stored.found && stored.same_content && stored.has_vector;
    }
    return CX_OK;
}

enum cx_status cx_vector_check(const struct cx_vector *v, const struct cx_document *docs,
                               size_t count, struct cx_err *err)
{
    const uint64_t claimed = atomic_load_explicit(&v->figure_claim, memory_order_relaxed);
    const struct vector__claim stands = { (enum cx_vector_owner)(claimed >> 32),
                                          (unsigned)(claimed & UINT32_MAX) };
    struct vector__claim claim;
    const enum cx_status status = vector__check_model(v, err);
    return status == CX_OK ? vector__owner_admit(v, stands, docs, count, &claim, err) : status;
}

enum cx_status cx_vector_put(struct cx_vector *v, struct cx_db *db, const struct cx_document *docs,
                             size_t count, struct cx_vector_put *out, struct cx_err *err)
{
    const struct vector__claim stands = { v->owner, v->index.dimension };
    struct vector__claim claim = stands;
    enum cx_status status = check_ids(docs, count, err);
    if (status == CX_OK) {
        status = vector__check_model(v, err);
    }
    if (status == CX_OK) {
        status = vector__owner_admit(v, stands, docs, count, &claim, err);
    }
    if (status == CX_OK) {
        status = vector__owner_check_learned(stands, claim, docs, count, err);
    }
    if (status == CX_OK) {
        status = cx_db_begin(db, err);
    }
    if (status != CX_OK) {
        return status;
    }
    struct cx_vector_put figures = { 0 };
    struct batch batch = { .entries = cx_alloc((count + 1) * sizeof *batch.entries),
                           .room = count };
    struct vector__index next;
    if (claim.dimension != stands.dimension) {
        vector__index_init(&next);
        vector__index_use_file(&next, v->store->path);
        vector__index_set_dimension(&next, claim.dimension);
        batch.next = &next;
    }
    status = vector__store_begin(v, db, err);
    if (status == CX_OK) {
        status = put_all(v, db, docs, count, claim, &batch, &figures, err);
    }
    if (status == CX_OK) {
        status = cx_db_commit(db, err);
    }
    if (status != CX_OK) {
        cx_db_rollback(db);
        vector__store_undo(v);
        batch_free(&batch);
        if (batch.next != NULL) {
            vector__index_free(batch.next);
        }
        return status;
    }
    CX_CHECK(pthread_rwlock_wrlock(&v->index.lock) == 0);
    v->owner = claim.owner;
    if (batch.next != NULL) {
        vector__index_replace(&v->index, batch.next);
    }
    for (size_t i = 0; i < batch.count; i++) {
        vector__index_set(&v->index, &batch.entries[i]);
    }
    for (size_t i = 0; i < batch.removed.count; i++) {
        vector__index_remove(&v->index, batch.removed.items[i]);
    }
    CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
    batch_free(&batch);
    vector__store_done(v);
    vector__update_figures(v);
    *out = figures;
    return CX_OK;
}

static enum cx_status check_ids(const struct cx_document *docs, size_t count, struct cx_err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (docs[i].doc_id.len < 1 || docs[i].doc_id.len > CX_DOC_ID_MAX) {
            return cx_err_set(err, CX_INVALID, "doc_id must have 1 to %d bytes", CX_DOC_ID_MAX);
        }
    }
    return CX_OK;
}

static enum cx_status put_all(struct cx_vector *v, struct cx_db *db, const struct cx_document *docs,
                              size_t count, struct vector__claim claim, struct batch *batch,
                              struct cx_vector_put *figures, struct cx_err *err)
{
    const int64_t now_us = cx_clock_wall_us();
    enum cx_status status = CX_OK;
    for (size_t i = 0; i < count && status == CX_OK; i++) {
        status = make_place(v, db, docs, count, i, batch, err);
        if (status == CX_OK) {
            status = put_one(v, db, &docs[i], now_us, batch, figures, err);
        }
    }
    figures->removed = batch->removed.count;
    if (status == CX_OK && (claim.owner != v->owner || batch->next != NULL)) {
        status = vector__owner_claim(v, db, claim, err);
    }
    if (status == CX_OK) {
        status = batch->next == NULL
                     ? vector__index_reserve(&v->index, batch->added, err)
                     : vector__index_reserve(batch->next, v->index.live + batch->added, err);
    }
    return status;
}

/* What docs[at] takes the place of, where it is the first that does. */
static enum cx_status make_place(struct cx_vector *v, struct cx_db *db,
                                 const struct cx_document *docs, size_t count, size_t at,
                                 struct batch *batch, struct cx_err *err)
{
    const struct cx_str parent = docs[at].parent;
    if (parent.p == NULL) {
        return vector__passages_remove(v, db, docs[at].doc_id, 0, &batch->removed, err);
    }
    if (at > 0 && docs[at - 1].parent.p != NULL && cx_str_eq(docs[at - 1].parent, parent)) {
        return CX_OK;
    }
    size_t kept = 1;
    while (at + kept < count && docs[at + kept].parent.p != NULL &&
           cx_str_eq(docs[at + kept].parent, parent)) {
        kept++;
    }
    const enum cx_status status = vector__whole_remove(v, db, parent, &batch->removed, err);
    return status == CX_OK ? vector__passages_remove(v, db, parent, kept, &batch->removed, err)
                           : status;
}

static enum cx_status put_one(struct cx_vector *v, struct cx_db *db, const struct cx_document *doc,
                              int64_t now_us, struct batch *batch, struct cx_vector_put *figures,
                              struct cx_err *err)
{
    uint8_t hash[CX_SHA256_BYTES];
    cx_sha256(doc->content, hash);
    struct vector__stored stored;
    enum cx_status status = vector__row_find(v, db, doc, hash, &stored, err);
    if (status != CX_OK) {
        return status;
    }
    const bool same_content = stored.found && stored.same_content;
    if (doc->vector == NULL && !doc->pending && !same_content) {
        return cx_err_set(err, CX_CONFLICT,
                          "document \"%.*s\" was changed by another request; send it again",
                          (int)(doc->doc_id.len < 128 ? doc->doc_id.len : 128), doc->doc_id.p);
    }
    struct vector__entry entry = { 0 };
    if (doc->vector != NULL) {
        entry.vector = next_vector(batch, doc->dimension);
        entry.borrowed = true;
        if (!vector__copy_unit(entry.vector, doc->vector, doc->dimension)) {
            vector__entry_free(&entry);
            return cx_err_set(err, CX_INVALID, "a vector holds a number that is not finite");
        }
    }
    bool unchanged = same_content && stored.same_fields;
    if (unchanged && entry.vector != NULL && stored.has_vector) {
        status = vector__row_same_vector(v, db, stored.id, entry.vector, doc->dimension, &unchanged,
                                         err);
    }
    if (status == CX_OK && unchanged && (entry.vector == NULL || stored.has_vector)) {
        vector__entry_free(&entry);
        figures->unchanged++;
        figures->pending += stored.has_vector ? 0 : 1;
        return CX_OK;
    }
    json_t *metadata = NULL;
    if (status == CX_OK) {
        status = vector__parse_metadata(doc->metadata, &metadata, err);
    }
    if (status == CX_OK) {
        entry.metadata = metadata;
        entry.doc_id = cx_strndup(doc->doc_id.p, doc->doc_id.len);
        if (stored.found) {
            status = vector__passage_check(db, doc, metadata, stored.id, err);
        }
    }
    if (status == CX_OK) {
        batch->bytes += vector__entry_bytes(&entry);
        if (bytes_with(v, batch, stored.found ? 0 : 1) > vector__bytes_max(v)) {
            status = cx_err_set(err, CX_OVERLOADED,
                                "the vector index has reached its limit of %zu bytes",
                                v->store->memory.max);
        }
    }
    if (status == CX_OK && !stored.found) {
        status = vector__row_insert(v, db, doc, hash, now_us, &stored.id, err);
    } else if (status == CX_OK && !unchanged) {
        status =
            same_content ? CX_OK : vector__row_update_content(v, db, doc, stored.id, hash, err);
        if (status == CX_OK) {
            status = vector__row_update_fields(db, doc, stored.id, now_us, err);
        }
    }
    if (status == CX_OK && !same_content) {
        status = vector__words_of(v, db, doc->content, &entry.words, err);
    }
    if (status == CX_OK && stored.found && !same_content) {
        status = vector__row_drop_vectors(db, stored.id, err);
    }
    if (status == CX_OK && entry.vector != NULL) {
        status = vector__row_write_vector(v, db, stored.id, entry.vector, doc->dimension, err);
    }
    if (status != CX_OK) {
        vector__entry_free(&entry);
        return status;
    }
    entry.rowid = stored.id;
    entry.pending = entry.vector == NULL && !(same_content && stored.has_vector);
    batch->entries[batch->count++] = entry;
    batch->added += stored.found ? 0 : 1;
    figures->pending += entry.pending ? 1 : 0;
    *(unchanged ? &figures->unchanged : stored.found ? &figures->updated : &figures->indexed) += 1;
    return CX_OK;
}

/* What the index will take, with the entries so far and `added` new documents more. */
static size_t bytes_with(const struct cx_vector *v, const struct batch *batch, size_t added)
{
    const size_t rows =
        batch->next == NULL
            ? vector__index_bytes_with(&v->index, batch->added + added)
            : vector__index_bytes_with(batch->next, v->index.live + batch->added + added) +
                  v->index.extra_bytes + v->index.facets.bytes;
    return rows + batch->bytes;
}

static float *next_vector(struct batch *batch, unsigned dimension)
{
    if (batch->vectors == NULL) {
        batch->vectors = vector__floats_alloc(batch->room * dimension);
        batch->dimension = dimension;
    }
    CX_CHECK(dimension == batch->dimension && batch->count < batch->room);
    return batch->vectors + batch->count * dimension;
}

static void batch_free(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        vector__entry_free(&batch->entries[i]);
    }
    free(batch->entries);
    vector__floats_free(batch->vectors, batch->room * batch->dimension);
    free(batch->removed.items);
}
