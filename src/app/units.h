/* SPDX-License-Identifier: MIT
 *
 * units: durations (250ms, 30s, 5m, 2h, 1d), sizes (512, 8KiB, 64MiB, 2GiB, 1TiB), decimal numbers
 * and yes or no, from text and back. Independent of the locale. Plain code for any thread.
 */
#ifndef CORTEX_APP_UNITS_H
#define CORTEX_APP_UNITS_H

#include "cortex/base.h"

/* plain_seconds: a number without a unit means seconds; otherwise only 0 goes without one. */
enum cx_status app__duration_parse(struct cx_str text, bool plain_seconds, uint64_t *ms,
                                   struct cx_err *err) CX_MUST_CHECK;
enum cx_status app__bytes_parse(struct cx_str text, uint64_t *bytes,
                                struct cx_err *err) CX_MUST_CHECK;
/* Up to nine digits before the point and six behind it; no sign, no exponent. */
enum cx_status app__real_parse(struct cx_str text, double *out, struct cx_err *err) CX_MUST_CHECK;
/* yes no true false on off 1 0, in any case. */
enum cx_status app__bool_parse(struct cx_str text, bool *out, struct cx_err *err) CX_MUST_CHECK;

/* With the largest unit that leaves no remainder, so that parsing gives the same again. */
void app__duration_format(uint64_t ms, struct cx_buf *out);
void app__bytes_format(uint64_t bytes, struct cx_buf *out);
void app__real_format(double value, struct cx_buf *out);

/* Which of the words looks most like the one given: a slip or two away; NULL where none is. */
const char *app__suggest(const char *word, const char *const *words, size_t count);

#endif
