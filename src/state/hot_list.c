/* SPDX-License-Identifier: MIT
 *
 * What hot state holds, written as JSON straight from the tree, a page at a time.
 */
#include "cortex/json.h"
#include "hot.h"

static void put_time(struct cx_buf *out, int64_t wall_us)
{
    char text[CX_TIME_TEXT_BYTES];
    if (wall_us == 0) {
        cx_buf_puts(out, "null");
    } else {
        cx_buf_printf(out, "\"%s\"", cx_time_format(wall_us, text));
    }
}

static void put_cursor(struct cx_buf *out, struct cx_str cursor)
{
    cx_buf_puts(out, "],\"cursor\":");
    if (cursor.p != NULL) {
        cx_json_write_string(cursor, out);
    } else {
        cx_buf_puts(out, "null");
    }
    cx_buf_putc(out, '}');
}

void cx_hot_list(const struct cx_hot *hot, struct cx_str space, struct cx_str after, size_t limit,
                 uint64_t now_ms, struct cx_buf *out)
{
    struct cx_str last = after;
    size_t looked_at = 0;
    size_t listed = 0;
    const struct hot__entry *e = hot__tree_seek(hot->tree, space, after, true);
    cx_buf_puts(out, "{\"keys\":[");
    while (e != NULL && cx_str_eq(hot__name(e->space), space) && looked_at < limit) {
        if (e->expires_ms == 0 || e->expires_ms > now_ms) {
            cx_buf_puts(out, listed++ == 0 ? "{\"key\":" : ",{\"key\":");
            cx_json_write_string(hot__key(e), out);
            cx_buf_puts(out, ",\"expires_at\":");
            put_time(out, e->expires_us);
            cx_buf_putc(out, '}');
        }
        last = hot__key(e);
        looked_at++;
        e = hot__tree_seek(hot->tree, space, last, true);
    }
    const bool more = e != NULL && cx_str_eq(hot__name(e->space), space);
    put_cursor(out, more ? last : (struct cx_str){ NULL, 0 });
}

void cx_hot_stats(const struct cx_hot *hot, struct cx_str after, size_t limit, struct cx_buf *out)
{
    cx_buf_printf(out, "{\"entries\":%zu,\"bytes\":%zu,\"entries_max\":%zu,\"bytes_max\":%zu",
                  hot->count, hot->bytes, hot->options.entries_max, hot->options.bytes_max);
    cx_buf_printf(out, ",\"hits\":%.0f,\"misses\":%.0f,\"expired\":%.0f,\"evicted\":%.0f",
                  cx_series_value(hot->hits), cx_series_value(hot->misses),
                  cx_series_value(hot->expired), cx_series_value(hot->evicted));
    cx_buf_puts(out, ",\"namespaces\":[");
    struct cx_str last = { NULL, 0 };
    size_t listed = 0;
    const struct hot__entry *e = hot__tree_next_space(hot->tree, after);
    while (e != NULL && listed < limit) {
        cx_buf_puts(out, listed++ == 0 ? "{\"name\":" : ",{\"name\":");
        cx_json_write_string(hot__name(e->space), out);
        cx_buf_printf(out, ",\"entries\":%zu,\"bytes\":%zu}", e->space->count, e->space->bytes);
        last = hot__name(e->space);
        e = hot__tree_next_space(hot->tree, last);
    }
    put_cursor(out, e != NULL ? last : (struct cx_str){ NULL, 0 });
}
