/* SPDX-License-Identifier: MIT
 *
 * One allocation that fails, of those whose failure is an answer and not the end: buffers, arenas and
 * what else calls malloc or realloc. cx_alloc and its like, which abort, are spared. The linker puts
 * this in front of libc (--wrap, tests/CMakeLists.txt), under sanitizers too. Any thread counts.
 */
#ifndef CORTEX_TEST_MEMORY_FAULTS_H
#define CORTEX_TEST_MEMORY_FAULTS_H

#include <stdbool.h>

void memory_faults_spare(bool spare); /* what this thread allocates from now on */
void memory_faults_arm(long nth);     /* the nth from now on, counted from 1, fails, once */
bool memory_faults_disarm(void);      /* whether one has failed since */

#endif
