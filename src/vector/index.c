/* SPDX-License-Identifier: MIT
 *
 * The index in memory (index.h).
 */
#include "index.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "graph.h"
#include "kernel.h"

#define HUGE_PAGE ((size_t)2 * 1024 * 1024)
#define SLAB_BYTES_MAX ((size_t)64 * 1024 * 1024) /* of address space; memory comes when touched */
#define FRESH_MAX 256  /* rows that may wait to be written when others are to come */
#define SMALL_BLOCKS 2 /* a small collection shall not take a huge page */

static size_t map_home(const struct vector__index *index, int64_t rowid);
static size_t map_find(const struct vector__index *index, int64_t rowid);
static void map_insert(struct vector__index *index, int64_t rowid, uint32_t slot);
static void map_remove(struct vector__index *index, int64_t rowid);
static void map_grow(struct vector__index *index, size_t documents);
static void set_row(struct vector__index *index, size_t at, const float *vector);
static void clear_row(struct vector__index *index, size_t at, float error);
static void note_graph(struct vector__index *index, size_t at);
static void set_pending(struct vector__index *index, size_t at, bool pending);
static void free_blocks(struct vector__index *index);
static enum cx_status add_block(struct vector__index *index, struct cx_err *err);
static bool add_slab(struct vector__index *index);
static void wish_huge_pages(const struct vector__index *index, size_t slab);
static size_t slab_bytes(const struct vector__index *index);
static uint8_t *coarse_of_block(const struct vector__index *index, size_t block);
static size_t stride_of(unsigned dimension);
static size_t slab_blocks_of(size_t coarse_stride);

void vector__entry_free(struct vector__entry *entry)
{
    free(entry->doc_id);
    json_decref(entry->metadata);
    if (!entry->borrowed) {
        free(entry->vector);
    }
    if (entry->words != NULL) {
        vector__words_free(entry->words);
        free(entry->words);
    }
    *entry = (struct vector__entry){ 0 };
}

size_t vector__entry_bytes(const struct vector__entry *entry)
{
    return strlen(entry->doc_id) + 1 + vector__facets_cost(entry->metadata);
}

void vector__index_init(struct vector__index *index)
{
    *index = (struct vector__index){ 0 };
    vector__postings_init(&index->postings);
    vector__facets_init(&index->facets);
    vector__row_file_init(&index->file, NULL);
    /* Searches come in a steady stream: a writer that had to wait for a gap in it would starve. */
    pthread_rwlockattr_t attributes;
    CX_CHECK(pthread_rwlockattr_init(&attributes) == 0);
    CX_CHECK(pthread_rwlockattr_setkind_np(&attributes,
                                           PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP) == 0);
    CX_CHECK(pthread_rwlock_init(&index->lock, &attributes) == 0);
    (void)pthread_rwlockattr_destroy(&attributes);
}

void vector__index_free(struct vector__index *index)
{
    free_blocks(index);
    vector__index_set_graph(index, NULL);
    vector__row_file_free(&index->file);
    vector__postings_free(&index->postings);
    vector__facets_free(&index->facets);
    free(index->blocks);
    free(index->slabs);
    free(index->free_slots);
    free(index->map);
    CX_CHECK(pthread_rwlock_destroy(&index->lock) == 0);
}

void vector__index_set_dimension(struct vector__index *index, unsigned dimension)
{
    CX_CHECK(index->live == 0);
    free_blocks(index);
    vector__postings_clear(&index->postings); /* slots begin anew, and their epochs */
    index->postings.version++;
    vector__facets_free(&index->facets);
    vector__facets_init(&index->facets);
    index->words = 0;
    index->slot_end = 0;
    index->free_count = 0;
    index->dimension = dimension;
    /* Before it is known rows are as small as can be: all documents are pending. */
    const unsigned room = dimension > 0 ? dimension : 1;
    index->stride = stride_of(room);
    index->file_stale = true;
    vector__index_set_graph(index, NULL);
    index->coarse_stride = vector__coarse_stride(room);
    index->slab_blocks = slab_blocks_of(index->coarse_stride);
}

enum cx_status vector__index_reserve(struct vector__index *index, size_t added, struct cx_err *err)
{
    const size_t free_slots =
        index->free_count + index->block_count * VECTOR__BLOCK_ROWS - index->slot_end;
    if (index->fresh_count >= FRESH_MAX) {
        vector__index_flush(index);
    }
    const size_t missing = added > free_slots ? added - free_slots : 0;
    const size_t blocks = (missing + VECTOR__BLOCK_ROWS - 1) / VECTOR__BLOCK_ROWS;
    if (blocks == 0 && (index->live + added) * 2 < index->map_cap) {
        return CX_OK;
    }
    CX_CHECK(pthread_rwlock_wrlock(&index->lock) == 0);
    enum cx_status status = CX_OK;
    for (size_t i = 0; i < blocks && status == CX_OK; i++) {
        status = add_block(index, err);
    }
    if (status == CX_OK && (index->live + added) * 2 >= index->map_cap) {
        map_grow(index, index->live + added);
    }
    CX_CHECK(pthread_rwlock_unlock(&index->lock) == 0);
    return status;
}

void vector__index_set(struct vector__index *index, struct vector__entry *entry)
{
    size_t at = vector__index_find(index, entry->rowid);
    const bool added = at == VECTOR__NO_SLOT;
    if (added) {
        CX_CHECK(entry->vector != NULL || entry->pending);
        at = index->free_count > 0 ? index->free_slots[--index->free_count] : index->slot_end++;
        CX_CHECK(at < index->block_count * VECTOR__BLOCK_ROWS);
        map_insert(index, entry->rowid, (uint32_t)at);
        index->live++;
    }
    vector__index_slot(index, at)->rowid = entry->rowid;
    vector__index_set_id(index, at, entry->doc_id);
    vector__facets_set(&index->facets, (uint32_t)at, entry->metadata);
    if (entry->vector != NULL) {
        set_row(index, at, entry->vector);
        set_pending(index, at, false);
    } else if (entry->pending) {
        clear_row(index, at, 0); /* a zero vector, to those who ask */
        set_pending(index, at, true);
    }
    if (entry->words != NULL) {
        vector__index_set_text(index, at, entry->words);
    }
    vector__entry_free(entry);
}

void vector__index_fill(struct vector__index *index, int64_t rowid, const float *vector)
{
    const size_t at = vector__index_find(index, rowid);
    CX_CHECK(at != VECTOR__NO_SLOT);
    set_row(index, at, vector);
    set_pending(index, at, false);
}

void vector__index_remove(struct vector__index *index, int64_t rowid)
{
    const size_t at = vector__index_find(index, rowid);
    if (at == VECTOR__NO_SLOT) {
        return;
    }
    vector__index_drop_id(index, at);
    vector__facets_remove(&index->facets, (uint32_t)at);
    set_pending(index, at, false);
    vector__index_drop_text(index, at);
    clear_row(index, at, -INFINITY);
    map_remove(index, rowid);
    struct vector__slot *slot = vector__index_slot(index, at);
    *slot = (struct vector__slot){ .in_file = slot->in_file };
    if (index->free_count == index->free_cap) {
        index->free_cap = index->free_cap == 0 ? 64 : index->free_cap * 2;
        index->free_slots =
            cx_realloc_array(index->free_slots, index->free_cap, sizeof *index->free_slots);
    }
    index->free_slots[index->free_count++] = (uint32_t)at;
    index->live--;
}

size_t vector__index_find(const struct vector__index *index, int64_t rowid)
{
    const size_t at = map_find(index, rowid);
    return at != VECTOR__NO_SLOT ? index->map[at] - 1 : VECTOR__NO_SLOT;
}

size_t vector__index_bytes_with(const struct vector__index *index, size_t added)
{
    const size_t new_slots = added > index->free_count ? added - index->free_count : 0;
    const size_t row_bytes = index->stride * sizeof(float);
    const bool in_file = vector__row_file_expected(&index->file);
    const size_t slot_bytes = (in_file ? 0 : row_bytes) + 2 * index->coarse_stride +
                              3 * sizeof(float) + sizeof(uint32_t) + sizeof(uint16_t) +
                              sizeof(struct vector__slot) + 4 * sizeof(uint32_t);
    const size_t fresh_bytes = in_file ? index->fresh_count * row_bytes : 0;
    const size_t graph_bytes = index->graph != NULL ? vector__graph_bytes(index->graph) : 0;
    return (index->slot_end + new_slots) * slot_bytes + fresh_bytes + graph_bytes +
           index->extra_bytes + index->facets.bytes;
}

void vector__index_set_graph(struct vector__index *index, struct vector__graph *graph)
{
    if (index->graph != NULL) {
        vector__graph_free(index->graph);
        free(index->graph);
    }
    index->graph = graph;
}

static void note_graph(struct vector__index *index, size_t at)
{
    if (index->graph != NULL) {
        vector__graph_note(index->graph, at);
    }
}

static void set_row(struct vector__index *index, size_t at, const float *vector)
{
    struct vector__block *block = index->blocks[at / VECTOR__BLOCK_ROWS];
    const size_t i = at % VECTOR__BLOCK_ROWS;
    uint8_t *high = block->coarse + i * index->coarse_stride;
    const struct vector__coarse_row row =
        vector__coarse_row(vector, index->dimension, index->coarse_stride, high,
                           high + VECTOR__BLOCK_ROWS * index->coarse_stride);
    block->scales[i] = row.scale;
    block->errors[i] = row.error;
    block->fine_errors[i] = row.fine_error;
    vector__index_set_fresh(index, at, vector);
    note_graph(index, at);
}

/* What was deleted is nowhere in memory any more. */
static void clear_row(struct vector__index *index, size_t at, float error)
{
    struct vector__block *block = index->blocks[at / VECTOR__BLOCK_ROWS];
    const size_t i = at % VECTOR__BLOCK_ROWS;
    uint8_t *high = block->coarse + i * index->coarse_stride;
    memset(high, VECTOR__COARSE_ZERO, index->coarse_stride);
    memset(high + VECTOR__BLOCK_ROWS * index->coarse_stride, VECTOR__COARSE_ZERO,
           index->coarse_stride);
    block->scales[i] = 0;
    block->errors[i] = error;
    block->fine_errors[i] = error;
    vector__index_set_fresh(index, at, block->slots[i].in_file ? VECTOR__WIPED : NULL);
    note_graph(index, at);
}

static void set_pending(struct vector__index *index, size_t at, bool pending)
{
    struct vector__slot *slot = vector__index_slot(index, at);
    if (slot->pending != pending) {
        slot->pending = pending;
        index->pending = pending ? index->pending + 1 : index->pending - 1;
    }
}

static void free_blocks(struct vector__index *index)
{
    while (index->block_count > 0) {
        index->block_count--;
        vector__index_drop_fresh(index, index->block_count);
        vector__index_free_ids(index, index->block_count);
        vector__pages_free(index->blocks[index->block_count], sizeof(struct vector__block));
    }
    while (index->slab_count > 0) {
        index->slab_count--;
        free(index->slabs[index->slab_count]);
    }
}

static enum cx_status add_block(struct vector__index *index, struct cx_err *err)
{
    CX_CHECK(index->stride > 0);
    const size_t slot_end_max = (size_t)UINT32_MAX - VECTOR__BLOCK_ROWS;
    const size_t at = index->block_count;
    const bool room = at < index->slab_count * index->slab_blocks || add_slab(index);
    struct vector__block *block = vector__pages_alloc(sizeof *block);
    struct vector__block **blocks =
        realloc(index->blocks, (at + 1) * sizeof(struct vector__block *));
    if (blocks != NULL) {
        index->blocks = blocks;
    }
    if (!room || block == NULL || blocks == NULL || at * VECTOR__BLOCK_ROWS > slot_end_max) {
        vector__pages_free(block, sizeof *block);
        return cx_err_set(err, CX_NO_MEMORY, "no memory for more vectors");
    }
    block->coarse = coarse_of_block(index, at);
    for (size_t i = 0; i < VECTOR__BLOCK_ROWS; i++) {
        block->errors[i] = -INFINITY;
    }
    index->blocks[index->block_count++] = block;
    if (at == SMALL_BLOCKS && index->slab_count == 1) {
        wish_huge_pages(index, 0);
    }
    return CX_OK;
}

static bool add_slab(struct vector__index *index)
{
    const size_t bytes = slab_bytes(index);
    uint8_t **slabs = realloc(index->slabs, (index->slab_count + 1) * sizeof(uint8_t *));
    if (slabs == NULL) {
        return false;
    }
    index->slabs = slabs;
    uint8_t *slab = aligned_alloc(bytes >= HUGE_PAGE ? HUGE_PAGE : VECTOR__ALIGN, bytes);
    if (slab == NULL) {
        return false;
    }
    index->slabs[index->slab_count++] = slab;
    if (index->slab_count > 1) {
        wish_huge_pages(index, index->slab_count - 1);
    }
    return true;
}

/* A scan touches a page for every ten rows or so. Refused, all is the same, a little slower. */
static void wish_huge_pages(const struct vector__index *index, size_t slab)
{
    const size_t bytes = slab_bytes(index);
    if (bytes >= HUGE_PAGE) {
        (void)madvise(index->slabs[slab], bytes, MADV_HUGEPAGE);
    }
}

/* Whole huge pages, unless it is less than one. */
static size_t slab_bytes(const struct vector__index *index)
{
    const size_t bytes = index->slab_blocks * VECTOR__BLOCK_ROWS * 2 * index->coarse_stride;
    return bytes < HUGE_PAGE ? bytes : (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
}

static uint8_t *coarse_of_block(const struct vector__index *index, size_t block)
{
    return index->slabs[block / index->slab_blocks] +
           block % index->slab_blocks * VECTOR__BLOCK_ROWS * 2 * index->coarse_stride;
}

static size_t stride_of(unsigned dimension)
{
    return ((size_t)dimension + VECTOR__ROW_FLOATS - 1) / VECTOR__ROW_FLOATS * VECTOR__ROW_FLOATS;
}

/* So many that they fill huge pages, where that is not too much at once. */
static size_t slab_blocks_of(size_t coarse_stride)
{
    const size_t block_bytes = VECTOR__BLOCK_ROWS * 2 * coarse_stride;
    size_t blocks = 1;
    while (blocks * block_bytes % HUGE_PAGE != 0 && 2 * blocks * block_bytes <= SLAB_BYTES_MAX) {
        blocks *= 2;
    }
    return blocks;
}

static size_t map_home(const struct vector__index *index, int64_t rowid)
{
    const uint64_t mixed = (uint64_t)rowid * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(mixed >> 20) & (index->map_cap - 1);
}

static int64_t map_rowid(const struct vector__index *index, size_t at)
{
    return vector__index_slot(index, index->map[at] - 1)->rowid;
}

/* Its place in the map, or VECTOR__NO_SLOT. */
static size_t map_find(const struct vector__index *index, int64_t rowid)
{
    if (index->map_cap == 0) {
        return VECTOR__NO_SLOT;
    }
    size_t at = map_home(index, rowid);
    while (index->map[at] != 0) {
        if (map_rowid(index, at) == rowid) {
            return at;
        }
        at = (at + 1) & (index->map_cap - 1);
    }
    return VECTOR__NO_SLOT;
}

static void map_insert(struct vector__index *index, int64_t rowid, uint32_t slot)
{
    CX_CHECK(rowid != 0);
    size_t at = map_home(index, rowid);
    while (index->map[at] != 0) {
        at = (at + 1) & (index->map_cap - 1);
    }
    index->map[at] = slot + 1;
}

/* While the slot still has its rowid. Closes the gap by moving back what would no longer be found (Knuth
 * 6.4, algorithm R). */
static void map_remove(struct vector__index *index, int64_t rowid)
{
    const size_t mask = index->map_cap - 1;
    size_t gap = map_find(index, rowid);
    index->map[gap] = 0;
    for (size_t at = (gap + 1) & mask; index->map[at] != 0; at = (at + 1) & mask) {
        const size_t home = map_home(index, map_rowid(index, at));
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            index->map[gap] = index->map[at];
            index->map[at] = 0;
            gap = at;
        }
    }
}

static void map_grow(struct vector__index *index, size_t documents)
{
    uint32_t *old = index->map;
    const size_t old_cap = index->map_cap;
    size_t cap = old_cap == 0 ? 1024 : old_cap;
    while (cap <= documents * 2) {
        cap *= 2;
    }
    index->map = cx_alloc(cap * sizeof *index->map);
    index->map_cap = cap;
    for (size_t i = 0; i < old_cap; i++) {
        if (old[i] != 0) {
            map_insert(index, vector__index_slot(index, old[i] - 1)->rowid, old[i] - 1);
        }
    }
    free(old);
}
