/* SPDX-License-Identifier: MIT
 *
 * Search quality on a test collection: nDCG@10 of keyword, semantic and hybrid search, by both ways of
 * fusing, with the builtin embedder and with a model directory where one is given; and how long it took
 * to embed. Built by hand:
 *
 *   B=build/release; cc -std=c11 -O2 -D_GNU_SOURCE -Iinclude tests/bench/retrieval.c -o $B/retrieval
 *     $B/src/libcx_vector.a $B/src/libcx_embed.a $B/src/libcx_store.a $B/src/libcx_loop.a
 *     $B/src/libcx_json.a $B/src/libcx_crypto.a $B/src/libcx_metrics.a $B/src/libcx_base.a
 *     -lsqlite3 -ljansson -lcrypto -lcurl -luv -lz -lstemmer -lutf8proc -lm -lpthread
 *   $B/retrieval FOLDER [MODEL [PRECISION]]
 *
 * FOLDER has docs.tsv (id, text), queries.tsv (id, text), qrels.tsv (query, doc, grade). PRECISION:
 * 0 the default, 1 float32, 2 bfloat16, 3 int8.
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

struct embedding {
    struct cx_loop *loop;
    float *vectors;
    size_t truncated;
};

static void on_embedded(void *ctx, struct cx_embed_result *result)
{
    struct embedding *e = ctx;
    must(result->status, &result->err);
    e->vectors = result->vectors;
    e->truncated = result->truncated;
    cx_loop_stop(e->loop);
}

/* One vector a row of the table, by its second field. */
static float *embed(struct cx_loop *loop, struct cx_embedder *embedder, enum cx_embed_kind kind,
                    const struct table *table)
{
    struct embedding e = { .loop = loop };
    struct cx_embed_call *call = NULL;
    struct cx_err err = { "" };
    struct cx_str *texts = calloc(table->count, sizeof *texts);
    size_t bytes = 0;
    for (size_t i = 0; i < table->count; i++) {
        texts[i] = cx_str_of(table->rows[i].field[1]);
        bytes += texts[i].len;
    }
    const uint64_t start_ns = cx_clock_mono_ns();
    must(cx_embedder_start(embedder, kind, texts, table->count, 3600000, NULL, on_embedded, &e,
                           &call, &err),
         &err);
    cx_loop_run(loop);
    const double seconds = (double)(cx_clock_mono_ns() - start_ns) / 1e9;
    printf("  embedded %zu %s, %.2f MB, %zu of them cut: %.2f s, %.0f us each\n", table->count,
           kind == CX_EMBED_QUERY ? "queries" : "documents", (double)bytes / 1e6, e.truncated,
           seconds, seconds * 1e6 / (double)table->count);
    free(texts);
    return e.vectors;
}

struct world {
    struct table docs;
    struct table queries;
    struct table grades;
    struct cx_db *db;
    struct cx_vector *v;
};

static void measure(const struct world *w, const char *name, enum cx_search_mode mode,
                    enum cx_search_fusion fusion, const float *vectors, unsigned dimension)
{
    double sum = 0;
    size_t counted = 0;
    uint64_t search_ns = 0;
    struct cx_err err = { "" };
    for (size_t q = 0; q < w->queries.count; q++) {
        const char *id = w->queries.rows[q].field[0];
        const double best = ideal(&w->grades, id);
        if (best <= 0) {
            continue;
        }
        const struct cx_search search = { .query = cx_str_of(w->queries.rows[q].field[1]),
                                          .vector = mode == CX_SEARCH_KEYWORD
                                                        ? NULL
                                                        : vectors + q * dimension,
                                          .dimension = dimension,
                                          .top_k = TOP,
                                          .mode = mode,
                                          .fusion = fusion };
        json_t *hits = NULL;
        const uint64_t before_ns = cx_clock_mono_ns();
        must(cx_vector_search(w->v, w->db, &search, &hits, &err), &err);
        search_ns += cx_clock_mono_ns() - before_ns;
        double found = 0;
        for (size_t i = 0; i < json_array_size(hits); i++) {
            const json_t *doc_id = json_object_get(json_array_get(hits, i), "doc_id");
            found += gain(&w->grades, id, json_string_value(doc_id)) / log2((double)i + 2);
        }
        json_decref(hits);
        sum += found / best;
        counted++;
    }
    printf("  %-16s nDCG@10 %.4f over %zu queries; search %.0f us\n", name, sum / (double)counted,
           counted, (double)search_ns / 1e3 / (double)counted);
}

/* Documents and queries by this embedder, in a store of their own. */
static void judge(struct world *w, struct cx_loop *loop, struct cx_embedder *embedder)
{
    struct cx_embedder_info info;
    cx_embedder_info(embedder, &info);
    printf("%s/%s\n", info.provider, info.model);
    char path[] = "/tmp/cortex-retrieval-XXXXXX";
    close(mkstemp(path));
    struct cx_err err = { "" };
    struct cx_store *store = NULL;
    const struct cx_store_options store_options = { path, 1, cx_vector_migrations,
                                                    cx_vector_migration_count };
    must(cx_store_open(&store_options, &store, &err), &err);
    w->db = cx_store_writer(store);
    struct cx_vector_store *vectors = NULL;
    const struct cx_vector_options options = { .provider = info.provider,
                                               .model = info.model,
                                               .fingerprint = info.fingerprint,
                                               .dimension = info.dimension,
                                               .index_bytes_max = (size_t)1 << 32 };
    must(cx_vector_store_open(w->db, &options, &vectors, &err), &err);
    must(cx_vector_find(vectors, CX_STR("default"), &w->v, &err), &err);

    float *of_docs = embed(loop, embedder, CX_EMBED_DOCUMENT, &w->docs);
    float *of_queries = embed(loop, embedder, CX_EMBED_QUERY, &w->queries);
    struct cx_document *put = calloc(w->docs.count, sizeof *put);
    for (size_t i = 0; i < w->docs.count; i++) {
        put[i] = (struct cx_document){ .doc_id = cx_str_of(w->docs.rows[i].field[0]),
                                       .content = cx_str_of(w->docs.rows[i].field[1]),
                                       .metadata = CX_STR("{}"),
                                       .vector = of_docs + i * info.dimension,
                                       .dimension = info.dimension };
    }
    struct cx_vector_put figures;
    must(cx_vector_put(w->v, w->db, put, w->docs.count, &figures, &err), &err);
    measure(w, "keyword", CX_SEARCH_KEYWORD, CX_FUSION_WEIGHTED, NULL, info.dimension);
    measure(w, "semantic", CX_SEARCH_SEMANTIC, CX_FUSION_WEIGHTED, of_queries, info.dimension);
    measure(w, "hybrid", CX_SEARCH_HYBRID, CX_FUSION_WEIGHTED, of_queries, info.dimension);
    measure(w, "hybrid by places", CX_SEARCH_HYBRID, CX_FUSION_RRF, of_queries, info.dimension);
    free(of_docs);
    free(of_queries);
    free(put);
    (void)cx_vector_release(&w->v);
    cx_vector_store_free(&vectors);
    cx_store_close(&store);
    unlink(path);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: retrieval FOLDER [MODEL [PRECISION]]\n");
        return 64;
    }
    struct world w = { .docs = read_table(argv[1], "docs.tsv", 2),
                       .queries = read_table(argv[1], "queries.tsv", 2),
                       .grades = read_table(argv[1], "qrels.tsv", 3) };
    struct cx_err err = { "" };
    struct cx_loop *loop = NULL;
    struct cx_lane *lane = NULL;
    const unsigned threads = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    must(cx_loop_new(threads, &loop, &err), &err);
    const struct cx_lane_options lane_options = { .name = "cpu",
                                                  .running = threads,
                                                  .waiting = 1000 };
    cx_lane_new(loop, &lane_options, &lane);
    struct cx_embedder *embedder = NULL;
    cx_embedder_builtin(lane, &embedder);
    judge(&w, loop, embedder);
    cx_embedder_free(&embedder);
    if (argc > 2) {
        const struct cx_embed_huggingface_options options = {
            .directory = argv[2],
            .model = argv[2],
            .precision =
                argc > 3 ? (enum cx_embed_precision)atoi(argv[3]) : CX_EMBED_PRECISION_AUTO,
            .loop = loop,
            .lane = lane,
            .parallel = threads,
        };
        must(cx_embedder_huggingface(&options, &embedder, &err), &err);
        judge(&w, loop, embedder);
        cx_embedder_free(&embedder);
    }
    cx_lane_free(&lane);
    cx_loop_free(&loop);
    return 0;
}
