/* SPDX-License-Identifier: MIT
 *
 * What the tests of fetch share (fetch_env.h).
 */
#include "fetch_env.h"

#include <stdio.h>
#include <string.h>

void world_open(struct world *w)
{
    world_open_with(w,
                    &(struct cx_fetch_options){
                        .user_agent = "test/1", .connections_max = 128, .waiting_max = 4096 },
                    NULL);
}

void world_open_with(struct world *w, const struct cx_fetch_options *options, const char *unix_path)
{
    struct cx_err err;
    w->started = w->done = w->wanted = 0;
    w->starting = false;
    names_reset();
    upstream_start(&w->upstream, unix_path);
    w->loop = env_loop();
    CX_CHECK(cx_fetch_new(w->loop, options, &w->fetch, &err) == CX_OK);
}

void world_close(struct world *w)
{
    EXPECT_INT(w->done, w->started);
    EXPECT_INT(cx_fetch_active(w->fetch), 0);
    EXPECT(!names_asked_on_loop_thread());
    names_release();
    cx_fetch_free(&w->fetch);
    cx_loop_free(&w->loop);
    upstream_stop(&w->upstream);
}

void world_run(struct world *w, unsigned done)
{
    w->wanted = done;
    if (w->done < done) {
        cx_loop_run(w->loop);
    }
    EXPECT(w->done >= done); /* the iteration that is stopped still ends: more may be done */
}

struct cx_fetch_request world_request(struct world *w, const char *path, char url[128])
{
    (void)snprintf(url, 128, "http://127.0.0.1:%u%s", w->upstream.port, path);
    return (struct cx_fetch_request){ .method = "GET",
                                      .url = url,
                                      .connect_timeout_ms = 5000,
                                      .timeout_ms = 10000,
                                      .response_max_bytes = 64 * 1024 };
}

static void copy_str(char *to, size_t size, struct cx_str from)
{
    const size_t len = from.len < size - 1 ? from.len : size - 1;
    if (len > 0) {
        memcpy(to, from.p, len);
    }
    to[len] = '\0';
}

static void on_probe_done(void *ctx, const struct cx_fetch_response *response)
{
    struct probe *p = ctx;
    struct world *w = p->world;
    p->completions++;
    p->within_start = w->starting;
    p->outcome = response->outcome;
    p->status = response->status;
    p->body_len = response->body.len;
    copy_str(p->body, sizeof(p->body), response->body);
    copy_str(p->word, sizeof(p->word), cx_fetch_header(response, "x-word"));
    copy_str(p->headers, sizeof(p->headers), response->headers);
    (void)snprintf(p->reason, sizeof(p->reason), "%s", response->reason);
    EXPECT(cx_on_loop_thread());
    EXPECT(!p->within_start);
    EXPECT_INT(p->completions, 1);
    EXPECT((response->outcome == CX_FETCH_OK) == (response->reason[0] == '\0'));
    EXPECT(strstr(response->reason, "127.0.0.1") == NULL);
    EXPECT(strstr(response->reason, "://") == NULL);
    if (++w->done == w->wanted) {
        cx_loop_stop(w->loop);
    }
}

enum cx_status probe_start(struct world *w, struct probe *p, const struct cx_fetch_request *request)
{
    struct cx_err err = { "" };
    *p = (struct probe){ .world = w };
    w->starting = true;
    const enum cx_status status =
        cx_fetch_start(w->fetch, request, on_probe_done, p, &p->call, &err);
    w->starting = false;
    if (status == CX_OK) {
        w->started++;
    } else {
        (void)snprintf(p->reason, sizeof(p->reason), "%s", err.text);
    }
    return status;
}

void probe_get(struct world *w, struct probe *p, const char *path)
{
    char url[128];
    const struct cx_fetch_request request = world_request(w, path, url);
    EXPECT_INT(probe_start(w, p, &request), CX_OK);
}

void probe_cancel(struct probe *p)
{
    p->world->starting = true;
    cx_call_cancel(p->call);
    p->world->starting = false;
}

void probe_run(struct world *w, struct probe *p, const struct cx_fetch_request *request)
{
    EXPECT_INT(probe_start(w, p, request), CX_OK);
    world_run(w, w->done + 1);
}
