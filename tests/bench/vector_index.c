/* SPDX-License-Identifier: MIT
 *
 * The vector index in one process, on one thread: how many searches a second by the exact scan, alone and
 * with others that share the pass, and through the graph at several breadths, each with its recall; how long
 * the graph takes to build; and how much memory it all takes. Built and run by tests/bench/index:
 *
 *   vector_index DOCUMENTS QUERIES TRUTH DIMENSION TOP_K FOLDER
 *
 * The files hold float32 rows and, for each query, TOP_K int32 places. Prints a JSON object a line. Rates
 * are of the thread's own CPU time: on a shared machine the clock on the wall measures the others too.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cortex/vector.h"
#include "vector/best.h"
#include "vector/graph.h"
#include "vector/rank.h"
#include "vector/scan.h"

#define BATCH 1000
#define ROUNDS 3
#define TOP_K_MAX 100

struct world {
    size_t dimension;
    size_t top_k;
    size_t query_count;
    float *queries; /* padded and aligned */
    size_t stride;
    int32_t *truth;
    struct cx_store *store;
    struct cx_vector_store *vectors;
    struct cx_vector *v;
};

static double cpu_seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void must(enum cx_status status, const struct cx_err *err)
{
    if (status != CX_OK) {
        fprintf(stderr, "%s: %s\n", cx_status_name(status), err->text);
        exit(1);
    }
}

static FILE *open_file(const char *path, size_t *bytes)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    if (file == NULL || fstat(fileno(file), &info) != 0) {
        perror(path);
        exit(1);
    }
    *bytes = (size_t)info.st_size;
    return file;
}

static void read_exactly(void *out, size_t bytes, FILE *file)
{
    if (fread(out, 1, bytes, file) != bytes) {
        fputs("a file is shorter than it should be\n", stderr);
        exit(1);
    }
}

/* In kB: what is resident, and what of it is anonymous. */
static void resident(long *all, long *anonymous)
{
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "VmRSS: %ld", all);
        (void)sscanf(line, "RssAnon: %ld", anonymous);
    }
    if (file != NULL) {
        fclose(file);
    }
}

static void fill(struct world *w, const char *path)
{
    struct cx_err err = { "" };
    size_t bytes;
    FILE *file = open_file(path, &bytes);
    const size_t count = bytes / (w->dimension * sizeof(float));
    float *rows = malloc(BATCH * w->dimension * sizeof *rows);
    static char ids[BATCH][16];
    static struct cx_document docs[BATCH];
    for (size_t done = 0; done < count;) {
        const size_t n = count - done < BATCH ? count - done : BATCH;
        read_exactly(rows, n * w->dimension * sizeof *rows, file);
        for (size_t i = 0; i < n; i++) {
            snprintf(ids[i], sizeof ids[i], "d%zu", done + i);
            docs[i] = (struct cx_document){ .doc_id = cx_str_of(ids[i]),
                                            .content = CX_STR("x"),
                                            .metadata = CX_STR("{}"),
                                            .vector = rows + i * w->dimension,
                                            .dimension = (unsigned)w->dimension };
        }
        struct cx_vector_put figures;
        must(cx_vector_put(w->v, cx_store_writer(w->store), docs, n, &figures, &err), &err);
        done += n;
    }
    free(rows);
    fclose(file);
}

/* The document of a place has the rowid of that place + 1: they came in this order. */
static size_t common(const struct world *w, size_t query, const struct vector__candidate *found,
                     size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < w->top_k; k++) {
            n += w->truth[query * w->top_k + k] == (int32_t)(found[i].rowid - 1) ? 1 : 0;
        }
    }
    return n;
}

static void report(const struct world *w, const char *what, size_t parameter, size_t right,
                   double seconds)
{
    printf("{\"what\": \"%s\", \"parameter\": %zu, \"recall\": %.5f, \"rate\": %.1f}\n", what,
           parameter, (double)right / (double)(w->query_count * w->top_k),
           (double)w->query_count / seconds);
    fflush(stdout);
}

static void measure(struct world *w, bool exact, size_t breadth)
{
    double best = INFINITY;
    size_t right = 0;
    w->v->store->graph_breadth = breadth;
    for (int round = 0; round < ROUNDS; round++) {
        right = 0;
        double seconds = 0;
        for (size_t i = 0; i < w->query_count; i++) {
            struct vector__candidate found[TOP_K_MAX];
            size_t count = 0;
            struct cx_err err = { "" };
            const struct vector__ranking ranking = { .mode = CX_SEARCH_SEMANTIC,
                                                     .query = w->queries + i * w->stride,
                                                     .dimension = (unsigned)w->dimension,
                                                     .exact = exact };
            const double begun = cpu_seconds();
            must(vector__rank(w->v, &ranking, w->top_k, found, &count, &err), &err);
            seconds += cpu_seconds() - begun;
            right += common(w, i, found, count);
        }
        best = fmin(best, seconds);
    }
    report(w, exact ? "exact" : "graph", exact ? 1 : breadth, right, best);
}

/* Queries that share a pass over the rows. */
static void measure_shared(struct world *w, size_t together)
{
    const struct vector__allowed all = { .all = true };
    double best = INFINITY;
    size_t right = 0;
    for (int round = 0; round < ROUNDS; round++) {
        right = 0;
        double seconds = 0;
        for (size_t first = 0; first + together <= w->query_count; first += together) {
            struct vector__scan scans[VECTOR__PASSES_MAX];
            struct vector__floor floors[VECTOR__PASSES_MAX];
            struct vector__possibles possibles[VECTOR__PASSES_MAX] = { { NULL, 0, 0 } };
            struct vector__pass passes[VECTOR__PASSES_MAX];
            struct vector__candidate found[VECTOR__PASSES_MAX][TOP_K_MAX];
            size_t counts[VECTOR__PASSES_MAX];
            struct cx_err err = { "" };
            const double begun = cpu_seconds();
            for (size_t i = 0; i < together; i++) {
                must(vector__scan_init(&scans[i], w->v, w->queries + (first + i) * w->stride, &all,
                                       &err),
                     &err);
                if (!vector__floor_init(&floors[i], w->top_k, -INFINITY)) {
                    exit(1);
                }
                passes[i] = (struct vector__pass){ &scans[i], &floors[i], &possibles[i], NULL };
            }
            vector__scan_cosines(passes, together);
            for (size_t i = 0; i < together; i++) {
                struct vector__best b = { .items = found[i], .most = w->top_k };
                vector__possibles_sort(&possibles[i]);
                for (size_t k = 0;
                     k < possibles[i].count && vector__best_wants(&b, possibles[i].items[k].upper);
                     k++) {
                    const uint32_t slot = possibles[i].items[k].slot;
                    const struct vector__slot *s = vector__index_slot(&w->v->index, slot);
                    const struct vector__candidate candidate = {
                        .score = vector__scan_exact(&scans[i], slot),
                        .rowid = s->rowid,
                        .doc_id = vector__index_id(&w->v->index, slot)
                    };
                    vector__best_offer(&b, &candidate);
                }
                counts[i] = b.count;
                vector__possibles_free(&possibles[i]);
                vector__floor_free(&floors[i]);
                vector__scan_free(&scans[i]);
            }
            seconds += cpu_seconds() - begun;
            for (size_t i = 0; i < together; i++) {
                right += common(w, first + i, found[i], counts[i]);
            }
        }
        best = fmin(best, seconds);
    }
    report(w, "shared", together, right, best);
}

static void build(struct world *w)
{
    const double begun = cpu_seconds();
    bool more = true;
    while (more) {
        cx_vector_tend(w->vectors, 100, &more);
    }
    const double seconds = cpu_seconds() - begun;
    const struct vector__graph *graph = w->v->index.graph;
    printf("{\"what\": \"build\", \"seconds\": %.1f, \"rate\": %.0f}\n", seconds,
           graph != NULL ? (double)graph->linked / seconds : 0);
    fflush(stdout);
}

static void report_memory(const struct world *w, const char *what, long base, long base_anonymous)
{
    long all = 0;
    long anonymous = 0;
    resident(&all, &anonymous);
    printf(
        "{\"what\": \"%s\", \"resident_mb\": %.1f, \"anonymous_mb\": %.1f, \"index_mb\": %.1f}\n",
        what, (double)(all - base) / 1024, (double)(anonymous - base_anonymous) / 1024,
        (double)vector__index_bytes_with(&w->v->index, 0) / 1048576);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fputs("DOCUMENTS QUERIES TRUTH DIMENSION TOP_K FOLDER\n", stderr);
        return 64;
    }
    struct world w = { .dimension = strtoul(argv[4], NULL, 10),
                       .top_k = strtoul(argv[5], NULL, 10) };
    w.stride = (w.dimension + VECTOR__ROW_FLOATS - 1) / VECTOR__ROW_FLOATS * VECTOR__ROW_FLOATS;
    if (w.dimension < 1 || w.top_k < 1 || w.top_k > TOP_K_MAX) {
        return 64;
    }
    size_t bytes;
    FILE *file = open_file(argv[2], &bytes);
    w.query_count = bytes / (w.dimension * sizeof(float));
    w.queries = aligned_alloc(VECTOR__ALIGN, w.query_count * w.stride * sizeof *w.queries);
    memset(w.queries, 0, w.query_count * w.stride * sizeof *w.queries);
    for (size_t i = 0; i < w.query_count; i++) {
        read_exactly(w.queries + i * w.stride, w.dimension * sizeof(float), file);
    }
    fclose(file);
    file = open_file(argv[3], &bytes);
    w.truth = malloc(w.query_count * w.top_k * sizeof *w.truth);
    read_exactly(w.truth, w.query_count * w.top_k * sizeof *w.truth, file);
    fclose(file);
    char path[4096];
    snprintf(path, sizeof path, "%s/index.db", argv[6]);
    struct cx_err err = { "" };
    const struct cx_store_options store_options = { path, 1, cx_vector_migrations,
                                                    cx_vector_migration_count };
    must(cx_store_open(&store_options, &w.store, &err), &err);
    const struct cx_vector_options options = { .provider = "bench",
                                               .model = "drawn",
                                               .fingerprint = "x",
                                               .dimension = (unsigned)w.dimension,
                                               .index_bytes_max = (size_t)1 << 40,
                                               .graph_above = 1,
                                               .graph_breadth = 40 };
    must(cx_vector_store_open(cx_store_writer(w.store), &options, &w.vectors, &err), &err);
    must(cx_vector_find(w.vectors, CX_STR("default"), &w.v, &err), &err);
    const double begun = cpu_seconds();
    fill(&w, argv[1]);
    printf("{\"what\": \"fill\", \"seconds\": %.1f, \"rate\": %.0f}\n", cpu_seconds() - begun,
           (double)w.v->index.live / (cpu_seconds() - begun));
    fflush(stdout);
    /* What a start leaves in memory, without what filling has used on its way. */
    (void)cx_vector_release(&w.v);
    cx_vector_store_free(&w.vectors);
    cx_store_close(&w.store);
    long base = 0;
    long base_anonymous = 0;
    resident(&base, &base_anonymous);
    must(cx_store_open(&store_options, &w.store, &err), &err);
    must(cx_vector_store_open(cx_store_writer(w.store), &options, &w.vectors, &err), &err);
    must(cx_vector_find(w.vectors, CX_STR("default"), &w.v, &err), &err);
    measure(&w, true, 0);
    report_memory(&w, "memory", base, base_anonymous);
    for (size_t together = 2; together <= VECTOR__PASSES_MAX; together *= 2) {
        measure_shared(&w, together);
    }
    build(&w);
    static const size_t BREADTHS[] = { 16, 24, 32, 40, 64, 100, 200, 400, 800, 1600 };
    for (size_t i = 0; i < CX_ARRAY_LEN(BREADTHS); i++) {
        measure(&w, false, BREADTHS[i]);
    }
    report_memory(&w, "memory with the graph", base, base_anonymous);
    (void)cx_vector_release(&w.v);
    cx_vector_store_free(&w.vectors);
    cx_store_close(&w.store);
    free(w.queries);
    free(w.truth);
    return 0;
}
