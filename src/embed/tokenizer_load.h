/* SPDX-License-Identifier: MIT
 *
 * What the two loaders of tokenizers share.
 *
 * Threads: a loading belongs to one thread.
 */
#ifndef CORTEX_EMBED_TOKENIZER_LOAD_H
#define CORTEX_EMBED_TOKENIZER_LOAD_H

#include "cortex/json.h"
#include "tokenizer.h"

struct embed__loading {
    const char *file; /* for messages */
    const json_t *root;
    struct embed__tokenizer *made;
    struct cx_err *err;
};
struct embed__tokenizer *embed__tokenizer_new(void);
/* CX_INVALID with the file's name in front. */
enum cx_status embed__refuse(struct embed__loading *l, const char *format, ...) CX_PRINTF(2, 3);
const char *embed__type_of(const json_t *object); /* its "type"; never NULL */
enum cx_status embed__put_word(struct embed__loading *l, struct cx_str word,
                               int32_t id) CX_MUST_CHECK;
/* Of a word of the vocabulary, or EMBED__TRIE_NONE; content may be NULL. */
int32_t embed__token_id(const struct embed__loading *l, const char *content);
/* Where the pieces inside of words begin. */
void embed__find_inside(struct embed__tokenizer *t, const char *prefix);
enum cx_status embed__add_token(struct embed__loading *l, const char *content,
                                const struct embed__added_token *token,
                                bool normalized) CX_MUST_CHECK;
enum cx_status embed__put_special(struct embed__loading *l, bool after, int32_t id) CX_MUST_CHECK;

#endif
