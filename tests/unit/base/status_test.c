/* SPDX-License-Identifier: MIT
 *
 * Status tables, error texts, small allocations.
 */
#include "test.h"

#include "cortex/base.h"

#include <stdlib.h>
#include <string.h>

TEST(status_table_is_complete)
{
    for (unsigned i = 0; i < CX_STATUS_COUNT; i++) {
        const enum cx_status status = (enum cx_status)i;
        EXPECT(cx_status_http(status) >= 200 && cx_status_http(status) < 600);
        EXPECT(cx_status_reason(status)[0] != '\0');
        EXPECT(cx_status_text(status)[0] != '\0');
        EXPECT(cx_status_name(status)[0] != '\0');
    }
    EXPECT_INT(CX_OK, 0);
    EXPECT_INT(cx_status_http(CX_OK), 200);
    EXPECT_STR(cx_status_reason(CX_OK), "ok");
    EXPECT_INT(cx_status_http(CX_NOT_FOUND), 404);
    EXPECT_STR(cx_status_reason(CX_NOT_FOUND), "not_found");
    EXPECT_STR(cx_status_name(CX_NOT_FOUND), "NOT_FOUND");
    EXPECT_INT(cx_status_http(CX_STORAGE_FULL), 507);
}

TEST(err_set_formats_and_returns)
{
    struct cx_err err;
    EXPECT_INT(cx_err_set(&err, CX_INVALID, "%s must be at most %d", "top_k", 100), CX_INVALID);
    EXPECT_STR(err.text, "top_k must be at most 100");
    EXPECT_INT(cx_err_set(NULL, CX_CONFLICT, "%d", 1), CX_CONFLICT);
    (void)cx_err_set(&err, CX_INVALID, "body: %s", err.text);
    EXPECT_STR(err.text, "body: top_k must be at most 100");
}

TEST(err_set_cuts_between_characters)
{
    char text[700];
    for (size_t shift = 0; shift < 4; shift++) {
        size_t len = shift;
        memset(text, 'x', shift);
        while (len + 4 < sizeof text) {
            memcpy(text + len, "\xF0\x9F\x98\x80", 4);
            len += 4;
        }
        text[len] = '\0';
        struct cx_err err;
        (void)cx_err_set(&err, CX_INVALID, "%s", text);
        const size_t cut = strlen(err.text);
        EXPECT(cut > sizeof err.text - 5 && cut < sizeof err.text);
        EXPECT(cx_utf8_valid(cx_str_of(err.text)));
        EXPECT(memcmp(err.text, text, cut) == 0);
    }
}

TEST(err_set_replaces_what_is_no_utf8)
{
    struct cx_err err;
    (void)cx_err_set(&err, CX_INVALID, "a\xFF\xC3\xA9\xE2\x82z\xED\xA0\x80\xF0\x9F\x98\x80\xC3");
    EXPECT_STR(err.text, "a?\xC3\xA9??z???\xF0\x9F\x98\x80?");
}

TEST(alloc_zeroes_and_copies)
{
    unsigned char *bytes = cx_alloc(1000);
    for (size_t i = 0; i < 1000; i++) {
        EXPECT_INT(bytes[i], 0);
    }
    bytes = cx_realloc_array(bytes, 500, 4);
    memset(bytes, 1, 2000);
    bytes = cx_realloc_array(bytes, 0, 4);
    free(bytes);
    free(cx_alloc(0));
    char *copy = cx_strndup("abcdef", 3);
    EXPECT_STR(copy, "abc");
    free(copy);
    copy = cx_strndup("a\0b", 3);
    EXPECT_BYTES(copy, 4, "a\0b", 4);
    free(copy);
    copy = cx_strdup("");
    EXPECT_STR(copy, "");
    free(copy);
}

TEST(wipe_overwrites)
{
    char secret[8] = "secret!";
    cx_wipe(secret, sizeof secret);
    EXPECT_BYTES(secret, sizeof secret, "\0\0\0\0\0\0\0\0", 8);
    cx_wipe(NULL, 0);
}
