/* SPDX-License-Identifier: MIT
 *
 * One collection as a whole: reading it (whose is it, every vector into memory), freeing, figures. Owns
 * its index.
 */
#include "vector_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/json.h"
#include "cortex/metrics.h"
#include "owner.h"
#include "share.h"

static enum cx_status find_owner(struct cx_vector *v, struct cx_db *db, struct cx_err *err);
static enum cx_status load_rows(struct cx_vector *v, struct cx_db *db, struct cx_err *err);
static enum cx_status load_row(struct cx_vector *v, const struct cx_stmt *s, float *vector,
                               struct cx_err *err);
static void note_totals(struct cx_vector *v, size_t documents, size_t pending, size_t bytes);

struct cx_vector *vector__new(struct cx_vector_store *store, struct cx_str name)
{
    struct cx_vector *v = cx_alloc(sizeof *v);
    v->store = store;
    v->name = cx_strndup(name.p, name.len);
    v->provider = store->provider;
    v->model = store->model;
    v->fingerprint = store->fingerprint;
    v->dimension = store->dimension;
    v->kernel = vector__kernel_best();
    v->scan_seconds = cx_metrics_series(CX_M_VECTOR_SCAN, "");
    vector__index_init(&v->index);
    vector__share_init(&v->share);
    vector__index_share(&v->index, &store->memory);
    vector__index_use_file(&v->index, store->path);
    vector__index_set_dimension(&v->index, store->dimension);
    atomic_store_explicit(&v->figure_claim, store->dimension, memory_order_relaxed);
    return v;
}

enum cx_status vector__load(struct cx_vector *v, struct cx_db *db, struct cx_err *err)
{
    enum cx_status status = find_owner(v, db, err);
    if (status == CX_OK) {
        status = load_rows(v, db, err);
    }
    if (status == CX_OK) {
        status = vector__load_lengths(v, db, err);
    }
    if (status == CX_OK) {
        vector__update_figures(v);
    }
    return status;
}

void cx_vector_free(struct cx_vector **at)
{
    struct cx_vector *v = *at;
    if (v == NULL) {
        return;
    }
    *at = NULL;
    if (v->life == VECTOR__GONE) {
        vector__store_forget(v);
        vector__forget_graph(v);
    }
    vector__forget_figures(v);
    vector__share_free(&v->share);
    vector__index_free(&v->index);
    free(v->stale_at);
    free(v->old_provider);
    free(v->old_model);
    free(v->name);
    free(v);
}

void cx_vector_figures(const struct cx_vector *v, struct cx_vector_figures *out)
{
    const uint64_t claim = atomic_load_explicit(&v->figure_claim, memory_order_relaxed);
    out->documents = atomic_load_explicit(&v->figure_documents, memory_order_relaxed);
    out->pending = atomic_load_explicit(&v->figure_pending, memory_order_relaxed);
    out->index_bytes = atomic_load_explicit(&v->figure_bytes, memory_order_relaxed) +
                       atomic_load_explicit(&v->index.postings.bytes, memory_order_relaxed);
    out->owner = (enum cx_vector_owner)(claim >> 32);
    out->dimension = (unsigned)(claim & UINT32_MAX);
    out->status = vector__status(v);
    const bool client = out->owner == CX_OWNER_CLIENT;
    const bool old = out->status != CX_VECTOR_READY;
    out->provider = client ? VECTOR__CLIENT : old ? v->old_provider : v->provider;
    out->model = client ? VECTOR__CLIENT : old ? v->old_model : v->model;
    out->dimension = old ? v->old_dimension : out->dimension;
}

void vector__update_figures(struct cx_vector *v)
{
    vector__index_flush(&v->index);
    atomic_store_explicit(&v->figure_claim, (uint64_t)v->owner << 32 | v->index.dimension,
                          memory_order_relaxed);
    /* While nobody will embed them they do not wait. */
    const enum cx_vector_status status = vector__status(v);
    const bool waits = status == CX_VECTOR_READY || status == CX_VECTOR_REEMBEDDING;
    note_totals(v, v->index.live, waits ? v->index.pending : 0,
                vector__index_bytes_with(&v->index, 0));
}

void vector__forget_figures(struct cx_vector *v)
{
    note_totals(v, 0, 0, 0);
}

static void note_totals(struct cx_vector *v, size_t documents, size_t pending, size_t bytes)
{
    struct cx_vector_store *store = v->store;
    const size_t had =
        atomic_exchange_explicit(&v->figure_documents, documents, memory_order_relaxed);
    const size_t had_pending =
        atomic_exchange_explicit(&v->figure_pending, pending, memory_order_relaxed);
    atomic_store_explicit(&v->figure_bytes, bytes, memory_order_relaxed);
    vector__index_note(&v->index, bytes);
    cx_gauge_set(store->documents_gauge,
                 (double)(atomic_fetch_add_explicit(&store->documents, documents - had,
                                                    memory_order_relaxed) +
                          documents - had));
    cx_gauge_set(store->pending_gauge,
                 (double)(atomic_fetch_add_explicit(&store->pending, pending - had_pending,
                                                    memory_order_relaxed) +
                          pending - had_pending));
    vector__note_bytes(v);
}

void vector__note_bytes(struct cx_vector *v)
{
    struct cx_vector_store_figures figures;
    cx_vector_store_figures(v->store, &figures);
    cx_gauge_set(v->store->index_bytes_gauge, (double)figures.index_bytes);
}

enum cx_status vector__parse_metadata(struct cx_str text, json_t **out, struct cx_err *err)
{
    json_t *value = NULL;
    const enum cx_status status = cx_json_parse(text, &value, err);
    if (status == CX_OK && !json_is_object(value)) {
        json_decref(value);
        return cx_err_set(err, CX_INVALID, "metadata must be an object");
    }
    if (status == CX_OK) {
        *out = value;
    }
    return status;
}

json_t *vector__json_text(struct cx_str text)
{
    json_t *value = text.p != NULL ? json_stringn(text.p, text.len) : json_null();
    return value != NULL ? value : json_string("");
}

bool vector__copy_unit(float *dst, const void *src, unsigned dimension)
{
    memcpy(dst, src, dimension * sizeof *dst);
    double sum = 0;
    for (size_t i = 0; i < dimension; i++) {
        if (!isfinite(dst[i])) {
            return false;
        }
        sum += (double)dst[i] * (double)dst[i];
    }
    if (sum > 0 && fabs(sum - 1) > 1e-5) {
        const double scale = 1 / sqrt(sum);
        for (size_t i = 0; i < dimension; i++) {
            dst[i] = (float)((double)dst[i] * scale);
        }
    }
    return true;
}

static enum cx_status find_owner(struct cx_vector *v, struct cx_db *db, struct cx_err *err)
{
    struct vector__claim claim;
    const enum cx_status status = vector__owner_read(v, db, &claim, err);
    if (status == CX_OK) {
        v->owner = claim.owner;
        vector__index_set_dimension(&v->index, claim.dimension);
    }
    return status;
}

/* Of another model's vectors none is read: nothing could be compared with them. */
#define LOAD(vector, join)                                                                         \
    "SELECT d.id, d.doc_id, d.metadata, " vector " FROM documents d" join                          \
    " WHERE d.collection = ?1 ORDER BY d.id"

static enum cx_status load_rows(struct cx_vector *v, struct cx_db *db, struct cx_err *err)
{
    static const char *const by_side[] = {
        LOAD("x.vector", " LEFT JOIN vectors x ON x.id = d.id"),
        LOAD("x.vector", " LEFT JOIN vectors_beside x ON x.id = d.id"),
    };
    const enum cx_vector_status model = vector__status(v);
    const bool none = model == CX_VECTOR_OTHER_MODEL || model == CX_VECTOR_PREPARING;
    struct cx_stmt *s = NULL;
    enum cx_status status =
        cx_db_prepare(db, none ? LOAD("NULL", "") : by_side[atomic_load(&v->side)], &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, v->id);
    bool row = true;
    float *vector = vector__floats_alloc(v->index.dimension);
    while ((status = cx_stmt_step(s, &row, err)) == CX_OK && row) {
        status = load_row(v, s, vector, err);
        if (status != CX_OK) {
            cx_stmt_reset(s);
            break;
        }
    }
    vector__floats_free(vector, v->index.dimension);
    return status;
}

static enum cx_status load_row(struct cx_vector *v, const struct cx_stmt *s, float *vector,
                               struct cx_err *err)
{
    const struct cx_str doc_id = cx_stmt_text(s, 1);
    const struct cx_str blob = cx_stmt_blob(s, 3);
    const unsigned dimension = v->index.dimension;
    const bool pending = cx_stmt_is_null(s, 3) && v->owner == CX_OWNER_EMBEDDER;
    if (!pending && (dimension == 0 || blob.len != dimension * sizeof(float))) {
        return cx_err_set(err, CX_INTERNAL,
                          "the stored vector of document \"%.*s\" has %zu bytes instead of %zu",
                          (int)(doc_id.len < 128 ? doc_id.len : 128), doc_id.p, blob.len,
                          dimension * sizeof(float));
    }
    json_t *metadata = NULL;
    enum cx_status status = vector__parse_metadata(cx_stmt_text(s, 2), &metadata, err);
    if (status != CX_OK) {
        return status;
    }
    struct vector__entry entry = { .rowid = cx_stmt_int(s, 0), .pending = pending };
    entry.metadata = metadata;
    entry.doc_id = cx_strndup(doc_id.p, doc_id.len);
    entry.vector = pending ? NULL : vector;
    entry.borrowed = true;
    if (!pending && !vector__copy_unit(entry.vector, blob.p, dimension)) {
        /* One damaged vector must not keep all the others from being served. */
        CX_LOG(CX_LOG_ERROR, "a stored vector is not finite and counts as zero",
               CX_S("doc_id", entry.doc_id));
        memset(entry.vector, 0, dimension * sizeof(float));
    }
    if (vector__index_bytes_with(&v->index, 1) + vector__entry_bytes(&entry) >
        vector__bytes_max(v)) {
        vector__entry_free(&entry);
        return cx_err_set(err, CX_OVERLOADED,
                          "the stored vectors need more memory than the index may take (%zu bytes)",
                          v->store->memory.max);
    }
    status = vector__index_reserve(&v->index, 1, err);
    if (status != CX_OK) {
        vector__entry_free(&entry);
        return status;
    }
    CX_CHECK(pthread_rwlock_wrlock(&v->index.lock) == 0);
    vector__index_set(&v->index, &entry);
    CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
    return CX_OK;
}
