/* SPDX-License-Identifier: MIT
 *
 * The normalizer and the classes (bert_text.h).
 *
 * Decomposition puts combining characters in the order of their classes (UAX #15), which looks across
 * everything up to the next starter. Accents that are stripped afterwards anyway need not wait for
 * that: what is left is sorted the same, so that a million accents in a row cost nothing.
 */
#include "bert_text.h"

#include <stdlib.h>

#define CLASSES 256
#define FEW 16 /* that insertion sorts faster */

static void decompose(struct embed__normalizer *n, uint32_t code);
static void order(struct embed__normalizer *n, uint32_t code);
static void wait_for_starter(struct embed__normalizer *n, uint32_t code, unsigned class);
static void flush(struct embed__normalizer *n);
static void sort_few(struct embed__waiting *items, size_t count);
static void sort_many(struct embed__normalizer *n);
static void finish(struct embed__normalizer *n, uint32_t code);

unsigned embed__class_beyond_ascii(uint32_t code)
{
    size_t low = 0;
    size_t high = EMBED__CLASS_COUNT;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (embed__classes[middle].last < code) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < EMBED__CLASS_COUNT && embed__classes[low].first <= code ? embed__classes[low].flags
                                                                         : 0;
}

size_t embed__lower(uint32_t code, uint32_t out[2])
{
    if (code == 0x130) { /* I with a dot: the only one whose lower case is two */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    out[0] = cx_unicode_lower(code);
    if (out[0] == code && code >= embed__letters[0].upper) {
        for (size_t i = 0; i < EMBED__LETTER_COUNT && embed__letters[i].upper <= code; i++) {
            if (embed__letters[i].upper == code) {
                out[0] = embed__letters[i].lower;
            }
        }
    }
    return 1;
}

void embed__normalize(struct embed__normalizer *n, uint32_t code)
{
    const struct embed__normalizer_options *o = &n->options;
    const unsigned flags = embed__class_of(code);
    if (o->clean && (flags & EMBED__REMOVED) != 0) {
        return;
    }
    if (o->clean && (flags & EMBED__CLEANED) != 0) {
        code = ' ';
    }
    const bool spaced = o->space_ideographs && (flags & EMBED__IDEOGRAPH) != 0;
    if (spaced) {
        order(n, ' ');
    }
    if (o->strip_accents && code >= 0x80) {
        decompose(n, code);
    } else {
        order(n, code);
    }
    if (spaced) {
        order(n, ' ');
    }
}

void embed__normalize_end(struct embed__normalizer *n)
{
    flush(n);
}

void embed__normalizer_free(struct embed__normalizer *n)
{
    free(n->waiting);
    n->waiting = NULL;
    n->room = 0;
}

static void decompose(struct embed__normalizer *n, uint32_t code)
{
    uint32_t parts[CX_DECOMPOSED_MAX] = { code };
    size_t count = 1;
    if ((embed__class_of(code) & EMBED__WHOLE) == 0) {
        count = cx_unicode_decompose(code, parts);
    }
    for (size_t i = 0; i < count; i++) {
        order(n, parts[i]);
    }
}

static void order(struct embed__normalizer *n, uint32_t code)
{
    if (code < 0x80 || !n->options.strip_accents) {
        flush(n);
        finish(n, code);
        return;
    }
    const unsigned flags = embed__class_of(code);
    const unsigned class =
        (flags & EMBED__COMBINES) != 0 ? cx_unicode_combining_class(code) % CLASSES : 0;
    if (class == 0) {
        flush(n);
    }
    if ((flags & EMBED__MARK) != 0) {
        return;
    }
    if (class == 0) {
        finish(n, code);
    } else {
        wait_for_starter(n, code, class);
    }
}

static void wait_for_starter(struct embed__normalizer *n, uint32_t code, unsigned class)
{
    if (n->count == n->room) {
        const size_t room = n->room > 0 ? n->room * 2 : 32;
        struct embed__waiting *more = realloc(n->waiting, room * sizeof *more);
        if (more == NULL) {
            n->failed = true;
            return;
        }
        n->waiting = more;
        n->room = room;
    }
    n->waiting[n->count++] = (struct embed__waiting){ code, class };
}

static void flush(struct embed__normalizer *n)
{
    if (n->count == 0) {
        return;
    }
    if (n->count <= FEW) {
        sort_few(n->waiting, n->count);
    } else {
        sort_many(n);
    }
    for (size_t i = 0; i < n->count; i++) {
        finish(n, n->waiting[i].code);
    }
    n->count = 0;
}

static void sort_few(struct embed__waiting *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct embed__waiting item = items[i];
        size_t at = i;
        for (; at > 0 && items[at - 1].class > item.class; at--) {
            items[at] = items[at - 1];
        }
        items[at] = item;
    }
}

/* Stable as well: each class gets its stretch of a copy. */
static void sort_many(struct embed__normalizer *n)
{
    struct embed__waiting *sorted = malloc(n->count * sizeof *sorted);
    if (sorted == NULL) {
        n->failed = true;
        return;
    }
    size_t start[CLASSES + 1] = { 0 };
    for (size_t i = 0; i < n->count; i++) {
        start[n->waiting[i].class + 1]++;
    }
    for (size_t class = 0; class < CLASSES; class ++) {
        start[class + 1] += start[class];
    }
    for (size_t i = 0; i < n->count; i++) {
        sorted[start[n->waiting[i].class]++] = n->waiting[i];
    }
    free(n->waiting);
    n->waiting = sorted;
    n->room = n->count;
}

static void finish(struct embed__normalizer *n, uint32_t code)
{
    if (!n->options.lowercase) {
        n->emit(n->ctx, code);
    } else if (code < 0x80) {
        n->emit(n->ctx, code >= 'A' && code <= 'Z' ? code + ('a' - 'A') : code);
    } else {
        uint32_t lower[2];
        const size_t count = embed__lower(code, lower);
        for (size_t i = 0; i < count; i++) {
            n->emit(n->ctx, lower[i]);
        }
    }
}
