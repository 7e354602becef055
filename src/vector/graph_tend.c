/* SPDX-License-Identifier: MIT
 *
 * Which collections have a graph, and its upkeep, in slices: the lock of the index is held for some
 * rows at a time, so that whoever writes waits a millisecond or two.
 *
 * Threads: a cpu lane, one at a time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cortex/metrics.h"
#include "graph_file.h"
#include "vector_internal.h"

#define ROWS_AT_A_TIME 8
#define RELINKED_LEAST 10000 /* fewer changes than these never make it begin anew */

static bool tend_collection(struct cx_vector *v, uint64_t until_ns, size_t *waiting);
static bool wants_graph(const struct cx_vector *v);
static bool add_graph(struct cx_vector *v);
static void drop_graph(struct cx_vector *v);
static bool is_worth_saving(const struct cx_vector *v, bool at_the_end);
static void save_graph(struct cx_vector *v, struct vector__graph *graph, size_t changes);
static char *path_of(const struct cx_vector *v);
static bool is_worn(const struct vector__graph *graph);

bool cx_vector_tend(struct cx_vector_store *store, uint64_t budget_ms, bool *more)
{
    const uint64_t until_ns = cx_clock_mono_ns() + budget_ms * 1000000;
    char name[CX_COLLECTION_NAME_MAX + 1] = "";
    struct cx_vector *v = NULL;
    *more = false;
    bool freed = false;
    size_t waiting = 0;
    while (cx_vector_next(store, name, &v)) {
        (void)snprintf(name, sizeof name, "%s", cx_vector_name(v));
        *more = tend_collection(v, until_ns, &waiting) || *more;
        struct cx_vector *gone = cx_vector_release(&v);
        freed = freed || gone != NULL;
        cx_vector_free(&gone);
    }
    cx_gauge_set(store->waiting_gauge, (double)waiting);
    return freed;
}

/* True where more is to be done. Waiting: how many do, added. */
static bool tend_collection(struct cx_vector *v, uint64_t until_ns, size_t *waiting)
{
    bool more = true;
    size_t left = 0;
    do {
        CX_CHECK(pthread_rwlock_rdlock(&v->index.lock) == 0);
        struct vector__graph *graph = v->index.graph;
        const bool wants = wants_graph(v);
        const bool worn = graph != NULL && is_worn(graph);
        size_t done = 0;
        bool save = false;
        size_t changes = 0;
        if (graph != NULL && wants && !worn) {
            done = vector__graph_tend(graph, &v->index, ROWS_AT_A_TIME);
            left = graph->waiting_count;
            changes = graph->changes;
            save = done == 0 && is_worth_saving(v, false);
        }
        CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
        if (graph == NULL && wants) {
            more = add_graph(v);
        } else if (graph != NULL && (!wants || worn)) {
            drop_graph(v);
        } else {
            more = done > 0;
            if (save) {
                save_graph(v, graph, changes);
            }
        }
    } while (more && cx_clock_mono_ns() < until_ns);
    *waiting += left;
    return more;
}

/* Once it is there it stays until half are gone: no collection makes and drops it in turns. */
static bool wants_graph(const struct cx_vector *v)
{
    const size_t vectors = v->index.live - v->index.pending;
    const size_t above = v->store->graph_above;
    return v->index.dimension > 0 &&
           (v->index.graph != NULL ? vectors > above / 2 : vectors > above);
}

/* False where the memory of indexes does not allow it. */
static bool add_graph(struct cx_vector *v)
{
    struct vector__graph *graph = cx_alloc(sizeof *graph);
    vector__graph_init(graph);
    CX_CHECK(pthread_rwlock_rdlock(&v->index.lock) == 0);
    const size_t slots = v->index.slot_end;
    CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
    const size_t bytes = (slots / VECTOR__BLOCK_ROWS + 1) * sizeof(struct vector__graph_block);
    struct cx_vector_store_figures figures;
    cx_vector_store_figures(v->store, &figures);
    const bool room = figures.index_bytes + bytes <= v->store->memory.max;
    if (!room) {
        vector__graph_free(graph);
        free(graph);
        return false;
    }
    vector__graph_reserve(graph, slots);
    CX_CHECK(pthread_rwlock_wrlock(&v->index.lock) == 0);
    vector__index_set_graph(&v->index, graph);
    vector__graph_note_all(graph, &v->index);
    const size_t changes = graph->changes;
    CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
    char *path = path_of(v);
    if (vector__graph_load(&v->index, graph, path)) {
        CX_CHECK(pthread_rwlock_rdlock(&v->index.lock) == 0);
        if (v->index.graph == graph) {
            graph->saved = changes - graph->waiting_count;
        }
        CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
    } else {
        (void)unlink(path);
    }
    free(path);
    return true;
}

void vector__save_graph(struct cx_vector *v)
{
    if (v->index.graph != NULL && is_worth_saving(v, true)) {
        save_graph(v, v->index.graph, v->index.graph->changes);
    }
}

void vector__forget_graph(struct cx_vector *v)
{
    if (v->id != 0) {
        char *path = path_of(v);
        (void)unlink(path);
        free(path);
    }
}

/* While the daemon runs, when a tenth has changed; at the end, whatever has. */
static bool is_worth_saving(const struct cx_vector *v, bool at_the_end)
{
    const struct vector__graph *graph = v->index.graph;
    const size_t unsaved = graph->changes - graph->saved;
    return graph->waiting_count <= graph->linked / 8 &&
           (at_the_end ? unsaved > 0 : unsaved > graph->linked / 10);
}

static void save_graph(struct cx_vector *v, struct vector__graph *graph, size_t changes)
{
    char *path = path_of(v);
    (void)vector__graph_save(&v->index, graph, path);
    free(path);
    /* Where it cannot be saved it is not tried again at once either. */
    CX_CHECK(pthread_rwlock_rdlock(&v->index.lock) == 0);
    if (v->index.graph == graph) {
        graph->saved = changes;
    }
    CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
}

/* The caller frees. */
static char *path_of(const struct cx_vector *v)
{
    const size_t size = strlen(v->store->path) + 40;
    char *path = cx_alloc(size);
    (void)snprintf(path, size, "%s-graph-%lld", v->store->path, (long long)v->id);
    return path;
}

static void drop_graph(struct cx_vector *v)
{
    vector__forget_graph(v);
    CX_CHECK(pthread_rwlock_wrlock(&v->index.lock) == 0);
    vector__index_set_graph(&v->index, NULL);
    CX_CHECK(pthread_rwlock_unlock(&v->index.lock) == 0);
}

/* Links that were mended again and again are not as good as new ones. */
static bool is_worn(const struct vector__graph *graph)
{
    return graph->relinked > RELINKED_LEAST && graph->relinked > 2 * graph->linked;
}
