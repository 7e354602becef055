/* SPDX-License-Identifier: MIT
 *
 * Tokens that a tokenizer finds in the text itself, whole, before (or, where it says so, after) the
 * text is normalized: "[SEP]" in a text is the token, not five characters. Leftmost, longest, as the
 * reference ("added_tokens" of tokenizer.json) does it.
 *
 * Threads: one while it is filled, then any.
 */
#ifndef CORTEX_EMBED_ADDED_TOKENS_H
#define CORTEX_EMBED_ADDED_TOKENS_H

#include "trie.h"

#define EMBED__ADDED_MAX 65536
#define EMBED__ADDED_BYTES_MAX 1024 /* of one: what looking for it at each byte may cost */

struct embed__added_token {
    int32_t id;
    bool single_word; /* only where no word goes on to its left or right */
    bool strip_left;  /* takes in the spaces before it */
    bool strip_right;
};
struct embed__added { /* owner: who declared it; zeroed is empty */
    struct embed__trie trie;
    struct embed__added_token *tokens;
    size_t count;
    bool first[256]; /* bytes that one begins with */
};
/* content is not empty. False: too many, or it is too long. */
bool embed__added_put(struct embed__added *added, struct cx_str content,
                      const struct embed__added_token *token);
void embed__added_free(struct embed__added *added);

/* Walks through a text: stretches between tokens, and tokens, in their order. */
struct embed__added_walk {
    const struct embed__added *added;
    struct cx_str text;
    size_t at;                             /* where the search goes on */
    size_t given;                          /* up to here all is given out */
    size_t spaces_end;                     /* of the spaces that were looked at last */
    const struct embed__added_token *next; /* found, not given out yet */
    size_t next_end;
};
struct embed__added_piece {
    const struct embed__added_token *token; /* NULL = a stretch of text */
    struct cx_str text;
};
void embed__added_begin(struct embed__added_walk *walk, const struct embed__added *added,
                        struct cx_str text);
bool embed__added_next(struct embed__added_walk *walk, struct embed__added_piece *out);

#endif
