/* SPDX-License-Identifier: MIT
 *
 * What the tests of the log and of the checks share: standard error in our hands, threads that log,
 * a child that may die, a reader of JSON lines.
 */
#ifndef CORTEX_TEST_LOG_ENV_H
#define CORTEX_TEST_LOG_ENV_H

#include "cortex/base.h"

/* Makes fd standard error; gives what was, for restore_stderr. Claims wait until then: they are
 * written to standard error too. */
int swap_stderr(int fd);
void restore_stderr(int saved);
/* Appends what comes until the end. */
void read_all(int fd, struct cx_buf *out);
/* A pipe that holds one page. */
void make_pipe(int ends[2]);
/* Runs body in a child whose standard error is fd (-1: closed), and gives its wait status. */
int run_child(int fd, void (*body)(void));

enum { THREADS = 4 };
/* Each of THREADS threads logs so many lines: thread, n, and 199 times the letter of the thread. */
void talk_all(int lines);

/* One object of strings, numbers, null and true, on one line that ends at *end. */
bool is_json_line(const char *at, const char **end);

#endif
