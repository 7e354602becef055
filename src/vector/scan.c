/* SPDX-License-Identifier: MIT
 *
 * Scanning the coarse rows (scan.h).
 */
#include "scan.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BLOCKS                                                                               \
    16 /* are bounded before any is looked at: the floor begins with the best of them */
#define CHUNK_ROWS ((size_t)CHUNK_BLOCKS * VECTOR__BLOCK_ROWS)

static void bound_chunk(const struct vector__pass *passes, size_t count, size_t first, size_t rows,
                        float *const *uppers);
static void raise_floor(const struct vector__pass *pass, size_t first, size_t rows,
                        const float *uppers);
static void take_block(const struct vector__pass *pass, size_t first, size_t rows,
                       const float *uppers);
static size_t keep_allowed(const struct vector__scan *scan, size_t first, uint32_t *picked,
                           size_t count);
static bool is_candidate(const struct vector__scan *scan, size_t slot);
static struct vector__range range_of(const struct vector__scan *scan, size_t slot, int32_t product);

bool vector__floor_init(struct vector__floor *floor, size_t most, double least)
{
    *floor = (struct vector__floor){ .value = least, .most = most, .least = least };
    floor->items = malloc(most * sizeof *floor->items);
    return floor->items != NULL;
}

void vector__floor_free(struct vector__floor *floor)
{
    free(floor->items);
    *floor = (struct vector__floor){ 0 };
}

void vector__floor_clear(struct vector__floor *floor)
{
    floor->count = 0;
    floor->value = floor->least;
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
        list->cap = list->cap == 0 ? 64 : list->cap * 2;
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
                                 const float *query, const struct vector__allowed *allowed,
                                 struct cx_err *err)
{
    *scan = (struct vector__scan){
        .index = &v->index, .kernel = v->kernel, .query = query, .allowed = allowed
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

void vector__scan_cosines(const struct vector__pass *passes, size_t count)
{
    CX_CHECK(count >= 1 && count <= VECTOR__PASSES_MAX);
    const size_t end = passes[0].scan->index->slot_end;
    float *own[VECTOR__PASSES_MAX] = { NULL };
    for (size_t i = 0; i < count && end > 0; i++) {
        if (passes[i].uppers == NULL) {
            own[i] = cx_realloc_array(NULL, end < CHUNK_ROWS ? end : CHUNK_ROWS, sizeof **own);
        }
    }
    for (size_t first = 0; first < end; first += CHUNK_ROWS) {
        const size_t rows = end - first < CHUNK_ROWS ? end - first : CHUNK_ROWS;
        float *uppers[VECTOR__PASSES_MAX];
        for (size_t i = 0; i < count; i++) {
            uppers[i] = passes[i].uppers != NULL ? passes[i].uppers + first : own[i];
        }
        bound_chunk(passes, count, first, rows, uppers);
        for (size_t i = 0; i < count; i++) {
            if (first == 0) {
                raise_floor(&passes[i], first, rows, uppers[i]);
            }
        }
        /* Block by block, so that queries find in the cache what others have read of it. */
        for (size_t at = 0; at < rows; at += VECTOR__BLOCK_ROWS) {
            const size_t n = rows - at < VECTOR__BLOCK_ROWS ? rows - at : VECTOR__BLOCK_ROWS;
            for (size_t i = 0; i < count; i++) {
                take_block(&passes[i], first + at, n, uppers[i] + at);
            }
        }
        for (size_t i = 0; i < count; i++) {
            vector__possibles_cut(passes[i].out, passes[i].floor->value);
        }
        cx_give_way();
    }
    for (size_t i = 0; i < count; i++) {
        free(own[i]);
    }
}

static void bound_chunk(const struct vector__pass *passes, size_t count, size_t first, size_t rows,
                        float *const *uppers)
{
    const struct vector__coarse_query *queries[VECTOR__PASSES_MAX];
    float *out[VECTOR__PASSES_MAX];
    for (size_t i = 0; i < count; i++) {
        queries[i] = &passes[i].scan->coarse;
    }
    for (size_t at = 0; at < rows; at += VECTOR__BLOCK_ROWS) {
        for (size_t i = 0; i < count; i++) {
            out[i] = uppers[i] + at;
        }
        const struct vector__coarse_rows block =
            vector__index_coarse(passes[0].scan->index, (first + at) / VECTOR__BLOCK_ROWS);
        const size_t n = rows - at < VECTOR__BLOCK_ROWS ? rows - at : VECTOR__BLOCK_ROWS;
        passes[0].scan->kernel.bound(queries, count, &block, n, out);
    }
}

/* The fine bounds of those rows whose coarse bounds are the best say what the best reach at least; so
 * that few of the others need be looked at. */
static void raise_floor(const struct vector__pass *pass, size_t first, size_t rows,
                        const float *uppers)
{
    const struct vector__scan *scan = pass->scan;
    const size_t most = pass->floor->most;
    struct vector__floor best = { 0 };
    if (most > rows / 4 || !vector__floor_init(&best, most, pass->floor->value)) {
        return;
    }
    uint32_t picked[VECTOR__BLOCK_ROWS];
    struct vector__possibles seeds = { 0 };
    for (size_t at = 0; at < rows; at += VECTOR__BLOCK_ROWS) {
        const size_t n = rows - at < VECTOR__BLOCK_ROWS ? rows - at : VECTOR__BLOCK_ROWS;
        const size_t count =
            scan->kernel.pick(uppers + at, n, vector__scan_cut(scan, best.value), picked);
        for (size_t i = 0; i < count; i++) {
            const double upper = vector__scan_upper(scan, uppers[at + picked[i]]);
            if (upper >= best.value && is_candidate(scan, first + at + picked[i])) {
                vector__floor_offer(&best, upper);
                vector__possibles_add(&seeds, (uint32_t)(first + at + picked[i]), upper);
            }
        }
    }
    vector__possibles_cut(&seeds, best.value);
    if (best.count == most) {
        best.count = 0;
        best.value = pass->floor->value;
        for (size_t i = 0; i < seeds.count; i++) {
            vector__floor_offer(&best, vector__scan_range(scan, seeds.items[i].slot).lower);
        }
        pass->floor->value = best.value;
    }
    vector__possibles_free(&seeds);
    vector__floor_free(&best);
}

static void take_block(const struct vector__pass *pass, size_t first, size_t rows,
                       const float *uppers)
{
    const struct vector__scan *scan = pass->scan;
    struct vector__floor *floor = pass->floor;
    uint32_t picked[VECTOR__BLOCK_ROWS];
    int32_t products[VECTOR__BLOCK_ROWS];
    const size_t all =
        scan->kernel.pick(uppers, rows, vector__scan_cut(scan, floor->value), picked);
    const size_t count = keep_allowed(scan, first, picked, all);
    const struct vector__coarse_rows block =
        vector__index_coarse(scan->index, first / VECTOR__BLOCK_ROWS);
    scan->kernel.fine(&scan->coarse, &block, picked, count, products);
    for (size_t i = 0; i < count; i++) {
        const size_t slot = first + picked[i];
        const struct vector__range range = range_of(scan, slot, products[i]);
        if (range.upper >= floor->value && is_candidate(scan, slot)) {
            vector__possibles_add(pass->out, (uint32_t)slot, range.upper);
            vector__floor_offer(floor, range.lower);
        }
    }
}

void vector__scan_listed(const struct vector__scan *scan, const uint32_t *slots, size_t count,
                         struct vector__floor *floor, struct vector__possibles *out)
{
    for (size_t i = 0; i < count; i++) {
        const struct vector__range range = vector__scan_range(scan, slots[i]);
        if (range.upper >= floor->value && is_candidate(scan, slots[i])) {
            vector__possibles_add(out, slots[i], range.upper);
            vector__floor_offer(floor, range.lower);
        }
    }
    vector__possibles_cut(out, floor->value);
}

/* What does not pass the filter is not looked at any closer. */
static size_t keep_allowed(const struct vector__scan *scan, size_t first, uint32_t *picked,
                           size_t count)
{
    if (scan->allowed->all) {
        return count;
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        picked[kept] = picked[i];
        kept += vector__allows(scan->allowed, first + picked[i]) ? 1 : 0;
    }
    return kept;
}

static bool is_candidate(const struct vector__scan *scan, size_t slot)
{
    return vector__allows(scan->allowed, slot) && !vector__index_slot(scan->index, slot)->pending;
}

double vector__scan_upper(const struct vector__scan *scan, float upper)
{
    return (double)upper + (double)scan->coarse.slack;
}

struct vector__range vector__scan_range(const struct vector__scan *scan, size_t slot)
{
    const struct vector__coarse_rows rows =
        vector__index_coarse(scan->index, slot / VECTOR__BLOCK_ROWS);
    const uint32_t place = slot % VECTOR__BLOCK_ROWS;
    int32_t product;
    scan->kernel.fine(&scan->coarse, &rows, &place, 1, &product);
    return range_of(scan, slot, product);
}

static struct vector__range range_of(const struct vector__scan *scan, size_t slot, int32_t product)
{
    const struct vector__block *block = scan->index->blocks[slot / VECTOR__BLOCK_ROWS];
    const size_t i = slot % VECTOR__BLOCK_ROWS;
    const double middle = (double)block->scales[i] * (double)scan->coarse.scale * product;
    const double off =
        (double)scan->coarse.reach * (double)block->fine_errors[i] + (double)scan->coarse.slack;
    return (struct vector__range){ middle - off, middle + off };
}

float vector__scan_cut(const struct vector__scan *scan, double cosine)
{
    const double cut = cosine - (double)scan->coarse.slack;
    return cut > -(double)FLT_MAX ? nextafterf((float)cut, -INFINITY) : -FLT_MAX;
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
