/* SPDX-License-Identifier: MIT
 *
 * Words of a text (words.h). Small tables instead of a Unicode library: what they leave out stays as
 * it is written, so two spellings of a rare letter are two features, and no text is refused.
 */
#include "words.h"

#include <string.h>

enum { SEPARATOR = 0, DROPPED = 1 };

static uint32_t next_code_point(struct embed__words *w);
static uint32_t fold(uint32_t c);
static bool is_separator(uint32_t c);
static bool is_unspaced(uint32_t c);
static size_t encode(uint32_t c, char out[4]);
static bool append(struct embed__words *w, uint32_t c);

/* U+00C0 to U+017F without their accents; two letters where the letter stands for two, '\0' for a
 * separator. */
static const char LATIN[][3] = {
    "a", "a", "a",  "a",  "a", "a", "ae", "c", "e", "e", "e", "e", "i", "i", "i",  "i",  /* C0 */
    "d", "n", "o",  "o",  "o", "o", "o",  "",  "o", "u", "u", "u", "u", "y", "th", "ss", /* D0 */
    "a", "a", "a",  "a",  "a", "a", "ae", "c", "e", "e", "e", "e", "i", "i", "i",  "i",  /* E0 */
    "d", "n", "o",  "o",  "o", "o", "o",  "",  "o", "u", "u", "u", "u", "y", "th", "y",  /* F0 */
    "a", "a", "a",  "a",  "a", "a", "c",  "c", "c", "c", "c", "c", "c", "c", "d",  "d",  /* 100 */
    "d", "d", "e",  "e",  "e", "e", "e",  "e", "e", "e", "e", "e", "g", "g", "g",  "g",  /* 110 */
    "g", "g", "g",  "g",  "h", "h", "h",  "h", "i", "i", "i", "i", "i", "i", "i",  "i",  /* 120 */
    "i", "i", "ij", "ij", "j", "j", "k",  "k", "k", "l", "l", "l", "l", "l", "l",  "l",  /* 130 */
    "l", "l", "l",  "n",  "n", "n", "n",  "n", "n", "n", "n", "n", "o", "o", "o",  "o",  /* 140 */
    "o", "o", "oe", "oe", "r", "r", "r",  "r", "r", "r", "s", "s", "s", "s", "s",  "s",  /* 150 */
    "s", "s", "t",  "t",  "t", "t", "t",  "t", "u", "u", "u", "u", "u", "u", "u",  "u",  /* 160 */
    "u", "u", "u",  "u",  "w", "w", "y",  "y", "y", "z", "z", "z", "z", "z", "z",  "s",  /* 170 */
};
_Static_assert(CX_ARRAY_LEN(LATIN) == 0x180 - 0xC0, "one row a letter");

void embed__words_init(struct embed__words *w, struct cx_str text)
{
    w->at = (const unsigned char *)text.p;
    w->end = w->at + text.len;
    w->len = 0;
    w->unspaced = false;
}

bool embed__words_next(struct embed__words *w)
{
    w->len = 0;
    while (w->at < w->end) {
        /* Most bytes of most texts are plain ASCII: they take the short way. */
        const unsigned char byte = *w->at;
        const unsigned char lower = byte >= 'A' && byte <= 'Z' ? byte + 32 : byte;
        if ((lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9')) {
            if (w->len == EMBED__WORD_BYTES || (w->len > 0 && w->unspaced)) {
                return true;
            }
            w->word[w->len++] = (char)lower;
            w->unspaced = false;
            w->at++;
            continue;
        }
        const unsigned char *before = w->at;
        const uint32_t c = byte < 0x80 ? SEPARATOR : fold(next_code_point(w));
        if (c == SEPARATOR) {
            w->at += w->at == before ? 1 : 0;
            if (w->len > 0) {
                return true;
            }
        } else if (c != DROPPED && !append(w, c)) {
            w->at = before;
            return true;
        }
    }
    return w->len > 0;
}

/* The code point at w->at, which moves behind it; SEPARATOR where the bytes are no UTF-8. */
static uint32_t next_code_point(struct embed__words *w)
{
    const unsigned char *p = w->at;
    const size_t left = (size_t)(w->end - p);
    const size_t len = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : p[0] >= 0xC2 ? 2 : 1;
    if (len == 1 || len > left || p[0] > 0xF4) {
        w->at++;
        return SEPARATOR;
    }
    uint32_t c = p[0] & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            w->at++;
            return SEPARATOR;
        }
        c = c << 6 | (p[i] & 0x3Fu);
    }
    w->at += len;
    return c;
}

static uint32_t fold(uint32_t c)
{
    if (c >= 0xFF01 && c <= 0xFF5E) { /* full-width ASCII */
        c -= 0xFEE0;
        const bool upper = c >= 'A' && c <= 'Z';
        const bool word = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        return !word ? SEPARATOR : upper ? c + 32 : c;
    }
    if (is_separator(c)) {
        return SEPARATOR;
    }
    if ((c >= 0x300 && c <= 0x36F) || c == 0xAD || (c >= 0xFE00 && c <= 0xFE0F)) {
        return DROPPED; /* combining marks, soft hyphen, variation selectors */
    }
    const bool greek = c >= 0x391 && c <= 0x3A9;
    const bool cyrillic = c >= 0x410 && c <= 0x42F;
    if (greek || cyrillic) {
        return c + 32;
    }
    return c >= 0x400 && c <= 0x40F ? c + 80 : c;
}

static bool is_separator(uint32_t c)
{
    if (c < 0xC0) {
        return c != 0xAA && c != 0xB5 && c != 0xBA && c != 0xAD;
    }
    return c == 0xD7 || c == 0xF7 || (c >= 0x2000 && c <= 0x206F) || (c >= 0x2190 && c <= 0x23FF) ||
           (c >= 0x2500 && c <= 0x257F) || (c >= 0x3000 && c <= 0x3004) ||
           (c >= 0x3008 && c <= 0x3020) || c == 0x30FB || (c >= 0xD800 && c <= 0xF8FF) ||
           (c >= 0xFF5F && c <= 0xFF65) || (c >= 0xFFF0 && c <= 0xFFFF);
}

static bool is_unspaced(uint32_t c)
{
    return (c >= 0x2E80 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
           (c >= 0x20000 && c <= 0x3FFFF);
}

/* False when the word is full, or its script changes: the code point begins the next one. */
static bool append(struct embed__words *w, uint32_t c)
{
    char bytes[4];
    size_t len = 0;
    if (c >= 0xC0 && c < 0x180) {
        const char *letters = LATIN[c - 0xC0];
        len = strlen(letters);
        memcpy(bytes, letters, len);
    } else {
        len = encode(c, bytes);
    }
    const bool unspaced = is_unspaced(c);
    if (w->len + len > EMBED__WORD_BYTES || (w->len > 0 && unspaced != w->unspaced)) {
        return false;
    }
    w->unspaced = unspaced;
    memcpy(w->word + w->len, bytes, len);
    w->len += len;
    return true;
}

static size_t encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}
