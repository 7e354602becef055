/* SPDX-License-Identifier: MIT
 *
 * share: searches that wait for a worker are joined into the pass of one that has begun, so that the rows
 * are read once for all of them. Who is about to wait leaves an *ask* with the collection; a scan takes some
 * of the asks that it finds along; whose ask was taken finds the result when its worker comes.
 *
 *   WAITING → TAKEN → DONE   by a scan that has begun
 *   WAITING → ALONE          its own worker came first
 *
 * Threads: any. The mutex is held for moments.
 */
#ifndef CORTEX_VECTOR_SHARE_H
#define CORTEX_VECTOR_SHARE_H

#include "rank.h"
#include "scan.h"

enum vector__ask_state {
    VECTOR__ASK_WAITING,
    VECTOR__ASK_TAKEN,
    VECTOR__ASK_DONE,
    VECTOR__ASK_ALONE
};

struct cx_vector_ask {
    struct vector__share *share;
    enum vector__ask_state state;   /* under the share's mutex, as the rest of this part */
    bool abandoned;                 /* who has taken it frees it */
    struct cx_vector_ask *previous; /* while it waits */
    struct cx_vector_ask *next;
    float *query; /* padded and aligned; from here on fixed */
    unsigned dimension;
    bool own_vector;
    double least; /* score */
    size_t most;
    struct vector__candidate *found; /* written by who has taken it */
    size_t found_count;
    bool good;
};

void vector__share_init(struct vector__share *share);
void vector__share_free(struct vector__share *share);
/* Some of those that wait, at most `most`, whose query could be compared now. They are taken. */
size_t vector__share_take(struct cx_vector *v, size_t most, struct cx_vector_ask **out);
/* All has been written. */
void vector__share_done(struct vector__share *share, struct cx_vector_ask **asks, size_t count);
/* Its own worker has come: true where there is a result, which is copied to out (room for most), waiting for
 * it where it is under way. */
bool vector__share_fetch(struct cx_vector_ask *ask, size_t most, struct vector__candidate *out,
                         size_t *count);

#endif
