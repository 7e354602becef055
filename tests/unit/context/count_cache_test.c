/* SPDX-License-Identifier: MIT
 *
 * The cache of token counts: what it says is what counting says, whatever comes and goes.
 */
#include <stdio.h>
#include <string.h>

#include "cortex/context.h"
#include "cortex/metrics.h"
#include "test.h"

static struct cx_str text_of(int number)
{
    static char text[1024];
    const int len =
        snprintf(text, sizeof text,
                 "%d: a text that is long enough to be worth keeping the count of, since "
                 "what is short is counted in the time that looking it up would take, %d",
                 number, number * number);
    return (struct cx_str){ text, (size_t)len };
}

static double value(enum cx_metric id, const char *labels)
{
    return cx_series_value(cx_metrics_series(id, labels));
}

static void expect_counts(struct cx_token_cache *cache, int from, int to)
{
    for (int i = from; i < to; i++) {
        for (int e = 0; e < CX_ENCODING_COUNT; e++) {
            size_t want = 0;
            size_t got = 1;
            EXPECT(cx_bpe_count((enum cx_encoding)e, text_of(i), &want) == CX_OK);
            EXPECT(cx_token_cache_count(cache, (enum cx_encoding)e, text_of(i), &got) == CX_OK);
            EXPECT_INT(got, want);
        }
    }
}

TEST(a_count_is_found_again)
{
    struct cx_token_cache *cache = NULL;
    cx_token_cache_new(64 * 1024, &cache);
    const double hits = value(CX_M_CONTEXT_COUNTS, "result=\"hit\"");
    const double misses = value(CX_M_CONTEXT_COUNTS, "result=\"miss\"");
    expect_counts(cache, 0, 50);
    EXPECT_INT(value(CX_M_CONTEXT_COUNTS, "result=\"miss\"") - misses, 100);
    expect_counts(cache, 0, 50);
    EXPECT_INT(value(CX_M_CONTEXT_COUNTS, "result=\"hit\"") - hits, 100);
    cx_token_cache_free(&cache);
    EXPECT(cache == NULL);
    cx_token_cache_free(&cache);
}

TEST(a_full_cache_forgets_and_is_right_all_the_same)
{
    struct cx_token_cache *cache = NULL;
    cx_token_cache_new(64 * 4, &cache);
    const double evicted = value(CX_M_CONTEXT_COUNTS_EVICTED, "");
    expect_counts(cache, 0, 200);
    expect_counts(cache, 0, 200);
    EXPECT(value(CX_M_CONTEXT_COUNTS_EVICTED, "") > evicted);
    cx_token_cache_free(&cache);
}

TEST(what_was_used_last_stays)
{
    struct cx_token_cache *cache = NULL;
    cx_token_cache_new(64, &cache); /* one set */
    expect_counts(cache, 0, 1);
    for (int i = 1; i < 20; i++) {
        expect_counts(cache, i, i + 1);
        const double misses = value(CX_M_CONTEXT_COUNTS, "result=\"miss\"");
        expect_counts(cache, 0, 1);
        EXPECT_INT(value(CX_M_CONTEXT_COUNTS, "result=\"miss\"") - misses, 0);
    }
    cx_token_cache_free(&cache);
}

TEST(without_a_cache_texts_are_counted)
{
    expect_counts(NULL, 0, 3);
    struct cx_token_cache *none = NULL;
    cx_token_cache_new(0, &none);
    expect_counts(none, 0, 3);
    cx_token_cache_free(&none);
}
