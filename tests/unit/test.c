/* SPDX-License-Identifier: MIT
 *
 * The unit test harness's runner (test.h). Single-threaded but for the checks, which may be called
 * from any thread.
 */
#include "test.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct test *first_test;
static atomic_int failures;
static char dir_path[256];

void test_register(struct test *test)
{
    struct test **at = &first_test;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = test;
}

bool test_expect(bool ok, const char *file, int line, const char *format, ...)
{
    if (ok) {
        return true;
    }
    atomic_fetch_add(&failures, 1);
    fprintf(stderr, "%s:%d: failed: ", file, line);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return false;
}

bool test_expect_str(const char *got, const char *want, const char *file, int line)
{
    const bool same = got != NULL && want != NULL ? strcmp(got, want) == 0 : got == want;
    return test_expect(same, file, line, "got  \"%s\"\n    want \"%s\"",
                       got != NULL ? got : "(null)", want != NULL ? want : "(null)");
}

bool test_expect_int(long long got, long long want, const char *what, const char *file, int line)
{
    return test_expect(got == want, file, line, "%s: got %lld, want %lld", what, got, want);
}

bool test_expect_bytes(const void *got, size_t got_len, const void *want, size_t want_len,
                       const char *file, int line)
{
    const bool same = got_len == want_len && (got_len == 0 || memcmp(got, want, got_len) == 0);
    return test_expect(same, file, line, "got %zu bytes \"%.*s\"\n    want %zu bytes \"%.*s\"",
                       got_len, (int)got_len, (const char *)got, want_len, (int)want_len,
                       (const char *)want);
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void remove_dir(void)
{
    if (dir_path[0] != '\0') {
        (void)nftw(dir_path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        dir_path[0] = '\0';
    }
}

const char *test_dir(void)
{
    if (dir_path[0] == '\0') {
        const char *base = getenv("TMPDIR");
        snprintf(dir_path, sizeof dir_path, "%s/cortex-unit-XXXXXX", base != NULL ? base : "/tmp");
        if (mkdtemp(dir_path) == NULL) {
            perror("mkdtemp");
            exit(1);
        }
    }
    return dir_path;
}

int main(int argc, char **argv)
{
    int passed = 0;
    int failed = 0;
    for (const struct test *test = first_test; test != NULL; test = test->next) {
        if (argc > 1 && strstr(test->name, argv[1]) == NULL) {
            continue;
        }
        const int before = atomic_load(&failures);
        test->run();
        remove_dir();
        if (atomic_load(&failures) == before) {
            passed++;
        } else {
            failed++;
            fprintf(stderr, "FAILED %s\n", test->name);
        }
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
