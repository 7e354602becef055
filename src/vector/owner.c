/* SPDX-License-Identifier: MIT
 *
 * Whose collection it is (owner.h). Vectors that clients bring have no model that we know of: their
 * fingerprint is made of the word "client" and the dimension, and no embedder has it.
 */
#include "owner.h"

#include <stdio.h>

#include "cortex/crypto.h"

static enum cx_status read_row(const struct cx_vector *v, const struct cx_stmt *s,
                               struct vector__claim *out, struct cx_err *err);
static enum cx_status refuse_text(const struct cx_vector *v, struct vector__claim stands, size_t at,
                                  struct cx_err *err);
static void client_fingerprint(unsigned dimension, char out[65]);

enum cx_status vector__owner_read(const struct cx_vector *v, struct cx_db *db,
                                  struct vector__claim *out, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status =
        cx_db_prepare(db,
                      "SELECT provider, model, fingerprint, dimension,"
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
    if (cx_stmt_int(s, 4) == 0) {
        /* Empty: whoever had it, it is free. Its row learns of the next owner with the next document. */
        *out = (struct vector__claim){ CX_OWNER_NONE, v->dimension };
    } else {
        status = read_row(v, s, out, err);
    }
    cx_stmt_reset(s);
    return status;
}

static enum cx_status read_row(const struct cx_vector *v, const struct cx_stmt *s,
                               struct vector__claim *out, struct cx_err *err)
{
    const struct cx_str provider = cx_stmt_text(s, 0);
    const struct cx_str model = cx_stmt_text(s, 1);
    const struct cx_str fingerprint = cx_stmt_text(s, 2);
    const int64_t stored = cx_stmt_int(s, 3);
    if (stored < 0 || stored > VECTOR__DIMENSION_MAX) {
        return cx_err_set(err, CX_INVALID, "vectors can have at most %d dimensions",
                          VECTOR__DIMENSION_MAX);
    }
    const unsigned dimension = (unsigned)stored;
    char of_client[65];
    client_fingerprint(dimension, of_client);
    if (cx_str_eq(fingerprint, cx_str_of(of_client))) {
        *out = (struct vector__claim){ CX_OWNER_CLIENT, dimension };
        return CX_OK;
    }
    if (!cx_str_eq(fingerprint, cx_str_of(v->fingerprint)) ||
        (v->dimension != 0 && dimension != 0 && v->dimension != dimension)) {
        return cx_err_set(err, CX_CONFLICT,
                          "collection \"%s\" was embedded by %.*s/%.*s (%u dimensions), "
                          "the configured model is %s/%s (%u dimensions)",
                          v->name, (int)provider.len, provider.p, (int)model.len, model.p,
                          dimension, v->provider, v->model, v->dimension);
    }
    *out = (struct vector__claim){ CX_OWNER_EMBEDDER, dimension }; /* 0: all of it is pending */
    return CX_OK;
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

enum cx_status vector__owner_claim(const struct cx_vector *v, struct cx_db *db,
                                   struct vector__claim claim, struct cx_err *err)
{
    const bool client = claim.owner == CX_OWNER_CLIENT;
    char of_client[65];
    client_fingerprint(claim.dimension, of_client);
    struct cx_stmt *s = NULL;
    const enum cx_status status = cx_db_prepare(db,
                                                "UPDATE collections SET provider = ?2, model = ?3,"
                                                " fingerprint = ?4, dimension = ?5 WHERE id = ?1",
                                                &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, v->id);
    cx_stmt_bind_text(s, 2, cx_str_of(client ? VECTOR__CLIENT : v->provider));
    cx_stmt_bind_text(s, 3, cx_str_of(client ? VECTOR__CLIENT : v->model));
    cx_stmt_bind_text(s, 4, cx_str_of(client ? of_client : v->fingerprint));
    cx_stmt_bind_int(s, 5, claim.dimension);
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
