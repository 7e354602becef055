/* SPDX-License-Identifier: MIT
 *
 * Token buckets. A bucket is known by a 64-bit hash under a key of this process, which a client can
 * neither guess nor make collide, so that an entry has a fixed size whatever a client calls itself.
 */
#include "http/ratelimit.h"

#include <math.h>
#include <stdlib.h>

#define NOTHING UINT32_MAX
#define BUCKETS_DEFAULT 16384

struct bucket {
    uint64_t hash;
    double tokens;
    uint64_t updated_ms;
    uint32_t older;
    uint32_t newer;
    uint32_t next; /* of the same slot */
};

struct ratelimit {
    double per_ms;
    double burst;
    uint8_t key[16];
    struct bucket *buckets;
    uint32_t count;
    uint32_t capacity;
    uint32_t max;
    uint32_t *slots;
    uint32_t slot_count; /* a power of two */
    uint32_t oldest;
    uint32_t newest;
};

static struct bucket *find(struct ratelimit *l, uint64_t hash);
static struct bucket *add(struct ratelimit *l, uint64_t hash, uint64_t now_ms);
static void grow(struct ratelimit *l);
static void unlink_age(struct ratelimit *l, uint32_t at);
static void link_newest(struct ratelimit *l, uint32_t at);
static void unlink_slot(struct ratelimit *l, uint32_t at);
static void link_slot(struct ratelimit *l, uint32_t at);

void ratelimit__new(const struct cx_http_rate *rate, struct ratelimit **out)
{
    struct ratelimit *l = cx_alloc(sizeof *l);
    l->per_ms = rate->per_second / 1000.0;
    l->burst = rate->burst >= 1.0 ? rate->burst : fmax(1.0, rate->per_second);
    const size_t max = rate->buckets_max > 0 ? rate->buckets_max : BUCKETS_DEFAULT;
    l->max = max < (1U << 24) ? (uint32_t)max : 1U << 24;
    l->oldest = NOTHING;
    l->newest = NOTHING;
    cx_random_bytes(l->key, sizeof l->key);
    *out = l;
}

void ratelimit__free(struct ratelimit **limiter)
{
    if (*limiter == NULL) {
        return;
    }
    free((*limiter)->buckets);
    free((*limiter)->slots);
    free(*limiter);
    *limiter = NULL;
}

size_t ratelimit__count(const struct ratelimit *limiter)
{
    return limiter->count;
}

void ratelimit__take(struct ratelimit *l, struct cx_str key, uint64_t now_ms,
                     struct ratelimit_verdict *out)
{
    const uint64_t hash = cx_siphash(l->key, key.p, key.len);
    struct bucket *b = find(l, hash);
    if (b == NULL) {
        b = add(l, hash, now_ms);
    }
    if (now_ms > b->updated_ms) {
        b->tokens = fmin(l->burst, b->tokens + (double)(now_ms - b->updated_ms) * l->per_ms);
        b->updated_ms = now_ms;
    }
    out->allowed = b->tokens >= 1.0;
    if (out->allowed) {
        b->tokens -= 1.0;
    }
    const double wait_ms = out->allowed ? 0.0 : (1.0 - b->tokens) / l->per_ms;
    out->retry_after_s = (unsigned)fmin(86400.0, fmax(1.0, ceil(wait_ms / 1000.0)));
    out->limit = (uint64_t)l->burst;
    out->remaining = (uint64_t)b->tokens;
    out->full_in_s = (uint64_t)fmin(1e9, ceil((l->burst - b->tokens) / l->per_ms / 1000.0));
}

static struct bucket *find(struct ratelimit *l, uint64_t hash)
{
    if (l->slot_count == 0) {
        return NULL;
    }
    for (uint32_t at = l->slots[hash & (l->slot_count - 1)]; at != NOTHING;
         at = l->buckets[at].next) {
        if (l->buckets[at].hash == hash) {
            if (at != l->newest) {
                unlink_age(l, at);
                link_newest(l, at);
            }
            return &l->buckets[at];
        }
    }
    return NULL;
}

static struct bucket *add(struct ratelimit *l, uint64_t hash, uint64_t now_ms)
{
    uint32_t at = l->count;
    if (l->count == l->max) {
        at = l->oldest;
        unlink_age(l, at);
        unlink_slot(l, at);
    } else {
        if (l->count == l->capacity) {
            grow(l);
        }
        l->count++;
    }
    l->buckets[at] = (struct bucket){ .hash = hash, .tokens = l->burst, .updated_ms = now_ms };
    link_slot(l, at);
    link_newest(l, at);
    return &l->buckets[at];
}

static void grow(struct ratelimit *l)
{
    const uint32_t doubled = l->capacity > 0 ? l->capacity * 2 : 64;
    l->capacity = doubled < l->max ? doubled : l->max;
    l->buckets = cx_realloc_array(l->buckets, l->capacity, sizeof *l->buckets);
    while (l->slot_count < l->capacity) {
        l->slot_count = l->slot_count > 0 ? l->slot_count * 2 : 64;
    }
    l->slots = cx_realloc_array(l->slots, l->slot_count, sizeof *l->slots);
    for (uint32_t i = 0; i < l->slot_count; i++) {
        l->slots[i] = NOTHING;
    }
    for (uint32_t i = 0; i < l->count; i++) {
        link_slot(l, i);
    }
}

static void unlink_age(struct ratelimit *l, uint32_t at)
{
    const struct bucket *b = &l->buckets[at];
    *(b->older != NOTHING ? &l->buckets[b->older].newer : &l->oldest) = b->newer;
    *(b->newer != NOTHING ? &l->buckets[b->newer].older : &l->newest) = b->older;
}

static void link_newest(struct ratelimit *l, uint32_t at)
{
    l->buckets[at].older = l->newest;
    l->buckets[at].newer = NOTHING;
    *(l->newest != NOTHING ? &l->buckets[l->newest].newer : &l->oldest) = at;
    l->newest = at;
}

static void unlink_slot(struct ratelimit *l, uint32_t at)
{
    uint32_t *link = &l->slots[l->buckets[at].hash & (l->slot_count - 1)];
    while (*link != at) {
        link = &l->buckets[*link].next;
    }
    *link = l->buckets[at].next;
}

static void link_slot(struct ratelimit *l, uint32_t at)
{
    uint32_t *slot = &l->slots[l->buckets[at].hash & (l->slot_count - 1)];
    l->buckets[at].next = *slot;
    *slot = at;
}
