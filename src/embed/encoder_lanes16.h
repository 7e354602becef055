/* SPDX-License-Identifier: MIT
 *
 * encoder_lanes16: what encoder_functions.h wants, in 512-bit vectors. TARGET is the includer's.
 */
#ifndef CORTEX_EMBED_ENCODER_LANES16_H
#define CORTEX_EMBED_ENCODER_LANES16_H

#include <immintrin.h>

#define vec __m512
#define LANES 16

#define v_ahead(at) _mm_prefetch((const char *)(at), _MM_HINT_T0)
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

#endif
