/* SPDX-License-Identifier: MIT
 *
 * A search through the graph (scan.h): the nearest rows that it finds are bounded and compared as those
 * of a scan are, and so are the rows that wait to be linked.
 *
 * A filter is applied to what is in view. The view is widened by as much as the filter leaves out; where a
 * scan of all rows would cost less, or what is in view does not do, the rows are scanned.
 */
#include <stdlib.h>

#include "cortex/metrics.h"
#include "graph.h"
#include "scan.h"

#define ROWS_PER_NODE 150 /* of a scan, in the time in which one node's neighbours are looked at */
#define WAITING_PART 8    /* where more than a part in so many wait, the graph is no help */
#define BREADTH_MAX 4096

static size_t breadth_of(const struct vector__pass *pass, size_t breadth);
static size_t take(const struct vector__pass *pass, uint32_t slot);

bool vector__scan_graph(const struct vector__pass *pass, size_t breadth)
{
    const struct vector__scan *scan = pass->scan;
    const struct vector__graph *graph = scan->index->graph;
    const size_t widened = breadth_of(pass, breadth);
    if (graph == NULL || widened == 0) {
        return false;
    }
    struct vector__near *near = malloc(widened * sizeof *near);
    struct vector__graph *locked = scan->index->graph;
    CX_CHECK(pthread_rwlock_rdlock(&locked->lock) == 0);
    size_t found = 0;
    if (near != NULL && graph->waiting_count <= scan->index->slot_end / WAITING_PART) {
        const size_t count = vector__graph_search(graph, scan->index, &scan->coarse, widened, near);
        for (size_t i = 0; i < count; i++) {
            found += take(pass, near[i].slot);
        }
        for (size_t i = 0; i < graph->waiting_count; i++) {
            if (!vector__graph_is_linked(graph, graph->waiting[i])) {
                (void)take(pass, graph->waiting[i]);
            }
        }
    }
    CX_CHECK(pthread_rwlock_unlock(&locked->lock) == 0);
    free(near);
    if (found < pass->floor->most) {
        vector__possibles_free(pass->out);
        vector__floor_clear(pass->floor);
        return false;
    }
    vector__possibles_cut(pass->out, pass->floor->value);
    cx_counter_add(graph->searches, 1);
    return true;
}

/* 0 = a scan costs less. */
static size_t breadth_of(const struct vector__pass *pass, size_t breadth)
{
    const struct vector__index *index = pass->scan->index;
    const struct vector__allowed *allowed = pass->scan->allowed;
    const size_t most = pass->floor->most;
    const size_t least = breadth > most + most / 4 ? breadth : most + most / 4;
    if (allowed->all) {
        return least <= BREADTH_MAX ? least : 0;
    }
    if (allowed->slots != NULL || allowed->count == 0) {
        return 0;
    }
    const size_t widened = least * index->live / allowed->count;
    return widened <= BREADTH_MAX && widened * ROWS_PER_NODE <= index->slot_end ? widened : 0;
}

/* Returns 1 where it may be found. */
static size_t take(const struct vector__pass *pass, uint32_t slot)
{
    const struct vector__scan *scan = pass->scan;
    if (!vector__allows(scan->allowed, slot) || vector__index_slot(scan->index, slot)->rowid == 0 ||
        vector__index_slot(scan->index, slot)->pending) {
        return 0;
    }
    const struct vector__range range = vector__scan_range(scan, slot);
    if (range.upper >= pass->floor->value) {
        vector__possibles_add(pass->out, slot, range.upper);
        vector__floor_offer(pass->floor, range.lower);
    }
    return 1;
}
