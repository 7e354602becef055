/* SPDX-License-Identifier: MIT
 *
 * What the loop's tests share (loop_env.h).
 */
#include "loop_env.h"

struct cx_loop *env_loop(void)
{
    struct cx_loop *loop = NULL;
    struct cx_err err;
    CX_CHECK(cx_loop_new(POOL_THREADS, &loop, &err) == CX_OK);
    return loop;
}

void gate_init(struct gate *gate)
{
    *gate = (struct gate){ .open = false };
    CX_CHECK(pthread_mutex_init(&gate->mutex, NULL) == 0);
    CX_CHECK(pthread_cond_init(&gate->changed, NULL) == 0);
}

void gate_destroy(struct gate *gate)
{
    (void)pthread_cond_destroy(&gate->changed);
    (void)pthread_mutex_destroy(&gate->mutex);
}

void gate_pass(struct gate *gate)
{
    (void)pthread_mutex_lock(&gate->mutex);
    gate->arrived++;
    gate->open = gate->open || (gate->opens_at > 0 && gate->arrived >= gate->opens_at);
    (void)pthread_cond_broadcast(&gate->changed);
    while (!gate->open) {
        (void)pthread_cond_wait(&gate->changed, &gate->mutex);
    }
    (void)pthread_mutex_unlock(&gate->mutex);
}

void gate_open(struct gate *gate)
{
    (void)pthread_mutex_lock(&gate->mutex);
    gate->open = true;
    (void)pthread_cond_broadcast(&gate->changed);
    (void)pthread_mutex_unlock(&gate->mutex);
}

void gate_await(struct gate *gate, unsigned arrived)
{
    (void)pthread_mutex_lock(&gate->mutex);
    while (gate->arrived < arrived) {
        (void)pthread_cond_wait(&gate->changed, &gate->mutex);
    }
    (void)pthread_mutex_unlock(&gate->mutex);
}
