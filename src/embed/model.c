/* SPDX-License-Identifier: MIT
 *
 * Reading a model directory (model.h), the weights aside.
 */
#include "model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "model_file.h"

#define TOKENIZER_BYTES_MAX ((size_t)64 << 20)
#define VOCABULARY_MAX 4000000
#define PROMPT_BYTES_MAX 4096

struct reading {
    const char *directory;
    struct embed__model *model;
    size_t sentence_tokens; /* sentence_bert_config.json's max_seq_length; 0 = says nothing */
    size_t model_tokens;    /* tokenizer_config.json's model_max_length; 0 = says nothing */
    bool lower_first;
    bool include_prompt;
    struct cx_err *err;
};

static enum cx_status check_directory(struct reading *r);
static enum cx_status read_config(struct reading *r);
static enum cx_status read_modules(struct reading *r);
static enum cx_status read_sentence_config(struct reading *r);
static enum cx_status read_tokenizer(struct reading *r);
static enum cx_status read_prompts(struct reading *r);
static enum cx_status set_length(struct reading *r);

enum cx_status embed__model_read(const char *directory, struct embed__model **out,
                                 struct cx_err *err)
{
    struct reading r = { .directory = directory, .include_prompt = true, .err = err };
    static enum cx_status (*const readers[])(struct reading *) = {
        check_directory, read_config,  read_modules, read_sentence_config,
        read_tokenizer,  read_prompts, set_length,
    };
    r.model = cx_alloc(sizeof *r.model);
    r.model->query_prompt = cx_strdup("");
    r.model->document_prompt = cx_strdup("");
    enum cx_status status = CX_OK;
    for (size_t i = 0; i < CX_ARRAY_LEN(readers) && status == CX_OK; i++) {
        status = readers[i](&r);
    }
    if (status != CX_OK) {
        embed__model_free(&r.model);
        return status;
    }
    *out = r.model;
    return CX_OK;
}

void embed__model_free(struct embed__model **model)
{
    if (*model != NULL) {
        embed__tokenizer_free(&(*model)->tokenizer);
        free((*model)->query_prompt);
        free((*model)->document_prompt);
        free(*model);
        *model = NULL;
    }
}

static enum cx_status check_directory(struct reading *r)
{
    struct stat info;
    if (stat(r->directory, &info) == 0 && S_ISDIR(info.st_mode)) {
        return CX_OK;
    }
    return cx_err_set(
        r->err, CX_NOT_FOUND,
        "there is no model in %.200s: put its config.json, model.safetensors, tokenizer.json (or "
        "vocab.txt and tokenizer_config.json) there and, as far as it has them, modules.json, "
        "1_Pooling/config.json, sentence_bert_config.json and config_sentence_transformers.json",
        r->directory);
}

/* A JSON object of the directory; *out NULL when the file may be missing and is. */
static enum cx_status read_object(struct reading *r, const char *name, bool needed, json_t **out)
{
    *out = NULL;
    enum cx_status status = embed__file_read_json(r->directory, name, out, r->err);
    if (status == CX_NOT_FOUND && !needed) {
        return CX_OK;
    }
    if (status == CX_OK && !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        status = cx_err_set(r->err, CX_INVALID, "%.300s/%s: is no JSON object", r->directory, name);
    }
    return status;
}

static enum cx_status refuse(struct reading *r, const char *file, const char *format, ...)
    CX_PRINTF(3, 4);
static enum cx_status refuse(struct reading *r, const char *file, const char *format, ...)
{
    char why[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, sizeof why, format, args);
    va_end(args);
    return cx_err_set(r->err, CX_INVALID, "%.220s/%s: %s", r->directory, file, why);
}

/* ---- config.json ---- */

static enum cx_status read_sizes(struct reading *r, const json_t *config);
static enum cx_status read_kind(struct reading *r, const json_t *config);

static enum cx_status read_config(struct reading *r)
{
    json_t *config = NULL;
    enum cx_status status = read_object(r, "config.json", true, &config);
    if (status == CX_NOT_FOUND) {
        return cx_err_set(r->err, status,
                          "%.200s has no config.json: put there what the model's own directory has "
                          "(config.json, model.safetensors, tokenizer.json, modules.json, …)",
                          r->directory);
    }
    if (status == CX_OK) {
        status = read_kind(r, config);
    }
    if (status == CX_OK) {
        status = read_sizes(r, config);
    }
    json_decref(config);
    return status;
}

static enum cx_status read_kind(struct reading *r, const json_t *config)
{
    struct embed__bert_shape *shape = &r->model->shape;
    const char *type = json_string_value(json_object_get(config, "model_type"));
    const char *positions = json_string_value(json_object_get(config, "position_embedding_type"));
    const char *act = json_string_value(json_object_get(config, "hidden_act"));
    if (type == NULL || (strcmp(type, "bert") != 0 && strcmp(type, "mpnet") != 0)) {
        return refuse(r, "config.json", "model_type is %.64s; bert and mpnet are supported",
                      type != NULL ? type : "not given");
    }
    shape->family = strcmp(type, "bert") == 0 ? EMBED__BERT : EMBED__MPNET;
    if (positions != NULL && strcmp(positions, "absolute") != 0) {
        return refuse(r, "config.json", "position_embedding_type is %.64s; absolute is supported",
                      positions);
    }
    if (json_is_true(json_object_get(config, "is_decoder"))) {
        return refuse(r, "config.json", "is_decoder: decoders are not supported");
    }
    const json_t *buckets = json_object_get(config, "relative_attention_num_buckets");
    if (buckets != NULL && json_integer_value(buckets) != 32) {
        return refuse(r, "config.json", "relative_attention_num_buckets must be 32");
    }
    static const struct {
        const char *name;
        enum embed__activation activation;
    } activations[] = {
        { "gelu", EMBED__GELU },
        { "gelu_python", EMBED__GELU },
        { "gelu_new", EMBED__GELU_TANH },
        { "gelu_fast", EMBED__GELU_TANH },
        { "gelu_pytorch_tanh", EMBED__GELU_TANH },
        { "relu", EMBED__RELU },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(activations); i++) {
        if (strcmp(act != NULL ? act : "gelu", activations[i].name) == 0) {
            shape->activation = activations[i].activation;
            return CX_OK;
        }
    }
    return refuse(r, "config.json", "hidden_act is %.64s, which is not supported", act);
}

static enum cx_status read_sizes(struct reading *r, const json_t *config)
{
    struct embed__bert_shape *shape = &r->model->shape;
    const struct {
        const char *name;
        size_t *out;
        json_int_t most;
        json_int_t otherwise; /* 0 = must be there */
    } sizes[] = {
        { "num_hidden_layers", &shape->layers, EMBED__LAYERS_MAX, 0 },
        { "hidden_size", &shape->hidden, EMBED__HIDDEN_MAX, 0 },
        { "num_attention_heads", &shape->heads, EMBED__HIDDEN_MAX, 0 },
        { "intermediate_size", &shape->intermediate, EMBED__INTERMEDIATE_MAX, 0 },
        { "max_position_embeddings", &shape->positions, EMBED__POSITIONS_MAX, 0 },
        { "vocab_size", &shape->vocabulary, VOCABULARY_MAX, 0 },
        { "type_vocab_size", &shape->token_types, 1024, 2 },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(sizes); i++) {
        const json_t *value = json_object_get(config, sizes[i].name);
        const json_int_t number = value == NULL ? sizes[i].otherwise : json_integer_value(value);
        if (number < 1 || number > sizes[i].most) {
            return refuse(r, "config.json", "%s must be a whole number from 1 to %lld",
                          sizes[i].name, (long long)sizes[i].most);
        }
        *sizes[i].out = (size_t)number;
    }
    if (shape->hidden % shape->heads != 0) {
        return refuse(r, "config.json", "num_attention_heads must divide hidden_size");
    }
    const json_t *eps = json_object_get(config, "layer_norm_eps");
    const double value = eps == NULL ? 1e-12 : json_number_value(eps);
    if (!(value > 0.0 && value < 1.0)) {
        return refuse(r, "config.json", "layer_norm_eps must be between 0 and 1");
    }
    shape->layer_norm_eps = (float)value;
    return CX_OK;
}

/* ---- modules.json, 1_Pooling ---- */

static enum cx_status read_module(struct reading *r, size_t index, const json_t *module,
                                  bool *pooled);
static enum cx_status read_pooling(struct reading *r, const char *folder);

static enum cx_status read_modules(struct reading *r)
{
    json_t *modules = NULL;
    bool pooled = false;
    enum cx_status status = embed__file_read_json(r->directory, "modules.json", &modules, r->err);
    if (status == CX_NOT_FOUND) {
        r->model->pooling = EMBED__MEAN; /* as sentence-transformers does with a bare network */
        return CX_OK;
    }
    if (status == CX_OK && json_array_size(modules) == 0) {
        status = refuse(r, "modules.json", "is no list of modules");
    }
    for (size_t i = 0; status == CX_OK && i < json_array_size(modules); i++) {
        status = read_module(r, i, json_array_get(modules, i), &pooled);
    }
    if (status == CX_OK && !pooled) {
        status = refuse(r, "modules.json", "has no pooling");
    }
    json_decref(modules);
    return status;
}

/* Transformer, then Pooling, then at most Normalize: every vector is made of length 1 anyway. */
static enum cx_status read_module(struct reading *r, size_t index, const json_t *module,
                                  bool *pooled)
{
    const char *type = json_string_value(json_object_get(module, "type"));
    const char *path = json_string_value(json_object_get(module, "path"));
    const char *dot = type != NULL ? strrchr(type, '.') : NULL;
    const char *name = dot != NULL ? dot + 1 : type != NULL ? type : "(none)";
    if (strcmp(name, "Transformer") == 0 && index == 0) {
        return path == NULL || path[0] == '\0'
                   ? CX_OK
                   : refuse(r, "modules.json",
                            "keeps its network in %.64s; it must stand in the "
                            "directory itself",
                            path);
    }
    if (strcmp(name, "Pooling") == 0 && index == 1) {
        *pooled = true;
        if (path == NULL || path[0] == '\0' || path[0] == '.' || strchr(path, '/') != NULL) {
            return refuse(r, "modules.json", "the path of its pooling is no folder's name");
        }
        return read_pooling(r, path);
    }
    if (strcmp(name, "Normalize") == 0 && index == 2) {
        return CX_OK;
    }
    return refuse(r, "modules.json",
                  "module %zu is %.64s; Transformer, Pooling and Normalize, in this order, are "
                  "supported",
                  index, name);
}

static enum cx_status read_pooling(struct reading *r, const char *folder)
{
    char name[320];
    json_t *pooling = NULL;
    (void)snprintf(name, sizeof name, "%.255s/config.json", folder);
    enum cx_status status = read_object(r, name, true, &pooling);
    if (status == CX_NOT_FOUND) {
        return cx_err_set(r->err, status, "%.200s/%s is missing, which modules.json needs",
                          r->directory, name);
    }
    if (status != CX_OK) {
        return status;
    }
    static const struct {
        const char *name;
        int pooling; /* -1 = is not supported */
    } modes[] = {
        { "pooling_mode_cls_token", EMBED__CLS },   { "pooling_mode_mean_tokens", EMBED__MEAN },
        { "pooling_mode_max_tokens", EMBED__MAX },  { "pooling_mode_mean_sqrt_len_tokens", -1 },
        { "pooling_mode_weightedmean_tokens", -1 }, { "pooling_mode_lasttoken", -1 },
    };
    size_t chosen = 0;
    for (size_t i = 0; i < CX_ARRAY_LEN(modes) && status == CX_OK; i++) {
        if (json_is_true(json_object_get(pooling, modes[i].name))) {
            chosen++;
            r->model->pooling = (enum embed__pooling)modes[i].pooling;
            if (modes[i].pooling < 0) {
                status = refuse(r, name, "%s is not supported", modes[i].name);
            }
        }
    }
    if (status == CX_OK && chosen != 1) {
        status = refuse(r, name, "must choose one of cls, mean and max, and chooses %zu", chosen);
    }
    const json_t *dimension = json_object_get(pooling, "word_embedding_dimension");
    if (status == CX_OK && dimension != NULL &&
        json_integer_value(dimension) != (json_int_t)r->model->shape.hidden) {
        status = refuse(r, name, "word_embedding_dimension is not config.json's hidden_size");
    }
    r->include_prompt = !json_is_false(json_object_get(pooling, "include_prompt"));
    json_decref(pooling);
    return status;
}

/* ---- sentence_bert_config.json, the tokenizer ---- */

static size_t length_of(const json_t *value)
{
    const double length = json_number_value(value);
    return length >= 1.0 && length <= (double)EMBED__POSITIONS_MAX ? (size_t)length : 0;
}

static enum cx_status read_sentence_config(struct reading *r)
{
    json_t *config = NULL;
    enum cx_status status = read_object(r, "sentence_bert_config.json", false, &config);
    const json_t *most = json_object_get(config, "max_seq_length");
    if (status == CX_OK && json_is_number(most)) {
        r->sentence_tokens = length_of(most);
        if (r->sentence_tokens == 0) {
            status =
                refuse(r, "sentence_bert_config.json",
                       "max_seq_length must be a whole number from 1 to %d", EMBED__POSITIONS_MAX);
        }
    }
    r->lower_first = json_is_true(json_object_get(config, "do_lower_case"));
    json_decref(config);
    return status;
}

static enum cx_status read_model_length(struct reading *r, const json_t *config);
static enum cx_status read_vocab(struct reading *r, struct cx_str config);

static enum cx_status read_tokenizer(struct reading *r)
{
    char path[EMBED__PATH_BYTES];
    char config_path[EMBED__PATH_BYTES];
    struct cx_buf text;
    struct cx_buf config_text;
    cx_buf_init(&text, 0);
    cx_buf_init(&config_text, 0);
    json_t *config = NULL;
    enum cx_status status = read_object(r, "tokenizer_config.json", false, &config);
    if (status == CX_OK) {
        status = read_model_length(r, config);
    }
    json_decref(config);
    if (status == CX_OK) {
        status = embed__model_path(r->directory, "tokenizer.json", path, r->err);
    }
    if (status == CX_OK) {
        status = embed__file_read(path, TOKENIZER_BYTES_MAX, &text, r->err);
        if (status == CX_OK) {
            status = embed__tokenizer_parse((struct cx_str){ text.data, text.len }, path,
                                            &r->model->tokenizer, r->err);
        } else if (status == CX_NOT_FOUND) {
            status = embed__model_path(r->directory, "tokenizer_config.json", config_path, r->err);
            if (status == CX_OK) {
                status = embed__file_read(config_path, TOKENIZER_BYTES_MAX, &config_text, r->err);
            }
            status = status == CX_NOT_FOUND ? CX_OK : status;
            if (status == CX_OK) {
                status = read_vocab(r, (struct cx_str){ config_text.data, config_text.len });
            }
        }
    }
    cx_buf_free(&text);
    cx_buf_free(&config_text);
    if (status == CX_OK) {
        r->model->tokenizer->lower_first = r->lower_first;
    }
    return status;
}

static enum cx_status read_model_length(struct reading *r, const json_t *config)
{
    const char *side = json_string_value(json_object_get(config, "truncation_side"));
    if (side != NULL && strcmp(side, "right") != 0) {
        return refuse(r, "tokenizer_config.json", "truncation_side %.32s is not supported", side);
    }
    r->model_tokens = length_of(json_object_get(config, "model_max_length"));
    return CX_OK;
}

static enum cx_status read_vocab(struct reading *r, struct cx_str config)
{
    char path[EMBED__PATH_BYTES];
    char config_path[EMBED__PATH_BYTES];
    struct cx_buf text;
    cx_buf_init(&text, 0);
    enum cx_status status = embed__model_path(r->directory, "vocab.txt", path, r->err);
    if (status == CX_OK) {
        status = embed__model_path(r->directory, "tokenizer_config.json", config_path, r->err);
    }
    if (status == CX_OK) {
        status = embed__file_read(path, TOKENIZER_BYTES_MAX, &text, r->err);
        if (status == CX_NOT_FOUND) {
            status = cx_err_set(r->err, status,
                                "%.200s has neither tokenizer.json nor vocab.txt (tokenizers of "
                                "other kinds, such as sentencepiece's, are not read)",
                                r->directory);
        }
    }
    if (status == CX_OK) {
        status = embed__tokenizer_parse_vocab((struct cx_str){ text.data, text.len }, path, config,
                                              config_path, &r->model->tokenizer, r->err);
    }
    cx_buf_free(&text);
    return status;
}

/* ---- Prompts, and the length that all of it comes to ---- */

static const char *prompt_named(const json_t *prompts, const char *const *names,
                                const char *otherwise);

static enum cx_status read_prompts(struct reading *r)
{
    static const char *const query[] = { "query", NULL };
    static const char *const document[] = { "document", "passage", "corpus", NULL };
    static const char file[] = "config_sentence_transformers.json";
    json_t *config = NULL;
    enum cx_status status = read_object(r, file, false, &config);
    const json_t *prompts = json_object_get(config, "prompts");
    const char *name = json_string_value(json_object_get(config, "default_prompt_name"));
    const char *otherwise = name != NULL ? json_string_value(json_object_get(prompts, name)) : NULL;
    const char *of_query = prompt_named(prompts, query, otherwise);
    const char *of_document = prompt_named(prompts, document, otherwise);
    if (strlen(of_query) > PROMPT_BYTES_MAX || strlen(of_document) > PROMPT_BYTES_MAX) {
        status = refuse(r, file, "has a prompt of more than %d bytes", PROMPT_BYTES_MAX);
    } else if (!r->include_prompt && (of_query[0] != '\0' || of_document[0] != '\0')) {
        status = refuse(r, file,
                        "has prompts that its pooling leaves out (include_prompt), which "
                        "is not supported");
    }
    if (status == CX_OK) {
        embed__model_set_prompts(r->model, of_query, of_document);
    }
    json_decref(config);
    return status;
}

static const char *prompt_named(const json_t *prompts, const char *const *names,
                                const char *otherwise)
{
    for (; *names != NULL; names++) {
        const char *prompt = json_string_value(json_object_get(prompts, *names));
        if (prompt != NULL) {
            return prompt;
        }
    }
    return otherwise != NULL ? otherwise : "";
}

void embed__model_set_prompts(struct embed__model *model, const char *query, const char *document)
{
    if (query != NULL) {
        free(model->query_prompt);
        model->query_prompt = cx_strdup(query);
    }
    if (document != NULL) {
        free(model->document_prompt);
        model->document_prompt = cx_strdup(document);
    }
}

/* sentence_bert_config.json's word counts, then tokenizer_config.json's, then tokenizer.json's; never
 * more than there are positions. */
static enum cx_status set_length(struct reading *r)
{
    const struct embed__bert_shape *shape = &r->model->shape;
    struct embed__tokenizer *t = r->model->tokenizer;
    const size_t first = shape->family == EMBED__MPNET ? 2 : 0; /* positions that are not used */
    const size_t positions = shape->positions > first ? shape->positions - first : 0;
    size_t most = r->sentence_tokens > 0 ? r->sentence_tokens
                  : r->model_tokens > 0  ? r->model_tokens
                                         : t->tokens_max;
    most = most < positions ? most : positions;
    if (most <= t->before_count + t->after_count) {
        return refuse(r, "config.json", "leaves no room for a text beside %zu special tokens",
                      t->before_count + t->after_count);
    }
    if (t->id_max < 0 || (size_t)t->id_max >= shape->vocabulary) {
        return refuse(r, "config.json", "vocab_size is %zu, and the tokenizer has a token %d",
                      shape->vocabulary, (int)t->id_max);
    }
    t->tokens_max = most;
    return CX_OK;
}
