/* SPDX-License-Identifier: MIT
 *
 * Every kernel against sums in double precision, for every remainder of rows and many lengths.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "vector/kernel.h"

static void compare(const struct vector__kernel *kernel, size_t stride, size_t rows)
{
    uint64_t state = stride * 100 + rows;
    float *query = aligned_alloc(VECTOR__ALIGN, stride * sizeof *query);
    float *data = aligned_alloc(VECTOR__ALIGN, (rows + 1) * stride * sizeof *data);
    float out[16];
    draw_unit(&state, query, (unsigned)stride);
    for (size_t i = 0; i <= rows; i++) {
        draw_unit(&state, data + i * stride, (unsigned)stride);
    }
    out[rows] = 7;
    kernel->dot(query, data, stride, rows, out);
    for (size_t i = 0; i < rows; i++) {
        double sum = 0;
        for (size_t j = 0; j < stride; j++) {
            sum += (double)query[j] * (double)data[i * stride + j];
        }
        (void)test_expect(fabs(sum - (double)out[i]) < 1e-5, __FILE__, __LINE__,
                          "%s, stride %zu, row %zu of %zu: %g instead of %g", kernel->name, stride,
                          i, rows, (double)out[i], sum);
    }
    EXPECT(out[rows] == 7.0F); /* nothing beyond the last row */
    free(query);
    free(data);
}

TEST(kernels_agree)
{
    struct vector__kernel kernels[3];
    const size_t count = vector__kernels(kernels);
    REQUIRE(count >= 1);
    EXPECT_STR(kernels[count - 1].name, "plain");
    EXPECT_STR(cx_vector_kernel_name(), kernels[0].name);
    static const size_t STRIDES[] = { 16, 32, 48, 384, 768, 1536 };
    for (size_t k = 0; k < count; k++) {
        for (size_t s = 0; s < CX_ARRAY_LEN(STRIDES); s++) {
            for (size_t rows = 0; rows <= 9; rows++) {
                compare(&kernels[k], STRIDES[s], rows);
            }
        }
    }
}
