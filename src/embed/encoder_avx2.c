/* SPDX-License-Identifier: MIT
 *
 * The float32 kernel for AVX2 with FMA (encoder_products.h and encoder_vector.h have the steps): tiles of 6 rows × 16 columns
 * leave 12 of 16 registers to the sums.
 */
#include "encoder_avx2.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma")))
#define vec __m256
#define LANES 8
#define ROWS 6
#define VECS 2

#define v_ahead(at) _mm_prefetch((const char *)(at), _MM_HINT_T0)
#define v_load _mm256_loadu_ps
#define v_store _mm256_storeu_ps
#define v_set _mm256_set1_ps
#define v_zero _mm256_setzero_ps
#define v_add _mm256_add_ps
#define v_sub _mm256_sub_ps
#define v_mul _mm256_mul_ps
#define v_div _mm256_div_ps
#define v_max _mm256_max_ps
#define v_min _mm256_min_ps
#define v_fma _mm256_fmadd_ps

TARGET static inline __m256 v_power(__m256 shifted)
{
    const __m256i bits = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_set1_epi32(127 << 23)));
}

TARGET static inline float v_sum(__m256 x)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

TARGET static inline float v_most(__m256 x)
{
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

#include "encoder_vector.h"

static bool runs_here(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

const struct embed__kernel embed__kernel_avx2 = {
    .name = "avx2",
    .precision = EMBED__FLOAT32,
    .runs_here = runs_here,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .linear_bytes = embed__no_bytes,
    .linear = linear,
    .attend_bytes = attend_bytes,
    .attend = attend,
    .add_norm = add_norm,
};

#endif
