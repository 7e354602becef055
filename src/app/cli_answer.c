/* SPDX-License-Identifier: MIT
 *
 * What the command line may ask for that needs no daemon, and the exit codes of all of it (cli.h).
 */
#include "app/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "app/ledger.h"
#include "app/tokens.h"

#define OUTPUT_MAX_BYTES ((size_t)4 << 20)

static int answer_config(const struct app__cli *cli, char **environment, struct cx_buf *out);
static int answer_hash(struct cx_buf *out);
static int write_out(const struct cx_buf *out);

int app__cli_answer(const struct app__cli *cli, char **environment)
{
    struct cx_buf out;
    cx_buf_init(&out, OUTPUT_MAX_BYTES);
    int code = EX_OK;
    switch (cli->action) {
    case APP__ACTION_RUN:
    case APP__ACTION_REEMBED:
        CX_CHECK(!app__cli_runs(cli));
        break;
    case APP__ACTION_VERIFY_LEDGER:
        code = app__verify_ledger(cli);
        break;
    case APP__ACTION_HELP:
        app__cli_help(&out);
        break;
    case APP__ACTION_VERSION:
        cx_buf_puts(&out, "cortexd " CORTEX_VERSION "\n");
        break;
    case APP__ACTION_PRINT_SAMPLE:
        app__config_print_sample(&out);
        break;
    case APP__ACTION_PRINT_REFERENCE:
        app__config_print_reference(&out);
        break;
    case APP__ACTION_CHECK_CONFIG:
    case APP__ACTION_PRINT_CONFIG:
    case APP__ACTION_ACCEPT_DAMAGE:
    case APP__ACTION_ROTATE_KEY:
        code = answer_config(cli, environment, &out);
        break;
    case APP__ACTION_HASH_TOKEN:
        code = answer_hash(&out);
        break;
    }
    if (code == EX_OK) {
        code = write_out(&out);
    }
    cx_buf_free(&out);
    return code;
}

static int answer_config(const struct app__cli *cli, char **environment, struct cx_buf *out)
{
    struct cx_config *config = NULL;
    struct cx_err err = { .text = "" };
    const enum cx_status status = app__config_load(cli, environment, NULL, &config, &err);
    if (status != CX_OK) {
        fprintf(stderr, "cortexd: %s\n", err.text);
        return app__exit_code(status);
    }
    for (size_t i = 0; i < config->warning_count; i++) {
        fprintf(stderr, "cortexd: warning: %s\n", config->warnings[i]);
    }
    if (cli->action == APP__ACTION_ACCEPT_DAMAGE || cli->action == APP__ACTION_ROTATE_KEY) {
        const int code = cli->action == APP__ACTION_ACCEPT_DAMAGE
                             ? app__accept_ledger_damage(config)
                             : app__rotate_ledger_key(config);
        app__config_free(&config);
        return code;
    }
    if (cli->action == APP__ACTION_PRINT_CONFIG) {
        app__config_print(config, out);
    } else {
        cx_buf_printf(out, "%s: good\n",
                      config->path != NULL ? config->path : "no configuration file");
    }
    app__config_free(&config);
    return EX_OK;
}

static int answer_hash(struct cx_buf *out)
{
    struct cx_err err = { .text = "" };
    const enum cx_status status = app__hash_token(STDIN_FILENO, STDERR_FILENO, out, &err);
    if (status != CX_OK) {
        fprintf(stderr, "cortexd: %s\n", err.text);
        return status == CX_INVALID ? EX_DATAERR : app__exit_code(status);
    }
    return EX_OK;
}

static int write_out(const struct cx_buf *out)
{
    CX_CHECK(!out->failed);
    size_t done = 0;
    while (done < out->len) {
        const ssize_t n = write(STDOUT_FILENO, out->data + done, out->len - done);
        if (n < 0 && errno != EINTR) {
            fprintf(stderr, "cortexd: standard output: %s\n", strerror(errno));
            return EX_IOERR;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return EX_OK;
}

int app__exit_code(enum cx_status status)
{
    switch (status) {
    case CX_OK:
        return EX_OK;
    case CX_BAD_REQUEST:
        return EX_USAGE;
    case CX_INVALID:
        return EX_CONFIG;
    case CX_NOT_FOUND:
        return EX_NOINPUT;
    case CX_UNAUTHORIZED:
    case CX_EMBEDDING_UNAUTHORIZED:
        return EX_NOPERM;
    case CX_STORAGE_FULL:
        return EX_CANTCREAT;
    case CX_IO_ERROR:
        return EX_IOERR;
    case CX_CONFLICT:
    case CX_OVERLOADED:
        return EX_TEMPFAIL;
    default:
        return EX_SOFTWARE;
    }
}
