/* SPDX-License-Identifier: MIT
 *
 * Token counts by content: a fixed table of small sets, each in order of use. Owns the table; a lock
 * is held for the few instructions of one look-up.
 *
 * Threads: any.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/context.h"
#include "cortex/metrics.h"

#define WAYS 4
#define SHORT_BYTES 128 /* below, a count costs about what a look-up does */

struct entry {
    uint64_t hash;
    uint32_t len; /* 0 = empty */
    uint32_t tokens;
};
struct cx_token_cache {
    pthread_mutex_t lock;
    uint8_t keys[CX_ENCODING_COUNT][16];
    struct entry (*sets)[WAYS];
    size_t set_count; /* 0 = nothing is kept */
    struct cx_series *hits;
    struct cx_series *misses;
    struct cx_series *evicted;
};

void cx_token_cache_new(size_t bytes, struct cx_token_cache **out)
{
    struct cx_token_cache *cache = cx_alloc(sizeof *cache);
    CX_CHECK(pthread_mutex_init(&cache->lock, NULL) == 0);
    cx_random_bytes(cache->keys, sizeof cache->keys);
    cache->set_count = bytes / sizeof *cache->sets;
    if (cache->set_count > 0) {
        cache->sets = cx_alloc(cache->set_count * sizeof *cache->sets);
    }
    cache->hits = cx_metrics_series(CX_M_CONTEXT_COUNTS, "result=\"hit\"");
    cache->misses = cx_metrics_series(CX_M_CONTEXT_COUNTS, "result=\"miss\"");
    cache->evicted = cx_metrics_series(CX_M_CONTEXT_COUNTS_EVICTED, "");
    cx_gauge_set(cx_metrics_series(CX_M_CONTEXT_COUNTS_BYTES, ""),
                 (double)(cache->set_count * sizeof *cache->sets));
    *out = cache;
}

void cx_token_cache_free(struct cx_token_cache **cache)
{
    if (*cache != NULL) {
        CX_CHECK(pthread_mutex_destroy(&(*cache)->lock) == 0);
        free((*cache)->sets);
        free(*cache);
        *cache = NULL;
    }
}

static bool find(struct cx_token_cache *cache, const struct entry *wanted, size_t *tokens);
static void keep(struct cx_token_cache *cache, const struct entry *entry);

enum cx_status cx_token_cache_count(struct cx_token_cache *cache, enum cx_encoding encoding,
                                    struct cx_str text, size_t *tokens)
{
    if (cache == NULL || cache->set_count == 0 || text.len < SHORT_BYTES || text.len > UINT32_MAX) {
        return cx_bpe_count(encoding, text, tokens);
    }
    struct entry entry = { .hash = cx_siphash(cache->keys[encoding], text.p, text.len),
                           .len = (uint32_t)text.len };
    if (find(cache, &entry, tokens)) {
        cx_counter_add(cache->hits, 1);
        return CX_OK;
    }
    cx_counter_add(cache->misses, 1);
    const enum cx_status status = cx_bpe_count(encoding, text, tokens);
    if (status == CX_OK) {
        entry.tokens = (uint32_t)*tokens; /* a token has at least a byte */
        keep(cache, &entry);
    }
    return status;
}

/* The place of an entry in its set, WAYS if it is not there. The caller has the lock. */
static size_t place_of(const struct entry *set, const struct entry *wanted)
{
    size_t at = 0;
    while (at < WAYS && (set[at].hash != wanted->hash || set[at].len != wanted->len)) {
        at++;
    }
    return at;
}

static void move_to_front(struct entry *set, size_t at, struct entry entry)
{
    memmove(set + 1, set, at * sizeof *set);
    set[0] = entry;
}

static bool find(struct cx_token_cache *cache, const struct entry *wanted, size_t *tokens)
{
    struct entry *set = cache->sets[wanted->hash % cache->set_count];
    CX_CHECK(pthread_mutex_lock(&cache->lock) == 0);
    const size_t at = place_of(set, wanted);
    if (at < WAYS) {
        move_to_front(set, at, set[at]);
        *tokens = set[0].tokens;
    }
    CX_CHECK(pthread_mutex_unlock(&cache->lock) == 0);
    return at < WAYS;
}

static void keep(struct cx_token_cache *cache, const struct entry *entry)
{
    struct entry *set = cache->sets[entry->hash % cache->set_count];
    CX_CHECK(pthread_mutex_lock(&cache->lock) == 0);
    const size_t at = place_of(set, entry);
    const bool evicts = at == WAYS && set[WAYS - 1].len != 0;
    move_to_front(set, at < WAYS ? at : WAYS - 1, *entry);
    CX_CHECK(pthread_mutex_unlock(&cache->lock) == 0);
    if (evicts) {
        cx_counter_add(cache->evicted, 1);
    }
}
