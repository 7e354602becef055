/* SPDX-License-Identifier: MIT
 *
 * Makes SQLite's writes and syncs fail on demand: fdatasync and fsync of this program stand in
 * front of libc's, and writes go through the unix VFS's table of system calls. One thread only.
 */
#ifndef CORTEX_TEST_STORE_FAULTS_H
#define CORTEX_TEST_STORE_FAULTS_H

#include <stdbool.h>

/* From now on each write of SQLite fails with that errno (0 = works again): to any file, or to
 * the one whose name ends so. */
void faults_of_write(int error, const char *suffix);
/* The same for syncs: of the WAL and the file, or of the file alone. */
void faults_of_sync(int error, bool spare_wal);

#endif
