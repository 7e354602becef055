/* SPDX-License-Identifier: MIT
 *
 * The float32 rows of the index (index.h): in its file, or in memory until they are there.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "index.h"

#define FRESH_GROUP 256 /* rows */

float vector__wiped;

static float *new_row(struct vector__index *index);
static void free_rows(struct vector__index *index);
static bool write_block(struct vector__index *index, size_t block, bool *written, float *row);
static void settle_block(struct vector__index *index, size_t block, const bool *written);

void *vector__pages_alloc(size_t bytes)
{
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages != MAP_FAILED ? pages : NULL;
}

void vector__pages_free(void *pages, size_t bytes)
{
    if (pages != NULL) {
        CX_CHECK(munmap(pages, bytes) == 0);
    }
}

float *vector__floats_alloc(size_t count)
{
    float *floats = vector__pages_alloc((count + 1) * sizeof *floats);
    CX_CHECK(floats != NULL);
    return floats;
}

void vector__floats_free(float *floats, size_t count)
{
    vector__pages_free(floats, (count + 1) * sizeof *floats);
}

void vector__index_use_file(struct vector__index *index, const char *beside)
{
    vector__row_file_init(&index->file, beside);
    index->file_stale = true;
}

bool vector__index_read(const struct vector__index *index, size_t slot, float *row)
{
    const struct vector__block *block = index->blocks[slot / VECTOR__BLOCK_ROWS];
    const float *fresh = block->fresh != NULL ? block->fresh[slot % VECTOR__BLOCK_ROWS] : NULL;
    if (fresh == NULL && block->slots[slot % VECTOR__BLOCK_ROWS].in_file) {
        return vector__row_file_read(&index->file, slot, row);
    }
    memset(row, 0, index->stride * sizeof *row);
    if (fresh != NULL && fresh != VECTOR__WIPED) {
        memcpy(row, fresh, index->dimension * sizeof *row);
    }
    return true;
}

/* row: copied; NULL = nothing is to be written. */
void vector__index_set_fresh(struct vector__index *index, size_t slot, const float *row)
{
    struct vector__block *block = index->blocks[slot / VECTOR__BLOCK_ROWS];
    if (block->fresh == NULL) {
        if (row == NULL) {
            return;
        }
        block->fresh = cx_alloc(VECTOR__BLOCK_ROWS * sizeof(float *));
    }
    float **place = &block->fresh[slot % VECTOR__BLOCK_ROWS];
    index->fresh_count -= *place != NULL ? 1 : 0;
    index->fresh_count += row != NULL ? 1 : 0;
    if (row == NULL || row == VECTOR__WIPED) {
        *place = row != NULL ? VECTOR__WIPED : NULL;
    } else {
        *place = *place != NULL && *place != VECTOR__WIPED ? *place : new_row(index);
        memcpy(*place, row, index->dimension * sizeof *row);
    }
    if (index->fresh_count == 0) {
        free_rows(index);
    }
}

/* Many at a time, and all given back at once. */
static float *new_row(struct vector__index *index)
{
    if (index->fresh_rows == NULL || index->fresh_rows->used == FRESH_GROUP) {
        struct vector__fresh_rows *rows = cx_alloc(sizeof *rows);
        rows->floats = FRESH_GROUP * (size_t)index->dimension;
        rows->rows = vector__floats_alloc(rows->floats);
        rows->next = index->fresh_rows;
        index->fresh_rows = rows;
    }
    return index->fresh_rows->rows + index->fresh_rows->used++ * index->dimension;
}

static void free_rows(struct vector__index *index)
{
    while (index->fresh_rows != NULL) {
        struct vector__fresh_rows *next = index->fresh_rows->next;
        vector__floats_free(index->fresh_rows->rows, index->fresh_rows->floats);
        free(index->fresh_rows);
        index->fresh_rows = next;
    }
}

void vector__index_drop_fresh(struct vector__index *index, size_t block)
{
    if (index->blocks[block]->fresh != NULL) {
        for (size_t i = 0; i < VECTOR__BLOCK_ROWS; i++) {
            vector__index_set_fresh(index, block * VECTOR__BLOCK_ROWS + i, NULL);
        }
        free(index->blocks[block]->fresh);
        index->blocks[block]->fresh = NULL;
    }
}

/* While a row is fresh nobody reads what the file has in its place. */
void vector__index_flush(struct vector__index *index)
{
    if (index->file_stale) {
        vector__row_file_clear(&index->file, index->stride * sizeof(float));
        index->file_stale = false;
    }
    if (index->fresh_count == 0) {
        return;
    }
    float *row = cx_alloc(index->stride * sizeof *row);
    bool written[VECTOR__BLOCK_ROWS];
    for (size_t i = 0; i < index->block_count; i++) {
        if (index->blocks[i]->fresh != NULL && write_block(index, i, written, row)) {
            CX_CHECK(pthread_rwlock_wrlock(&index->lock) == 0);
            settle_block(index, i, written);
            CX_CHECK(pthread_rwlock_unlock(&index->lock) == 0);
        }
    }
    free(row);
}

/* row: room for one; written: says of each row whether it was. False where none could be written. */
static bool write_block(struct vector__index *index, size_t block, bool *written, float *row)
{
    float *const *fresh = index->blocks[block]->fresh;
    bool any = false;
    memset(written, 0, VECTOR__BLOCK_ROWS * sizeof *written);
    for (size_t i = 0; i < VECTOR__BLOCK_ROWS; i++) {
        if (fresh[i] != NULL) {
            memset(row, 0, index->stride * sizeof *row);
            if (fresh[i] != VECTOR__WIPED) {
                memcpy(row, fresh[i], index->dimension * sizeof *row);
            }
            written[i] = vector__row_file_write(&index->file, block * VECTOR__BLOCK_ROWS + i, row);
            if (!written[i]) {
                return any; /* the next ones are not tried: they would fail as well */
            }
            any = true;
        }
    }
    return true;
}

static void settle_block(struct vector__index *index, size_t block, const bool *written)
{
    struct vector__block *b = index->blocks[block];
    bool left = false;
    for (size_t i = 0; i < VECTOR__BLOCK_ROWS; i++) {
        if (written[i]) {
            b->slots[i].in_file = b->fresh[i] != VECTOR__WIPED;
            vector__index_set_fresh(index, block * VECTOR__BLOCK_ROWS + i, NULL);
        }
        left = left || b->fresh[i] != NULL;
    }
    if (!left) {
        free(b->fresh);
        b->fresh = NULL;
    }
}
