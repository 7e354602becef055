/* SPDX-License-Identifier: MIT
 *
 * postings: the keyword index in memory, as far as it has been asked for. FTS5's bm25() looks every
 * match's length up in a table and walks through every word twice; here both are arrays. The list of
 * a word is read from FTS5 when a query first wants it, is kept up to date from then on, and goes
 * again when memory is short. Scores are FTS5's own, to the last bit or so: the same tokenizer, the
 * same formula, summed in the same order.
 *
 * A posting counts while its epoch is that of its slot, which changes with the slot's text: a text that
 * goes costs nothing, and a list may hold postings of texts that are gone, or twice the same.
 *
 * Part of the index and under its lock, but for `bytes`, `clock` and a list's `used` and `worn`.
 */
#ifndef CORTEX_VECTOR_POSTINGS_H
#define CORTEX_VECTOR_POSTINGS_H

#include <stdatomic.h>

#include "cortex/base.h"

#define VECTOR__TIMES_MAX UINT16_MAX

struct vector__posting {
    uint32_t slot;
    uint16_t epoch;
    uint16_t times; /* the word stands in the text */
};
/* The postings of one term. */
struct vector__list {
    struct vector__list *next; /* of its bucket */
    uint64_t hash;
    struct vector__posting *items;
    size_t count;
    size_t cap;
    atomic_uint_least64_t used; /* the clock when it was last wanted */
    atomic_bool worn;           /* many of its postings are of texts that are gone: read it again */
    size_t term_len;
    char term[];
};
struct vector__postings {
    uint8_t key[16];
    struct vector__list **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t list_count;
    bool off;         /* FTS5 does not agree with the documents: it is asked itself */
    uint64_t version; /* changes with every text: what was read before is not up to date */
    atomic_size_t bytes;
    atomic_size_t *total; /* of all indexes together; NULL = nobody asks */
    atomic_uint_least64_t clock;
};

/* The words of one text, each once. Owner: who has made it. */
struct vector__word {
    uint64_t hash;
    uint32_t at; /* in text */
    uint32_t len;
    uint32_t times;
};
struct vector__words {
    struct vector__word *items;
    size_t count;
    size_t cap;
    uint32_t *places; /* open addressing: place in items + 1 */
    size_t place_count;
    struct cx_buf text;
    uint32_t length; /* words of the text, with all their repetitions */
    bool failed;     /* the text is too long */
};

void vector__postings_init(struct vector__postings *p);
void vector__postings_free(struct vector__postings *p); /* may be used again */
uint64_t vector__postings_hash(const struct vector__postings *p, struct cx_str term);
struct vector__list *vector__postings_find(const struct vector__postings *p, uint64_t hash,
                                           struct cx_str term);
/* Takes the list over, in place of one of the same term. */
void vector__postings_insert(struct vector__postings *p, struct vector__list *list);
/* The text of a slot in this epoch, to the lists that are there. */
void vector__postings_add(struct vector__postings *p, const struct vector__words *words,
                          uint32_t slot, uint16_t epoch);
/* Lets go of those that were not wanted for longest until the rest fits, but of none that was wanted
 * at this time or after it. */
void vector__postings_fit(struct vector__postings *p, size_t bytes_max, uint64_t time);
void vector__postings_clear(struct vector__postings *p);

struct vector__list *vector__list_new(uint64_t hash, struct cx_str term);
void vector__list_reserve(struct vector__list *list, size_t count);
size_t vector__list_bytes(const struct vector__list *list);
void vector__list_append(struct vector__list *list, struct vector__posting posting);
void vector__list_free(struct vector__list *list);

/* For cx_db_terms: ctx is a struct vector__words_maker. */
struct vector__words_maker {
    const struct vector__postings *postings;
    struct vector__words *words;
};
void vector__words_init(struct vector__words *words);
void vector__words_on_term(void *ctx, struct cx_str term);
void vector__words_done(struct vector__words *words); /* no more terms come: less memory */
void vector__words_free(struct vector__words *words);

#endif
