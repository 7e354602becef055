/* SPDX-License-Identifier: MIT
 *
 * Any bytes through the JSON parser. What is taken must be what jansson's own parser takes, survive
 * being written and read again, and have one canonical form; what is refused must say where.
 */
#include <stdlib.h>
#include <string.h>

#include "cortex/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_refused_reason(struct cx_str text, enum cx_status status,
                                  const struct cx_err *err);
static void expect_round_trip(const json_t *value, size_t size);
static enum cx_status canonical_of(const json_t *value, struct cx_buf *out, struct cx_err *err);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct cx_str text = { (const char *)data, size };
    json_t *value = NULL;
    struct cx_err err = { "" };
    const enum cx_status status = cx_json_parse(text, &value, &err);
    json_t *theirs = NULL;
    /* jansson takes a NUL behind a number, and counts depth to its own limit. */
    if (size > 0 && memchr(data, '\0', size) == NULL && strstr(err.text, "nested") == NULL) {
        theirs = json_loadb(text.p, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
        CX_CHECK((theirs != NULL) == (status == CX_OK));
        CX_CHECK(theirs == NULL || json_equal(theirs, value));
        json_decref(theirs);
    }
    if (status != CX_OK) {
        expect_refused_reason(text, status, &err);
        return 0;
    }
    expect_round_trip(value, size);
    json_decref(value);
    return 0;
}

/* "byte N: …" with N within the text or at its end. */
static void expect_refused_reason(struct cx_str text, enum cx_status status,
                                  const struct cx_err *err)
{
    CX_CHECK(status == CX_BAD_REQUEST);
    CX_CHECK(strncmp(err->text, "byte ", 5) == 0);
    char *end = NULL;
    CX_CHECK(strtoull(err->text + 5, &end, 10) <= text.len);
    CX_CHECK(strncmp(end, ": ", 2) == 0);
}

static void expect_round_trip(const json_t *value, size_t size)
{
    struct cx_err err = { "" };
    struct cx_buf written;
    cx_buf_init(&written, size * 8 + 64);
    cx_json_write(value, &written);
    CX_CHECK(!written.failed);
    json_t *back = NULL;
    CX_CHECK(cx_json_parse((struct cx_str){ written.data, written.len }, &back, &err) == CX_OK);
    CX_CHECK(json_equal(value, back));

    struct cx_buf one;
    struct cx_buf two;
    cx_buf_init(&one, size * 8 + 64);
    cx_buf_init(&two, size * 8 + 64);
    const enum cx_status status = canonical_of(value, &one, &err);
    CX_CHECK(status == CX_OK || status == CX_INVALID);
    CX_CHECK(canonical_of(back, &two, &err) == status);
    CX_CHECK(one.len == two.len && (one.len == 0 || memcmp(one.data, two.data, one.len) == 0));
    json_decref(back);

    /* Canonical text is canonical: where a real number came out as an integer beyond 2^53 it cannot
     * be read back. */
    if (status == CX_OK) {
        back = NULL;
        const struct cx_str text = { one.data, one.len };
        cx_buf_clear(&two);
        if (cx_json_parse(text, &back, &err) == CX_OK && canonical_of(back, &two, &err) == CX_OK) {
            CX_CHECK(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);
        }
        json_decref(back);
    }
    cx_buf_free(&one);
    cx_buf_free(&two);
    cx_buf_free(&written);
}

static enum cx_status canonical_of(const json_t *value, struct cx_buf *out, struct cx_err *err)
{
    const enum cx_status status = cx_json_write_canonical(value, out, err);
    CX_CHECK(status == CX_OK || out->len == 0);
    return status;
}
