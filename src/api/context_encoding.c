/* SPDX-License-Identifier: MIT
 *
 * By which encoding the endpoints under /context/ count.
 */
#include "api/context_encoding.h"

#define NAME_MAX_CHARS 256

static const char known_encodings[] = "cl100k_base or o200k_base";
static const char known_models[] = "an OpenAI model that counts by one of these: gpt-3.5, "
                                   "gpt-3.5-turbo, gpt-4, gpt-4.1, gpt-4o, gpt-5, "
                                   "gpt-oss, o1, o3, o4-mini, text-embedding-ada-002, "
                                   "text-embedding-3-small, text-embedding-3-large, "
                                   "davinci-002, babbage-002, or a version of them";

void api__read_encoding(struct cx_reader *r, enum cx_encoding *out)
{
    enum cx_encoding named = CX_ENCODING_CL100K;
    enum cx_encoding of_model = CX_ENCODING_CL100K;
    struct cx_str text = { NULL, 0 };
    bool has_name = false;
    bool has_model = false;
    if (cx_read_string(r, "encoding", CX_OPTIONAL, 1, NAME_MAX_CHARS, &text)) {
        has_name = cx_encoding_parse(text, &named);
        if (!has_name) {
            cx_read_fault(r, "encoding", "value", "must be %s", known_encodings);
        }
    }
    if (cx_read_string(r, "model", CX_OPTIONAL, 1, NAME_MAX_CHARS, &text)) {
        has_model = cx_encoding_of_model(text, &of_model);
        if (!has_model) {
            cx_read_fault(r, "model", "value", "must be %s", known_models);
        }
    }
    if (has_name && has_model && named != of_model) {
        cx_read_fault(r, "encoding", "value", "must be the model's own, %s, where both are given",
                      cx_encoding_name(of_model));
    }
    *out = has_model ? of_model : named;
}
