/* SPDX-License-Identifier: MIT
 *
 * What the index learns of texts, from the database: how long they are at start, and the words of one
 * that comes.
 *
 * Threads: the write lane.
 */
#include <stdlib.h>

#include "vector_internal.h"

static bool first_varint(struct cx_str blob, uint64_t *out);

/* FTS5 keeps the lengths of a row's columns as varints (fts5_storage.c, %_docsize). */
enum cx_status vector__load_lengths(struct cx_vector *v, struct cx_db *db, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status = cx_db_prepare(db, v->fulltext.lengths, &s, err);
    if (status != CX_OK) {
        return status;
    }
    size_t known = 0;
    CX_CHECK(pthread_rwlock_wrlock(&v->index.lock) == 0);
    bool row = false;
    while ((status = cx_stmt_step(s, &row, err)) == CX_OK && row) {
        const size_t slot = vector__index_find(&v->index, cx_stmt_int(s, 0));
        uint64_t length = 0;
        if (slot != VECTOR__NO_SLOT && first_varint(cx_stmt_blob(s, 1), &length) &&
            length <= UINT32_MAX) {
            vector__index_set_length(&v->index, slot, (uint32_t)length);
            known++;
        }
    }
    CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
    if (status == CX_OK && known != v->index.live) {
        CX_LOG(CX_LOG_WARN, "the keyword index does not hold the lengths of all documents",
               CX_I("known", known), CX_I("documents", v->index.live));
        v->index.postings.off = true;
    }
    return status;
}

enum cx_status vector__words_of(const struct cx_vector *v, struct cx_db *db, struct cx_str text,
                                struct vector__words **out, struct cx_err *err)
{
    struct vector__words *words = cx_alloc(sizeof *words);
    vector__words_init(words);
    struct vector__words_maker maker = { &v->index.postings, words };
    enum cx_status status = cx_db_terms(db, text, vector__words_on_term, &maker, err);
    if (status == CX_OK && words->failed) {
        status = cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    if (status != CX_OK) {
        vector__words_free(words);
        free(words);
        return status;
    }
    vector__words_done(words);
    *out = words;
    return CX_OK;
}

/* Seven bits a byte, the highest first; of nine bytes the last has eight. */
static bool first_varint(struct cx_str blob, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < blob.len && i < 9; i++) {
        const uint8_t byte = (uint8_t)blob.p[i];
        if (i == 8) {
            *out = value << 8 | byte;
            return true;
        }
        value = value << 7 | (byte & 0x7FU);
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return false;
}
