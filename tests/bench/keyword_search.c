/* SPDX-License-Identifier: MIT
 *
 * Keyword search over many passages, of one thread: FTS5's own bm25() against the store's keyword
 * leg, in turns, with a check that both give the same. Passages are of 40 to 120 words drawn by Zipf's law
 * from 50,000; a query has ten words of the same law, without the twenty most frequent ones, which
 * stand for stop words. Built by hand:
 *
 *   B=build/release; cc -std=c11 -O2 -D_GNU_SOURCE -Iinclude -Isrc tests/bench/keyword_search.c -o $B/keyword_search
 *     $B/src/libcx_vector.a $B/src/libcx_store.a $B/src/libcx_json.a $B/src/libcx_crypto.a
 *     $B/src/libcx_metrics.a $B/src/libcx_base.a -lsqlite3 -ljansson -lcrypto -lz -lm -lpthread
 *   $B/keyword_search [PASSAGES [QUERIES]]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cortex/vector.h"

#define WORDS 50000
#define FREQUENT 20
#define QUERY_WORDS 10
#define DIMENSION 8
#define BATCH 500
#define TOP_K 10
#define TURN 20

struct world {
    double *sums; /* of the words' frequencies */
    uint64_t state;
};

static uint64_t next_random(struct world *w)
{
    uint64_t z = (w->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t draw_word(struct world *w)
{
    const double u = (double)(next_random(w) >> 11) / 0x1p53 * w->sums[WORDS - 1];
    size_t low = 0;
    size_t high = WORDS - 1;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (w->sums[middle] < u) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Letters of a number: no word is another one's plural. */
static void spell(size_t word, struct cx_buf *out)
{
    static const char *const SYLLABLES[] = { "ba", "ko", "mi", "ru", "ta", "ze", "no", "li",
                                             "fu", "pa", "go", "he", "su", "vi", "da", "mo" };
    do {
        cx_buf_puts(out, SYLLABLES[word % 16]);
        word /= 16;
    } while (word > 0);
    cx_buf_puts(out, "k ");
}

static void must(enum cx_status status, const struct cx_err *err)
{
    if (status != CX_OK) {
        fprintf(stderr, "%s: %s\n", cx_status_name(status), err->text);
        exit(1);
    }
}

static double seconds_since(uint64_t start_ns)
{
    return (double)(cx_clock_mono_ns() - start_ns) / 1e9;
}

static void fill(struct world *w, struct cx_vector *v, struct cx_db *db, size_t passages)
{
    struct cx_err err = { "" };
    static struct cx_document docs[BATCH];
    static struct cx_buf texts[BATCH];
    static char ids[BATCH][24];
    static float vector[DIMENSION] = { 1 };
    for (size_t done = 0; done < passages;) {
        size_t n = 0;
        for (; n < BATCH && done < passages; n++, done++) {
            cx_buf_init(&texts[n], 1U << 20);
            for (uint64_t words = 40 + next_random(w) % 81; words > 0; words--) {
                spell(draw_word(w), &texts[n]);
            }
            snprintf(ids[n], sizeof ids[n], "d%08zu", done);
            docs[n] = (struct cx_document){ .doc_id = cx_str_of(ids[n]),
                                            .content = { texts[n].data, texts[n].len },
                                            .metadata = CX_STR("{}"),
                                            .vector = vector,
                                            .dimension = DIMENSION };
        }
        struct cx_vector_put figures;
        must(cx_vector_put(v, db, docs, n, &figures, &err), &err);
        for (size_t i = 0; i < n; i++) {
            cx_buf_free(&texts[i]);
        }
    }
}

/* The ten best of FTS5's own ranking. */
static size_t ask_fts5(struct cx_db *db, struct cx_str match, double scores[TOP_K], size_t *matches)
{
    struct cx_err err = { "" };
    struct cx_stmt *s = NULL;
    must(cx_db_prepare(db,
                       "SELECT rowid, bm25(documents_fts) FROM documents_fts"
                       " WHERE documents_fts MATCH ?1",
                       &s, &err),
         &err);
    cx_stmt_bind_text(s, 1, match);
    size_t count = 0;
    *matches = 0;
    bool row = false;
    enum cx_status status;
    while ((status = cx_stmt_step(s, &row, &err)) == CX_OK && row) {
        const double score = -cx_stmt_real(s, 1);
        (*matches)++;
        if (count == TOP_K && score <= scores[TOP_K - 1]) {
            continue;
        }
        size_t at = count < TOP_K ? count++ : TOP_K - 1;
        for (; at > 0 && scores[at - 1] < score; at--) {
            scores[at] = scores[at - 1];
        }
        scores[at] = score;
    }
    must(status, &err);
    return count;
}

int main(int argc, char **argv)
{
    const size_t passages = argc > 1 ? strtoul(argv[1], NULL, 10) : 70000;
    const size_t queries = argc > 2 ? strtoul(argv[2], NULL, 10) : 200;
    struct world w = { .sums = malloc(WORDS * sizeof *w.sums), .state = 1 };
    double sum = 0;
    for (size_t i = 0; i < WORDS; i++) {
        sum += 1 / (double)(i + 10);
        w.sums[i] = sum;
    }
    char path[] = "/tmp/cortex-words-XXXXXX";
    close(mkstemp(path));
    struct cx_err err = { "" };
    struct cx_store *store = NULL;
    const struct cx_store_options store_options = { path, 1, cx_vector_migrations,
                                                    cx_vector_migration_count };
    must(cx_store_open(&store_options, &store, &err), &err);
    struct cx_db *db = cx_store_writer(store);
    struct cx_vector_store *vectors = NULL;
    struct cx_vector *v = NULL;
    const struct cx_vector_options options = { "bench", "drawn", "x", DIMENSION, (size_t)1 << 36 };
    must(cx_vector_store_open(db, &options, &vectors, &err), &err);
    must(cx_vector_find(vectors, CX_STR("default"), &v, &err), &err);
    uint64_t start_ns = cx_clock_mono_ns();
    fill(&w, v, db, passages);
    printf("%zu passages: filled in %.1f s", passages, seconds_since(start_ns));
    (void)cx_vector_release(&v);
    cx_vector_store_free(&vectors);
    start_ns = cx_clock_mono_ns();
    must(cx_vector_store_open(db, &options, &vectors, &err), &err);
    must(cx_vector_find(vectors, CX_STR("default"), &v, &err), &err);
    printf(", opened in %.2f s\n", seconds_since(start_ns));

    struct cx_db *reader = cx_store_reader(store);
    double spent[2] = { 0 };
    double cold = 0;
    size_t matches = 0;
    size_t differences = 0;
    for (size_t done = 0; done < queries; done += TURN) {
        struct cx_buf texts[TURN];
        double scores[TURN][TOP_K];
        size_t counts[TURN];
        for (size_t i = 0; i < TURN; i++) {
            cx_buf_init(&texts[i], 4096);
            for (size_t n = 0; n < QUERY_WORDS; n++) {
                size_t word = draw_word(&w);
                while (word < FREQUENT) {
                    word = draw_word(&w);
                }
                spell(word, &texts[i]);
            }
            struct cx_buf match;
            cx_buf_init(&match, 4096);
            cx_vector_match_query((struct cx_str){ texts[i].data, texts[i].len }, &match);
            size_t matched = 0;
            start_ns = cx_clock_mono_ns();
            counts[i] =
                ask_fts5(reader, (struct cx_str){ match.data, match.len }, scores[i], &matched);
            spent[0] += seconds_since(start_ns);
            matches += matched;
            cx_buf_free(&match);
        }
        for (int pass = 0; pass < 2; pass++) {
            for (size_t i = 0; i < TURN; i++) {
                const struct cx_search search = { .query = { texts[i].data, texts[i].len },
                                                  .top_k = TOP_K,
                                                  .mode = CX_SEARCH_KEYWORD };
                json_t *hits = NULL;
                start_ns = cx_clock_mono_ns();
                must(cx_vector_search(v, reader, &search, &hits, &err), &err);
                *(pass == 0 ? &cold : &spent[1]) += seconds_since(start_ns);
                differences += json_array_size(hits) != counts[i] ? 1 : 0;
                for (size_t j = 0; j < json_array_size(hits) && j < counts[i]; j++) {
                    const double score =
                        json_real_value(json_object_get(json_array_get(hits, j), "score"));
                    const double want = scores[i][j] / scores[i][0];
                    differences += fabs(score - want) > 1e-9 * want ? 1 : 0;
                }
                json_decref(hits);
            }
        }
        for (size_t i = 0; i < TURN; i++) {
            cx_buf_free(&texts[i]);
        }
    }
    const double n = (double)((queries + TURN - 1) / TURN * TURN);
    struct cx_vector_figures figures;
    cx_vector_figures(v, &figures);
    printf("%.0f matches a query\n", (double)matches / n);
    printf("FTS5's bm25 alone           %8.2f ms a query\n", spent[0] / n * 1000);
    printf("whole search, first time    %8.2f ms\n", cold / n * 1000);
    printf("whole search, second time   %8.2f ms: %.1f times as fast, %s\n", spent[1] / n * 1000,
           spent[0] / spent[1], differences == 0 ? "same scores" : "NOT THE SAME");
    printf("index %.1f MiB\n", (double)figures.index_bytes / 1048576);
    cx_store_return(store, reader);
    (void)cx_vector_release(&v);
    cx_vector_store_free(&vectors);
    cx_store_close(&store);
    unlink(path);
    free(w.sums);
    return differences > 0 ? 1 : 0;
}
