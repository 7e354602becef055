/* SPDX-License-Identifier: MIT
 *
 * Products of whole matrices by AMX (encoder_amx.h): the left factor is turned into tiles first; the
 * right one is packed as tiles (bfloat16), or kept as float32 in panels and turned into tiles panel by
 * panel (float32), which costs less than reading three times as much from memory would. Two by two
 * tiles of results at a time share their factors' loads.
 */
#include "encoder_amx.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "encoder_amx_tiles.h"
#include "encoder_avx512.h"
#include "encoder_reduced.h"

#define ROWS 8
#define VECS 2
#include "encoder_products.h"

#define BLOCK (2 * SIDE)          /* rows and columns of the results that are made at a time */
#define CPUID_AMX_BF16 (1U << 22) /* leaf 7, edx */
#define CPUID_AMX_TILE (1U << 24)
#define ARCH_REQ_XCOMP_PERM 0x1023 /* linux, arch/x86/include/uapi/asm/prctl.h */
#define XFEATURE_XTILEDATA 18
#define FEW_ROWS 16 /* up to which turning panels into tiles does not pay */

struct space {
    uint16_t *left;
    uint16_t *right; /* a panel; float32 only */
    float *result;   /* [BLOCK][BLOCK] */
};

static size_t bfloat16_packed_bytes(size_t out, size_t in);
static void bfloat16_pack(const float *weight, size_t out, size_t in, void *packed);
static size_t bfloat16_linear_bytes(size_t rows, size_t in);
static void bfloat16_linear(const struct embed__product *p);
static size_t float32_linear_bytes(size_t rows, size_t in);
static void float32_linear(const struct embed__product *p);

const struct embed__kernel embed__kernel_amx = {
    .name = "amx",
    .precision = EMBED__BFLOAT16,
    .runs_here = embed__amx_runs_here,
    .packed_bytes = bfloat16_packed_bytes,
    .pack = bfloat16_pack,
    .linear_bytes = bfloat16_linear_bytes,
    .linear = bfloat16_linear,
    .attend_bytes = embed__amx_attend_bytes,
    .attend = embed__amx_attend,
    .add_norm = embed__avx512_add_norm,
};
const struct embed__kernel embed__kernel_amx_float32 = {
    .name = "amx",
    .precision = EMBED__FLOAT32,
    .few_rows_differ = true,
    .runs_here = embed__amx_runs_here,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .linear_bytes = float32_linear_bytes,
    .linear = float32_linear,
    .attend_bytes = embed__amx_float32_attend_bytes,
    .attend = embed__amx_float32_attend,
    .add_norm = embed__avx512_add_norm,
};

bool embed__amx_runs_here(void)
{
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    if (!embed__avx512_runs_here() || !__builtin_cpu_supports("avx512bf16") ||
        __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) {
        return false;
    }
    const bool tiles = (d & CPUID_AMX_TILE) != 0 && (d & CPUID_AMX_BF16) != 0;
    return tiles && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

static size_t steps_of(size_t in)
{
    return (in + STEP - 1) / STEP;
}

static struct space divide_space(const struct embed__product *p, size_t parts)
{
    struct space s = { .result = p->workspace };
    s.left = (uint16_t *)(s.result + BLOCK * BLOCK);
    s.right = s.left + embed__round_up(p->rows, SIDE) / SIDE * steps_of(p->matrix->in) * parts *
                           TILE_NUMBERS;
    return s;
}

static size_t space_bytes(size_t rows, size_t in, size_t parts)
{
    const size_t left = embed__round_up(rows, SIDE) / SIDE * steps_of(in) * parts * TILE_NUMBERS;
    const size_t right = parts == 1 ? 0 : steps_of(in) * parts * 2 * TILE_NUMBERS;
    return BLOCK * BLOCK * sizeof(float) + (left + right) * sizeof(uint16_t);
}

/* Adds one step to the results 0 and 1 and, with two, 2 and 3: left 4 and 5, right 6 and 7. */
TARGET static INLINE void multiply_loaded(const bool two)
{
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if (two) {
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
}

TARGET static INLINE void load_left(const uint16_t *left, size_t to_second, const bool two)
{
    _tile_loadd(4, left, LINE);
    if (two) {
        _tile_loadd(5, left + to_second, LINE);
    }
}

TARGET static INLINE void load_right(const uint16_t *right, size_t to_second)
{
    _tile_loadd(6, right, LINE);
    _tile_loadd(7, right + to_second, LINE);
}

/* Asks for `count` lines at a time of what is multiplied next, so that it is near by then. */
struct ahead {
    const char *at;
    size_t count; /* a step */
};

TARGET static INLINE void look_ahead(struct ahead *ahead)
{
    for (size_t i = 0; i < ahead->count; i++) {
        _mm_prefetch(ahead->at, _MM_HINT_T1);
        ahead->at += LINE;
    }
}

/* One or two blocks of rows times a panel: result[BLOCK][BLOCK]. right: [steps][2][parts]. */
TARGET static INLINE void multiply_block(const uint16_t *left, const uint16_t *right, size_t steps,
                                         float *result, struct ahead *ahead, const bool two,
                                         const size_t parts)
{
    const size_t to_second = steps * parts * TILE_NUMBERS;
    const size_t right_second = parts * TILE_NUMBERS;
    settle_memory();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t k = 0; k < steps; k++) {
        look_ahead(ahead);
        load_left(left, to_second, two);
        if (parts == 3) {
            load_right(right + (size_t)2 * TILE_NUMBERS, right_second);
            multiply_loaded(two);
            load_right(right + TILE_NUMBERS, right_second);
            multiply_loaded(two);
            load_right(right, right_second);
            multiply_loaded(two);
            load_left(left + (size_t)2 * TILE_NUMBERS, to_second, two);
            multiply_loaded(two);
            load_left(left + TILE_NUMBERS, to_second, two);
            multiply_loaded(two);
            load_right(right + TILE_NUMBERS, right_second);
        } else {
            load_right(right, right_second);
        }
        multiply_loaded(two);
        left += parts * TILE_NUMBERS;
        right += 2 * parts * TILE_NUMBERS;
    }
    _tile_stored(0, result, BLOCK * sizeof(float));
    _tile_stored(1, result + SIDE, BLOCK * sizeof(float));
    if (two) {
        _tile_stored(2, result + SIDE * BLOCK, BLOCK * sizeof(float));
        _tile_stored(3, result + SIDE * BLOCK + SIDE, BLOCK * sizeof(float));
    }
    settle_memory();
}

TARGET static INLINE void finish_rows(const float *result, const float *bias, size_t rows,
                                      size_t width, float *c, size_t c_stride,
                                      const enum embed__after after)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < width; j += LANES) {
            const vec x = v_add(v_load(result + i * BLOCK + j), v_load(bias + j));
            v_store(c + i * c_stride + j, after == EMBED__THEN_GELU        ? v_gelu(x)
                                          : after == EMBED__THEN_GELU_TANH ? v_gelu_tanh(x)
                                          : after == EMBED__THEN_RELU      ? v_max(x, v_zero())
                                                                           : x);
        }
    }
}

/* Bias, and what comes after it, from the block to where it belongs. */
TARGET static void finish_block(const struct embed__product *p, const float *result, size_t row,
                                size_t first)
{
    const size_t rows = p->rows - row < BLOCK ? p->rows - row : BLOCK;
    const size_t width = p->matrix->out - first < BLOCK ? p->matrix->out - first : BLOCK;
    const float *bias = p->matrix->bias + first;
    float *c = p->c + row * p->c_stride + first;
    switch (p->after) {
    case EMBED__AS_IT_IS:
        finish_rows(result, bias, rows, width, c, p->c_stride, EMBED__AS_IT_IS);
        break;
    case EMBED__THEN_GELU:
        finish_rows(result, bias, rows, width, c, p->c_stride, EMBED__THEN_GELU);
        break;
    case EMBED__THEN_GELU_TANH:
        finish_rows(result, bias, rows, width, c, p->c_stride, EMBED__THEN_GELU_TANH);
        break;
    case EMBED__THEN_RELU:
        finish_rows(result, bias, rows, width, c, p->c_stride, EMBED__THEN_RELU);
        break;
    }
}

TARGET static INLINE void multiply_panel(const struct embed__product *p, const struct space *s,
                                         const uint16_t *right, size_t first, const char *next,
                                         size_t next_bytes, const size_t parts)
{
    const size_t steps = steps_of(p->matrix->in);
    const size_t turns = (p->rows + BLOCK - 1) / BLOCK * steps;
    struct ahead ahead = { next, (next_bytes / LINE + turns - 1) / turns };
    for (size_t row = 0; row < p->rows; row += BLOCK) {
        const uint16_t *left = s->left + row / SIDE * steps * parts * TILE_NUMBERS;
        if (p->rows - row > SIDE) {
            multiply_block(left, right, steps, s->result, &ahead, true, parts);
        } else {
            multiply_block(left, right, steps, s->result, &ahead, false, parts);
        }
        finish_block(p, s->result, row, first);
    }
}

/* ---- bfloat16: packed[out / BLOCK][steps][2][a tile] -------------------------------------------- */

static size_t bfloat16_packed_bytes(size_t out, size_t in)
{
    return embed__round_up(out, BLOCK) / SIDE * steps_of(in) * TILE_NUMBERS * sizeof(uint16_t);
}

static void bfloat16_pack(const float *weight, size_t out, size_t in, void *packed)
{
    uint16_t *tile = packed;
    for (size_t first = 0; first < out; first += BLOCK) {
        for (size_t k = 0; k < steps_of(in) * STEP; k += STEP) {
            for (size_t at = 0; at < (size_t)2 * TILE_NUMBERS; at++) {
                const size_t column = first + at / TILE_NUMBERS * SIDE + at % STEP / 2;
                const size_t row = k + at % TILE_NUMBERS / STEP * 2 + at % 2;
                const bool there = column < out && row < in;
                *tile++ = there ? embed__bfloat16_of(weight[column * in + row]) : 0;
            }
        }
    }
}

static size_t bfloat16_linear_bytes(size_t rows, size_t in)
{
    return space_bytes(rows, in, 1);
}

TARGET static void bfloat16_linear(const struct embed__product *p)
{
    const struct embed__matrix *m = p->matrix;
    const struct space s = divide_space(p, 1);
    enter_tiles();
    const size_t panel = steps_of(m->in) * STEP * BLOCK;
    split_left(p->a, p->a_stride, p->rows, m->in, s.left, 1);
    for (size_t first = 0; first < m->out; first += BLOCK) {
        const uint16_t *right = m->packed;
        right += first * steps_of(m->in) * STEP;
        const uint16_t *next = right + panel;
        multiply_panel(p, &s, right, first, (const char *)next, panel * sizeof *next, 1);
    }
    _tile_release();
}

/* ---- float32: panels of encoder_products.h -------------------------------------------------------- */

static size_t float32_linear_bytes(size_t rows, size_t in)
{
    return space_bytes(rows, in, PARTS_MAX);
}

TARGET static void split_panel(const float *panel, size_t in, uint16_t *right)
{
    for (size_t k = 0; k < steps_of(in) * STEP; k += 2) {
        uint16_t *tile = right + k / STEP * 2 * PARTS_MAX * TILE_NUMBERS;
        for (size_t j = 0; j < 2; j++) {
            const float *at = panel + k * BLOCK + j * SIDE;
            __m512i lines[PARTS_MAX];
            split_pairs(k < in ? v_load(at) : v_zero(), k < in ? v_load(at + BLOCK) : v_zero(),
                        lines, PARTS_MAX);
            store_parts(tile + j * PARTS_MAX * TILE_NUMBERS, k % STEP / 2, lines, PARTS_MAX);
        }
    }
}

TARGET static void float32_linear(const struct embed__product *p)
{
    if (p->rows <= FEW_ROWS) {
        linear(p);
        return;
    }
    const struct embed__matrix *m = p->matrix;
    const struct space s = divide_space(p, PARTS_MAX);
    enter_tiles();
    split_left(p->a, p->a_stride, p->rows, m->in, s.left, PARTS_MAX);
    for (size_t first = 0; first < m->out; first += BLOCK) {
        const float *panel = (const float *)m->packed + first * m->in;
        const float *next = panel + BLOCK * m->in;
        split_panel(panel, m->in, s.right);
        multiply_panel(p, &s, s.right, first, (const char *)next, BLOCK * m->in * sizeof *next,
                       PARTS_MAX);
    }
    _tile_release();
}

#endif
