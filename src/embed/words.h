/* SPDX-License-Identifier: MIT
 *
 * words: text → words, folded so that what a reader takes for the same word is the same bytes:
 * lower case (Latin, Greek, Cyrillic), Latin accents taken off, full-width forms narrowed, combining
 * marks dropped. A word is a run of letters and digits of any script. Bytes that are no UTF-8
 * separate words.
 *
 * Threads: any.
 */
#ifndef CORTEX_EMBED_WORDS_H
#define CORTEX_EMBED_WORDS_H

#include "cortex/base.h"

#define EMBED__WORD_BYTES 64 /* a longer run is cut into several words */

struct embed__words {
    const unsigned char *at;
    const unsigned char *end;
    size_t len;
    bool unspaced; /* the word is of a script written without spaces (Han, kana) */
    char word[EMBED__WORD_BYTES];
};

void embed__words_init(struct embed__words *w, struct cx_str text);
/* The next word into w->word, w->len (1 or more bytes, no NUL). False at the end. */
bool embed__words_next(struct embed__words *w);

#endif
