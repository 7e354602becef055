/* SPDX-License-Identifier: MIT
 *
 * Searches under filters of every selectivity, one thread: what asking the filter costs, what a whole search
 * costs (rows from the database included), and whether it found what brute force finds; then the two
 * ways to rank, reading all rows or those that are listed, beside each other; then what the facets take.
 * Documents are drawn around 1,000 centres, with ten words of a Zipf vocabulary and six metadata
 * values, one of them unique and one an array. Built and run by tests/bench/filters:
 *
 *   filters [DOCUMENTS [DIMENSION [QUERIES]]]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cortex/vector.h"
#include "vector/best.h"
#include "vector/filter_sets.h"
#include "vector/scan.h"

#define CENTRES 1000
#define BATCH 1000
#define TOP_K 10
#define VOCABULARY 5000

struct world {
    size_t documents;
    size_t dimension;
    size_t queries;
    uint64_t state;
    float *centres;
    float *floats; /* of every document, as the index has it */
    float *asked;  /* the queries, padded */
    char (*texts)[64];
    struct cx_vector *v;
    struct cx_db *reader;
};

static uint64_t next_random(struct world *w)
{
    uint64_t z = (w->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static float normal(struct world *w)
{
    const double u = ((double)(next_random(w) >> 11) + 0.5) / 0x1p53;
    const double v = (double)(next_random(w) >> 11) / 0x1p53;
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

static void draw(struct world *w, float *x)
{
    const float *centre = w->centres + next_random(w) % CENTRES * w->dimension;
    double sum = 0;
    for (size_t i = 0; i < w->dimension; i++) {
        x[i] = centre[i] + 0.8F * normal(w) / sqrtf((float)w->dimension);
        sum += (double)x[i] * (double)x[i];
    }
    for (size_t i = 0; i < w->dimension; i++) {
        x[i] = (float)((double)x[i] / sqrt(sum));
    }
}

static size_t draw_word(struct world *w)
{
    const double u = ((double)(next_random(w) >> 11) + 0.5) / 0x1p53;
    return (size_t)(pow(VOCABULARY, u) - 1);
}

static void must(enum cx_status status, const struct cx_err *err)
{
    if (status != CX_OK) {
        fprintf(stderr, "%s: %s\n", cx_status_name(status), err->text);
        exit(1);
    }
}

static void fill(struct world *w, struct cx_db *db)
{
    static struct cx_document docs[BATCH];
    static char ids[BATCH][16];
    static char contents[BATCH][128];
    static char metadata[BATCH][256];
    float *vectors = malloc(BATCH * w->dimension * sizeof *vectors);
    struct cx_err err = { "" };
    for (size_t at = 0; at < w->documents; at += BATCH) {
        const size_t n = w->documents - at < BATCH ? w->documents - at : BATCH;
        for (size_t i = 0; i < n; i++) {
            const size_t id = at + i;
            /* A permutation: neighbours in n are far apart in the index. */
            const size_t number = id * 7919 % w->documents;
            draw(w, vectors + i * w->dimension);
            snprintf(ids[i], sizeof ids[i], "d%zu", id);
            size_t len = 0;
            for (int k = 0; k < 10; k++) {
                len += (size_t)snprintf(contents[i] + len, sizeof contents[i] - len, "w%zu ",
                                        draw_word(w));
            }
            snprintf(metadata[i], sizeof metadata[i],
                     "{\"n\":%zu,\"tenth\":%zu,\"hundredth\":%zu,\"source\":{\"name\":\"s%zu\"},"
                     "\"tags\":[\"t%zu\",\"u%zu\"],\"draft\":%s}",
                     number, number % 10, number % 100, number % 1000, number % 7, number % 500,
                     number % 2 == 0 ? "true" : "false");
            docs[i] = (struct cx_document){ .doc_id = cx_str_of(ids[i]),
                                            .content = cx_str_of(contents[i]),
                                            .uri = CX_STR(""),
                                            .metadata = cx_str_of(metadata[i]),
                                            .vector = vectors + i * w->dimension,
                                            .dimension = (unsigned)w->dimension };
        }
        struct cx_vector_put figures;
        must(cx_vector_put(w->v, db, docs, n, &figures, &err), &err);
    }
    free(vectors);
}

static void read_rows(struct world *w)
{
    const struct vector__index *index = &w->v->index;
    w->floats = aligned_alloc(64, index->slot_end * index->stride * sizeof *w->floats);
    memset(w->floats, 0, index->slot_end * index->stride * sizeof *w->floats);
    for (size_t i = 0; i < index->slot_end; i++) {
        if (!vector__index_read(index, i, w->floats + i * index->stride)) {
            exit(1);
        }
    }
    w->asked = aligned_alloc(64, w->queries * index->stride * sizeof *w->asked);
    memset(w->asked, 0, w->queries * index->stride * sizeof *w->asked);
    w->texts = calloc(w->queries, sizeof *w->texts);
    for (size_t i = 0; i < w->queries; i++) {
        draw(w, w->asked + i * index->stride);
        snprintf(w->texts[i], sizeof w->texts[i], "w%zu w%zu w%zu", draw_word(w), draw_word(w),
                 draw_word(w));
    }
}

static int compare_ns(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

static void print_times(uint64_t *ns, size_t count)
{
    qsort(ns, count, sizeof *ns, compare_ns);
    printf("%8.1f %8.1f", (double)ns[count / 2] / 1e3, (double)ns[count * 99 / 100] / 1e3);
}

/* The scores of the best by a dot product of every document that passes. */
static size_t brute_force(const struct world *w, const struct vector__allowed *allowed,
                          const float *query, struct vector__candidate *out)
{
    const struct vector__index *index = &w->v->index;
    struct vector__best best = { .items = out, .most = TOP_K };
    for (size_t i = 0; i < index->slot_end; i++) {
        float score;
        if (!vector__allows(allowed, i)) {
            continue;
        }
        w->v->kernel.dot(query, w->floats + i * index->stride, index->stride, 1, &score);
        if (vector__best_wants(&best, score)) {
            const struct vector__slot *slot = vector__index_slot(index, i);
            const struct vector__candidate candidate = { .score = score,
                                                         .rowid = slot->rowid,
                                                         .doc_id = vector__index_id(index, i) };
            vector__best_offer(&best, &candidate);
        }
    }
    vector__best_sort(&best);
    return best.count;
}

static bool same_hits(const json_t *hits, const struct vector__candidate *truth, size_t count)
{
    bool same = json_array_size(hits) == count;
    for (size_t i = 0; i < count && same; i++) {
        const json_t *hit = json_array_get(hits, i);
        same = strcmp(json_string_value(json_object_get(hit, "doc_id")), truth[i].doc_id) == 0 &&
               json_real_value(json_object_get(hit, "score")) == truth[i].score;
    }
    return same;
}

static void measure(struct world *w, const char *text)
{
    struct cx_err err = { "" };
    struct cx_faults faults;
    json_t *json = NULL;
    json_t *loc = json_array();
    struct cx_vector_filter *filter = NULL;
    cx_faults_init(&faults);
    must(cx_json_parse(cx_str_of(text), &json, &err), &err);
    if (!cx_vector_filter_parse(json, loc, &faults, &filter)) {
        exit(1);
    }
    uint64_t *asks = calloc(w->queries, sizeof *asks);
    uint64_t *searches[2] = { calloc(w->queries, sizeof **searches),
                              calloc(w->queries, sizeof **searches) };
    size_t matches = 0;
    size_t differences = 0;
    for (size_t i = 0; i < w->queries; i++) {
        const float *query = w->asked + i * w->v->index.stride;
        struct vector__allowed allowed;
        uint64_t start_ns = cx_clock_mono_ns();
        must(vector__filter_ask(filter, &w->v->index.facets, &allowed, &err), &err);
        asks[i] = cx_clock_mono_ns() - start_ns;
        matches = allowed.all ? w->documents : allowed.count;
        struct vector__candidate truth[TOP_K];
        const size_t count = i < 50 ? brute_force(w, &allowed, query, truth) : 0;
        vector__allowed_free(&allowed);
        for (int mode = 0; mode < 2; mode++) {
            const struct cx_search search = { .query = cx_str_of(w->texts[i]),
                                              .vector = query,
                                              .dimension = (unsigned)w->dimension,
                                              .top_k = TOP_K,
                                              .mode =
                                                  mode == 0 ? CX_SEARCH_SEMANTIC : CX_SEARCH_HYBRID,
                                              .filter = filter };
            json_t *hits = NULL;
            start_ns = cx_clock_mono_ns();
            must(cx_vector_search(w->v, w->reader, &search, &hits, &err), &err);
            searches[mode][i] = cx_clock_mono_ns() - start_ns;
            differences += mode == 0 && i < 50 && !same_hits(hits, truth, count) ? 1 : 0;
            differences += json_array_size(hits) != (matches < TOP_K ? matches : TOP_K) ? 1 : 0;
            json_decref(hits);
        }
    }
    printf("%8zu ", matches);
    print_times(asks, w->queries);
    print_times(searches[0], w->queries);
    print_times(searches[1], w->queries);
    printf("  %-5s  %s\n", differences == 0 ? "exact" : "WRONG", text);
    free(asks);
    free(searches[0]);
    free(searches[1]);
    cx_vector_filter_free(&filter);
    json_decref(json);
    json_decref(loc);
    if (differences > 0) {
        exit(1);
    }
}

/* One in so many documents, ranked both ways in turns. */
static void compare_ways(struct world *w, size_t one_in)
{
    const struct vector__index *index = &w->v->index;
    struct cx_err err = { "" };
    const size_t words = index->slot_end / 64 + 1;
    uint64_t *bits = calloc(words, sizeof *bits);
    uint32_t *slots = malloc(index->slot_end * sizeof *slots);
    size_t count = 0;
    for (size_t i = 0; i < index->slot_end; i++) {
        if (next_random(w) % one_in == 0) {
            vector__bit_set(bits, i);
            slots[count++] = (uint32_t)i;
        }
    }
    const struct vector__allowed allowed = { .count = count, .word_count = words, .bits = bits };
    uint64_t *times[2] = { calloc(w->queries, sizeof **times), calloc(w->queries, sizeof **times) };
    for (size_t i = 0; i < 2 * w->queries; i++) {
        const size_t way = i / 50 % 2;
        const size_t query = i / 100 * 50 + i % 50;
        struct vector__scan scan;
        struct vector__floor floor;
        struct vector__possibles possibles = { 0 };
        const uint64_t start_ns = cx_clock_mono_ns();
        must(vector__scan_init(&scan, w->v, w->asked + query * index->stride, &allowed, &err),
             &err);
        if (!vector__floor_init(&floor, TOP_K, -INFINITY)) {
            exit(1);
        }
        if (way == 0) {
            vector__scan_cosines(&(struct vector__pass){ &scan, &floor, &possibles, NULL }, 1);
        } else {
            vector__scan_listed(&scan, slots, count, &floor, &possibles);
        }
        times[way][query] = cx_clock_mono_ns() - start_ns;
        vector__possibles_free(&possibles);
        vector__floor_free(&floor);
        vector__scan_free(&scan);
    }
    printf("1 in %-6zu", one_in);
    print_times(times[0], w->queries);
    print_times(times[1], w->queries);
    printf("\n");
    free(times[0]);
    free(times[1]);
    free(bits);
    free(slots);
}

int main(int argc, char **argv)
{
    struct world w = { .documents = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000,
                       .dimension = argc > 2 ? strtoul(argv[2], NULL, 10) : 384,
                       .queries = argc > 3 ? strtoul(argv[3], NULL, 10) / 50 * 50 : 500,
                       .state = 1 };
    w.centres = malloc(CENTRES * w.dimension * sizeof *w.centres);
    for (size_t i = 0; i < CENTRES * w.dimension; i++) {
        w.centres[i] = normal(&w) / sqrtf((float)w.dimension);
    }
    char path[] = "/tmp/cortex-filters-XXXXXX";
    close(mkstemp(path));
    struct cx_err err = { "" };
    struct cx_store *store = NULL;
    const struct cx_store_options store_options = { path, 1, cx_vector_migrations,
                                                    cx_vector_migration_count };
    must(cx_store_open(&store_options, &store, &err), &err);
    struct cx_vector_store *vectors = NULL;
    const struct cx_vector_options options = { .provider = "bench",
                                               .model = "drawn",
                                               .fingerprint = "x",
                                               .dimension = (unsigned)w.dimension,
                                               .index_bytes_max = (size_t)1 << 36 };
    must(cx_vector_store_open(cx_store_writer(store), &options, &vectors, &err), &err);
    must(cx_vector_find(vectors, CX_STR("default"), &w.v, &err), &err);
    fill(&w, cx_store_writer(store));
    w.reader = cx_store_reader(store);
    read_rows(&w);
    printf("%zu x %zu, kernel %s; microseconds, p50 and p99\n", w.documents, w.dimension,
           cx_vector_kernel_name());
    printf("%8s %17s %17s %17s\n", "match", "ask the filter", "semantic", "hybrid");
    static const char *const FILTERS[] = {
        "{}",
        "{\"n\":{\"$gte\":0}}",
        "{\"tenth\":{\"$ne\":3}}",
        "{\"draft\":true}",
        "{\"tenth\":3}",
        "{\"tenth\":3,\"draft\":{\"$ne\":true}}",
        "{\"n\":{\"$lt\":10000}}",
        "{\"hundredth\":3}",
        "{\"n\":{\"$gte\":500,\"$lt\":1500}}",
        "{\"tags\":{\"$in\":[\"u3\",\"u7\",\"u9\"]}}",
        "{\"source.name\":\"s3\"}",
        "{\"n\":{\"$lt\":100}}",
        "{\"$or\":[{\"n\":{\"$lt\":5}},{\"n\":{\"$in\":[70,71,72,73,74]}}]}",
        "{\"n\":7}",
        "{\"n\":-7}",
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(FILTERS); i++) {
        measure(&w, FILTERS[i]);
    }
    printf("finding the best %d of random documents: reading all rows, reading those listed\n",
           TOP_K);
    for (size_t one_in = 2; one_in <= 1024; one_in *= 2) {
        compare_ways(&w, one_in);
    }
    struct cx_vector_figures figures;
    cx_vector_figures(w.v, &figures);
    printf("facets: %.1f bytes a document; the index: %.1f\n",
           (double)w.v->index.facets.bytes / (double)w.documents,
           (double)figures.index_bytes / (double)w.documents);
    cx_store_return(store, w.reader);
    (void)cx_vector_release(&w.v);
    cx_vector_store_free(&vectors);
    cx_store_close(&store);
    char beside[64];
    static const char *const SUFFIXES[] = { "", "-wal", "-shm" };
    for (size_t i = 0; i < CX_ARRAY_LEN(SUFFIXES); i++) {
        snprintf(beside, sizeof beside, "%s%s", path, SUFFIXES[i]);
        (void)unlink(beside);
    }
    free(w.centres);
    free(w.floats);
    free(w.asked);
    free(w.texts);
    return 0;
}
