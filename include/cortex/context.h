/* SPDX-License-Identifier: MIT
 *
 * context: how many tokens a text is. Byte-pair encoding exactly as tiktoken 0.14 does it with
 * encode_ordinary: text that spells a special token is ordinary text.
 *
 * Text is UTF-8. A byte that is no part of a character is not refused: it counts as a punctuation
 * mark of its own, so that the tokens always spell the bytes that went in.
 *
 * Time is linear in the length of the text, whatever it is made of. Memory beyond some 33 KB of
 * stack is needed only by text that is made to need it; CX_NO_MEMORY says that there was none.
 *
 * Threads: any; there is no state.
 */
#ifndef CORTEX_CONTEXT_H
#define CORTEX_CONTEXT_H

#include "cortex/base.h"

enum cx_encoding { CX_ENCODING_CL100K, CX_ENCODING_O200K };
#define CX_ENCODING_COUNT 2

const char *cx_encoding_name(enum cx_encoding encoding); /* "cl100k_base" */
bool cx_encoding_parse(struct cx_str name, enum cx_encoding *out);
/* The encoding of an OpenAI model by its name ("text-embedding-3-small", "gpt-4o-2024-05-13",
 * "ft:gpt-4o:…"); false where it is not known to have one of ours. */
bool cx_encoding_of_model(struct cx_str model, enum cx_encoding *out);

/* Fails with CX_NO_MEMORY alone. */
enum cx_status cx_bpe_count(enum cx_encoding encoding, struct cx_str text,
                            size_t *tokens) CX_MUST_CHECK;
/* ids: room for capacity of them; text.len is always enough. CX_TOO_LARGE where there are more: then
 * ids holds the first, and *count is not written. */
enum cx_status cx_bpe_encode(enum cx_encoding encoding, struct cx_str text, uint32_t *ids,
                             size_t capacity, size_t *count) CX_MUST_CHECK;
/* The bytes of the longest prefix that has at most max_tokens tokens, counted as a text of its own,
 * and ends where one of the text's tokens and one of its characters end. Reads no further than
 * the word in which the cut falls. tokens (may be NULL): how many the prefix has. */
enum cx_status cx_bpe_cut(enum cx_encoding encoding, struct cx_str text, size_t max_tokens,
                          size_t *bytes, size_t *tokens) CX_MUST_CHECK;
/* What a token stands for, in static memory, not necessarily whole characters; { NULL, 0 } where
 * there is no such token (special ones included). */
struct cx_str cx_bpe_token(enum cx_encoding encoding, uint32_t id);

#endif
