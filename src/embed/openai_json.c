/* SPDX-License-Identifier: MIT
 *
 * Requests and answers of the OpenAI embeddings API (openai.h).
 * https://platform.openai.com/docs/api-reference/embeddings/create
 */
#include "openai.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/crypto.h"
#include "cortex/json.h"

static enum cx_status read_all(const json_t *data, size_t count, struct embed__openai_answer *out,
                               struct cx_err *err);
static enum cx_status read_one(const json_t *embedding, struct embed__openai_answer *answer,
                               size_t index, size_t count, struct cx_err *err);
static bool make_room(struct embed__openai_answer *answer, size_t dimension, size_t count);
static bool make_length_one(float *vector, unsigned dimension);

bool embed__openai_write(const struct embed__openai_shape *shape, const struct cx_str *texts,
                         size_t count, struct cx_buf *out)
{
    cx_buf_puts(out, "{\"model\":");
    cx_json_write_string(cx_str_of(shape->model), out);
    if (!shape->plain) {
        cx_buf_puts(out, ",\"encoding_format\":\"base64\"");
    }
    if (shape->dimensions > 0) {
        cx_buf_printf(out, ",\"dimensions\":%u", shape->dimensions);
    }
    cx_buf_puts(out, ",\"input\":[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            cx_buf_putc(out, ',');
        }
        /* The API refuses an empty string, and all that is sent beside it. */
        cx_json_write_string(texts[i].len > 0 ? texts[i] : CX_STR(" "), out);
    }
    cx_buf_puts(out, "]}");
    return !out->failed;
}

enum cx_status embed__openai_read(struct cx_str body, size_t count,
                                  struct embed__openai_answer *out, struct cx_err *err)
{
    json_t *root = NULL;
    if (cx_json_parse(body, &root, NULL) != CX_OK) {
        return cx_err_set(err, CX_EMBEDDING_UPSTREAM,
                          "the embedding service answered something that is not JSON");
    }
    struct embed__openai_answer answer = { 0 };
    const enum cx_status status = read_all(json_object_get(root, "data"), count, &answer, err);
    json_decref(root);
    if (status != CX_OK) {
        free(answer.vectors);
        return status;
    }
    *out = answer;
    return CX_OK;
}

static enum cx_status read_all(const json_t *data, size_t count, struct embed__openai_answer *out,
                               struct cx_err *err)
{
    if (!json_is_array(data) || json_array_size(data) != count) {
        return cx_err_set(err, CX_EMBEDDING_UPSTREAM,
                          "the embedding service answered %zu embeddings for %zu texts",
                          json_array_size(data), count);
    }
    bool *seen = cx_alloc((count + 1) * sizeof *seen);
    enum cx_status status = CX_OK;
    for (size_t i = 0; i < count && status == CX_OK; i++) {
        const json_t *item = json_array_get(data, i);
        const json_t *index = json_object_get(item, "index");
        const json_int_t at = json_is_integer(index) ? json_integer_value(index) : -1;
        if (at < 0 || (size_t)at >= count || seen[at]) {
            status = cx_err_set(err, CX_EMBEDDING_UPSTREAM,
                                "the embedding service answered a wrong index");
            break;
        }
        seen[at] = true;
        status = read_one(json_object_get(item, "embedding"), out, (size_t)at, count, err);
    }
    free(seen);
    return status;
}

static enum cx_status read_one(const json_t *embedding, struct embed__openai_answer *answer,
                               size_t index, size_t count, struct cx_err *err)
{
    const bool base64 = json_is_string(embedding);
    /* Four characters hold three bytes; the last may be padding. */
    const struct cx_str text =
        base64 ? (struct cx_str){ json_string_value(embedding), json_string_length(embedding) }
               : (struct cx_str){ NULL, 0 };
    size_t dimension = json_array_size(embedding);
    if (base64) {
        const size_t padding = text.len < 2                  ? 0
                               : text.p[text.len - 2] == '=' ? 2
                               : text.p[text.len - 1] == '=' ? 1
                                                             : 0;
        dimension = (text.len / 4 * 3 - padding) / sizeof(float);
    }
    if (!make_room(answer, dimension, count)) {
        return cx_err_set(err, CX_EMBEDDING_UPSTREAM,
                          "the embedding service answered an embedding of %zu dimensions instead "
                          "of %u",
                          dimension, answer->dimension);
    }
    float *vector = answer->vectors + index * answer->dimension;
    size_t bytes = 0;
    bool good = true;
    if (base64) {
        good = cx_base64_decode(text, vector, answer->dimension * sizeof *vector, &bytes) &&
               bytes == answer->dimension * sizeof *vector;
    } else {
        for (size_t i = 0; i < dimension; i++) {
            const json_t *number = json_array_get(embedding, i);
            good = good && json_is_number(number);
            vector[i] = (float)json_number_value(number);
        }
    }
    if (!good || !make_length_one(vector, answer->dimension)) {
        return cx_err_set(err, CX_EMBEDDING_UPSTREAM,
                          "the embedding service answered an embedding that is not made of finite "
                          "numbers");
    }
    return CX_OK;
}

/* The first embedding decides the dimension where it was not known; memory comes with it. */
static bool make_room(struct embed__openai_answer *answer, size_t dimension, size_t count)
{
    if (dimension == 0 || dimension > EMBED__OPENAI_DIMENSION_MAX ||
        (answer->dimension != 0 && answer->dimension != dimension)) {
        return false;
    }
    if (answer->vectors == NULL) {
        answer->dimension = (unsigned)dimension;
        answer->vectors = malloc(count * dimension * sizeof *answer->vectors);
    }
    return answer->vectors != NULL;
}

static bool make_length_one(float *vector, unsigned dimension)
{
    double sum = 0;
    for (size_t i = 0; i < dimension; i++) {
        if (!isfinite(vector[i])) {
            return false;
        }
        sum += (double)vector[i] * (double)vector[i];
    }
    const double scale = sum > 0 ? 1 / sqrt(sum) : 0;
    for (size_t i = 0; i < dimension; i++) {
        vector[i] = (float)((double)vector[i] * scale);
    }
    return true;
}
