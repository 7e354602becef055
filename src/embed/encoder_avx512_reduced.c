/* SPDX-License-Identifier: MIT
 *
 * bfloat16 and int8 for processors whose vectors multiply them: two or four numbers of a row, in 32
 * bits, meet as many rows of a panel at once (vdpbf16ps, vpdpbusd). The latter wants one side without
 * a sign: weights are stored plus 128, and 128 times the sum of the row's numbers is subtracted.
 * Attention stays in float32.
 */
#include "encoder_avx512.h"

#if defined(__x86_64__)

#include <string.h>

#include "encoder_reduced.h"

#define TARGET                                                                                     \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,avx512vnni,avx2,fma")))

#include "encoder_lanes16.h"

#include "encoder_functions.h"

#define ROWS 8
#define VECS 3
#define PANEL (VECS * LANES)
#define OFFSET 128 /* of a weight in int8 */

/* Both sides in groups of 32 bits: a row of them, and for each group PANEL of them. */
struct groups {
    const uint32_t *a;
    size_t a_stride;
    const uint32_t *panel;
    size_t count; /* of groups in a row */
};
struct scales {
    const float *rows; /* of a's rows and of the panel's columns; int8 only */
    const int32_t *offsets;
    const float *columns;
};

static bool bfloat16_runs_here(void);
static size_t bfloat16_packed_bytes(size_t out, size_t in);
static void bfloat16_pack(const float *weight, size_t out, size_t in, void *packed);
static size_t bfloat16_linear_bytes(size_t rows, size_t in);
static void bfloat16_linear(const struct embed__product *p);
static bool int8_runs_here(void);
static size_t int8_packed_bytes(size_t out, size_t in);
static void int8_pack(const float *weight, size_t out, size_t in, void *packed);
static size_t int8_linear_bytes(size_t rows, size_t in);
static void int8_linear(const struct embed__product *p);

const struct embed__kernel embed__kernel_avx512_bfloat16 = {
    .name = "avx512",
    .precision = EMBED__BFLOAT16,
    .runs_here = bfloat16_runs_here,
    .packed_bytes = bfloat16_packed_bytes,
    .pack = bfloat16_pack,
    .linear_bytes = bfloat16_linear_bytes,
    .linear = bfloat16_linear,
    .attend_bytes = embed__avx512_attend_bytes,
    .attend = embed__avx512_attend,
    .add_norm = embed__avx512_add_norm,
};
const struct embed__kernel embed__kernel_avx512_int8 = {
    .name = "avx512",
    .precision = EMBED__INT8,
    .runs_here = int8_runs_here,
    .packed_bytes = int8_packed_bytes,
    .pack = int8_pack,
    .linear_bytes = int8_linear_bytes,
    .linear = int8_linear,
    .attend_bytes = embed__avx512_attend_bytes,
    .attend = embed__avx512_attend,
    .add_norm = embed__avx512_add_norm,
};

/* The sums of a tile, still without bias: as float32 in c. */
TARGET static INLINE void multiply_tile(const struct groups *g, const struct scales *scales,
                                        float *c, size_t c_stride, const bool int8,
                                        const size_t rows, const size_t vecs)
{
    __m512i sums[ROWS][VECS];
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        UNROLL
        for (size_t j = 0; j < vecs; j++) {
            sums[i][j] = _mm512_setzero_si512();
        }
    }
    const uint32_t *a = g->a;
    const uint32_t *b = g->panel;
    for (size_t k = 0; k < g->count; k++) {
        __m512i column[VECS];
        UNROLL
        for (size_t j = 0; j < vecs; j++) {
            column[j] = _mm512_loadu_si512(b + j * LANES);
            _mm_prefetch((const char *)(b + 24 * PANEL + j * LANES), _MM_HINT_T0);
        }
        UNROLL
        for (size_t i = 0; i < rows; i++) {
            const __m512i x = _mm512_set1_epi32((int)a[i * g->a_stride]);
            UNROLL
            for (size_t j = 0; j < vecs; j++) {
                sums[i][j] =
                    int8 ? _mm512_dpbusd_epi32(sums[i][j], column[j], x)
                         : _mm512_castps_si512(_mm512_dpbf16_ps(_mm512_castsi512_ps(sums[i][j]),
                                                                (__m512bh)x, (__m512bh)column[j]));
            }
        }
        a++;
        b += PANEL;
    }
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        UNROLL
        for (size_t j = 0; j < vecs; j++) {
            vec x = _mm512_castsi512_ps(sums[i][j]);
            if (int8) {
                const __m512i whole =
                    _mm512_sub_epi32(sums[i][j], _mm512_set1_epi32(scales->offsets[i]));
                x = v_mul(_mm512_cvtepi32_ps(whole),
                          v_mul(v_set(scales->rows[i]), v_load(scales->columns + j * LANES)));
            }
            v_store(c + i * c_stride + j * LANES, x);
        }
    }
}

#define TILE(rows, vecs)                                                                           \
    TARGET static void bfloat16_##rows##_##vecs(const struct groups *g, const struct scales *s,    \
                                                float *c, size_t c_stride)                         \
    {                                                                                              \
        multiply_tile(g, s, c, c_stride, false, rows, vecs);                                       \
    }                                                                                              \
    TARGET static void int8_##rows##_##vecs(const struct groups *g, const struct scales *s,        \
                                            float *c, size_t c_stride)                             \
    {                                                                                              \
        multiply_tile(g, s, c, c_stride, true, rows, vecs);                                        \
    }
#define TILES(rows) TILE(rows, 1) TILE(rows, 2) TILE(rows, 3)
TILES(1)
TILES(2)
TILES(3)
TILES(4)
TILES(5)
TILES(6)
TILES(7)
TILES(8)
#define NAMES(kind, rows)                                                                          \
    {                                                                                              \
        kind##_##rows##_1, kind##_##rows##_2, kind##_##rows##_3                                    \
    }
#define TABLE(kind)                                                                                \
    {                                                                                              \
        NAMES(kind, 1), NAMES(kind, 2), NAMES(kind, 3), NAMES(kind, 4), NAMES(kind, 5),            \
            NAMES(kind, 6), NAMES(kind, 7), NAMES(kind, 8),                                        \
    }
static void (*const TILE_OF[2][ROWS][VECS])(const struct groups *, const struct scales *, float *,
                                            size_t) = { TABLE(bfloat16), TABLE(int8) };

TARGET static void finish(const struct embed__product *p, size_t first, size_t width)
{
    for (size_t i = 0; i < p->rows; i++) {
        float *row = p->c + i * p->c_stride + first;
        for (size_t j = 0; j < width; j += LANES) {
            const vec x = v_add(v_load(row + j), v_load(p->matrix->bias + first + j));
            v_store(row + j, p->after == EMBED__THEN_GELU        ? v_gelu(x)
                             : p->after == EMBED__THEN_GELU_TANH ? v_gelu_tanh(x)
                             : p->after == EMBED__THEN_RELU      ? v_max(x, v_zero())
                                                                 : x);
        }
    }
}

static void multiply_panels(const struct embed__product *p, struct groups g, struct scales scales,
                            bool int8)
{
    const size_t height = embed__tile_height(p->rows, ROWS);
    const struct groups start = g;
    const struct scales start_scales = scales;
    for (size_t first = 0; first < p->matrix->out; first += PANEL) {
        const size_t rest = p->matrix->out - first;
        const size_t width = rest < PANEL ? rest : PANEL;
        g.a = start.a;
        g.panel = start.panel + first * start.count;
        scales = start_scales;
        scales.columns = int8 ? start_scales.columns + first : NULL;
        for (size_t row = 0; row < p->rows; row += height) {
            const size_t rows = p->rows - row < height ? p->rows - row : height;
            CX_CHECK(rows >= 1 && rows <= ROWS && width >= LANES && width <= PANEL);
            TILE_OF[int8 ? 1 : 0][rows - 1][width / LANES - 1](
                &g, &scales, p->c + row * p->c_stride + first, p->c_stride);
            g.a += rows * g.a_stride;
            if (int8) {
                scales.rows += rows;
                scales.offsets += rows;
            }
        }
        finish(p, first, width);
    }
}

/* ---- bfloat16 -------------------------------------------------------------------------------- */

static bool bfloat16_runs_here(void)
{
    return embed__avx512_runs_here() && __builtin_cpu_supports("avx512bf16");
}

static size_t bfloat16_packed_bytes(size_t out, size_t in)
{
    return embed__round_up(out, PANEL) * in * sizeof(uint16_t);
}

/* panels[out / PANEL][in / 2][PANEL][2] */
static void bfloat16_pack(const float *weight, size_t out, size_t in, void *packed)
{
    uint16_t *at = packed;
    for (size_t first = 0; first < out; first += PANEL) {
        for (size_t k = 0; k < in; k += 2) {
            for (size_t j = 0; j < PANEL; j++) {
                const float *row = weight + (first + j) * in + k;
                *at++ = first + j < out ? embed__bfloat16_of(row[0]) : 0;
                *at++ = first + j < out ? embed__bfloat16_of(row[1]) : 0;
            }
        }
    }
}

static size_t bfloat16_linear_bytes(size_t rows, size_t in)
{
    return rows * in * sizeof(uint16_t);
}

TARGET static void bfloat16_linear(const struct embed__product *p)
{
    const size_t in = p->matrix->in;
    uint32_t *groups = p->workspace;
    for (size_t i = 0; i < p->rows; i++) {
        for (size_t k = 0; k < in; k += LANES) {
            const __m256bh half = _mm512_cvtneps_pbh(v_load(p->a + i * p->a_stride + k));
            _mm256_storeu_si256((__m256i *)(void *)(groups + (i * in + k) / 2), (__m256i)half);
        }
    }
    multiply_panels(p, (struct groups){ groups, in / 2, p->matrix->packed, in / 2 },
                    (struct scales){ NULL, NULL, NULL }, false);
}

/* ---- int8 ------------------------------------------------------------------------------------
 * Packed: a scale for each column (of whole panels), then panels[out / PANEL][in / 4][PANEL][4].
 */
static bool int8_runs_here(void)
{
    return embed__avx512_runs_here() && __builtin_cpu_supports("avx512vnni");
}

static size_t int8_packed_bytes(size_t out, size_t in)
{
    return embed__round_up(out, PANEL) * (sizeof(float) + in);
}

static void int8_pack(const float *weight, size_t out, size_t in, void *packed)
{
    const size_t columns = embed__round_up(out, PANEL);
    float *scales = packed;
    uint8_t *panels = (uint8_t *)(scales + columns);
    int8_t numbers[EMBED__INTERMEDIATE_MAX];
    for (size_t column = 0; column < columns; column++) {
        memset(numbers, 0, in);
        scales[column] = column < out ? embed__int8_row(weight + column * in, in, numbers) : 0;
        uint8_t *panel = panels + column / PANEL * PANEL * in + column % PANEL * 4;
        for (size_t k = 0; k < in; k++) {
            panel[k / 4 * PANEL * 4 + k % 4] = (uint8_t)(numbers[k] + OFFSET);
        }
    }
}

static size_t int8_linear_bytes(size_t rows, size_t in)
{
    return embed__round_up(rows, LANES) * (in + sizeof(float) + sizeof(int32_t));
}

/* As embed__int8_row does it; also 128 times the sum of the numbers. */
TARGET static float round_row(const float *x, size_t count, int8_t *numbers, int32_t *offset)
{
    vec most = v_zero();
    for (size_t k = 0; k < count; k += LANES) {
        most = v_max(_mm512_abs_ps(v_load(x + k)), most);
    }
    const float largest = v_most(most);
    const float factor = largest > 0 ? (float)EMBED__INT8_MOST / largest : 0;
    if (!(factor > 0 && factor < 3e38F)) { /* all zeros, or nothing that can be scaled */
        memset(numbers, 0, count);
        *offset = 0;
        return 0;
    }
    __m512i sum = _mm512_setzero_si512();
    for (size_t k = 0; k < count; k += LANES) {
        const __m512i whole = _mm512_cvtps_epi32(v_mul(v_load(x + k), v_set(factor)));
        sum = _mm512_add_epi32(sum, whole);
        _mm_storeu_si128((__m128i *)(void *)(numbers + k), _mm512_cvtsepi32_epi8(whole));
    }
    *offset = OFFSET * _mm512_reduce_add_epi32(sum);
    return largest / (float)EMBED__INT8_MOST;
}

TARGET static void int8_linear(const struct embed__product *p)
{
    const size_t in = p->matrix->in;
    const size_t rows = embed__round_up(p->rows, LANES);
    float *scales = p->workspace;
    int32_t *offsets = (int32_t *)(void *)(scales + rows);
    int8_t *numbers = (int8_t *)(offsets + rows);
    for (size_t i = 0; i < p->rows; i++) {
        scales[i] = round_row(p->a + i * p->a_stride, in, numbers + i * in, &offsets[i]);
    }
    const float *columns = p->matrix->packed;
    const void *panels = columns + embed__round_up(p->matrix->out, PANEL);
    multiply_panels(p, (struct groups){ (const void *)numbers, in / 4, panels, in / 4 },
                    (struct scales){ scales, offsets, columns }, true);
}

#endif
