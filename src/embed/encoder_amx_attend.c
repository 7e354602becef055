/* SPDX-License-Identifier: MIT
 *
 * Attention by AMX (encoder_amx.h), head by head: queries become left factors, keys and values right
 * ones; then sixteen queries at a time go through scores, softmax and values within the cache.
 */
#include "encoder_amx.h"

#if defined(__x86_64__)

#include <math.h>
#include <string.h>

#include "encoder_amx_tiles.h"

#define RESULTS 4 /* tiles of results at a time */

struct space {
    uint16_t *queries; /* [blocks][steps][parts] */
    uint16_t *keys;    /* [blocks][steps][parts], a block of keys being the columns */
    uint16_t *values;  /* [width / SIDE][key steps][parts] */
    uint16_t *weights; /* [key steps][parts]: of sixteen queries, after the softmax */
    float *scores;     /* [SIDE][padded] */
    float *result;     /* [SIDE][RESULTS · SIDE] */
    size_t blocks;     /* of sixteen tokens */
    size_t steps;      /* of a head's width */
    size_t key_steps;
    size_t padded; /* keys */
};

static struct space measure(size_t length, size_t width)
{
    return (struct space){
        .blocks = (length + SIDE - 1) / SIDE,
        .steps = (width + STEP - 1) / STEP,
        .key_steps = (length + STEP - 1) / STEP,
        .padded = embed__round_up(length, STEP),
    };
}

static size_t space_bytes(size_t length, size_t width, size_t parts)
{
    const struct space s = measure(length, width);
    const size_t tiles = 2 * s.blocks * s.steps + width / SIDE * s.key_steps + s.key_steps;
    return tiles * parts * TILE_NUMBERS * sizeof(uint16_t) +
           SIDE * (s.padded + RESULTS * SIDE) * sizeof(float);
}

static struct space divide_space(const struct embed__attention *t, size_t parts)
{
    struct space s = measure(t->length, t->width);
    const size_t tokens = s.blocks * s.steps * parts * TILE_NUMBERS;
    s.queries = t->workspace;
    s.keys = s.queries + tokens;
    s.values = s.keys + tokens;
    s.weights = s.values + t->width / SIDE * s.key_steps * parts * TILE_NUMBERS;
    s.scores = (float *)(void *)(s.weights + s.key_steps * parts * TILE_NUMBERS);
    s.result = s.scores + SIDE * s.padded;
    return s;
}

/* Rows and columns change places. */
TARGET static INLINE void transpose(__m512i r[SIDE])
{
    __m512i t[SIDE];
    UNROLL
    for (size_t i = 0; i < SIDE; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    UNROLL
    for (size_t i = 0; i < SIDE; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    UNROLL
    for (size_t i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    UNROLL
    for (size_t i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

/* A right factor wants pairs of rows: of the keys' transpose that are pairs of a key's own numbers, so
 * that tiles of left factors are transposed with each pair as one number. */
TARGET static INLINE void turn_keys(const struct space *s, const size_t parts)
{
    for (size_t at = 0; at < s->blocks * s->steps * parts; at++) {
        uint16_t *tile = s->keys + at * TILE_NUMBERS;
        __m512i lines[SIDE];
        UNROLL
        for (size_t i = 0; i < SIDE; i++) {
            lines[i] = _mm512_loadu_si512(tile + i * STEP);
        }
        transpose(lines);
        UNROLL
        for (size_t i = 0; i < SIDE; i++) {
            _mm512_storeu_si512(tile + i * STEP, lines[i]);
        }
    }
}

TARGET static INLINE void split_values(const struct embed__attention *t, const struct space *s,
                                       const float *v, const size_t parts)
{
    for (size_t d = 0; d < t->width; d += SIDE) {
        uint16_t *tiles = s->values + d / SIDE * s->key_steps * parts * TILE_NUMBERS;
        for (size_t j = 0; j < s->padded; j += 2) {
            const float *at = v + j * t->stride + d;
            __m512i lines[PARTS_MAX];
            split_pairs(j < t->length ? v_load(at) : v_zero(),
                        j + 1 < t->length ? v_load(at + t->stride) : v_zero(), lines, parts);
            store_parts(tiles + j / STEP * parts * TILE_NUMBERS, j % STEP / 2, lines, parts);
        }
    }
}

/* The tile of results n += the tiles of left factors at 4, 5, 6 · a tile of right ones. */
#define ADD_PRODUCTS(n)                                                                            \
    TARGET static INLINE void add_products_##n(const uint16_t *right, const size_t parts)          \
    {                                                                                              \
        _tile_loadd(7, right, LINE);                                                               \
        _tile_dpbf16ps(n, 4, 7);                                                                   \
        if (parts == 3) {                                                                          \
            _tile_dpbf16ps(n, 5, 7);                                                               \
            _tile_dpbf16ps(n, 6, 7);                                                               \
            _tile_loadd(7, right + TILE_NUMBERS, LINE);                                            \
            _tile_dpbf16ps(n, 4, 7);                                                               \
            _tile_dpbf16ps(n, 5, 7);                                                               \
            _tile_loadd(7, right + (size_t)2 * TILE_NUMBERS, LINE);                                \
            _tile_dpbf16ps(n, 4, 7);                                                               \
        }                                                                                          \
    }
ADD_PRODUCTS(0)
ADD_PRODUCTS(1)
ADD_PRODUCTS(2)
ADD_PRODUCTS(3)

/* `columns` ≤ RESULTS tiles side by side: left[steps][parts] · right[columns][steps][parts]. */
TARGET static INLINE void multiply_line(const uint16_t *left, const uint16_t *right, size_t steps,
                                        size_t columns, float *out, size_t out_stride,
                                        const size_t parts)
{
    const size_t column = steps * parts * TILE_NUMBERS;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t k = 0; k < steps; k++) {
        _tile_loadd(4, left, LINE);
        if (parts == 3) {
            _tile_loadd(5, left + TILE_NUMBERS, LINE);
            _tile_loadd(6, left + (size_t)2 * TILE_NUMBERS, LINE);
        }
        add_products_0(right, parts);
        if (columns > 1) {
            add_products_1(right + column, parts);
        }
        if (columns > 2) {
            add_products_2(right + 2 * column, parts);
        }
        if (columns > 3) {
            add_products_3(right + 3 * column, parts);
        }
        left += parts * TILE_NUMBERS;
        right += parts * TILE_NUMBERS;
    }
    const size_t stride = out_stride * sizeof *out;
    _tile_stored(0, out, stride);
    if (columns > 1) {
        _tile_stored(1, out + SIDE, stride);
    }
    if (columns > 2) {
        _tile_stored(2, out + (size_t)2 * SIDE, stride);
    }
    if (columns > 3) {
        _tile_stored(3, out + (size_t)3 * SIDE, stride);
    }
}

/* 2^((scores − most) · factor) of one query as a line of left factors; returns their sum. */
TARGET static INLINE float soften(const struct space *s, size_t length, size_t query, float factor,
                                  const size_t parts)
{
    float *scores = s->scores + query * s->padded;
    const __m512 nothing = v_set(-INFINITY);
    const size_t last = length / LANES * LANES; /* the vector in which the keys end */
    if (last < s->padded) {
        const __mmask16 beyond = (__mmask16)(0xFFFFU << (length - last));
        _mm512_mask_storeu_ps(scores + last, beyond, nothing);
    }
    if (last + LANES < s->padded) {
        v_store(scores + last + LANES, nothing);
    }
    vec most = nothing;
    for (size_t j = 0; j < s->padded; j += STEP) {
        most = v_max(most, v_max(v_load(scores + j), v_load(scores + j + LANES)));
    }
    const vec by = v_set(factor);
    const vec shift = v_set(-v_most(most) * factor);
    vec sum = v_zero();
    for (size_t j = 0; j < s->padded; j += STEP) {
        const vec x = v_exp2(v_fma(v_load(scores + j), by, shift));
        const vec y = v_exp2(v_fma(v_load(scores + j + LANES), by, shift));
        __m512i lines[PARTS_MAX];
        sum = v_add(sum, v_add(x, y));
        split_line(x, y, lines, parts);
        store_parts(s->weights + j / STEP * parts * TILE_NUMBERS, query, lines, parts);
    }
    return v_sum(sum);
}

TARGET static void add_bias(const struct embed__attention *t, float *scores, const float *bias)
{
    for (size_t j = 0; j < t->length; j++) {
        scores[j] = scores[j] * t->scale + bias[j];
    }
}

TARGET static INLINE void attend_block(const struct embed__attention *t, const struct space *s,
                                       size_t h, size_t block, const size_t parts)
{
    const size_t row = block * SIDE;
    const size_t rows = t->length - row < SIDE ? t->length - row : SIDE;
    const size_t token = s->steps * parts * TILE_NUMBERS;
    settle_memory();
    for (size_t n = 0; n < s->blocks; n += RESULTS) {
        const size_t columns = s->blocks - n < RESULTS ? s->blocks - n : RESULTS;
        multiply_line(s->queries + block * token, s->keys + n * token, s->steps, columns,
                      s->scores + n * SIDE, s->padded, parts);
    }
    settle_memory();
    float sums[SIDE];
    for (size_t i = 0; i < rows; i++) {
        float factor = t->scale * LOG2_E;
        if (t->bias != NULL) {
            add_bias(t, s->scores + i * s->padded, t->bias + h * t->bias_stride - row - i);
            factor = LOG2_E;
        }
        sums[i] = soften(s, t->length, i, factor, parts);
    }
    settle_memory();
    for (size_t d = 0; d < t->width; d += RESULTS * SIDE) {
        const size_t columns = t->width - d < RESULTS * SIDE ? (t->width - d) / SIDE : RESULTS;
        multiply_line(s->weights, s->values + d / SIDE * s->key_steps * parts * TILE_NUMBERS,
                      s->key_steps, columns, s->result, RESULTS * SIDE, parts);
        settle_memory();
        for (size_t i = 0; i < rows; i++) {
            float *out = t->out + (row + i) * t->out_stride + h * t->width + d;
            const vec by = v_set(1.0F / sums[i]);
            for (size_t j = 0; j < columns * SIDE; j += LANES) {
                v_store(out + j, v_mul(v_load(s->result + i * RESULTS * SIDE + j), by));
            }
        }
    }
}

TARGET static INLINE void attend(const struct embed__attention *t, const size_t parts)
{
    const struct space s = divide_space(t, parts);
    /* Lines of queries that there are not are multiplied all the same. */
    memset(s.weights, 0, s.key_steps * parts * TILE_NUMBERS * sizeof *s.weights);
    enter_tiles();
    for (size_t h = 0; h < t->heads; h++) {
        const float *q = t->qkv + h * t->width;
        const float *k = q + t->heads * t->width;
        const float *v = k + t->heads * t->width;
        split_left(q, t->stride, t->length, t->width, s.queries, parts);
        split_left(k, t->stride, t->length, t->width, s.keys, parts);
        turn_keys(&s, parts);
        split_values(t, &s, v, parts);
        for (size_t block = 0; block < s.blocks; block++) {
            attend_block(t, &s, h, block, parts);
        }
    }
    _tile_release();
}

size_t embed__amx_attend_bytes(size_t length, size_t width)
{
    return space_bytes(length, width, 1);
}

TARGET void embed__amx_attend(const struct embed__attention *t)
{
    attend(t, 1);
}

size_t embed__amx_float32_attend_bytes(size_t length, size_t width)
{
    return space_bytes(length, width, PARTS_MAX);
}

TARGET void embed__amx_float32_attend(const struct embed__attention *t)
{
    attend(t, PARTS_MAX);
}

#endif
