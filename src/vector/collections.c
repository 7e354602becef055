/* SPDX-License-Identifier: MIT
 *
 * The collections of a database: which there are, who holds them, making and deleting them.
 *
 * A collection comes into the table when somebody wants to put documents into it, and into the database
 * with the first of them; it goes from both at once, and is freed when the last who holds it lets go.
 * What a deleted one has on the disk is removed later (sweep.c): its row keeps a name that no collection can
 * have.
 *
 * Threads: any; what changes the database is the write lane's. The mutex is held for moments only, as
 * the loop waits for it too.
 */
#include <ctype.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/metrics.h"
#include "vector_internal.h"

#define COLLECTIONS_MAX 256

static enum cx_status open_all(struct cx_vector_store *store, struct cx_db *db, struct cx_err *err);
static enum cx_status open_one(struct cx_vector_store *store, struct cx_db *db, int64_t id,
                               struct cx_str name, struct cx_err *err);
static size_t place_of(const struct cx_vector_store *store, struct cx_str name, bool *found);
static int compare(struct cx_str a, struct cx_str b);
static void insert(struct cx_vector_store *store, size_t at, struct cx_vector *v);
static void take_out(struct cx_vector_store *store, const struct cx_vector *v);

enum cx_status cx_vector_store_open(struct cx_db *db, const struct cx_vector_options *options,
                                    struct cx_vector_store **out, struct cx_err *err)
{
    if (options->dimension > VECTOR__DIMENSION_MAX) {
        return cx_err_set(err, CX_INVALID, "vectors can have at most %d dimensions",
                          VECTOR__DIMENSION_MAX);
    }
    struct cx_vector_store *store = cx_alloc(sizeof *store);
    store->provider = cx_strdup(options->provider);
    store->model = cx_strdup(options->model);
    store->fingerprint = cx_strdup(options->fingerprint);
    store->dimension = options->dimension;
    store->on_gone = options->on_gone;
    store->collections_max =
        options->collections_max > 0 ? options->collections_max : COLLECTIONS_MAX;
    store->path = cx_db_path(db);
    store->graph_above = options->graph_above > 0 ? options->graph_above : SIZE_MAX;
    store->graph_breadth = options->graph_breadth;
    store->memory.max = options->index_bytes_max;
    CX_CHECK(pthread_mutex_init(&store->mutex, NULL) == 0);
    store->collections_gauge = cx_metrics_series(CX_M_VECTOR_COLLECTIONS, "");
    store->documents_gauge = cx_metrics_series(CX_M_VECTOR_DOCUMENTS, "");
    store->pending_gauge = cx_metrics_series(CX_M_VECTOR_PENDING, "");
    store->index_bytes_gauge = cx_metrics_series(CX_M_VECTOR_INDEX_BYTES, "");
    store->unready_gauge = cx_metrics_series(CX_M_VECTOR_UNREADY, "");
    store->stale_gauge = cx_metrics_series(CX_M_VECTOR_STALE, "");
    store->waiting_gauge = cx_metrics_series(CX_M_VECTOR_GRAPH_WAITING, "");
    store->dropped_gauge = cx_metrics_series(CX_M_VECTOR_DROPPED, "");
    const enum cx_status status = open_all(store, db, err);
    if (status != CX_OK) {
        cx_vector_store_free(&store);
        return status;
    }
    /* Reading it all has used memory that lies between what stays. */
    (void)malloc_trim(0);
    *out = store;
    return CX_OK;
}

void cx_vector_store_free(struct cx_vector_store **at)
{
    struct cx_vector_store *store = *at;
    if (store == NULL) {
        return;
    }
    *at = NULL;
    for (size_t i = 0; i < store->count; i++) {
        CX_CHECK(store->items[i]->holders == 0);
        vector__save_graph(store->items[i]);
        cx_vector_free(&store->items[i]);
    }
    CX_CHECK(store->gone_count == 0);
    free(store->items);
    free(store->gone);
    free(store->dropped);
    (void)pthread_mutex_destroy(&store->mutex);
    free(store->provider);
    free(store->model);
    free(store->fingerprint);
    free(store);
}

void cx_vector_store_figures(struct cx_vector_store *store, struct cx_vector_store_figures *out)
{
    *out = (struct cx_vector_store_figures){
        .collections = atomic_load_explicit(&store->collections, memory_order_relaxed),
        .documents = atomic_load_explicit(&store->documents, memory_order_relaxed),
        .pending = atomic_load_explicit(&store->pending, memory_order_relaxed),
        .unready = atomic_load_explicit(&store->unready, memory_order_relaxed),
        .index_bytes = atomic_load_explicit(&store->memory.rows, memory_order_relaxed) +
                       atomic_load_explicit(&store->memory.postings, memory_order_relaxed),
    };
}

/* ---- Opening ---- */

/* The names first: a statement must not be under way while another collection is read. */
static enum cx_status open_all(struct cx_vector_store *store, struct cx_db *db, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status =
        cx_db_prepare(db, "SELECT id, name FROM collections ORDER BY id", &s, err);
    if (status != CX_OK) {
        return status;
    }
    struct found {
        int64_t id;
        char *name;
    } *all = NULL;
    size_t count = 0;
    bool row = false;
    while ((status = cx_stmt_step(s, &row, err)) == CX_OK && row) {
        const struct cx_str name = cx_stmt_text(s, 1);
        all = cx_realloc_array(all, count + 1, sizeof *all);
        all[count++] = (struct found){ cx_stmt_int(s, 0), cx_strndup(name.p, name.len) };
    }
    for (size_t i = 0; i < count; i++) {
        if (status == CX_OK) {
            status = open_one(store, db, all[i].id, cx_str_of(all[i].name), err);
        }
        free(all[i].name);
    }
    free(all);
    vector__note_collections(store);
    return status;
}

static enum cx_status open_one(struct cx_vector_store *store, struct cx_db *db, int64_t id,
                               struct cx_str name, struct cx_err *err)
{
    if (!cx_collection_name_valid(name)) {
        vector__note_dropped(store, id);
        return CX_OK;
    }
    struct cx_vector *v = vector__new(store, name);
    v->id = id;
    vector__fulltext_init(&v->fulltext, id);
    v->life = VECTOR__STORED;
    bool found = false;
    insert(store, place_of(store, name, &found), v);
    return vector__load(v, db, err);
}

bool cx_collection_name_valid(struct cx_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        const unsigned char c = (unsigned char)name.p[i];
        if (c >= 0x80 || (isalnum(c) == 0 && c != '.' && c != '_' && c != '-')) {
            return false;
        }
    }
    return name.len >= 1 && name.len <= CX_COLLECTION_NAME_MAX;
}

/* ---- Finding and holding ---- */

static enum cx_status hold(struct cx_vector_store *store, struct cx_str name, bool make,
                           struct cx_vector **out);

enum cx_status cx_vector_find(struct cx_vector_store *store, struct cx_str name,
                              struct cx_vector **out, struct cx_err *err)
{
    const enum cx_status status = hold(store, name, false, out);
    return status == CX_OK ? CX_OK : cx_err_set(err, status, "There is no such collection");
}

enum cx_status cx_vector_find_or_new(struct cx_vector_store *store, struct cx_str name,
                                     struct cx_vector **out, struct cx_err *err)
{
    CX_CHECK(cx_collection_name_valid(name));
    const enum cx_status status = hold(store, name, true, out);
    return status == CX_OK
               ? CX_OK
               : cx_err_set(err, status, "There are %zu collections, and there may be no more",
                            store->collections_max);
}

static enum cx_status hold(struct cx_vector_store *store, struct cx_str name, bool make,
                           struct cx_vector **out)
{
    enum cx_status status = CX_OK;
    bool found = false;
    CX_CHECK(pthread_mutex_lock(&store->mutex) == 0);
    const size_t at = place_of(store, name, &found);
    if (!found && make && store->count >= store->collections_max) {
        status = CX_CONFLICT;
    } else if (!found && make) {
        insert(store, at, vector__new(store, name));
    } else if (!found || (!make && store->items[at]->life != VECTOR__STORED)) {
        status = CX_NOT_FOUND;
    }
    if (status == CX_OK) {
        store->items[at]->holders++;
        *out = store->items[at];
    }
    CX_CHECK(pthread_mutex_unlock(&store->mutex) == 0);
    return status;
}

bool cx_vector_next(struct cx_vector_store *store, const char *after, struct cx_vector **out)
{
    bool found = false;
    CX_CHECK(pthread_mutex_lock(&store->mutex) == 0);
    size_t at = place_of(store, cx_str_of(after), &found);
    at += found ? 1 : 0;
    while (at < store->count && store->items[at]->life != VECTOR__STORED) {
        at++;
    }
    found = at < store->count;
    if (found) {
        store->items[at]->holders++;
        *out = store->items[at];
    }
    CX_CHECK(pthread_mutex_unlock(&store->mutex) == 0);
    return found;
}

struct cx_vector *cx_vector_release(struct cx_vector **at)
{
    struct cx_vector *v = *at;
    *at = NULL;
    if (v == NULL) {
        return NULL;
    }
    struct cx_vector_store *store = v->store;
    CX_CHECK(pthread_mutex_lock(&store->mutex) == 0);
    CX_CHECK(v->holders > 0);
    v->holders--;
    const bool last = v->holders == 0;
    const bool never_stored = last && v->life == VECTOR__NEW;
    if (never_stored) {
        take_out(store, v);
        v->life = VECTOR__GONE;
    }
    struct cx_vector *gone = last && v->life == VECTOR__GONE ? v : NULL;
    CX_CHECK(pthread_mutex_unlock(&store->mutex) == 0);
    if (never_stored) {
        cx_vector_free(&gone); /* it holds nothing */
    }
    return gone;
}

const char *cx_vector_name(const struct cx_vector *v)
{
    return v->name;
}

/* ---- Making ---- */

static enum cx_status write_row(struct cx_vector *v, struct cx_db *db, struct cx_err *err);

enum cx_status vector__store_begin(struct cx_vector *v, struct cx_db *db, struct cx_err *err)
{
    if (v->life == VECTOR__GONE) {
        return cx_err_set(err, CX_CONFLICT,
                          "collection \"%s\" was deleted meanwhile; send it again", v->name);
    }
    return v->life == VECTOR__NEW ? write_row(v, db, err) : CX_OK;
}

/* Its row, its keyword index. */
static enum cx_status write_row(struct cx_vector *v, struct cx_db *db, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    enum cx_status status =
        cx_db_prepare(db, "INSERT INTO collections (name) VALUES (?1)", &s, err);
    if (status == CX_OK) {
        cx_stmt_bind_text(s, 1, cx_str_of(v->name));
        status = cx_stmt_run(s, err);
    }
    if (status == CX_OK) {
        v->id = cx_db_last_rowid(db);
        vector__fulltext_init(&v->fulltext, v->id);
        status = cx_db_exec(db, v->fulltext.create, err);
    }
    return status;
}

void vector__store_done(struct cx_vector *v)
{
    if (v->life == VECTOR__NEW) {
        CX_CHECK(pthread_mutex_lock(&v->store->mutex) == 0);
        v->life = VECTOR__STORED;
        CX_CHECK(pthread_mutex_unlock(&v->store->mutex) == 0);
        vector__note_collections(v->store);
    }
}

void vector__store_undo(struct cx_vector *v)
{
    if (v->life == VECTOR__NEW) {
        v->id = 0;
    }
}

/* By any thread that holds it: what is stored has its id and its statements. */
bool vector__is_stored(struct cx_vector *v)
{
    CX_CHECK(pthread_mutex_lock(&v->store->mutex) == 0);
    const bool stored = v->life == VECTOR__STORED;
    CX_CHECK(pthread_mutex_unlock(&v->store->mutex) == 0);
    return stored;
}

size_t vector__bytes_max(const struct cx_vector *v)
{
    const size_t others = atomic_load_explicit(&v->store->memory.rows, memory_order_relaxed) -
                          atomic_load_explicit(&v->index.bytes_noted, memory_order_relaxed);
    return v->store->memory.max > others ? v->store->memory.max - others : 0;
}

/* ---- Deleting ---- */

static enum cx_status drop_row(const struct cx_vector *v, struct cx_vector *fresh, struct cx_db *db,
                               struct cx_err *err);
static enum cx_status rename_row(const struct cx_vector *v, struct cx_db *db, struct cx_err *err);

enum cx_status cx_vector_drop(struct cx_vector *v, struct cx_db *db, size_t *documents,
                              struct cx_err *err)
{
    struct cx_vector_store *store = v->store;
    if (v->life != VECTOR__STORED) {
        return cx_err_set(err, CX_NOT_FOUND, "There is no such collection");
    }
    const bool is_default = strcmp(v->name, VECTOR__DEFAULT) == 0;
    struct cx_vector *fresh = is_default ? vector__new(store, CX_STR(VECTOR__DEFAULT)) : NULL;
    const enum cx_status status = drop_row(v, fresh, db, err);
    if (status != CX_OK) {
        cx_vector_free(&fresh);
        return status;
    }
    *documents = v->index.live;
    CX_CHECK(pthread_mutex_lock(&store->mutex) == 0);
    take_out(store, v);
    v->life = VECTOR__GONE;
    store->gone = cx_realloc_array(store->gone, store->gone_count + 1, sizeof(struct cx_vector *));
    store->gone[store->gone_count++] = v;
    if (fresh != NULL) {
        bool found = false;
        fresh->life = VECTOR__STORED;
        insert(store, place_of(store, CX_STR(VECTOR__DEFAULT), &found), fresh);
    }
    CX_CHECK(pthread_mutex_unlock(&store->mutex) == 0);
    vector__forget_figures(v);
    vector__note_dropped(store, v->id);
    vector__note_collections(store);
    return CX_OK;
}

/* One transaction: "default" is never missing. */
static enum cx_status drop_row(const struct cx_vector *v, struct cx_vector *fresh, struct cx_db *db,
                               struct cx_err *err)
{
    enum cx_status status = cx_db_begin(db, err);
    if (status != CX_OK) {
        return status;
    }
    status = rename_row(v, db, err);
    if (status == CX_OK && fresh != NULL) {
        status = write_row(fresh, db, err);
    }
    if (status == CX_OK) {
        status = cx_db_commit(db, err);
    }
    if (status != CX_OK) {
        cx_db_rollback(db);
    }
    return status;
}

/* To a name that no collection can have. */
static enum cx_status rename_row(const struct cx_vector *v, struct cx_db *db, struct cx_err *err)
{
    struct cx_stmt *s = NULL;
    const enum cx_status status =
        cx_db_prepare(db, "UPDATE collections SET name = '/deleted/' || id WHERE id = ?1", &s, err);
    if (status != CX_OK) {
        return status;
    }
    cx_stmt_bind_int(s, 1, v->id);
    return cx_stmt_run(s, err);
}

void vector__store_forget(struct cx_vector *v)
{
    struct cx_vector_store *store = v->store;
    CX_CHECK(pthread_mutex_lock(&store->mutex) == 0);
    for (size_t i = 0; i < store->gone_count; i++) {
        if (store->gone[i] == v) {
            store->gone[i] = store->gone[--store->gone_count];
            break;
        }
    }
    CX_CHECK(pthread_mutex_unlock(&store->mutex) == 0);
}

/* ---- The table ---- */

/* Where it is, or where it belongs. */
static size_t place_of(const struct cx_vector_store *store, struct cx_str name, bool *found)
{
    size_t from = 0;
    size_t to = store->count;
    while (from < to) {
        const size_t middle = from + (to - from) / 2;
        if (compare(cx_str_of(store->items[middle]->name), name) < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    *found = from < store->count && cx_str_eq(cx_str_of(store->items[from]->name), name);
    return from;
}

static int compare(struct cx_str a, struct cx_str b)
{
    const size_t len = a.len < b.len ? a.len : b.len;
    const int order = len > 0 ? memcmp(a.p, b.p, len) : 0;
    return order != 0 ? order : a.len < b.len ? -1 : a.len > b.len ? 1 : 0;
}

static void insert(struct cx_vector_store *store, size_t at, struct cx_vector *v)
{
    store->items = cx_realloc_array(store->items, store->count + 1, sizeof(struct cx_vector *));
    memmove(store->items + at + 1, store->items + at,
            (store->count - at) * sizeof(struct cx_vector *));
    store->items[at] = v;
    store->count++;
}

static void take_out(struct cx_vector_store *store, const struct cx_vector *v)
{
    bool found = false;
    const size_t at = place_of(store, cx_str_of(v->name), &found);
    CX_CHECK(found && store->items[at] == v);
    store->count--;
    memmove(store->items + at, store->items + at + 1,
            (store->count - at) * sizeof(struct cx_vector *));
}

void vector__note_collections(struct cx_vector_store *store)
{
    size_t count = 0;
    size_t unready = 0;
    size_t stale = 0;
    CX_CHECK(pthread_mutex_lock(&store->mutex) == 0);
    for (size_t i = 0; i < store->count; i++) {
        count += store->items[i]->life == VECTOR__STORED ? 1 : 0;
        stale += atomic_load(&store->items[i]->stale) ? 1 : 0;
        unready += vector__status(store->items[i]) != CX_VECTOR_READY ? 1 : 0;
    }
    CX_CHECK(pthread_mutex_unlock(&store->mutex) == 0);
    atomic_store_explicit(&store->collections, count, memory_order_relaxed);
    atomic_store_explicit(&store->unready, unready, memory_order_relaxed);
    cx_gauge_set(store->collections_gauge, (double)count);
    cx_gauge_set(store->unready_gauge, (double)unready);
    cx_gauge_set(store->stale_gauge, (double)stale);
}
