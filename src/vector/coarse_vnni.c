/* SPDX-License-Identifier: MIT
 *
 * Products of coarse rows and queries with vpdpbusd. Four rows at a time, and up to four queries,
 * which share the loads and the unpacking of the rows: sixteen sums fit in the registers.
 */
#include "coarse_kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma")))
#define INLINE inline __attribute__((always_inline))
#define AHEAD_BYTES 4096 /* the processor's own prefetching ends with each page */
#define AHEAD_ROWS 16
#define QUERIES 4

struct sums {
    __m512i of[4]; /* a row each */
};

/* The sums of four vectors, side by side. */
VNNI static INLINE __m128i sums_of_four(__m512i a, __m512i b, __m512i c, __m512i d)
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
VNNI static INLINE __m128 finish_four(const struct vector__coarse_query *query,
                                      const struct vector__coarse_rows *rows, size_t i,
                                      __m128i products)
{
    const __m128 numbers = _mm_cvtepi32_ps(_mm_sub_epi32(products, _mm_set1_epi32(query->offset)));
    const __m128 scales =
        _mm_mul_ps(_mm_loadu_ps(rows->scales + i), _mm_set1_ps(query->scale * 16.0F));
    return _mm_fmadd_ps(scales, numbers,
                        _mm_mul_ps(_mm_set1_ps(query->reach), _mm_loadu_ps(rows->errors + i)));
}

VNNI static INLINE void add_piece(struct sums *sums, const int8_t *numbers, const __m512i first[4],
                                  const __m512i second[4])
{
    const __m512i a = _mm512_load_si512(numbers);
    const __m512i b = _mm512_load_si512(numbers + 64);
    sums->of[0] = _mm512_dpbusd_epi32(sums->of[0], first[0], a);
    sums->of[1] = _mm512_dpbusd_epi32(sums->of[1], first[1], a);
    sums->of[2] = _mm512_dpbusd_epi32(sums->of[2], first[2], a);
    sums->of[3] = _mm512_dpbusd_epi32(sums->of[3], first[3], a);
    sums->of[0] = _mm512_dpbusd_epi32(sums->of[0], second[0], b);
    sums->of[1] = _mm512_dpbusd_epi32(sums->of[1], second[1], b);
    sums->of[2] = _mm512_dpbusd_epi32(sums->of[2], second[2], b);
    sums->of[3] = _mm512_dpbusd_epi32(sums->of[3], second[3], b);
}

/* count: a multiple of four; n: known where it is inlined. */
VNNI static INLINE void bound_by_four(const struct vector__coarse_query *const *queries, size_t n,
                                      const struct vector__coarse_rows *rows, size_t count,
                                      float *const *out)
{
    const size_t stride = rows->stride;
    const __m512i mask = _mm512_set1_epi8(15);
    for (size_t i = 0; i < count; i += 4) {
        const uint8_t *row = rows->high + i * stride;
        const __m512i zero = _mm512_setzero_si512();
        struct sums sums[QUERIES] = { { { zero, zero, zero, zero } },
                                      { { zero, zero, zero, zero } },
                                      { { zero, zero, zero, zero } },
                                      { { zero, zero, zero, zero } } };
        for (size_t j = 0; j < stride; j += VECTOR__PIECE_BYTES) {
            const __m512i bytes[4] = { _mm512_load_si512(row + j),
                                       _mm512_load_si512(row + stride + j),
                                       _mm512_load_si512(row + 2 * stride + j),
                                       _mm512_load_si512(row + 3 * stride + j) };
            _mm_prefetch((const char *)(row + j + AHEAD_BYTES), _MM_HINT_T0);
            _mm_prefetch((const char *)(row + stride + j + AHEAD_BYTES), _MM_HINT_T0);
            _mm_prefetch((const char *)(row + 2 * stride + j + AHEAD_BYTES), _MM_HINT_T0);
            _mm_prefetch((const char *)(row + 3 * stride + j + AHEAD_BYTES), _MM_HINT_T0);
            const __m512i first[4] = { _mm512_and_si512(bytes[0], mask),
                                       _mm512_and_si512(bytes[1], mask),
                                       _mm512_and_si512(bytes[2], mask),
                                       _mm512_and_si512(bytes[3], mask) };
            const __m512i second[4] = { _mm512_and_si512(_mm512_srli_epi16(bytes[0], 4), mask),
                                        _mm512_and_si512(_mm512_srli_epi16(bytes[1], 4), mask),
                                        _mm512_and_si512(_mm512_srli_epi16(bytes[2], 4), mask),
                                        _mm512_and_si512(_mm512_srli_epi16(bytes[3], 4), mask) };
            add_piece(&sums[0], queries[0]->numbers + 2 * j, first, second);
            if (n > 1) {
                add_piece(&sums[1], queries[1]->numbers + 2 * j, first, second);
            }
            if (n > 2) {
                add_piece(&sums[2], queries[2]->numbers + 2 * j, first, second);
                add_piece(&sums[3], queries[3]->numbers + 2 * j, first, second);
            }
        }
        for (size_t q = 0; q < n; q++) {
            const __m128i products =
                sums_of_four(sums[q].of[0], sums[q].of[1], sums[q].of[2], sums[q].of[3]);
            _mm_storeu_ps(out[q] + i, finish_four(queries[q], rows, i, products));
        }
    }
}

VNNI static INLINE __m512i product_of(const uint8_t *plane, const int8_t *numbers, size_t stride)
{
    const __m512i mask = _mm512_set1_epi8(15);
    __m512i a = _mm512_setzero_si512();
    __m512i b = a;
    for (size_t j = 0; j < stride; j += VECTOR__PIECE_BYTES) {
        const __m512i bytes = _mm512_load_si512(plane + j);
        a = _mm512_dpbusd_epi32(a, _mm512_and_si512(bytes, mask),
                                _mm512_load_si512(numbers + 2 * j));
        b = _mm512_dpbusd_epi32(b, _mm512_and_si512(_mm512_srli_epi16(bytes, 4), mask),
                                _mm512_load_si512(numbers + 2 * j + 64));
    }
    return _mm512_add_epi32(a, b);
}

VNNI static INLINE __m512i fine_of(const struct vector__coarse_query *query,
                                   const struct vector__coarse_rows *rows, size_t place)
{
    const size_t at = place * rows->stride;
    const __m512i high = product_of(rows->high + at, query->numbers, rows->stride);
    const __m512i low = product_of(rows->low + at, query->numbers, rows->stride);
    return _mm512_add_epi32(_mm512_slli_epi32(high, 4), low);
}

/* The rows lie far apart: those to come are fetched ahead of time. */
VNNI static INLINE void fetch(const struct vector__coarse_rows *rows, size_t place)
{
    const size_t at = place * rows->stride;
    for (size_t j = 0; j < rows->stride; j += VECTOR__PIECE_BYTES) {
        _mm_prefetch((const char *)(rows->high + at + j), _MM_HINT_T0);
        _mm_prefetch((const char *)(rows->low + at + j), _MM_HINT_T0);
    }
}

VNNI void vector__fine_vnni(const struct vector__coarse_query *query,
                            const struct vector__coarse_rows *rows, const uint32_t *places,
                            size_t count, int32_t *out)
{
    for (size_t i = 0; i < count && i < AHEAD_ROWS; i++) {
        fetch(rows, places[i]);
    }
    const __m128i offsets = _mm_set1_epi32(17 * query->offset);
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        for (size_t k = i + AHEAD_ROWS; k < i + AHEAD_ROWS + 4 && k < count; k++) {
            fetch(rows, places[k]);
        }
        const __m128i products =
            sums_of_four(fine_of(query, rows, places[i]), fine_of(query, rows, places[i + 1]),
                         fine_of(query, rows, places[i + 2]), fine_of(query, rows, places[i + 3]));
        _mm_storeu_si128((__m128i *)(void *)(out + i), _mm_sub_epi32(products, offsets));
    }
    for (; i < count; i++) {
        out[i] = _mm512_reduce_add_epi32(fine_of(query, rows, places[i])) - 17 * query->offset;
    }
}

VNNI void vector__near_vnni(const int8_t *numbers, const uint8_t *const *rows, size_t count,
                            size_t stride, int32_t *out)
{
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const __m128i products = sums_of_four(
            product_of(rows[i], numbers, stride), product_of(rows[i + 1], numbers, stride),
            product_of(rows[i + 2], numbers, stride), product_of(rows[i + 3], numbers, stride));
        _mm_storeu_si128((__m128i *)(void *)(out + i), products);
    }
    for (; i < count; i++) {
        out[i] = _mm512_reduce_add_epi32(product_of(rows[i], numbers, stride));
    }
}

VNNI void vector__bound_vnni(const struct vector__coarse_query *const *queries, size_t query_count,
                             const struct vector__coarse_rows *rows, size_t count,
                             float *const *out)
{
    const size_t fours = count / 4 * 4;
    size_t q = 0;
    for (; q + 4 <= query_count; q += 4) {
        bound_by_four(queries + q, 4, rows, fours, out + q);
    }
    for (; q + 2 <= query_count; q += 2) {
        bound_by_four(queries + q, 2, rows, fours, out + q);
    }
    if (q < query_count) {
        bound_by_four(queries + q, 1, rows, fours, out + q);
    }
    for (size_t i = fours; i < count; i++) {
        for (q = 0; q < query_count; q++) {
            const struct vector__coarse_query *query = queries[q];
            const int32_t product = _mm512_reduce_add_epi32(
                product_of(rows->high + i * rows->stride, query->numbers, rows->stride));
            out[q][i] =
                rows->scales[i] * (query->scale * 16.0F) * (float)(product - query->offset) +
                query->reach * rows->errors[i];
        }
    }
}

#endif
