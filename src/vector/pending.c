/* SPDX-License-Identifier: MIT
 *
 * Documents that have no vector yet: which they are, and their vectors when these have come. Which
 * they are is asked of the index, which knows it without reading the database through.
 *
 * Threads: cx_vector_pending: a worker with a reader of its own. cx_vector_fill: the write lane.
 */
#include <stdlib.h>
#include <string.h>

#include "owner.h"
#include "rows.h"

#define TEXT_MAX (SIZE_MAX / 4) /* the caller's `bytes`, and one document */

static size_t find_ids(struct cx_vector *v, int64_t after, int64_t *ids, size_t limit);
static enum cx_status add_waiting(const struct cx_vector *v, struct cx_db *db, int64_t id,
                                  size_t bytes, struct cx_vector_pending *out, struct cx_buf *text,
                                  bool *full, struct cx_err *err);

enum cx_status cx_vector_pending(struct cx_vector *v, struct cx_db *db, int64_t after, size_t limit,
                                 size_t bytes, struct cx_vector_pending *out, struct cx_err *err)
{
    int64_t *ids = cx_alloc((limit + 1) * sizeof *ids);
    const enum cx_vector_status model = vector__status(v);
    const bool waits =
        vector__is_stored(v) && (model == CX_VECTOR_READY || model == CX_VECTOR_REEMBEDDING);
    const size_t count = waits ? find_ids(v, after, ids, limit) : 0;
    struct cx_vector_pending found = { .items = cx_alloc((count + 1) * sizeof *found.items) };
    struct cx_buf text;
    cx_buf_init(&text, TEXT_MAX);
    enum cx_status status = CX_OK;
    bool full = count == limit;
    for (size_t i = 0; i < count && status == CX_OK; i++) {
        bool no_room = false;
        status = add_waiting(v, db, ids[i], bytes, &found, &text, &no_room, err);
        if (no_room) {
            full = true;
            break;
        }
        found.last = ids[i];
    }
    free(ids);
    if (status != CX_OK) {
        cx_buf_free(&text);
        free(found.items);
        return status;
    }
    found.last = full ? found.last : 0;
    found.text = cx_buf_take(&text, NULL);
    const char *at = found.text;
    for (size_t i = 0; i < found.count; i++) {
        /* Only now: the buffer has moved while it grew. */
        found.items[i].doc_id.p = at;
        found.items[i].content.p = at + found.items[i].doc_id.len;
        at = found.items[i].content.p + found.items[i].content.len;
    }
    *out = found;
    return CX_OK;
}

void cx_vector_pending_free(struct cx_vector_pending *pending)
{
    free(pending->items);
    free(pending->text);
    *pending = (struct cx_vector_pending){ 0 };
}

/* The smallest ones, ascending. Slots are mostly in the order of ids, so that most are appended. */
static size_t find_ids(struct cx_vector *v, int64_t after, int64_t *ids, size_t limit)
{
    size_t count = 0;
    CX_CHECK(pthread_rwlock_rdlock(&v->index.lock) == 0);
    size_t left = v->index.pending;
    for (size_t at = 0; left > 0 && at < v->index.slot_end; at++) {
        const struct vector__slot *slot = vector__index_slot(&v->index, at);
        if (!slot->pending) {
            continue;
        }
        left--;
        if (slot->rowid <= after || (count == limit && slot->rowid > ids[count - 1])) {
            continue;
        }
        size_t place = count < limit ? count++ : count - 1;
        while (place > 0 && ids[place - 1] > slot->rowid) {
            ids[place] = ids[place - 1];
            place--;
        }
        ids[place] = slot->rowid;
    }
    CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
    return count;
}

/* One that is gone, or has its vector by now, adds nothing. */
static enum cx_status add_waiting(const struct cx_vector *v, struct cx_db *db, int64_t id,
                                  size_t bytes, struct cx_vector_pending *out, struct cx_buf *text,
                                  bool *full, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status = cx_db_prepare(
        db,
        VECTOR__BY_SIDE(v,
                        "SELECT doc_id, content_hash, content FROM documents WHERE id = ?1"
                        " AND NOT EXISTS (SELECT 1 FROM ",
                        " WHERE id = ?1)"),
        &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, id);
    bool row = false;
    status = cx_stmt_step(s, &row, err);
    if (status != CX_OK || !row) {
        return status;
    }
    const struct cx_str doc_id = cx_stmt_text(s, 0);
    const struct cx_str hash = cx_stmt_blob(s, 1);
    const struct cx_str content = cx_stmt_text(s, 2);
    struct cx_vector_waiting *item = &out->items[out->count];
    if (hash.len != sizeof item->content_hash) {
        status = cx_err_set(err, CX_INTERNAL, "the content hash of document %lld is damaged",
                            (long long)id);
    } else if (out->count > 0 && text->len + content.len > bytes) {
        *full = true;
    } else {
        item->id = id;
        memcpy(item->content_hash, hash.p, hash.len);
        item->doc_id.len = doc_id.len;
        item->content.len = content.len;
        cx_buf_put_str(text, doc_id);
        cx_buf_put_str(text, content);
        out->count++;
        if (text->failed) {
            status = cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
        }
    }
    cx_stmt_reset(s);
    return status;
}

/* ---- Filling ---- */

/* What a transaction will have filled. */
struct filling {
    unsigned dimension;
    float *vectors; /* of those that are filled, row after row */
    int64_t *ids;
    size_t count;
    struct vector__index *next; /* where the dimension was not known; else NULL */
};

static enum cx_status fill_all(struct cx_vector *v, struct cx_db *db,
                               const struct cx_vector_waiting *items, size_t count,
                               const float *vectors, struct filling *f, struct cx_err *err);
static enum cx_status check_dimension(const struct cx_vector *v, unsigned dimension,
                                      struct cx_err *err);
static enum cx_status learn_dimension(struct cx_vector *v, struct cx_db *db, struct filling *f,
                                      struct vector__index *next, struct cx_err *err);

enum cx_status cx_vector_fill(struct cx_vector *v, struct cx_db *db,
                              const struct cx_vector_waiting *items, size_t count,
                              const float *vectors, unsigned dimension, size_t *filled,
                              struct cx_err *err)
{
    if (v->life != VECTOR__STORED || vector__check_model(v, NULL) != CX_OK) {
        *filled = 0;
        return CX_OK;
    }
    enum cx_status status = check_dimension(v, dimension, err);
    if (status == CX_OK) {
        status = cx_db_begin(db, err);
    }
    if (status != CX_OK) {
        return status;
    }
    struct vector__index next;
    struct filling f = { .dimension = dimension,
                         .vectors = malloc((count + 1) * dimension * sizeof *f.vectors),
                         .ids = cx_alloc((count + 1) * sizeof *f.ids) };
    status = f.vectors != NULL ? fill_all(v, db, items, count, vectors, &f, err)
                               : cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    if (status == CX_OK && f.count > 0 && v->index.dimension == 0) {
        status = learn_dimension(v, db, &f, &next, err);
    }
    if (status == CX_OK) {
        status = cx_db_commit(db, err);
    }
    if (status != CX_OK) {
        cx_db_rollback(db);
        if (f.next != NULL) {
            vector__index_free(f.next);
        }
    } else {
        CX_CHECK(pthread_rwlock_wrlock(&v->index.lock) == 0);
        if (f.next != NULL) {
            vector__index_replace(&v->index, f.next);
        }
        for (size_t i = 0; i < f.count; i++) {
            vector__index_fill(&v->index, f.ids[i], f.vectors + i * dimension);
        }
        CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
        vector__update_figures(v);
        *filled = f.count;
    }
    free(f.vectors);
    free(f.ids);
    return status;
}

/* Where nothing is pending, there is nothing to disagree with either. */
static enum cx_status check_dimension(const struct cx_vector *v, unsigned dimension,
                                      struct cx_err *err)
{
    if (dimension < 1 || dimension > VECTOR__DIMENSION_MAX) {
        return cx_err_set(err, CX_INVALID, "a vector must have 1 to %d dimensions",
                          VECTOR__DIMENSION_MAX);
    }
    if (v->index.pending > 0 && v->index.dimension != 0 && v->index.dimension != dimension) {
        return cx_err_set(err, CX_CONFLICT,
                          "the vectors have %u dimensions, collection \"%s\" has %u", dimension,
                          v->name, v->index.dimension);
    }
    return CX_OK;
}

static enum cx_status fill_all(struct cx_vector *v, struct cx_db *db,
                               const struct cx_vector_waiting *items, size_t count,
                               const float *vectors, struct filling *f, struct cx_err *err)
{
    for (size_t i = 0; i < count; i++) {
        bool waits = false;
        enum cx_status status =
            vector__row_waits(v, db, items[i].id, items[i].content_hash, &waits, err);
        if (status == CX_OK && waits &&
            vector__index_find(&v->index, items[i].id) != VECTOR__NO_SLOT) {
            float *vector = f->vectors + f->count * f->dimension;
            status =
                vector__copy_unit(vector, vectors + i * f->dimension, f->dimension)
                    ? vector__row_write_vector(v, db, items[i].id, vector, f->dimension, err)
                    : cx_err_set(err, CX_INVALID, "a vector holds a number that is not finite");
            f->ids[f->count++] = items[i].id;
        }
        if (status != CX_OK) {
            return status;
        }
    }
    return CX_OK;
}

static enum cx_status learn_dimension(struct cx_vector *v, struct cx_db *db, struct filling *f,
                                      struct vector__index *next, struct cx_err *err)
{
    vector__index_init(next);
    vector__index_use_file(next, v->store->path);
    vector__index_set_dimension(next, f->dimension);
    f->next = next;
    const size_t bytes = vector__index_bytes_with(next, v->index.live) + v->index.extra_bytes +
                         v->index.facets.bytes;
    if (bytes > vector__bytes_max(v)) {
        return cx_err_set(err, CX_OVERLOADED,
                          "the vectors would need more memory than the index "
                          "may take (%zu bytes)",
                          v->store->memory.max);
    }
    const enum cx_status status = vector__index_reserve(next, v->index.live, err);
    const struct vector__claim claim = { CX_OWNER_EMBEDDER, f->dimension };
    return status == CX_OK ? vector__owner_claim(v, db, claim, err) : status;
}
