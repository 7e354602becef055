/* SPDX-License-Identifier: MIT
 *
 * encoder_products: products of matrices in float32 in terms of one vector type. A file that includes
 * it has first defined what encoder_functions.h says, and:
 *
 *   ROWS, VECS   sums of a tile: ROWS × VECS of them stay in registers. ROWS ≤ 8, VECS ≤ 3
 *
 * and then has packed_bytes, pack and linear as static functions; linear needs no workspace.
 */
#ifndef CORTEX_EMBED_ENCODER_PRODUCTS_H
#define CORTEX_EMBED_ENCODER_PRODUCTS_H

#include "encoder_functions.h"

#define PANEL (VECS * LANES)
#define AHEAD 24  /* rows of a panel: the processor's own prefetching ends with each page */
#define DEPTH 384 /* rows of a panel between which a tile's sums are written: a piece stays in L2 */

/* One tile: c[rows][vecs · LANES] = start + a · b, where a piece of b has `depth` rows. */
struct tile {
    const float *a;
    size_t a_stride;
    const float *b;
    size_t b_stride;
    size_t depth;
    float *c;
    size_t c_stride;
    const float *start; /* the same for all rows, or NULL: what is in c */
};

TARGET static INLINE void multiply_tile(const struct tile *t, const size_t rows, const size_t vecs)
{
    vec sums[ROWS][VECS];
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        UNROLL
        for (size_t j = 0; j < vecs; j++) {
            sums[i][j] = v_load(t->start != NULL ? t->start + j * LANES
                                                 : t->c + i * t->c_stride + j * LANES);
        }
    }
    const float *a = t->a;
    const float *b = t->b;
    const size_t a_stride = t->a_stride;
    const size_t b_stride = t->b_stride;
    for (size_t k = 0; k < t->depth; k++) {
        vec column[VECS];
        UNROLL
        for (size_t j = 0; j < vecs; j++) {
            column[j] = v_load(b + j * LANES);
            v_ahead(b + AHEAD * PANEL + j * LANES);
        }
        UNROLL
        for (size_t i = 0; i < rows; i++) {
            const vec x = v_set(a[i * a_stride]);
            UNROLL
            for (size_t j = 0; j < vecs; j++) {
                sums[i][j] = v_fma(x, column[j], sums[i][j]);
            }
        }
        a++;
        b += b_stride;
    }
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        UNROLL
        for (size_t j = 0; j < vecs; j++) {
            v_store(t->c + i * t->c_stride + j * LANES, sums[i][j]);
        }
    }
}

/* A function for each size, so that the sums are registers. */
#define TILE(rows, vecs)                                                                           \
    TARGET static void tile_##rows##_##vecs(const struct tile *t)                                  \
    {                                                                                              \
        multiply_tile(t, (rows) <= ROWS ? (rows) : ROWS, (vecs) <= VECS ? (vecs) : VECS);          \
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
#define TILE_NAMES(rows)                                                                           \
    {                                                                                              \
        tile_##rows##_1, tile_##rows##_2, tile_##rows##_3                                          \
    }
static void (*const TILE_OF[8][3])(const struct tile *) = {
    TILE_NAMES(1), TILE_NAMES(2), TILE_NAMES(3), TILE_NAMES(4),
    TILE_NAMES(5), TILE_NAMES(6), TILE_NAMES(7), TILE_NAMES(8),
};

static void run_tile(size_t rows, size_t vecs, const struct tile *t)
{
    CX_CHECK(rows >= 1 && rows <= ROWS && vecs >= 1 && vecs <= VECS);
    TILE_OF[rows - 1][vecs - 1](t);
}

/* All rows through a piece of a panel. t: as for the first tile. */
static void multiply_rows(struct tile t, size_t rows, size_t vecs)
{
    const size_t height = embed__tile_height(rows, ROWS);
    for (size_t row = 0; row < rows; row += height) {
        const size_t here = rows - row < height ? rows - row : height;
        run_tile(here, vecs, &t);
        t.a += here * t.a_stride;
        t.c += here * t.c_stride;
    }
}

TARGET static void apply_after(enum embed__after after, float *c, size_t c_stride, size_t rows,
                               size_t width)
{
    for (size_t i = 0; i < rows && after != EMBED__AS_IT_IS; i++) {
        float *row = c + i * c_stride;
        for (size_t j = 0; j < width; j += LANES) {
            const vec x = v_load(row + j);
            v_store(row + j, after == EMBED__THEN_GELU        ? v_gelu(x)
                             : after == EMBED__THEN_GELU_TANH ? v_gelu_tanh(x)
                                                              : v_max(x, v_zero()));
        }
    }
}

static size_t packed_bytes(size_t out, size_t in)
{
    return embed__panels_bytes(out, in, PANEL);
}

static void pack(const float *weight, size_t out, size_t in, void *packed)
{
    embed__pack_panels(weight, out, in, PANEL, packed);
}

static void linear(const struct embed__product *p)
{
    const struct embed__matrix *m = p->matrix;
    for (size_t first = 0; first < m->out; first += PANEL) {
        const size_t width = m->out - first < PANEL ? m->out - first : PANEL;
        const float *panel = (const float *)m->packed + first * m->in;
        struct tile t = { .a_stride = p->a_stride,
                          .b_stride = PANEL,
                          .c = p->c + first,
                          .c_stride = p->c_stride,
                          .start = m->bias + first };
        for (size_t k = 0; k < m->in; k += DEPTH) {
            t.a = p->a + k;
            t.b = panel + k * PANEL;
            t.depth = m->in - k < DEPTH ? m->in - k : DEPTH;
            multiply_rows(t, p->rows, width / LANES);
            t.start = NULL;
        }
        apply_after(p->after, p->c + first, p->c_stride, p->rows, width);
    }
}

#endif
