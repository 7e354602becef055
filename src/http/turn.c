/* SPDX-License-Identifier: MIT
 *
 * When clients ask for more than fits into a turn of the loop: what further ones send is read and kept,
 * and worked on turn by turn in the order of arrival, so that the loop comes round within about a
 * millisecond. What is asked for promptly (a health check) goes before it. On the loop thread.
 */
#include "http/http_internal.h"

#include <string.h>

#define ACCEPTS_LEAST 16 /* of a listener, before it heeds the turn */

static bool asks_promptly(const struct cx_http *http, struct cx_str data);
static void accept_late(struct cx_http *http);

bool turn__is_late(struct connection *c, struct cx_str data)
{
    const struct cx_http *http = c->http;
    if (c->late.next != NULL) {
        return true;
    }
    if (link__empty(&http->late) && !cx_loop_turn_over(http->loop)) {
        return false;
    }
    const bool between = c->state == CONNECTION_IDLE || c->state == CONNECTION_HEAD;
    return c->eof || (between && (c->stash.len > 0 || !asks_promptly(http, data)));
}

/* By its first line as it usually comes: who writes it otherwise waits like the others. */
static bool asks_promptly(const struct cx_http *http, struct cx_str data)
{
    if (data.len < 4 || memcmp(data.p, "GET ", 4) != 0) {
        return false;
    }
    const struct cx_str rest = { data.p + 4, data.len - 4 };
    for (size_t i = 0; i < http->prompt_count; i++) {
        const struct cx_str path = http->prompt_paths[i];
        if (rest.len > path.len && memcmp(rest.p, path.p, path.len) == 0 &&
            (rest.p[path.len] == ' ' || rest.p[path.len] == '?')) {
            return true;
        }
    }
    return false;
}

void turn__postpone(struct connection *c)
{
    struct cx_http *http = c->http;
    cx_counter_add(http->postponed, 1);
    if (c->late.next == NULL) {
        link__append(&http->late, &c->late);
        cx_timer_start(http->turn_timer, 0, 0);
    }
}

bool turn__postpone_accept(struct listener *l)
{
    if (++l->accepted < ACCEPTS_LEAST || !cx_loop_turn_over(l->http->loop)) {
        return false;
    }
    l->accepted = 0;
    l->waits = true;
    cx_timer_start(l->http->turn_timer, 0, 0);
    return true;
}

void turn__on_timer(void *arg)
{
    struct cx_http *http = arg;
    accept_late(http);
    while (!link__empty(&http->late) && !cx_loop_turn_over(http->loop)) {
        struct link *first = link__take_first(&http->late);
        server__enter(http);
        connection__proceed(
            (struct connection *)(void *)((char *)first - offsetof(struct connection, late)));
        server__leave(http);
    }
    if (!link__empty(&http->late)) {
        cx_timer_start(http->turn_timer, 0, 0);
    }
}

static void accept_late(struct cx_http *http)
{
    for (struct listener *l = http->listeners; l != NULL; l = l->next) {
        if (l->waits) {
            l->waits = false;
            server__enter(http);
            connection__accept(l);
            server__leave(http);
        }
    }
}
