/* SPDX-License-Identifier: MIT
 *
 * Any text through the tokenizer: the first byte chooses the settings. Ids stay within the vocabulary,
 * a limit cuts what there is without it and says so, and bytes that are no UTF-8 do no harm.
 */
#include <stdlib.h>
#include <string.h>

#include "embed/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char JSON[] =
    "{\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"max_input_chars_per_word\":20,"
    "\"vocab\":{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"a\":3,\"##a\":4,\"ab\":5,\"##abc\":6,\"b\":7,"
    "\"\xC3\xA9\":8,\"##e\":9,\"e\":10,\"\xE4\xB8\xAD\":11,\"##\xCC\x81\":12,\".\":13,\"##1\":14}},"
    "\"normalizer\":{\"type\":\"BertNormalizer\"},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}"
    ","
    "\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"[CLS]\",1],\"sep\":[\"[SEP]\",2]},"
    "\"added_tokens\":[{\"id\":1,\"content\":\"[CLS]\",\"special\":true,\"normalized\":false},"
    "{\"id\":15,\"content\":\"A\xC3\x89\",\"normalized\":true,\"single_word\":true},"
    "{\"id\":16,\"content\":\"..\",\"normalized\":false,\"lstrip\":true,\"rstrip\":true},"
    "{\"id\":17,\"content\":\" \",\"normalized\":true,\"rstrip\":true}]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct embed__tokenizer *t = NULL;
    CX_CHECK(embed__tokenizer_parse(CX_STR(JSON), "json", &t, NULL) == CX_OK);
    const uint8_t flags = data[0];
    t->normalizer = (struct embed__normalizer_options){
        .clean = (flags & 1) != 0,
        .space_ideographs = (flags & 2) != 0,
        .strip_accents = (flags & 4) != 0,
        .lowercase = (flags & 8) != 0,
    };
    t->lower_first = (flags & 16) != 0;
    if ((flags & 32) != 0) {
        embed__added_free(&t->added_normalized);
    }
    const struct cx_str text = { (const char *)data + 1, size - 1 };
    struct embed__tokens all = { 0 };
    struct embed__tokens some = { 0 };
    bool truncated = false;
    CX_CHECK(embed__tokenizer_encode(t, text, &all, &truncated) == CX_OK);
    CX_CHECK(!truncated && all.count >= 2 && all.ids[0] == 1 && all.ids[all.count - 1] == 2);
    for (size_t i = 0; i < all.count; i++) {
        CX_CHECK(all.ids[i] >= 0 && all.ids[i] <= t->id_max);
    }
    t->tokens_max = 3 + (flags >> 6) * (size_t)7;
    CX_CHECK(embed__tokenizer_encode(t, text, &some, &truncated) == CX_OK);
    CX_CHECK(truncated == (all.count > t->tokens_max));
    CX_CHECK(some.count == (truncated ? t->tokens_max : all.count));
    CX_CHECK(memcmp(some.ids, all.ids, (some.count - 1) * sizeof *all.ids) == 0);
    embed__tokens_free(&all);
    embed__tokens_free(&some);
    embed__tokenizer_free(&t);
    return 0;
}
