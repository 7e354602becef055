/* SPDX-License-Identifier: MIT
 *
 * The hash behind the builtin features: FNV-1a 64 with a finisher that mixes every bit into every
 * other (the multiplier is Pelle Evensen's). It is part of the model: a change makes another model.
 * A stem is hashed from EMBED__HASH_STEM, a gram from EMBED__HASH_GRAM.
 */
#ifndef CORTEX_EMBED_HASH_H
#define CORTEX_EMBED_HASH_H

#include <stddef.h>
#include <stdint.h>

#define EMBED__HASH_STEM UINT64_C(0xcbf29ce484222325)
#define EMBED__HASH_GRAM UINT64_C(0x9ae16a3b2f90404f)
#define EMBED__HASH_FACTOR UINT64_C(0xd6e8feb86659fd93)

static inline uint64_t embed__hash_mix(uint64_t value)
{
    value ^= value >> 32;
    value *= EMBED__HASH_FACTOR;
    return value ^ value >> 32;
}

static inline uint64_t embed__hash_bytes(uint64_t seed, const char *bytes, size_t len)
{
    uint64_t value = seed;
    for (size_t i = 0; i < len; i++) {
        value = (value ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    }
    value ^= value >> 32;
    value *= EMBED__HASH_FACTOR;
    return embed__hash_mix(value);
}

#endif
