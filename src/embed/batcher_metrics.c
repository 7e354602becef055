/* SPDX-License-Identifier: MIT
 *
 * The batcher's series, looked up once.
 */
#include "batcher.h"

#include "cortex/metrics.h"

static struct cx_series *series(const struct embed__batcher *b, enum cx_metric id, const char *name,
                                const char *value);

void embed__batcher_metrics(struct embed__batcher *b)
{
    b->base.texts_ok = series(b, CX_M_EMBED_ASKED, "outcome", "ok");
    b->base.texts_failed = series(b, CX_M_EMBED_ASKED, "outcome", "failed");
    b->base.seconds = series(b, CX_M_EMBED_WAIT, NULL, NULL);
    b->calls_ok = series(b, CX_M_EMBED_CALLS, "outcome", "ok");
    b->calls_failed = series(b, CX_M_EMBED_CALLS, "outcome", "failed");
    b->calls_refused = series(b, CX_M_EMBED_CALLS, "outcome", "refused");
    b->calls_dropped = series(b, CX_M_EMBED_CALLS, "outcome", "dropped");
    b->call_texts = series(b, CX_M_EMBED_CALL_TEXTS, NULL, NULL);
    b->calls_active = series(b, CX_M_EMBED_CALLS_ACTIVE, NULL, NULL);
    b->retries_made = series(b, CX_M_EMBED_RETRIES, "outcome", "made");
    b->retries_denied = series(b, CX_M_EMBED_RETRIES, "outcome", "denied");
    b->splits = series(b, CX_M_EMBED_SPLITS, NULL, NULL);
    b->joined = series(b, CX_M_EMBED_JOINED, NULL, NULL);
    b->queue_texts = series(b, CX_M_EMBED_QUEUE_TEXTS, NULL, NULL);
    b->queue_bytes = series(b, CX_M_EMBED_QUEUE_BYTES, NULL, NULL);
    b->shed_queue = series(b, CX_M_EMBED_SHED, "reason", "queue");
    b->shed_circuit = series(b, CX_M_EMBED_SHED, "reason", "circuit");
    b->shed_rate_limit = series(b, CX_M_EMBED_SHED, "reason", "rate_limit");
    b->circuit = series(b, CX_M_EMBED_CIRCUIT, NULL, NULL);
    b->circuit_opened = series(b, CX_M_EMBED_CIRCUIT_OPENED, NULL, NULL);
    b->cache_memory = series(b, CX_M_EMBED_CACHE, "result", "memory");
    b->cache_disk = series(b, CX_M_EMBED_CACHE, "result", "disk");
    b->cache_miss = series(b, CX_M_EMBED_CACHE, "result", "miss");
    b->cache_bytes = series(b, CX_M_EMBED_CACHE_BYTES, NULL, NULL);
    b->cache_evicted = series(b, CX_M_EMBED_CACHE_EVICTED, "tier", "memory");
    cx_gauge_set(b->circuit, 0);
}

static struct cx_series *series(const struct embed__batcher *b, enum cx_metric id, const char *name,
                                const char *value)
{
    struct cx_buf labels;
    cx_buf_init(&labels, 1024);
    cx_metrics_label(&labels, "provider", b->base.provider);
    if (name != NULL) {
        cx_metrics_label(&labels, name, value);
    }
    struct cx_series *found = cx_metrics_series(id, labels.data);
    cx_buf_free(&labels);
    return found;
}
