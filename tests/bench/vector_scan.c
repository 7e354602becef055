/* SPDX-License-Identifier: MIT
 *
 * Exact search over many vectors: queries a second and bytes of memory read a second, of one thread.
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
#include "vector/kernel.h"

#define CENTRES 1000
#define DIRECTIONS 24
#define BATCH 1000

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

static void measure(struct world *w, struct cx_vector *v, struct cx_db *db, size_t documents,
                    size_t queries, const char *name, const json_t *filter)
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
                                          .top_k = 10,
                                          .mode = CX_SEARCH_SEMANTIC,
                                          .filter = filter };
        json_t *hits = NULL;
        must(cx_vector_search(v, db, &search, &hits, &err), &err);
        json_decref(hits);
        best = fmin(best, (double)(cx_clock_mono_ns() - before_ns) / 1e9);
    }
    const double seconds = (double)(cx_clock_mono_ns() - start_ns) / 1e9;
    const double bytes = (double)documents * (double)w->dimension * 4;
    printf("%-22s %8.0f searches/s  %6.1f GB/s; best %8.0f /s %6.1f GB/s\n", name,
           (double)queries / seconds, bytes * (double)queries / seconds / 1e9, 1 / best,
           bytes / best / 1e9);
    free(vectors);
}

/* The bare kernels, without heap, rows of the database or JSON. */
static void measure_kernels(struct world *w, size_t documents, size_t queries)
{
    const size_t stride = (w->dimension + 15) / 16 * 16;
    float *rows = aligned_alloc(64, documents * stride * sizeof *rows);
    for (size_t i = 0; i < documents * stride; i++) {
        rows[i] = (float)(i % 997) / 997;
    }
    float *query = aligned_alloc(64, stride * sizeof *query);
    memcpy(query, rows, stride * sizeof *query);
    float *scores = malloc(documents * sizeof *scores);
    struct vector__kernel kernels[3];
    const size_t count = vector__kernels(kernels);
    for (size_t k = 0; k < count; k++) {
        double best = INFINITY; /* of a shared machine, the quietest moment */
        for (size_t i = 0; i < queries; i++) {
            query[0] = (float)i;
            const uint64_t start_ns = cx_clock_mono_ns();
            kernels[k].dot(query, rows, stride, documents, scores);
            best = fmin(best, (double)(cx_clock_mono_ns() - start_ns) / 1e9);
        }
        printf("kernel %-15s %8.0f scans/s     %6.1f GB/s at best\n", kernels[k].name, 1 / best,
               (double)(documents * stride * 4) / best / 1e9);
    }
    free(rows);
    free(query);
    free(scores);
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
    struct cx_vector *v = NULL;
    const struct cx_vector_options options = { "bench", "drawn", "x", (unsigned)w.dimension,
                                               (size_t)1 << 36 };
    must(cx_vector_open(db, &options, &v, &err), &err);
    uint64_t start_ns = cx_clock_mono_ns();
    fill(&w, v, db, documents);
    printf("%zu x %zu, kernel %s: filled in %.1f s", documents, w.dimension,
           cx_vector_kernel_name(), (double)(cx_clock_mono_ns() - start_ns) / 1e9);
    cx_vector_free(&v);
    start_ns = cx_clock_mono_ns();
    must(cx_vector_open(db, &options, &v, &err), &err);
    printf(", opened in %.2f s\n", (double)(cx_clock_mono_ns() - start_ns) / 1e9);
    measure_kernels(&w, documents, queries);
    struct cx_db *reader = cx_store_reader(store);
    measure(&w, v, reader, documents, queries, "search", NULL);
    json_t *filter = json_pack("{s:i}", "part", 1);
    measure(&w, v, reader, documents, queries, "search, filter of 10%", filter);
    json_decref(filter);
    cx_store_return(store, reader);
    cx_vector_free(&v);
    cx_store_close(&store);
    unlink(path);
    free(w.centres);
    free(w.directions);
    return 0;
}
