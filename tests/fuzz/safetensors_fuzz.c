/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a safetensors file: it is refused with its name, or every tensor in it can be read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "embed/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const struct embed__tensors *t)
{
    const char *name = NULL;
    for (size_t i = 0; (name = embed__tensors_name(t, i)) != NULL; i++) {
        uint64_t shape[EMBED__TENSOR_RANK_MAX];
        const size_t rank = embed__tensors_shape(t, name, shape);
        CX_CHECK(rank != SIZE_MAX);
        uint64_t count = 1;
        for (size_t k = 0; k < rank; k++) {
            count *= shape[k];
        }
        struct cx_err err = { "" };
        if (count > (1U << 20)) { /* of a type without a size here: nothing to read */
            continue;
        }
        float *out = malloc((size_t)count * sizeof *out + 1);
        const enum cx_status status = embed__tensors_read(t, name, shape, rank, out, &err);
        CX_CHECK(status == CX_OK || (status == CX_INVALID && strstr(err.text, "tensor") != NULL));
        free(out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int fd = memfd_create("tensors", MFD_CLOEXEC);
    CX_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct embed__tensors *t = NULL;
    struct cx_err err = { "" };
    const enum cx_status status = embed__tensors_open_file(path, &t, &err);
    if (status == CX_OK) {
        read_all(t);
    } else {
        CX_CHECK(status == CX_INVALID && strncmp(err.text, path, strlen(path)) == 0);
    }
    embed__tensors_free(&t);
    (void)close(fd);
    return 0;
}
