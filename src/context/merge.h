/* SPDX-License-Identifier: MIT
 *
 * The second step of an encoding: a piece that is no token itself, into tokens.
 */
#ifndef CONTEXT_MERGE_H
#define CONTEXT_MERGE_H

#include "sink.h"
#include "vocabulary.h"

/* Emits the tokens of the len > 1 bytes at piece; bytes up to end can be read. Where a sink wants a
 * cut, perhaps not all, but more than its limit. CX_NO_MEMORY: what was emitted is of no use. */
enum cx_status context__merge(const struct vocabulary *v, const unsigned char *piece, size_t len,
                              const unsigned char *end, struct sink *sink) CX_MUST_CHECK;

/* What context__merge does with a long piece, with the sizes open to the tests: a first window of at
 * least two of the longest tokens and at most 1,024 bytes, and a margin of at least one byte. */
enum cx_status context__merge_long(const struct vocabulary *v, const unsigned char *piece,
                                   size_t len, const unsigned char *end, size_t window_bytes,
                                   size_t margin_bytes, struct sink *sink) CX_MUST_CHECK;

#endif
