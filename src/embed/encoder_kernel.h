/* SPDX-License-Identifier: MIT
 *
 * encoder_kernel: what the encoder does to whole matrices, once for each instruction set and
 * precision. All widths are padded with zeros to a multiple of EMBED__LANES floats, all rows begin at
 * a multiple of EMBED__ALIGN bytes; numbers of rows are arbitrary.
 *
 * Threads: any; a workspace belongs to one call at a time.
 */
#ifndef CORTEX_EMBED_ENCODER_KERNEL_H
#define CORTEX_EMBED_ENCODER_KERNEL_H

#include "encoder.h"

#define EMBED__LANES 16
#define EMBED__ALIGN 64

/* What is done to a product's numbers before they are written. */
enum embed__after { EMBED__AS_IT_IS, EMBED__THEN_GELU, EMBED__THEN_GELU_TANH, EMBED__THEN_RELU };

struct embed__matrix {
    size_t out;
    size_t in;
    void *packed;
    float *bias; /* out */
};

/* c = after(a · weightᵀ + bias) for `rows` rows. workspace: what linear_bytes says. */
struct embed__product {
    const struct embed__matrix *matrix;
    enum embed__after after;
    size_t rows;
    const float *a;
    size_t a_stride; /* floats from row to row */
    float *c;
    size_t c_stride;
    void *workspace;
};

/* One text through all heads: out = softmax(scale · q kᵀ + bias) v. Row i of q, k and v of head h is
 * at qkv + i * stride + h * width, + heads * width, + 2 * heads * width. */
struct embed__attention {
    const float *qkv;
    size_t stride;
    size_t length;
    size_t heads;
    size_t width; /* of a head */
    float scale;
    const float *bias; /* NULL, or of head h from key j to query i: bias[h * bias_stride + j - i] */
    size_t bias_stride;
    float *out; /* row i, head h: out + i * out_stride + h * width */
    size_t out_stride;
    void *workspace;
};

/* x = norm(x + y) row by row over the first `width` of `padded` numbers; what is beyond becomes 0. */
struct embed__residual {
    float *x;
    size_t x_stride;
    const float *y;
    size_t y_stride;
    size_t rows;
    size_t width;
    size_t padded;
    const float *weight; /* padded with zeros */
    const float *bias;
    float epsilon;
};

struct embed__kernel {
    const char *name;
    enum embed__precision precision;
    bool few_rows_differ; /* the last bits of a product depend on how many rows it has */
    bool (*runs_here)(void);
    size_t (*packed_bytes)(size_t out, size_t in);
    void (*pack)(const float *weight, size_t out, size_t in, void *packed); /* weight[out][in] */
    size_t (*linear_bytes)(size_t rows, size_t in);
    void (*linear)(const struct embed__product *product);
    size_t (*attend_bytes)(size_t length, size_t width);
    void (*attend)(const struct embed__attention *attention);
    void (*add_norm)(const struct embed__residual *residual);
};

/* All that are built in, best first within a precision. */
extern const struct embed__kernel *const embed__kernels[];
extern const size_t embed__kernels_count;

size_t embed__no_bytes(size_t rows, size_t in); /* linear_bytes of a kernel that needs none */
/* `rows` rows in as few tiles of at most `most` as can be, all of about the same height: a tile of one
 * row would wait for each of its additions. */
size_t embed__tile_height(size_t rows, size_t most);
size_t embed__round_up(size_t value, size_t multiple);
/* Bytes of panels; width divides out or the last one is padded with zeros. */
size_t embed__panels_bytes(size_t out, size_t in, size_t width);
/* panels[out / width][in][width] = weight[out][in]ᵀ: the order in which a product reads them. */
void embed__pack_panels(const float *weight, size_t out, size_t in, size_t width, float *panels);

#endif
