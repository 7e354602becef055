/* SPDX-License-Identifier: MIT
 *
 * The log's three parts, for each other and for the checks: a line is made (log_line.c), waits in
 * the ring (log.c) and is written to standard error (log_sink.c).
 */
#ifndef CORTEX_BASE_LOG_H
#define CORTEX_BASE_LOG_H

#include "cortex/base.h"

#include <sys/uio.h>

/* ---- A line ---------------------------------------------------------------------------------- */
enum { LOG_LINE_BYTES = 8192 };

struct log_line {
    size_t len; /* with the newline; no NUL */
    char text[LOG_LINE_BYTES];
};
struct log_style {
    enum cx_log_format format; /* CX_LOG_LOGFMT or CX_LOG_JSON */
    bool journal;              /* "<6>" in front */
};
/* Fills line. What does not fit is cut between characters and the line says so (cut=true); it is
 * one well-formed line all the same. */
void base__log_format(struct log_line *line, struct log_style style, enum cx_log_level level,
                      int64_t wall_us, const char *message, const struct cx_field *fields);

/* ---- Standard error -------------------------------------------------------------------------- */
struct log_sink {
    bool is_socket;
    size_t step_bytes; /* the most that one write takes */
};
/* Looks at what standard error is now. */
struct log_sink base__log_sink_open(void);
struct log_style base__log_sink_style(enum cx_log_format format);

enum log_outcome { LOG_WROTE, LOG_WOULD_BLOCK, LOG_GONE };
/* Writes at most step_bytes from the slices, waiting at most timeout_ms for room. No signal comes
 * of it. LOG_WROTE sets *written; LOG_GONE: nobody will ever read this, drop it. */
enum log_outcome base__log_sink_write(const struct log_sink *sink, const struct iovec slices[2],
                                      int timeout_ms, size_t *written);

/* ---- At once --------------------------------------------------------------------------------- */
/* Lets the log's thread write what waits, for a second at most, and writes all later lines at once.
 * From any state of the process: takes no lock that it cannot have soon. */
void base__log_give_up(void);
/* at_any_price: in a process in any state, where a lock may never be free again. */
void base__log_write_now(enum cx_log_level level, const char *message,
                         const struct cx_field *fields, bool at_any_price);

#endif
