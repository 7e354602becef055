/* SPDX-License-Identifier: MIT
 *
 * Timers and signals: uv handles with a life that is over for the caller at once, while the handle
 * itself closes behind it. Loop thread only.
 */
#include "internal.h"

#include <stdlib.h>
#include <uv.h>

struct cx_timer { /* owner: who made it; after cx_timer_free the loop, until it is closed */
    uv_timer_t handle;
    struct loop__task at_once; /* a delay of zero */
    void (*on_time)(void *ctx);
    void *ctx;
};

struct cx_signal { /* owner: as with a timer */
    uv_signal_t handle;
    void (*on_signal)(void *ctx);
    void *ctx;
};

static void on_timer(uv_timer_t *handle);
static void on_at_once(void *ctx);
static void on_timer_closed(uv_handle_t *handle);
static void on_signal_closed(uv_handle_t *handle);
static void on_number(uv_signal_t *handle, int number);

void cx_timer_new(struct cx_loop *loop, void (*on_time)(void *ctx), void *ctx,
                  struct cx_timer **out)
{
    CX_ASSERT_LOOP();
    struct cx_timer *t = cx_alloc(sizeof(*t));
    CX_CHECK(uv_timer_init(cx_loop_uv(loop), &t->handle) == 0);
    t->handle.data = t;
    t->at_once.run = on_at_once;
    t->at_once.ctx = t;
    t->on_time = on_time;
    t->ctx = ctx;
    *out = t;
}

void cx_timer_start(struct cx_timer *t, uint64_t delay_ms, uint64_t repeat_ms)
{
    CX_ASSERT_LOOP();
    loop__defer_cancel(&t->at_once);
    /* uv would run a timer of zero that is started by a timer before it looks at any socket: who goes
     * on in small steps would hold up everybody. */
    if (delay_ms == 0 && repeat_ms == 0) {
        (void)uv_timer_stop(&t->handle);
        loop__defer(t->handle.loop->data, &t->at_once);
        return;
    }
    /* uv counts from the start of the iteration; without this a timer would be early by all that
     * the iteration (or the start-up) has taken so far. */
    uv_update_time(t->handle.loop);
    CX_CHECK(uv_timer_start(&t->handle, on_timer, delay_ms, repeat_ms) == 0);
}

void cx_timer_stop(struct cx_timer *t)
{
    CX_ASSERT_LOOP();
    loop__defer_cancel(&t->at_once);
    (void)uv_timer_stop(&t->handle);
}

void cx_timer_free(struct cx_timer **t)
{
    struct cx_timer *gone = *t;
    if (gone == NULL) {
        return;
    }
    CX_ASSERT_LOOP();
    *t = NULL;
    loop__defer_cancel(&gone->at_once);
    uv_close((uv_handle_t *)&gone->handle, on_timer_closed);
}

static void on_timer(uv_timer_t *handle)
{
    const struct cx_timer *t = handle->data;
    loop__new_turn(handle->loop->data);
    t->on_time(t->ctx);
}

static void on_at_once(void *ctx)
{
    const struct cx_timer *t = ctx;
    t->on_time(t->ctx);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

enum cx_status cx_signal_new(struct cx_loop *loop, int number, void (*on_signal)(void *ctx),
                             void *ctx, struct cx_signal **out, struct cx_err *err)
{
    CX_ASSERT_LOOP();
    struct cx_signal *s = cx_alloc(sizeof(*s));
    int code = uv_signal_init(cx_loop_uv(loop), &s->handle);
    if (code != 0) {
        free(s);
        return cx_err_set(err, CX_INTERNAL, "Signals cannot be received: %s", uv_strerror(code));
    }
    s->handle.data = s;
    s->on_signal = on_signal;
    s->ctx = ctx;
    code = uv_signal_start(&s->handle, on_number, number);
    if (code != 0) {
        uv_close((uv_handle_t *)&s->handle, on_signal_closed);
        return cx_err_set(err, CX_INTERNAL, "Signal %d cannot be received: %s", number,
                          uv_strerror(code));
    }
    *out = s;
    return CX_OK;
}

void cx_signal_free(struct cx_signal **s)
{
    struct cx_signal *gone = *s;
    if (gone == NULL) {
        return;
    }
    CX_ASSERT_LOOP();
    *s = NULL;
    uv_close((uv_handle_t *)&gone->handle, on_signal_closed);
}

static void on_number(uv_signal_t *handle, int number)
{
    (void)number;
    const struct cx_signal *s = handle->data;
    s->on_signal(s->ctx);
}

static void on_signal_closed(uv_handle_t *handle)
{
    free(handle->data);
}
