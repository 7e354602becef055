/* SPDX-License-Identifier: MIT
 *
 * The builtin vector: its length, what makes texts near and far, that it is the same everywhere.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/crypto.h"
#include "cortex/embed.h"
#include "embed/bag.h"
#include "embed/hash.h"
#include "embed/idf_table.h"
#include "test.h"

#define DIMENSION CX_EMBED_BUILTIN_DIMENSION

static double dot(const float *a, const float *b)
{
    double sum = 0;
    for (size_t i = 0; i < DIMENSION; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum;
}

static double likeness(const char *a, const char *b)
{
    float x[DIMENSION];
    float y[DIMENSION];
    cx_embed_builtin_text(cx_str_of(a), x);
    cx_embed_builtin_text(cx_str_of(b), y);
    return dot(x, y);
}

TEST(vectors_have_length_one)
{
    static const char *const TEXTS[] = {
        "a",   "the",          "one word",
        "123", "\xE6\x97\xA5", "a much longer text with many different words in it"
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(TEXTS); i++) {
        float vector[DIMENSION];
        cx_embed_builtin_text(cx_str_of(TEXTS[i]), vector);
        EXPECT(fabs(dot(vector, vector) - 1) < 1e-5);
    }
}

TEST(texts_without_words_are_zero)
{
    static const char *const TEXTS[] = { "", "   ", "?!", "\xFF\xFE" };
    for (size_t i = 0; i < CX_ARRAY_LEN(TEXTS); i++) {
        float vector[DIMENSION];
        cx_embed_builtin_text(cx_str_of(TEXTS[i]), vector);
        EXPECT(dot(vector, vector) == 0.0);
    }
}

TEST(likeness_orders_texts)
{
    const char *query = "how do I configure the database connection";
    const double near = likeness(query, "configuring connections of databases");
    const double far = likeness(query, "a recipe for apple pie with cinnamon");
    EXPECT(near > 0.4);
    EXPECT(fabs(far) < 0.2);
    EXPECT(likeness("colour", "colours") > 0.5);                 /* stem */
    EXPECT(likeness("misconfiguration", "configuration") > 0.3); /* grams */
    EXPECT(likeness("SEA", "sea") > 0.9999);
    EXPECT(likeness("caf\xC3\xA9", "cafe") > 0.9999);
    EXPECT(fabs(likeness("the of and to", "cinnamon")) < 0.2);
    /* Stop words hardly count beside a word that means something. */
    EXPECT(likeness("what is the cinnamon of it", "cinnamon") > 0.85);
    EXPECT(likeness("deep sea fish", "fish sea deep") > 0.9999);
}

TEST(same_vector_every_time_and_everywhere)
{
    float vector[DIMENSION];
    cx_embed_builtin_text(CX_STR("The quick brown fox jumps over 13 lazy dogs, na\xC3\xAFvely."),
                          vector);
    /* Rounded, so that another compiler's last bit makes no difference. */
    char text[DIMENSION * 4];
    for (size_t i = 0; i < DIMENSION; i++) {
        const int step = (int)lrint((double)vector[i] * 50);
        text[i] = (char)('A' + (step > 0 ? 1 : step < 0 ? 2 : 0));
    }
    uint8_t digest[CX_SHA256_BYTES];
    char hex[CX_SHA256_HEX_BYTES];
    cx_sha256((struct cx_str){ text, DIMENSION }, digest);
    EXPECT_STR(cx_hex(digest, sizeof digest, hex),
               "27e5d9fb085c85027996be8eafbc318717a631354a1571bf8bbaf59460f538ec");
}

TEST(bag_serves_text_after_text)
{
    struct embed__bag *bag = NULL;
    embed__bag_new(&bag);
    float first[DIMENSION];
    float again[DIMENSION];
    EXPECT(!embed__bag_vector(bag, CX_STR("one small text"), first));
    const size_t size = EMBED__TEXT_BYTES + 1000;
    char *large = malloc(size);
    uint64_t state = 1;
    for (size_t i = 0; i < size; i++) {
        state = state * UINT64_C(6364136223846793005) + 1;
        large[i] = (state >> 60) < 3 ? ' ' : (char)('a' + (state >> 33) % 26);
    }
    EXPECT(embed__bag_vector(bag, (struct cx_str){ large, size }, again)); /* cut, and says so */
    EXPECT(fabs(dot(again, again) - 1) < 1e-5);
    EXPECT(!embed__bag_vector(bag, CX_STR("one small text"), again));
    EXPECT_BYTES(again, sizeof again, first, sizeof first);
    free(large);
    embed__bag_free(&bag);
    embed__bag_free(&bag);
}

static unsigned weight_of(const char *stem)
{
    const uint64_t hash = embed__hash_bytes(EMBED__HASH_STEM, stem, strlen(stem));
    for (size_t i = 0; i < EMBED__IDF_COUNT; i++) {
        if (embed__idf_keys[i] == (uint32_t)(hash >> 32)) {
            return embed__idf_weights[i];
        }
    }
    return embed__idf_unknown;
}

TEST(idf_table_is_sorted_and_sane)
{
    for (size_t i = 1; i < EMBED__IDF_COUNT; i++) {
        if (embed__idf_keys[i - 1] >= embed__idf_keys[i] && embed__idf_keys[i] != UINT32_MAX) {
            EXPECT(embed__idf_keys[i - 1] < embed__idf_keys[i]);
            break;
        }
    }
    EXPECT(weight_of("the") < 5);
    EXPECT(weight_of("of") < 10);
    EXPECT(weight_of("databas") > 40 && weight_of("databas") < 120);
    EXPECT_INT(weight_of("xyzzyplugh"), embed__idf_unknown);
    EXPECT(embed__idf_unknown > 120);
}
