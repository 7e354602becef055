/* SPDX-License-Identifier: MIT
 *
 * encoder_amx_tiles: tiles, for the files of encoder_amx.h alone. A tile has 16 rows of 64 bytes: of a
 * left factor 16 rows × 32 numbers, of a right factor 16 columns × 32 rows, in pairs of rows; of a
 * result 16 × 16 float32. In memory a tile is one piece of 1 KiB, and the parts of a tile lie one after
 * the other.
 */
#ifndef CORTEX_EMBED_ENCODER_AMX_TILES_H
#define CORTEX_EMBED_ENCODER_AMX_TILES_H

#define TARGET                                                                                     \
    __attribute__((                                                                                \
        target("avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,avx2,fma,amx-tile,amx-bf16")))

#include <stdatomic.h>

#include "encoder_lanes16.h"

#include "encoder_functions.h"

#define SIDE 16          /* of a result; rows of a left factor, columns of a right one */
#define STEP 32          /* numbers along which a tile multiplies */
#define TILE_NUMBERS 512 /* bfloat16 of a factor's tile */
#define LINE 64          /* bytes from row to row */
#define PARTS_MAX 3

struct tile_config {
    uint8_t palette;
    uint8_t start_row;
    uint8_t reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

/* Before a thread's first tile: all eight of full size. */
TARGET static INLINE void enter_tiles(void)
{
    static const struct tile_config CONFIG = {
        .palette = 1,
        .row_bytes = { LINE, LINE, LINE, LINE, LINE, LINE, LINE, LINE },
        .rows = { SIDE, SIDE, SIDE, SIDE, SIDE, SIDE, SIDE, SIDE },
    };
    _tile_loadconfig(&CONFIG);
}

/* The compiler does not know that a tile's load reads memory. */
static INLINE void settle_memory(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

TARGET static INLINE __m512i high_halves_mask(void)
{
    return _mm512_set1_epi32((int)0xFFFF0000U);
}

/* What is left of x without its highest eight bits; exact. */
TARGET static INLINE __m512 without_part(__m512 x)
{
    const __m512i high = _mm512_and_si512(_mm512_castps_si512(x), high_halves_mask());
    return _mm512_sub_ps(x, _mm512_castsi512_ps(high));
}

/* 32 numbers in their order, as `parts` lines of bfloat16. */
TARGET static INLINE void split_line(__m512 x, __m512 y, __m512i out[PARTS_MAX], const size_t parts)
{
    if (parts == 1) {
        out[0] = (__m512i)_mm512_cvtne2ps_pbh(y, x);
        return;
    }
    static const uint16_t ODD[32] __attribute__((aligned(64))) = {
        1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31,
        33, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 59, 61, 63,
    };
    const __m512i odd = _mm512_load_si512(ODD);
    UNROLL
    for (size_t p = 0; p < parts; p++) {
        out[p] = _mm512_permutex2var_epi16(_mm512_castps_si512(x), odd, _mm512_castps_si512(y));
        x = without_part(x);
        y = without_part(y);
    }
}

/* Numbers of two rows in turns: x0 y0 x1 y1 …, as `parts` lines. */
TARGET static INLINE void split_pairs(__m512 x, __m512 y, __m512i out[PARTS_MAX],
                                      const size_t parts)
{
    if (parts == 1) {
        static const uint16_t TURNS[32] __attribute__((aligned(64))) = {
            0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
            8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31,
        };
        out[0] =
            _mm512_permutexvar_epi16(_mm512_load_si512(TURNS), (__m512i)_mm512_cvtne2ps_pbh(y, x));
        return;
    }
    UNROLL
    for (size_t p = 0; p < parts; p++) {
        const __m512i low = _mm512_srli_epi32(_mm512_castps_si512(x), 16);
        const __m512i high = _mm512_and_si512(_mm512_castps_si512(y), high_halves_mask());
        out[p] = _mm512_or_si512(low, high);
        x = without_part(x);
        y = without_part(y);
    }
}

TARGET static INLINE void store_parts(uint16_t *tile, size_t line, const __m512i *lines,
                                      const size_t parts)
{
    UNROLL
    for (size_t p = 0; p < parts; p++) {
        _mm512_storeu_si512(tile + p * TILE_NUMBERS + line * STEP, lines[p]);
    }
}

/* Rows of float32 into left factors: out[rows / SIDE][width / STEP][parts]. Rows and numbers that
 * there are not become 0. width: a multiple of SIDE. */
TARGET static INLINE void split_left(const float *a, size_t stride, size_t rows, size_t width,
                                     uint16_t *out, const size_t parts)
{
    const size_t steps = (width + STEP - 1) / STEP;
    for (size_t block = 0; block < rows; block += SIDE) {
        for (size_t i = 0; i < SIDE; i++) {
            const bool there = block + i < rows;
            const float *row = a + (block + i) * stride;
            for (size_t k = 0; k < steps; k++) {
                __m512i lines[PARTS_MAX];
                const __m512 x = there ? v_load(row + k * STEP) : v_zero();
                const __m512 y =
                    there && k * STEP + SIDE < width ? v_load(row + k * STEP + SIDE) : v_zero();
                split_line(x, y, lines, parts);
                store_parts(out + k * parts * TILE_NUMBERS, i, lines, parts);
            }
        }
        out += steps * parts * TILE_NUMBERS;
    }
}

#endif
