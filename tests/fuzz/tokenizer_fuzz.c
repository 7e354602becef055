/* SPDX-License-Identifier: MIT
 *
 * Any bytes as tokenizer.json, or (first byte 'v') as vocab.txt and, behind a NUL, as
 * tokenizer_config.json: what is taken tokenizes, what is refused says why and in which file.
 */
#include <stdlib.h>
#include <string.h>

#include "embed/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct cx_str text = { (const char *)data, size };
    struct embed__tokenizer *t = NULL;
    struct cx_err err = { "" };
    enum cx_status status = CX_OK;
    if (size > 0 && data[0] == 'v') {
        const char *end = memchr(text.p, '\0', size);
        const size_t len = end != NULL ? (size_t)(end - text.p) : size;
        const struct cx_str vocab = { text.p + 1, len - 1 };
        const struct cx_str config = { end != NULL ? end + 1 : NULL,
                                       end != NULL ? size - len - 1 : 0 };
        status = embed__tokenizer_parse_vocab(vocab, "file", config, "file", &t, &err);
    } else {
        status = embed__tokenizer_parse(text, "file", &t, &err);
    }
    if (status != CX_OK) {
        CX_CHECK(status == CX_INVALID && strncmp(err.text, "file: ", 6) == 0);
        return 0;
    }
    struct embed__tokens tokens = { 0 };
    bool truncated = false;
    const struct cx_str sample = CX_STR("The caf\xC3\xA9 [MASK], \xE4\xB8\xAD a 12");
    CX_CHECK(embed__tokenizer_encode(t, sample, &tokens, &truncated) == CX_OK);
    for (size_t i = 0; i < tokens.count; i++) {
        CX_CHECK(tokens.ids[i] >= 0 && tokens.ids[i] <= t->id_max);
    }
    embed__tokens_free(&tokens);
    embed__tokenizer_free(&t);
    return 0;
}
