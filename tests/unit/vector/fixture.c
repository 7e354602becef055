/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool fixture_open(struct fixture *f)
{
    struct cx_err err = { "" };
    return test_expect(fixture_open_with(f, "print-1", DIMENSION, (size_t)1 << 30, &err), __FILE__,
                       __LINE__, "open: %s", err.text);
}

static bool open_with(struct fixture *f, const struct cx_vector_options *options,
                      struct cx_err *err)
{
    *f = (struct fixture){ 0 };
    snprintf(f->path, sizeof f->path, "%s/vector.db", test_dir());
    const struct cx_store_options store_options = {
        .path = f->path,
        .readers = 4,
        .migrations = cx_vector_migrations,
        .migration_count = cx_vector_migration_count,
    };
    if (cx_store_open(&store_options, &f->store, err) != CX_OK) {
        return false;
    }
    f->db = cx_store_writer(f->store);
    if (cx_vector_store_open(f->db, options, &f->vectors, err) != CX_OK) {
        cx_store_close(&f->store);
        return false;
    }
    return cx_vector_find(f->vectors, CX_STR("default"), &f->v, err) == CX_OK;
}

bool fixture_open_with(struct fixture *f, const char *fingerprint, unsigned dimension,
                       size_t bytes_max, struct cx_err *err)
{
    const struct cx_vector_options options = {
        .provider = "test",
        .model = fingerprint,
        .fingerprint = fingerprint,
        .dimension = dimension,
        .index_bytes_max = bytes_max,
    };
    return open_with(f, &options, err);
}

bool fixture_open_graph(struct fixture *f, unsigned dimension, size_t graph_above)
{
    struct cx_err err = { "" };
    const struct cx_vector_options options = {
        .provider = "test",
        .model = "print-1",
        .fingerprint = "print-1",
        .dimension = dimension,
        .index_bytes_max = (size_t)1 << 30,
        .graph_above = graph_above,
        .graph_breadth = 40,
    };
    return test_expect(open_with(f, &options, &err), __FILE__, __LINE__, "open: %s", err.text);
}

void fixture_close(struct fixture *f)
{
    cx_vector_filter_free(&f->filter);
    json_decref(f->filter_json);
    EXPECT(cx_vector_release(&f->v) == NULL);
    cx_vector_store_free(&f->vectors);
    if (f->store != NULL) {
        cx_store_close(&f->store);
    }
}

const struct cx_vector_filter *filter(struct fixture *f, const char *text)
{
    cx_vector_filter_free(&f->filter);
    json_decref(f->filter_json);
    f->filter_json = NULL;
    (void)filter_parse(text, &f->filter_json, &f->filter);
    return f->filter;
}

bool filter_parse(const char *text, json_t **json, struct cx_vector_filter **out)
{
    struct cx_err err = { "" };
    struct cx_faults faults;
    cx_faults_init(&faults);
    json_t *loc = json_array();
    bool parsed = cx_json_parse(cx_str_of(text), json, &err) == CX_OK;
    if (parsed && !cx_vector_filter_parse(*json, loc, &faults, out)) {
        cx_faults_sentence(&faults, &err);
        parsed = false;
    }
    cx_faults_free(&faults);
    json_decref(loc);
    return test_expect(parsed, __FILE__, __LINE__, "%s: %s", text, err.text);
}

bool is_of_another_model(struct fixture *f, const char *fingerprint, unsigned dimension)
{
    struct cx_err err = { "" };
    struct cx_vector_figures figures;
    if (!fixture_open_with(f, fingerprint, dimension, (size_t)1 << 30, &err)) {
        return false;
    }
    cx_vector_figures(f->v, &figures);
    fixture_close(f);
    return figures.status == CX_VECTOR_OTHER_MODEL;
}

uint64_t draw(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void draw_unit(uint64_t *state, float *out, unsigned dimension)
{
    double sum = 0;
    for (unsigned i = 0; i < dimension; i++) {
        out[i] = (float)((double)(draw(state) >> 11) / 0x1p52 - 1);
        sum += (double)out[i] * (double)out[i];
    }
    for (unsigned i = 0; i < dimension; i++) {
        out[i] = (float)((double)out[i] / sqrt(sum));
    }
}

struct cx_document document(const char *id, const char *content, const char *metadata,
                            const float *vector)
{
    return (struct cx_document){
        .doc_id = cx_str_of(id),
        .content = cx_str_of(content),
        .uri = CX_STR(""),
        .metadata = cx_str_of(metadata),
        .vector = vector,
        .dimension = DIMENSION,
    };
}

enum cx_status put(struct fixture *f, const struct cx_document *docs, size_t count,
                   struct cx_vector_put *figures)
{
    struct cx_vector_put unused;
    struct cx_err err = { "" };
    return cx_vector_put(f->v, f->db, docs, count, figures != NULL ? figures : &unused, &err);
}

bool put_one(struct fixture *f, const char *id, const char *content, const char *metadata,
             const float *vector)
{
    const struct cx_document doc = document(id, content, metadata, vector);
    struct cx_vector_put figures;
    struct cx_err err = { "" };
    const enum cx_status status = cx_vector_put(f->v, f->db, &doc, 1, &figures, &err);
    return test_expect(status == CX_OK, __FILE__, __LINE__, "put %s: %s", id, err.text);
}

json_t *search_hits(struct fixture *f, const struct cx_search *search)
{
    struct cx_db *reader = cx_store_reader(f->store);
    struct cx_err err = { "" };
    json_t *hits = NULL;
    const enum cx_status status = cx_vector_search(f->v, reader, search, &hits, &err);
    cx_store_return(f->store, reader);
    (void)test_expect(status == CX_OK, __FILE__, __LINE__, "search: %s: %s", cx_status_name(status),
                      err.text);
    return hits;
}

const char *search_ids(struct fixture *f, const struct cx_search *search, char text[1024])
{
    struct cx_db *reader = cx_store_reader(f->store);
    struct cx_err err = { "" };
    json_t *hits = NULL;
    const enum cx_status status = cx_vector_search(f->v, reader, search, &hits, &err);
    cx_store_return(f->store, reader);
    text[0] = '\0';
    if (status != CX_OK) {
        snprintf(text, 1024, "!%s", cx_status_name(status));
        return text;
    }
    for (size_t i = 0; i < json_array_size(hits); i++) {
        const json_t *id = json_object_get(json_array_get(hits, i), "doc_id");
        const size_t len = strlen(text);
        snprintf(text + len, 1024 - len, "%s%s", i > 0 ? " " : "", json_string_value(id));
    }
    json_decref(hits);
    return text;
}

int64_t count_of(struct fixture *f, const char *sql)
{
    struct cx_stmt *s = NULL;
    struct cx_err err = { "" };
    bool row = false;
    if (cx_db_prepare(f->db, sql, &s, &err) != CX_OK || cx_stmt_step(s, &row, &err) != CX_OK ||
        !row) {
        return -1;
    }
    const int64_t count = cx_stmt_int(s, 0);
    cx_stmt_reset(s);
    return count;
}

size_t sweep_all(struct fixture *f)
{
    struct cx_err err = { "" };
    bool more = true;
    size_t calls = 0;
    while (more && calls < 10000) {
        EXPECT_INT(cx_vector_sweep(f->vectors, f->db, &more, &err), CX_OK);
        calls++;
    }
    EXPECT(!more);
    return calls;
}

void tend_all(struct fixture *f)
{
    bool more = true;
    while (more) {
        cx_vector_tend(f->vectors, 5, &more);
    }
}
