/* SPDX-License-Identifier: MIT
 *
 * Quantities with units from text and back (units.h).
 */
#include "app/units.h"

#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};
/* Largest first. */
static const struct unit duration_units[] = {
    { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 },
};
static const struct unit bytes_units[] = {
    { "TiB", UINT64_C(1) << 40 },
    { "GiB", UINT64_C(1) << 30 },
    { "MiB", UINT64_C(1) << 20 },
    { "KiB", UINT64_C(1) << 10 },
};

#define REAL_INTEGER_DIGITS 9
#define REAL_FRACTION_DIGITS 6
#define REAL_FRACTION_ONE 1000000
#define SUGGEST_MAX_BYTES 40

static bool split_unit(struct cx_str text, uint64_t *number, struct cx_str *unit);
static enum cx_status apply_unit(struct cx_str text, uint64_t number, struct cx_str name,
                                 const struct unit *units, size_t count, const char *known,
                                 uint64_t *out, struct cx_err *err);
static void format_unit(uint64_t value, const struct unit *units, size_t count, struct cx_buf *out);
static size_t distance(const char *a, const char *b);
static size_t min3(size_t a, size_t b, size_t c);

enum cx_status app__duration_parse(struct cx_str text, bool plain_seconds, uint64_t *ms,
                                   struct cx_err *err)
{
    uint64_t number = 0;
    struct cx_str unit;
    if (!split_unit(text, &number, &unit)) {
        return cx_err_set(err, CX_INVALID,
                          "\"%.*s\" is no duration such as 250ms, 30s, 5m, 2h or 1d", (int)text.len,
                          text.p);
    }
    if (unit.len == 0 && (plain_seconds || number == 0)) {
        unit = CX_STR("s");
    }
    return apply_unit(text, number, unit, duration_units, CX_ARRAY_LEN(duration_units),
                      "ms, s, m, h or d", ms, err);
}

enum cx_status app__bytes_parse(struct cx_str text, uint64_t *bytes, struct cx_err *err)
{
    uint64_t number = 0;
    struct cx_str unit;
    if (!split_unit(text, &number, &unit)) {
        return cx_err_set(err, CX_INVALID, "\"%.*s\" is no size such as 512, 8KiB, 64MiB or 2GiB",
                          (int)text.len, text.p);
    }
    if (unit.len == 0) {
        *bytes = number;
        return CX_OK;
    }
    return apply_unit(text, number, unit, bytes_units, CX_ARRAY_LEN(bytes_units),
                      "KiB, MiB, GiB or TiB", bytes, err);
}

/* Digits, perhaps one blank, perhaps letters. */
static bool split_unit(struct cx_str text, uint64_t *number, struct cx_str *unit)
{
    size_t digits = 0;
    while (digits < text.len && text.p[digits] >= '0' && text.p[digits] <= '9') {
        digits++;
    }
    size_t at = digits;
    if (at < text.len && text.p[at] == ' ') {
        at++;
    }
    *unit = (struct cx_str){ text.p + at, text.len - at };
    return (at == digits || unit->len > 0) &&
           cx_parse_u64((struct cx_str){ text.p, digits }, number);
}

static enum cx_status apply_unit(struct cx_str text, uint64_t number, struct cx_str name,
                                 const struct unit *units, size_t count, const char *known,
                                 uint64_t *out, struct cx_err *err)
{
    if (name.len == 0) {
        return cx_err_set(err, CX_INVALID, "\"%.*s\" needs a unit: %s", (int)text.len, text.p,
                          known);
    }
    for (size_t i = 0; i < count; i++) {
        if (!cx_str_eq(name, cx_str_of(units[i].name))) {
            continue;
        }
        if (number > UINT64_MAX / units[i].factor) {
            return cx_err_set(err, CX_INVALID, "\"%.*s\" is too large", (int)text.len, text.p);
        }
        *out = number * units[i].factor;
        return CX_OK;
    }
    return cx_err_set(err, CX_INVALID, "\"%.*s\" has an unknown unit; known are %s", (int)text.len,
                      text.p, known);
}

enum cx_status app__real_parse(struct cx_str text, double *out, struct cx_err *err)
{
    uint64_t whole = 0;
    uint64_t fraction = 0;
    const char *point = text.len > 0 ? memchr(text.p, '.', text.len) : NULL;
    const size_t whole_len = point != NULL ? (size_t)(point - text.p) : text.len;
    bool good = whole_len <= REAL_INTEGER_DIGITS &&
                cx_parse_u64((struct cx_str){ text.p, whole_len }, &whole);
    if (good && point != NULL) {
        const size_t len = text.len - whole_len - 1;
        good = len <= REAL_FRACTION_DIGITS &&
               cx_parse_u64((struct cx_str){ point + 1, len }, &fraction);
        for (size_t i = len; i < REAL_FRACTION_DIGITS; i++) {
            fraction *= 10;
        }
    }
    if (!good) {
        return cx_err_set(err, CX_INVALID, "\"%.*s\" is no number such as 5 or 0.25", (int)text.len,
                          text.p);
    }
    *out = (double)whole + (double)fraction / REAL_FRACTION_ONE;
    return CX_OK;
}

enum cx_status app__bool_parse(struct cx_str text, bool *out, struct cx_err *err)
{
    static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };
    for (size_t i = 0; i < CX_ARRAY_LEN(words); i++) {
        if (cx_str_eq_nocase(text, cx_str_of(words[i]))) {
            *out = i % 2 == 1;
            return CX_OK;
        }
    }
    return cx_err_set(err, CX_INVALID, "\"%.*s\" must be yes or no", (int)text.len, text.p);
}

void app__duration_format(uint64_t ms, struct cx_buf *out)
{
    if (ms == 0) {
        cx_buf_puts(out, "0");
        return;
    }
    format_unit(ms, duration_units, CX_ARRAY_LEN(duration_units), out);
}

void app__bytes_format(uint64_t bytes, struct cx_buf *out)
{
    format_unit(bytes, bytes_units, CX_ARRAY_LEN(bytes_units), out);
}

static void format_unit(uint64_t value, const struct unit *units, size_t count, struct cx_buf *out)
{
    for (size_t i = 0; i < count && value > 0; i++) {
        if (value % units[i].factor == 0) {
            cx_buf_put_u64(out, value / units[i].factor);
            cx_buf_puts(out, units[i].name);
            return;
        }
    }
    cx_buf_put_u64(out, value);
}

void app__real_format(double value, struct cx_buf *out)
{
    const uint64_t scaled = (uint64_t)(value * REAL_FRACTION_ONE + 0.5);
    cx_buf_put_u64(out, scaled / REAL_FRACTION_ONE);
    uint64_t rest = scaled % REAL_FRACTION_ONE;
    uint64_t place = REAL_FRACTION_ONE / 10;
    if (rest > 0) {
        cx_buf_putc(out, '.');
    }
    while (rest > 0) {
        cx_buf_putc(out, (char)('0' + rest / place));
        rest %= place;
        place /= 10;
    }
}

const char *app__suggest(const char *word, const char *const *words, size_t count)
{
    const size_t len = strlen(word);
    const char *best = NULL;
    size_t best_distance = len / 3 + 2; /* one slip in a short word, more in a long one */
    if (best_distance > 4) {
        best_distance = 4;
    }
    if (len > SUGGEST_MAX_BYTES) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (strlen(words[i]) > SUGGEST_MAX_BYTES) {
            continue;
        }
        const size_t d = distance(word, words[i]);
        if (d < best_distance && d < len) {
            best = words[i];
            best_distance = d;
        }
    }
    return best;
}

/* Optimal string alignment: letters wrong, missing, too many, or swapped with a neighbour. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][SUGGEST_MAX_BYTES + 1];
    size_t *before = rows[0];
    size_t *last = rows[1];
    size_t *now = rows[2];
    const size_t b_len = strlen(b);
    for (size_t j = 0; j <= b_len; j++) {
        last[j] = j;
        before[j] = j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            const size_t differs = a[i - 1] == b[j - 1] ? 0 : 1;
            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + differs);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < now[j]) {
                now[j] = before[j - 2] + 1;
            }
        }
        size_t *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[b_len];
}

static size_t min3(size_t a, size_t b, size_t c)
{
    const size_t least = a < b ? a : b;
    return least < c ? least : c;
}
