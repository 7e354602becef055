/* SPDX-License-Identifier: MIT
 *
 * The cache's half in memory: a table of chains whose size follows from the ceiling, and one list in
 * the order of use. Loop thread only.
 */
#include "cache.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_MIN 64
#define BYTES_A_BUCKET 4096 /* about an entry each */

struct entry { /* owner: the cache */
    struct entry *bucket_next;
    struct entry *newer;
    struct entry *older;
    uint8_t digest[CX_SHA256_BYTES];
    int64_t noted_s; /* when its use was last noted on disk */
    unsigned dimension;
    bool truncated;
    float vector[];
};

struct embed__memory { /* owner: its batcher */
    size_t bytes_max;
    size_t bytes;
    struct entry *newest;
    struct entry *oldest;
    uint8_t key[16];
    size_t bucket_mask;
    struct entry *buckets[];
};

static struct entry **find_place(const struct embed__memory *memory,
                                 const uint8_t digest[CX_SHA256_BYTES]);
static size_t size_of(unsigned dimension);
static void use(struct embed__memory *memory, struct entry *entry);
static void unlink_use(struct embed__memory *memory, struct entry *entry);
static void drop(struct embed__memory *memory, struct entry *entry);

bool embed__vector_valid(const float *vector, unsigned dimension)
{
    double sum = 0;
    for (unsigned i = 0; i < dimension; i++) {
        sum += (double)vector[i] * (double)vector[i];
    }
    return isfinite(sum) && (sum == 0 || fabs(sum - 1) < 1e-3);
}

void embed__memory_new(size_t bytes_max, struct embed__memory **out)
{
    size_t buckets = BUCKETS_MIN;
    while (buckets * BYTES_A_BUCKET < bytes_max && buckets < ((size_t)1 << 24)) {
        buckets *= 2;
    }
    struct embed__memory *memory = cx_alloc(sizeof *memory + buckets * sizeof(struct entry *));
    memory->bytes_max = bytes_max;
    memory->bucket_mask = buckets - 1;
    cx_random_bytes(memory->key, sizeof memory->key);
    *out = memory;
}

void embed__memory_free(struct embed__memory **memory)
{
    if (*memory != NULL) {
        embed__memory_clear(*memory);
        free(*memory);
        *memory = NULL;
    }
}

bool embed__memory_has(const struct embed__memory *memory, const uint8_t digest[CX_SHA256_BYTES])
{
    return *find_place(memory, digest) != NULL;
}

bool embed__memory_find(struct embed__memory *memory, const uint8_t digest[CX_SHA256_BYTES],
                        int64_t now_s, struct embed__remembered *out)
{
    struct entry *entry = *find_place(memory, digest);
    if (entry == NULL) {
        return false;
    }
    unlink_use(memory, entry);
    use(memory, entry);
    const bool stale = now_s - entry->noted_s > EMBED__TOUCH_AFTER_S;
    *out = (struct embed__remembered){ .vector = entry->vector,
                                       .dimension = entry->dimension,
                                       .truncated = entry->truncated,
                                       .stale_use = stale };
    if (stale) {
        entry->noted_s = now_s;
    }
    return true;
}

size_t embed__memory_put(struct embed__memory *memory, const uint8_t digest[CX_SHA256_BYTES],
                         const float *vector, unsigned dimension, bool truncated, int64_t now_s)
{
    struct entry *entry = *find_place(memory, digest);
    if (entry != NULL) {
        drop(memory, entry);
    }
    const size_t size = size_of(dimension);
    entry = size <= memory->bytes_max ? malloc(size) : NULL;
    if (entry == NULL) {
        return 0;
    }
    size_t evicted = 0;
    while (memory->bytes + size > memory->bytes_max) {
        CX_CHECK(memory->oldest != NULL);
        drop(memory, memory->oldest);
        evicted++;
    }
    *entry = (struct entry){ .dimension = dimension, .truncated = truncated, .noted_s = now_s };
    memcpy(entry->digest, digest, CX_SHA256_BYTES);
    memcpy(entry->vector, vector, dimension * sizeof(float));
    *find_place(memory, digest) = entry;
    use(memory, entry);
    memory->bytes += size;
    return evicted;
}

void embed__memory_clear(struct embed__memory *memory)
{
    while (memory->oldest != NULL) {
        drop(memory, memory->oldest);
    }
}

size_t embed__memory_bytes(const struct embed__memory *memory)
{
    return memory->bytes;
}

/* Where the pointer to the entry stands, or the end of its chain. The table is the cache's own even
 * where the cache itself is const. */
static struct entry **find_place(const struct embed__memory *memory,
                                 const uint8_t digest[CX_SHA256_BYTES])
{
    const uint64_t hash = cx_siphash(memory->key, digest, CX_SHA256_BYTES);
    struct entry **at = (struct entry **)&memory->buckets[hash & memory->bucket_mask];
    while (*at != NULL && memcmp((*at)->digest, digest, CX_SHA256_BYTES) != 0) {
        at = &(*at)->bucket_next;
    }
    return at;
}

static size_t size_of(unsigned dimension)
{
    return sizeof(struct entry) + dimension * sizeof(float);
}

static void use(struct embed__memory *memory, struct entry *entry)
{
    entry->newer = NULL;
    entry->older = memory->newest;
    if (memory->newest != NULL) {
        memory->newest->newer = entry;
    } else {
        memory->oldest = entry;
    }
    memory->newest = entry;
}

static void unlink_use(struct embed__memory *memory, struct entry *entry)
{
    if (entry->newer != NULL) {
        entry->newer->older = entry->older;
    } else {
        memory->newest = entry->older;
    }
    if (entry->older != NULL) {
        entry->older->newer = entry->newer;
    } else {
        memory->oldest = entry->newer;
    }
}

static void drop(struct embed__memory *memory, struct entry *entry)
{
    struct entry **place = find_place(memory, entry->digest);
    CX_CHECK(*place == entry);
    *place = entry->bucket_next;
    unlink_use(memory, entry);
    CX_CHECK(memory->oldest != entry && memory->newest != entry);
    memory->bytes -= size_of(entry->dimension);
    free(entry);
}
