/* SPDX-License-Identifier: MIT
 *
 * index: the vectors, twice (coarse in memory, which a scan reads, and in float32, which scores are
 * made of, in a file), and what ranking needs to know of a document beside them: its id (ties) and its
 * facets (filters). Rows lie in blocks, so that growth never copies; coarse rows of many blocks lie in
 * one piece, for the huge pages of the processor. The slot of a document that is removed is used again.
 *
 * A float32 row that has just come is in memory until vector__index_flush has written it: setting it
 * cannot fail, and nobody waits for a disk with the lock.
 *
 * Threads: one thread changes it (the write lane) and takes the lock for writing while it does; any
 * worker reads it under the lock for reading. The thread that writes may read without the lock.
 */
#ifndef CORTEX_VECTOR_INDEX_H
#define CORTEX_VECTOR_INDEX_H

#include <pthread.h>

#include "coarse.h"
#include "cortex/base.h"
#include "facets.h"
#include "postings.h"
#include "row_file.h"

#define VECTOR__BLOCK_ROWS 1024

struct vector__graph;

struct vector__slot {
    int64_t rowid; /* 0 = free */
    uint32_t id;   /* where its doc_id is among the block's; 0 = nowhere */
    bool pending;  /* has no vector yet: its row counts as none */
    bool in_file;  /* its row, or what was one, has been written */
};
/* Of a block's documents, each with a NUL after it. */
struct vector__id_texts {
    char *text;
    uint32_t used;
    uint32_t wiped; /* of these: by ids that are gone */
    uint32_t room;
};
struct vector__block {
    uint8_t *
        coarse; /* two planes of VECTOR__BLOCK_ROWS × coarse_stride, the high one first; in a slab */
    /* Rows to be written, NULL where there is none: dimension floats, or VECTOR__WIPED where the one in
     * the file is to be overwritten with zeros. NULL = none in the block. */
    float **fresh;
    float scales[VECTOR__BLOCK_ROWS];
    float errors[VECTOR__BLOCK_ROWS]; /* -INFINITY where no document is */
    float fine_errors[VECTOR__BLOCK_ROWS];
    uint32_t lengths[VECTOR__BLOCK_ROWS]; /* words of the text */
    uint16_t epochs[VECTOR__BLOCK_ROWS];  /* of the slot's text (postings.h) */
    struct vector__slot slots[VECTOR__BLOCK_ROWS];
    struct vector__id_texts ids;
};
struct vector__fresh_rows {
    struct vector__fresh_rows *next;
    size_t used;
    size_t floats;
    float *rows;
};
/* What several indexes share. */
struct vector__memory {
    size_t max;
    atomic_size_t rows; /* as each has last noted */
    atomic_size_t postings;
};
struct vector__index {
    pthread_rwlock_t lock;
    struct vector__postings postings;
    struct vector__row_file file;
    bool file_stale;               /* what is in it belongs to nothing any more */
    struct vector__graph *graph;   /* owned; NULL = there is none (graph.h) */
    size_t bytes_max;              /* of all of it: postings take what is left, or an eighth */
    struct vector__memory *memory; /* NULL = it is alone */
    atomic_size_t bytes_noted;     /* its part of memory->rows */
    unsigned dimension;            /* 0 = not known yet: whatever is in is pending */
    size_t stride;                 /* floats from row to row */
    size_t coarse_stride;
    struct vector__block **blocks;
    size_t block_count;
    uint8_t **slabs; /* the coarse rows of slab_blocks blocks each */
    size_t slab_count;
    size_t slab_blocks; /* a power of two */
    size_t slot_end;    /* slots ever used: free ones among them are in free_slots */
    uint32_t *free_slots;
    size_t free_count;
    size_t free_cap;
    uint32_t *map;  /* rowid → slot + 1, open addressing; 0 = empty */
    size_t map_cap; /* a power of two */
    size_t live;
    size_t pending;     /* of these */
    size_t fresh_count; /* rows to be written */
    struct vector__fresh_rows *fresh_rows;
    size_t extra_bytes; /* room for ids */
    uint64_t words;     /* lengths of all texts */
    struct vector__facets facets;
};

/* What a document brings into the index. Owned by whoever holds it, until vector__index_set. */
struct vector__entry {
    int64_t rowid;
    char *doc_id;
    json_t *metadata; /* an object; NULL = none */
    float *vector;    /* dimension floats of length 0 or 1; NULL = the row stays as it is */
    bool borrowed;    /* the vector is somebody else's */
    bool pending;     /* without a vector: it has none, or none any more */
    struct vector__words *words; /* of its text; NULL = the text stays as it is */
};
void vector__entry_free(struct vector__entry *entry); /* what it holds */
/* What it can take in the index beside its row, at most. */
size_t vector__entry_bytes(const struct vector__entry *entry);

/* Whole pages of zeros outside the heap, for what is large and stays: among what comes and goes it would
 * keep gaps open. NULL where memory is out. */
void *vector__pages_alloc(size_t bytes);
void vector__pages_free(void *pages, size_t bytes); /* NULL is free already */
/* Vectors that are there for a moment, likewise; memory that is out ends the process, as ever. */
float *vector__floats_alloc(size_t count);
void vector__floats_free(float *floats, size_t count);

extern float vector__wiped;
#define VECTOR__WIPED (&vector__wiped)

void vector__index_init(struct vector__index *index);
/* Float32 rows go to a file in the folder of this path, which is borrowed; without this they stay in
 * memory. */
void vector__index_use_file(struct vector__index *index, const char *beside);
/* Writes what is to be written to the file; what cannot be stays in memory. The thread that writes;
 * takes the lock itself. */
void vector__index_flush(struct vector__index *index);
/* The float32 row of a slot that has one, padded to stride floats. False where it cannot be read. */
bool vector__index_read(const struct vector__index *index, size_t slot, float *row);
/* Before anything is in: it shares this from now on, and bytes_max. */
void vector__index_share(struct vector__index *index, struct vector__memory *memory);
/* So much do the rows take now; 0 = of what is to be freed. */
void vector__index_note(struct vector__index *index, size_t bytes);
void vector__index_free(struct vector__index *index);
/* Only while nothing is in; 0 = not known again. Gives back all memory of rows. The caller has the
 * lock for writing, or the index to itself. */
void vector__index_set_dimension(struct vector__index *index, unsigned dimension);
/* `next`, which is empty, has another dimension and has reserved, takes over what is in, all of which
 * is pending; it is freed. The caller has the lock of `index` for writing. */
void vector__index_replace(struct vector__index *index, struct vector__index *next);
/* Room for `added` more documents, so that vector__index_set cannot fail. Takes the lock itself. */
enum cx_status vector__index_reserve(struct vector__index *index, size_t added, struct cx_err *err);
/* Takes over what the entry holds. The caller has the lock for writing, and has reserved. */
void vector__index_set(struct vector__index *index, struct vector__entry *entry);
/* A pending document's vector, dimension floats, has come. The caller has the lock for writing. */
void vector__index_fill(struct vector__index *index, int64_t rowid, const float *vector);
/* NULL = without. The caller has the lock for writing. The one that was there is freed. */
void vector__index_set_graph(struct vector__index *index, struct vector__graph *graph);
void vector__index_remove(struct vector__index *index, int64_t rowid);
/* Of a text that is in FTS5 already. The caller has the lock for writing, or the index to itself. */
void vector__index_set_length(struct vector__index *index, size_t slot, uint32_t length);
void vector__index_set_text(struct vector__index *index, size_t slot,
                            const struct vector__words *words);
void vector__index_drop_text(struct vector__index *index, size_t slot);
/* What postings may take as things stand. */
size_t vector__index_postings_max(const struct vector__index *index);
/* index_ids.c, for index.c: a slot's id, copied; and none any more, of a slot and of all in a block. */
void vector__index_set_id(struct vector__index *index, size_t slot, const char *doc_id);
void vector__index_drop_id(struct vector__index *index, size_t slot);
void vector__index_free_ids(struct vector__index *index, size_t block);
/* index_rows.c, for index.c: a slot's row that is to be written, copied; NULL = none. */
void vector__index_set_fresh(struct vector__index *index, size_t slot, const float *row);
void vector__index_drop_fresh(struct vector__index *index, size_t block);
#define VECTOR__NO_SLOT SIZE_MAX
size_t vector__index_find(const struct vector__index *index, int64_t rowid);
/* With `added` more documents, without what their entries hold, and without postings, which give way. */
size_t vector__index_bytes_with(const struct vector__index *index, size_t added);

static inline struct vector__slot *vector__index_slot(const struct vector__index *index,
                                                      size_t slot)
{
    return &index->blocks[slot / VECTOR__BLOCK_ROWS]->slots[slot % VECTOR__BLOCK_ROWS];
}
/* Of a slot that holds a document; until the index changes. */
static inline const char *vector__index_id(const struct vector__index *index, size_t slot)
{
    return index->blocks[slot / VECTOR__BLOCK_ROWS]->ids.text + vector__index_slot(index, slot)->id;
}
static inline struct vector__coarse_rows vector__index_coarse(const struct vector__index *index,
                                                              size_t block)
{
    const struct vector__block *b = index->blocks[block];
    return (struct vector__coarse_rows){ b->coarse,
                                         b->coarse + VECTOR__BLOCK_ROWS * index->coarse_stride,
                                         index->coarse_stride,
                                         b->scales,
                                         b->errors,
                                         b->fine_errors };
}
static inline uint32_t vector__index_length(const struct vector__index *index, size_t slot)
{
    return index->blocks[slot / VECTOR__BLOCK_ROWS]->lengths[slot % VECTOR__BLOCK_ROWS];
}
static inline uint16_t vector__index_epoch(const struct vector__index *index, size_t slot)
{
    return index->blocks[slot / VECTOR__BLOCK_ROWS]->epochs[slot % VECTOR__BLOCK_ROWS];
}

#endif
