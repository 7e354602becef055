/* SPDX-License-Identifier: MIT
 *
 * Exact search over many vectors, of one thread: what the kernels read a second; brute force over the
 * float32 rows against the scan of the coarse rows, in turns, so that both see the same weather on a
 * shared machine, with a check that both give the same; and whole searches.
 * The vectors are drawn as follows: 1,000 unit centres c, each with 24 unit directions B;
 * x = normalize(c + (0.8/sqrt(24)) z·B + (0.15/sqrt(D)) g) with z and g standard normal. Built by hand:
 *
 *   B=build/release; cc -std=c11 -O2 -D_GNU_SOURCE -Iinclude -Isrc tests/bench/vector_scan.c -o $B/vector_scan
 *     $B/src/libcx_vector.a $B/src/libcx_store.a $B/src/libcx_json.a $B/src/libcx_crypto.a
 *     $B/src/libcx_metrics.a $B/src/libcx_base.a -lsqlite3 -ljansson -lcrypto -lz -lm -lpthread
 *   $B/vector_scan [DOCUMENTS [DIMENSION [QUERIES]]]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cortex/vector.h"
#include "vector/best.h"
#include "vector/rank.h"

#define CENTRES 1000
#define DIRECTIONS 24
#define BATCH 1000
#define TOP_K 10
#define TURN 50

struct world {
    size_t dimension;
    float *centres;    /* CENTRES × dimension */
    float *directions; /* CENTRES × DIRECTIONS × dimension */
    uint64_t state;
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

static void normalize(float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i] * (double)x[i];
    }
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)((double)x[i] / sqrt(sum));
    }
}

static void draw(struct world *w, float *x)
{
    const size_t d = w->dimension;
    const size_t c = next_random(w) % CENTRES;
    memcpy(x, w->centres + c * d, d * sizeof *x);
    for (size_t b = 0; b < DIRECTIONS; b++) {
        const float z = 0.8F / sqrtf(DIRECTIONS) * normal(w);
        const float *direction = w->directions + (c * DIRECTIONS + b) * d;
        for (size_t i = 0; i < d; i++) {
            x[i] += z * direction[i];
        }
    }
    for (size_t i = 0; i < d; i++) {
        x[i] += 0.15F / sqrtf((float)d) * normal(w);
    }
    normalize(x, d);
}

static float *unit_rows(struct world *w, size_t count)
{
    float *rows = malloc(count * w->dimension * sizeof *rows);
    for (size_t i = 0; i < count * w->dimension; i++) {
        rows[i] = normal(w);
    }
    for (size_t i = 0; i < count; i++) {
        normalize(rows + i * w->dimension, w->dimension);
    }
    return rows;
}

static void must(enum cx_status status, const struct cx_err *err)
{
    if (status != CX_OK) {
        fprintf(stderr, "%s: %s\n", cx_status_name(status), err->text);
        exit(1);
    }
}

static void fill(struct world *w, struct cx_vector *v, struct cx_db *db, size_t documents)
{
    struct cx_err err = { "" };
    float *vectors = malloc(BATCH * w->dimension * sizeof *vectors);
    static char ids[BATCH][32];
    for (size_t done = 0; done < documents;) {
        struct cx_document docs[BATCH];
        size_t n = 0;
        for (; n < BATCH && done < documents; n++, done++) {
            draw(w, vectors + n * w->dimension);
            snprintf(ids[n], sizeof ids[n], "d%08zu", done);
            docs[n] = (struct cx_document){ .doc_id = cx_str_of(ids[n]),
                                            .content = cx_str_of(ids[n]),
                                            .metadata = done % 10 == 0 ? CX_STR("{\"part\":1}")
                                                                       : CX_STR("{\"part\":2}"),
                                            .vector = vectors + n * w->dimension,
                                            .dimension = (unsigned)w->dimension };
        }
        struct cx_vector_put figures;
        must(cx_vector_put(v, db, docs, n, &figures, &err), &err);
    }
    free(vectors);
}

static void measure(struct world *w, struct cx_vector *v, struct cx_db *db, size_t queries,
                    const char *name, const struct cx_vector_filter *filter)
{
    struct cx_err err = { "" };
    float *vectors = malloc(queries * w->dimension * sizeof *vectors);
    for (size_t i = 0; i < queries; i++) {
        draw(w, vectors + i * w->dimension);
    }
    const uint64_t start_ns = cx_clock_mono_ns();
    double best = INFINITY;
    for (size_t i = 0; i < queries; i++) {
        const uint64_t before_ns = cx_clock_mono_ns();
        const struct cx_search search = { .vector = vectors + i * w->dimension,
                                          .dimension = (unsigned)w->dimension,
                                          .top_k = TOP_K,
                                          .mode = CX_SEARCH_SEMANTIC,
                                          .filter = filter };
        json_t *hits = NULL;
        must(cx_vector_search(v, db, &search, &hits, &err), &err);
        json_decref(hits);
        best = fmin(best, (double)(cx_clock_mono_ns() - before_ns) / 1e9);
    }
    const double seconds = (double)(cx_clock_mono_ns() - start_ns) / 1e9;
    printf("%-22s %8.0f /s, at best %8.0f /s\n", name, (double)queries / seconds, 1 / best);
    free(vectors);
}

static double seconds_since(uint64_t start_ns)
{
    return (double)(cx_clock_mono_ns() - start_ns) / 1e9;
}

/* The float32 rows of every slot, as brute force wants them. */
static float *read_rows(const struct cx_vector *v)
{
    const struct vector__index *index = &v->index;
    const size_t slots = index->block_count * VECTOR__BLOCK_ROWS;
    float *rows = aligned_alloc(64, slots * index->stride * sizeof *rows);
    memset(rows, 0, slots * index->stride * sizeof *rows);
    for (size_t i = 0; i < index->slot_end; i++) {
        if (!vector__index_read(index, i, rows + i * index->stride)) {
            exit(1);
        }
    }
    return rows;
}

/* The bare kernels over the store's own rows. */
static void measure_kernels(struct world *w, const struct cx_vector *v, const float *floats,
                            size_t scans)
{
    const struct vector__index *index = &v->index;
    float *query = aligned_alloc(64, index->stride * sizeof *query);
    memset(query, 0, index->stride * sizeof *query);
    draw(w, query);
    struct vector__coarse_query coarse;
    if (!vector__coarse_query_init(&coarse, query, (unsigned)w->dimension)) {
        exit(1);
    }
    static float scores[VECTOR__BLOCK_ROWS];
    struct vector__kernel kernels[VECTOR__KERNELS_MAX];
    const size_t count = vector__kernels(kernels);
    for (size_t k = 0; k < count; k++) {
        double best[2] = { INFINITY, INFINITY }; /* of a shared machine, the quietest moment */
        for (size_t i = 0; i < 2 * scans; i++) {
            const size_t which = i / scans;
            const uint64_t start_ns = cx_clock_mono_ns();
            for (size_t b = 0; b < index->block_count; b++) {
                const struct vector__coarse_rows rows = vector__index_coarse(index, b);
                if (which == 0) {
                    kernels[k].dot(query, floats + b * VECTOR__BLOCK_ROWS * index->stride,
                                   index->stride, VECTOR__BLOCK_ROWS, scores);
                } else {
                    const struct vector__coarse_query *queries[] = { &coarse };
                    float *out[] = { scores };
                    kernels[k].bound(queries, 1, &rows, VECTOR__BLOCK_ROWS, out);
                }
            }
            best[which] = fmin(best[which], seconds_since(start_ns));
        }
        const double rows = (double)(index->block_count * VECTOR__BLOCK_ROWS);
        const double bytes = (double)index->stride * 4;
        const double coarse_bytes = (double)index->coarse_stride + 8; /* the high plane */
        printf("kernel %-8s float32 %7.0f scans/s %6.1f GB/s   coarse %7.0f scans/s %6.1f GB/s\n",
               kernels[k].name, 1 / best[0], rows * bytes / best[0] / 1e9, 1 / best[1],
               rows * coarse_bytes / best[1] / 1e9);
    }
    vector__coarse_query_free(&coarse);
    free(query);
}

static size_t brute_force(const struct cx_vector *v, const float *floats, const float *query,
                          size_t most, struct vector__candidate *out)
{
    const struct vector__index *index = &v->index;
    struct vector__best best = { .items = out, .most = most };
    static float scores[VECTOR__BLOCK_ROWS];
    for (size_t first = 0; first < index->slot_end; first += VECTOR__BLOCK_ROWS) {
        const size_t rest = index->slot_end - first;
        const size_t count = rest < VECTOR__BLOCK_ROWS ? rest : VECTOR__BLOCK_ROWS;
        v->kernel.dot(query, floats + first * index->stride, index->stride, count, scores);
        for (size_t i = 0; i < count; i++) {
            if (vector__best_wants(&best, scores[i])) {
                const struct vector__slot *slot = vector__index_slot(index, first + i);
                const struct vector__candidate candidate = { .score = scores[i],
                                                             .rowid = slot->rowid,
                                                             .doc_id = vector__index_id(
                                                                 index, first + i) };
                vector__best_offer(&best, &candidate);
            }
        }
    }
    vector__best_sort(&best);
    return best.count;
}

struct turn {
    double seconds;
    double best;
};

static void note(struct turn *turn, uint64_t start_ns)
{
    const double seconds = seconds_since(start_ns);
    turn->seconds += seconds;
    turn->best = fmin(turn->best, seconds);
}

/* Ranking alone, without the rows of the database and JSON. In turns of some queries each, so that
 * neither finds its rows driven out of the caches by the other. */
static void compare(struct world *w, struct cx_vector *v, const float *floats, size_t queries)
{
    const size_t stride = v->index.stride;
    float *vectors = aligned_alloc(64, TURN * stride * sizeof *vectors);
    memset(vectors, 0, TURN * stride * sizeof *vectors);
    static struct vector__candidate truth[TURN][TOP_K];
    size_t true_count[TURN];
    struct turn brute = { 0, INFINITY };
    struct turn coarse = { 0, INFINITY };
    size_t differences = 0;
    for (size_t done = 0; done < queries; done += TURN) {
        for (size_t i = 0; i < TURN; i++) {
            draw(w, vectors + i * stride);
        }
        for (size_t i = 0; i < TURN; i++) {
            const uint64_t start_ns = cx_clock_mono_ns();
            true_count[i] = brute_force(v, floats, vectors + i * stride, TOP_K, truth[i]);
            note(&brute, start_ns);
        }
        for (size_t i = 0; i < TURN; i++) {
            const struct vector__ranking ranking = { .mode = CX_SEARCH_SEMANTIC,
                                                     .query = vectors + i * stride,
                                                     .dimension = (unsigned)w->dimension };
            struct vector__candidate found[TOP_K];
            size_t count = 0;
            struct cx_err err = { "" };
            const uint64_t start_ns = cx_clock_mono_ns();
            must(vector__rank(v, &ranking, TOP_K, found, &count, &err), &err);
            note(&coarse, start_ns);
            differences += count != true_count[i] ? 1 : 0;
            for (size_t j = 0; j < count && j < true_count[i]; j++) {
                differences +=
                    truth[i][j].rowid != found[j].rowid || truth[i][j].score != found[j].score ? 1
                                                                                               : 0;
            }
        }
    }
    const double n = (double)((queries + TURN - 1) / TURN * TURN);
    printf("top %d, brute force    %8.0f /s, at best %8.0f /s\n", TOP_K, n / brute.seconds,
           1 / brute.best);
    printf("top %d, coarse scan    %8.0f /s, at best %8.0f /s: %.1f times as many, %s\n", TOP_K,
           n / coarse.seconds, 1 / coarse.best, brute.seconds / coarse.seconds,
           differences == 0 ? "recall 1, scores equal bit for bit" : "NOT THE SAME");
    free(vectors);
    if (differences > 0) {
        exit(1);
    }
}

int main(int argc, char **argv)
{
    const size_t documents = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000;
    struct world w = { .dimension = argc > 2 ? strtoul(argv[2], NULL, 10) : 384, .state = 1 };
    const size_t queries = argc > 3 ? strtoul(argv[3], NULL, 10) : 500;
    w.centres = unit_rows(&w, CENTRES);
    w.directions = unit_rows(&w, CENTRES * DIRECTIONS);
    char path[] = "/tmp/cortex-scan-XXXXXX";
    close(mkstemp(path));
    struct cx_err err = { "" };
    struct cx_store *store = NULL;
    const struct cx_store_options store_options = { path, 1, cx_vector_migrations,
                                                    cx_vector_migration_count };
    must(cx_store_open(&store_options, &store, &err), &err);
    struct cx_db *db = cx_store_writer(store);
    struct cx_vector_store *vectors = NULL;
    struct cx_vector *v = NULL;
    const struct cx_vector_options options = { "bench", "drawn", "x", (unsigned)w.dimension,
                                               (size_t)1 << 36 };
    must(cx_vector_store_open(db, &options, &vectors, &err), &err);
    must(cx_vector_find(vectors, CX_STR("default"), &v, &err), &err);
    uint64_t start_ns = cx_clock_mono_ns();
    fill(&w, v, db, documents);
    printf("%zu x %zu, kernel %s: filled in %.1f s", documents, w.dimension,
           cx_vector_kernel_name(), (double)(cx_clock_mono_ns() - start_ns) / 1e9);
    (void)cx_vector_release(&v);
    cx_vector_store_free(&vectors);
    start_ns = cx_clock_mono_ns();
    must(cx_vector_store_open(db, &options, &vectors, &err), &err);
    must(cx_vector_find(vectors, CX_STR("default"), &v, &err), &err);
    printf(", opened in %.2f s\n", (double)(cx_clock_mono_ns() - start_ns) / 1e9);
    float *floats = read_rows(v);
    measure_kernels(&w, v, floats, 20);
    compare(&w, v, floats, queries);
    free(floats);
    struct cx_db *reader = cx_store_reader(store);
    measure(&w, v, reader, queries, "whole search", NULL);
    json_t *part = json_pack("{s:i}", "part", 1);
    json_t *loc = json_array();
    struct cx_faults faults;
    struct cx_vector_filter *filter = NULL;
    cx_faults_init(&faults);
    if (!cx_vector_filter_parse(part, loc, &faults, &filter)) {
        exit(1);
    }
    measure(&w, v, reader, queries, "the same, filter 10%", filter);
    cx_vector_filter_free(&filter);
    json_decref(part);
    json_decref(loc);
    cx_store_return(store, reader);
    (void)cx_vector_release(&v);
    cx_vector_store_free(&vectors);
    cx_store_close(&store);
    unlink(path);
    free(w.centres);
    free(w.directions);
    return 0;
}
