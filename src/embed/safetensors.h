/* SPDX-License-Identifier: MIT
 *
 * Tensors by name from files in the safetensors format: eight bytes with the length of a header, the
 * header (JSON: type, shape and place of each tensor), then the numbers, little-endian
 * (https://github.com/huggingface/safetensors, "Format"). One file, or several with
 * model.safetensors.index.json. Nothing is mapped: what is asked for is read and becomes float32.
 * Every offset of a file is checked when it is opened, whether it is asked for or not.
 *
 * Threads: one that may block.
 */
#ifndef CORTEX_EMBED_SAFETENSORS_H
#define CORTEX_EMBED_SAFETENSORS_H

#include "cortex/base.h"

#define EMBED__TENSOR_RANK_MAX 8

struct embed__tensors; /* owner: who opened them */

/* The model's files in a directory. NOT_FOUND: there are none. Errors name file and tensor. */
enum cx_status embed__tensors_open(const char *directory, struct embed__tensors **out,
                                   struct cx_err *err) CX_MUST_CHECK;
/* One file alone. */
enum cx_status embed__tensors_open_file(const char *path, struct embed__tensors **out,
                                        struct cx_err *err) CX_MUST_CHECK;
void embed__tensors_free(struct embed__tensors **tensors); /* NULL is nothing */
bool embed__tensors_has(const struct embed__tensors *tensors, const char *name);
/* The name of the tensor that stands at `index` (from 0, in the order of the files), or NULL. */
const char *embed__tensors_name(const struct embed__tensors *tensors, size_t index);
/* Its shape; its rank, 0 for a number alone; SIZE_MAX when there is no such tensor. */
size_t embed__tensors_shape(const struct embed__tensors *tensors, const char *name,
                            uint64_t shape[EMBED__TENSOR_RANK_MAX]);
/* The numbers of a tensor, which must have this shape and be F32, F16 or BF16, and finite; out has
 * room for them. INVALID names file and tensor. */
enum cx_status embed__tensors_read(const struct embed__tensors *tensors, const char *name,
                                   const uint64_t *shape, size_t rank, float *out,
                                   struct cx_err *err) CX_MUST_CHECK;

#endif
