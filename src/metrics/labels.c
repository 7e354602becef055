/* SPDX-License-Identifier: MIT
 *
 * Labels: making them and checking them.
 */
#include "cortex/metrics.h"
#include "labels.h"

#include <string.h>

enum { LABELS_MAX_BYTES = 1024 };

static const char *skip_name(const char *at);
static const char *skip_value(const char *at);

void cx_metrics_label(struct cx_buf *labels, const char *name, const char *value)
{
    if (labels->len > 0) {
        cx_buf_putc(labels, ',');
    }
    cx_buf_puts(labels, name);
    cx_buf_puts(labels, "=\"");
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '\\' || *c == '"' || *c == '\n') {
            cx_buf_putc(labels, '\\');
        }
        cx_buf_putc(labels, *c == '\n' ? 'n' : *c);
    }
    cx_buf_putc(labels, '"');
}

bool metrics__labels_valid(const char *labels)
{
    const size_t len = strlen(labels);
    if (len > LABELS_MAX_BYTES || !cx_utf8_valid((struct cx_str){ labels, len })) {
        return false;
    }
    if (len == 0) {
        return true;
    }
    const char *at = skip_value(skip_name(labels));
    while (at != NULL && *at == ',') {
        at = skip_value(skip_name(at + 1));
    }
    return at != NULL && *at == '\0';
}

/* What follows the name, or NULL. */
static const char *skip_name(const char *at)
{
    static const char plain[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    const size_t len = strspn(at, plain);
    return len > 0 && (*at < '0' || *at > '9') ? at + len : NULL;
}

/* What follows ="value", or NULL. */
static const char *skip_value(const char *at)
{
    if (at == NULL || at[0] != '=' || at[1] != '"') {
        return NULL;
    }
    for (at += 2; *at != '"'; at++) {
        if (*at == '\\') {
            at++;
            if (*at != '\\' && *at != '"' && *at != 'n') {
                return NULL;
            }
        } else if (*at == '\0' || *at == '\n') {
            return NULL;
        }
    }
    return at + 1;
}
