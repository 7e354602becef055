/* SPDX-License-Identifier: MIT
 *
 * files: every call of the ledger that changes a file, as a table, so that a test can let the Nth one
 * fail. All return -1 with errno, like the system's own.
 */
#ifndef CORTEX_AUDIT_FILES_H
#define CORTEX_AUDIT_FILES_H

#include <sys/types.h>

#include "cortex/audit.h"

struct cx_audit_files {
    void *ctx;
    int (*create)(void *ctx, int dir, const char *name, int flags); /* O_WRONLY or O_RDWR …, 0600 */
    ssize_t (*write)(void *ctx, int fd, const void *data, size_t len, off_t offset);
    int (*sync)(void *ctx, int fd, bool data_only);
    int (*truncate)(void *ctx, int fd, off_t size);
    int (*rename)(void *ctx, int dir, const char *from, const char *to);
    int (*unlink)(void *ctx, int dir, const char *name);
};
extern const struct cx_audit_files audit__system_files;

/* All of it at that place; what errno says otherwise. CX_STORAGE_FULL, CX_IO_ERROR. */
enum cx_status audit__write_at(const struct cx_audit_files *files, int fd, struct cx_str data,
                               uint64_t offset) CX_MUST_CHECK;
/* A whole small file: written under another name, synced, renamed; the folder is synced too. */
enum cx_status audit__write_file(const struct cx_audit_files *files, int dir, const char *name,
                                 struct cx_str data, struct cx_err *err) CX_MUST_CHECK;
/* Appends a file of at most max bytes. CX_NOT_FOUND, CX_TOO_LARGE, CX_IO_ERROR. */
enum cx_status audit__read_file(int dir, const char *name, size_t max, struct cx_buf *out,
                                struct cx_err *err) CX_MUST_CHECK;
enum cx_status audit__file_status(int error);

#endif
