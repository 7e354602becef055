/* SPDX-License-Identifier: MIT
 *
 * Search quality on a test collection: nDCG@10 of keyword, semantic and hybrid search with the
 * builtin embedder, and the embedder's speed. Built by hand:
 *
 *   B=build/release; cc -std=c11 -O2 -D_GNU_SOURCE -Iinclude tests/bench/retrieval.c -o $B/retrieval
 *     $B/src/libcx_vector.a $B/src/libcx_embed.a $B/src/libcx_store.a $B/src/libcx_loop.a
 *     $B/src/libcx_json.a $B/src/libcx_crypto.a $B/src/libcx_metrics.a $B/src/libcx_base.a
 *     -lsqlite3 -ljansson -lcrypto -lcurl -luv -lz -lstemmer -lm -lpthread
 *   $B/retrieval FOLDER   # docs.tsv (id, text), queries.tsv (id, text), qrels.tsv (query, doc, grade)
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cortex/embed.h"
#include "cortex/vector.h"

#define ROWS_MAX 100000
#define TOP 10

struct row {
    char *field[3];
};
struct table {
    struct row *rows;
    size_t count;
};

static struct table read_table(const char *folder, const char *name, int fields)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    struct table t = { .rows = calloc(ROWS_MAX, sizeof(struct row)) };
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, file) > 0 && t.count < ROWS_MAX) {
        line[strcspn(line, "\n")] = '\0';
        char *at = strdup(line);
        for (int i = 0; i < fields && at != NULL; i++) {
            t.rows[t.count].field[i] = i + 1 < fields ? strsep(&at, "\t") : at;
        }
        t.count++;
    }
    free(line);
    fclose(file);
    return t;
}

static double gain(const struct table *grades, const char *query, const char *doc)
{
    for (size_t i = 0; i < grades->count; i++) {
        if (strcmp(grades->rows[i].field[0], query) == 0 &&
            strcmp(grades->rows[i].field[1], doc) == 0) {
            return pow(2, atof(grades->rows[i].field[2])) - 1;
        }
    }
    return 0;
}

static int descending(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return x > y ? -1 : x < y;
}

/* The sum of the best gains there could be; 0 where the query has no grades. */
static double ideal(const struct table *grades, const char *query)
{
    double *gains = calloc(grades->count + 1, sizeof *gains);
    size_t count = 0;
    for (size_t i = 0; i < grades->count; i++) {
        if (strcmp(grades->rows[i].field[0], query) == 0) {
            gains[count++] = pow(2, atof(grades->rows[i].field[2])) - 1;
        }
    }
    qsort(gains, count, sizeof *gains, descending);
    double sum = 0;
    for (size_t i = 0; i < count && i < TOP; i++) {
        sum += gains[i] / log2((double)i + 2);
    }
    free(gains);
    return sum;
}

static void must(enum cx_status status, const struct cx_err *err)
{
    if (status != CX_OK) {
        fprintf(stderr, "%s: %s\n", cx_status_name(status), err->text);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: retrieval FOLDER\n");
        return 64;
    }
    const struct table docs = read_table(argv[1], "docs.tsv", 2);
    const struct table queries = read_table(argv[1], "queries.tsv", 2);
    const struct table grades = read_table(argv[1], "qrels.tsv", 3);
    char path[] = "/tmp/cortex-retrieval-XXXXXX";
    close(mkstemp(path));
    struct cx_err err = { "" };
    struct cx_store *store = NULL;
    const struct cx_store_options store_options = { path, 1, cx_vector_migrations,
                                                    cx_vector_migration_count };
    must(cx_store_open(&store_options, &store, &err), &err);
    struct cx_db *db = cx_store_writer(store);
    struct cx_vector_store *vectors = NULL;
    struct cx_vector *v = NULL;
    const struct cx_vector_options options = { "builtin", "hashed-768", "x",
                                               CX_EMBED_BUILTIN_DIMENSION, (size_t)1 << 32 };
    must(cx_vector_store_open(db, &options, &vectors, &err), &err);
    must(cx_vector_find(vectors, CX_STR("default"), &v, &err), &err);

    float *vectors = malloc(docs.count * CX_EMBED_BUILTIN_DIMENSION * sizeof(float));
    struct cx_document *put = calloc(docs.count, sizeof *put);
    size_t bytes = 0;
    uint64_t start_ns = cx_clock_mono_ns();
    for (size_t i = 0; i < docs.count; i++) {
        float *vector = vectors + i * CX_EMBED_BUILTIN_DIMENSION;
        put[i] = (struct cx_document){ .doc_id = cx_str_of(docs.rows[i].field[0]),
                                       .content = cx_str_of(docs.rows[i].field[1]),
                                       .metadata = CX_STR("{}"),
                                       .vector = vector,
                                       .dimension = CX_EMBED_BUILTIN_DIMENSION };
        cx_embed_builtin_text(put[i].content, vector);
        bytes += put[i].content.len;
    }
    double seconds = (double)(cx_clock_mono_ns() - start_ns) / 1e9;
    printf("embedded %zu documents, %.1f MB/s, %.0f us each\n", docs.count,
           (double)bytes / 1e6 / seconds, seconds * 1e6 / (double)docs.count);
    start_ns = cx_clock_mono_ns();
    struct cx_vector_put figures;
    must(cx_vector_put(v, db, put, docs.count, &figures, &err), &err);
    printf("stored %zu in %.3f s\n", figures.indexed,
           (double)(cx_clock_mono_ns() - start_ns) / 1e9);

    static const char *const NAMES[] = { "semantic", "keyword", "hybrid" };
    for (int mode = CX_SEARCH_SEMANTIC; mode <= CX_SEARCH_HYBRID; mode++) {
        double sum = 0;
        size_t counted = 0;
        uint64_t embed_ns = 0;
        uint64_t search_ns = 0;
        for (size_t q = 0; q < queries.count; q++) {
            const char *id = queries.rows[q].field[0];
            const double best = ideal(&grades, id);
            if (best <= 0) {
                continue;
            }
            float vector[CX_EMBED_BUILTIN_DIMENSION];
            const struct cx_search search = { .query = cx_str_of(queries.rows[q].field[1]),
                                              .vector = vector,
                                              .dimension = CX_EMBED_BUILTIN_DIMENSION,
                                              .top_k = TOP,
                                              .mode = (enum cx_search_mode)mode };
            const uint64_t before_ns = cx_clock_mono_ns();
            cx_embed_builtin_text(search.query, vector);
            const uint64_t embedded_ns = cx_clock_mono_ns();
            json_t *hits = NULL;
            must(cx_vector_search(v, db, &search, &hits, &err), &err);
            embed_ns += embedded_ns - before_ns;
            search_ns += cx_clock_mono_ns() - embedded_ns;
            double found = 0;
            for (size_t i = 0; i < json_array_size(hits); i++) {
                const json_t *doc_id = json_object_get(json_array_get(hits, i), "doc_id");
                found += gain(&grades, id, json_string_value(doc_id)) / log2((double)i + 2);
            }
            json_decref(hits);
            sum += found / best;
            counted++;
        }
        printf("%-8s nDCG@10 %.4f over %zu queries; embed %.0f us, search %.0f us\n", NAMES[mode],
               sum / (double)counted, counted, (double)embed_ns / 1e3 / (double)counted,
               (double)search_ns / 1e3 / (double)counted);
    }
    (void)cx_vector_release(&v);
    cx_vector_store_free(&vectors);
    cx_store_close(&store);
    unlink(path);
    return 0;
}
