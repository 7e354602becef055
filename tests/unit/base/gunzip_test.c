/* SPDX-License-Identifier: MIT
 *
 * Reading one gzip member: what cx_gzip wrote comes back, what is cut or changed does not.
 */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "cortex/base.h"

static void make_text(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        text[i] = (char)('a' + (i * i / 7) % 26);
    }
}

TEST(gunzip_gives_back_what_was_packed)
{
    static const size_t lengths[] = { 0, 1, 100, 65535, 65536, 65537, 1000000 };
    for (size_t i = 0; i < CX_ARRAY_LEN(lengths); i++) {
        char *text = cx_alloc(lengths[i] + 1);
        struct cx_buf packed;
        struct cx_buf out;
        size_t used = 0;
        make_text(text, lengths[i]);
        cx_buf_init(&packed, 2000000);
        cx_buf_init(&out, lengths[i]); /* just fits */
        REQUIRE(cx_gzip((struct cx_str){ text, lengths[i] }, 6, &packed));
        const size_t member = packed.len;
        cx_buf_puts(&packed, "what follows is not ours");
        EXPECT(cx_gunzip((struct cx_str){ packed.data, packed.len }, &out, &used));
        EXPECT_INT(used, member);
        EXPECT_BYTES(out.data, out.len, text, lengths[i]);
        cx_buf_free(&out);
        if (lengths[i] > 0) {
            cx_buf_init(&out, lengths[i] - 1);
            EXPECT(!cx_gunzip((struct cx_str){ packed.data, packed.len }, &out, &used));
            EXPECT_INT(out.len, 0);
            cx_buf_free(&out);
        }
        cx_buf_free(&packed);
        free(text);
    }
}

TEST(gunzip_refuses_what_is_cut_or_changed)
{
    char text[2000];
    struct cx_buf packed;
    struct cx_buf out;
    size_t used = 0;
    make_text(text, sizeof text);
    cx_buf_init(&packed, 8192);
    cx_buf_init(&out, 8192);
    REQUIRE(cx_gzip((struct cx_str){ text, sizeof text }, 6, &packed));
    for (size_t len = 0; len < packed.len; len++) {
        EXPECT(!cx_gunzip((struct cx_str){ packed.data, len }, &out, &used));
    }
    for (size_t at = packed.len - 8; at < packed.len; at++) { /* checksum and length */
        packed.data[at] ^= 1;
        EXPECT(!cx_gunzip((struct cx_str){ packed.data, packed.len }, &out, &used));
        packed.data[at] ^= 1;
    }
    EXPECT(cx_gunzip((struct cx_str){ packed.data, packed.len }, &out, &used));
    cx_buf_free(&packed);
    cx_buf_free(&out);
}
