/* SPDX-License-Identifier: MIT
 *
 * Bounds of dot products from coarse rows, and picking the rows that reach a cut. A row's bytes are
 * unsigned and the query's signed, as the instructions want them (vpdpbusd); all sums of products
 * are exact in 32 bits up to 65,536 dimensions.
 */
#include "coarse_kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define PIECE 64 /* divides a row */

void vector__bound_plain(const struct vector__coarse_query *query,
                         const struct vector__coarse_rows *rows, size_t count, float *out)
{
    for (size_t i = 0; i < count; i++) {
        const uint8_t *row = rows->bytes + i * rows->stride;
        int64_t sum = 0;
        for (size_t j = 0; j < rows->stride; j += PIECE) {
            /* Of a length that the compiler knows, and with a sum that fits in 32 bits: it may do
             * many at once. */
            const uint8_t *bytes = row + j;
            const int16_t *numbers = query->numbers + j;
            int32_t part = 0;
            for (size_t k = 0; k < PIECE; k++) {
                part += (int16_t)bytes[k] * numbers[k];
            }
            sum += part;
        }
        out[i] = rows->scales[i] * query->scale * (float)(sum - query->offset) +
                 query->reach * rows->errors[i];
    }
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

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma")))
#define AVX512 __attribute__((target("avx512f")))
#define AVX2 __attribute__((target("avx2,fma")))
#define AHEAD_BYTES 4096 /* the processor's own prefetching ends with each page */

/* The sums of four vectors, side by side. */
VNNI static inline __m128i sums_of_four(__m512i a, __m512i b, __m512i c, __m512i d)
{
    const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    const __m512i all =
        _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m256i half =
        _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/* Of four rows. */
AVX2 static inline __m128 finish_four(const struct vector__coarse_query *query,
                                      const struct vector__coarse_rows *rows, size_t i,
                                      __m128i high, __m128i low)
{
    high = _mm_sub_epi32(high, _mm_set1_epi32(query->high_offset));
    low = _mm_sub_epi32(low, _mm_set1_epi32(query->low_offset));
    const __m128 sum =
        _mm_fmadd_ps(_mm_set1_ps(128.0F), _mm_cvtepi32_ps(high), _mm_cvtepi32_ps(low));
    const __m128 scales = _mm_mul_ps(_mm_loadu_ps(rows->scales + i), _mm_set1_ps(query->scale));
    return _mm_fmadd_ps(scales, sum,
                        _mm_mul_ps(_mm_set1_ps(query->reach), _mm_loadu_ps(rows->errors + i)));
}

static inline float finish(const struct vector__coarse_query *query,
                           const struct vector__coarse_rows *rows, size_t i, int32_t high,
                           int32_t low)
{
    const float sum =
        128.0F * (float)(high - query->high_offset) + (float)(low - query->low_offset);
    return rows->scales[i] * query->scale * sum + query->reach * rows->errors[i];
}

VNNI void vector__bound_vnni(const struct vector__coarse_query *query,
                             const struct vector__coarse_rows *rows, size_t count, float *out)
{
    const size_t stride = rows->stride;
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const uint8_t *a = rows->bytes + i * stride;
        const uint8_t *b = a + stride;
        const uint8_t *c = b + stride;
        const uint8_t *d = c + stride;
        __m512i high_a = _mm512_setzero_si512();
        __m512i high_b = high_a;
        __m512i high_c = high_a;
        __m512i high_d = high_a;
        __m512i low_a = high_a;
        __m512i low_b = high_a;
        __m512i low_c = high_a;
        __m512i low_d = high_a;
        for (size_t j = 0; j < stride; j += 64) {
            const __m512i high = _mm512_load_si512(query->high + j);
            const __m512i low = _mm512_load_si512(query->low + j);
            const __m512i row_a = _mm512_load_si512(a + j);
            const __m512i row_b = _mm512_load_si512(b + j);
            const __m512i row_c = _mm512_load_si512(c + j);
            const __m512i row_d = _mm512_load_si512(d + j);
            for (size_t row = 0; row < 4; row++) {
                _mm_prefetch((const char *)(a + row * stride + j + AHEAD_BYTES), _MM_HINT_T0);
            }
            high_a = _mm512_dpbusd_epi32(high_a, row_a, high);
            low_a = _mm512_dpbusd_epi32(low_a, row_a, low);
            high_b = _mm512_dpbusd_epi32(high_b, row_b, high);
            low_b = _mm512_dpbusd_epi32(low_b, row_b, low);
            high_c = _mm512_dpbusd_epi32(high_c, row_c, high);
            low_c = _mm512_dpbusd_epi32(low_c, row_c, low);
            high_d = _mm512_dpbusd_epi32(high_d, row_d, high);
            low_d = _mm512_dpbusd_epi32(low_d, row_d, low);
        }
        _mm_storeu_ps(out + i,
                      finish_four(query, rows, i, sums_of_four(high_a, high_b, high_c, high_d),
                                  sums_of_four(low_a, low_b, low_c, low_d)));
    }
    for (; i < count; i++) {
        const uint8_t *row = rows->bytes + i * stride;
        __m512i high = _mm512_setzero_si512();
        __m512i low = high;
        for (size_t j = 0; j < stride; j += 64) {
            const __m512i bytes = _mm512_load_si512(row + j);
            high = _mm512_dpbusd_epi32(high, bytes, _mm512_load_si512(query->high + j));
            low = _mm512_dpbusd_epi32(low, bytes, _mm512_load_si512(query->low + j));
        }
        out[i] =
            finish(query, rows, i, _mm512_reduce_add_epi32(high), _mm512_reduce_add_epi32(low));
    }
}

AVX2 static inline __m128i sums_of_four_avx2(__m256i a, __m256i b, __m256i c, __m256i d)
{
    const __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

/* Bytes are widened first: vpmaddubsw would saturate. */
AVX2 static inline __m256i row_of(const uint8_t *bytes)
{
    return _mm256_cvtepu8_epi16(_mm_load_si128((const __m128i *)(const void *)bytes));
}

AVX2 static inline __m256i query_of(const int8_t *bytes)
{
    return _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(const void *)bytes));
}

AVX2 static inline __m256i add_products(__m256i sum, __m256i row, __m256i query)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(row, query));
}

AVX2 void vector__bound_avx2(const struct vector__coarse_query *query,
                             const struct vector__coarse_rows *rows, size_t count, float *out)
{
    const size_t stride = rows->stride;
    const __m256i zero = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const uint8_t *a = rows->bytes + i * stride;
        const uint8_t *b = a + stride;
        const uint8_t *c = b + stride;
        const uint8_t *d = c + stride;
        __m256i high_a = zero;
        __m256i high_b = zero;
        __m256i high_c = zero;
        __m256i high_d = zero;
        __m256i low_a = zero;
        __m256i low_b = zero;
        __m256i low_c = zero;
        __m256i low_d = zero;
        for (size_t j = 0; j < stride; j += 16) {
            const __m256i high = query_of(query->high + j);
            const __m256i low = query_of(query->low + j);
            const __m256i row_a = row_of(a + j);
            const __m256i row_b = row_of(b + j);
            const __m256i row_c = row_of(c + j);
            const __m256i row_d = row_of(d + j);
            high_a = add_products(high_a, row_a, high);
            low_a = add_products(low_a, row_a, low);
            high_b = add_products(high_b, row_b, high);
            low_b = add_products(low_b, row_b, low);
            high_c = add_products(high_c, row_c, high);
            low_c = add_products(low_c, row_c, low);
            high_d = add_products(high_d, row_d, high);
            low_d = add_products(low_d, row_d, low);
        }
        _mm_storeu_ps(out + i,
                      finish_four(query, rows, i, sums_of_four_avx2(high_a, high_b, high_c, high_d),
                                  sums_of_four_avx2(low_a, low_b, low_c, low_d)));
    }
    for (; i < count; i++) {
        const uint8_t *row = rows->bytes + i * stride;
        __m256i high = zero;
        __m256i low = zero;
        for (size_t j = 0; j < stride; j += 16) {
            high = add_products(high, row_of(row + j), query_of(query->high + j));
            low = add_products(low, row_of(row + j), query_of(query->low + j));
        }
        const __m128i sums = sums_of_four_avx2(high, low, zero, zero);
        out[i] = finish(query, rows, i, _mm_extract_epi32(sums, 0), _mm_extract_epi32(sums, 1));
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
