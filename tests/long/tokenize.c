/* SPDX-License-Identifier: MIT
 *
 * Token ids of texts, for comparison with the reference tokenizer (tests/long/tokenizer.py):
 *
 *   tokenize TOKENIZER_JSON [TOKENS_MAX]
 *
 * reads texts from standard input, each with its length in front (32 bits, in the machine's byte
 * order), and writes for each the number of its ids and the ids, all of 32 bits. With a trailing line
 * on standard error: bytes, ids, seconds.
 */
#include <stdio.h>
#include <stdlib.h>

#include "embed/model_file.h"
#include "embed/tokenizer.h"

static bool read_text(char **text, uint32_t *len)
{
    if (fread(len, sizeof *len, 1, stdin) != 1) {
        return false;
    }
    *text = cx_realloc_array(*text, (size_t)*len + 1, 1);
    return fread(*text, 1, *len, stdin) == *len;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: tokenize TOKENIZER_JSON [TOKENS_MAX]\n");
        return 64;
    }
    struct embed__tokenizer *tokenizer = NULL;
    struct cx_buf json;
    struct cx_err err = { "" };
    if (embed__file_read(argv[1], (size_t)64 << 20, &json, &err) != CX_OK ||
        embed__tokenizer_parse((struct cx_str){ json.data, json.len }, argv[1], &tokenizer, &err) !=
            CX_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    cx_buf_free(&json);
    if (argc > 2) {
        tokenizer->tokens_max = (size_t)strtoull(argv[2], NULL, 10);
    }
    struct embed__tokens tokens = { 0 };
    char *text = NULL;
    uint32_t len = 0;
    uint64_t bytes = 0;
    uint64_t ids = 0;
    uint64_t spent_ns = 0;
    while (read_text(&text, &len)) {
        bool truncated = false;
        tokens.count = 0;
        const uint64_t begun = cx_clock_mono_ns();
        const struct cx_str s = { text, len };
        CX_CHECK(embed__tokenizer_encode(tokenizer, s, &tokens, &truncated) == CX_OK);
        spent_ns += cx_clock_mono_ns() - begun;
        const uint32_t count = (uint32_t)tokens.count;
        (void)fwrite(&count, sizeof count, 1, stdout);
        (void)fwrite(tokens.ids, sizeof *tokens.ids, tokens.count, stdout);
        bytes += len;
        ids += count;
    }
    (void)fprintf(stderr, "%llu bytes, %llu ids, %.3f s\n", (unsigned long long)bytes,
                  (unsigned long long)ids, (double)spent_ns / 1e9);
    free(text);
    embed__tokens_free(&tokens);
    embed__tokenizer_free(&tokenizer);
    return 0;
}
