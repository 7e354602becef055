/* SPDX-License-Identifier: MIT
 *
 * The text that Prometheus reads: exposition format 0.0.4. Each series is read while others count
 * on it, so a histogram's count is made of the very buckets that are written: its lines always
 * agree.
 */
#include "registry.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void write_family(enum cx_metric id, struct cx_buf *out);
static void write_help(const char *help, struct cx_buf *out);
static void write_histogram(const struct cx_series *s, struct cx_buf *out);
static void write_name(const struct cx_series *s, const char *suffix, const char *bound,
                       struct cx_buf *out);
static void write_real(double value, struct cx_buf *out);

void cx_metrics_write(struct cx_buf *out)
{
    for (unsigned id = 0; id < CX_METRIC_COUNT; id++) {
        write_family((enum cx_metric)id, out);
    }
}

static void write_family(enum cx_metric id, struct cx_buf *out)
{
    static const char *const kinds[] = { "counter", "gauge", "histogram" };
    const struct metrics_family *family = &metrics__families[id];
    const struct cx_series *s = metrics__first(id);
    if (s == NULL) {
        return;
    }
    cx_buf_puts(out, "# HELP ");
    cx_buf_puts(out, family->name);
    cx_buf_putc(out, ' ');
    write_help(family->help, out);
    cx_buf_puts(out, "\n# TYPE ");
    cx_buf_puts(out, family->name);
    cx_buf_putc(out, ' ');
    cx_buf_puts(out, kinds[family->kind]);
    cx_buf_putc(out, '\n');
    for (; s != NULL; s = atomic_load_explicit(&s->next, memory_order_acquire)) {
        if (family->kind == METRICS_HISTOGRAM) {
            write_histogram(s, out);
            continue;
        }
        write_name(s, "", NULL, out);
        if (family->kind == METRICS_COUNTER) {
            cx_buf_put_u64(out, atomic_load_explicit(&s->count, memory_order_relaxed));
        } else {
            write_real(metrics__real(s), out);
        }
        cx_buf_putc(out, '\n');
    }
}

static void write_help(const char *help, struct cx_buf *out)
{
    for (const char *c = help; *c != '\0'; c++) {
        if (*c == '\\' || *c == '\n') {
            cx_buf_putc(out, '\\');
        }
        cx_buf_putc(out, *c == '\n' ? 'n' : *c);
    }
}

static void write_histogram(const struct cx_series *s, struct cx_buf *out)
{
    const struct metrics_family *family = s->family;
    /* The sum first: what is observed in between then shows in the buckets only, and not the other
     * way round. */
    const double sum = metrics__real(s);
    uint64_t below = 0;
    for (size_t i = 0; i <= family->bound_count; i++) {
        below += atomic_load_explicit(&s->buckets[i], memory_order_relaxed);
        write_name(s, "_bucket", i < family->bound_count ? family->bounds[i].text : "+Inf", out);
        cx_buf_put_u64(out, below);
        cx_buf_putc(out, '\n');
    }
    write_name(s, "_sum", NULL, out);
    write_real(sum, out);
    cx_buf_putc(out, '\n');
    write_name(s, "_count", NULL, out);
    cx_buf_put_u64(out, below);
    cx_buf_putc(out, '\n');
}

/* The name, its labels and the space before the value. */
static void write_name(const struct cx_series *s, const char *suffix, const char *bound,
                       struct cx_buf *out)
{
    cx_buf_puts(out, s->family->name);
    cx_buf_puts(out, suffix);
    if (s->labels[0] != '\0' || bound != NULL) {
        cx_buf_putc(out, '{');
        cx_buf_puts(out, s->labels);
        if (bound != NULL) {
            cx_buf_puts(out, s->labels[0] != '\0' ? ",le=\"" : "le=\"");
            cx_buf_puts(out, bound);
            cx_buf_putc(out, '"');
        }
        cx_buf_putc(out, '}');
    }
    cx_buf_putc(out, ' ');
}

static void write_real(double value, struct cx_buf *out)
{
    if (isnan(value)) {
        cx_buf_puts(out, "NaN");
    } else if (isinf(value)) {
        cx_buf_puts(out, value > 0 ? "+Inf" : "-Inf");
    } else {
        char text[32];
        (void)snprintf(text, sizeof text, "%.15g", value);
        if (strtod(text, NULL) != value) {
            (void)snprintf(text, sizeof text, "%.17g", value);
        }
        cx_buf_puts(out, text);
    }
}
