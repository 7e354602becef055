/* SPDX-License-Identifier: MIT
 *
 * The float32 kernel for AVX-512 (encoder_products.h and encoder_vector.h have the steps): tiles of 8 rows × 48 columns leave
 * 24 of 32 registers to the sums.
 */
#include "encoder_avx512.h"

#if defined(__x86_64__)

#define TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")))
#define ROWS 8
#define VECS 3

#include "encoder_lanes16.h"
#include "encoder_vector.h"

bool embed__avx512_runs_here(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("fma");
}

size_t embed__avx512_attend_bytes(size_t length, size_t width)
{
    return attend_bytes(length, width);
}

void embed__avx512_attend(const struct embed__attention *t)
{
    attend(t);
}

void embed__avx512_add_norm(const struct embed__residual *r)
{
    add_norm(r);
}

const struct embed__kernel embed__kernel_avx512 = {
    .name = "avx512",
    .precision = EMBED__FLOAT32,
    .runs_here = embed__avx512_runs_here,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .linear_bytes = embed__no_bytes,
    .linear = linear,
    .attend_bytes = embed__avx512_attend_bytes,
    .attend = embed__avx512_attend,
    .add_norm = embed__avx512_add_norm,
};

#endif
