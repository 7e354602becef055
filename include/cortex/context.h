/* SPDX-License-Identifier: MIT
 *
 * context: how many tokens a text is, and what of many texts fits into a number of them. Byte-pair
 * encoding exactly as tiktoken 0.14 does it with encode_ordinary: text that spells a special token
 * is ordinary text.
 *
 * Text is UTF-8. A byte that is no part of a character is not refused: it counts as a punctuation
 * mark of its own, so that the tokens always spell the bytes that went in.
 *
 * Time is linear in the length of the text, whatever it is made of. Memory beyond some 33 KB of
 * stack is needed only by text that is made to need it; CX_NO_MEMORY says that there was none.
 *
 * Threads: any; but for the cache of counts, which locks itself, there is no state.
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
 * and ends where one of the text's tokens and one of its characters end. Takes time by what it cuts
 * off in front, however long the text or a word of it is. tokens (may be NULL): how many the prefix has. */
enum cx_status cx_bpe_cut(enum cx_encoding encoding, struct cx_str text, size_t max_tokens,
                          size_t *bytes, size_t *tokens) CX_MUST_CHECK;
/* What a token stands for, in static memory, not necessarily whole characters; { NULL, 0 } where
 * there is no such token (special ones included). */
struct cx_str cx_bpe_token(enum cx_encoding encoding, uint32_t id);

/* ---- Passages ----------------------------------------------------------------------------------
 * A long text in pieces that are found one by one.
 */
#define CX_PASSAGE_TOKENS_MIN 16
struct cx_passage { /* text[start, end), whole characters */
    size_t start;
    size_t end;
    size_t tokens; /* of it as a text of its own: at most tokens_max */
};
/* In order, the whole text but for white space between them. A passage ends with a paragraph, a
 * sentence or a word where its second half has such an end, and begins with what the one before it
 * ended with: whole words of at most `overlap` (at most half of tokens_max) tokens. out: room for
 * capacity of them; CX_TOO_LARGE where there are more: *count are then there. Text of white space
 * alone has none. Blocking, at the speed of counting. */
enum cx_status cx_passages_cut(enum cx_encoding encoding, struct cx_str text, size_t tokens_max,
                               size_t overlap, struct cx_passage *out, size_t capacity,
                               size_t *count) CX_MUST_CHECK;

/* ---- Counts that are known ---------------------------------------------------------------------
 * Agents send the same texts again and again. Counts are kept by a keyed 64-bit hash of the content
 * and its length, the least recently used of four going first where a place is taken.
 */
struct cx_token_cache;
/* bytes: all that it will ever take, at once; 0 = nothing is kept. */
void cx_token_cache_new(size_t bytes, struct cx_token_cache **out);
void cx_token_cache_free(struct cx_token_cache **cache);
/* As cx_bpe_count. Short texts are counted anew: that is as fast. cache may be NULL. Any thread. */
enum cx_status cx_token_cache_count(struct cx_token_cache *cache, enum cx_encoding encoding,
                                    struct cx_str text, size_t *tokens) CX_MUST_CHECK;

/* ---- Packing -----------------------------------------------------------------------------------
 * Which items go into a budget of tokens. Items are looked at by falling priority, equal ones in
 * the order given.
 *
 * greedy: each goes in if it still fits; a later, smaller one may go in where an earlier did not.
 * knapsack: of all choices that fit the one with the highest sum of priorities (0/1 knapsack by
 * dynamic programming, exact; of equal sums one with the fewest tokens). Items of priority 0 then
 * fill what is left, in order; negative ones would lower the sum and stay out.
 */
enum cx_packing_strategy { CX_PACKING_GREEDY, CX_PACKING_KNAPSACK };
enum cx_packing_reason {
    CX_PACKING_KEPT,
    CX_PACKING_NO_ROOM,
    CX_PACKING_DUPLICATE, /* of an item that is kept (greedy) or looked at earlier (knapsack) */
    CX_PACKING_NO_GAIN    /* knapsack: its priority is negative */
};
const char *cx_packing_reason_name(enum cx_packing_reason reason); /* "kept", "no_room" … */
#define CX_PACKING_ITEMS_MAX 1000
#define CX_PACKING_BUDGET_MAX 1000000
struct cx_packing_item {
    struct cx_str content; /* UTF-8, borrowed */
    double priority;       /* finite */
    /* Written by cx_packing_run: */
    size_t tokens;
    enum cx_packing_reason reason;
    size_t duplicate_of; /* with CX_PACKING_DUPLICATE: index of the other */
};
struct cx_packing {
    enum cx_encoding encoding;
    enum cx_packing_strategy strategy;
    size_t budget;     /* tokens, at most CX_PACKING_BUDGET_MAX; 0 = nothing goes in */
    double similarity; /* 0 = duplicates stay. 1 = an item with the content of another is dropped;
                        * below, one whose similarity to another is at least that: the Jaccard index of
                        * their sets of three words in a row, exact up to 256 of these, estimated from
                        * the 256 smallest hashes beyond (standard error at most 0.03) */
    struct cx_token_cache *cache; /* or NULL */
    struct cx_packing_item *items;
    size_t count; /* at most CX_PACKING_ITEMS_MAX */
    /* Written by cx_packing_run: */
    size_t *order; /* the caller's room for count indices: of the kept items, by falling priority */
    size_t kept;
    size_t total_tokens; /* of the kept items: the sum of their counts */
};
/* Blocking: counting goes at some 100 MB/s, a knapsack takes at most count × budget steps of about a
 * nanosecond. CX_NO_MEMORY alone. Worker. */
enum cx_status cx_packing_run(struct cx_packing *packing, struct cx_err *err) CX_MUST_CHECK;

#endif
