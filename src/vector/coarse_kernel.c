/* SPDX-License-Identifier: MIT
 *
 * Products of coarse rows and queries in plain C and AVX2, and picking the rows that reach a cut. A row's
 * half bytes are unsigned and the query's numbers signed, as the instructions want them; all sums of products
 * are exact in 32 bits up to 65,536 dimensions, so that every kernel gives the same.
 */
#include "coarse_kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static int32_t product_plain(const uint8_t *plane, const int8_t *numbers, size_t stride);

/* The bound, of what a query's numbers give with the high plane. */
static inline float finish(const struct vector__coarse_query *query,
                           const struct vector__coarse_rows *rows, size_t i, int32_t product)
{
    return rows->scales[i] * (query->scale * 16.0F) * (float)(product - query->offset) +
           query->reach * rows->errors[i];
}

void vector__bound_plain(const struct vector__coarse_query *const *queries, size_t query_count,
                         const struct vector__coarse_rows *rows, size_t count, float *const *out)
{
    for (size_t i = 0; i < count; i++) {
        const uint8_t *row = rows->high + i * rows->stride;
        for (size_t q = 0; q < query_count; q++) {
            out[q][i] =
                finish(queries[q], rows, i, product_plain(row, queries[q]->numbers, rows->stride));
        }
    }
}

void vector__fine_plain(const struct vector__coarse_query *query,
                        const struct vector__coarse_rows *rows, const uint32_t *places,
                        size_t count, int32_t *out)
{
    const size_t stride = rows->stride;
    for (size_t i = 0; i < count; i++) {
        const size_t at = places[i] * stride;
        out[i] = 16 * (product_plain(rows->high + at, query->numbers, stride) - query->offset) +
                 product_plain(rows->low + at, query->numbers, stride) - query->offset;
    }
}

void vector__near_plain(const int8_t *numbers, const uint8_t *const *rows, size_t count,
                        size_t stride, int32_t *out)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = product_plain(rows[i], numbers, stride);
    }
}

static int32_t product_plain(const uint8_t *plane, const int8_t *numbers, size_t stride)
{
    int32_t sum = 0;
    for (size_t j = 0; j < stride; j += VECTOR__PIECE_BYTES) {
        /* Of a length that the compiler knows: it may do many at once. */
        const uint8_t *bytes = plane + j;
        const int8_t *piece = numbers + 2 * j;
        int32_t part = 0;
        for (size_t k = 0; k < VECTOR__PIECE_BYTES; k++) {
            part += (bytes[k] & 15) * piece[k] + (bytes[k] >> 4) * piece[VECTOR__PIECE_BYTES + k];
        }
        sum += part;
    }
    return sum;
}

size_t vector__pick_plain(const float *values, size_t count, float cut, uint32_t *out)
{
    size_t picked = 0;
    for (size_t i = 0; i < count; i++) {
        out[picked] = (uint32_t)i;
        picked += values[i] >= cut;
    }
    return picked;
}

#if defined(__x86_64__)

#define AVX512 __attribute__((target("avx512f")))
#define AVX2 __attribute__((target("avx2,fma")))

AVX2 static inline __m256i load(const void *bytes)
{
    return _mm256_load_si256(bytes);
}

/* Half bytes are 15 at most: pairs of their products fit in 16 bits. */
AVX2 static inline __m256i add_products(__m256i sum, __m256i halves, const int8_t *numbers)
{
    const __m256i pairs = _mm256_maddubs_epi16(halves, load(numbers));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

AVX2 static inline __m256i product_avx2(const uint8_t *plane, const int8_t *numbers, size_t stride)
{
    const __m256i mask = _mm256_set1_epi8(15);
    __m256i a = _mm256_setzero_si256();
    __m256i b = a;
    __m256i c = a;
    __m256i d = a;
    for (size_t j = 0; j < stride; j += VECTOR__PIECE_BYTES) {
        const int8_t *piece = numbers + 2 * j;
        const __m256i first = load(plane + j);
        const __m256i second = load(plane + j + 32);
        a = add_products(a, _mm256_and_si256(first, mask), piece);
        b = add_products(b, _mm256_and_si256(second, mask), piece + 32);
        c = add_products(c, _mm256_and_si256(_mm256_srli_epi16(first, 4), mask), piece + 64);
        d = add_products(d, _mm256_and_si256(_mm256_srli_epi16(second, 4), mask), piece + 96);
    }
    return _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
}

AVX2 static inline int32_t sum_of(__m256i v)
{
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xB1));
    return _mm_cvtsi128_si32(half);
}

AVX2 void vector__fine_avx2(const struct vector__coarse_query *query,
                            const struct vector__coarse_rows *rows, const uint32_t *places,
                            size_t count, int32_t *out)
{
    const size_t stride = rows->stride;
    for (size_t i = 0; i < count; i++) {
        const size_t at = places[i] * stride;
        const __m256i high = product_avx2(rows->high + at, query->numbers, stride);
        const __m256i low = product_avx2(rows->low + at, query->numbers, stride);
        out[i] = sum_of(_mm256_add_epi32(_mm256_slli_epi32(high, 4), low)) - 17 * query->offset;
    }
}

AVX2 void vector__near_avx2(const int8_t *numbers, const uint8_t *const *rows, size_t count,
                            size_t stride, int32_t *out)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = sum_of(product_avx2(rows[i], numbers, stride));
    }
}

AVX2 void vector__bound_avx2(const struct vector__coarse_query *const *queries, size_t query_count,
                             const struct vector__coarse_rows *rows, size_t count,
                             float *const *out)
{
    for (size_t i = 0; i < count; i++) {
        const uint8_t *row = rows->high + i * rows->stride;
        for (size_t q = 0; q < query_count; q++) {
            const __m256i sums = product_avx2(row, queries[q]->numbers, rows->stride);
            out[q][i] = finish(queries[q], rows, i, sum_of(sums));
        }
    }
}

AVX512 size_t vector__pick_avx512(const float *values, size_t count, float cut, uint32_t *out)
{
    const __m512 cuts = _mm512_set1_ps(cut);
    const __m512i step = _mm512_set1_epi32(16);
    __m512i places = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    size_t picked = 0;
    for (size_t i = 0; i < count; i += 16) {
        const __mmask16 there = (__mmask16)(count - i >= 16 ? 0xFFFFU : (1U << (count - i)) - 1U);
        const __m512 part = _mm512_maskz_loadu_ps(there, values + i);
        const __mmask16 reach = _mm512_mask_cmp_ps_mask(there, part, cuts, _CMP_GE_OQ);
        if (reach != 0) {
            _mm512_mask_compressstoreu_epi32(out + picked, reach, places);
            picked += (size_t)__builtin_popcount(reach);
        }
        places = _mm512_add_epi32(places, step);
    }
    return picked;
}

AVX2 size_t vector__pick_avx2(const float *values, size_t count, float cut, uint32_t *out)
{
    const __m256 cuts = _mm256_set1_ps(cut);
    size_t picked = 0;
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        unsigned reach = (unsigned)_mm256_movemask_ps(
            _mm256_cmp_ps(_mm256_loadu_ps(values + i), cuts, _CMP_GE_OQ));
        while (reach != 0) {
            out[picked++] = (uint32_t)i + (uint32_t)__builtin_ctz(reach);
            reach &= reach - 1;
        }
    }
    const size_t rest = vector__pick_plain(values + i, count - i, cut, out + picked);
    for (size_t j = 0; j < rest; j++) {
        out[picked + j] += (uint32_t)i;
    }
    return picked + rest;
}

#endif
