/* SPDX-License-Identifier: MIT
 *
 * The unit test harness: a test is a function registered by TEST(name); EXPECT… notes a failure and
 * goes on, REQUIRE… notes it and leaves the test. One program a room; `unit_ROOM [SUBSTRING]` runs
 * the tests whose name contains SUBSTRING. It prints "N passed, N failed" last and exits non-zero
 * when one failed.
 */
#ifndef CORTEX_TEST_H
#define CORTEX_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};

void test_register(struct test *test);
bool test_expect(bool ok, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
bool test_expect_str(const char *got, const char *want, const char *file, int line);
bool test_expect_int(long long got, long long want, const char *what, const char *file, int line);
bool test_expect_bytes(const void *got, size_t got_len, const void *want, size_t want_len,
                       const char *file, int line);
/* A fresh empty folder for the running test, removed with all its contents when the test ends. */
const char *test_dir(void);

#define TEST(name)                                                                                 \
    static void name(void);                                                                        \
    static struct test test_##name = { #name, name, NULL };                                        \
    __attribute__((constructor)) static void register_##name(void)                                 \
    {                                                                                              \
        test_register(&test_##name);                                                               \
    }                                                                                              \
    static void name(void)

#define EXPECT(claim) ((void)test_expect((claim), __FILE__, __LINE__, "%s", #claim))
#define EXPECT_STR(got, want) ((void)test_expect_str((got), (want), __FILE__, __LINE__))
#define EXPECT_INT(got, want)                                                                      \
    ((void)test_expect_int((long long)(got), (long long)(want), #got, __FILE__, __LINE__))
#define EXPECT_BYTES(got, got_len, want, want_len)                                                 \
    ((void)test_expect_bytes((got), (got_len), (want), (want_len), __FILE__, __LINE__))
/* The only macro here that returns: a test cannot go on without what it required. */
#define REQUIRE(claim)                                                                             \
    do {                                                                                           \
        if (!test_expect((claim), __FILE__, __LINE__, "%s", #claim)) {                             \
            return;                                                                                \
        }                                                                                          \
    } while (0)

#endif
