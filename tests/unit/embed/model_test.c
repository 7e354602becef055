/* SPDX-License-Identifier: MIT
 *
 * Model directories: what is read from which file, and what is refused, by which words.
 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "embed/model.h"
#include "tiny.h"

TEST(model_is_read_from_all_of_its_files)
{
    struct embed__model *m = NULL;
    struct cx_err err = { "" };
    REQUIRE(embed__model_read(TINY, &m, &err) == CX_OK);
    EXPECT_INT(m->shape.layers, 2);
    EXPECT_INT(m->shape.hidden, 32);
    EXPECT_INT(m->shape.heads, 4);
    EXPECT_INT(m->shape.intermediate, 64);
    EXPECT_INT(m->shape.positions, 48);
    EXPECT_INT(m->shape.token_types, 2);
    EXPECT_INT(m->shape.activation, EMBED__GELU);
    EXPECT(m->shape.layer_norm_eps == 1e-12F);
    EXPECT_INT(m->pooling, EMBED__MEAN);
    EXPECT_INT(m->tokenizer->tokens_max,
               40); /* sentence_bert_config.json's, not tokenizer.json's 8 */
    EXPECT_STR(m->query_prompt, "");
    embed__model_free(&m);
    embed__model_free(&m);
}

static size_t length_of_copy(void)
{
    struct embed__model *m = NULL;
    struct cx_err err = { "" };
    if (embed__model_read(test_dir(), &m, &err) != CX_OK) {
        EXPECT_STR(err.text, "");
        return 0;
    }
    const size_t length = m->tokenizer->tokens_max;
    embed__model_free(&m);
    return length;
}

TEST(model_length_is_the_first_files_that_says_one)
{
    (void)tiny_copy();
    tiny_set("sentence_bert_config.json", "max_seq_length", json_integer(1000));
    EXPECT_INT(length_of_copy(), 48); /* never beyond the positions */
    tiny_set("sentence_bert_config.json", "max_seq_length", json_null());
    EXPECT_INT(length_of_copy(), 8); /* 10^30 says nothing: tokenizer.json's */
    tiny_set("tokenizer_config.json", "model_max_length", json_integer(24));
    EXPECT_INT(length_of_copy(), 24);
    tiny_remove("sentence_bert_config.json");
    tiny_remove("tokenizer_config.json");
    tiny_set("tokenizer.json", "truncation", json_null());
    EXPECT_INT(length_of_copy(), 48);
}

TEST(model_prompts)
{
    struct embed__model *m = NULL;
    (void)tiny_copy();
    tiny_put("config_sentence_transformers.json",
             "{\"prompts\": {\"query\": \"q: \", \"passage\": \"p: \", \"other\": \"o: \"},"
             " \"default_prompt_name\": \"other\"}");
    REQUIRE(embed__model_read(test_dir(), &m, NULL) == CX_OK);
    EXPECT_STR(m->query_prompt, "q: ");
    EXPECT_STR(m->document_prompt, "p: ");
    embed__model_set_prompts(m, NULL, "mine ");
    EXPECT_STR(m->query_prompt, "q: ");
    EXPECT_STR(m->document_prompt, "mine ");
    embed__model_free(&m);
    tiny_set("config_sentence_transformers.json", "prompts.passage", NULL);
    REQUIRE(embed__model_read(test_dir(), &m, NULL) == CX_OK);
    EXPECT_STR(m->document_prompt, "o: ");
    embed__model_free(&m);
}

TEST(model_without_the_files_it_may_lack)
{
    struct embed__model *m = NULL;
    (void)tiny_copy();
    tiny_remove("modules.json");
    tiny_remove("config_sentence_transformers.json");
    tiny_remove("sentence_bert_config.json");
    REQUIRE(embed__model_read(test_dir(), &m, NULL) == CX_OK);
    EXPECT_INT(m->pooling, EMBED__MEAN);
    embed__model_free(&m);
}

static void expect_refused(enum cx_status status, const char *words)
{
    struct embed__model *m = NULL;
    struct cx_err err = { "" };
    struct embed__encoder *encoder = NULL;
    uint8_t digest[32];
    enum cx_status got = embed__model_read(test_dir(), &m, &err);
    if (got == CX_OK) {
        got = embed__model_encoder(test_dir(), &m->shape, EMBED__FLOAT32, NULL, &encoder, digest,
                                   &err);
    }
    EXPECT_INT(got, status);
    if (strstr(err.text, words) == NULL) {
        EXPECT_STR(err.text, words);
    }
    embed__encoder_free(&encoder);
    embed__model_free(&m);
    (void)tiny_copy(); /* whole again */
}

TEST(models_that_lack_a_file_say_which)
{
    struct embed__model *m = NULL;
    struct cx_err err = { "" };
    EXPECT_INT(embed__model_read(tiny_path("nowhere"), &m, &err), CX_NOT_FOUND);
    EXPECT(strstr(err.text, "there is no model in") != NULL);
    EXPECT(strstr(err.text, "model.safetensors, tokenizer.json (or vocab.txt") != NULL);
    (void)tiny_copy();
    tiny_remove("config.json");
    expect_refused(CX_NOT_FOUND, "has no config.json");
    tiny_remove("model.safetensors");
    expect_refused(CX_NOT_FOUND, "neither model.safetensors nor");
    tiny_remove("tokenizer.json");
    expect_refused(CX_NOT_FOUND, "neither tokenizer.json nor vocab.txt");
    tiny_remove("1_Pooling/config.json");
    expect_refused(CX_NOT_FOUND, "1_Pooling/config.json is missing");
}

TEST(models_of_other_kinds_are_refused_by_name)
{
    (void)tiny_copy();
    tiny_set("config.json", "model_type", json_string("xlm-roberta"));
    expect_refused(CX_INVALID, "config.json: model_type is xlm-roberta");
    tiny_set("config.json", "position_embedding_type", json_string("relative_key"));
    expect_refused(CX_INVALID, "position_embedding_type is relative_key");
    tiny_set("config.json", "hidden_act", json_string("swish"));
    expect_refused(CX_INVALID, "hidden_act is swish");
    tiny_set("config.json", "is_decoder", json_true());
    expect_refused(CX_INVALID, "decoders");
    tiny_set("modules.json", "2.type", NULL);
    expect_refused(CX_INVALID, "module 2 is (none)");
    tiny_put("modules.json", "[{\"type\": \"x.Transformer\", \"path\": \"\"}]");
    expect_refused(CX_INVALID, "modules.json: has no pooling");
    tiny_put("modules.json", "[{\"type\": \"x.Transformer\"}, {\"type\": \"x.Pooling\", \"path\": "
                             "\"1_Pooling\"}, {\"type\": \"x.Dense\"}]");
    expect_refused(CX_INVALID, "module 2 is Dense");
    tiny_put("modules.json", "[{\"type\": \"x.Transformer\"}, {\"type\": \"x.Pooling\", \"path\": "
                             "\"../other\"}]");
    expect_refused(CX_INVALID, "is no folder's name");
    tiny_set("1_Pooling/config.json", "pooling_mode_lasttoken", json_true());
    expect_refused(CX_INVALID, "pooling_mode_lasttoken is not supported");
    tiny_set("1_Pooling/config.json", "pooling_mode_cls_token", json_true());
    expect_refused(CX_INVALID, "chooses 2");
    tiny_set("1_Pooling/config.json", "word_embedding_dimension", json_integer(384));
    expect_refused(CX_INVALID, "is not config.json's hidden_size");
    tiny_set("tokenizer_config.json", "truncation_side", json_string("left"));
    expect_refused(CX_INVALID, "truncation_side left");
    tiny_set("tokenizer.json", "model.type", json_string("BPE"));
    expect_refused(CX_INVALID, "tokenizer.json: its tokenizer is BPE");
}

TEST(models_that_contradict_themselves_are_refused)
{
    (void)tiny_copy();
    tiny_set("config.json", "num_hidden_layers", json_integer(3));
    expect_refused(CX_INVALID, "tensor encoder.layer.2.attention.self.query.weight is missing");
    tiny_set("config.json", "intermediate_size", json_integer(96));
    expect_refused(CX_INVALID,
                   "tensor encoder.layer.0.intermediate.dense.weight is of shape 64×32");
    tiny_set("config.json", "max_position_embeddings", json_integer(64));
    expect_refused(CX_INVALID, "tensor embeddings.position_embeddings.weight is of shape 48×32");
    tiny_set("config.json", "vocab_size", json_integer(100));
    expect_refused(CX_INVALID, "vocab_size is 100, and the tokenizer has a token");
    tiny_set("config.json", "num_attention_heads", json_integer(5));
    expect_refused(CX_INVALID, "must divide hidden_size");
    tiny_set("config.json", "hidden_size", json_real(32.5));
    expect_refused(CX_INVALID, "hidden_size must be a whole number");
    tiny_set("config.json", "hidden_size", NULL);
    expect_refused(CX_INVALID, "hidden_size must be a whole number");
    tiny_set("config.json", "layer_norm_eps", json_integer(0));
    expect_refused(CX_INVALID, "layer_norm_eps");
    tiny_set("config.json", "model_type", json_string("mpnet"));
    expect_refused(CX_INVALID, "relative_attention_bias.weight is missing");
    tiny_set("sentence_bert_config.json", "max_seq_length", json_integer(2));
    expect_refused(CX_INVALID, "no room for a text beside 2 special tokens");
    tiny_set("sentence_bert_config.json", "max_seq_length", json_integer(0));
    expect_refused(CX_INVALID, "max_seq_length must be");
}

TEST(broken_model_files_are_refused_by_name)
{
    static const char *const files[] = {
        "config.json",           "modules.json",          "sentence_bert_config.json",
        "tokenizer.json",        "tokenizer_config.json", "config_sentence_transformers.json",
        "1_Pooling/config.json", "model.safetensors"
    };
    (void)tiny_copy();
    for (size_t i = 0; i < CX_ARRAY_LEN(files); i++) {
        tiny_cut(files[i], 5);
        expect_refused(CX_INVALID, files[i]);
        tiny_put(files[i], "");
        expect_refused(CX_INVALID, files[i]);
        tiny_put(files[i], "7");
        expect_refused(CX_INVALID, files[i]);
    }
    tiny_put("model.safetensors", "\x10");
    expect_refused(CX_INVALID, "is cut");
}

/* The same weights under the names of the first BERT, and in another file. */
TEST(digest_is_of_the_numbers)
{
    struct embed__model *m = NULL;
    struct embed__encoder *encoder = NULL;
    uint8_t one[32];
    uint8_t two[32];
    REQUIRE(embed__model_read(TINY, &m, NULL) == CX_OK);
    REQUIRE(embed__model_encoder(TINY, &m->shape, EMBED__FLOAT32, NULL, &encoder, one, NULL) ==
            CX_OK);
    embed__encoder_free(&encoder);
    REQUIRE(embed__model_encoder(CORTEX_TINY_MODELS "/1", &m->shape, EMBED__FLOAT32, NULL, &encoder,
                                 two, NULL) == CX_OK);
    EXPECT_BYTES(one, sizeof one, two, sizeof two);
    embed__encoder_free(&encoder);
    REQUIRE(embed__model_encoder(CORTEX_TINY_MODELS "/5", &m->shape, EMBED__FLOAT32, NULL, &encoder,
                                 two, NULL) == CX_OK);
    EXPECT(memcmp(one, two, sizeof one) != 0);
    embed__encoder_free(&encoder);
    embed__model_free(&m);
}
