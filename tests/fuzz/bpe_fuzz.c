/* SPDX-License-Identifier: MIT
 *
 * Any bytes through the tokenizers. Tokens must spell the bytes, a count must be the number of
 * tokens, and a cut a prefix that has at most as many as were asked for. The first byte chooses the
 * encoding, the second how many tokens are left by the cut.
 */
#include <stdlib.h>
#include <string.h>

#include "cortex/context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count_of(enum cx_encoding encoding, struct cx_str text)
{
    size_t count = 0;
    CX_CHECK(cx_bpe_count(encoding, text, &count) == CX_OK);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const enum cx_encoding encoding = (enum cx_encoding)(data[0] % CX_ENCODING_COUNT);
    const size_t max_tokens = data[1];
    const struct cx_str text = { (const char *)data + 2, size - 2 };

    uint32_t *ids = cx_alloc((text.len + 1) * sizeof *ids);
    size_t count = 0;
    CX_CHECK(cx_bpe_encode(encoding, text, ids, text.len, &count) == CX_OK);
    CX_CHECK(count_of(encoding, text) == count);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const struct cx_str token = cx_bpe_token(encoding, ids[i]);
        CX_CHECK(token.len > 0 && token.len <= text.len - at);
        CX_CHECK(memcmp(text.p + at, token.p, token.len) == 0);
        at += token.len;
    }
    CX_CHECK(at == text.len);

    size_t bytes = 0;
    size_t tokens = 0;
    CX_CHECK(cx_bpe_cut(encoding, text, max_tokens, &bytes, &tokens) == CX_OK);
    CX_CHECK(bytes <= text.len && tokens <= max_tokens);
    CX_CHECK(count_of(encoding, (struct cx_str){ text.p, bytes }) == tokens);
    CX_CHECK((bytes == text.len) == (count <= max_tokens));
    CX_CHECK(bytes == 0 || bytes == text.len || !cx_utf8_valid(text) ||
             ((unsigned char)text.p[bytes] & 0xC0) != 0x80);
    free(ids);
    return 0;
}
