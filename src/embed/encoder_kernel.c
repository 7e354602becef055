/* SPDX-License-Identifier: MIT
 *
 * The table of kernels, and what their packing has in common.
 */
#include "encoder_kernel.h"

#include "encoder_amx.h"
#include "encoder_avx2.h"
#include "encoder_avx512.h"
#include "encoder_plain.h"

const struct embed__kernel *const embed__kernels[] = {
#if defined(__x86_64__)
    &embed__kernel_amx,         &embed__kernel_amx_float32,
    &embed__kernel_avx512,      &embed__kernel_avx512_bfloat16,
    &embed__kernel_avx512_int8, &embed__kernel_avx2,
#endif
    &embed__kernel_plain,       &embed__kernel_plain_bfloat16,
    &embed__kernel_plain_int8,
};
const size_t embed__kernels_count = CX_ARRAY_LEN(embed__kernels);

size_t embed__round_up(size_t value, size_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

size_t embed__panels_bytes(size_t out, size_t in, size_t width)
{
    return embed__round_up(out, width) * in * sizeof(float);
}

void embed__pack_panels(const float *weight, size_t out, size_t in, size_t width, float *panels)
{
    for (size_t first = 0; first < out; first += width) {
        for (size_t k = 0; k < in; k++) {
            for (size_t j = 0; j < width; j++) {
                *panels++ = first + j < out ? weight[(first + j) * in + k] : 0;
            }
        }
    }
}

size_t embed__no_bytes(size_t rows, size_t in)
{
    (void)rows;
    (void)in;
    return 0;
}

size_t embed__tile_height(size_t rows, size_t most)
{
    const size_t tiles = rows > most ? (rows + most - 1) / most : 1;
    return (rows + tiles - 1) / tiles;
}
