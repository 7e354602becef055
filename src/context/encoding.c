/* SPDX-License-Identifier: MIT
 *
 * The names of encodings, and which model uses which: tiktoken/model.py, as far as it leads to an
 * encoding that we have.
 */
#include "cortex/context.h"

#include <string.h>

struct model {
    const char *name;
    enum cx_encoding encoding;
};

static const char *const names[CX_ENCODING_COUNT] = {
    [CX_ENCODING_CL100K] = "cl100k_base",
    [CX_ENCODING_O200K] = "o200k_base",
};

/* gpt-oss is here because its o200k_harmony differs in special tokens only. */
static const struct model models[] = {
    { "o1", CX_ENCODING_O200K },
    { "o3", CX_ENCODING_O200K },
    { "o4-mini", CX_ENCODING_O200K },
    { "gpt-5", CX_ENCODING_O200K },
    { "gpt-4.1", CX_ENCODING_O200K },
    { "gpt-4o", CX_ENCODING_O200K },
    { "gpt-4", CX_ENCODING_CL100K },
    { "gpt-3.5-turbo", CX_ENCODING_CL100K },
    { "gpt-3.5", CX_ENCODING_CL100K },
    { "gpt-35-turbo", CX_ENCODING_CL100K },
    { "davinci-002", CX_ENCODING_CL100K },
    { "babbage-002", CX_ENCODING_CL100K },
    { "text-embedding-ada-002", CX_ENCODING_CL100K },
    { "text-embedding-3-small", CX_ENCODING_CL100K },
    { "text-embedding-3-large", CX_ENCODING_CL100K },
};

/* The first that fits counts. */
static const struct model prefixes[] = {
    { "o1-", CX_ENCODING_O200K },
    { "o3-", CX_ENCODING_O200K },
    { "o4-mini-", CX_ENCODING_O200K },
    { "gpt-5", CX_ENCODING_O200K },
    { "gpt-4.5-", CX_ENCODING_O200K },
    { "gpt-4.1-", CX_ENCODING_O200K },
    { "chatgpt-4o-", CX_ENCODING_O200K },
    { "gpt-4o-", CX_ENCODING_O200K },
    { "gpt-4-", CX_ENCODING_CL100K },
    { "gpt-3.5-turbo-", CX_ENCODING_CL100K },
    { "gpt-35-turbo-", CX_ENCODING_CL100K },
    { "gpt-oss-", CX_ENCODING_O200K },
    { "ft:gpt-4o", CX_ENCODING_O200K },
    { "ft:gpt-4", CX_ENCODING_CL100K },
    { "ft:gpt-3.5-turbo", CX_ENCODING_CL100K },
    { "ft:davinci-002", CX_ENCODING_CL100K },
    { "ft:babbage-002", CX_ENCODING_CL100K },
};

const char *cx_encoding_name(enum cx_encoding encoding)
{
    CX_CHECK((size_t)encoding < CX_ENCODING_COUNT);
    return names[encoding];
}

bool cx_encoding_parse(struct cx_str name, enum cx_encoding *out)
{
    for (size_t i = 0; i < CX_ENCODING_COUNT; i++) {
        if (cx_str_eq(name, cx_str_of(names[i]))) {
            *out = (enum cx_encoding)i;
            return true;
        }
    }
    return false;
}

bool cx_encoding_of_model(struct cx_str model, enum cx_encoding *out)
{
    for (size_t i = 0; i < CX_ARRAY_LEN(models); i++) {
        if (cx_str_eq(model, cx_str_of(models[i].name))) {
            *out = models[i].encoding;
            return true;
        }
    }
    for (size_t i = 0; i < CX_ARRAY_LEN(prefixes); i++) {
        const struct cx_str prefix = cx_str_of(prefixes[i].name);
        if (model.len >= prefix.len && memcmp(model.p, prefix.p, prefix.len) == 0) {
            *out = prefixes[i].encoding;
            return true;
        }
    }
    return false;
}
