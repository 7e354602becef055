/* SPDX-License-Identifier: MIT
 *
 * Which collection a request means, and letting go of it: to free one that was deleted takes long, so
 * the last who held it hands it to the cpu lane. Loop thread.
 */
#include "api/api_internal.h"

#include <stdlib.h>

#define NAME_MAX_CHARS 512 /* a longer one is no name in any case */

enum cx_step_result api__collection_find(struct cx_exchange *x, struct cx_str name,
                                         struct cx_vector **out)
{
    struct cx_err err = { "" };
    const enum cx_status status = cx_vector_find(api__of(x)->vector, name, out, &err);
    return status == CX_OK ? CX_STEP_NEXT : cx_exchange_fail(x, status, "%s", err.text);
}

struct cx_str api__collection_query(struct cx_exchange *x)
{
    const char *name = cx_exchange_query(x, "collection");
    return name != NULL ? cx_str_of(name) : CX_STR("default");
}

void api__read_collection(struct cx_reader *r, struct cx_str *name)
{
    (void)cx_read_string(r, "collection", CX_OPTIONAL, 1, NAME_MAX_CHARS, name);
}

/* ---- Letting go ---- */

struct freeing {
    struct cx_api *api;
    struct cx_vector *v;
};

static void free_work(void *arg);
static void on_freed(void *arg, enum cx_status status);

void api__collection_release(struct cx_api *api, struct cx_vector **v)
{
    struct cx_vector *gone = cx_vector_release(v);
    if (gone == NULL) {
        return;
    }
    struct freeing *f = cx_alloc(sizeof *f);
    *f = (struct freeing){ api, gone };
    if (cx_lane_submit_freeing(api->options.cpu_lane, free_work, on_freed, f) != CX_OK) {
        on_freed(f, CX_CANCELLED);
    }
}

static void free_work(void *arg)
{
    struct freeing *f = arg;
    cx_vector_free(&f->v);
}

static void on_freed(void *arg, enum cx_status status)
{
    struct freeing *f = arg;
    if (status != CX_OK) {
        free_work(f);
    }
    api__sweep_wake(f->api);
    free(f);
}
