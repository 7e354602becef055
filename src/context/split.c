/* SPDX-License-Identifier: MIT
 *
 * The patterns of tiktoken/openai_public.py, written out by hand. Each function below is one of
 * their alternatives, asked in their order; what a regular expression would find by going back is
 * remembered on the way. Every character is looked at a bounded number of times.
 */
#include "split.h"

#include <stdbool.h>

#include "unicode_class.h"
#include "vocabulary.h"

#define BITS_NUMBER CLASS_BIT(CLASS_NUMBER)
#define BITS_PUNCTUATION (CLASS_BIT(CLASS_OTHER) | CLASS_BIT(CLASS_MARK))
/* [\p{Lm}\p{Lo}\p{M}], which o200k_base takes for upper and for lower case … */
#define BITS_EITHER (CLASS_BIT(CLASS_CASELESS) | CLASS_BIT(CLASS_MARK))
/* … [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and [\p{Ll}\p{Lm}\p{Lo}\p{M}]. */
#define BITS_UPPER (CLASS_BIT(CLASS_UPPER) | BITS_EITHER)
#define BITS_LOWER (CLASS_BIT(CLASS_LOWER) | BITS_EITHER)

/* The bit that makes an ASCII letter a small one. */
#define FOLD 0x20

/* The white space that a text begins with. */
struct space {
    size_t len;
    size_t last;    /* where its last character begins */
    size_t newline; /* where its last \r or \n ends; 0 = none */
};

static size_t contraction(const unsigned char *text, size_t len);
static size_t cased_word(const unsigned char *text, size_t len, struct unit first);
static size_t numbers(const unsigned char *text, size_t len, struct unit first);
static size_t punctuation(const unsigned char *text, size_t len, size_t at, bool slashes);
static struct space space_at(const unsigned char *text, size_t len);
static size_t space_before_word(struct space space);
static size_t letters_end(const unsigned char *text, size_t len, size_t at, unsigned fold,
                          unsigned bits);
static size_t run_end(const unsigned char *text, size_t len, size_t at, unsigned bits);
static inline size_t ascii_letters(const unsigned char *text, size_t len, unsigned fold);

/* '(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+
 * |\s++$|\s*[\r\n]|\s+(?!\S)|\s */
size_t context__split_cl100k(const unsigned char *text, size_t len)
{
    const struct unit first = unit_at(text, len);
    if ((first.bit & CLASSES_LETTER) != 0) {
        return letters_end(text, len, first.len, FOLD, CLASSES_LETTER);
    }
    if (text[0] == '\'') {
        const size_t end = contraction(text, len);
        if (end > 0) {
            return end;
        }
    }
    if (first.bit == BITS_NUMBER) {
        return numbers(text, len, first);
    }
    struct unit second = { 0, 0 };
    if (first.len < len) {
        second = unit_at(text + first.len, len - first.len);
    }
    if ((second.bit & CLASSES_LETTER) != 0 && first.bit != CLASS_BIT(CLASS_NEWLINE)) {
        return letters_end(text, len, first.len + second.len, FOLD, CLASSES_LETTER);
    }
    if ((first.bit & BITS_PUNCTUATION) != 0) {
        return punctuation(text, len, first.len, false);
    }
    if (text[0] == ' ' && (second.bit & BITS_PUNCTUATION) != 0) {
        return punctuation(text, len, 1 + second.len, false);
    }
    const struct space space = space_at(text, len);
    if (space.len == len) {
        return len;
    }
    return space.newline > 0 ? space.newline : space_before_word(space);
}

/* [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|…|'d)?
 * |[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|…|'d)?
 * |\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
size_t context__split_o200k(const unsigned char *text, size_t len)
{
    const struct unit first = unit_at(text, len);
    if (first.bit == BITS_NUMBER) {
        return numbers(text, len, first);
    }
    size_t end = cased_word(text, len, first);
    if (end > 0) {
        if (end < len && text[end] == '\'') {
            end += contraction(text + end, len - end);
        }
        return end;
    }
    if ((first.bit & BITS_PUNCTUATION) != 0) {
        return punctuation(text, len, first.len, true);
    }
    if (text[0] == ' ' && len > 1) {
        const struct unit second = unit_at(text + 1, len - 1);
        if ((second.bit & BITS_PUNCTUATION) != 0) {
            return punctuation(text, len, 1 + second.len, true);
        }
    }
    const struct space space = space_at(text, len);
    if (space.newline > 0) {
        return space.newline;
    }
    return space.len == len ? len : space_before_word(space);
}

/* Where it ends; 0 = it is none. Case folding makes U+017F an s. */
static size_t contraction(const unsigned char *text, size_t len)
{
    if (len < 2) {
        return 0;
    }
    const unsigned char one = text[1] | 0x20;
    if (one == 's' || one == 'd' || one == 'm' || one == 't') {
        return 2;
    }
    if (len < 3) {
        return 0;
    }
    const unsigned char two = text[2] | 0x20;
    if ((one == 'l' && two == 'l') || ((one == 'v' || one == 'r') && two == 'e') ||
        (text[1] == 0xC5 && text[2] == 0xBF)) {
        return 3;
    }
    return 0;
}

/* A word of o200k_base, without its contraction: upper case and then lower case, both of which may
 * be missing, but not both. 0 = none. */
static size_t cased_word(const unsigned char *text, size_t len, struct unit first)
{
    const bool is_letter = (first.bit & CLASSES_LETTER) != 0;
    if (first.bit == CLASS_BIT(CLASS_NEWLINE)) {
        return 0;
    }
    const size_t start = is_letter ? 0 : first.len;
    size_t at = start;
    size_t either_end = 0;
    struct unit unit = { 0, 0 };
    while (at < len) {
        unit = unit_at(text + at, len - at);
        if ((unit.bit & BITS_UPPER) == 0) {
            break;
        }
        at += unit.len;
        if ((unit.bit & BITS_EITHER) != 0) {
            either_end = at;
        }
    }
    if (at < len && unit.bit == CLASS_BIT(CLASS_LOWER)) {
        return letters_end(text, len, at + unit.len, 0, BITS_LOWER);
    }
    /* No lower case follows: the last that can pass for it is the whole of the lower part. */
    if (either_end > 0) {
        return either_end;
    }
    /* What stands in front of a word may be a mark, and is then a word itself, before the second
     * alternative is asked. */
    if (first.bit == CLASS_BIT(CLASS_MARK)) {
        return first.len;
    }
    return at > start ? at : 0;
}

static size_t numbers(const unsigned char *text, size_t len, struct unit first)
{
    size_t at = first.len;
    for (int count = 1; count < 3 && at < len; count++) {
        const struct unit unit = unit_at(text + at, len - at);
        if (unit.bit != BITS_NUMBER) {
            break;
        }
        at += unit.len;
    }
    return at;
}

static size_t punctuation(const unsigned char *text, size_t len, size_t at, bool slashes)
{
    at = run_end(text, len, at, BITS_PUNCTUATION);
    while (at < len && (text[at] == '\r' || text[at] == '\n' || (slashes && text[at] == '/'))) {
        at++;
    }
    return at;
}

static struct space space_at(const unsigned char *text, size_t len)
{
    struct space space = { 0, 0, 0 };
    while (space.len < len) {
        const struct unit unit = unit_at(text + space.len, len - space.len);
        if ((unit.bit & CLASSES_SPACE) == 0) {
            break;
        }
        space.last = space.len;
        space.len += unit.len;
        if (unit.bit == CLASS_BIT(CLASS_NEWLINE)) {
            space.newline = space.len;
        }
    }
    return space;
}

/* \s+(?!\S)|\s where something follows: the last character is left to that. */
static size_t space_before_word(struct space space)
{
    return space.last > 0 ? space.last : space.len;
}

/* fold: FOLD for ASCII letters of both cases, 0 for the small ones; bits: what else is a letter. */
static size_t letters_end(const unsigned char *text, size_t len, size_t at, unsigned fold,
                          unsigned bits)
{
    while (at < len) {
        at += ascii_letters(text + at, len - at, fold);
        if (at == len || text[at] < 0x80) {
            break;
        }
        const struct unit unit = context__unit_beyond_ascii(text + at, len - at);
        if ((unit.bit & bits) == 0) {
            break;
        }
        at += unit.len;
    }
    return at;
}

static size_t run_end(const unsigned char *text, size_t len, size_t at, unsigned bits)
{
    while (at < len) {
        const struct unit unit = unit_at(text + at, len - at);
        if ((unit.bit & bits) == 0) {
            break;
        }
        at += unit.len;
    }
    return at;
}

/* How many ASCII letters text begins with, eight at a time; with a fold of 0 only small ones. */
static inline size_t ascii_letters(const unsigned char *text, size_t len, unsigned fold)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t high = ones * 0x80;
    size_t at = 0;
    while (len - at >= 8) {
        const uint64_t word = little64(text + at);
        const uint64_t folded = (word | ones * fold) & ~high;
        const uint64_t from_a = folded + ones * (0x80 - 'a');
        const uint64_t beyond_z = folded + ones * (0x7F - 'z');
        const uint64_t others = ~(from_a & ~beyond_z & ~word) & high;
        if (others != 0) {
            return at + (size_t)__builtin_ctzll(others) / 8;
        }
        at += 8;
    }
    while (at < len && (text[at] | fold) >= 'a' && (text[at] | fold) <= 'z') {
        at++;
    }
    return at;
}
