/* SPDX-License-Identifier: MIT
 *
 * The small files of a model directory, read whole.
 *
 * Threads: any that may block.
 */
#ifndef CORTEX_EMBED_MODEL_FILE_H
#define CORTEX_EMBED_MODEL_FILE_H

#include "cortex/json.h"

#define EMBED__PATH_BYTES 4200

/* directory/name into path. INVALID when that is too long. */
enum cx_status embed__model_path(const char *directory, const char *name,
                                 char path[EMBED__PATH_BYTES], struct cx_err *err) CX_MUST_CHECK;
/* Opens a regular file for reading; NOT_FOUND when there is none. Errors name it. */
enum cx_status embed__file_open(const char *path, int *fd, uint64_t *size,
                                struct cx_err *err) CX_MUST_CHECK;
/* Exactly len bytes from offset; a file that ends before is cut. */
enum cx_status embed__file_read_at(int fd, const char *path, void *data, size_t len,
                                   uint64_t offset, struct cx_err *err) CX_MUST_CHECK;
/* All of a file of at most max_bytes; out is set up here. */
enum cx_status embed__file_read(const char *path, size_t max_bytes, struct cx_buf *out,
                                struct cx_err *err) CX_MUST_CHECK;
/* A JSON file of at most 1 MiB. NOT_FOUND when there is none. */
enum cx_status embed__file_read_json(const char *directory, const char *name, json_t **out,
                                     struct cx_err *err) CX_MUST_CHECK;

#endif
