/* SPDX-License-Identifier: MIT
 *
 * The command line.
 */
#include <stdio.h>
#include <string.h>

#include "app/cli.h"
#include "test.h"

static enum cx_status parse(const char *const *args, struct app__cli *cli, struct cx_err *err)
{
    char *argv[64] = { (char *)"cortexd" };
    int argc = 1;
    for (size_t i = 0; args[i] != NULL; i++) {
        argv[argc++] = (char *)args[i];
    }
    return app__cli_parse(argc, argv, cli, err);
}

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

TEST(cli_good)
{
    struct app__cli cli;
    REQUIRE(parse(ARGS(NULL), &cli, NULL) == CX_OK);
    EXPECT(cli.action == APP__ACTION_RUN && cli.config_path == NULL && cli.override_count == 0);
    REQUIRE(parse(ARGS("--config", "a.conf", "--listen=127.0.0.1:0", "--data-dir", "/d", "--set",
                       "log.level=debug", "--port-file", "p"),
                  &cli, NULL) == CX_OK);
    EXPECT_STR(cli.config_path, "a.conf");
    EXPECT_STR(cli.port_file, "p");
    REQUIRE(cli.override_count == 3);
    EXPECT_INT(cli.overrides[0].key, APP__KEY_http_listen);
    EXPECT_STR(cli.overrides[0].value, "127.0.0.1:0");
    EXPECT_STR(cli.overrides[1].value, "/d");
    EXPECT_INT(cli.overrides[2].key, APP__KEY_log_level);
    EXPECT_STR(cli.overrides[2].value, "debug");
    REQUIRE(parse(ARGS("-c", "a", "-t"), &cli, NULL) == CX_OK);
    EXPECT(cli.action == APP__ACTION_CHECK_CONFIG);
    EXPECT_STR(cli.config_path, "a");
    REQUIRE(parse(ARGS("-h"), &cli, NULL) == CX_OK && cli.action == APP__ACTION_HELP);
    REQUIRE(parse(ARGS("--version"), &cli, NULL) == CX_OK && cli.action == APP__ACTION_VERSION);
    REQUIRE(parse(ARGS("--hash-token"), &cli, NULL) == CX_OK &&
            cli.action == APP__ACTION_HASH_TOKEN);
    EXPECT(!app__cli_runs(&cli));
    REQUIRE(parse(ARGS("--reembed", "-c", "a"), &cli, NULL) == CX_OK);
    EXPECT(cli.action == APP__ACTION_REEMBED && cli.collection == NULL && app__cli_runs(&cli));
    REQUIRE(parse(ARGS("-c", "a", "--reembed=notes"), &cli, NULL) == CX_OK);
    EXPECT(cli.action == APP__ACTION_REEMBED);
    EXPECT_STR(cli.collection, "notes");
}

TEST(cli_bad)
{
    static const struct {
        const char *args[5];
        const char *want;
    } rows[] = {
        { { "--lisen", "x" }, "unknown flag --lisen; did you mean --listen?" },
        { { "--hlep" }, "unknown flag --hlep; did you mean --help?" },
        { { "--no-such-thing-at-all=1" },
          "unknown flag --no-such-thing-at-all; --help names them" },
        { { "-x" }, "unknown flag -x; --help names them" },
        { { "-" }, "unknown flag -; --help names them" },
        { { "serve" }, "\"serve\" is no flag" },
        { { "--reembed=a b" }, "--reembed: \"a b\" is no collection's name" },
        { { "--reembed=" }, "--reembed: \"\" is no collection's name" },
        { { "--help", "--reembed=a" }, "--reembed asks for a second thing at once" },
        { { "" }, "\"\" is no flag" },
        { { "--listen" }, "--listen needs a value" },
        { { "--config" }, "--config needs a value" },
        { { "--config=" }, "--config takes one file, once" },
        { { "--config=a", "--config=b" }, "--config takes one file, once" },
        { { "--port-file=a", "--port-file=b" }, "--port-file takes one file, once" },
        { { "--listen=a", "--set", "http.listen=b" }, "http.listen is given twice" },
        { { "--set", "http.listen" }, "--set needs section.key=value" },
        { { "--set", "listen=a" }, "--set: there is no key \"listen\"" },
        { { "--set", "http.listn=a" }, "--set: there is no key \"http.listn\"" },
        { { "--set", "=" }, "--set: there is no key \"\"" },
        { { "--set", "state.signing_key=k" },
          "--set: state.signing_key is a secret, and a command line can be read by every user of "
          "this "
          "machine; set state.signing_key_file" },
        { { "--help", "--version" }, "--version asks for a second thing at once" },
    };
    for (size_t i = 0; i < CX_ARRAY_LEN(rows); i++) {
        struct app__cli cli = { .action = APP__ACTION_RUN };
        struct cx_err err = { .text = "" };
        EXPECT(parse(rows[i].args, &cli, &err) == CX_BAD_REQUEST);
        EXPECT_STR(err.text, rows[i].want);
    }
}

TEST(cli_exit_codes)
{
    EXPECT_INT(app__exit_code(CX_OK), 0);
    EXPECT_INT(app__exit_code(CX_BAD_REQUEST), 64);
    EXPECT_INT(app__exit_code(CX_NOT_FOUND), 66);
    EXPECT_INT(app__exit_code(CX_INTERNAL), 70);
    EXPECT_INT(app__exit_code(CX_STORAGE_FULL), 73);
    EXPECT_INT(app__exit_code(CX_IO_ERROR), 74);
    EXPECT_INT(app__exit_code(CX_CONFLICT), 75);
    EXPECT_INT(app__exit_code(CX_UNAUTHORIZED), 77);
    EXPECT_INT(app__exit_code(CX_INVALID), 78);
}
