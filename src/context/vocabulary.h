/* SPDX-License-Identifier: MIT
 *
 * A vocabulary: from bytes to the token that they are, and back. It is a view of a table that
 * third_party/bpe/build_table.py has laid out (its head has the format) and that is linked in.
 */
#ifndef CONTEXT_VOCABULARY_H
#define CONTEXT_VOCABULARY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cortex/context.h"

#define VOCABULARY_NONE UINT32_MAX
#define VOCABULARY_INLINE_BYTES 12
#define VOCABULARY_LONG 13

struct vocabulary {
    const unsigned char *slots;
    const unsigned char *buckets;
    const unsigned char *order;
    const unsigned char *singles;
    const unsigned char *pairs;
    const unsigned char *pool;
    size_t token_count;
    size_t longest; /* bytes of the longest token */
    uint32_t slot_count;
    uint32_t bucket_shift;
    uint32_t seed;
};

struct vocabulary context__vocabulary(enum cx_encoding encoding);
struct cx_str context__token(const struct vocabulary *v, uint32_t id);
/* For len > 16. */
uint32_t context__find_long(const struct vocabulary *v, const unsigned char *p, size_t len);

static inline uint32_t little32(const unsigned char *p)
{
    uint32_t value;
    memcpy(&value, p, sizeof value);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    value = __builtin_bswap32(value);
#endif
    return value;
}

static inline uint64_t little64(const unsigned char *p)
{
    uint64_t value;
    memcpy(&value, p, sizeof value);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

static inline uint64_t hash_start(const struct vocabulary *v, size_t len)
{
    return UINT64_C(0x9E3779B97F4A7C15) * (len + v->seed);
}

static inline uint64_t hash_step(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0xFF51AFD7ED558CCD);
    return hash ^ hash >> 32;
}

static inline uint64_t hash_end(uint64_t hash)
{
    hash *= UINT64_C(0xC4CEB9FE1A85EC53);
    return hash ^ hash >> 32;
}

/* The only slot where it can be; NULL = it is no token. */
static inline const unsigned char *slot_of(const struct vocabulary *v, uint64_t hash)
{
    const uint32_t bucket = little32(v->buckets + (hash >> v->bucket_shift) * 4);
    if ((bucket >> (hash >> (v->bucket_shift - 4) & 15) & 1) == 0) {
        return NULL;
    }
    const uint32_t mixed = ((uint32_t)hash ^ (bucket >> 16) * 0x9E3779B1u) * 0x85EBCA6Bu;
    return v->slots + ((uint64_t)mixed * v->slot_count >> 32) * 16;
}

static inline uint32_t vocabulary_single(const struct vocabulary *v, const unsigned char *p)
{
    return little32(v->singles + p[0] * 4);
}

static inline uint32_t vocabulary_pair(const struct vocabulary *v, const unsigned char *p)
{
    return little32(v->pairs + (p[0] * 256 + p[1]) * 4);
}

/* The token that the len > 0 bytes at p are, or VOCABULARY_NONE. Bytes up to end can be read. */
static inline uint32_t vocabulary_find(const struct vocabulary *v, const unsigned char *p,
                                       size_t len, const unsigned char *end)
{
    if (len == 1) {
        return vocabulary_single(v, p);
    }
    if (len > 16) {
        return context__find_long(v, p, len);
    }
    uint64_t low = 0;
    uint64_t high = 0;
    if (end - p >= 16) {
        low = little64(p);
        if (len > 8) {
            high = little64(p + 8) & UINT64_MAX >> (128 - 8 * len);
        } else {
            low &= UINT64_MAX >> (64 - 8 * len);
        }
    } else {
        unsigned char padded[16] = { 0 };
        memcpy(padded, p, len);
        low = little64(padded);
        high = little64(padded + 8);
    }
    const uint64_t hash = hash_end(hash_step(hash_step(hash_start(v, len), low), high));
    const unsigned char *slot = slot_of(v, hash);
    if (slot == NULL) {
        return VOCABULARY_NONE;
    }
    const uint64_t tail = little64(slot + 8);
    const uint32_t id = (uint32_t)(tail >> 32) & 0xFFFFFF;
    if (len <= VOCABULARY_INLINE_BYTES) {
        const uint64_t want = high | (uint64_t)len << 56;
        const uint64_t mask = UINT64_C(0xFF000000FFFFFFFF);
        return little64(slot) == low && (tail & mask) == want ? id : VOCABULARY_NONE;
    }
    if (tail >> 56 != VOCABULARY_LONG || little32(slot + 4) != len ||
        memcmp(v->pool + little32(slot), p, len) != 0) {
        return VOCABULARY_NONE;
    }
    return id;
}

#endif
