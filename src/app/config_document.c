/* SPDX-License-Identifier: MIT
 *
 * The two texts that are made from the table of settings alone: a file to start from and a page of
 * documentation.
 */
#include <string.h>

#include "app/config_table.h"
#include "app/units.h"

#define COMMENT_WIDTH 96

static void sample_key(const struct app__key *key, struct cx_buf *out);
static void put_comment(const char *text, struct cx_buf *out);
static void put_kind(const struct app__key *key, struct cx_buf *out);
static void put_range(const struct app__key *key, struct cx_buf *out);
static void put_words(const char *words, struct cx_buf *out);
static void put_sources(const struct app__key *key, struct cx_buf *out);
static void reference_key(const struct app__key *key, struct cx_buf *out);
static void reference_named(struct cx_buf *out);
static void put_cell(const char *text, struct cx_buf *out);

/* ---- config/cortex.conf ------------------------------------------------------------------------ */

void app__config_print_sample(struct cx_buf *out)
{
    cx_buf_puts(
        out,
        "# Configuration of cortexd: every key there is, commented out, with its default.\n"
        "#\n"
        "# key = value, the value up to the end of the line; a comment stands on a line of its\n"
        "# own. A value that begins or ends with a blank stands in \"quotes\". Durations: 250ms,\n"
        "# 30s, 5m, 2h, 1d. Sizes: 512, 8KiB, 64MiB, 2GiB. Lists: commas in between. Relative\n"
        "# paths are taken from this file's folder. `cortexd --check-config` says what is wrong.\n"
        "#\n"
        "# Made by `cortexd --print-config-sample`.\n");
    for (size_t s = 0; s < app__section_count; s++) {
        cx_buf_puts(out, "\n");
        put_comment(app__sections[s].help, out);
        cx_buf_printf(out, "[%s]\n", app__sections[s].name);
        for (size_t i = 0; i < APP__KEY_COUNT; i++) {
            const struct app__key *key = &app__keys[i];
            if (strcmp(key->section, app__sections[s].name) != 0) {
                continue;
            }
            sample_key(key, out);
        }
    }
    cx_buf_puts(
        out,
        "\n# A token, one section each: the name appears in the log, never the token itself.\n"
        "# `cortexd --hash-token` reads a token and prints its sha256 line. scopes: context,\n"
        "# vector, database, filesystem, services, state, audit, or * for all. expires may be\n"
        "# left out. Tokens are taken over on reload.\n"
        "#[token \"name\"]\n"
        "#sha256 = 64 hex digits\n"
        "#scopes = context, state\n"
        "#expires = 2030-01-01T00:00:00Z\n");
    for (size_t s = 0; s < APP__NAMED_KIND_COUNT; s++) {
        cx_buf_puts(out, "\n");
        put_comment(app__named_sections[s].help, out);
        cx_buf_printf(out, "#[%s \"name\"]\n", app__named_sections[s].name);
        for (size_t i = 0; i < app__named_key_count; i++) {
            if (strcmp(app__named_keys[i].section, app__named_sections[s].name) == 0) {
                sample_key(&app__named_keys[i], out);
            }
        }
    }
}

static void sample_key(const struct app__key *key, struct cx_buf *out)
{
    cx_buf_putc(out, '\n');
    put_comment(key->help, out);
    cx_buf_puts(out, "# (");
    put_kind(key, out);
    put_range(key, out);
    cx_buf_puts(out, (key->traits & APP__RELOAD) != 0 ? "; taken over on reload)\n" : ")\n");
    cx_buf_printf(out, "#%s =%s%s\n", key->name, key->fallback[0] != '\0' ? " " : "",
                  key->fallback);
}

static void put_comment(const char *text, struct cx_buf *out)
{
    size_t column = 0;
    while (*text != '\0') {
        const size_t len = strcspn(text, " ");
        if (column > 0 && column + 1 + len > COMMENT_WIDTH) {
            cx_buf_putc(out, '\n');
            column = 0;
        }
        cx_buf_puts(out, column == 0 ? "# " : " ");
        column += column == 0 ? 2 : 1;
        cx_buf_append(out, text, len);
        column += len;
        text += len + (text[len] == ' ' ? 1 : 0);
    }
    cx_buf_putc(out, '\n');
}

static void put_kind(const struct app__key *key, struct cx_buf *out)
{
    static const char *const names[] = {
        [APP__STRING] = "text",
        [APP__SECRET] = "secret",
        [APP__URL] = "address",
        [APP__ENDPOINT] = "address",
        [APP__PATH] = "path",
        [APP__DATA_PATH] = "path",
        [APP__INT] = "number",
        [APP__REAL] = "number",
        [APP__BOOL] = "yes or no",
        [APP__DURATION] = "duration",
        [APP__BYTES] = "size",
        [APP__WORD] = NULL,
        [APP__LISTEN] = "list of addresses with ports",
        [APP__NAMES] = "list of host names",
        [APP__ORIGINS] = "list of origins",
        [APP__ADDRESSES] = "list of addresses",
        [APP__LIST] = "list",
    };
    if (key->type == APP__WORD) {
        put_words(key->words, out);
    } else {
        cx_buf_puts(out, names[key->type]);
    }
}

/* Choices without their aliases. */
static void put_words(const char *words, struct cx_buf *out)
{
    for (const char *at = words; *at != '\0';) {
        const size_t choice = strcspn(at, "|");
        const size_t word = strcspn(at, ",|");
        const bool last = at[choice] == '\0';
        cx_buf_puts(out, at == words ? "" : last ? " or " : ", ");
        cx_buf_append(out, at, word);
        at += choice + (last ? 0 : 1);
    }
}

static void put_range(const struct app__key *key, struct cx_buf *out)
{
    switch (key->type) {
    case APP__INT:
    case APP__REAL:
        cx_buf_printf(out, ", %llu to %llu", (unsigned long long)key->min,
                      (unsigned long long)key->max);
        break;
    case APP__DURATION:
        cx_buf_puts(out, ", ");
        app__duration_format(key->min, out);
        cx_buf_puts(out, " to ");
        app__duration_format(key->max, out);
        break;
    case APP__BYTES:
        cx_buf_puts(out, ", ");
        app__bytes_format(key->min, out);
        cx_buf_puts(out, " to ");
        app__bytes_format(key->max, out);
        break;
    default:
        break;
    }
}

/* ---- docs/configuration.md --------------------------------------------------------------------- */

void app__config_print_reference(struct cx_buf *out)
{
    cx_buf_puts(
        out,
        "# Configuration\n\n"
        "<!-- Made by `cortexd --print-config-reference`. A test compares the two. -->\n\n"
        "cortexd runs without any configuration: it then listens on loopback addresses only, keeps "
        "its\n"
        "data under the user's state directory, and makes itself a token and a signing key.\n\n"
        "## Where settings come from\n\n"
        "What counts more comes later:\n\n"
        "1. the defaults below;\n"
        "2. the configuration file: `--config FILE`, else `$CORTEX_CONFIG`, else\n"
        "   `~/.config/cortex/cortex.conf` (`$XDG_CONFIG_HOME`), else `/etc/cortex/cortex.conf`;\n"
        "3. credentials of systemd (`LoadCredential=`): `signing_key`, `openai_api_key`,\n"
        "   `chroma_token`;\n"
        "4. the environment: `CORTEX_SECTION_KEY` for every key (`CORTEX_HTTP_LISTEN`), and the "
        "names\n"
        "   given below; a variable that is set but empty counts as not set;\n"
        "5. the command line: `--set section.key=value` for every key that is not a secret, and "
        "the\n"
        "   flags given below.\n\n"
        "`cortexd --check-config` says what is wrong, `cortexd --print-config` shows what is in "
        "force and\n"
        "where it came from, and `cortexd --print-config-sample` prints a file to start from. A "
        "wrong\n"
        "value, an unknown key or section, or values that contradict each other end the start with "
        "exit\n"
        "code 78. Secrets in the environment (`CORTEX_SIGNING_KEY`, `CORTEX_TOKENS`, "
        "`OPENAI_API_KEY`,\n"
        "`AZURE_OPENAI_API_KEY`, `CORTEX_CHROMA_TOKEN`, what a `dsn_env` names) are overwritten "
        "there "
        "once they\n"
        "have been read.\n\n"
        "## The file\n\n"
        "```ini\n"
        "# A comment stands on a line of its own (# or ;).\n"
        "[http]\n"
        "listen = 127.0.0.1:4949, [::1]:4949\n\n"
        "[token \"dashboard\"]\n"
        "sha256 = 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n"
        "scopes = context, state\n"
        "expires = 2030-01-01T00:00:00Z\n"
        "```\n\n"
        "UTF-8 without control characters; lines end with a newline alone and have at most 8 KiB, "
        "the\n"
        "file at most 1 MiB. A value is taken as it stands up to the end of the line, without the "
        "blanks\n"
        "around it; in double quotes blanks stay, and `\\\"` and `\\\\` stand for a quote and a "
        "backslash.\n"
        "There are no continuation lines. A key may stand once. Relative paths are taken from the "
        "file's\n"
        "folder; in the environment and on the command line, from the working directory.\n\n"
        "Durations: `250ms`, `30s`, `5m`, `2h`, `1d`. Sizes: `512`, `8KiB`, `64MiB`, `2GiB`, "
        "`1TiB`. Lists:\n"
        "commas in between.\n");
    for (size_t s = 0; s < app__section_count; s++) {
        cx_buf_printf(out,
                      "\n## [%s]\n\n%s\n\n| key | value | default | other names | meaning |\n"
                      "| --- | --- | --- | --- | --- |\n",
                      app__sections[s].name, app__sections[s].help);
        for (size_t i = 0; i < APP__KEY_COUNT; i++) {
            const struct app__key *key = &app__keys[i];
            if (strcmp(key->section, app__sections[s].name) != 0) {
                continue;
            }
            reference_key(key, out);
            put_sources(key, out);
            cx_buf_puts(out, " | ");
            put_cell(key->help, out);
            cx_buf_puts(out,
                        (key->traits & APP__RELOAD) != 0 ? " Taken over on reload. |\n" : " |\n");
        }
    }
    cx_buf_puts(out, "\n## [token \"name\"]\n\n"
                     "One section for each token; the name is what appears in the log. With no "
                     "token configured and\n"
                     "only loopback addresses to listen on, one with all scopes is made at the "
                     "first start and kept in\n"
                     "the file `token` of the data directory, readable by its owner alone. Taken "
                     "over on reload.\n\n"
                     "| key | meaning |\n"
                     "| --- | --- |\n"
                     "| `sha256` | SHA-256 of the token, as `cortexd --hash-token` prints it. The "
                     "token itself is kept "
                     "nowhere. |\n"
                     "| `scopes` | What it may be used for: `context`, `vector`, `database`, "
                     "`filesystem`, `services`, "
                     "`state`, `audit`, or `*` for all. |\n"
                     "| `expires` | When it stops being good, such as `2030-01-01T00:00:00Z`; left "
                     "out, never. |\n\n"
                     "`CORTEX_TOKENS` brings more of them, separated by commas, each with all "
                     "scopes; they come on top\n"
                     "of the file's and are named `env-1`, `env-2` and so on.\n");
    reference_named(out);
    cx_buf_puts(out, "\n## Reload\n\n"
                     "On SIGHUP the configuration is read again. Tokens and the keys marked so are "
                     "taken over; other\n"
                     "changes are named in the log and wait for a restart. A configuration that is "
                     "wrong changes\n"
                     "nothing.\n\n"
                     "## Sockets and services\n\n"
                     "Sockets that systemd hands over (`LISTEN_FDS`) are used instead of "
                     "`http.listen`. Readiness,\n"
                     "reloads, stopping and the watchdog are told to `NOTIFY_SOCKET`.\n");
}

static void reference_key(const struct app__key *key, struct cx_buf *out)
{
    cx_buf_printf(out, "| `%s` | ", key->name);
    put_kind(key, out);
    put_range(key, out);
    cx_buf_puts(out, " | ");
    if (key->fallback[0] != '\0') {
        cx_buf_printf(out, "`%s`", key->fallback);
    }
    cx_buf_puts(out, " | ");
}

static void reference_named(struct cx_buf *out)
{
    for (size_t s = 0; s < APP__NAMED_KIND_COUNT; s++) {
        cx_buf_printf(out,
                      "\n## [%s \"name\"]\n\n%s One section for each.\n\n"
                      "| key | value | default | meaning |\n| --- | --- | --- | --- |\n",
                      app__named_sections[s].name, app__named_sections[s].help);
        for (size_t i = 0; i < app__named_key_count; i++) {
            const struct app__key *key = &app__named_keys[i];
            if (strcmp(key->section, app__named_sections[s].name) == 0) {
                reference_key(key, out);
                put_cell(key->help, out);
                cx_buf_puts(out, " |\n");
            }
        }
    }
}

static void put_sources(const struct app__key *key, struct cx_buf *out)
{
    const char *separator = "";
    if (key->env[0] != '\0') {
        cx_buf_printf(out, "`%s`", key->env);
        separator = ", ";
    }
    if (app__key_id(key) == APP__KEY_http_listen) {
        cx_buf_printf(out, "%s`CORTEX_PORT`", separator);
        separator = ", ";
    }
    if (key->flag[0] != '\0') {
        cx_buf_printf(out, "%s`%s`", separator, key->flag);
    }
}

static void put_cell(const char *text, struct cx_buf *out)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '|' || *c == '*' || *c == '<' || *c == '_') {
            cx_buf_putc(out, '\\');
        }
        cx_buf_putc(out, *c);
    }
}
