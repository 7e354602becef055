/* SPDX-License-Identifier: MIT
 *
 * A vector store in a fresh database of the running test, and short ways to fill and ask it.
 */
#ifndef CORTEX_TEST_VECTOR_FIXTURE_H
#define CORTEX_TEST_VECTOR_FIXTURE_H

#include "cortex/vector.h"
#include "test.h"

#define DIMENSION 8
#define BYTES_MAX ((size_t)1 << 30) /* of an index that may have all it wants */

struct fixture {
    struct cx_store *store;
    struct cx_db *db; /* the writer */
    struct cx_vector_store *vectors;
    struct cx_vector *v; /* "default" */
    char path[512];
    json_t *filter_json;
    struct cx_vector_filter *filter;
};
bool fixture_open(struct fixture *f);
bool fixture_open_with(struct fixture *f, const char *fingerprint, unsigned dimension,
                       size_t bytes_max, struct cx_err *err);
/* A collection of more vectors than graph_above gets a graph, once cx_vector_tend is called. */
bool fixture_open_graph(struct fixture *f, unsigned dimension, size_t graph_above);
void fixture_close(struct fixture *f);
/* Opened, looked at, and closed: its default collection belongs to another model. */
bool is_of_another_model(struct fixture *f, const char *fingerprint, unsigned dimension);

/* The first column of the first row; -1 where that fails. */
int64_t count_of(struct fixture *f, const char *sql);
/* Until nothing is left to be swept; how many calls that took. */
size_t sweep_all(struct fixture *f);
/* Until all graphs are as they should be. */
void tend_all(struct fixture *f);

/* Of this text; good until the next one or the end. */
const struct cx_vector_filter *filter(struct fixture *f, const char *text);
/* The caller frees both, in any order. */
bool filter_parse(const char *text, json_t **json, struct cx_vector_filter **out);

/* A unit vector drawn from a small generator; the same seed gives the same. */
void draw_unit(uint64_t *state, float *out, unsigned dimension);
uint64_t draw(uint64_t *state);

struct cx_document document(const char *id, const char *content, const char *metadata,
                            const float *vector);
enum cx_status put(struct fixture *f, const struct cx_document *docs, size_t count,
                   struct cx_vector_put *figures);
bool put_one(struct fixture *f, const char *id, const char *content, const char *metadata,
             const float *vector);
/* The ids of the hits, joined by spaces; "!STATUS" when the search failed. text: 1,024 bytes. */
const char *search_ids(struct fixture *f, const struct cx_search *search, char text[1024]);
json_t *search_hits(struct fixture *f, const struct cx_search *search);

#endif
