/* SPDX-License-Identifier: MIT
 *
 * A filter and documents' metadata, a JSON text a line, the filter first. What is taken as a filter must
 * mean the same in all ways: asked of one document, asked of all at once, and as a naive one has it;
 * also when documents have changed and gone. What is refused must say where.
 */
#include <string.h>

#include "../unit/vector/naive_filter.h"
#include "cortex/json.h"
#include "vector/filter_sets.h"

#define DOCUMENTS_MAX 70

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool next_line(struct cx_str *rest, json_t **out);
static struct cx_vector_filter *parse_filter(const json_t *json);
static void expect_same(const struct cx_vector_filter *filter, const json_t *json,
                        const struct vector__facets *facets, json_t *const *documents,
                        size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cx_str rest = { (const char *)data, size };
    json_t *json = NULL;
    if (!next_line(&rest, &json)) {
        return 0;
    }
    struct cx_vector_filter *filter = parse_filter(json);
    json_t *documents[DOCUMENTS_MAX];
    size_t count = 0;
    while (count < DOCUMENTS_MAX && next_line(&rest, &documents[count])) {
        count++;
    }
    struct vector__facets facets;
    vector__facets_init(&facets);
    for (size_t i = 0; i < count; i++) {
        if (json_is_object(documents[i])) {
            vector__facets_set(&facets, (uint32_t)i, documents[i]);
        }
    }
    expect_same(filter, json, &facets, documents, count);
    for (size_t i = 0; i < count; i++) {
        if (i % 3 == 0) {
            vector__facets_remove(&facets, (uint32_t)i);
            json_decref(documents[i]);
            documents[i] = NULL;
        } else if (i % 3 == 1 && json_is_object(documents[i]) && documents[i - 1] == NULL) {
            json_object_set_new(documents[i], "a", json_integer((json_int_t)i));
            vector__facets_set(&facets, (uint32_t)i, documents[i]);
        }
    }
    expect_same(filter, json, &facets, documents, count);
    for (size_t i = 0; i < count; i++) {
        vector__facets_remove(&facets, (uint32_t)i);
        json_decref(documents[i]);
    }
    CX_CHECK(facets.facet_table.count == 0 && facets.field_table.count == 0);
    vector__facets_free(&facets);
    cx_vector_filter_free(&filter);
    json_decref(json);
    return 0;
}

/* False at the end, and at a line that is no JSON. */
static bool next_line(struct cx_str *rest, json_t **out)
{
    const char *end = rest->len > 0 ? memchr(rest->p, '\n', rest->len) : NULL;
    const struct cx_str line = { rest->p, end != NULL ? (size_t)(end - rest->p) : rest->len };
    const size_t taken = end != NULL ? line.len + 1 : line.len;
    struct cx_err err = { "" };
    *rest = (struct cx_str){ rest->p + taken, rest->len - taken };
    return line.len > 0 && cx_json_parse(line, out, &err) == CX_OK;
}

/* NULL where it is refused. */
static struct cx_vector_filter *parse_filter(const json_t *json)
{
    json_t *loc = json_pack("[s]", "filter");
    struct cx_faults faults;
    struct cx_vector_filter *filter = NULL;
    cx_faults_init(&faults);
    const bool taken = cx_vector_filter_parse(json, loc, &faults, &filter);
    CX_CHECK(taken == (filter != NULL) && taken == (faults.count == 0));
    for (size_t i = 0; i < json_array_size(faults.list); i++) {
        const json_t *where = json_object_get(json_array_get(faults.list, i), "loc");
        CX_CHECK(json_equal(json_array_get(where, 0), json_array_get(loc, 0)));
    }
    cx_faults_free(&faults);
    json_decref(loc);
    return filter;
}

static void expect_same(const struct cx_vector_filter *filter, const json_t *json,
                        const struct vector__facets *facets, json_t *const *documents, size_t count)
{
    struct vector__allowed allowed;
    struct cx_err err = { "" };
    if (filter == NULL) {
        return;
    }
    CX_CHECK(vector__filter_ask(filter, facets, &allowed, &err) == CX_OK);
    size_t passed = 0;
    for (size_t i = 0; i < count; i++) {
        if (!json_is_object(documents[i])) {
            CX_CHECK(allowed.all || !vector__allows(&allowed, i));
            continue;
        }
        const bool want = naive_filter(json, documents[i]);
        passed += want ? 1 : 0;
        CX_CHECK(vector__filter_holds(filter, documents[i]) == want);
        CX_CHECK(vector__allows(&allowed, i) == want);
    }
    CX_CHECK(allowed.all || allowed.count == passed);
    vector__allowed_free(&allowed);
}
