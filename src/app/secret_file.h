/* SPDX-License-Identifier: MIT
 *
 * secret_file: small files read whole, and files that hold a secret made once and kept. Blocking; at
 * start-up, or on a worker.
 */
#ifndef CORTEX_APP_SECRET_FILE_H
#define CORTEX_APP_SECRET_FILE_H

#include "cortex/base.h"

#define APP__SECRET_MAX_BYTES 8000

bool app__file_is_there(const char *path); /* true also when it cannot be told */
/* Appends a regular file of at most max bytes to out. *others: group or others have some access.
 * CX_NOT_FOUND, CX_UNAUTHORIZED (not permitted), CX_INVALID (no such file, too long), CX_IO_ERROR. */
enum cx_status app__file_read(const char *path, size_t max, struct cx_buf *out, bool *others,
                              struct cx_err *err) CX_MUST_CHECK;
/* A secret: UTF-8 without NUL, not empty, the newline at its end taken off. */
enum cx_status app__secret_read(const char *path, struct cx_arena *arena, const char **out,
                                bool *others, struct cx_err *err) CX_MUST_CHECK;
/* Makes DIR/NAME with text and a newline, mode 0600: whole or not at all, on disk when this returns.
 * The caller has made sure that nobody else does the same (the data directory's lock). */
enum cx_status app__secret_write(const char *dir, const char *name, const char *text,
                                 struct cx_err *err) CX_MUST_CHECK;

#endif
