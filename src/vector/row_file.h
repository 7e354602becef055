/* SPDX-License-Identifier: MIT
 *
 * row_file: rows of float32 in a file of no name beside the database, so that they take no memory of
 * the process. Nobody else can open, cut or change it, and it is gone with the process: what is in it
 * is made anew from the database at each start. It is read by pread, never mapped.
 *
 * Threads: one thread writes; any thread reads rows that are not being written, and asks what is expected.
 */
#ifndef CORTEX_VECTOR_ROW_FILE_H
#define CORTEX_VECTOR_ROW_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct vector__row_file {
    int fd;             /* -1 = there is none (yet) */
    const char *beside; /* in whose folder it is to be made when first written; NULL = never */
    size_t row_bytes;
    bool complained;    /* that a write fails is logged once */
    atomic_bool unmade; /* the last attempt to make it failed */
};

/* beside: borrowed; NULL = every write fails. Where no file can be made the log says so. */
void vector__row_file_init(struct vector__row_file *file, const char *beside);
void vector__row_file_free(struct vector__row_file *file);
/* False where rows stay in memory. */
bool vector__row_file_expected(const struct vector__row_file *file);
/* False, and logged, where the file has no room or is damaged. row: row_bytes of them. */
bool vector__row_file_write(struct vector__row_file *file, size_t at, const void *row);
/* False, and logged. A row that was never written is zeros, or false. */
bool vector__row_file_read(const struct vector__row_file *file, size_t at, void *row);
/* Forgets all rows, which may be of another size from now on. */
void vector__row_file_clear(struct vector__row_file *file, size_t row_bytes);

#endif
