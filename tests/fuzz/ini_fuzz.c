/* SPDX-License-Identifier: MIT
 *
 * Fuzzes the configuration file: the parser, whose entries must be what it promises, and then all of
 * the keys behind it, whose values must come out again as they went in.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "app/config_table.h"
#include "app/ini.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_name(const char *text)
{
    return text[0] >= 'a' && text[0] <= 'z' &&
           text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static bool is_text(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f) {
            return false;
        }
    }
    return cx_utf8_valid(cx_str_of(text));
}

static enum cx_status on_entry(void *ctx, const struct app__ini_entry *e, struct cx_err *err)
{
    (void)err;
    unsigned *last_line = ctx;
    CX_CHECK(e->line > *last_line); /* one entry a line, in order */
    *last_line = e->line;
    CX_CHECK(e->column >= 1 && e->column <= APP__INI_LINE_MAX_BYTES);
    CX_CHECK(is_name(e->section));
    CX_CHECK(e->name == NULL || (is_text(e->name) && e->name[0] != '\0' &&
                                 strlen(e->name) <= APP__INI_NAME_MAX_BYTES));
    CX_CHECK((e->key == NULL) == (e->value == NULL));
    if (e->key != NULL) {
        CX_CHECK(is_name(e->key) && is_text(e->value));
        CX_CHECK(e->value_column > e->column);
        CX_CHECK(strlen(e->value) <= APP__INI_LINE_MAX_BYTES);
    }
    return CX_OK;
}

static void read_again(const struct cx_config *config)
{
    static const struct app__value_source source = { .base_dir = "/" };
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        struct cx_buf once;
        struct cx_buf twice;
        cx_buf_init(&once, APP__INI_FILE_MAX_BYTES);
        cx_buf_init(&twice, APP__INI_FILE_MAX_BYTES);
        app__value_format(config, &app__keys[i], &once);
        struct cx_config *again = cx_alloc(sizeof *again);
        cx_arena_init(&again->arena, (size_t)1 << 20);
        CX_CHECK(app__value_set(again, &app__keys[i], once.data != NULL ? once.data : "", &source,
                                NULL) == CX_OK);
        app__value_format(again, &app__keys[i], &twice);
        CX_CHECK(cx_str_eq((struct cx_str){ once.data, once.len },
                           (struct cx_str){ twice.data, twice.len }));
        cx_arena_free(&again->arena);
        free(again);
        cx_buf_free(&once);
        cx_buf_free(&twice);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct cx_str text = { (const char *)data, size };
    struct cx_err err = { .text = "" };
    unsigned last_line = 0;
    const enum cx_status status = app__ini_parse("f", text, on_entry, &last_line, &err);
    CX_CHECK(status == CX_OK || (status == CX_INVALID && strncmp(err.text, "f:", 2) == 0));

    struct cx_config *config = cx_alloc(sizeof *config);
    cx_arena_init(&config->arena, (size_t)64 << 20);
    cx_arena_init(&config->token_arena, (size_t)16 << 20);
    static const struct app__value_source source = { .base_dir = "/" };
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        CX_CHECK(app__value_set(config, &app__keys[i], app__keys[i].fallback, &source, NULL) ==
                 CX_OK);
    }
    err.text[0] = '\0';
    const enum cx_status read = app__config_read_text(config, "/f", text, &err);
    CX_CHECK(status == CX_OK || read == CX_INVALID);
    CX_CHECK(read == CX_OK || err.text[0] != '\0');
    if (read == CX_OK) {
        read_again(config);
    }
    app__config_free(&config);
    return 0;
}
