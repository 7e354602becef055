/* SPDX-License-Identifier: MIT
 *
 * What a connection waits for, how long, and what happens when that has not come in time.
 */
#include "http/http_internal.h"

/* A deadline runs from when its wait began: bytes that trickle in do not renew it. */
void connection__await(struct connection *c, bool begun)
{
    struct cx_http *http = c->http;
    struct deadlines *list = NULL;
    switch (c->state) {
    case CONNECTION_HEAD:
        list = c->writes > 0 ? &http->write_deadlines : &http->header_deadlines;
        break;
    case CONNECTION_BODY:
    case CONNECTION_DISCARD:
        list = &http->body_deadlines;
        break;
    case CONNECTION_STREAM:
        list = stream__awaits_body(c->exchange)                      ? &http->body_deadlines
               : c->writes > 0 && stream__awaits_reader(c->exchange) ? &http->write_deadlines
                                                                     : NULL;
        break;
    case CONNECTION_LINGER:
        list = c->patient ? &http->body_deadlines : &http->linger_deadlines;
        break;
    case CONNECTION_IDLE:
        list = c->writes > 0 ? &http->write_deadlines : &http->idle_deadlines;
        break;
    case CONNECTION_WORK:
    case CONNECTION_STOPPED:
        list = c->writes > 0 ? &http->write_deadlines : NULL;
        break;
    case CONNECTION_CLOSING:
    case CONNECTION_STATE_COUNT:
        break;
    }
    if (list == c->awaits && !begun) {
        return;
    }
    c->awaits = list;
    if (list == NULL) {
        deadline__stop(&c->deadline);
        return;
    }
    c->unsent_seen = uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);
    deadline__start(http, list, &c->deadline, c);
}

void connection__on_header_time(void *arg)
{
    struct connection *c = arg;
    c->awaits = NULL;
    exchange__refuse(c, CX_REQUEST_TIMEOUT, "The request head arrived too slowly");
    connection__settle(c);
}

void connection__on_body_time(void *arg)
{
    struct connection *c = arg;
    c->awaits = NULL;
    if (c->state == CONNECTION_BODY) {
        c->exchange->close = true;
        (void)reply__problem(c->exchange, CX_REQUEST_TIMEOUT, "The body arrived too slowly", NULL);
        connection__settle(c);
    } else if (c->state == CONNECTION_STREAM) {
        stream__body_failed(c->exchange, CX_REQUEST_TIMEOUT, "The body arrived too slowly");
        connection__settle(c);
    } else {
        connection__close(c);
    }
}

void connection__on_write_time(void *arg)
{
    struct connection *c = arg;
    const size_t unsent = uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);
    if (unsent < c->unsent_seen) {
        c->unsent_seen = unsent;
        deadline__start(c->http, c->awaits, &c->deadline, c);
        return;
    }
    if (c->exchange != NULL && c->exchange->stream.state == STREAM_OPEN) {
        observe__disconnected("slow");
    }
    connection__close(c);
}

void connection__on_close_time(void *arg)
{
    connection__close(arg);
}
