/* SPDX-License-Identifier: MIT
 *
 * Collections of another model, and embedding them anew. Its row in the database says which model's
 * vectors count and in which of two tables they are (`side`); and which model's are being made in the
 * other one (`next_…`). To switch is to change that row.
 *
 *   OTHER_MODEL → PREPARING    somebody asks for it
 *   PREPARING → REEMBEDDING    the other table holds nothing of the collection (sweep.c): the index, in
 *                              which every document is pending, is of that table now
 *   REEMBEDDING → READY        nothing waits any more; what the first table holds is stale now
 *   any → READY                its last document was deleted: it is nobody's
 *
 * Threads: the write lane; checking: any.
 */
#include "cortex/metrics.h"
#include "vector_internal.h"

static enum cx_status write_wish(const struct cx_vector *v, struct cx_db *db, struct cx_err *err);
static enum cx_status write_switch(const struct cx_vector *v, struct cx_db *db, struct cx_err *err);

const char *cx_vector_status_name(enum cx_vector_status status)
{
    static const char *const names[] = {
        [CX_VECTOR_READY] = "ready",
        [CX_VECTOR_OTHER_MODEL] = "other_model",
        [CX_VECTOR_PREPARING] = "preparing",
        [CX_VECTOR_REEMBEDDING] = "reembedding",
    };
    return names[status];
}

enum cx_status vector__check_model(const struct cx_vector *v, struct cx_err *err)
{
    const enum cx_vector_status status = vector__status(v);
    if (status == CX_VECTOR_READY || status == CX_VECTOR_REEMBEDDING) {
        return CX_OK;
    }
    return vector__refuse_model(v, err);
}

enum cx_status vector__refuse_model(const struct cx_vector *v, struct cx_err *err)
{
    if (vector__status(v) == CX_VECTOR_OTHER_MODEL) {
        return cx_err_set(err, CX_CONFLICT,
                          "collection \"%s\" was embedded by %.80s/%.80s (%u dimensions), the "
                          "configured model is %.80s/%.80s: until it is embedded anew (POST "
                          "/vector/collections/%s/reembed, or cortexd --reembed) it is found by "
                          "keyword only",
                          v->name, v->old_provider, v->old_model, v->old_dimension, v->provider,
                          v->model, v->name);
    }
    return cx_err_set(err, CX_CONFLICT,
                      "collection \"%s\", embedded by %.100s/%.100s, is being embedded anew by "
                      "%.100s/%.100s: until that is done it is found by keyword only",
                      v->name, v->old_provider, v->old_model, v->provider, v->model);
}

void vector__set_status(struct cx_vector *v, enum cx_vector_status status)
{
    atomic_store_explicit(&v->status, status, memory_order_release);
    vector__note_collections(v->store);
}

/* ---- Asking for it ---- */

enum cx_status cx_vector_reembed(struct cx_vector *v, struct cx_db *db, struct cx_err *err)
{
    if (v->life != VECTOR__STORED) {
        return cx_err_set(err, CX_NOT_FOUND, "There is no such collection");
    }
    if (v->owner == CX_OWNER_CLIENT) {
        return cx_err_set(
            err, CX_CONFLICT,
            "collection \"%s\" holds vectors that clients bring: only they can make others",
            v->name);
    }
    if (vector__status(v) != CX_VECTOR_OTHER_MODEL) {
        return CX_OK;
    }
    const enum cx_status status = write_wish(v, db, err);
    if (status == CX_OK) {
        atomic_store(&v->stale, true);
        vector__set_status(v, CX_VECTOR_PREPARING);
    }
    return status;
}

/* Stale whatever is there: an attempt with a third model may have left something. */
static enum cx_status write_wish(const struct cx_vector *v, struct cx_db *db, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    const enum cx_status status =
        cx_db_prepare(db,
                      "UPDATE collections SET next_provider = ?2, next_model = ?3,"
                      " next_fingerprint = ?4, next_dimension = ?5, stale = 1 WHERE id = ?1",
                      &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, v->id);
    cx_stmt_bind_text(s, 2, cx_str_of(v->provider));
    cx_stmt_bind_text(s, 3, cx_str_of(v->model));
    cx_stmt_bind_text(s, 4, cx_str_of(v->fingerprint));
    cx_stmt_bind_int(s, 5, v->dimension);
    return cx_stmt_run(s, err);
}

void vector__reembed_prepared(struct cx_vector *v)
{
    if (vector__status(v) != CX_VECTOR_PREPARING) {
        return;
    }
    CX_CHECK(v->index.live == v->index.pending);
    atomic_store(&v->side, 1 - atomic_load(&v->side));
    vector__set_status(v, CX_VECTOR_REEMBEDDING);
    vector__update_figures(v);
}

/* ---- The end of it ---- */

enum cx_status cx_vector_reembedded(struct cx_vector *v, struct cx_db *db, struct cx_err *err)
{
    if (v->life != VECTOR__STORED || vector__status(v) != CX_VECTOR_REEMBEDDING) {
        return CX_OK;
    }
    if (v->index.pending == v->index.live) {
        return cx_err_set(err, CX_CONFLICT, "no document of collection \"%s\" could be embedded",
                          v->name);
    }
    const enum cx_status status = write_switch(v, db, err);
    if (status == CX_OK) {
        atomic_store(&v->stale, true);
        vector__set_status(v, CX_VECTOR_READY);
        vector__update_figures(v);
    }
    return status;
}

static enum cx_status write_switch(const struct cx_vector *v, struct cx_db *db, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    const enum cx_status status =
        cx_db_prepare(db,
                      "UPDATE collections SET provider = next_provider, model = next_model,"
                      " fingerprint = next_fingerprint, dimension = ?2, side = ?3, stale = 1,"
                      " next_provider = NULL, next_model = NULL, next_fingerprint = NULL,"
                      " next_dimension = 0 WHERE id = ?1",
                      &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, v->id);
    cx_stmt_bind_int(s, 2, v->index.dimension);
    cx_stmt_bind_int(s, 3, atomic_load(&v->side));
    return cx_stmt_run(s, err);
}
