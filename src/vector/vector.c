/* SPDX-License-Identifier: MIT
 *
 * The vector store as a whole: opening (whose collection is it, every vector into memory), freeing,
 * figures. Owns the index.
 */
#include "vector_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/json.h"
#include "cortex/metrics.h"
#include "owner.h"

static enum cx_status find_owner(struct cx_vector *v, struct cx_db *db, struct cx_err *err);
static enum cx_status load(struct cx_vector *v, struct cx_db *db, struct cx_err *err);
static enum cx_status load_row(struct cx_vector *v, const struct cx_stmt *s, struct cx_err *err);

enum cx_status cx_vector_open(struct cx_db *db, const struct cx_vector_options *options,
                              struct cx_vector **out, struct cx_err *err)
{
    struct cx_vector *v = cx_alloc(sizeof *v);
    v->provider = cx_strdup(options->provider);
    v->model = cx_strdup(options->model);
    v->fingerprint = cx_strdup(options->fingerprint);
    v->dimension = options->dimension;
    v->index_bytes_max = options->index_bytes_max;
    cx_random_bytes(v->facet_key.bytes, sizeof v->facet_key.bytes);
    v->kernel = vector__kernel_best();
    v->documents = cx_metrics_series(CX_M_VECTOR_DOCUMENTS, "");
    v->pending = cx_metrics_series(CX_M_VECTOR_PENDING, "");
    v->index_bytes = cx_metrics_series(CX_M_VECTOR_INDEX_BYTES, "");
    v->scan_seconds = cx_metrics_series(CX_M_VECTOR_SCAN, "");
    vector__index_init(&v->index);
    v->index.bytes_max = options->index_bytes_max;
    vector__index_open_file(&v->index, cx_db_path(db));
    enum cx_status status = find_owner(v, db, err);
    if (status == CX_OK) {
        status = load(v, db, err);
    }
    if (status == CX_OK) {
        status = vector__load_lengths(v, db, err);
    }
    if (status != CX_OK) {
        cx_vector_free(&v);
        return status;
    }
    vector__update_figures(v);
    *out = v;
    return CX_OK;
}

void cx_vector_free(struct cx_vector **v)
{
    if (*v != NULL) {
        vector__index_free(&(*v)->index);
        free((*v)->provider);
        free((*v)->model);
        free((*v)->fingerprint);
        free(*v);
        *v = NULL;
    }
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
    out->provider = out->owner == CX_OWNER_CLIENT ? VECTOR__CLIENT : v->provider;
    out->model = out->owner == CX_OWNER_CLIENT ? VECTOR__CLIENT : v->model;
}

void vector__update_figures(struct cx_vector *v)
{
    vector__index_flush(&v->index);
    const size_t bytes = vector__index_bytes_with(&v->index, 0);
    atomic_store_explicit(&v->figure_documents, v->index.live, memory_order_relaxed);
    atomic_store_explicit(&v->figure_pending, v->index.pending, memory_order_relaxed);
    atomic_store_explicit(&v->figure_bytes, bytes, memory_order_relaxed);
    atomic_store_explicit(&v->figure_claim, (uint64_t)v->owner << 32 | v->index.dimension,
                          memory_order_relaxed);
    cx_gauge_set(v->documents, (double)v->index.live);
    cx_gauge_set(v->pending, (double)v->index.pending);
    vector__note_bytes(v);
}

void vector__note_bytes(struct cx_vector *v)
{
    struct cx_vector_figures figures;
    cx_vector_figures(v, &figures);
    cx_gauge_set(v->index_bytes, (double)figures.index_bytes);
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
    if (v->dimension > VECTOR__DIMENSION_MAX) {
        return cx_err_set(err, CX_INVALID, "vectors can have at most %d dimensions",
                          VECTOR__DIMENSION_MAX);
    }
    struct vector__claim claim;
    const enum cx_status status = vector__owner_read(v, db, &claim, err);
    if (status == CX_OK) {
        v->owner = claim.owner;
        vector__index_set_dimension(&v->index, claim.dimension);
    }
    return status;
}

static enum cx_status load(struct cx_vector *v, struct cx_db *db, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status =
        cx_db_prepare(db,
                      "SELECT d.id, d.doc_id, d.metadata, x.vector FROM documents d"
                      " LEFT JOIN vectors x ON x.id = d.id WHERE d.collection = ?1 ORDER BY d.id",
                      &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, VECTOR__COLLECTION);
    bool row = true;
    while ((status = cx_stmt_step(s, &row, err)) == CX_OK && row) {
        status = load_row(v, s, err);
        if (status != CX_OK) {
            cx_stmt_reset(s);
            return status;
        }
    }
    return status;
}

static enum cx_status load_row(struct cx_vector *v, const struct cx_stmt *s, struct cx_err *err)
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
    vector__facets_of(metadata, &v->facet_key, &entry.facets, &entry.facet_count);
    json_decref(metadata);
    entry.doc_id = cx_strndup(doc_id.p, doc_id.len);
    entry.vector = pending ? NULL : cx_alloc(dimension * sizeof(float));
    if (!pending && !vector__copy_unit(entry.vector, blob.p, dimension)) {
        /* One damaged vector must not keep all the others from being served. */
        CX_LOG(CX_LOG_ERROR, "a stored vector is not finite and counts as zero",
               CX_S("doc_id", entry.doc_id));
        memset(entry.vector, 0, dimension * sizeof(float));
    }
    if (vector__index_bytes_with(&v->index, 1) + vector__entry_bytes(&entry) > v->index_bytes_max) {
        vector__entry_free(&entry);
        return cx_err_set(err, CX_OVERLOADED,
                          "the stored vectors need more memory than the index may take (%zu bytes)",
                          v->index_bytes_max);
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
