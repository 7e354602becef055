/* SPDX-License-Identifier: MIT
 *
 * Tokenizers from vocab.txt, a token a line, with tokenizer_config.json: what stands in the folder of
 * a model that was saved without tokenizer.json.
 */
#include "tokenizer_load.h"

#include <string.h>

#include "cortex/crypto.h"

static enum cx_status read_lines(struct embed__loading *l, struct cx_str vocab);
static enum cx_status read_config(struct embed__loading *l, const json_t *config);
static enum cx_status put_specials(struct embed__loading *l, const json_t *config);
static const char *special_of(const json_t *config, const char *name, const char *otherwise);

enum cx_status embed__tokenizer_parse_vocab(struct cx_str vocab, const char *file,
                                            struct cx_str config, const char *config_file,
                                            struct embed__tokenizer **out, struct cx_err *err)
{
    struct embed__loading l = { .file = config_file, .err = err };
    json_t *root = NULL;
    struct cx_err why = { "" };
    if (config.p != NULL) {
        const enum cx_status parsed = cx_json_parse_file(config, &root, &why);
        if (parsed != CX_OK) {
            return cx_err_set(err, parsed == CX_NO_MEMORY ? parsed : CX_INVALID, "%s: %s",
                              config_file, why.text);
        }
    }
    l.made = embed__tokenizer_new();
    const struct cx_str parts[] = { vocab, config };
    cx_sha256_parts(parts, CX_ARRAY_LEN(parts), l.made->fingerprint);
    enum cx_status status = read_config(&l, root);
    l.file = file;
    if (status == CX_OK) {
        status = read_lines(&l, vocab);
    }
    if (status == CX_OK) {
        status = put_specials(&l, root);
    }
    json_decref(root);
    if (status != CX_OK) {
        embed__tokenizer_free(&l.made);
        return status;
    }
    *out = l.made;
    return CX_OK;
}

static enum cx_status read_lines(struct embed__loading *l, struct cx_str vocab)
{
    if (!cx_utf8_valid(vocab)) {
        return embed__refuse(l, "it is no UTF-8");
    }
    int32_t id = 0;
    while (vocab.len > 0) {
        const char *end = memchr(vocab.p, '\n', vocab.len);
        size_t len = end != NULL ? (size_t)(end - vocab.p) : vocab.len;
        const size_t step = end != NULL ? len + 1 : len;
        len -= len > 0 && vocab.p[len - 1] == '\r' ? 1 : 0;
        const enum cx_status status = embed__put_word(l, (struct cx_str){ vocab.p, len }, id++);
        if (status != CX_OK) {
            return status;
        }
        vocab = (struct cx_str){ vocab.p + step, vocab.len - step };
    }
    embed__find_inside(l->made, "##");
    return CX_OK;
}

static enum cx_status read_config(struct embed__loading *l, const json_t *config)
{
    const char *class = json_string_value(json_object_get(config, "tokenizer_class"));
    if (class != NULL && strncmp(class, "Bert", 4) != 0 && strncmp(class, "MPNet", 5) != 0 &&
        strncmp(class, "DistilBert", 10) != 0) {
        return embed__refuse(l, "its tokenizer is %.64s; with vocab.txt only BERT's is supported",
                             class);
    }
    const json_t *lowercase = json_object_get(config, "do_lower_case");
    const json_t *spaced = json_object_get(config, "tokenize_chinese_chars");
    const json_t *strip = json_object_get(config, "strip_accents");
    struct embed__normalizer_options *o = &l->made->normalizer;
    o->clean = true;
    o->lowercase = !json_is_false(lowercase);
    o->space_ideographs = !json_is_false(spaced);
    o->strip_accents = json_is_boolean(strip) ? json_is_true(strip) : o->lowercase;
    return CX_OK;
}

static enum cx_status put_specials(struct embed__loading *l, const json_t *config)
{
    static const char *const names[][2] = {
        { "unk_token", "[UNK]" }, { "sep_token", "[SEP]" },   { "pad_token", "[PAD]" },
        { "cls_token", "[CLS]" }, { "mask_token", "[MASK]" },
    };
    enum cx_status status = CX_OK;
    for (size_t i = 0; i < CX_ARRAY_LEN(names) && status == CX_OK; i++) {
        const char *content = special_of(config, names[i][0], names[i][1]);
        const struct embed__added_token token = { .id = embed__token_id(l, content) };
        const bool needed = i == 0 || i == 1 || i == 3;
        if (token.id == EMBED__TRIE_NONE) {
            status = needed ? embed__refuse(l, "%s (\"%.64s\") is not in the vocabulary",
                                            names[i][0], content)
                            : CX_OK;
            continue;
        }
        status = embed__add_token(l, content, &token, false);
        if (i == 0) {
            l->made->unknown = token.id;
        } else if (status == CX_OK && needed) {
            status = embed__put_special(l, i == 1, token.id);
        }
    }
    return status;
}

/* "[SEP]", or {"content": "[SEP]", …} */
static const char *special_of(const json_t *config, const char *name, const char *otherwise)
{
    const json_t *value = json_object_get(config, name);
    const char *text =
        json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
    return text != NULL && text[0] != '\0' ? text : otherwise;
}
