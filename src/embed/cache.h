/* SPDX-License-Identifier: MIT
 *
 * cache: vectors by the SHA-256 of what they were made from. Two halves that know nothing of each
 * other: embed__memory, least recently used first out; embed__disk, the table embedding_cache in
 * SQLite, by lanes. What SQLite gives is checked before it is believed.
 *
 * Threads: the loop, except the _work functions of embed__disk.
 */
#ifndef CORTEX_EMBED_CACHE_H
#define CORTEX_EMBED_CACHE_H

#include "cortex/crypto.h"
#include "cortex/embed.h"

#define EMBED__DIMENSION_MAX 16384

/* Finite, and of length 1 or all zero. */
bool embed__vector_valid(const float *vector, unsigned dimension);

/* ---- Memory ---- */

struct embed__memory;
struct embed__remembered {
    const float *vector; /* until the next call of any function */
    unsigned dimension;
    bool truncated;
    bool stale_use; /* its last use is not noted on disk for so long that it should be */
};
void embed__memory_new(size_t bytes_max, struct embed__memory **out);
void embed__memory_free(struct embed__memory **memory);
bool embed__memory_has(const struct embed__memory *memory, const uint8_t digest[CX_SHA256_BYTES]);
/* Makes it the most recently used. */
bool embed__memory_find(struct embed__memory *memory, const uint8_t digest[CX_SHA256_BYTES],
                        int64_t now_s, struct embed__remembered *out);
/* Copies. What is larger than all of the cache is not taken. Returns how many entries made room. */
size_t embed__memory_put(struct embed__memory *memory, const uint8_t digest[CX_SHA256_BYTES],
                         const float *vector, unsigned dimension, bool truncated, int64_t now_s);
void embed__memory_clear(struct embed__memory *memory);
size_t embed__memory_bytes(const struct embed__memory *memory);

/* ---- Disk ---- */

#define EMBED__LOOKUP_TEXTS 512   /* in one job: some 10 ms */
#define EMBED__TOUCH_AFTER_S 3600 /* uses are noted at most so often */

struct embed__disk;
struct embed__disk_options {
    struct cx_loop *loop;
    struct cx_store *store;
    struct cx_lane *read_lane;
    struct cx_lane *write_lane;
    const char *fingerprint; /* 64 hex digits */
    const char *provider;    /* for the labels of metrics */
    size_t rows_max;
    size_t bytes_max;         /* of vectors in the table */
    size_t pending_bytes_max; /* that wait to be written; what is more is dropped */
    uint64_t delay_ms;        /* how long writes gather */
};
void embed__disk_new(const struct embed__disk_options *options, struct embed__disk **out);
void embed__disk_free(struct embed__disk **disk); /* needs embed__disk_at_rest; drops what waits */
/* Nothing waits, nothing runs. */
bool embed__disk_idle(const struct embed__disk *disk);
/* How many times it was put to, and how often what was put is written, or given up, in the same order. */
uint64_t embed__disk_put_count(const struct embed__disk *disk);
uint64_t embed__disk_gone_count(const struct embed__disk *disk);
/* Nothing runs. */
bool embed__disk_at_rest(const struct embed__disk *disk);

struct embed__found {
    uint8_t digest[CX_SHA256_BYTES];
    float *vector; /* NULL = not found; the receiver's to free() */
    unsigned dimension;
    bool truncated;
};
/* found lives until the function returns. */
typedef void (*embed__found_fn)(void *ctx, struct embed__found *found, size_t count);
/* At most EMBED__LOOKUP_TEXTS of found, whose digests are set; the array is taken over and freed,
 * after on_found or with a refusal. */
enum cx_status embed__disk_find(struct embed__disk *disk, enum cx_priority priority,
                                struct embed__found *found, size_t count, int64_t now_s,
                                embed__found_fn on_found, void *ctx) CX_MUST_CHECK;

/* count vectors to be written, all of them taken over. */
struct embed__rows {
    float *vectors;
    uint8_t (*digests)[CX_SHA256_BYTES];
    bool *truncated;
    size_t count;
    unsigned dimension;
};
void embed__rows_free(struct embed__rows *rows);
void embed__disk_put(struct embed__disk *disk, struct embed__rows *rows, int64_t now_s);
/* Notes that a vector was used. */
void embed__disk_touch(struct embed__disk *disk, const uint8_t digest[CX_SHA256_BYTES],
                       int64_t now_s);

#endif
