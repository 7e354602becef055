/* SPDX-License-Identifier: MIT
 *
 * The builtin features (bag.h). Counting comes first, so that stemming, weighing and hashing
 * are paid once for each distinct word. Bounded by EMBED__TEXT_BYTES: at most half as many words.
 */
#include "bag.h"

#include <libstemmer.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/embed.h"
#include "hash.h"
#include "idf_table.h"
#include "words.h"

#define DIMENSION CX_EMBED_BUILTIN_DIMENSION
/* Chosen on two public collections, and flat around there: idf to the power of 0.8, and grams of n to
 * a word 2.5 / n^0.25 times as heavy as its stem. */
#define IDF_POWER 0.8F
#define GRAM_SHARE 2.5F
#define FEATURE_SALT 4 /* no salt is better than another but for luck */
#define GRAM_LETTERS 4
#define GRAM_LETTERS_UNSPACED 2

struct word {
    uint64_t hash;  /* of the word, or of the stem in the second table */
    uint32_t count; /* 0 = empty */
    uint32_t text;  /* where its bytes begin */
    uint8_t len;
    bool unspaced;
};
struct table {
    struct word *slots;
    size_t capacity; /* a power of two */
    size_t used;
};
struct embed__bag {
    struct sb_stemmer *stemmer;
    struct table words;
    struct table stems;
    char *bytes; /* of the distinct words */
    size_t bytes_len;
    size_t bytes_cap;
};

static void table_init(struct table *t, size_t capacity);
static void table_clear(struct table *t);
static struct word *table_find(struct table *t, uint64_t hash);
static void count_words(struct embed__bag *bag, struct cx_str text);
static void add_word(struct embed__bag *bag, const struct word *word, float *vector);
static void add_grams(const struct embed__bag *bag, const struct word *word, float weight,
                      float *vector);
static void add_feature(uint64_t hash, float weight, float *vector);
static float idf_of(uint64_t stem_hash);
static void make_length_one(float *vector);

void embed__bag_new(struct embed__bag **out)
{
    struct embed__bag *bag = cx_alloc(sizeof *bag);
    bag->stemmer = sb_stemmer_new("porter", "UTF_8");
    CX_CHECK(bag->stemmer != NULL);
    table_init(&bag->words, 256);
    table_init(&bag->stems, 256);
    *out = bag;
}

void embed__bag_free(struct embed__bag **bag)
{
    if (*bag != NULL) {
        sb_stemmer_delete((*bag)->stemmer);
        free((*bag)->words.slots);
        free((*bag)->stems.slots);
        free((*bag)->bytes);
        free(*bag);
        *bag = NULL;
    }
}

bool embed__bag_vector(struct embed__bag *bag, struct cx_str text, float *vector)
{
    const bool cut = text.len > EMBED__TEXT_BYTES;
    if (cut) {
        text.len = cx_utf8_cut(text, EMBED__TEXT_BYTES);
    }
    memset(vector, 0, DIMENSION * sizeof *vector);
    table_clear(&bag->words);
    table_clear(&bag->stems);
    bag->bytes_len = 0;
    count_words(bag, text);
    for (size_t i = 0; i < bag->words.capacity; i++) {
        if (bag->words.slots[i].count > 0) {
            add_word(bag, &bag->words.slots[i], vector);
        }
    }
    for (size_t i = 0; i < bag->stems.capacity; i++) {
        const struct word *stem = &bag->stems.slots[i];
        if (stem->count > 0) {
            add_feature(stem->hash, (1.0F + logf((float)stem->count)) * idf_of(stem->hash), vector);
        }
    }
    make_length_one(vector);
    return cut;
}

void cx_embed_builtin_text(struct cx_str text, float *vector)
{
    struct embed__bag *bag = NULL;
    embed__bag_new(&bag);
    (void)embed__bag_vector(bag, text, vector);
    embed__bag_free(&bag);
}

static void count_words(struct embed__bag *bag, struct cx_str text)
{
    struct embed__words w;
    embed__words_init(&w, text);
    while (embed__words_next(&w)) {
        const uint64_t hash = embed__hash_bytes(EMBED__HASH_STEM, w.word, w.len);
        struct word *word = table_find(&bag->words, hash);
        word->count++;
        if (word->count > 1) {
            continue;
        }
        if (bag->bytes_len + w.len > bag->bytes_cap) {
            bag->bytes_cap = bag->bytes_cap == 0 ? 2048 : bag->bytes_cap * 2;
            bag->bytes = cx_realloc_array(bag->bytes, bag->bytes_cap, 1);
        }
        memcpy(bag->bytes + bag->bytes_len, w.word, w.len);
        word->text = (uint32_t)bag->bytes_len;
        word->len = (uint8_t)w.len;
        word->unspaced = w.unspaced;
        bag->bytes_len += w.len;
    }
}

static void add_word(struct embed__bag *bag, const struct word *word, float *vector)
{
    const char *bytes = bag->bytes + word->text;
    const sb_symbol *stem = sb_stemmer_stem(bag->stemmer, (const sb_symbol *)bytes, word->len);
    CX_CHECK(stem != NULL);
    const uint64_t hash = embed__hash_bytes(EMBED__HASH_STEM, (const char *)stem,
                                            (size_t)sb_stemmer_length(bag->stemmer));
    table_find(&bag->stems, hash)->count += word->count;
    add_grams(bag, word, (1.0F + logf((float)word->count)) * idf_of(hash), vector);
}

/* The word between two marks, cut into overlapping grams of whole letters. */
static void add_grams(const struct embed__bag *bag, const struct word *word, float weight,
                      float *vector)
{
    char marked[EMBED__WORD_BYTES + 2];
    marked[0] = '^';
    memcpy(marked + 1, bag->bytes + word->text, word->len);
    marked[word->len + 1] = '$';
    const size_t len = (size_t)word->len + 2;
    uint8_t starts[EMBED__WORD_BYTES + 3];
    size_t letters = 0;
    for (size_t i = 0; i < len; i++) {
        if (((unsigned char)marked[i] & 0xC0) != 0x80) {
            starts[letters++] = (uint8_t)i;
        }
    }
    starts[letters] = (uint8_t)len;
    const size_t size = word->unspaced ? GRAM_LETTERS_UNSPACED : GRAM_LETTERS;
    const size_t grams = letters > size ? letters - size + 1 : 1;
    const float each = GRAM_SHARE * weight / sqrtf(sqrtf((float)grams));
    for (size_t i = 0; i < grams; i++) {
        const size_t last = i + size < letters ? i + size : letters;
        const size_t bytes = (size_t)(starts[last] - starts[i]);
        add_feature(embed__hash_bytes(EMBED__HASH_GRAM, marked + starts[i], bytes), each, vector);
    }
}

/* Bucket and sign come from bits of a hash that do not depend on each other. */
static void add_feature(uint64_t hash, float weight, float *vector)
{
    hash = embed__hash_mix((hash ^ FEATURE_SALT) * EMBED__HASH_FACTOR);
    const size_t bucket = (size_t)(((hash >> 32) * DIMENSION) >> 32);
    vector[bucket] += (hash & 1) != 0 ? weight : -weight;
}

static float idf_of(uint64_t stem_hash)
{
    const uint32_t key = (uint32_t)(stem_hash >> 32);
    const uint32_t *base = embed__idf_keys;
    for (size_t half = EMBED__IDF_COUNT / 2; half > 0; half /= 2) {
        base += base[half - 1] < key ? half : 0;
    }
    const size_t at = (size_t)(base - embed__idf_keys);
    const uint8_t weight = embed__idf_keys[at] == key ? embed__idf_weights[at] : embed__idf_unknown;
    return powf((float)weight, IDF_POWER);
}

static void make_length_one(float *vector)
{
    double sum = 0;
    for (size_t i = 0; i < DIMENSION; i++) {
        sum += (double)vector[i] * (double)vector[i];
    }
    if (sum > 0) {
        const double scale = 1.0 / sqrt(sum);
        for (size_t i = 0; i < DIMENSION; i++) {
            vector[i] = (float)((double)vector[i] * scale);
        }
    }
}

static void table_init(struct table *t, size_t capacity)
{
    t->slots = cx_alloc(capacity * sizeof *t->slots);
    t->capacity = capacity;
    t->used = 0;
}

static void table_clear(struct table *t)
{
    memset(t->slots, 0, t->capacity * sizeof *t->slots);
    t->used = 0;
}

/* The slot of this hash, with count 0 when it is new. Two words of one 64-bit hash are one word. */
static struct word *table_find(struct table *t, uint64_t hash)
{
    if (t->used * 2 >= t->capacity) {
        struct table larger;
        table_init(&larger, t->capacity * 2);
        for (size_t i = 0; i < t->capacity; i++) {
            if (t->slots[i].count > 0) {
                *table_find(&larger, t->slots[i].hash) = t->slots[i];
            }
        }
        free(t->slots);
        *t = larger;
    }
    size_t at = (size_t)hash & (t->capacity - 1);
    while (t->slots[at].count > 0 && t->slots[at].hash != hash) {
        at = (at + 1) & (t->capacity - 1);
    }
    if (t->slots[at].count == 0) {
        t->slots[at].hash = hash;
        t->used++;
    }
    return &t->slots[at];
}
