/* SPDX-License-Identifier: MIT
 *
 * GET /audit/verify: walks the whole chain, slice by slice on the cpu lane, so that a large ledger
 * keeps nobody from computing. It ends early when nobody waits for it any more, or shortly before the
 * deadline.
 */
#include "api/api_internal.h"

#define SLICE_MS 20
#define SPARE_MS 500
#define WALKS_MAX 2 /* at once */
#define RESULT_MAX_BYTES ((size_t)1 << 20)

struct verification {
    struct cx_exchange *x;
    struct cx_api *api;
    struct cx_audit_verify *verify;
    struct cx_job *job;
    struct cx_buf answer;
    uint64_t until_ns;
    bool cancelled;
    bool more;
    enum cx_status status;
    struct cx_err err;
};

static enum cx_step_result verify_walk(struct cx_exchange *x);
static enum cx_step_result verify_reply(struct cx_exchange *x);

static const struct cx_step verify_steps[] = {
    { "walk", verify_walk, false },   /* waits: cpu lane, slice by slice */
    { "reply", verify_reply, false }, /* loop                            */
};
API_ENDPOINT(api__audit_verify, verify_steps, sizeof(struct verification));

static void release_verification(void *arg);
static bool submit_slice(struct verification *v);
static void slice_work(void *arg);
static void on_slice(void *arg, enum cx_status status);
static void cancel(void *op);

static enum cx_step_result verify_walk(struct cx_exchange *x)
{
    struct verification *v = cx_exchange_state(x);
    v->x = x;
    v->api = api__of(x);
    cx_buf_init(&v->answer, RESULT_MAX_BYTES);
    cx_exchange_defer(x, release_verification, v);
    const uint64_t left_ms = cx_exchange_left_ms(x);
    v->until_ns = cx_clock_mono_ns() +
                  (left_ms > SPARE_MS ? left_ms - SPARE_MS : left_ms / 2) * UINT64_C(1000000);
    if (v->api->audit.walks >= WALKS_MAX || !submit_slice(v)) {
        cx_exchange_set_retry_after(x, 1);
        return cx_exchange_fail(x, CX_OVERLOADED, "The ledger is being verified already");
    }
    v->api->audit.walks++;
    return cx_exchange_wait(x, cancel, v);
}

static void release_verification(void *arg)
{
    struct verification *v = arg;
    cx_audit_verify_free(&v->verify);
    cx_buf_free(&v->answer);
}

static void cancel(void *op)
{
    ((struct verification *)op)->cancelled = true;
}

static bool submit_slice(struct verification *v)
{
    return cx_lane_submit(v->api->options.cpu_lane, CX_PRIORITY_NORMAL, slice_work, on_slice, v,
                          &v->job) == CX_OK;
}

static void slice_work(void *arg)
{
    struct verification *v = arg;
    v->status = CX_OK;
    v->more = true;
    if (v->verify == NULL) {
        v->status = cx_audit_verify_open(v->api->options.audit, &v->verify, &v->err);
    }
    if (v->status == CX_OK) {
        v->status = cx_audit_verify_step(v->verify, SLICE_MS, &v->more, &v->err);
    }
    if (v->status == CX_OK && !v->more) {
        (void)cx_audit_verify_result(v->verify, &v->answer);
    }
}

static void on_slice(void *arg, enum cx_status status)
{
    struct verification *v = arg;
    v->job = NULL;
    if (status != CX_OK) {
        v->status = status;
    }
    if (v->status == CX_CONFLICT && !v->cancelled) {
        cx_audit_verify_free(&v->verify); /* retention went by: once more from the start */
        v->status = CX_OK;
    }
    if (v->status == CX_OK && v->more && v->cancelled) {
        v->status = CX_CANCELLED;
    } else if (v->status == CX_OK && v->more && cx_clock_mono_ns() > v->until_ns) {
        v->status = cx_err_set(&v->err, CX_OVERLOADED,
                               "The ledger is too large to be walked in the time of one request: "
                               "cortexd --verify-ledger does it");
    } else if (v->status == CX_OK && v->more) {
        if (submit_slice(v)) {
            return;
        }
        v->status = CX_OVERLOADED;
    }
    v->api->audit.walks--;
    cx_exchange_resume(v->x, v->status, &v->err);
}

static enum cx_step_result verify_reply(struct cx_exchange *x)
{
    struct verification *v = cx_exchange_state(x);
    return cx_exchange_reply_buf(x, 200, "application/json", &v->answer);
}
