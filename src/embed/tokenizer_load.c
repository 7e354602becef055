/* SPDX-License-Identifier: MIT
 *
 * Tokenizers from tokenizer.json, as the tokenizers library writes it. What it can say and this
 * tokenizer cannot do is refused by name: a text must never be split in another way than the model
 * learned. vocab.txt stands in tokenizer_vocab.c.
 */
#include "tokenizer_load.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/crypto.h"

#define VOCABULARY_MAX 4000000
#define TOKENS_MAX 1000000

static enum cx_status read_model(struct embed__loading *l);
static enum cx_status read_vocabulary(struct embed__loading *l, json_t *vocabulary);
static enum cx_status read_normalizer(struct embed__loading *l);
static enum cx_status read_pre_tokenizer(struct embed__loading *l);
static enum cx_status read_post_processor(struct embed__loading *l);
static enum cx_status read_template(struct embed__loading *l, const json_t *processor);
static enum cx_status read_pair(struct embed__loading *l, const json_t *processor);
static enum cx_status read_added(struct embed__loading *l);
static enum cx_status read_truncation(struct embed__loading *l);
static bool flag_of(const json_t *object, const char *name, bool otherwise);

enum cx_status embed__tokenizer_parse(struct cx_str json, const char *file,
                                      struct embed__tokenizer **out, struct cx_err *err)
{
    struct embed__loading l = { .file = file, .err = err };
    struct cx_err why = { "" };
    json_t *root = NULL;
    const enum cx_status parsed = cx_json_parse_file(json, &root, &why);
    if (parsed != CX_OK) {
        return cx_err_set(err, parsed == CX_NO_MEMORY ? parsed : CX_INVALID, "%s: %s", file,
                          why.text);
    }
    l.root = root;
    l.made = embed__tokenizer_new();
    cx_sha256(json, l.made->fingerprint);
    static enum cx_status (*const readers[])(struct embed__loading *) = {
        read_model, read_normalizer, read_pre_tokenizer,
        read_added, read_truncation, read_post_processor,
    };
    enum cx_status status =
        json_is_object(root) ? CX_OK : embed__refuse(&l, "it is no JSON object");
    for (size_t i = 0; i < CX_ARRAY_LEN(readers) && status == CX_OK; i++) {
        status = readers[i](&l);
    }
    json_decref(root);
    if (status != CX_OK) {
        embed__tokenizer_free(&l.made);
        return status;
    }
    *out = l.made;
    return CX_OK;
}

struct embed__tokenizer *embed__tokenizer_new(void)
{
    struct embed__tokenizer *t = cx_alloc(sizeof *t);
    t->word_chars_max = 100;
    t->tokens_max = SIZE_MAX;
    return t;
}

enum cx_status embed__refuse(struct embed__loading *l, const char *format, ...)
{
    char why[384];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, sizeof why, format, args);
    va_end(args);
    return cx_err_set(l->err, CX_INVALID, "%s: %s", l->file, why);
}

const char *embed__type_of(const json_t *object)
{
    const char *type = json_string_value(json_object_get(object, "type"));
    return type != NULL ? type : "(none)";
}

int32_t embed__token_id(const struct embed__loading *l, const char *content)
{
    return content != NULL ? embed__trie_find(&l->made->words, cx_str_of(content))
                           : EMBED__TRIE_NONE;
}

enum cx_status embed__put_word(struct embed__loading *l, struct cx_str word, int32_t id)
{
    if (!embed__trie_put(&l->made->words, word, id)) {
        return embed__refuse(l, "the vocabulary is too large");
    }
    l->made->id_max = id > l->made->id_max ? id : l->made->id_max;
    return CX_OK;
}

void embed__find_inside(struct embed__tokenizer *t, const char *prefix)
{
    t->inside = EMBED__TRIE_ROOT;
    t->has_inside = t->words.count > 0;
    for (const char *p = prefix; *p != '\0' && t->has_inside; p++) {
        t->inside = embed__trie_step(&t->words, t->inside, *p);
        t->has_inside = t->inside != 0;
    }
}

/* ---- model ---- */

static enum cx_status read_model(struct embed__loading *l)
{
    const json_t *model = json_object_get(l->root, "model");
    const char *type = embed__type_of(model);
    /* Files of the library's first years leave the type out. */
    const bool unnamed = json_object_get(model, "type") == NULL &&
                         json_object_get(model, "max_input_chars_per_word") != NULL;
    if (strcmp(type, "WordPiece") != 0 && !unnamed) {
        return embed__refuse(l, "its tokenizer is %.64s, and only WordPiece is supported", type);
    }
    const enum cx_status status = read_vocabulary(l, json_object_get(model, "vocab"));
    if (status != CX_OK) {
        return status;
    }
    const char *prefix = json_string_value(json_object_get(model, "continuing_subword_prefix"));
    embed__find_inside(l->made, prefix != NULL ? prefix : "##");
    const char *unknown = json_string_value(json_object_get(model, "unk_token"));
    l->made->unknown = embed__token_id(l, unknown != NULL ? unknown : "[UNK]");
    if (l->made->unknown == EMBED__TRIE_NONE) {
        return embed__refuse(l, "model.unk_token is not in the vocabulary");
    }
    const json_t *most = json_object_get(model, "max_input_chars_per_word");
    if (most != NULL) {
        if (!json_is_integer(most) || json_integer_value(most) < 0) {
            return embed__refuse(l, "model.max_input_chars_per_word must be a whole number");
        }
        l->made->word_chars_max = (size_t)json_integer_value(most);
    }
    return CX_OK;
}

static enum cx_status read_vocabulary(struct embed__loading *l, json_t *vocabulary)
{
    if (!json_is_object(vocabulary) || json_object_size(vocabulary) == 0) {
        return embed__refuse(l, "model.vocab must be an object with the vocabulary");
    }
    const char *word = NULL;
    size_t len = 0;
    json_t *id = NULL;
    json_object_keylen_foreach(vocabulary, word, len, id)
    {
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > VOCABULARY_MAX) {
            return embed__refuse(l, "model.vocab: \"%.64s\" has no number from 0 to %d", word,
                                 VOCABULARY_MAX);
        }
        const enum cx_status status =
            embed__put_word(l, (struct cx_str){ word, len }, (int32_t)json_integer_value(id));
        if (status != CX_OK) {
            return status;
        }
    }
    return CX_OK;
}

/* ---- normalizer, pre-tokenizer ---- */

static enum cx_status read_normalizer(struct embed__loading *l)
{
    const json_t *n = json_object_get(l->root, "normalizer");
    if (n == NULL || json_is_null(n)) {
        return CX_OK; /* the text as it is */
    }
    const json_t *list = json_object_get(n, "normalizers");
    if (strcmp(embed__type_of(n), "Sequence") == 0 && json_array_size(list) == 1) {
        n = json_array_get(list, 0);
    }
    if (strcmp(embed__type_of(n), "BertNormalizer") != 0) {
        return embed__refuse(l, "its normalizer is %.64s, and only BertNormalizer is supported",
                             embed__type_of(n));
    }
    struct embed__normalizer_options *o = &l->made->normalizer;
    o->clean = flag_of(n, "clean_text", true);
    o->space_ideographs = flag_of(n, "handle_chinese_chars", true);
    o->lowercase = flag_of(n, "lowercase", true);
    o->strip_accents = flag_of(n, "strip_accents", o->lowercase); /* null: as lowercase */
    return CX_OK;
}

static bool flag_of(const json_t *object, const char *name, bool otherwise)
{
    const json_t *value = json_object_get(object, name);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

static enum cx_status read_pre_tokenizer(struct embed__loading *l)
{
    const json_t *p = json_object_get(l->root, "pre_tokenizer");
    if (strcmp(embed__type_of(p), "BertPreTokenizer") != 0) {
        return embed__refuse(l,
                             "its pre-tokenizer is %.64s, and only BertPreTokenizer is supported",
                             embed__type_of(p));
    }
    return CX_OK;
}

/* ---- added tokens ---- */

static enum cx_status read_one_added(struct embed__loading *l, size_t index, const json_t *row);

static enum cx_status read_added(struct embed__loading *l)
{
    const json_t *rows = json_object_get(l->root, "added_tokens");
    enum cx_status status = CX_OK;
    for (size_t pass = 0; pass < 2;
         pass++) { /* special ones come first: of equal ones they count */
        for (size_t i = 0; i < json_array_size(rows) && status == CX_OK; i++) {
            const json_t *row = json_array_get(rows, i);
            if (flag_of(row, "special", false) == (pass == 0)) {
                status = read_one_added(l, i, row);
            }
        }
    }
    return status;
}

static enum cx_status read_one_added(struct embed__loading *l, size_t index, const json_t *row)
{
    const char *content = json_string_value(json_object_get(row, "content"));
    const json_t *id = json_object_get(row, "id");
    if (content == NULL || !json_is_integer(id) || json_integer_value(id) < 0 ||
        json_integer_value(id) > VOCABULARY_MAX) {
        return embed__refuse(l, "added_tokens[%zu] has no content or no id", index);
    }
    if (content[0] == '\0') {
        return CX_OK;
    }
    const int32_t known = embed__token_id(l, content);
    const struct embed__added_token token = {
        .id = known != EMBED__TRIE_NONE ? known : (int32_t)json_integer_value(id),
        .single_word = flag_of(row, "single_word", false),
        .strip_left = flag_of(row, "lstrip", false),
        .strip_right = flag_of(row, "rstrip", false),
    };
    l->made->id_max = token.id > l->made->id_max ? token.id : l->made->id_max;
    return embed__add_token(l, content, &token, flag_of(row, "normalized", true));
}

static void append_code(void *ctx, uint32_t code);

enum cx_status embed__add_token(struct embed__loading *l, const char *content,
                                const struct embed__added_token *token, bool normalized)
{
    struct embed__tokenizer *t = l->made;
    if (!normalized) {
        return embed__added_put(&t->added, cx_str_of(content), token)
                   ? CX_OK
                   : embed__refuse(l, "the added token \"%.64s\" is one too many, or too long",
                                   content);
    }
    struct cx_buf text;
    cx_buf_init(&text, EMBED__ADDED_BYTES_MAX * 4);
    struct embed__normalizer n = { .options = t->normalizer, .emit = append_code, .ctx = &text };
    struct cx_str rest = cx_str_of(content);
    while (rest.len > 0) {
        uint32_t code = 0;
        const size_t unit = cx_utf8_decode(rest, &code);
        embed__normalize(&n, code);
        rest = (struct cx_str){ rest.p + unit, rest.len - unit };
    }
    embed__normalize_end(&n);
    embed__normalizer_free(&n);
    const bool fits =
        !n.failed && !text.failed &&
        (text.len == 0 ||
         embed__added_put(&t->added_normalized, (struct cx_str){ text.data, text.len }, token));
    cx_buf_free(&text);
    return fits ? CX_OK
                : embed__refuse(l, "the added token \"%.64s\" is one too many, or too long",
                                content);
}

static void append_code(void *ctx, uint32_t code)
{
    char bytes[CX_UTF8_BYTES_MAX];
    cx_buf_append(ctx, bytes, cx_utf8_encode(code, bytes));
}

/* ---- truncation, what stands around a text ---- */

static enum cx_status read_truncation(struct embed__loading *l)
{
    const json_t *truncation = json_object_get(l->root, "truncation");
    const json_t *most = json_object_get(truncation, "max_length");
    const char *direction = json_string_value(json_object_get(truncation, "direction"));
    if (direction != NULL && strcmp(direction, "Right") != 0) {
        return embed__refuse(l, "it cuts texts on the left, which is not supported");
    }
    if (json_is_integer(most) && json_integer_value(most) > 0 &&
        json_integer_value(most) <= TOKENS_MAX) {
        l->made->tokens_max = (size_t)json_integer_value(most);
    }
    return CX_OK;
}

static enum cx_status read_post_processor(struct embed__loading *l)
{
    const json_t *p = json_object_get(l->root, "post_processor");
    if (p == NULL || json_is_null(p)) {
        return CX_OK;
    }
    const char *type = embed__type_of(p);
    if (strcmp(type, "TemplateProcessing") == 0) {
        return read_template(l, p);
    }
    if (strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0) {
        return read_pair(l, p);
    }
    return embed__refuse(l, "its post-processor is %.64s, which is not supported", type);
}

static enum cx_status put_special(struct embed__loading *l, bool after, const json_t *id);

static enum cx_status read_template(struct embed__loading *l, const json_t *processor)
{
    const json_t *items = json_object_get(processor, "single");
    const json_t *known = json_object_get(processor, "special_tokens");
    bool after = false;
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        const json_t *sequence = json_object_get(item, "Sequence");
        const json_t *special = json_object_get(item, "SpecialToken");
        const json_t *type = json_object_get(sequence != NULL ? sequence : special, "type_id");
        if (json_integer_value(type) != 0) {
            return embed__refuse(l,
                                 "its post-processor uses token types other than 0 for one text");
        }
        if (sequence != NULL) {
            const char *id = json_string_value(json_object_get(sequence, "id"));
            if (after || id == NULL || strcmp(id, "A") != 0) {
                return embed__refuse(l, "post_processor.single must hold the text A once");
            }
            after = true;
            continue;
        }
        const char *name = json_string_value(json_object_get(special, "id"));
        const json_t *ids =
            name != NULL ? json_object_get(json_object_get(known, name), "ids") : NULL;
        if (json_array_size(ids) == 0) {
            return embed__refuse(l, "post_processor.single names a special token that has no ids");
        }
        for (size_t k = 0; k < json_array_size(ids); k++) {
            const enum cx_status status = put_special(l, after, json_array_get(ids, k));
            if (status != CX_OK) {
                return status;
            }
        }
    }
    return after ? CX_OK : embed__refuse(l, "post_processor.single must hold the text A once");
}

/* "cls": ["[CLS]", 101], "sep": ["[SEP]", 102] */
static enum cx_status read_pair(struct embed__loading *l, const json_t *processor)
{
    const enum cx_status status =
        put_special(l, false, json_array_get(json_object_get(processor, "cls"), 1));
    return status == CX_OK
               ? put_special(l, true, json_array_get(json_object_get(processor, "sep"), 1))
               : status;
}

static enum cx_status put_special(struct embed__loading *l, bool after, const json_t *id)
{
    if (!json_is_integer(id) || json_integer_value(id) < 0 ||
        json_integer_value(id) > VOCABULARY_MAX) {
        return embed__refuse(l, "post_processor names a special token without a number");
    }
    return embed__put_special(l, after, (int32_t)json_integer_value(id));
}

enum cx_status embed__put_special(struct embed__loading *l, bool after, int32_t id)
{
    struct embed__tokenizer *t = l->made;
    size_t *count = after ? &t->after_count : &t->before_count;
    if (*count == EMBED__SPECIALS_MAX) {
        return embed__refuse(l, "more than %d special tokens stand on one side of a text",
                             EMBED__SPECIALS_MAX);
    }
    (after ? t->after : t->before)[(*count)++] = id;
    t->id_max = id > t->id_max ? id : t->id_max;
    return CX_OK;
}
