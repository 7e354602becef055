/* SPDX-License-Identifier: MIT
 *
 * Asks (share.h).
 */
#include "share.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/metrics.h"

static void free_ask(struct cx_vector_ask *ask);
static void take_out(struct vector__share *share, const struct cx_vector_ask *ask);

void vector__share_init(struct vector__share *share)
{
    *share = (struct vector__share){ .shared = cx_metrics_series(CX_M_VECTOR_SHARED, "") };
    CX_CHECK(pthread_mutex_init(&share->mutex, NULL) == 0);
    CX_CHECK(pthread_cond_init(&share->done, NULL) == 0);
}

void vector__share_free(struct vector__share *share)
{
    CX_CHECK(share->first == NULL);
    CX_CHECK(pthread_cond_destroy(&share->done) == 0);
    CX_CHECK(pthread_mutex_destroy(&share->mutex) == 0);
}

struct cx_vector_ask *cx_vector_ask(struct cx_vector *v, const struct cx_search *search)
{
    if (search->mode != CX_SEARCH_SEMANTIC || search->vector == NULL || search->filter != NULL) {
        return NULL;
    }
    const size_t floats = (search->dimension + (size_t)VECTOR__ROW_FLOATS - 1) /
                          VECTOR__ROW_FLOATS * VECTOR__ROW_FLOATS;
    float *query = aligned_alloc(VECTOR__ALIGN, floats * sizeof *query);
    if (query == NULL) {
        return NULL;
    }
    memset(query, 0, floats * sizeof *query);
    if (search->dimension == 0 || !vector__copy_unit(query, search->vector, search->dimension)) {
        free(query);
        return NULL;
    }
    struct cx_vector_ask *ask = cx_alloc(sizeof *ask);
    *ask = (struct cx_vector_ask){ .share = &v->share,
                                   .query = query,
                                   .dimension = search->dimension,
                                   .own_vector = search->own_vector,
                                   .least = search->has_min_score ? search->min_score : -INFINITY,
                                   .most = search->top_k };
    struct vector__share *share = &v->share;
    CX_CHECK(pthread_mutex_lock(&share->mutex) == 0);
    ask->previous = share->last;
    *(share->last != NULL ? &share->last->next : &share->first) = ask;
    share->last = ask;
    share->count++;
    CX_CHECK(pthread_mutex_unlock(&share->mutex) == 0);
    return ask;
}

void cx_vector_ask_free(struct cx_vector_ask **at)
{
    struct cx_vector_ask *ask = *at;
    if (ask == NULL) {
        return;
    }
    *at = NULL;
    struct vector__share *share = ask->share;
    CX_CHECK(pthread_mutex_lock(&share->mutex) == 0);
    const bool taken = ask->state == VECTOR__ASK_TAKEN;
    if (ask->state == VECTOR__ASK_WAITING) {
        take_out(share, ask);
    }
    ask->abandoned = true;
    CX_CHECK(pthread_mutex_unlock(&share->mutex) == 0);
    if (!taken) {
        free_ask(ask);
    }
}

size_t vector__share_take(struct cx_vector *v, size_t most, struct cx_vector_ask **out)
{
    struct vector__share *share = &v->share;
    size_t taken = 0;
    CX_CHECK(pthread_mutex_lock(&share->mutex) == 0);
    /* Half of them: another worker may be about to come for the rest. */
    const size_t half = (share->count + 1) / 2;
    most = half < most ? half : most;
    for (struct cx_vector_ask *ask = share->first; ask != NULL && taken < most;) {
        struct cx_vector_ask *next = ask->next;
        if (ask->dimension == v->index.dimension &&
            (ask->own_vector || v->owner != CX_OWNER_CLIENT)) {
            take_out(share, ask);
            ask->state = VECTOR__ASK_TAKEN;
            out[taken++] = ask;
        }
        ask = next;
    }
    CX_CHECK(pthread_mutex_unlock(&share->mutex) == 0);
    return taken;
}

void vector__share_done(struct vector__share *share, struct cx_vector_ask **asks, size_t count)
{
    CX_CHECK(pthread_mutex_lock(&share->mutex) == 0);
    for (size_t i = 0; i < count; i++) {
        asks[i]->state = VECTOR__ASK_DONE;
        if (asks[i]->abandoned) {
            free_ask(asks[i]);
        }
    }
    CX_CHECK(pthread_cond_broadcast(&share->done) == 0);
    CX_CHECK(pthread_mutex_unlock(&share->mutex) == 0);
    cx_counter_add(share->shared, count);
}

bool vector__share_fetch(struct cx_vector_ask *ask, size_t most, struct vector__candidate *out,
                         size_t *count)
{
    struct vector__share *share = ask->share;
    CX_CHECK(pthread_mutex_lock(&share->mutex) == 0);
    if (ask->state == VECTOR__ASK_WAITING) {
        take_out(share, ask);
        ask->state = VECTOR__ASK_ALONE;
    }
    while (ask->state == VECTOR__ASK_TAKEN) {
        CX_CHECK(pthread_cond_wait(&share->done, &share->mutex) == 0);
    }
    const bool good = ask->state == VECTOR__ASK_DONE && ask->good && ask->most == most;
    ask->state = VECTOR__ASK_ALONE;
    CX_CHECK(pthread_mutex_unlock(&share->mutex) == 0);
    if (good) {
        memcpy(out, ask->found, ask->found_count * sizeof *out);
        *count = ask->found_count;
    }
    return good;
}

static void take_out(struct vector__share *share, const struct cx_vector_ask *ask)
{
    *(ask->previous != NULL ? &ask->previous->next : &share->first) = ask->next;
    *(ask->next != NULL ? &ask->next->previous : &share->last) = ask->previous;
    share->count--;
}

static void free_ask(struct cx_vector_ask *ask)
{
    free(ask->query);
    free(ask->found);
    free(ask);
}
