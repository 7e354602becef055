/* SPDX-License-Identifier: MIT
 *
 * Characters by the classes that the split rules know, as the Rust regex crate has them in
 * tiktoken 0.14: Unicode 16.0.
 */
#ifndef CONTEXT_UNICODE_CLASS_H
#define CONTEXT_UNICODE_CLASS_H

#include <stddef.h>
#include <stdint.h>

enum unicode_class {
    CLASS_OTHER,
    CLASS_SPACE,    /* White_Space but for … */
    CLASS_NEWLINE,  /* … \r and \n */
    CLASS_NUMBER,   /* N */
    CLASS_MARK,     /* M */
    CLASS_UPPER,    /* Lu Lt */
    CLASS_LOWER,    /* Ll */
    CLASS_CASELESS, /* Lm Lo */
};
#define CLASS_BIT(class) (1u << (class))
#define CLASSES_LETTER (CLASS_BIT(CLASS_UPPER) | CLASS_BIT(CLASS_LOWER) | CLASS_BIT(CLASS_CASELESS))
#define CLASSES_SPACE (CLASS_BIT(CLASS_SPACE) | CLASS_BIT(CLASS_NEWLINE))

#define UNICODE_BLOCK 128
#define UNICODE_BLOCK_COUNT 230
#define UNICODE_INDEX_COUNT 7173 /* everything above is CLASS_OTHER */
extern const uint8_t context__unicode_index[UNICODE_INDEX_COUNT];
extern const uint8_t context__unicode_blocks[UNICODE_BLOCK_COUNT][UNICODE_BLOCK / 2];

/* A character of a text. */
struct unit {
    unsigned bit; /* CLASS_BIT of its class */
    unsigned len; /* bytes, at least 1 */
};

/* The character at p, of which len > 0 bytes can be read; a byte that begins no valid UTF-8 is one
 * of its own, CLASS_OTHER. */
struct unit context__unit_beyond_ascii(const unsigned char *p, size_t len);

extern const uint8_t context__ascii_bits[128];

static inline struct unit unit_at(const unsigned char *p, size_t len)
{
    if (p[0] < 0x80) {
        return (struct unit){ context__ascii_bits[p[0]], 1 };
    }
    return context__unit_beyond_ascii(p, len);
}

#endif
