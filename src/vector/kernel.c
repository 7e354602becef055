/* SPDX-License-Identifier: MIT
 *
 * The table of kernels, and the dot products in float32 (coarse_kernel.c has the rest). Memory
 * bandwidth is the limit: four rows at a time share the loads of the query and leave enough
 * additions in flight.
 */
#include "kernel.h"

#include "coarse_kernel.h"
#include "cortex/vector.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static void dot_plain(const float *query, const float *rows, size_t stride, size_t count,
                      float *out);

const char *cx_vector_kernel_name(void)
{
    return vector__kernel_best().name;
}

struct vector__kernel vector__kernel_best(void)
{
    struct vector__kernel kernels[VECTOR__KERNELS_MAX];
    (void)vector__kernels(kernels);
    return kernels[0];
}

#if defined(__x86_64__)

#define AVX512 __attribute__((target("avx512f,avx512dq")))
#define AVX2 __attribute__((target("avx2,fma")))

AVX512 static void dot_avx512(const float *query, const float *rows, size_t stride, size_t count,
                              float *out);
AVX2 static void dot_avx2(const float *query, const float *rows, size_t stride, size_t count,
                          float *out);

size_t vector__kernels(struct vector__kernel out[VECTOR__KERNELS_MAX])
{
    size_t n = 0;
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) {
        const bool vnni = __builtin_cpu_supports("avx512vnni") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
        out[n++] = (struct vector__kernel){ "avx512",
                                            dot_avx512,
                                            vnni ? vector__bound_vnni : vector__bound_avx2,
                                            vnni ? vector__fine_vnni : vector__fine_avx2,
                                            vnni ? vector__near_vnni : vector__near_avx2,
                                            vector__pick_avx512 };
    }
    if (avx2) {
        out[n++] = (struct vector__kernel){
            "avx2",           dot_avx2, vector__bound_avx2, vector__fine_avx2, vector__near_avx2,
            vector__pick_avx2
        };
    }
    out[n++] = (struct vector__kernel){
        "plain",           dot_plain, vector__bound_plain, vector__fine_plain, vector__near_plain,
        vector__pick_plain
    };
    return n;
}

AVX512 static void dot_avx512(const float *query, const float *rows, size_t stride, size_t count,
                              float *out)
{
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const float *a = rows + i * stride;
        const float *b = a + stride;
        const float *c = b + stride;
        const float *d = c + stride;
        __m512 sum_a = _mm512_setzero_ps();
        __m512 sum_b = _mm512_setzero_ps();
        __m512 sum_c = _mm512_setzero_ps();
        __m512 sum_d = _mm512_setzero_ps();
        for (size_t j = 0; j < stride; j += 16) {
            const __m512 q = _mm512_load_ps(query + j);
            sum_a = _mm512_fmadd_ps(q, _mm512_load_ps(a + j), sum_a);
            sum_b = _mm512_fmadd_ps(q, _mm512_load_ps(b + j), sum_b);
            sum_c = _mm512_fmadd_ps(q, _mm512_load_ps(c + j), sum_c);
            sum_d = _mm512_fmadd_ps(q, _mm512_load_ps(d + j), sum_d);
        }
        out[i] = _mm512_reduce_add_ps(sum_a);
        out[i + 1] = _mm512_reduce_add_ps(sum_b);
        out[i + 2] = _mm512_reduce_add_ps(sum_c);
        out[i + 3] = _mm512_reduce_add_ps(sum_d);
    }
    for (; i < count; i++) {
        const float *row = rows + i * stride;
        __m512 sum = _mm512_setzero_ps();
        for (size_t j = 0; j < stride; j += 16) {
            sum = _mm512_fmadd_ps(_mm512_load_ps(query + j), _mm512_load_ps(row + j), sum);
        }
        out[i] = _mm512_reduce_add_ps(sum);
    }
}

AVX2 static inline float sum_of(__m256 v)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

AVX2 static void dot_avx2(const float *query, const float *rows, size_t stride, size_t count,
                          float *out)
{
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const float *a = rows + i * stride;
        const float *b = a + stride;
        const float *c = b + stride;
        const float *d = c + stride;
        __m256 sum_a = _mm256_setzero_ps();
        __m256 sum_b = _mm256_setzero_ps();
        __m256 sum_c = _mm256_setzero_ps();
        __m256 sum_d = _mm256_setzero_ps();
        for (size_t j = 0; j < stride; j += 8) {
            const __m256 q = _mm256_load_ps(query + j);
            sum_a = _mm256_fmadd_ps(q, _mm256_load_ps(a + j), sum_a);
            sum_b = _mm256_fmadd_ps(q, _mm256_load_ps(b + j), sum_b);
            sum_c = _mm256_fmadd_ps(q, _mm256_load_ps(c + j), sum_c);
            sum_d = _mm256_fmadd_ps(q, _mm256_load_ps(d + j), sum_d);
        }
        out[i] = sum_of(sum_a);
        out[i + 1] = sum_of(sum_b);
        out[i + 2] = sum_of(sum_c);
        out[i + 3] = sum_of(sum_d);
    }
    for (; i < count; i++) {
        const float *row = rows + i * stride;
        __m256 sum = _mm256_setzero_ps();
        for (size_t j = 0; j < stride; j += 8) {
            sum = _mm256_fmadd_ps(_mm256_load_ps(query + j), _mm256_load_ps(row + j), sum);
        }
        out[i] = sum_of(sum);
    }
}

#else

size_t vector__kernels(struct vector__kernel out[VECTOR__KERNELS_MAX])
{
    out[0] = (struct vector__kernel){
        "plain",           dot_plain, vector__bound_plain, vector__fine_plain, vector__near_plain,
        vector__pick_plain
    };
    return 1;
}

#endif

static void dot_plain(const float *query, const float *rows, size_t stride, size_t count,
                      float *out)
{
    for (size_t i = 0; i < count; i++) {
        const float *row = rows + i * stride;
        /* Sixteen sums side by side: the compiler may keep them in what registers there are. */
        float sums[VECTOR__ROW_FLOATS] = { 0 };
        for (size_t j = 0; j < stride; j += VECTOR__ROW_FLOATS) {
            for (size_t k = 0; k < VECTOR__ROW_FLOATS; k++) {
                sums[k] += query[j + k] * row[j + k];
            }
        }
        for (size_t width = VECTOR__ROW_FLOATS / 2; width > 0; width /= 2) {
            for (size_t k = 0; k < width; k++) {
                sums[k] += sums[k + width];
            }
        }
        out[i] = sums[0];
    }
}
