/* SPDX-License-Identifier: MIT
 *
 * Numbers of 16 bits, and of the other byte order, into floats.
 */
#ifndef CORTEX_EMBED_HALF_H
#define CORTEX_EMBED_HALF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline float embed__float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE 754 binary16. */
static inline float embed__float_of_half(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    const uint32_t rest = half & 0x7FFFu;
    if (rest >= 0x7C00u) { /* infinite, or no number */
        return embed__float_of_bits(sign | 0x7F800000u | (rest & 0x3FFu) << 13);
    }
    if (rest < 0x400u) { /* subnormal: a multiple of 2^-24 */
        const float value = (float)rest * 0x1p-24F;
        return sign != 0 ? -value : value;
    }
    return embed__float_of_bits(sign | ((rest << 13) + (112u << 23)));
}

static inline uint16_t embed__from_little_endian(uint16_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap16(value);
#endif
    return value;
}

/* From binary16, or from bfloat16, both little-endian. */
static inline void embed__floats_from_half(const uint16_t *from, size_t count, bool bfloat,
                                           float *to)
{
    for (size_t i = 0; i < count; i++) {
        const uint16_t value = embed__from_little_endian(from[i]);
        to[i] = bfloat ? embed__float_of_bits((uint32_t)value << 16) : embed__float_of_half(value);
    }
}

static inline void embed__floats_from_little_endian(float *values, size_t count)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        values[i] = embed__float_of_bits(__builtin_bswap32(bits));
    }
#else
    (void)values;
    (void)count;
#endif
}

#endif
