/* SPDX-License-Identifier: MIT
 *
 * Hot state as a whole, and namespaces of it: GET /hot, GET and DELETE /hot/{namespace}. However many
 * entries there are, a turn of the loop touches a few.
 */
#include "api/hot.h"

#define PAGE_BYTES ((size_t)8 << 20) /* of 1,000 keys, escaped */
#define ERASE_ROWS 500               /* in one job of the write lane: a few milliseconds */
#define AGAIN_MS 20                  /* until a full lane is asked again */

struct hot_space {
    struct cx_exchange *x;
    struct cx_api *api;
    struct cx_hot_sweep sweep;
    struct cx_timer *timer;
    struct cx_job *job;
    bool begun; /* rows were erased */
    bool rows_left;
    enum cx_status status; /* written by the job */
    struct cx_err err;
};

static enum cx_step_result hot_stats(struct cx_exchange *x);
static enum cx_step_result hot_keys(struct cx_exchange *x);
static enum cx_step_result hot_remove_all(struct cx_exchange *x);
static enum cx_step_result hot_removed_reply(struct cx_exchange *x);

static const struct cx_step hot_stats_steps[] = {
    { "reply", hot_stats, false }, /* loop */
};
static const struct cx_step hot_keys_steps[] = {
    { "reply", hot_keys, false }, /* loop */
};
static const struct cx_step hot_empty_steps[] = {
    { "remove", hot_remove_all, false }, /* waits: write lane, job by job, where it is persisted;
                                            * then turns of the loop                                */
    { "reply", hot_removed_reply,
      false }, /* loop                                                  */
};
API_ENDPOINT(api__hot_stats, hot_stats_steps, 0);
API_ENDPOINT(api__hot_keys, hot_keys_steps, 0);
API_ENDPOINT(api__hot_empty, hot_empty_steps, sizeof(struct hot_space));

/* ---- Lists ---- */

static enum cx_step_result hot_stats(struct cx_exchange *x)
{
    struct cx_faults faults;
    struct cx_str cursor;
    size_t limit = 0;
    cx_faults_init(&faults);
    api__read_page(x, &faults, &limit, &cursor);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &faults);
    if (checked != CX_STEP_NEXT) {
        return checked;
    }
    struct cx_buf answer;
    cx_buf_init(&answer, PAGE_BYTES);
    cx_hot_stats(api__of(x)->hot.hot, cursor, limit, &answer);
    return cx_exchange_reply_buf(x, 200, "application/json", &answer);
}

static enum cx_step_result hot_keys(struct cx_exchange *x)
{
    const struct cx_api *api = api__of(x);
    struct cx_faults faults;
    struct cx_str space;
    struct cx_str cursor;
    size_t limit = 0;
    cx_faults_init(&faults);
    api__hot_read_path(x, &faults, &space, NULL);
    api__read_page(x, &faults, &limit, &cursor);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &faults);
    if (checked != CX_STEP_NEXT) {
        return checked;
    }
    struct cx_buf answer;
    cx_buf_init(&answer, PAGE_BYTES);
    cx_hot_list(api->hot.hot, space, cursor, limit, cx_loop_now_ms(api->options.loop), &answer);
    return cx_exchange_reply_buf(x, 200, "application/json", &answer);
}

/* ---- Emptying a namespace ---- */

static void start_job(struct hot_space *h);
static void erase_all_work(void *arg);
static void on_erased(void *arg, enum cx_status status);
static void on_turn(void *ctx);
static void end(struct hot_space *h, enum cx_status status);

/* First from the disk, then from memory, in one operation, which goes on to its end even if the client
 * has left: neither may have what the other has not. */
static enum cx_step_result hot_remove_all(struct cx_exchange *x)
{
    struct hot_space *h = cx_exchange_state(x);
    h->x = x;
    h->api = api__of(x);
    struct cx_faults faults;
    cx_faults_init(&faults);
    api__hot_read_path(x, &faults, &h->sweep.space, NULL);
    const enum cx_step_result checked = cx_exchange_fail_faults(x, &faults);
    if (checked != CX_STEP_NEXT) {
        return checked;
    }
    h->sweep.stamp = cx_hot_stamp(h->api->hot.hot);
    h->rows_left = h->api->hot.persist;
    cx_timer_new(h->api->options.loop, on_turn, h, &h->timer);
    cx_timer_start(h->timer, 0, 0);
    return cx_exchange_wait(x, NULL, NULL);
}

static void on_turn(void *ctx)
{
    struct hot_space *h = ctx;
    if (h->rows_left) {
        start_job(h);
    } else if (cx_hot_sweep(h->api->hot.hot, &h->sweep, API_HOT_STEPS)) {
        end(h, CX_OK);
    } else {
        cx_timer_start(h->timer, 0, 0);
    }
}

static void start_job(struct hot_space *h)
{
    const enum cx_status status = cx_lane_submit(h->api->options.write_lane, CX_PRIORITY_NORMAL,
                                                 erase_all_work, on_erased, h, &h->job);
    if (status == CX_OK) {
        return;
    }
    h->job = NULL;
    if (h->begun) {
        cx_timer_start(h->timer, AGAIN_MS, 0); /* what is half done is not left so */
    } else {
        end(h, CX_OVERLOADED);
    }
}

static void erase_all_work(void *arg)
{
    struct hot_space *h = arg;
    h->status = cx_hot_erase_all(cx_store_writer(h->api->options.store), h->sweep.space,
                                 h->sweep.stamp, ERASE_ROWS, &h->rows_left, &h->err);
}

static void on_erased(void *arg, enum cx_status status)
{
    struct hot_space *h = arg;
    h->job = NULL;
    if (status == CX_OK) {
        status = h->status;
    }
    if (status != CX_OK) {
        end(h, status);
        return;
    }
    h->begun = true;
    on_turn(h);
}

static void end(struct hot_space *h, enum cx_status status)
{
    cx_timer_free(&h->timer);
    if (h->sweep.removed > 0) {
        api__hot_tell(h->api, "hot_removed", h->sweep.space, (struct cx_str){ NULL, 0 },
                      cx_exchange_correlation_id(h->x));
    }
    cx_exchange_resume(h->x, status, &h->err);
}

static enum cx_step_result hot_removed_reply(struct cx_exchange *x)
{
    const struct hot_space *h = cx_exchange_state(x);
    return cx_exchange_reply_json(x, 200,
                                  json_pack("{s:I}", "deleted", (json_int_t)h->sweep.removed));
}
