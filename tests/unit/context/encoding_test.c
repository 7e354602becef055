/* SPDX-License-Identifier: MIT
 *
 * Names of encodings, and of the models that use them.
 */
#include "cortex/context.h"
#include "test.h"

static void expect_model(const char *model, const char *want)
{
    enum cx_encoding encoding = CX_ENCODING_CL100K;
    const bool found = cx_encoding_of_model(cx_str_of(model), &encoding);
    EXPECT_STR(found ? cx_encoding_name(encoding) : "none", want);
}

TEST(names_are_read_and_written)
{
    enum cx_encoding encoding = CX_ENCODING_O200K;
    EXPECT(cx_encoding_parse(CX_STR("cl100k_base"), &encoding));
    EXPECT(encoding == CX_ENCODING_CL100K);
    EXPECT(cx_encoding_parse(CX_STR("o200k_base"), &encoding));
    EXPECT(encoding == CX_ENCODING_O200K);
    EXPECT_STR(cx_encoding_name(CX_ENCODING_CL100K), "cl100k_base");
    EXPECT_STR(cx_encoding_name(CX_ENCODING_O200K), "o200k_base");
    EXPECT(!cx_encoding_parse(CX_STR(""), &encoding));
    EXPECT(!cx_encoding_parse(CX_STR("cl100k_bas"), &encoding));
    EXPECT(!cx_encoding_parse(CX_STR("cl100k_base "), &encoding));
    EXPECT(!cx_encoding_parse(CX_STR("CL100K_BASE"), &encoding));
    EXPECT(!cx_encoding_parse(CX_STR("p50k_base"), &encoding));
    EXPECT(encoding == CX_ENCODING_O200K);
}

TEST(models_lead_to_their_encoding)
{
    expect_model("text-embedding-ada-002", "cl100k_base");
    expect_model("text-embedding-3-small", "cl100k_base");
    expect_model("text-embedding-3-large", "cl100k_base");
    expect_model("gpt-4", "cl100k_base");
    expect_model("gpt-4-0613", "cl100k_base");
    expect_model("gpt-4-32k", "cl100k_base");
    expect_model("gpt-4o", "o200k_base");
    expect_model("gpt-4o-2024-05-13", "o200k_base");
    expect_model("gpt-4o-mini", "o200k_base");
    expect_model("gpt-4.1-nano", "o200k_base");
    expect_model("gpt-3.5-turbo-16k", "cl100k_base");
    expect_model("gpt-35-turbo-1106", "cl100k_base");
    expect_model("gpt-5-mini", "o200k_base");
    expect_model("gpt-oss-120b", "o200k_base");
    expect_model("o1", "o200k_base");
    expect_model("o3-mini", "o200k_base");
    expect_model("o4-mini-2025-04-16", "o200k_base");
    expect_model("ft:gpt-4o-mini:me::1", "o200k_base");
    expect_model("ft:gpt-4:me::1", "cl100k_base");
    expect_model("ft:gpt-3.5-turbo:me::1", "cl100k_base");
}

TEST(unknown_models_have_none)
{
    expect_model("", "none");
    expect_model("gpt", "none");
    expect_model("gpt-2", "none");
    expect_model("o1x", "none");
    expect_model("o4-min", "none");
    expect_model("davinci", "none");
    expect_model("text-embedding-3-smal", "none");
    expect_model("all-MiniLM-L6-v2", "none");
}
