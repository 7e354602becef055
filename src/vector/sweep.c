/* SPDX-License-Identifier: MIT
 *
 * What deleted collections have left on the disk, removed a little at a time, so that nobody waits for
 * it: first the documents, with their words and vectors, then what the keyword index keeps of them, then
 * its table and the collection's row. A crash in between costs nothing: what is left has a name by which
 * the next start knows it. And vectors that count no more, of collections that were embedded anew.
 *
 * Threads: the write lane.
 */
#include <stdlib.h>
#include <string.h>

#include "cortex/metrics.h"
#include "rows.h"

#define SLICE_NS UINT64_C(8000000) /* the commit comes on top */
#define MERGE_PAGES 64
#define SMALL_ROWS 200 /* of the keyword index: its table may go */

static bool is_held(struct cx_vector_store *store, int64_t id);
static size_t next_free(struct cx_vector_store *store);
static enum cx_status sweep_stale(struct cx_vector_store *store, struct cx_db *db, bool *more,
                                  struct cx_err *err);
static struct cx_vector *hold_stale(struct cx_vector_store *store);
static enum cx_status drop_stale(struct cx_vector *v, struct cx_db *db, char **at,
                                 struct cx_err *err);
static enum cx_status note_clean(const struct cx_vector *v, struct cx_db *db, struct cx_err *err);
static enum cx_status sweep_documents(struct cx_vector_store *store, struct cx_db *db,
                                      const struct vector__fulltext *fulltext, int64_t collection,
                                      bool *none, struct cx_err *err);
static enum cx_status sweep_table(struct cx_db *db, const struct vector__fulltext *fulltext,
                                  int64_t collection, bool *done, struct cx_err *err);

void vector__note_dropped(struct cx_vector_store *store, int64_t id)
{
    store->dropped =
        cx_realloc_array(store->dropped, store->dropped_count + 1, sizeof *store->dropped);
    store->dropped[store->dropped_count++] = id;
    cx_gauge_set(store->dropped_gauge, (double)store->dropped_count);
}

enum cx_status cx_vector_sweep(struct cx_vector_store *store, struct cx_db *db, bool *more,
                               struct cx_err *err)
{
    *more = false;
    const size_t at = next_free(store);
    if (at == store->dropped_count) {
        return sweep_stale(store, db, more, err);
    }
    const int64_t collection = store->dropped[at];
    struct vector__fulltext *fulltext = cx_alloc(sizeof *fulltext);
    vector__fulltext_init(fulltext, collection);
    bool none = false;
    bool done = false;
    enum cx_status status = cx_db_begin(db, err);
    if (status == CX_OK) {
        status = sweep_documents(store, db, fulltext, collection, &none, err);
        if (status == CX_OK && none) {
            status = sweep_table(db, fulltext, collection, &done, err);
        }
        if (status == CX_OK) {
            status = cx_db_commit(db, err);
        }
        if (status != CX_OK) {
            cx_db_rollback(db);
        }
    }
    free(fulltext);
    if (status != CX_OK) {
        return status;
    }
    if (done) {
        store->dropped[at] = store->dropped[--store->dropped_count];
        cx_gauge_set(store->dropped_gauge, (double)store->dropped_count);
    }
    *more = true;
    return CX_OK;
}

static bool is_held(struct cx_vector_store *store, int64_t id)
{
    bool held = false;
    CX_CHECK(pthread_mutex_lock(&store->mutex) == 0);
    for (size_t i = 0; i < store->gone_count; i++) {
        held = held || store->gone[i]->id == id;
    }
    CX_CHECK(pthread_mutex_unlock(&store->mutex) == 0);
    return held;
}

static size_t next_free(struct cx_vector_store *store)
{
    size_t at = 0;
    while (at < store->dropped_count && is_held(store, store->dropped[at])) {
        at++;
    }
    return at;
}

static enum cx_status sweep_documents(struct cx_vector_store *store, struct cx_db *db,
                                      const struct vector__fulltext *fulltext, int64_t collection,
                                      bool *none, struct cx_err *err)
{
    const uint64_t end_ns = cx_clock_mono_ns() + SLICE_NS;
    do {
        struct cx_stmt *s = NULL;
        enum cx_status status =
            cx_db_prepare(db, "SELECT id FROM documents WHERE collection = ?1 LIMIT 1", &s, err);
        if (status != CX_OK) {
            return status;
        }
        cx_stmt_bind_int(s, 1, collection);
        bool row = false;
        status = cx_stmt_step(s, &row, err);
        const int64_t id = status == CX_OK && row ? cx_stmt_int(s, 0) : 0;
        cx_stmt_reset(s);
        if (status == CX_OK && row) {
            status = vector__row_remove(store, db, fulltext, id, err);
        }
        if (status != CX_OK) {
            return status;
        }
        *none = !row;
    } while (!*none && cx_clock_mono_ns() < end_ns);
    return CX_OK;
}

/* The keyword index keeps the words of what is gone until it merges its parts; a table that is nearly
 * empty is dropped in a moment. */
static enum cx_status sweep_table(struct cx_db *db, const struct vector__fulltext *fulltext,
                                  int64_t collection, bool *done, struct cx_err *err)
{
    uint8_t before[CX_SHA256_BYTES];
    uint8_t after[CX_SHA256_BYTES];
    bool small = false;
    enum cx_status status = vector__read_parts(db, fulltext, before, &small, err);
    struct cx_stmt *s = NULL;
    if (status == CX_OK && !small) {
        status = cx_db_prepare(db, fulltext->merge, &s, err);
        if (status == CX_OK) {
            cx_stmt_bind_int(s, 1, -MERGE_PAGES);
            status = cx_stmt_run(s, err);
        }
        if (status == CX_OK) {
            status = vector__read_parts(db, fulltext, after, &small, err);
        }
        if (status != CX_OK || (!small && memcmp(before, after, sizeof before) != 0)) {
            return status;
        }
    }
    if (status == CX_OK) {
        status = cx_db_exec(db, fulltext->drop, err);
    }
    if (status == CX_OK) {
        status = cx_db_prepare(db, "DELETE FROM collections WHERE id = ?1", &s, err);
    }
    if (status == CX_OK) {
        cx_stmt_bind_int(s, 1, collection);
        status = cx_stmt_run(s, err);
    }
    *done = status == CX_OK;
    return status;
}

/* A digest of how the parts lie, and whether they are few. */
enum cx_status vector__read_parts(struct cx_db *db, const struct vector__fulltext *fulltext,
                                  uint8_t digest[CX_SHA256_BYTES], bool *small, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status = cx_db_prepare(db, fulltext->parts, &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, SMALL_ROWS);
    bool row = false;
    status = cx_stmt_step(s, &row, err);
    if (status == CX_OK) {
        CX_CHECK(row);
        cx_sha256(cx_stmt_blob(s, 0), digest);
        *small = cx_stmt_int(s, 1) < SMALL_ROWS;
        cx_stmt_reset(s);
    }
    return status;
}

/* ---- Vectors that count no more ---- */

static enum cx_status sweep_stale(struct cx_vector_store *store, struct cx_db *db, bool *more,
                                  struct cx_err *err)
{
    struct cx_vector *v = hold_stale(store);
    if (v == NULL) {
        return CX_OK;
    }
    char *at = cx_strdup(v->stale_at != NULL ? v->stale_at : "");
    enum cx_status status = cx_db_begin(db, err);
    if (status == CX_OK) {
        status = drop_stale(v, db, &at, err);
        if (status == CX_OK && at == NULL) {
            status = note_clean(v, db, err);
        }
        if (status == CX_OK) {
            status = cx_db_commit(db, err);
        }
        if (status != CX_OK) {
            cx_db_rollback(db);
        }
    }
    if (status == CX_OK) {
        free(v->stale_at);
        v->stale_at = at;
        if (at == NULL) {
            atomic_store(&v->stale, false);
            vector__note_collections(store);
            vector__reembed_prepared(v);
        }
        *more = true;
    } else {
        free(at);
    }
    struct cx_vector *gone = cx_vector_release(&v);
    cx_vector_free(&gone);
    return status;
}

static struct cx_vector *hold_stale(struct cx_vector_store *store)
{
    struct cx_vector *found = NULL;
    CX_CHECK(pthread_mutex_lock(&store->mutex) == 0);
    for (size_t i = 0; i < store->count && found == NULL; i++) {
        if (store->items[i]->life == VECTOR__STORED && atomic_load(&store->items[i]->stale)) {
            found = store->items[i];
            found->holders++;
        }
    }
    CX_CHECK(pthread_mutex_unlock(&store->mutex) == 0);
    return found;
}

/* From the document after *at on; *at: how far it came, NULL = to the end. */
static enum cx_status drop_stale(struct cx_vector *v, struct cx_db *db, char **at,
                                 struct cx_err *err)
{
    const uint64_t end_ns = cx_clock_mono_ns() + SLICE_NS;
    do {
        struct cx_stmt *s = NULL;
        enum cx_status status =
            cx_db_prepare(db,
                          "SELECT id, doc_id FROM documents WHERE collection = ?1 AND doc_id > ?2"
                          " ORDER BY doc_id LIMIT 1",
                          &s, err);
        if (status != CX_OK) {
            return status;
        }
        cx_stmt_bind_int(s, 1, v->id);
        cx_stmt_bind_text(s, 2, cx_str_of(*at));
        bool row = false;
        status = cx_stmt_step(s, &row, err);
        if (status != CX_OK) {
            return status;
        }
        char *next = NULL;
        if (row) {
            const int64_t id = cx_stmt_int(s, 0);
            const struct cx_str doc_id = cx_stmt_text(s, 1);
            next = cx_strndup(doc_id.p, doc_id.len);
            cx_stmt_reset(s);
            status = vector__row_drop_stale(v, db, id, err);
        }
        free(*at);
        *at = next;
        if (status != CX_OK) {
            return status;
        }
    } while (*at != NULL && cx_clock_mono_ns() < end_ns);
    return CX_OK;
}

static enum cx_status note_clean(const struct cx_vector *v, struct cx_db *db, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    const enum cx_status status =
        cx_db_prepare(db, "UPDATE collections SET stale = 0 WHERE id = ?1", &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, v->id);
    return cx_stmt_run(s, err);
}
