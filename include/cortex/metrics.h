/* SPDX-License-Identifier: MIT
 *
 * metrics: counters, gauges and histograms, and their Prometheus text (exposition format 0.0.4).
 * metrics.def is the list of families and, with their help texts, their documentation.
 *
 * Threads: any. Adding and observing is a relaxed atomic operation; looking a series up takes a
 * lock and belongs to set-up, not to a request. The registry is the process's own: one of the two
 * rooms with state at file scope.
 */
#ifndef CORTEX_METRICS_H
#define CORTEX_METRICS_H

#include "cortex/base.h"

enum cx_metric {
#define CX_COUNTER(id, name, help) CX_M_##id,
#define CX_GAUGE(id, name, help) CX_M_##id,
#define CX_HISTOGRAM(id, name, help, buckets) CX_M_##id,
#include "cortex/metrics.def"
#undef CX_COUNTER
#undef CX_GAUGE
#undef CX_HISTOGRAM
    CX_METRIC_COUNT
};

struct cx_series; /* one family under one set of labels; lives as long as the process */

/* labels: ready Prometheus text without braces, `lane="read",kind="x"` in a fixed order, values
 * escaped; "" = none. Makes the series when it is new. A family holds at most 1,024 series: beyond
 * that all further labels share one series labelled overflow="true", which shows instead of
 * growing. */
struct cx_series *cx_metrics_series(enum cx_metric id, const char *labels);
/* Appends name="value" to labels, with its comma, and the value escaped: for values that are not
 * known when the program is written. What is no such text after all is counted under
 * malformed="true". */
void cx_metrics_label(struct cx_buf *labels, const char *name, const char *value);

void cx_counter_add(struct cx_series *s, uint64_t n);
void cx_gauge_set(struct cx_series *s, double value);
void cx_gauge_add(struct cx_series *s, double delta);
/* In the family's unit: seconds, bytes … */
void cx_histogram_observe(struct cx_series *s, double value);
/* What a counter or a gauge holds, how much a histogram has observed (for checks and tests). */
double cx_series_value(const struct cx_series *s);

/* Appends every family that has a series. cortex_log_lines_dropped_total is kept by itself, from
 * cx_log_dropped. */
void cx_metrics_write(struct cx_buf *out);

#endif
