/* SPDX-License-Identifier: MIT
 *
 * The request parser under arbitrary bytes. The first byte says into which pieces the rest is cut;
 * whatever the pieces, the account must be that of the whole, and no request may be understood
 * behind a refusal.
 */
#include <stdlib.h>

#include "../unit/http/request_driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    const size_t piece = data[0] == 0 ? 1 : data[0];
    const char *bytes = (const char *)data + 1;
    const size_t len = size - 1;
    struct driver whole;
    struct driver cut;
    driver_open(&whole);
    driver_open(&cut);
    driver_feed(&whole, bytes, len);
    for (size_t at = 0; at < len; at += piece) {
        driver_feed(&cut, bytes + at, len - at < piece ? len - at : piece);
    }
    if (whole.refused != cut.refused || whole.account.len != cut.account.len ||
        (whole.account.len > 0 &&
         memcmp(whole.account.data, cut.account.data, whole.account.len) != 0)) {
        abort();
    }
    driver_close(&whole);
    driver_close(&cut);
    return 0;
}
