/* SPDX-License-Identifier: MIT
 *
 * The reader of safetensors (safetensors.h).
 */
#include "safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "half.h"
#include "model_file.h"

#define HEADER_BYTES_MAX ((uint64_t)16 << 20)
#define FILES_MAX 1024
#define PIECE_BYTES ((size_t)1 << 20) /* of 16-bit numbers, read at one go; even */

struct shard {
    char *path;
    int fd;
    json_t *header;
    uint64_t data_offset;
    uint64_t data_bytes;
};
struct embed__tensors {
    struct shard *shards;
    size_t count;
    json_t *index; /* weight_map of an index file, or NULL */
};

enum dtype { DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_OTHER };
struct tensor {
    enum dtype type;
    const char *type_name;
    uint64_t shape[EMBED__TENSOR_RANK_MAX];
    size_t rank;
    uint64_t elements;
    uint64_t begin;
    uint64_t end;
};

static enum cx_status open_index(const char *directory, struct embed__tensors *t,
                                 struct cx_err *err);
static enum cx_status open_shards_of_index(const char *directory, const char *index_path,
                                           struct embed__tensors *t, struct cx_err *err);
static enum cx_status add_shard(const char *path, struct embed__tensors *t, struct cx_err *err);
static enum cx_status read_header(struct shard *s, uint64_t size, struct cx_err *err);
static enum cx_status check_header(const struct shard *s, struct cx_err *err);
static enum cx_status read_entry(const struct shard *s, const char *name, const json_t *entry,
                                 struct tensor *out, struct cx_err *err);
static const struct shard *shard_of(const struct embed__tensors *t, const char *name);
static enum cx_status read_numbers(const struct shard *s, const char *name,
                                   const struct tensor *tensor, float *out, struct cx_err *err);

enum cx_status embed__tensors_open(const char *directory, struct embed__tensors **out,
                                   struct cx_err *err)
{
    char path[EMBED__PATH_BYTES];
    enum cx_status status = embed__model_path(directory, "model.safetensors", path, err);
    if (status == CX_OK) {
        status = embed__tensors_open_file(path, out, err);
    }
    if (status != CX_NOT_FOUND) {
        return status;
    }
    struct embed__tensors *t = cx_alloc(sizeof *t);
    status = open_index(directory, t, err);
    if (status != CX_OK) {
        embed__tensors_free(&t);
        return status;
    }
    *out = t;
    return CX_OK;
}

enum cx_status embed__tensors_open_file(const char *path, struct embed__tensors **out,
                                        struct cx_err *err)
{
    struct embed__tensors *t = cx_alloc(sizeof *t);
    const enum cx_status status = add_shard(path, t, err);
    if (status != CX_OK) {
        embed__tensors_free(&t);
        return status;
    }
    *out = t;
    return CX_OK;
}

void embed__tensors_free(struct embed__tensors **tensors)
{
    struct embed__tensors *t = *tensors;
    if (t == NULL) {
        return;
    }
    for (size_t i = 0; i < t->count; i++) {
        free(t->shards[i].path);
        json_decref(t->shards[i].header);
        (void)close(t->shards[i].fd);
    }
    free(t->shards);
    json_decref(t->index);
    free(t);
    *tensors = NULL;
}

/* ---- Files ---- */

static enum cx_status open_index(const char *directory, struct embed__tensors *t,
                                 struct cx_err *err)
{
    static const char name[] = "model.safetensors.index.json";
    char path[EMBED__PATH_BYTES];
    json_t *root = NULL;
    enum cx_status status = embed__file_read_json(directory, name, &root, err);
    if (status == CX_NOT_FOUND) {
        return cx_err_set(err, status,
                          "%.300s has neither model.safetensors nor %s (other formats, such as "
                          "pytorch_model.bin, are not read)",
                          directory, name);
    }
    if (status == CX_OK) {
        status = embed__model_path(directory, name, path, err);
    }
    if (status == CX_OK) {
        t->index = json_incref(json_object_get(root, "weight_map"));
        status = json_is_object(t->index) && json_object_size(t->index) > 0
                     ? open_shards_of_index(directory, path, t, err)
                     : cx_err_set(err, CX_INVALID, "%s: has no weight_map", path);
    }
    json_decref(root);
    return status;
}

static enum cx_status open_shards_of_index(const char *directory, const char *index_path,
                                           struct embed__tensors *t, struct cx_err *err)
{
    const char *tensor = NULL;
    json_t *value = NULL;
    json_object_foreach(t->index, tensor, value)
    {
        const char *file = json_string_value(value);
        char path[EMBED__PATH_BYTES];
        if (file == NULL || file[0] == '\0' || file[0] == '.' || strchr(file, '/') != NULL) {
            return cx_err_set(err, CX_INVALID, "%s: the file of tensor %.64s is no file name",
                              index_path, tensor);
        }
        enum cx_status status = embed__model_path(directory, file, path, err);
        bool known = false;
        for (size_t i = 0; i < t->count; i++) {
            known = known || strcmp(t->shards[i].path, path) == 0;
        }
        if (status == CX_OK && !known) {
            status = t->count < FILES_MAX
                         ? add_shard(path, t, err)
                         : cx_err_set(err, CX_INVALID, "%s: names too many files", index_path);
        }
        if (status != CX_OK) {
            return status == CX_NOT_FOUND
                       ? cx_err_set(err, CX_INVALID, "%s is missing, which holds tensor %.64s",
                                    path, tensor)
                       : status;
        }
        if (json_object_get(shard_of(t, tensor)->header, tensor) == NULL) {
            return cx_err_set(err, CX_INVALID,
                              "%s: lacks tensor %.64s, which the index says it has", path, tensor);
        }
    }
    return CX_OK;
}

static enum cx_status add_shard(const char *path, struct embed__tensors *t, struct cx_err *err)
{
    struct shard s = { .fd = -1 };
    uint64_t size = 0;
    enum cx_status status = embed__file_open(path, &s.fd, &size, err);
    if (status != CX_OK) {
        return status;
    }
    s.path = cx_strdup(path);
    status = read_header(&s, size, err);
    if (status == CX_OK) {
        status = check_header(&s, err);
    }
    if (status != CX_OK) {
        free(s.path);
        json_decref(s.header);
        (void)close(s.fd);
        return status;
    }
    t->shards = cx_realloc_array(t->shards, t->count + 1, sizeof *t->shards);
    t->shards[t->count++] = s;
    return CX_OK;
}

static enum cx_status read_header(struct shard *s, uint64_t size, struct cx_err *err)
{
    uint8_t prefix[8];
    if (size < sizeof prefix) {
        return cx_err_set(err, CX_INVALID, "%s: is cut: it has %llu bytes", s->path,
                          (unsigned long long)size);
    }
    enum cx_status status = embed__file_read_at(s->fd, s->path, prefix, sizeof prefix, 0, err);
    if (status != CX_OK) {
        return status;
    }
    uint64_t len = 0;
    for (size_t i = sizeof prefix; i-- > 0;) {
        len = len << 8 | prefix[i];
    }
    if (len < 2 || len > HEADER_BYTES_MAX) {
        return cx_err_set(err, CX_INVALID, "%s: is no safetensors file (a header of %llu bytes)",
                          s->path, (unsigned long long)len);
    }
    if (len > size - sizeof prefix) {
        return cx_err_set(err, CX_INVALID, "%s: is cut within its header", s->path);
    }
    char *text = malloc((size_t)len);
    if (text == NULL) {
        return cx_err_set(err, CX_NO_MEMORY, "%s: there is no memory for its header", s->path);
    }
    struct cx_err why = { "" };
    status = embed__file_read_at(s->fd, s->path, text, (size_t)len, sizeof prefix, err);
    if (status == CX_OK &&
        cx_json_parse_file((struct cx_str){ text, (size_t)len }, &s->header, &why) != CX_OK) {
        status = cx_err_set(err, CX_INVALID, "%s: its header is broken: %s", s->path, why.text);
    }
    free(text);
    s->data_offset = sizeof prefix + len;
    s->data_bytes = size - s->data_offset;
    return status;
}

/* All of the tensors, and that together they are all of the file: what is cut or put together wrongly
 * is noticed, whoever asks for what. */
static enum cx_status check_header(const struct shard *s, struct cx_err *err)
{
    if (!json_is_object(s->header)) {
        return cx_err_set(err, CX_INVALID, "%s: its header is no JSON object", s->path);
    }
    uint64_t total = 0;
    const char *name = NULL;
    json_t *entry = NULL;
    json_object_foreach(s->header, name, entry)
    {
        struct tensor tensor;
        if (strcmp(name, "__metadata__") == 0) {
            continue;
        }
        const enum cx_status status = read_entry(s, name, entry, &tensor, err);
        if (status != CX_OK) {
            return status;
        }
        if (__builtin_add_overflow(total, tensor.end - tensor.begin, &total)) {
            break;
        }
    }
    return total == s->data_bytes
               ? CX_OK
               : cx_err_set(err, CX_INVALID,
                            "%s: its tensors take %llu bytes, and it has %llu for them", s->path,
                            (unsigned long long)total, (unsigned long long)s->data_bytes);
}

static bool read_whole(const json_t *value, uint64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return false;
    }
    *out = (uint64_t)json_integer_value(value);
    return true;
}

/* Bytes of one number of a type; 0 = of a type that is not known here. */
static uint64_t size_of_type(const char *name)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } types[] = { { "F32", 4 }, { "F16", 2 }, { "BF16", 2 }, { "F64", 8 }, { "I64", 8 },
                  { "U64", 8 }, { "I32", 4 }, { "U32", 4 },  { "I16", 2 }, { "U16", 2 },
                  { "I8", 1 },  { "U8", 1 },  { "BOOL", 1 } };
    for (size_t i = 0; i < CX_ARRAY_LEN(types); i++) {
        if (strcmp(types[i].name, name) == 0) {
            return types[i].bytes;
        }
    }
    return 0;
}

static enum cx_status refuse_tensor(const struct shard *s, const char *name, const char *why,
                                    struct cx_err *err)
{
    return cx_err_set(err, CX_INVALID, "%s: tensor %.96s %s", s->path, name, why);
}

static enum cx_status read_entry(const struct shard *s, const char *name, const json_t *entry,
                                 struct tensor *out, struct cx_err *err)
{
    const json_t *shape = json_object_get(entry, "shape");
    const json_t *offsets = json_object_get(entry, "data_offsets");
    *out = (struct tensor){ .type_name = json_string_value(json_object_get(entry, "dtype")),
                            .rank = json_array_size(shape),
                            .elements = 1 };
    if (out->type_name == NULL || !json_is_array(shape) || out->rank > EMBED__TENSOR_RANK_MAX) {
        return refuse_tensor(s, name, "has no type, or no shape of at most 8 dimensions", err);
    }
    for (size_t i = 0; i < out->rank; i++) {
        if (!read_whole(json_array_get(shape, i), &out->shape[i]) ||
            __builtin_mul_overflow(out->elements, out->shape[i], &out->elements)) {
            return refuse_tensor(s, name, "has a shape that cannot be", err);
        }
    }
    if (json_array_size(offsets) != 2 || !read_whole(json_array_get(offsets, 0), &out->begin) ||
        !read_whole(json_array_get(offsets, 1), &out->end) || out->begin > out->end) {
        return refuse_tensor(s, name, "has no data_offsets in order", err);
    }
    if (out->end > s->data_bytes) {
        return refuse_tensor(s, name, "reaches beyond the end of the file, which is cut", err);
    }
    const uint64_t item = size_of_type(out->type_name);
    uint64_t bytes = 0;
    if (item > 0 &&
        (__builtin_mul_overflow(out->elements, item, &bytes) || bytes != out->end - out->begin)) {
        return refuse_tensor(s, name, "has data_offsets that do not fit its shape and type", err);
    }
    out->type = strcmp(out->type_name, "F32") == 0    ? DTYPE_F32
                : strcmp(out->type_name, "F16") == 0  ? DTYPE_F16
                : strcmp(out->type_name, "BF16") == 0 ? DTYPE_BF16
                                                      : DTYPE_OTHER;
    return CX_OK;
}

/* ---- Tensors ---- */

static const struct shard *shard_of(const struct embed__tensors *t, const char *name)
{
    const char *file = json_string_value(json_object_get(t->index, name));
    for (size_t i = 0; i < t->count; i++) {
        const char *slash = strrchr(t->shards[i].path, '/');
        if (t->index == NULL || (file != NULL && slash != NULL && strcmp(slash + 1, file) == 0)) {
            return &t->shards[i];
        }
    }
    return NULL;
}

bool embed__tensors_has(const struct embed__tensors *t, const char *name)
{
    uint64_t shape[EMBED__TENSOR_RANK_MAX];
    return embed__tensors_shape(t, name, shape) != SIZE_MAX;
}

const char *embed__tensors_name(const struct embed__tensors *t, size_t index)
{
    for (size_t i = 0; i < t->count; i++) {
        const char *name = NULL;
        json_t *entry = NULL;
        json_object_foreach(t->shards[i].header, name, entry)
        {
            if (strcmp(name, "__metadata__") != 0 && index-- == 0) {
                return name;
            }
        }
    }
    return NULL;
}

size_t embed__tensors_shape(const struct embed__tensors *t, const char *name,
                            uint64_t shape[EMBED__TENSOR_RANK_MAX])
{
    const struct shard *s = shard_of(t, name);
    const json_t *entry = s != NULL ? json_object_get(s->header, name) : NULL;
    struct tensor tensor;
    if (entry == NULL || strcmp(name, "__metadata__") == 0 ||
        read_entry(s, name, entry, &tensor, NULL) != CX_OK) {
        return SIZE_MAX;
    }
    memcpy(shape, tensor.shape, sizeof tensor.shape);
    return tensor.rank;
}

static void write_shape(const uint64_t *shape, size_t rank, char text[128])
{
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < rank && len < 100; i++) {
        len += (size_t)snprintf(text + len, 128 - len, "%s%llu", i > 0 ? "×" : "",
                                (unsigned long long)shape[i]);
    }
}

enum cx_status embed__tensors_read(const struct embed__tensors *t, const char *name,
                                   const uint64_t *shape, size_t rank, float *out,
                                   struct cx_err *err)
{
    const struct shard *s = shard_of(t, name);
    const json_t *entry = s != NULL ? json_object_get(s->header, name) : NULL;
    if (entry == NULL) {
        return cx_err_set(err, CX_INVALID, "%s: tensor %.96s is missing",
                          t->index != NULL ? "model.safetensors.index.json" : t->shards[0].path,
                          name);
    }
    struct tensor tensor;
    const enum cx_status status = read_entry(s, name, entry, &tensor, err);
    if (status != CX_OK) {
        return status;
    }
    if (tensor.rank != rank ||
        (rank > 0 && memcmp(tensor.shape, shape, rank * sizeof *shape) != 0)) {
        char has[128];
        char wanted[128];
        write_shape(tensor.shape, tensor.rank, has);
        write_shape(shape, rank, wanted);
        return cx_err_set(err, CX_INVALID,
                          "%s: tensor %.96s is of shape %s, and config.json says %s", s->path, name,
                          has, wanted);
    }
    if (tensor.type == DTYPE_OTHER) {
        return cx_err_set(err, CX_INVALID,
                          "%s: tensor %.96s is of type %.16s; F32, F16 and BF16 are read", s->path,
                          name, tensor.type_name);
    }
    return read_numbers(s, name, &tensor, out, err);
}

static enum cx_status read_numbers(const struct shard *s, const char *name,
                                   const struct tensor *tensor, float *out, struct cx_err *err)
{
    const size_t elements = (size_t)tensor->elements;
    const uint64_t offset = s->data_offset + tensor->begin;
    enum cx_status status = CX_OK;
    if (tensor->type == DTYPE_F32) {
        status = embed__file_read_at(s->fd, s->path, out, elements * sizeof *out, offset, err);
        embed__floats_from_little_endian(out, status == CX_OK ? elements : 0);
    } else {
        uint16_t *piece = malloc(PIECE_BYTES);
        if (piece == NULL) {
            return cx_err_set(err, CX_NO_MEMORY, "%s: there is no memory to read it", s->path);
        }
        for (size_t at = 0; at < elements && status == CX_OK;) {
            const size_t left = elements - at;
            const size_t count = left < PIECE_BYTES / 2 ? left : PIECE_BYTES / 2;
            status = embed__file_read_at(s->fd, s->path, piece, count * 2, offset + at * 2, err);
            if (status == CX_OK) {
                embed__floats_from_half(piece, count, tensor->type == DTYPE_BF16, out + at);
            }
            at += count;
        }
        free(piece);
    }
    bool finite = true;
    for (size_t i = 0; i < elements && status == CX_OK; i++) {
        finite &= isfinite(out[i]) != 0;
    }
    return finite ? status : refuse_tensor(s, name, "holds numbers that are not finite", err);
}
