/* SPDX-License-Identifier: MIT
 *
 * encoder_functions: functions of single numbers in terms of one vector type. A file that includes it
 * has first defined, for its instruction set:
 *
 *   TARGET                     the attribute of every function
 *   vec, LANES                 the type and how many floats it has; LANES divides EMBED__LANES
 *   v_load v_store v_set v_zero v_add v_sub v_mul v_div v_max v_min
 *   v_fma(a, b, c)             a · b + c
 *   v_power(n + WHOLE)         2^n for whole n from −126 to 127, 0 for −127
 *   v_sum v_most               of all lanes
 *
 * Errors, over all arguments: 2^x relative 2e-7; GELU 2e-7 · max(1, |x|).
 */
#ifndef CORTEX_EMBED_ENCODER_FUNCTIONS_H
#define CORTEX_EMBED_ENCODER_FUNCTIONS_H

#include "encoder_kernel.h"

#define INLINE __attribute__((always_inline)) inline
/* GCC leaves small arrays in memory unless every loop over them is unrolled. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#define LOG2_E 1.44269504F
#define WHOLE 12582912.0F /* 1.5 · 2^23: what is added to it is rounded to a whole number */

/* 2^x for x ≤ 127; 0 from −127 down. */
TARGET static INLINE vec v_exp2(vec x)
{
    x = v_max(x, v_set(-127.0F));
    const vec shifted = v_add(x, v_set(WHOLE));
    const vec f = v_sub(x, v_sub(shifted, v_set(WHOLE)));
    vec p = v_set(0.00132764725F);
    p = v_fma(p, f, v_set(0.00967554189F));
    p = v_fma(p, f, v_set(0.0555071309F));
    p = v_fma(p, f, v_set(0.240221202F));
    p = v_fma(p, f, v_set(0.693146944F));
    p = v_fma(p, f, v_set(1.00000012F));
    return v_mul(p, v_power(shifted));
}

/* x · Φ(x): Φ(x) − 1/2 as x · P(x²) / Q(x²), fitted in the largest error up to 5.6, where it is 1. */
TARGET static INLINE vec v_gelu(vec x)
{
    const vec z = v_min(v_max(x, v_set(-5.6F)), v_set(5.6F));
    const vec t = v_mul(z, z);
    vec p = v_set(1.08023368e-10F);
    p = v_fma(p, t, v_set(-2.19977156e-08F));
    p = v_fma(p, t, v_set(3.36189578e-06F));
    p = v_fma(p, t, v_set(0.00018249196F));
    p = v_fma(p, t, v_set(0.00458770245F));
    p = v_fma(p, t, v_set(0.0371147729F));
    p = v_fma(p, t, v_set(0.398942113F));
    vec q = v_set(6.6256398e-05F);
    q = v_fma(q, t, v_set(0.00190161192F));
    q = v_fma(q, t, v_set(0.0297873095F));
    q = v_fma(q, t, v_set(0.25969705F));
    q = v_fma(q, t, v_set(1.0F));
    return v_mul(x, v_add(v_div(v_mul(z, p), q), v_set(0.5F)));
}

/* x/2 · (1 + tanh u) = x / (1 + e^(−2u)), u = √(2/π) · (x + 0.044715 x³) */
TARGET static INLINE vec v_gelu_tanh(vec x)
{
    const vec u = v_mul(x, v_fma(v_mul(x, x), v_set(0.044715F), v_set(1.0F)));
    const vec power = v_exp2(v_min(v_mul(u, v_set(-2.0F * 0.797884561F * LOG2_E)), v_set(126.0F)));
    return v_div(x, v_add(v_set(1.0F), power));
}

#endif
