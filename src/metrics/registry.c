/* SPDX-License-Identifier: MIT
 *
 * The process's metrics: the families of metrics.def, their series, and counting. One of the two
 * rooms with state at file scope.
 */
#include "registry.h"
#include "buckets.h"
#include "labels.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SERIES_MAX = 1024, SERIES_ALIGN = 64 };

const struct metrics_family metrics__families[CX_METRIC_COUNT] = {
#define CX_COUNTER(id, family_name, family_help)                                                   \
    [CX_M_##id] = { .name = (family_name), .help = (family_help), .kind = METRICS_COUNTER },
#define CX_GAUGE(id, family_name, family_help)                                                     \
    [CX_M_##id] = { .name = (family_name), .help = (family_help), .kind = METRICS_GAUGE },
#define CX_HISTOGRAM(id, family_name, family_help, buckets)                                        \
    [CX_M_##id] = { .name = (family_name),                                                         \
                    .help = (family_help),                                                         \
                    .kind = METRICS_HISTOGRAM,                                                     \
                    .bounds = bounds_##buckets,                                                    \
                    .bound_count = CX_ARRAY_LEN(bounds_##buckets) },
#include "cortex/metrics.def"
#undef CX_COUNTER
#undef CX_GAUGE
#undef CX_HISTOGRAM
};

static struct {
    pthread_mutex_t lock; /* of adding series */
    struct family_state {
        _Atomic(struct cx_series *) first;
        struct cx_series *last;
        size_t count;
    } families[CX_METRIC_COUNT];
} registry = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct cx_series *find_series(struct family_state *state, const char *labels, uint64_t hash);
static struct cx_series *add_series(enum cx_metric id, const char *labels, uint64_t hash);
static uint64_t hash_of(const char *labels);
static void add_real(_Atomic uint64_t *bits, double delta);
static uint64_t bits_of(double value);
static double real_of(uint64_t bits);

struct cx_series *cx_metrics_series(enum cx_metric id, const char *labels)
{
    CX_CHECK((unsigned)id < CX_METRIC_COUNT);
    if (!metrics__labels_valid(labels)) {
        labels =
            "malformed=\"true\""; /* one wrong series shows; wrong text would spoil every scrape */
    }
    struct family_state *state = &registry.families[id];
    uint64_t hash = hash_of(labels);
    (void)pthread_mutex_lock(&registry.lock);
    struct cx_series *series = find_series(state, labels, hash);
    if (series == NULL && state->count >= SERIES_MAX) {
        labels = "overflow=\"true\"";
        hash = hash_of(labels);
        series = find_series(state, labels, hash);
    }
    if (series == NULL) {
        series = add_series(id, labels, hash);
    }
    (void)pthread_mutex_unlock(&registry.lock);
    return series;
}

void cx_counter_add(struct cx_series *s, uint64_t n)
{
    CX_CHECK(s->family->kind == METRICS_COUNTER);
    atomic_fetch_add_explicit(&s->count, n, memory_order_relaxed);
}

void cx_gauge_set(struct cx_series *s, double value)
{
    CX_CHECK(s->family->kind == METRICS_GAUGE);
    atomic_store_explicit(&s->real_bits, bits_of(value), memory_order_relaxed);
}

void cx_gauge_add(struct cx_series *s, double delta)
{
    CX_CHECK(s->family->kind == METRICS_GAUGE);
    add_real(&s->real_bits, delta);
}

void cx_histogram_observe(struct cx_series *s, double value)
{
    CX_CHECK(s->family->kind == METRICS_HISTOGRAM);
    if (isnan(value)) {
        return; /* it would make the sum useless for good */
    }
    const struct metrics_family *family = s->family;
    size_t bucket = 0;
    while (bucket < family->bound_count && value > family->bounds[bucket].value) {
        bucket++;
    }
    atomic_fetch_add_explicit(&s->buckets[bucket], 1, memory_order_relaxed);
    add_real(&s->real_bits, value);
}

double cx_series_value(const struct cx_series *s)
{
    if (s->family->kind == METRICS_GAUGE) {
        return metrics__real(s);
    }
    uint64_t count = atomic_load_explicit(&s->count, memory_order_relaxed);
    for (size_t i = 0; s->family->kind == METRICS_HISTOGRAM && i <= s->family->bound_count; i++) {
        count += atomic_load_explicit(&s->buckets[i], memory_order_relaxed);
    }
    return (double)count;
}

const struct cx_series *metrics__first(enum cx_metric id)
{
    if (id == CX_M_LOG_DROPPED) {
        /* Counted in base, which cannot know of metrics. */
        struct cx_series *dropped = cx_metrics_series(id, "");
        atomic_store_explicit(&dropped->count, cx_log_dropped(), memory_order_relaxed);
    }
    return atomic_load_explicit(&registry.families[id].first, memory_order_acquire);
}

double metrics__real(const struct cx_series *s)
{
    return real_of(atomic_load_explicit(&s->real_bits, memory_order_relaxed));
}

/* Under the lock. */
static struct cx_series *find_series(struct family_state *state, const char *labels, uint64_t hash)
{
    struct cx_series *at = atomic_load_explicit(&state->first, memory_order_relaxed);
    while (at != NULL && (at->labels_hash != hash || strcmp(at->labels, labels) != 0)) {
        at = atomic_load_explicit(&at->next, memory_order_relaxed);
    }
    return at;
}

/* Under the lock. Lines of the cache of its own, so that two busy series do not slow each other. */
static struct cx_series *add_series(enum cx_metric id, const char *labels, uint64_t hash)
{
    const struct metrics_family *family = &metrics__families[id];
    const size_t bucket_count = family->kind == METRICS_HISTOGRAM ? family->bound_count + 1 : 0;
    size_t size = sizeof(struct cx_series) + bucket_count * sizeof(uint64_t);
    size = (size + SERIES_ALIGN - 1) & ~((size_t)SERIES_ALIGN - 1);
    struct cx_series *series = aligned_alloc(SERIES_ALIGN, size);
    CX_CHECK(series != NULL);
    memset(series, 0, size);
    series->family = family;
    series->labels = cx_strdup(labels);
    series->labels_hash = hash;

    struct family_state *state = &registry.families[id];
    if (state->last == NULL) {
        atomic_store_explicit(&state->first, series, memory_order_release);
    } else {
        atomic_store_explicit(&state->last->next, series, memory_order_release);
    }
    state->last = series;
    state->count++;
    return series;
}

/* Labels are the program's own words, so the key need not be secret. */
static uint64_t hash_of(const char *labels)
{
    static const uint8_t key[16] = { 0 };
    return cx_siphash(key, labels, strlen(labels));
}

static void add_real(_Atomic uint64_t *bits, double delta)
{
    uint64_t before = atomic_load_explicit(bits, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(bits, &before, bits_of(real_of(before) + delta),
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double real_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
