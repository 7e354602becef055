/* SPDX-License-Identifier: MIT
 *
 * A configuration that was read again beside the one in force: what differs, and taking over what may
 * change while the daemon runs (config.h).
 */
#include "app/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config_table.h"
#include "cortex/crypto.h"

void app__config_compare(const struct cx_config *running, const struct cx_config *fresh,
                         void (*on_change)(void *ctx, const char *key, bool reloadable), void *ctx)
{
    struct cx_buf a;
    struct cx_buf b;
    cx_buf_init(&a, APP__INI_FILE_MAX_BYTES);
    cx_buf_init(&b, APP__INI_FILE_MAX_BYTES);
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        cx_buf_clear(&a);
        cx_buf_clear(&b);
        app__value_format(running, &app__keys[i], &a);
        app__value_format(fresh, &app__keys[i], &b);
        if (!cx_str_eq((struct cx_str){ a.data, a.len }, (struct cx_str){ b.data, b.len })) {
            char name[2 * APP__ENV_NAME_BYTES];
            snprintf(name, sizeof name, "%s.%s", app__keys[i].section, app__keys[i].name);
            on_change(ctx, name, (app__keys[i].traits & APP__RELOAD) != 0);
        }
        if (app__keys[i].type == APP__SECRET) {
            cx_wipe(a.data, a.len);
            cx_wipe(b.data, b.len);
        }
    }
    cx_buf_free(&a);
    cx_buf_free(&b);
    bool same = running->token_count == fresh->token_count;
    for (size_t i = 0; i < running->token_count && same; i++) {
        const struct app__token *x = &running->tokens[i];
        const struct app__token *y = &fresh->tokens[i];
        same = strcmp(x->name, y->name) == 0 && x->scopes == y->scopes &&
               x->expires_us == y->expires_us &&
               memcmp(x->sha256, y->sha256, sizeof x->sha256) == 0;
    }
    if (!same) {
        on_change(ctx, "token", true);
    }
    for (unsigned kind = 0; kind < APP__NAMED_KIND_COUNT; kind++) {
        if (!app__named_same(running, fresh, (enum app__named_kind)kind)) {
            on_change(ctx, app__named_sections[kind].name, false);
        }
    }
}

void app__config_adopt(struct cx_config *running, struct cx_config *fresh)
{
    static const struct app__value_source source = { .base_dir = "/" };
    struct cx_buf text;
    cx_buf_init(&text, APP__INI_LINE_MAX_BYTES);
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        if ((app__keys[i].traits & APP__RELOAD) == 0) {
            continue;
        }
        CX_CHECK(app__keys[i].type >= APP__INT && app__keys[i].type <= APP__WORD); /* no pointers */
        cx_buf_clear(&text);
        app__value_format(fresh, &app__keys[i], &text);
        const enum cx_status status =
            app__value_set(running, &app__keys[i], text.data, &source, NULL);
        CX_CHECK(status == CX_OK);
        running->origins[i] = fresh->origins[i];
    }
    cx_buf_free(&text);
    free(running->tokens);
    cx_arena_free(&running->token_arena);
    running->tokens = fresh->tokens;
    running->token_count = fresh->token_count;
    running->token_arena = fresh->token_arena;
    running->path = fresh->path;
    fresh->tokens = NULL;
    fresh->token_count = 0;
    fresh->path = NULL;
    cx_arena_init(&fresh->token_arena, APP__ARENA_MAX_BYTES);
}
