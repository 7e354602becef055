/* SPDX-License-Identifier: MIT
 *
 * Buffers and arenas.
 */
#include "test.h"

#include "cortex/base.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

TEST(buf_appends_and_terminates)
{
    struct cx_buf b;
    cx_buf_init(&b, 1000);
    EXPECT(b.data == NULL);
    cx_buf_puts(&b, "a");
    cx_buf_putc(&b, 'b');
    cx_buf_put_str(&b, CX_STR("cd"));
    cx_buf_append(&b, NULL, 0);
    cx_buf_printf(&b, "<%d %s>", 7, "x");
    EXPECT_STR(b.data, "abcd<7 x>");
    EXPECT_INT(b.len, strlen(b.data));
    cx_buf_consume(&b, 4);
    EXPECT_STR(b.data, "<7 x>");
    cx_buf_consume(&b, b.len);
    EXPECT_STR(b.data, "");
    cx_buf_consume(&b, 0);
    cx_buf_free(&b);
    cx_buf_free(&b);
    EXPECT_INT(b.ceiling, 1000);
    cx_buf_puts(&b, "again");
    EXPECT_STR(b.data, "again");
    cx_buf_free(&b);
}

TEST(buf_writes_numbers)
{
    struct cx_buf b;
    cx_buf_init(&b, 1000);
    cx_buf_put_u64(&b, 0);
    cx_buf_putc(&b, ' ');
    cx_buf_put_u64(&b, UINT64_MAX);
    cx_buf_putc(&b, ' ');
    cx_buf_put_i64(&b, INT64_MIN);
    cx_buf_putc(&b, ' ');
    cx_buf_put_i64(&b, INT64_MAX);
    cx_buf_putc(&b, ' ');
    cx_buf_put_i64(&b, -1);
    EXPECT_STR(b.data, "0 18446744073709551615 -9223372036854775808 9223372036854775807 -1");
    cx_buf_free(&b);
}

TEST(buf_keeps_its_ceiling)
{
    for (size_t ceiling = 0; ceiling < 300; ceiling++) {
        struct cx_buf b;
        cx_buf_init(&b, ceiling);
        for (size_t i = 0; i < ceiling; i++) {
            cx_buf_putc(&b, (char)('a' + i % 26));
        }
        EXPECT(!b.failed);
        EXPECT_INT(b.len, ceiling);
        EXPECT(b.cap <= ceiling + 1);
        cx_buf_putc(&b, '!');
        EXPECT(b.failed);
        EXPECT_INT(b.len, ceiling);
        cx_buf_clear(&b);
        EXPECT(!b.failed);
        cx_buf_free(&b);
    }
}

TEST(buf_failure_stays_and_appends_nothing)
{
    struct cx_buf b;
    cx_buf_init(&b, 10);
    cx_buf_puts(&b, "12345678");
    cx_buf_puts(&b, "abc");
    EXPECT(b.failed);
    EXPECT_STR(b.data, "12345678");
    cx_buf_putc(&b, 'x');
    cx_buf_put_u64(&b, 1);
    cx_buf_printf(&b, "y");
    EXPECT(cx_buf_reserve(&b, 0) == NULL);
    EXPECT_STR(b.data, "12345678");
    size_t len = 77;
    EXPECT(cx_buf_take(&b, &len) == NULL);
    EXPECT_INT(len, 77);
    EXPECT(!b.failed && b.data == NULL);
}

TEST(buf_printf_past_the_ceiling_leaves_what_was)
{
    struct cx_buf b;
    cx_buf_init(&b, 100);
    cx_buf_puts(&b, "kept");
    cx_buf_printf(&b, "%0200d", 1);
    EXPECT(b.failed);
    EXPECT_STR(b.data, "kept");
    cx_buf_clear(&b);
    cx_buf_printf(&b, "%0100d", 1);
    EXPECT(!b.failed);
    EXPECT_INT(b.len, 100);
    cx_buf_clear(&b);
    cx_buf_puts(&b,
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890"
                "12345678901234567890");
    EXPECT_INT(b.len, 100);
    cx_buf_put_i64(&b, -1);
    EXPECT(b.failed);
    EXPECT_INT(b.len, 100);
    cx_buf_free(&b);
}

TEST(buf_negative_number_fits_exactly_or_not_at_all)
{
    for (size_t ceiling = 0; ceiling < 8; ceiling++) {
        struct cx_buf b;
        cx_buf_init(&b, ceiling);
        cx_buf_put_i64(&b, -123);
        EXPECT(b.failed == (ceiling < 4));
        EXPECT_INT(b.len, ceiling < 4 ? 0 : 4);
        cx_buf_free(&b);
    }
}

TEST(buf_sizes_do_not_overflow)
{
    struct cx_buf b;
    cx_buf_init(&b, 1000);
    cx_buf_puts(&b, "x");
    EXPECT(cx_buf_reserve(&b, SIZE_MAX) == NULL);
    EXPECT(b.failed);
    cx_buf_clear(&b);
    EXPECT(cx_buf_reserve(&b, SIZE_MAX - 1) == NULL);
    cx_buf_free(&b);
    cx_buf_init(&b, SIZE_MAX);
    cx_buf_puts(&b, "x");
    EXPECT(cx_buf_reserve(&b, SIZE_MAX - 1) == NULL);
    EXPECT(b.failed);
    cx_buf_free(&b);
}

TEST(buf_reserve_and_take)
{
    struct cx_buf b;
    cx_buf_init(&b, 100000);
    char *room = cx_buf_reserve(&b, 70000);
    REQUIRE(room != NULL);
    memset(room, 'z', 70000);
    b.len += 70000;
    cx_buf_putc(&b, '!');
    size_t len = 0;
    char *data = cx_buf_take(&b, &len);
    REQUIRE(data != NULL);
    EXPECT_INT(len, 70001);
    EXPECT(data[69999] == 'z' && data[70000] == '!' && data[70001] == '\0');
    EXPECT(b.data == NULL && b.len == 0 && b.cap == 0 && b.ceiling == 100000);
    free(data);
    data = cx_buf_take(&b, NULL);
    EXPECT_STR(data, "");
    free(data);
}

TEST(arena_gives_zeroed_aligned_memory)
{
    struct cx_arena a;
    cx_arena_init(&a, 1 << 20);
    EXPECT(a.chunks == NULL);
    for (int round = 0; round < 3; round++) {
        size_t sum = 0;
        for (size_t size = 0; size < 9000; size = size * 3 / 2 + 1) {
            unsigned char *p = cx_arena_alloc(&a, size);
            REQUIRE(p != NULL);
            EXPECT_INT((uintptr_t)p % 16, 0);
            bool zero = true;
            for (size_t i = 0; i < size; i++) {
                zero = zero && p[i] == 0;
            }
            EXPECT(zero);
            memset(p, 0xEE, size);
            sum += size;
        }
        EXPECT(a.used >= sum);
        cx_arena_reset(&a);
        EXPECT_INT(a.used, 0);
    }
    cx_arena_free(&a);
    cx_arena_free(&a);
}

TEST(arena_pieces_do_not_overlap)
{
    struct cx_arena a;
    cx_arena_init(&a, 1 << 20);
    enum { PIECES = 400 };
    unsigned char *pieces[PIECES];
    for (size_t i = 0; i < PIECES; i++) {
        const size_t size = (i * 37) % 3000 + 1; /* small, and big enough for a chunk of its own */
        pieces[i] = cx_arena_alloc(&a, size);
        REQUIRE(pieces[i] != NULL);
        memset(pieces[i], (int)(i % 251), size);
    }
    int wrong = 0;
    for (size_t i = 0; i < PIECES; i++) {
        const size_t size = (i * 37) % 3000 + 1;
        for (size_t k = 0; k < size; k++) {
            wrong += pieces[i][k] != i % 251;
        }
    }
    EXPECT_INT(wrong, 0);
    cx_arena_free(&a);
}

TEST(arena_keeps_its_ceiling)
{
    struct cx_arena a;
    cx_arena_init(&a, 1000);
    EXPECT(cx_arena_alloc(&a, 1001) == NULL);
    EXPECT(cx_arena_alloc(&a, SIZE_MAX) == NULL);
    EXPECT(cx_arena_alloc(&a, SIZE_MAX - 8) == NULL);
    EXPECT(cx_arena_alloc(&a, 500) != NULL);
    EXPECT(cx_arena_alloc(&a, 500) == NULL);
    EXPECT(cx_arena_alloc(&a, 480) != NULL);
    EXPECT(cx_arena_alloc(&a, 16) == NULL);
    EXPECT(cx_arena_strdup(&a, "more than is left") == NULL);
    EXPECT(a.used <= 1000);
    cx_arena_free(&a);
    cx_arena_init(&a, SIZE_MAX);
    EXPECT(cx_arena_alloc(&a, SIZE_MAX) == NULL);
    EXPECT(cx_arena_strndup(&a, "", SIZE_MAX) == NULL);
    cx_arena_free(&a);
}

TEST(arena_reset_keeps_a_chunk)
{
    struct cx_arena a;
    cx_arena_init(&a, 1 << 20);
    void *first = cx_arena_alloc(&a, 100);
    REQUIRE(first != NULL);
    REQUIRE(cx_arena_alloc(&a, 200000) != NULL);
    cx_arena_reset(&a);
    EXPECT(a.chunks != NULL);
    EXPECT(cx_arena_alloc(&a, 100) == first);
    cx_arena_free(&a);
    REQUIRE(cx_arena_alloc(&a, 200000) != NULL);
    cx_arena_reset(&a);
    EXPECT(a.chunks == NULL);
    cx_arena_free(&a);
}

TEST(arena_texts)
{
    struct cx_arena a;
    cx_arena_init(&a, 1 << 20);
    EXPECT_STR(cx_arena_strdup(&a, "text"), "text");
    EXPECT_STR(cx_arena_strndup(&a, "text", 2), "te");
    EXPECT_STR(cx_arena_strndup(&a, NULL, 0), "");
    EXPECT_STR(cx_arena_printf(&a, "%s-%d", "x", 42), "x-42");
    char *wide = cx_arena_printf(&a, "%09999d", 5);
    REQUIRE(wide != NULL);
    EXPECT_INT(strlen(wide), 9999);
    cx_arena_free(&a);
}
