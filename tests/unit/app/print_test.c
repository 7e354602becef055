/* SPDX-License-Identifier: MIT
 *
 * The configuration shown: round trip, masks, and that the committed texts are what the table makes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cli.h"
#include "app/config_table.h"
#include "app_helpers.h"
#include "test.h"

#define TEXT_MAX ((size_t)1 << 20)

TEST(print_reads_back)
{
    struct loaded l =
        load("[http]\nlisten = 127.0.0.1:1, [::1]:2\nserver_names = a, b\n"
             "[embedding]\nprovider = openai\nbase_url = http://h/v1\nmodel = \" m \\\" \"\n"
             "[rate]\nper_second = 0.25\n[state]\ncontext_size_cap = 20000\n",
             LIST("CORTEX_LOG_LEVEL=debug"), LIST("--data-dir", "/d"));
    REQUIRE(l.status == CX_OK);
    struct cx_buf out;
    cx_buf_init(&out, TEXT_MAX);
    app__config_print(l.config, &out);
    REQUIRE(!out.failed);
    EXPECT(strstr(out.data, "\n# default\nheader_bytes = 32KiB\n") != NULL);
    EXPECT(strstr(out.data, "/cortex.conf:2\nlisten = 127.0.0.1:1, [::1]:2\n") != NULL);
    EXPECT(strstr(out.data, "\n# environment CORTEX_LOG_LEVEL\nlevel = debug\n") != NULL);
    EXPECT(strstr(out.data, "\n# flag --data-dir\ndir = /d\n") != NULL);
    EXPECT(strstr(out.data, "\nmodel = \" m \\\" \"\n") != NULL);
    EXPECT(strstr(out.data, "\n# default\n#signing_key =\n") != NULL);
    struct loaded again = load(out.data, NULL, NULL);
    REQUIRE(again.status == CX_OK);
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        struct cx_buf a;
        struct cx_buf b;
        cx_buf_init(&a, TEXT_MAX);
        cx_buf_init(&b, TEXT_MAX);
        app__value_format(l.config, &app__keys[i], &a);
        app__value_format(again.config, &app__keys[i], &b);
        EXPECT_BYTES(b.data, b.len, a.data, a.len);
        cx_buf_free(&a);
        cx_buf_free(&b);
    }
    unload(&again);
    unload(&l);
    cx_buf_free(&out);
}

TEST(print_masks_secrets)
{
    struct loaded l =
        load("[state]\nsigning_key = hush-hush-one\n[token \"t\"]\nscopes = state, audit\n"
             "sha256 = "
             "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n"
             "expires = 2999-01-01T00:00:00Z\n",
             LIST("OPENAI_API_KEY=hush-hush-two", "CORTEX_TOKENS=hush-hush-three-0123"), NULL);
    REQUIRE(l.status == CX_OK);
    struct cx_buf out;
    cx_buf_init(&out, TEXT_MAX);
    app__config_print(l.config, &out);
    REQUIRE(!out.failed);
    EXPECT(strstr(out.data, "hush") == NULL && strstr(out.data, "9f86") == NULL);
    EXPECT(strstr(out.data, "\n#signing_key = ********\n") != NULL);
    EXPECT(strstr(out.data, "\n# environment OPENAI_API_KEY\n#api_key = ********\n") != NULL);
    EXPECT(strstr(out.data,
                  "/cortex.conf:3\n#[token \"t\"]\n#sha256 = ********\n"
                  "#scopes = state, audit\n#expires = 2999-01-01T00:00:00.000000Z\n") != NULL);
    EXPECT(strstr(out.data,
                  "\n# environment CORTEX_TOKENS\n#[token \"env-1\"]\n#sha256 = ********\n"
                  "#scopes = *\n") != NULL);
    struct loaded again = load(out.data, NULL, NULL);
    EXPECT(again.status == CX_OK);
    unload(&again);
    unload(&l);
    cx_buf_free(&out);
}

static void expect_committed(const char *name, void (*print)(struct cx_buf *out), const char *flag)
{
    static char committed[TEXT_MAX];
    char path[1024];
    struct cx_buf out;
    cx_buf_init(&out, TEXT_MAX);
    print(&out);
    CX_CHECK(!out.failed);
    snprintf(path, sizeof path, "%s/%s", CORTEX_SOURCE_DIR, name);
    read_back(path, committed, sizeof committed);
    (void)test_expect(strcmp(committed, out.data) == 0, __FILE__, __LINE__,
                      "%s is not what the table makes; run: cortexd %s > %s", name, flag, name);
    cx_buf_free(&out);
}

TEST(print_committed_texts)
{
    expect_committed("config/cortex.conf", app__config_print_sample, "--print-config-sample");
    expect_committed("docs/configuration.md", app__config_print_reference,
                     "--print-config-reference");
}

/* The sample with every key's comment sign taken away says exactly what the defaults are. */
TEST(print_sample_is_the_defaults)
{
    struct cx_buf sample;
    struct cx_buf text;
    cx_buf_init(&sample, TEXT_MAX);
    cx_buf_init(&text, TEXT_MAX);
    app__config_print_sample(&sample);
    REQUIRE(!sample.failed);
    size_t keys = 0;
    for (const char *line = sample.data; *line != '\0';) {
        const size_t len = strcspn(line, "\n");
        EXPECT(len <= 100 || line[0] == '#');
        if (strncmp(line, "#[token", 7) == 0) {
            break;
        }
        const bool key = line[0] == '#' && line[1] != ' ' && len > 1;
        keys += key ? 1 : 0;
        cx_buf_append(&text, line + (key ? 1 : 0), len - (key ? 1 : 0));
        cx_buf_putc(&text, '\n');
        line += len + 1;
    }
    EXPECT_INT(keys, APP__KEY_COUNT);
    struct loaded plain = load(NULL, NULL, NULL);
    struct loaded filled = load(text.data, NULL, NULL);
    EXPECT_STR(sentence(&filled), "");
    REQUIRE(plain.status == CX_OK && filled.status == CX_OK);
    struct cx_buf changes;
    cx_buf_init(&changes, TEXT_MAX);
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        EXPECT_INT(filled.config->origins[i].kind,
                   i == APP__KEY_data_dir ? APP__FROM_ENVIRONMENT : APP__FROM_FILE);
        struct cx_buf a;
        struct cx_buf b;
        cx_buf_init(&a, TEXT_MAX);
        cx_buf_init(&b, TEXT_MAX);
        app__value_format(plain.config, &app__keys[i], &a);
        app__value_format(filled.config, &app__keys[i], &b);
        EXPECT_BYTES(b.data, b.len, a.data, a.len);
        cx_buf_free(&a);
        cx_buf_free(&b);
    }
    cx_buf_free(&changes);
    unload(&plain);
    unload(&filled);
    cx_buf_free(&sample);
    cx_buf_free(&text);
}

TEST(print_names_every_key_everywhere)
{
    struct cx_buf reference;
    struct cx_buf help;
    cx_buf_init(&reference, TEXT_MAX);
    cx_buf_init(&help, TEXT_MAX);
    app__config_print_reference(&reference);
    app__cli_help(&help);
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        char row[128];
        snprintf(row, sizeof row, "\n| `%s` | ", app__keys[i].name);
        EXPECT(strstr(reference.data, row) != NULL);
        EXPECT(app__keys[i].flag[0] == '\0' || strstr(help.data, app__keys[i].flag) != NULL);
    }
    for (const char *line = help.data; *line != '\0'; line += strcspn(line, "\n") + 1) {
        EXPECT(strcspn(line, "\n") <= 100);
    }
    cx_buf_free(&reference);
    cx_buf_free(&help);
}
