/* SPDX-License-Identifier: MIT
 *
 * Whose collection it is (owner.h). Vectors that clients bring have no model that we know of: their
 * fingerprint is made of the word "client" and the dimension, and no embedder has it.
 */
#include "owner.h"

#include <stdio.h>

#include "cortex/crypto.h"

static enum cx_status read_row(struct cx_vector *v, const struct cx_stmt *s,
                               struct vector__claim *out, struct cx_err *err);
static void read_other_model(struct cx_vector *v, const struct cx_stmt *s,
                             struct vector__claim *out);
static bool is_ours(const struct cx_vector *v, struct cx_str fingerprint, int64_t dimension);
static enum cx_status refuse_text(const struct cx_vector *v, struct vector__claim stands, size_t at,
                                  struct cx_err *err);
static void client_fingerprint(unsigned dimension, char out[65]);

/* Columns. */
enum {
    PROVIDER,
    MODEL,
    FINGERPRINT,
    DIMENSION,
    SIDE,
    STALE,
    NEXT_FINGERPRINT,
    NEXT_DIMENSION,
    FILLED
};

enum cx_status vector__owner_read(struct cx_vector *v, struct cx_db *db, struct vector__claim *out,
                                  struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status =
        cx_db_prepare(db,
                      "SELECT provider, model, fingerprint, dimension, side, stale,"
                      " next_fingerprint, next_dimension,"
                      " EXISTS (SELECT 1 FROM documents WHERE collection = collections.id)"
                      " FROM collections WHERE id = ?1",
                      &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, v->id);
    bool row = false;
    status = cx_stmt_step(s, &row, err);
    if (status != CX_OK) {
        return status;
    }
    CX_CHECK(row);
    atomic_store(&v->side, cx_stmt_int(s, SIDE) == 0 ? 0U : 1U);
    atomic_store(&v->stale, cx_stmt_int(s, STALE) != 0);
    if (cx_stmt_int(s, FILLED) == 0) {
        /* Empty: whoever had it, it is free. Its row learns of the next owner with the next document. */
        *out = (struct vector__claim){ CX_OWNER_NONE, v->dimension };
    } else {
        status = read_row(v, s, out, err);
    }
    cx_stmt_reset(s);
    return status;
}

static enum cx_status read_row(struct cx_vector *v, const struct cx_stmt *s,
                               struct vector__claim *out, struct cx_err *err)
{
    const struct cx_str fingerprint = cx_stmt_text(s, FINGERPRINT);
    const int64_t stored = cx_stmt_int(s, DIMENSION);
    if (stored < 0 || stored > VECTOR__DIMENSION_MAX) {
        return cx_err_set(err, CX_INVALID, "vectors can have at most %d dimensions",
                          VECTOR__DIMENSION_MAX);
    }
    const unsigned dimension = (unsigned)stored;
    char of_client[65];
    client_fingerprint(dimension, of_client);
    if (cx_str_eq(fingerprint, cx_str_of(of_client))) {
        *out = (struct vector__claim){ CX_OWNER_CLIENT, dimension };
    } else if (is_ours(v, fingerprint, dimension)) {
        *out = (struct vector__claim){ CX_OWNER_EMBEDDER, dimension }; /* 0: all of it is pending */
    } else {
        read_other_model(v, s, out);
    }
    return CX_OK;
}

/* Its vectors are of no use; those that the configured model may have made beside them are. */
static void read_other_model(struct cx_vector *v, const struct cx_stmt *s,
                             struct vector__claim *out)
{
    const struct cx_str provider = cx_stmt_text(s, PROVIDER);
    const struct cx_str model = cx_stmt_text(s, MODEL);
    v->old_provider = cx_strndup(provider.p != NULL ? provider.p : "", provider.len);
    v->old_model = cx_strndup(model.p != NULL ? model.p : "", model.len);
    v->old_dimension = (unsigned)cx_stmt_int(s, DIMENSION);
    const int64_t next = cx_stmt_int(s, NEXT_DIMENSION);
    enum cx_vector_status status = CX_VECTOR_OTHER_MODEL;
    *out = (struct vector__claim){ CX_OWNER_EMBEDDER, 0 };
    if (is_ours(v, cx_stmt_text(s, NEXT_FINGERPRINT), next) && next <= VECTOR__DIMENSION_MAX) {
        status = atomic_load(&v->stale) ? CX_VECTOR_PREPARING : CX_VECTOR_REEMBEDDING;
    }
    if (status == CX_VECTOR_REEMBEDDING) {
        atomic_store(&v->side, 1 - atomic_load(&v->side));
        out->dimension = (unsigned)next;
    }
    atomic_store(&v->status, status);
    CX_LOG(CX_LOG_WARN, "a collection was embedded by another model: it is found by keyword only",
           CX_S("collection", v->name), CX_S("provider", v->old_provider),
           CX_S("model", v->old_model), CX_S("configured_provider", v->provider),
           CX_S("configured_model", v->model), CX_S("status", cx_vector_status_name(status)),
           CX_S("remedy", "cortexd --reembed"));
}

static bool is_ours(const struct cx_vector *v, struct cx_str fingerprint, int64_t dimension)
{
    return cx_str_eq(fingerprint, cx_str_of(v->fingerprint)) && dimension >= 0 &&
           (v->dimension == 0 || dimension == 0 || v->dimension == dimension);
}

enum cx_status vector__owner_admit(const struct cx_vector *v, struct vector__claim stands,
                                   const struct cx_document *docs, size_t count,
                                   struct vector__claim *out, struct cx_err *err)
{
    struct vector__claim claim = stands;
    if (stands.owner == CX_OWNER_NONE && count > 0) {
        claim.owner = docs[0].own_vector ? CX_OWNER_CLIENT : CX_OWNER_EMBEDDER;
        /* What the embedder makes says nothing of what clients bring. */
        claim.dimension = docs[0].own_vector ? 0 : stands.dimension;
    }
    for (size_t i = 0; i < count; i++) {
        CX_CHECK(docs[i].vector != NULL || !docs[i].own_vector);
        if (claim.owner == CX_OWNER_CLIENT && !docs[i].own_vector) {
            return refuse_text(v, stands, i, err);
        }
        if (docs[i].vector == NULL) {
            continue;
        }
        if (docs[i].dimension < 1 || docs[i].dimension > VECTOR__DIMENSION_MAX) {
            return cx_err_set(err, CX_INVALID, "a vector must have 1 to %d dimensions",
                              VECTOR__DIMENSION_MAX);
        }
        claim.dimension = claim.dimension == 0 ? docs[i].dimension : claim.dimension;
        if (docs[i].dimension != claim.dimension) {
            return cx_err_set(err, CX_CONFLICT,
                              "a vector has %u dimensions, collection \"%s\" has %u",
                              docs[i].dimension, v->name, claim.dimension);
        }
    }
    *out = claim;
    return CX_OK;
}

enum cx_status vector__owner_check_learned(struct vector__claim stands, struct vector__claim claim,
                                           const struct cx_document *docs, size_t count,
                                           struct cx_err *err)
{
    if (claim.owner != CX_OWNER_EMBEDDER || claim.dimension == stands.dimension) {
        return CX_OK;
    }
    for (size_t i = 0; i < count; i++) {
        if (docs[i].vector != NULL && !docs[i].own_vector) {
            return CX_OK;
        }
    }
    return cx_err_set(err, CX_CONFLICT,
                      "how many dimensions the model's vectors have is not known yet: a vector of "
                      "%u can be taken when the first text has been embedded",
                      claim.dimension);
}

static enum cx_status refuse_text(const struct cx_vector *v, struct vector__claim stands, size_t at,
                                  struct cx_err *err)
{
    if (stands.owner == CX_OWNER_CLIENT) {
        return cx_err_set(
            err, CX_CONFLICT,
            "collection \"%s\" holds vectors that clients bring: document %zu needs a "
            "vector of %u dimensions",
            v->name, at + 1, stands.dimension);
    }
    return cx_err_set(err, CX_CONFLICT,
                      "document %zu has no vector, but the first one has: into an empty collection "
                      "all of them bring one, or none",
                      at + 1);
}

static enum cx_status claim_next(const struct cx_vector *v, struct cx_db *db, unsigned dimension,
                                 struct cx_err *err);

enum cx_status vector__owner_claim(const struct cx_vector *v, struct cx_db *db,
                                   struct vector__claim claim, struct cx_err *err)
{
    if (vector__status(v) == CX_VECTOR_REEMBEDDING) {
        return claim_next(v, db, claim.dimension, err);
    }
    const bool client = claim.owner == CX_OWNER_CLIENT;
    char of_client[65];
    client_fingerprint(claim.dimension, of_client);
    struct cx_stmt *s = NULL;
    const enum cx_status status =
        cx_db_prepare(db,
                      "UPDATE collections SET provider = ?2, model = ?3, fingerprint = ?4,"
                      " dimension = ?5, side = ?6, next_provider = NULL, next_model = NULL,"
                      " next_fingerprint = NULL, next_dimension = 0 WHERE id = ?1",
                      &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, v->id);
    cx_stmt_bind_text(s, 2, cx_str_of(client ? VECTOR__CLIENT : v->provider));
    cx_stmt_bind_text(s, 3, cx_str_of(client ? VECTOR__CLIENT : v->model));
    cx_stmt_bind_text(s, 4, cx_str_of(client ? of_client : v->fingerprint));
    cx_stmt_bind_int(s, 5, claim.dimension);
    cx_stmt_bind_int(s, 6, atomic_load(&v->side));
    return cx_stmt_run(s, err);
}

/* The old model's vectors still count. */
static enum cx_status claim_next(const struct cx_vector *v, struct cx_db *db, unsigned dimension,
                                 struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    const enum cx_status status =
        cx_db_prepare(db, "UPDATE collections SET next_dimension = ?2 WHERE id = ?1", &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, v->id);
    cx_stmt_bind_int(s, 2, dimension);
    return cx_stmt_run(s, err);
}

static void client_fingerprint(unsigned dimension, char out[65])
{
    char text[64];
    const int len = snprintf(text, sizeof text, "cortex-vectors:" VECTOR__CLIENT ":%u", dimension);
    uint8_t digest[CX_SHA256_BYTES];
    cx_sha256((struct cx_str){ text, (size_t)len }, digest);
    (void)cx_hex(digest, sizeof digest, out);
}
