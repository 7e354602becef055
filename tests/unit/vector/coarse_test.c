/* SPDX-License-Identifier: MIT
 *
 * Bounds from coarse rows: every kernel's bounds hold every kernel's dot product, whatever the rows
 * are made of and however many numbers they have; and they are near enough to be of use.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "vector/coarse.h"
#include "vector/kernel.h"

#define ROWS 23 /* leaves a remainder after every number of rows at a time */

enum shape {
    DRAWN,
    ONE_HOT,
    ONE_HUGE, /* one number of nearly all the length, the others next to nothing */
    LEVEL,    /* all numbers equal */
    SIGNS,    /* equal but for their signs */
    FALLING,  /* each half of the one before */
    SPARSE,
    ZERO,
    SHAPES
};

static void draw_shape(uint64_t *state, enum shape shape, float *out, unsigned dimension)
{
    for (unsigned i = 0; i < dimension; i++) {
        const double x = (double)(draw(state) >> 11) / 0x1p52 - 1;
        switch (shape) {
        case DRAWN:
            out[i] = (float)x;
            break;
        case ONE_HOT:
            out[i] = 0;
            break;
        case ONE_HUGE:
            out[i] = (float)(x * 1e-9);
            break;
        case LEVEL:
            out[i] = 1;
            break;
        case SIGNS:
            out[i] = x < 0 ? -1 : 1;
            break;
        case FALLING:
            out[i] = (float)ldexp(x < 0 ? -1 : 1, -(int)(i % 120));
            break;
        case SPARSE:
            out[i] = draw(state) % 16 == 0 ? (float)x : 0;
            break;
        case ZERO:
        case SHAPES:
            out[i] = 0;
            break;
        }
    }
    if (shape == ONE_HOT || shape == ONE_HUGE || shape == SPARSE) {
        out[draw(state) % dimension] = draw(state) % 2 == 0 ? 1.0F : -1.0F;
    }
    double sum = 0;
    for (unsigned i = 0; i < dimension; i++) {
        sum += (double)out[i] * (double)out[i];
    }
    for (unsigned i = 0; i < dimension && sum > 0; i++) {
        out[i] = (float)((double)out[i] / sqrt(sum));
    }
}

struct rows {
    unsigned dimension;
    size_t stride;
    float *query;
    float *floats;
    uint8_t *high;
    uint8_t *low;
    struct vector__coarse_rows coarse;
    float scales[ROWS];
    float errors[ROWS];
    float fine_errors[ROWS];
};

static void rows_init(struct rows *r, unsigned dimension)
{
    *r = (struct rows){ .dimension = dimension, .stride = (dimension + 15) / 16 * 16 };
    const size_t coarse_stride = vector__coarse_stride(dimension);
    r->query = aligned_alloc(VECTOR__ALIGN, r->stride * sizeof *r->query);
    r->floats = aligned_alloc(VECTOR__ALIGN, ROWS * r->stride * sizeof *r->floats);
    r->high = aligned_alloc(VECTOR__ALIGN, ROWS * coarse_stride);
    r->low = aligned_alloc(VECTOR__ALIGN, ROWS * coarse_stride);
    r->coarse = (struct vector__coarse_rows){ r->high,   r->low,    coarse_stride,
                                              r->scales, r->errors, r->fine_errors };
    memset(r->query, 0, r->stride * sizeof *r->query);
    memset(r->floats, 0, ROWS * r->stride * sizeof *r->floats);
}

static void rows_free(struct rows *r)
{
    free(r->query);
    free(r->floats);
    free(r->high);
    free(r->low);
}

static void rows_quantise(struct rows *r)
{
    for (size_t i = 0; i < ROWS; i++) {
        const struct vector__coarse_row row =
            vector__coarse_row(r->floats + i * r->stride, r->dimension, r->coarse.stride,
                               r->high + i * r->coarse.stride, r->low + i * r->coarse.stride);
        r->scales[i] = row.scale;
        r->errors[i] = row.error;
        r->fine_errors[i] = row.fine_error;
    }
}

static void expect_bounds(struct rows *r, const char *what)
{
    struct vector__kernel kernels[VECTOR__KERNELS_MAX];
    const size_t kernel_count = vector__kernels(kernels);
    struct vector__coarse_query query;
    REQUIRE(vector__coarse_query_init(&query, r->query, r->dimension));
    float dots[VECTOR__KERNELS_MAX][ROWS];
    for (size_t k = 0; k < kernel_count; k++) {
        kernels[k].dot(r->query, r->floats, r->stride, ROWS, dots[k]);
    }
    for (size_t k = 0; k < kernel_count; k++) {
        float bounds[ROWS + 1];
        bounds[ROWS] = 7;
        const struct vector__coarse_query *queries[] = { &query };
        float *out[] = { bounds };
        kernels[k].bound(queries, 1, &r->coarse, ROWS, out);
        EXPECT(bounds[ROWS] == 7.0F);
        for (size_t i = 0; i < ROWS; i++) {
            const double upper = (double)bounds[i] + (double)query.slack;
            const double lower = (double)bounds[i] -
                                 2 * (double)query.reach * (double)r->errors[i] -
                                 (double)query.slack;
            const uint32_t place = (uint32_t)i;
            int32_t product = 0;
            kernels[k].fine(&query, &r->coarse, &place, 1, &product);
            const double middle = (double)r->scales[i] * (double)query.scale * product;
            const double off =
                (double)query.reach * (double)r->fine_errors[i] + (double)query.slack;
            double exact = 0;
            for (size_t j = 0; j < r->dimension; j++) {
                exact += (double)r->query[j] * (double)r->floats[i * r->stride + j];
            }
            bool holds =
                lower <= exact && exact <= upper && middle - off <= exact && exact <= middle + off;
            for (size_t d = 0; d < kernel_count; d++) {
                holds = holds && lower <= (double)dots[d][i] && (double)dots[d][i] <= upper;
                holds = holds && middle - off <= (double)dots[d][i] &&
                        (double)dots[d][i] <= middle + off;
            }
            (void)test_expect(holds, __FILE__, __LINE__,
                              "%s, %s, %u dimensions, row %zu: %.9g is not in %.9g to %.9g, or "
                              "not in %.9g to %.9g",
                              kernels[k].name, what, r->dimension, i, exact, lower, upper,
                              middle - off, middle + off);
        }
    }
    vector__coarse_query_free(&query);
}

static const unsigned DIMENSIONS[] = { 1,   2,   3,   7,   15,  16,  17,  31,   63,   64,  65,
                                       100, 127, 128, 129, 255, 384, 385, 1000, 1024, 1536 };

TEST(bounds_hold)
{
    uint64_t state = 17;
    for (size_t d = 0; d < CX_ARRAY_LEN(DIMENSIONS); d++) {
        struct rows r;
        rows_init(&r, DIMENSIONS[d]);
        for (int of_query = 0; of_query < SHAPES; of_query++) {
            draw_shape(&state, (enum shape)of_query, r.query, r.dimension);
            for (size_t i = 0; i < ROWS; i++) {
                draw_shape(&state, (enum shape)(i % SHAPES), r.floats + i * r.stride, r.dimension);
            }
            /* The query itself, and its opposite. */
            for (size_t j = 0; j < r.dimension; j++) {
                r.floats[j] = r.query[j];
                r.floats[r.stride + j] = -r.query[j];
            }
            rows_quantise(&r);
            expect_bounds(&r, "every shape");
        }
        rows_free(&r);
    }
}

/* The sums of products are as great as they can be: nothing may overflow. */
TEST(bounds_hold_in_the_widest_rows)
{
    struct rows r;
    rows_init(&r, 65536);
    uint64_t state = 3;
    for (size_t j = 0; j < r.dimension; j++) {
        r.query[j] = 1.0F / 256;
        for (size_t i = 0; i < ROWS; i++) {
            const float sign = i % 3 == 0 || (i % 3 == 1 && draw(&state) % 2 == 0) ? 1 : -1;
            r.floats[i * r.stride + j] = sign / 256;
        }
    }
    rows_quantise(&r);
    expect_bounds(&r, "widest");
    rows_free(&r);
}

/* A bound that were always infinite would hold too. */
TEST(bounds_are_near)
{
    uint64_t state = 5;
    struct rows r;
    rows_init(&r, 384);
    draw_unit(&state, r.query, 384);
    for (size_t i = 0; i < ROWS; i++) {
        draw_unit(&state, r.floats + i * r.stride, 384);
    }
    rows_quantise(&r);
    struct vector__coarse_query query;
    REQUIRE(vector__coarse_query_init(&query, r.query, 384));
    EXPECT(query.slack < 0.006F);
    EXPECT(query.reach < 1.01F);
    for (size_t i = 0; i < ROWS; i++) {
        EXPECT(r.errors[i] < 0.1F);
        EXPECT(r.errors[i] > 0.03F);
        EXPECT(r.fine_errors[i] < 0.006F);
        EXPECT(r.fine_errors[i] > 0.002F);
    }
    r.errors[3] = -INFINITY; /* no row at all */
    struct vector__kernel kernels[VECTOR__KERNELS_MAX];
    const size_t kernel_count = vector__kernels(kernels);
    for (size_t k = 0; k < kernel_count; k++) {
        float bounds[ROWS];
        const struct vector__coarse_query *queries[] = { &query };
        float *out[] = { bounds };
        kernels[k].bound(queries, 1, &r.coarse, ROWS, out);
        EXPECT(bounds[3] == -INFINITY);
        for (size_t i = 0; i < ROWS; i++) {
            EXPECT(i == 3 || bounds[i] > -1);
        }
    }
    vector__coarse_query_free(&query);
    rows_free(&r);
}

/* Products are whole numbers, the same whoever makes them; and a query's bounds do not depend on who
 * shares its pass. */
TEST(products_agree)
{
    struct vector__kernel kernels[VECTOR__KERNELS_MAX];
    const size_t kernel_count = vector__kernels(kernels);
    uint64_t state = 23;
    for (size_t d = 0; d < CX_ARRAY_LEN(DIMENSIONS); d++) {
        struct rows r;
        rows_init(&r, DIMENSIONS[d]);
        for (size_t i = 0; i < ROWS; i++) {
            draw_unit(&state, r.floats + i * r.stride, r.dimension);
        }
        rows_quantise(&r);
        struct vector__coarse_query queries[7];
        const struct vector__coarse_query *list[7];
        static float shared[7][ROWS];
        static float alone[ROWS];
        float *out[7];
        for (size_t q = 0; q < 7; q++) {
            draw_unit(&state, r.query, r.dimension);
            REQUIRE(vector__coarse_query_init(&queries[q], r.query, r.dimension));
            list[q] = &queries[q];
            out[q] = shared[q];
        }
        for (size_t k = 0; k < kernel_count; k++) {
            uint32_t places[ROWS];
            for (size_t i = 0; i < ROWS; i++) {
                places[i] = (uint32_t)(draw(&state) % ROWS);
            }
            int32_t expected[ROWS];
            kernels[kernel_count - 1].fine(&queries[0], &r.coarse, places, ROWS, expected);
            for (size_t count = 0; count <= ROWS; count++) {
                int32_t products[ROWS + 1];
                products[count] = 7;
                kernels[k].fine(&queries[0], &r.coarse, places, count, products);
                EXPECT(memcmp(products, expected, count * sizeof *products) == 0);
                EXPECT_INT(products[count], 7);
            }
            kernels[k].bound(list, 7, &r.coarse, ROWS, out);
            for (size_t q = 0; q < 7; q++) {
                float *const one[] = { alone };
                kernels[k].bound(&list[q], 1, &r.coarse, ROWS, one);
                EXPECT(memcmp(alone, shared[q], sizeof alone) == 0);
            }
        }
        for (size_t q = 0; q < 7; q++) {
            vector__coarse_query_free(&queries[q]);
        }
        rows_free(&r);
    }
}

TEST(picks_agree)
{
    struct vector__kernel kernels[VECTOR__KERNELS_MAX];
    const size_t kernel_count = vector__kernels(kernels);
    uint64_t state = 9;
    for (size_t count = 0; count <= 70; count++) {
        float values[70];
        for (size_t i = 0; i < count; i++) {
            const uint64_t kind = draw(&state) % 8;
            values[i] = kind == 0   ? -INFINITY
                        : kind == 1 ? NAN
                        : kind == 2 ? -FLT_MAX
                                    : (float)(draw(&state) % 5) - 2;
        }
        static const float CUTS[] = { -FLT_MAX, -2, 0, 1, 2, 3 };
        for (size_t c = 0; c < CX_ARRAY_LEN(CUTS); c++) {
            for (size_t k = 0; k < kernel_count; k++) {
                uint32_t picked[71];
                memset(picked, 0xEE, sizeof picked);
                const size_t n = kernels[k].pick(values, count, CUTS[c], picked);
                size_t expected = 0;
                for (size_t i = 0; i < count; i++) {
                    if (values[i] >= CUTS[c]) {
                        EXPECT_INT(picked[expected], i);
                        expected++;
                    }
                }
                EXPECT_INT(n, expected);
                EXPECT_INT(picked[count], 0xEEEEEEEE);
            }
        }
    }
}
