/* SPDX-License-Identifier: MIT
 *
 * What is not short enough to stand in the header: finding a table, its long tokens, and tokens by
 * their number.
 */
#include "vocabulary.h"

#define MAGIC 0x50425843u

/* third_party/bpe/tables.S */
extern const unsigned char cx_bpe_cl100k_base[];
extern const unsigned char cx_bpe_o200k_base[];

enum head {
    HEAD_MAGIC,
    HEAD_TOKENS,
    HEAD_SLOTS,
    HEAD_BUCKET_BITS,
    HEAD_LONGEST,
    HEAD_SEED,
    HEAD_SLOTS_AT,
    HEAD_BUCKETS_AT,
    HEAD_ORDER_AT,
    HEAD_SINGLES_AT,
    HEAD_PAIRS_AT,
    HEAD_POOL_AT,
};

static uint32_t head_of(const unsigned char *table, enum head item);

struct vocabulary context__vocabulary(enum cx_encoding encoding)
{
    const unsigned char *const tables[CX_ENCODING_COUNT] = {
        [CX_ENCODING_CL100K] = cx_bpe_cl100k_base,
        [CX_ENCODING_O200K] = cx_bpe_o200k_base,
    };
    CX_CHECK((size_t)encoding < CX_ENCODING_COUNT);
    const unsigned char *table = tables[encoding];
    CX_CHECK(head_of(table, HEAD_MAGIC) == MAGIC);
    return (struct vocabulary){
        .slots = table + head_of(table, HEAD_SLOTS_AT),
        .buckets = table + head_of(table, HEAD_BUCKETS_AT),
        .order = table + head_of(table, HEAD_ORDER_AT),
        .singles = table + head_of(table, HEAD_SINGLES_AT),
        .pairs = table + head_of(table, HEAD_PAIRS_AT),
        .pool = table + head_of(table, HEAD_POOL_AT),
        .token_count = head_of(table, HEAD_TOKENS),
        .longest = head_of(table, HEAD_LONGEST),
        .slot_count = head_of(table, HEAD_SLOTS),
        .bucket_shift = 64 - head_of(table, HEAD_BUCKET_BITS),
        .seed = head_of(table, HEAD_SEED),
    };
}

struct cx_str context__token(const struct vocabulary *v, uint32_t id)
{
    if (id >= v->token_count) {
        return (struct cx_str){ NULL, 0 };
    }
    const unsigned char *slot = v->slots + (size_t)little32(v->order + (size_t)id * 4) * 16;
    const size_t len = slot[15];
    if (len == VOCABULARY_LONG) {
        return (struct cx_str){ (const char *)v->pool + little32(slot), little32(slot + 4) };
    }
    return (struct cx_str){ (const char *)slot, len };
}

uint32_t context__find_long(const struct vocabulary *v, const unsigned char *p, size_t len)
{
    if (len > v->longest) {
        return VOCABULARY_NONE;
    }
    uint64_t hash = hash_start(v, len);
    size_t at = 0;
    for (; len - at >= 8; at += 8) {
        hash = hash_step(hash, little64(p + at));
    }
    if (at < len) {
        unsigned char padded[8] = { 0 };
        memcpy(padded, p + at, len - at);
        hash = hash_step(hash, little64(padded));
    }
    const unsigned char *slot = slot_of(v, hash_end(hash));
    if (slot == NULL) {
        return VOCABULARY_NONE;
    }
    const uint32_t tail = little32(slot + 12);
    if (tail >> 24 != VOCABULARY_LONG || little32(slot + 4) != len ||
        memcmp(v->pool + little32(slot), p, len) != 0) {
        return VOCABULARY_NONE;
    }
    return tail & 0xFFFFFF;
}

static uint32_t head_of(const unsigned char *table, enum head item)
{
    return little32(table + (size_t)item * 4);
}
