/* SPDX-License-Identifier: MIT
 *
 * Token buckets in a bounded table: the one that was not used for longest goes first. Loop thread.
 */
#ifndef CORTEX_HTTP_RATELIMIT_H
#define CORTEX_HTTP_RATELIMIT_H

#include "cortex/http.h"

struct ratelimit;
struct ratelimit_verdict {
    bool allowed;
    uint64_t limit; /* the burst */
    uint64_t remaining;
    uint64_t full_in_s;     /* until the bucket is full, rounded up */
    unsigned retry_after_s; /* when refused: until one is there, at least 1 */
};
/* rate->per_second > 0. */
void ratelimit__new(const struct cx_http_rate *rate, struct ratelimit **out);
void ratelimit__free(struct ratelimit **limiter);
/* Takes one from the bucket of key, if there is one. now_ms is monotonic. */
void ratelimit__take(struct ratelimit *limiter, struct cx_str key, uint64_t now_ms,
                     struct ratelimit_verdict *out);
size_t ratelimit__count(const struct ratelimit *limiter);

#endif
