/* SPDX-License-Identifier: MIT
 *
 * curl_multi on the uv loop: curl says which sockets it watches and when it wants to be woken, uv
 * does it. Owns the multi handle, one uv timer, and a uv_poll for each socket. Loop thread only.
 *
 * Three things make this sound. A socket leaves the poll set within curl's own callback, that is
 * before curl closes it, because its number may be another's a moment later. A timer of zero is a
 * task put off, because curl must not be entered from its callback. And what has ended is told only
 * when curl has returned.
 */
#include "fetch.h"

#include <stdlib.h>
#include <uv.h>

struct watch { /* owner: curl's socket, by curl_multi_assign; then its closing handle */
    uv_poll_t poll;
    struct loop__multi *multi;
    curl_socket_t socket;
    int events;
};

struct loop__multi { /* owner: its fetch; then its closing timer */
    struct cx_loop *loop;
    CURLM *curl;
    uv_timer_t timer;
    struct loop__task at_once; /* a timer of zero */
    loop__transfer_fn on_ended;
    void *ctx;
};

static int on_curl_timer(CURLM *curl, long timeout_ms, void *ctx);
static void on_uv_timer(uv_timer_t *timer);
static void on_at_once(void *ctx);
static int on_curl_socket(CURL *easy, curl_socket_t socket, int what, void *ctx, void *socket_ctx);
static struct watch *add_watch(struct loop__multi *multi, curl_socket_t socket);
static void on_uv_poll(uv_poll_t *poll, int status, int events);
static void on_watch_closed(uv_handle_t *handle);
static void on_multi_closed(uv_handle_t *handle);
static void act(struct loop__multi *multi, curl_socket_t socket, int events);

struct loop__multi *loop__multi_new(struct cx_loop *loop, unsigned connections_max,
                                    loop__transfer_fn on_ended, void *ctx)
{
    CURLM *curl = curl_multi_init();
    if (curl == NULL) {
        return NULL;
    }
    struct loop__multi *multi = cx_alloc(sizeof(*multi));
    multi->loop = loop;
    multi->curl = curl;
    multi->on_ended = on_ended;
    multi->ctx = ctx;
    multi->at_once.run = on_at_once;
    multi->at_once.ctx = multi;
    CX_CHECK(uv_timer_init(cx_loop_uv(loop), &multi->timer) == 0);
    multi->timer.data = multi;
    /* What may be under way is bounded by fetch; this bounds what is kept for the next call. */
    (void)curl_multi_setopt(curl, CURLMOPT_MAXCONNECTS, (long)connections_max);
    (void)curl_multi_setopt(curl, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    (void)curl_multi_setopt(curl, CURLMOPT_TIMERDATA, multi);
    (void)curl_multi_setopt(curl, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    (void)curl_multi_setopt(curl, CURLMOPT_SOCKETDATA, multi);
    return multi;
}

void loop__multi_free(struct loop__multi **multi)
{
    struct loop__multi *gone = *multi;
    if (gone == NULL) {
        return;
    }
    *multi = NULL;
    (void)curl_multi_cleanup(gone->curl); /* may still call both callbacks */
    gone->curl = NULL;
    loop__defer_cancel(&gone->at_once);
    uv_close((uv_handle_t *)&gone->timer, on_multi_closed);
}

static void on_multi_closed(uv_handle_t *handle)
{
    free(handle->data);
}

CURLM *loop__multi_curl(struct loop__multi *multi)
{
    return multi->curl;
}

bool loop__multi_add(struct loop__multi *multi, CURL *easy)
{
    return curl_multi_add_handle(multi->curl, easy) == CURLM_OK;
}

void loop__multi_remove(struct loop__multi *multi, CURL *easy)
{
    (void)curl_multi_remove_handle(multi->curl, easy);
}

/* ---- curl's timer ---------------------------------------------------------------------------- */

static int on_curl_timer(CURLM *curl, long timeout_ms, void *ctx)
{
    (void)curl;
    struct loop__multi *multi = ctx;
    if (timeout_ms <= 0) {
        (void)uv_timer_stop(&multi->timer);
        if (timeout_ms == 0) {
            loop__defer(multi->loop, &multi->at_once);
        }
        return 0;
    }
    CX_CHECK(uv_timer_start(&multi->timer, on_uv_timer, (uint64_t)timeout_ms, 0) == 0);
    return 0;
}

static void on_uv_timer(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static void on_at_once(void *ctx)
{
    act(ctx, CURL_SOCKET_TIMEOUT, 0);
}

/* ---- curl's sockets -------------------------------------------------------------------------- */

static int on_curl_socket(CURL *easy, curl_socket_t socket, int what, void *ctx, void *socket_ctx)
{
    (void)easy;
    struct loop__multi *multi = ctx;
    struct watch *watch = socket_ctx;
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL) {
            (void)curl_multi_assign(multi->curl, socket, NULL);
            watch->events = 0;
            (void)uv_poll_stop(&watch->poll);
            uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
        }
        return 0;
    }
    if (watch == NULL) {
        watch = add_watch(multi, socket);
        if (watch == NULL) {
            return 0;
        }
    }
    watch->events = ((what & CURL_POLL_IN) != 0 ? UV_READABLE : 0) |
                    ((what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0);
    (void)uv_poll_start(&watch->poll, watch->events, on_uv_poll);
    return 0;
}

/* NULL when the kernel refuses to watch it. An error would make curl give up every transfer of the
 * multi; unwatched, this one runs into its deadline. */
static struct watch *add_watch(struct loop__multi *multi, curl_socket_t socket)
{
    struct watch *watch = cx_alloc(sizeof(*watch));
    const int code = uv_poll_init_socket(cx_loop_uv(multi->loop), &watch->poll, socket);
    if (code != 0) {
        free(watch);
        CX_LOG(CX_LOG_ERROR, "a socket of an outgoing request cannot be watched",
               CX_S("error", uv_strerror(code)));
        return NULL;
    }
    watch->poll.data = watch;
    watch->multi = multi;
    watch->socket = socket;
    (void)curl_multi_assign(multi->curl, socket, watch);
    return watch;
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_uv_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    const int flags = ((events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0) |
                      ((events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0) |
                      (status < 0 ? CURL_CSELECT_ERR : 0);
    act(watch->multi, watch->socket, flags);
    /* uv stops watching a socket that has an error. If curl goes on with it, it has to be watched
     * again; the handle is freed only after this iteration's callbacks. */
    if (status < 0 && watch->events != 0 && !uv_is_closing((uv_handle_t *)poll)) {
        (void)uv_poll_start(poll, watch->events, on_uv_poll);
    }
}

/* ---- One turn of curl ------------------------------------------------------------------------ */

static void act(struct loop__multi *multi, curl_socket_t socket, int events)
{
    int running = 0;
    const CURLMcode code = curl_multi_socket_action(multi->curl, socket, events, &running);
    if (code != CURLM_OK) {
        CX_LOG(CX_LOG_ERROR, "outgoing requests failed", CX_S("error", curl_multi_strerror(code)));
    }
    int left = 0;
    const CURLMsg *message = NULL;
    while ((message = curl_multi_info_read(multi->curl, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            multi->on_ended(multi->ctx, message->easy_handle, message->data.result);
        }
    }
}
