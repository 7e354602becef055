/* SPDX-License-Identifier: MIT
 *
 * Scanning the coarse rows (scan.h).
 */
#include "scan.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define POSSIBLES_TIDIED 4096 /* from so many on they are gone through now and then */

bool vector__floor_init(struct vector__floor *floor, size_t most, double least)
{
    *floor = (struct vector__floor){ .value = least, .most = most };
    floor->items = malloc(most * sizeof *floor->items);
    return floor->items != NULL;
}

void vector__floor_free(struct vector__floor *floor)
{
    free(floor->items);
    *floor = (struct vector__floor){ 0 };
}

void vector__floor_offer(struct vector__floor *floor, double lower)
{
    double *items = floor->items;
    if (floor->count < floor->most) {
        size_t at = floor->count++;
        while (at > 0 && lower < items[(at - 1) / 2]) {
            items[at] = items[(at - 1) / 2];
            at = (at - 1) / 2;
        }
        items[at] = lower;
    } else if (lower > items[0]) {
        size_t at = 0;
        while (2 * at + 1 < floor->count) {
            size_t child = 2 * at + 1;
            child += child + 1 < floor->count && items[child + 1] < items[child] ? 1 : 0;
            if (lower <= items[child]) {
                break;
            }
            items[at] = items[child];
            at = child;
        }
        items[at] = lower;
    }
    if (floor->count == floor->most && items[0] > floor->value) {
        floor->value = items[0];
    }
}

void vector__possibles_add(struct vector__possibles *list, uint32_t slot, double upper)
{
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 1024 : list->cap * 2;
        list->items = cx_realloc_array(list->items, list->cap, sizeof *list->items);
    }
    list->items[list->count++] = (struct vector__possible){ upper, slot };
}

void vector__possibles_cut(struct vector__possibles *list, double floor)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        list->items[kept] = list->items[i];
        kept += list->items[i].upper >= floor ? 1 : 0;
    }
    list->count = kept;
}

static int by_upper(const void *a, const void *b)
{
    const double x = ((const struct vector__possible *)a)->upper;
    const double y = ((const struct vector__possible *)b)->upper;
    return x < y ? 1 : x > y ? -1 : 0;
}

void vector__possibles_sort(struct vector__possibles *list)
{
    if (list->count > 1) {
        qsort(list->items, list->count, sizeof *list->items, by_upper);
    }
}

void vector__possibles_free(struct vector__possibles *list)
{
    free(list->items);
    *list = (struct vector__possibles){ 0 };
}

enum cx_status vector__scan_init(struct vector__scan *scan, const struct cx_vector *v,
                                 const float *query, const struct vector__filter *filter,
                                 struct cx_err *err)
{
    *scan = (struct vector__scan){
        .index = &v->index, .kernel = v->kernel, .query = query, .filter = filter
    };
    scan->buffer = cx_alloc(sizeof *scan->buffer);
    scan->buffer->row = aligned_alloc(VECTOR__ALIGN, v->index.stride * sizeof(float));
    if (query == NULL) {
        scan->zeros = aligned_alloc(VECTOR__ALIGN, v->index.stride * sizeof *scan->zeros);
        scan->query = scan->zeros;
    }
    if (scan->zeros != NULL) {
        memset(scan->zeros, 0, v->index.stride * sizeof *scan->zeros);
    }
    /* The padded query: the dimension may not be known yet. */
    if (scan->query == NULL || scan->buffer->row == NULL ||
        !vector__coarse_query_init(&scan->coarse, scan->query, (unsigned)v->index.stride)) {
        return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
    }
    return CX_OK;
}

void vector__scan_free(struct vector__scan *scan)
{
    vector__coarse_query_free(&scan->coarse);
    free(scan->zeros);
    free(scan->buffer->row);
    free(scan->buffer);
}

void vector__scan_cosines(const struct vector__scan *scan, struct vector__floor *floor,
                          struct vector__possibles *out, float *uppers)
{
    float block_uppers[VECTOR__BLOCK_ROWS];
    uint32_t picked[VECTOR__BLOCK_ROWS];
    const size_t end = scan->index->slot_end;
    size_t tidy_at = POSSIBLES_TIDIED;
    for (size_t first = 0; first < end; first += VECTOR__BLOCK_ROWS) {
        if (out->count > tidy_at) {
            vector__possibles_cut(out, floor->value);
            tidy_at = 2 * out->count > POSSIBLES_TIDIED ? 2 * out->count : POSSIBLES_TIDIED;
        }
        const size_t count = end - first < VECTOR__BLOCK_ROWS ? end - first : VECTOR__BLOCK_ROWS;
        const struct vector__coarse_rows rows =
            vector__index_coarse(scan->index, first / VECTOR__BLOCK_ROWS);
        float *values = uppers != NULL ? uppers + first : block_uppers;
        scan->kernel.bound(&scan->coarse, &rows, count, values);
        const size_t n =
            scan->kernel.pick(values, count, vector__scan_cut(scan, floor->value), picked);
        for (size_t i = 0; i < n; i++) {
            const size_t slot = first + picked[i];
            const double upper = vector__scan_upper(scan, values[picked[i]]);
            const struct vector__slot *document = vector__index_slot(scan->index, slot);
            if (upper >= floor->value && !document->pending &&
                vector__scan_passes(scan, document)) {
                vector__possibles_add(out, (uint32_t)slot, upper);
                vector__floor_offer(floor, vector__scan_lower(scan, slot, values[picked[i]]));
            }
        }
    }
    vector__possibles_cut(out, floor->value);
}

double vector__scan_upper(const struct vector__scan *scan, float upper)
{
    return (double)upper + (double)scan->coarse.slack;
}

double vector__scan_lower(const struct vector__scan *scan, size_t slot, float upper)
{
    const struct vector__block *block = scan->index->blocks[slot / VECTOR__BLOCK_ROWS];
    const double error = block->errors[slot % VECTOR__BLOCK_ROWS];
    return (double)upper - 2 * (double)scan->coarse.reach * error - (double)scan->coarse.slack;
}

float vector__scan_cut(const struct vector__scan *scan, double cosine)
{
    const double cut = cosine - (double)scan->coarse.slack;
    return cut > -(double)FLT_MAX ? nextafterf((float)cut, -INFINITY) : -FLT_MAX;
}

bool vector__scan_passes(const struct vector__scan *scan, const struct vector__slot *slot)
{
    return scan->filter->count == 0 ||
           vector__filter_facets(scan->filter, slot->facets, slot->facet_count);
}

float vector__scan_exact(const struct vector__scan *scan, size_t slot)
{
    float cosine = 0;
    if (vector__index_read(scan->index, slot, scan->buffer->row)) {
        scan->kernel.dot(scan->query, scan->buffer->row, scan->index->stride, 1, &cosine);
    } else {
        scan->buffer->failed = true;
    }
    return cosine;
}
