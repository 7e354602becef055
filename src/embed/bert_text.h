/* SPDX-License-Identifier: MIT
 *
 * Text as BERT's tokenizers see it: the normalizer ("BertNormalizer" of the tokenizers library, the
 * reference) as a stream, one code point in, any number out, and the classes by which its
 * pre-tokenizer splits ("BertPreTokenizer"). Exactly as version 0.23.3 of the reference does it, whose
 * tables are of several versions of Unicode (bert_table.c).
 *
 * Threads: one at a time a normalizer; the classes any.
 */
#ifndef CORTEX_EMBED_BERT_TEXT_H
#define CORTEX_EMBED_BERT_TEXT_H

#include "cortex/base.h"

enum {                         /* of a character */
       EMBED__REMOVED = 1,     /* by the clean-up: control characters and the like */
       EMBED__CLEANED = 2,     /* becomes a space by the clean-up */
       EMBED__SPACE = 4,       /* separates words */
       EMBED__PUNCTUATION = 8, /* is a word of its own */
       EMBED__IDEOGRAPH = 16,  /* gets a space on both sides */
       EMBED__MARK = 32,       /* an accent, which may be stripped */
       EMBED__COMBINES = 64,   /* has a combining class: accents are sorted by it */
       EMBED__WHOLE = 128,     /* decomposes, but not here */
};
unsigned embed__class_beyond_ascii(uint32_t code);
extern const uint8_t embed__ascii_classes[128];
static inline unsigned embed__class_of(uint32_t code)
{
    return code < 128 ? embed__ascii_classes[code] : embed__class_beyond_ascii(code);
}

struct embed__class {
    uint32_t first;
    uint32_t last;
    uint32_t flags;
};
#define EMBED__CLASS_COUNT 548
extern const struct embed__class embed__classes[EMBED__CLASS_COUNT]; /* ascending */
struct embed__letter {
    uint32_t upper;
    uint32_t lower;
};
#define EMBED__LETTER_COUNT 65
extern const struct embed__letter embed__letters[EMBED__LETTER_COUNT]; /* new ones; ascending */

struct embed__normalizer_options {
    bool clean;
    bool space_ideographs;
    bool strip_accents;
    bool lowercase;
};
/* The lower case of a code point, one or two of them. */
size_t embed__lower(uint32_t code, uint32_t out[2]);

typedef void (*embed__emit_fn)(void *ctx, uint32_t code);
struct embed__waiting {
    uint32_t code;
    uint32_t class;
};
struct embed__normalizer { /* owner: who declared it; options, emit and ctx are set before use */
    struct embed__normalizer_options options;
    embed__emit_fn emit;
    void *ctx;
    struct embed__waiting *waiting; /* combining characters since the last starter */
    size_t count;
    size_t room;
    bool failed; /* no memory: something was left out */
};
void embed__normalize(struct embed__normalizer *n, uint32_t code);
/* The text ends: what waits goes out. */
void embed__normalize_end(struct embed__normalizer *n);
void embed__normalizer_free(struct embed__normalizer *n);

#endif
