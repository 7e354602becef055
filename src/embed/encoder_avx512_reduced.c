/* SPDX-License-Identifier: MIT
 *
 * bfloat16 and int8 for processors whose vectors multiply them: two or four numbers of a row, in 32
 * bits, meet as many rows of a panel at once (vdpbf16ps, vpdpbusd). The latter wants one side without
 * a sign: weights are stored plus 128, and 128 times the sum of the row's numbers is subtracted. In
 * int8 a row of what meets the weights is two, of its high and its low parts. Attention stays in
 * float32.
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
struct scales {             /* int8 only */
    const float *rows;      /* of pairs of a's rows */
    const int32_t *offsets; /* of a's rows, to be subtracted */
    const float *columns;   /* of the panel's */
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

TARGET static INLINE vec without_offset(__m512i sum, int32_t offset)
{
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(sum, _mm512_set1_epi32(offset)));
}

/* The sums of a tile, still without bias: as float32 in c. In int8 two rows make one of c. */
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
    for (size_t i = 0; i < rows; i += int8 ? 2 : 1) {
        UNROLL
        for (size_t j = 0; j < vecs; j++) {
            if (int8) {
                const vec high = without_offset(sums[i][j], scales->offsets[i]);
                const vec low = without_offset(sums[i + 1][j], scales->offsets[i + 1]);
                const vec scale =
                    v_mul(v_set(scales->rows[i / 2]), v_load(scales->columns + j * LANES));
                v_store(c + i / 2 * c_stride + j * LANES,
                        v_mul(v_fma(high, v_set(256.0F), low), scale));
            } else {
                v_store(c + i * c_stride + j * LANES, _mm512_castsi512_ps(sums[i][j]));
            }
        }
    }
}

#define TILE(kind, int8, rows, vecs)                                                               \
    TARGET static void kind##_##rows##_##vecs(const struct groups *g, const struct scales *s,      \
                                              float *c, size_t c_stride)                           \
    {                                                                                              \
        multiply_tile(g, s, c, c_stride, int8, rows, vecs);                                        \
    }
#define TILES(kind, int8, rows)                                                                    \
    TILE(kind, int8, rows, 1) TILE(kind, int8, rows, 2) TILE(kind, int8, rows, 3)
TILES(bfloat16, false, 1)
TILES(bfloat16, false, 2)
TILES(bfloat16, false, 3)
TILES(bfloat16, false, 4)
TILES(bfloat16, false, 5)
TILES(bfloat16, false, 6)
TILES(bfloat16, false, 7)
TILES(bfloat16, false, 8)
TILES(int8, true, 2)
TILES(int8, true, 4)
TILES(int8, true, 6)
TILES(int8, true, 8)
typedef void (*tile_fn)(const struct groups *g, const struct scales *s, float *c, size_t c_stride);
#define NAMES(kind, rows)                                                                          \
    {                                                                                              \
        kind##_##rows##_1, kind##_##rows##_2, kind##_##rows##_3                                    \
    }
static const tile_fn BFLOAT16_TILE_OF[][VECS] = {
    NAMES(bfloat16, 1), NAMES(bfloat16, 2), NAMES(bfloat16, 3), NAMES(bfloat16, 4),
    NAMES(bfloat16, 5), NAMES(bfloat16, 6), NAMES(bfloat16, 7), NAMES(bfloat16, 8),
};
static const tile_fn INT8_TILE_OF[][VECS] = {
    NAMES(int8, 2),
    NAMES(int8, 4),
    NAMES(int8, 6),
    NAMES(int8, 8),
};

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

static void multiply_panels(const struct embed__product *p, const struct groups *g,
                            const struct scales *scales, bool int8)
{
    const size_t most = int8 ? CX_ARRAY_LEN(INT8_TILE_OF) : CX_ARRAY_LEN(BFLOAT16_TILE_OF);
    const size_t height = embed__tile_height(p->rows, most);
    for (size_t first = 0; first < p->matrix->out; first += PANEL) {
        const size_t rest = p->matrix->out - first;
        const size_t width = rest < PANEL ? rest : PANEL;
        struct groups tile = *g;
        struct scales by = *scales;
        tile.panel += first * g->count;
        by.columns = int8 ? by.columns + first : NULL;
        for (size_t row = 0; row < p->rows; row += height) {
            const size_t rows = p->rows - row < height ? p->rows - row : height;
            CX_CHECK(rows >= 1 && rows <= most && width >= LANES && width <= PANEL);
            float *c = p->c + row * p->c_stride + first;
            if (int8) {
                INT8_TILE_OF[rows - 1][width / LANES - 1](&tile, &by, c, p->c_stride);
                tile.a += 2 * rows * tile.a_stride;
                by.rows += rows;
                by.offsets += 2 * rows;
            } else {
                BFLOAT16_TILE_OF[rows - 1][width / LANES - 1](&tile, &by, c, p->c_stride);
                tile.a += rows * tile.a_stride;
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
    multiply_panels(p, &(struct groups){ groups, in / 2, p->matrix->packed, in / 2 },
                    &(struct scales){ NULL, NULL, NULL }, false);
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
    return embed__round_up(rows, LANES) * (2 * in + sizeof(float) + 2 * sizeof(int32_t));
}

struct rounded_row {
    int8_t *high;
    int8_t *low;
    int32_t offsets[2]; /* 128 times the sums of the parts */
};

/* As embed__int16_row does it, in two parts: high · 256 + low. */
TARGET static float round_row(const float *x, size_t count, struct rounded_row *out)
{
    vec most = v_zero();
    for (size_t k = 0; k < count; k += LANES) {
        most = v_max(_mm512_abs_ps(v_load(x + k)), most);
    }
    const float largest = v_most(most);
    const float factor = largest > 0 ? (float)EMBED__INT16_MOST / largest : 0;
    if (!(factor > 0 && factor < 3e38F)) { /* all zeros, or nothing that can be scaled */
        memset(out->high, 0, count);
        memset(out->low, 0, count);
        out->offsets[0] = 0;
        out->offsets[1] = 0;
        return 0;
    }
    __m512i high_sum = _mm512_setzero_si512();
    __m512i low_sum = high_sum;
    for (size_t k = 0; k < count; k += LANES) {
        const __m512i whole = _mm512_cvtps_epi32(v_mul(v_load(x + k), v_set(factor)));
        const __m512i high =
            _mm512_srai_epi32(_mm512_add_epi32(whole, _mm512_set1_epi32(OFFSET)), 8);
        const __m512i low = _mm512_sub_epi32(whole, _mm512_slli_epi32(high, 8));
        high_sum = _mm512_add_epi32(high_sum, high);
        low_sum = _mm512_add_epi32(low_sum, low);
        _mm_storeu_si128((__m128i *)(void *)(out->high + k), _mm512_cvtepi32_epi8(high));
        _mm_storeu_si128((__m128i *)(void *)(out->low + k), _mm512_cvtepi32_epi8(low));
    }
    out->offsets[0] = OFFSET * _mm512_reduce_add_epi32(high_sum);
    out->offsets[1] = OFFSET * _mm512_reduce_add_epi32(low_sum);
    return 1.0F / factor;
}

TARGET static void int8_linear(const struct embed__product *p)
{
    const size_t in = p->matrix->in;
    const size_t rows = embed__round_up(p->rows, LANES);
    float *scales = p->workspace;
    int32_t *offsets = (int32_t *)(void *)(scales + rows);
    int8_t *numbers = (int8_t *)(offsets + 2 * rows);
    for (size_t i = 0; i < p->rows; i++) {
        struct rounded_row row = { .high = numbers + 2 * i * in };
        row.low = row.high + in;
        scales[i] = round_row(p->a + i * p->a_stride, in, &row);
        memcpy(offsets + 2 * i, row.offsets, sizeof row.offsets);
    }
    const float *columns = p->matrix->packed;
    const void *panels = columns + embed__round_up(p->matrix->out, PANEL);
    multiply_panels(p, &(struct groups){ (const void *)numbers, in / 4, panels, in / 4 },
                    &(struct scales){ scales, offsets, columns }, true);
}

#endif
