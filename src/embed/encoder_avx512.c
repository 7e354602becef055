/* SPDX-License-Identifier: MIT
 *
 * The float32 kernel for AVX-512 (encoder_vector.h has the steps): tiles of 8 rows × 48 columns leave
 * 24 of 32 registers to the sums.
 */
#include "encoder_avx512.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")))
#define vec __m512
#define LANES 16
#define ROWS 8
#define VECS 3

#define v_load _mm512_loadu_ps
#define v_store _mm512_storeu_ps
#define v_set _mm512_set1_ps
#define v_zero _mm512_setzero_ps
#define v_add _mm512_add_ps
#define v_sub _mm512_sub_ps
#define v_mul _mm512_mul_ps
#define v_div _mm512_div_ps
#define v_max _mm512_max_ps
#define v_min _mm512_min_ps
#define v_fma _mm512_fmadd_ps
#define v_sum _mm512_reduce_add_ps
#define v_most _mm512_reduce_max_ps

TARGET static inline __m512 v_power(__m512 shifted)
{
    const __m512i bits = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(bits, _mm512_set1_epi32(127 << 23)));
}

#include "encoder_vector.h"

static bool runs_here(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("fma");
}

const struct embed__kernel embed__kernel_avx512 = {
    .name = "avx512",
    .precision = EMBED__FLOAT32,
    .runs_here = runs_here,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .linear_bytes = linear_bytes,
    .linear = linear,
    .attend_bytes = attend_bytes,
    .attend = attend,
    .add_norm = add_norm,
};

#endif
