/* SPDX-License-Identifier: MIT
 *
 * A failed check: what it says, and that it ends the process whoever reads.
 */
#include "test.h"

#include "log_env.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail_directly(void)
{
    CX_CHECK(1 + 1 == 3);
}

static void fail_with_lines_waiting(void)
{
    cx_log_start(CX_LOG_INFO, CX_LOG_AUTO);
    for (int i = 0; i < 200; i++) {
        CX_LOG(CX_LOG_INFO, "before", CX_I("n", i));
    }
    CX_CHECK(1 + 1 == 3);
}

static void fail_behind_a_full_ring(void)
{
    cx_log_start(CX_LOG_INFO, CX_LOG_AUTO);
    talk_all(2000);
    CX_CHECK(1 + 1 == 3);
}

TEST(check_failed_writes_and_aborts)
{
    void (*const bodies[])(void) = { fail_directly, fail_with_lines_waiting };
    for (size_t i = 0; i < CX_ARRAY_LEN(bodies); i++) {
        const int file = memfd_create("log", MFD_CLOEXEC);
        REQUIRE(file >= 0);
        const int status = run_child(file, bodies[i]);
        EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        struct cx_buf text;
        cx_buf_init(&text, 1 << 20);
        (void)lseek(file, 0, SEEK_SET);
        read_all(file, &text);
        cx_buf_putc(&text, '\0');
        const char *check = strstr(text.data, "\"msg\":\"check failed\",\"claim\":\"1 + 1 == 3\","
                                              "\"file\":\"");
        REQUIRE(check != NULL);
        EXPECT(strstr(check, "check_test.c\",\"line\":") != NULL);
        EXPECT(strstr(check, "\"msg\":\"backtrace\",\"frame\":\"") != NULL);
        if (i == 1) {
            const char *last = strstr(text.data, "\"msg\":\"before\",\"n\":199}");
            EXPECT(last != NULL && last < check);
        }
        cx_buf_free(&text);
        (void)close(file);
    }
}

TEST(check_failed_aborts_though_nobody_reads)
{
    int ends[2];
    make_pipe(ends);
    const int status = run_child(ends[1], fail_behind_a_full_ring);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    (void)close(ends[0]);
    (void)close(ends[1]);
}
