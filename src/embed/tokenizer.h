/* SPDX-License-Identifier: MIT
 *
 * From text to token ids: WordPiece with BERT's normalizer and pre-tokenizer, as the tokenizers
 * library 0.23.3 (the reference) does it, from a model's own tokenizer.json, or from vocab.txt with
 * tokenizer_config.json as its predecessors did. Time linear in the text, and a text that is longer
 * than the model takes is read only as far as it is used.
 *
 * Threads: a tokenizer is never written after it was made, any thread may use it; what encode works
 * in (embed__tokens) belongs to one at a time.
 */
#ifndef CORTEX_EMBED_TOKENIZER_H
#define CORTEX_EMBED_TOKENIZER_H

#include "added_tokens.h"
#include "bert_text.h"

#define EMBED__SPECIALS_MAX 16 /* around a text, on one side */

struct embed__tokenizer { /* owner: who got it from a loader */
    struct embed__normalizer_options normalizer;
    bool lower_first; /* all of the text, added tokens too, before anything else */
    struct embed__trie words;
    uint32_t inside; /* the node of "##", where a word's later pieces begin … */
    bool has_inside; /* … if any piece does */
    int32_t unknown;
    size_t word_chars_max;                /* a longer word is unknown */
    struct embed__added added;            /* looked for in the text as it came */
    struct embed__added added_normalized; /* in the normalized text */
    int32_t before[EMBED__SPECIALS_MAX];
    int32_t after[EMBED__SPECIALS_MAX];
    size_t before_count;
    size_t after_count;
    size_t tokens_max; /* of a text, specials included; whoever loads may lower it */
    int32_t id_max;    /* the highest there is */
    uint8_t fingerprint[32];
};
void embed__tokenizer_free(struct embed__tokenizer **tokenizer);
size_t embed__tokenizer_bytes(const struct embed__tokenizer *tokenizer);

struct embed__tokens { /* owner: who declared it; zeroed is empty. ids grows by encode */
    int32_t *ids;
    size_t count;
    size_t room;
    char *word; /* the rest is encode's own */
    size_t word_room;
    struct embed__normalizer normalizer;
    struct cx_buf normalized;
    struct cx_buf lowered;
};
void embed__tokens_free(struct embed__tokens *tokens);

/* Appends the ids of a text (valid UTF-8), specials around it, at most tokens_max in all. truncated:
 * there would have been more. NO_MEMORY: what was appended is taken back. */
enum cx_status embed__tokenizer_encode(const struct embed__tokenizer *tokenizer, struct cx_str text,
                                       struct embed__tokens *tokens, bool *truncated) CX_MUST_CHECK;

/* ---- tokenizer_load.c; blocking ----
 * INVALID says what is wrong, or what it is that is not supported, and names the file. */

/* tokenizer.json's text. */
enum cx_status embed__tokenizer_parse(struct cx_str json, const char *file,
                                      struct embed__tokenizer **out,
                                      struct cx_err *err) CX_MUST_CHECK;
/* vocab.txt's and tokenizer_config.json's; config.p NULL = there is none. */
enum cx_status embed__tokenizer_parse_vocab(struct cx_str vocab, const char *file,
                                            struct cx_str config, const char *config_file,
                                            struct embed__tokenizer **out,
                                            struct cx_err *err) CX_MUST_CHECK;

#endif
