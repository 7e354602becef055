/* SPDX-License-Identifier: MIT
 *
 * Batches that go to the daemon's own store: compared on the read lane, stored by one transaction on the
 * write lane, which is all or nothing. Loop thread, but for the _work functions.
 */
#include <string.h>

#include "api/batch.h"

static enum cx_status open_local(struct cx_api *api, struct cx_str collection, struct cx_vector **v,
                                 struct cx_err *err);
static enum cx_status check_local(const struct api__batch *b, size_t row_count, struct cx_err *err);
static enum cx_status compare_local(struct api__batch *b);
static enum cx_status store_local(struct api__batch *b);
static void cancel_local(struct api__batch *b);
static void release_local(struct api__batch *b);

const struct api__batch_target api__batch_local = {
    .keeps_pending = true,
    .open = open_local,
    .check = check_local,
    .compare = compare_local,
    .store = store_local,
    .cancel = cancel_local,
    .release = release_local,
};

static enum cx_status open_local(struct cx_api *api, struct cx_str collection, struct cx_vector **v,
                                 struct cx_err *err)
{
    return cx_vector_find_or_new(api->vector, collection, v, err);
}

static enum cx_status check_local(const struct api__batch *b, size_t row_count, struct cx_err *err)
{
    return cx_vector_check(b->v, b->rows, row_count, err);
}

static void on_job_done(void *arg, enum cx_status status);
static void compare_work(void *arg);
static void store_work(void *arg);

static enum cx_status compare_local(struct api__batch *b)
{
    return cx_lane_submit(b->api->options.read_lane, CX_PRIORITY_NORMAL, compare_work, on_job_done,
                          b, &b->op.job);
}

static void compare_work(void *arg)
{
    struct api__batch *b = arg;
    if (b->attempts == API_COMPARES_MAX) {
        memset(b->unchanged, 0, b->row_count * sizeof *b->unchanged);
        return;
    }
    struct cx_db *db = cx_store_reader(b->api->options.store);
    b->op.status = cx_vector_unchanged(b->v, db, b->rows, b->row_count, b->unchanged, &b->op.err);
    cx_store_return(b->api->options.store, db);
}

static enum cx_status store_local(struct api__batch *b)
{
    return cx_lane_submit(b->api->options.write_lane, CX_PRIORITY_NORMAL, store_work, on_job_done,
                          b, &b->op.job);
}

static void store_work(void *arg)
{
    struct api__batch *b = arg;
    b->op.status = cx_vector_put(b->v, cx_store_writer(b->api->options.store), b->rows,
                                 b->row_count, &b->done, &b->op.err);
}

static void on_job_done(void *arg, enum cx_status status)
{
    struct api__batch *b = arg;
    b->op.job = NULL;
    api__batch_done(b, status == CX_OK ? b->op.status : status);
}

static void cancel_local(struct api__batch *b)
{
    cx_job_cancel(b->op.job);
}

static void release_local(struct api__batch *b)
{
    CX_CHECK(b->op.job == NULL);
}
