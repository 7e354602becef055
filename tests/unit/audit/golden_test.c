/* SPDX-License-Identifier: MIT
 *
 * The golden ledgers: what was once written must verify for ever. tests/golden/verify_ledger.py asks the
 * second verifier.
 */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#define GOLDEN CORTEX_SOURCE_DIR "/tests/golden/ledger"

static bool verify(const char *folder, struct cx_str receipt, struct cx_buf *out)
{
    const struct cx_audit_verify_options options = { .receipt = receipt };
    struct cx_audit_verify *v = NULL;
    bool more = true;
    bool good = false;
    cx_buf_clear(out);
    if (cx_audit_verify_new(folder, &options, &v, NULL) == CX_OK) {
        EXPECT_INT(cx_audit_verify_step(v, 1000, &more, NULL), CX_OK);
        EXPECT(!more);
        good = cx_audit_verify_result(v, out);
    }
    cx_audit_verify_free(&v);
    return good;
}

TEST(the_golden_ledgers)
{
    struct cx_buf out;
    size_t len = 0;
    char *receipt = file_read(GOLDEN, "receipt.json", &len);
    const struct cx_str receipts[] = { { NULL, 0 }, { receipt, len } };
    cx_buf_init(&out, 1 << 20);
    for (size_t i = 0; i < CX_ARRAY_LEN(receipts); i++) {
        EXPECT(verify(GOLDEN "/good", receipts[i], &out));
        EXPECT(strstr(out.data, "\"entries\":19,") != NULL);
        EXPECT(strstr(out.data, "\"keys\":2,") != NULL);
        EXPECT(!verify(GOLDEN "/cut", receipts[i], &out));
        EXPECT(strstr(out.data, "\"first_bad\":19,") != NULL);
        EXPECT(!verify(GOLDEN "/flipped", receipts[i], &out));
        EXPECT(strstr(out.data, "\"first_bad\":19,") != NULL);
    }
    cx_buf_free(&out);
    free(receipt);
}
