/* SPDX-License-Identifier: MIT
 *
 * Documents that go: by their ids, in one transaction, or those that a filter means, in slices, between
 * which other writers come in.
 *
 * Threads: the write lane.
 */
#include <stdlib.h>
#include <string.h>

#include "filter_sets.h"
#include "passages.h"
#include "rows.h"

#define SLICE_NS UINT64_C(8000000) /* of removing; the commit comes on top */
#define CLOCK_EVERY 16             /* documents between looks at the clock */
#define NAMED_MAX 256

struct gone {
    int64_t *ids;
    size_t count;
};

static enum cx_status last_id(struct cx_db *db, int64_t *out, struct cx_err *err);
static void find_matching(const struct vector__index *index, const struct vector__allowed *allowed,
                          int64_t last, struct gone *out);
static enum cx_status remove_rows(struct cx_vector *v, struct cx_db *db, struct gone *gone,
                                  size_t matching, struct cx_err *err);
static void name_them(const struct vector__index *index, const struct gone *gone, json_t *doc_ids);
static enum cx_status finish(struct cx_vector *v, struct cx_db *db, const struct gone *gone,
                             json_t *doc_ids, enum cx_status status, struct cx_err *err);

enum cx_status cx_vector_delete(struct cx_vector *v, struct cx_db *db, const struct cx_str *ids,
                                size_t count, size_t *deleted, struct cx_err *err)
{
    if (v->life != VECTOR__STORED) {
        *deleted = 0;
        return CX_OK;
    }
    enum cx_status status = cx_db_begin(db, err);
    if (status != CX_OK) {
        return status;
    }
    struct vector__ids removed = { NULL, 0 };
    size_t there = 0;
    for (size_t i = 0; i < count && status == CX_OK; i++) {
        const size_t before = removed.count;
        status = vector__whole_remove(v, db, ids[i], &removed, err);
        if (status == CX_OK) {
            status = vector__passages_remove(v, db, ids[i], 0, &removed, err);
        }
        there += removed.count > before ? 1 : 0;
    }
    const struct gone gone = { removed.items, removed.count };
    status = finish(v, db, &gone, NULL, status, err);
    free(removed.items);
    if (status == CX_OK) {
        *deleted = there;
    }
    return status;
}

enum cx_status cx_vector_delete_matching(struct cx_vector *v, struct cx_db *db,
                                         const struct cx_vector_filter *filter,
                                         struct cx_vector_delete *progress, struct cx_err *err)
{
    progress->more = false;
    if (v->life != VECTOR__STORED) {
        return CX_OK;
    }
    struct vector__allowed allowed;
    enum cx_status status = vector__filter_ask(filter, &v->index.facets, &allowed, err);
    if (status != CX_OK) {
        return status;
    }
    status = cx_db_begin(db, err);
    if (status == CX_OK && progress->last == 0) {
        status = last_id(db, &progress->last, err);
    }
    struct gone gone = { .ids = cx_alloc((v->index.live + 1) * sizeof *gone.ids) };
    find_matching(&v->index, &allowed, progress->last, &gone);
    vector__allowed_free(&allowed);
    const size_t matching = gone.count;
    if (status == CX_OK) {
        status = remove_rows(v, db, &gone, matching, err);
    }
    status = finish(v, db, &gone, progress->doc_ids, status, err);
    if (status == CX_OK) {
        progress->deleted += gone.count;
        progress->more = gone.count < matching;
    }
    free(gone.ids);
    return status;
}

/* Later documents have greater ids. */
static enum cx_status last_id(struct cx_db *db, int64_t *out, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status = cx_db_prepare(db, "SELECT max(id) FROM documents", &s, err);
    if (status != CX_OK) {
        return status;
    }
    bool row = false;
    status = cx_stmt_step(s, &row, err);
    if (status == CX_OK && row) {
        *out = cx_stmt_int(s, 0);
        cx_stmt_reset(s);
    }
    return status;
}

/* The thread that changes the index may read it without its lock. */
static void find_matching(const struct vector__index *index, const struct vector__allowed *allowed,
                          int64_t last, struct gone *out)
{
    for (size_t at = 0; at < index->slot_end; at++) {
        const int64_t id = vector__index_slot(index, at)->rowid;
        if (id != 0 && id <= last && vector__allows(allowed, at)) {
            out->ids[out->count++] = id;
        }
    }
}

/* As many as there is time for. */
static enum cx_status remove_rows(struct cx_vector *v, struct cx_db *db, struct gone *gone,
                                  size_t matching, struct cx_err *err)
{
    const uint64_t end_ns = cx_clock_mono_ns() + SLICE_NS;
    enum cx_status status = CX_OK;
    gone->count = 0;
    while (gone->count < matching && status == CX_OK &&
           (gone->count % CLOCK_EVERY != 0 || gone->count == 0 || cx_clock_mono_ns() < end_ns)) {
        status = vector__row_remove(v->store, db, &v->fulltext, gone->ids[gone->count], err);
        gone->count += status == CX_OK ? 1 : 0;
    }
    return status;
}

static void name_them(const struct vector__index *index, const struct gone *gone, json_t *doc_ids)
{
    for (size_t i = 0; doc_ids != NULL && i < gone->count && json_array_size(doc_ids) < NAMED_MAX;
         i++) {
        const size_t at = vector__index_find(index, gone->ids[i]);
        (void)json_array_append_new(doc_ids,
                                    vector__json_text(cx_str_of(vector__index_id(index, at))));
    }
}

/* Commits, and only then takes them out of the index; or undoes it all. doc_ids: NULL, or where to name
 * them. */
static enum cx_status finish(struct cx_vector *v, struct cx_db *db, const struct gone *gone,
                             json_t *doc_ids, enum cx_status status, struct cx_err *err)
{
    if (status == CX_OK) {
        status = cx_db_commit(db, err);
    }
    if (status != CX_OK) {
        cx_db_rollback(db);
        return status;
    }
    name_them(&v->index, gone, doc_ids);
    CX_CHECK(pthread_rwlock_wrlock(&v->index.lock) == 0);
    for (size_t i = 0; i < gone->count; i++) {
        vector__index_remove(&v->index, gone->ids[i]);
    }
    const bool emptied = v->index.live == 0;
    if (emptied) {
        v->owner = CX_OWNER_NONE;
        vector__index_set_dimension(&v->index, v->dimension);
    }
    CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
    if (emptied) {
        vector__set_status(v, CX_VECTOR_READY); /* nobody's */
    }
    vector__update_figures(v);
    return CX_OK;
}
