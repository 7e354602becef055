/* SPDX-License-Identifier: MIT
 *
 * fetch with everything at once: sockets that close and numbers that come again, kept connections
 * that have died, no descriptor left.
 */
#include "fetch_env.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Good and bad upstreams beside each other, a third of the calls cancelled at some point. Every
 * call completes once, with an outcome that its script allows. */
TEST(fetch_storm_of_good_and_bad)
{
    static const struct {
        const char *path;
        enum cx_fetch_outcome want;
    } kinds[] = {
        { "/ok", CX_FETCH_OK },           { "/cut", CX_FETCH_BROKEN },
        { "/chunked", CX_FETCH_OK },      { "/hang-up", CX_FETCH_BROKEN },
        { "/missing", CX_FETCH_OK },      { "/reset", CX_FETCH_BROKEN },
        { "/flood", CX_FETCH_TOO_LARGE }, { "/ok-close", CX_FETCH_OK },
    };
    enum { CALLS = 240 };
    struct world w;
    static struct probe probes[CALLS];
    world_open_with(&w, &(struct cx_fetch_options){ .connections_max = 16, .waiting_max = CALLS },
                    NULL);
    for (unsigned i = 0; i < CALLS; i++) {
        probe_get(&w, &probes[i], kinds[i % CX_ARRAY_LEN(kinds)].path);
    }
    for (unsigned done = 20; done <= CALLS; done += 20) {
        world_run(&w, done);
        for (unsigned i = done; i < CALLS && i < done + 7; i++) {
            if (probes[i].completions == 0) {
                probe_cancel(&probes[i]);
            }
        }
    }
    world_run(&w, CALLS);
    for (unsigned i = 0; i < CALLS; i++) {
        const enum cx_fetch_outcome want = kinds[i % CX_ARRAY_LEN(kinds)].want;
        EXPECT_INT(probes[i].completions, 1);
        (void)test_expect(probes[i].outcome == want || probes[i].outcome == CX_FETCH_CANCELLED,
                          __FILE__, __LINE__, "%s ended with %d (\"%s\")",
                          kinds[i % CX_ARRAY_LEN(kinds)].path, (int)probes[i].outcome,
                          probes[i].reason);
    }
    world_close(&w);
}

/* The upstream says nothing of closing and closes after each answer: what is kept is dead when it
 * is used again. */
TEST(fetch_survives_kept_connections_that_have_died)
{
    struct world w;
    struct probe p;
    char url[128];
    world_open(&w);
    const struct cx_fetch_request request = world_request(&w, "/ok-close", url);
    for (int i = 0; i < 100; i++) {
        probe_run(&w, &p, &request);
        EXPECT_INT(p.outcome, CX_FETCH_OK);
        EXPECT_STR(p.body, "hello");
    }
    EXPECT_INT(upstream_connections(&w.upstream), 100);
    world_close(&w);
}

static rlim_t highest_descriptor(void)
{
    rlim_t highest = 0;
    DIR *dir = opendir("/proc/self/fd");
    CX_CHECK(dir != NULL);
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        const rlim_t number = strtoul(entry->d_name, NULL, 10);
        highest = number > highest ? number : highest;
    }
    (void)closedir(dir);
    return highest;
}

TEST(fetch_without_a_descriptor_left)
{
    struct world w;
    struct probe p;
    char url[128];
    struct rlimit before;
    world_open(&w);
    const struct cx_fetch_request request = world_request(&w, "/ok", url);
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    struct rlimit none = before;
    none.rlim_cur = 3; /* what is open stays open */
    EXPECT(highest_descriptor() >= none.rlim_cur);
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    probe_run(&w, &p, &request);
    REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
    EXPECT_INT(p.outcome, CX_FETCH_CONNECT);
    probe_run(&w, &p, &request); /* and it goes on when there is one again */
    EXPECT_INT(p.outcome, CX_FETCH_OK);
    world_close(&w);
}
