/* SPDX-License-Identifier: MIT
 *
 * The configuration in force, shown with where each value came from.
 */
#include <string.h>

#include "app/config_table.h"
#include "cortex/crypto.h"

static void print_key(const struct cx_config *config, const struct app__key *key,
                      struct cx_buf *out);
static void print_token(const struct cx_config *config, const struct app__token *token,
                        struct cx_buf *out);

void app__config_print(const struct cx_config *config, struct cx_buf *out)
{
    cx_buf_puts(out, "# cortexd " CORTEX_VERSION ", the configuration in force\n");
    for (size_t s = 0; s < app__section_count; s++) {
        cx_buf_printf(out, "\n[%s]\n", app__sections[s].name);
        for (size_t i = 0; i < APP__KEY_COUNT; i++) {
            if (strcmp(app__keys[i].section, app__sections[s].name) == 0) {
                print_key(config, &app__keys[i], out);
            }
        }
    }
    for (size_t i = 0; i < config->token_count; i++) {
        print_token(config, &config->tokens[i], out);
    }
    for (size_t i = 0; i < config->named_count; i++) {
        app__named_print(config, &config->named[i], out);
    }
}

static void print_key(const struct cx_config *config, const struct app__key *key,
                      struct cx_buf *out)
{
    struct cx_buf value;
    cx_buf_init(&value, APP__INI_FILE_MAX_BYTES);
    cx_buf_puts(out, "# ");
    app__origin_format(config, key, &config->origins[app__key_id(key)], out);
    cx_buf_putc(out, '\n');
    app__value_format(config, key, &value);
    if (key->type == APP__SECRET) {
        cx_buf_printf(out, "#%s =%s\n", key->name, value.len > 0 ? " " APP__MASK : "");
        cx_wipe(value.data, value.len);
    } else {
        cx_buf_printf(out, "%s =", key->name);
        app__put_value(value.data, out);
        cx_buf_putc(out, '\n');
    }
    cx_buf_free(&value);
}

/* The parser takes the blanks at both ends, and quotes at the beginning, for its own. */
void app__put_value(const char *text, struct cx_buf *out)
{
    const size_t len = text != NULL ? strlen(text) : 0;
    if (len == 0) {
        return;
    }
    const char last = text[len - 1];
    cx_buf_putc(out, ' ');
    if (text[0] != '"' && text[0] != ' ' && text[0] != '\t' && last != ' ' && last != '\t') {
        cx_buf_puts(out, text);
        return;
    }
    cx_buf_putc(out, '"');
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') {
            cx_buf_putc(out, '\\');
        }
        cx_buf_putc(out, *c);
    }
    cx_buf_putc(out, '"');
}

static void print_token(const struct cx_config *config, const struct app__token *token,
                        struct cx_buf *out)
{
    cx_buf_puts(out, "\n# ");
    app__origin_format(config, NULL, &token->origin, out);
    cx_buf_printf(out, "\n#[token \"%s\"]\n#sha256 = %s\n#scopes = ", token->name, APP__MASK);
    if (token->scopes == CX_SCOPE_ALL) {
        cx_buf_puts(out, "*");
    } else {
        const char *separator = "";
        for (unsigned bit = 1; bit < CX_SCOPE_ALL; bit <<= 1) {
            if ((token->scopes & bit) != 0) {
                cx_buf_printf(out, "%s%s", separator, cx_scope_name((enum cx_scope)bit));
                separator = ", ";
            }
        }
    }
    cx_buf_putc(out, '\n');
    if (token->expires_us != 0) {
        char time[CX_TIME_TEXT_BYTES];
        cx_buf_printf(out, "#expires = %s\n", cx_time_format(token->expires_us, time));
    }
}

void app__origin_format(const struct cx_config *config, const struct app__key *key,
                        const struct app__origin *origin, struct cx_buf *out)
{
    char own[APP__ENV_NAME_BYTES];
    switch (origin->kind) {
    case APP__FROM_DEFAULT:
        cx_buf_puts(out, "default");
        break;
    case APP__FROM_FIRST_START:
        cx_buf_puts(out, "made at the first start");
        break;
    case APP__FROM_FILE:
        cx_buf_printf(out, "%s:%u", config->path != NULL ? config->path : "file", origin->line);
        break;
    case APP__FROM_CREDENTIAL:
        cx_buf_printf(out, "credential %s", origin->name);
        break;
    case APP__FROM_ENVIRONMENT:
        cx_buf_printf(out, "environment %s",
                      origin->name != NULL ? origin->name : app__key_env(key, own));
        break;
    case APP__FROM_FLAG:
        cx_buf_printf(out, "flag %s", origin->name);
        break;
    }
}
