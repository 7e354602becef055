/* SPDX-License-Identifier: MIT
 *
 * What the loop's tests share: the pool is sized by the first loop of the process, so all tests ask
 * for the same; a gate on which a worker waits until the test lets it go.
 */
#ifndef CORTEX_LOOP_ENV_H
#define CORTEX_LOOP_ENV_H

#include "cortex/loop.h"

#include <pthread.h>

#define POOL_THREADS 4

struct cx_loop *env_loop(void);

/* Opened once, stays open. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool open;
    unsigned arrived;
    unsigned opens_at; /* opens itself when so many have come; 0 = does not */
};
void gate_init(struct gate *gate);
void gate_destroy(struct gate *gate);
void gate_pass(struct gate *gate); /* counts this thread in, waits until open */
void gate_open(struct gate *gate);
void gate_await(struct gate *gate, unsigned arrived); /* waits until so many have come */

#endif
