/* SPDX-License-Identifier: MIT
 *
 * The command line: which flags there are, and what --help says of them (cli.h).
 */
#include "app/cli.h"

#include <stdio.h>
#include <string.h>

#include "app/config_table.h"
#include "app/units.h"
#include "cortex/vector.h"

#define HELP_COLUMN 30
#define HELP_WIDTH 96

struct action_flag {
    const char *flag;
    const char *short_flag;
    enum app__action action;
    const char *help;
};
static const struct action_flag action_flags[] = {
    { "--check-config", "-t", APP__ACTION_CHECK_CONFIG,
      "read the configuration, say what is wrong" },
    { "--print-config", NULL, APP__ACTION_PRINT_CONFIG,
      "print all settings as they are in force, each with where it came from" },
    { "--print-config-sample", NULL, APP__ACTION_PRINT_SAMPLE,
      "print a configuration file that explains every key" },
    { "--print-config-reference", NULL, APP__ACTION_PRINT_REFERENCE,
      "print the same as a page of documentation" },
    { "--hash-token", NULL, APP__ACTION_HASH_TOKEN,
      "read a token from standard input, print the line for its [token \"name\"] section" },
    { "--reembed", NULL, APP__ACTION_REEMBED,
      "while no daemon runs: embed every collection of another model anew by the configured one, "
      "then "
      "end; --reembed=NAME: that one" },
    { "--accept-ledger-damage", NULL, APP__ACTION_ACCEPT_DAMAGE,
      "append a signed note of what is missing to a damaged ledger, so that it takes entries "
      "again" },
    { "--rotate-ledger-key", NULL, APP__ACTION_ROTATE_KEY,
      "make another key to sign the ledger and the snapshots, signed by the one before it" },
    { "--help", "-h", APP__ACTION_HELP, "print this" },
    { "--version", "-V", APP__ACTION_VERSION, "print the version" },
};

static bool take_action(struct app__cli *cli, const char *arg, enum cx_status *status,
                        struct cx_err *err);
static enum cx_status take_value(struct app__cli *cli, int argc, char *const *argv, int *at,
                                 struct cx_err *err);
static enum cx_status take_collection(struct app__cli *cli, const char *name, struct cx_err *err);
static enum cx_status judge_ledger_flags(struct app__cli *cli, struct app__cli *out,
                                         struct cx_err *err);
static const char *split_value(const char *arg, size_t *name_len);
static const struct app__key *find_flag(const char *arg, size_t name_len);
static enum cx_status take_setting(struct app__cli *cli, const char *setting, struct cx_err *err);
static enum cx_status add_override(struct app__cli *cli, const struct app__key *key,
                                   const char *value, const char *flag, struct cx_err *err);
static enum cx_status unknown_flag(const char *arg, size_t name_len, struct cx_err *err);
static void put_flag(struct cx_buf *out, const char *flag, const char *short_flag,
                     const char *value, const char *help);

enum cx_status app__cli_parse(int argc, char *const *argv, struct app__cli *out, struct cx_err *err)
{
    struct app__cli cli = { .action = APP__ACTION_RUN };
    for (int i = 1; i < argc; i++) {
        enum cx_status status = CX_OK;
        if (!take_action(&cli, argv[i], &status, err)) {
            status = take_value(&cli, argc, argv, &i, err);
        }
        if (status != CX_OK) {
            return status;
        }
    }
    return judge_ledger_flags(&cli, out, err);
}

/* --verify-ledger is an action with a value, and the only one that takes a receipt and a key. */
static enum cx_status judge_ledger_flags(struct app__cli *cli, struct app__cli *out,
                                         struct cx_err *err)
{
    if (cli->ledger_dir != NULL && cli->action != APP__ACTION_RUN) {
        return cx_err_set(err, CX_BAD_REQUEST, "--verify-ledger asks for a second thing at once");
    }
    if (cli->ledger_dir == NULL && (cli->receipt_file != NULL || cli->key_file != NULL)) {
        return cx_err_set(err, CX_BAD_REQUEST, "--receipt and --key go with --verify-ledger");
    }
    if (cli->ledger_dir != NULL) {
        cli->action = APP__ACTION_VERIFY_LEDGER;
    }
    *out = *cli;
    return CX_OK;
}

static bool take_action(struct app__cli *cli, const char *arg, enum cx_status *status,
                        struct cx_err *err)
{
    for (size_t i = 0; i < CX_ARRAY_LEN(action_flags); i++) {
        const struct action_flag *f = &action_flags[i];
        if (strcmp(arg, f->flag) != 0 &&
            (f->short_flag == NULL || strcmp(arg, f->short_flag) != 0)) {
            continue;
        }
        if (cli->action != APP__ACTION_RUN && cli->action != f->action) {
            *status = cx_err_set(err, CX_BAD_REQUEST, "%s asks for a second thing at once", arg);
        }
        cli->action = f->action;
        return true;
    }
    return false;
}

static enum cx_status take_value(struct app__cli *cli, int argc, char *const *argv, int *at,
                                 struct cx_err *err)
{
    const char *arg = argv[*at];
    size_t name_len = 0;
    const char *value = split_value(arg, &name_len);
    const struct cx_str name = { arg, name_len };
    const struct app__key *key = find_flag(arg, name_len);
    const bool is_config = cx_str_eq(name, CX_STR("--config")) || cx_str_eq(name, CX_STR("-c"));
    const bool is_port_file = cx_str_eq(name, CX_STR("--port-file"));
    const bool is_set = cx_str_eq(name, CX_STR("--set"));
    if (value != NULL && cx_str_eq(name, CX_STR("--reembed"))) {
        return take_collection(cli, value, err);
    }
    const char **file = is_config                                    ? &cli->config_path
                        : is_port_file                               ? &cli->port_file
                        : cx_str_eq(name, CX_STR("--verify-ledger")) ? &cli->ledger_dir
                        : cx_str_eq(name, CX_STR("--receipt"))       ? &cli->receipt_file
                        : cx_str_eq(name, CX_STR("--key"))           ? &cli->key_file
                                                                     : NULL;
    if (key == NULL && file == NULL && !is_set) {
        return arg[0] == '-' ? unknown_flag(arg, name_len, err)
                             : cx_err_set(err, CX_BAD_REQUEST, "\"%.100s\" is no flag", arg);
    }
    if (value == NULL) {
        if (*at + 1 == argc) {
            return cx_err_set(err, CX_BAD_REQUEST, "%s needs a value", arg);
        }
        value = argv[++*at];
    }
    if (is_set) {
        return take_setting(cli, value, err);
    }
    if (key != NULL) {
        return add_override(cli, key, value, key->flag, err);
    }
    if (*file != NULL || *value == '\0') {
        return cx_err_set(err, CX_BAD_REQUEST, "%.*s takes one file, once", (int)name_len, arg);
    }
    *file = value;
    return CX_OK;
}

static enum cx_status take_collection(struct app__cli *cli, const char *name, struct cx_err *err)
{
    if (cli->action != APP__ACTION_RUN) {
        return cx_err_set(err, CX_BAD_REQUEST, "--reembed asks for a second thing at once");
    }
    if (!cx_collection_name_valid(cx_str_of(name))) {
        return cx_err_set(err, CX_BAD_REQUEST, "--reembed: \"%.100s\" is no collection's name",
                          name);
    }
    cli->action = APP__ACTION_REEMBED;
    cli->collection = name;
    return CX_OK;
}

/* --name=value; NULL where the value is the next argument. */
static const char *split_value(const char *arg, size_t *name_len)
{
    *name_len = strcspn(arg, "=");
    return arg[*name_len] == '=' && strncmp(arg, "--", 2) == 0 ? arg + *name_len + 1 : NULL;
}

static const struct app__key *find_flag(const char *arg, size_t name_len)
{
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        if (name_len > 0 &&
            cx_str_eq(cx_str_of(app__keys[i].flag), (struct cx_str){ arg, name_len })) {
            return &app__keys[i];
        }
    }
    return NULL;
}

/* section.key=value */
static enum cx_status take_setting(struct app__cli *cli, const char *setting, struct cx_err *err)
{
    const size_t len = strcspn(setting, "=");
    char name[2 * APP__ENV_NAME_BYTES];
    if (setting[len] != '=' || len >= sizeof name) {
        return cx_err_set(err, CX_BAD_REQUEST, "--set needs section.key=value");
    }
    memcpy(name, setting, len);
    name[len] = '\0';
    char *dot = strchr(name, '.');
    const struct app__key *key = NULL;
    if (dot != NULL) {
        *dot = '\0';
        key = app__key_find(name, dot + 1);
        *dot = '.';
    }
    if (key == NULL) {
        return cx_err_set(err, CX_BAD_REQUEST, "--set: there is no key \"%s\"", name);
    }
    if (key->type == APP__SECRET) {
        return cx_err_set(
            err, CX_BAD_REQUEST,
            "--set: %s is a secret, and a command line can be read by every user of this "
            "machine; set %s_file",
            name, name);
    }
    return add_override(cli, key, setting + len + 1, NULL, err);
}

static enum cx_status add_override(struct app__cli *cli, const struct app__key *key,
                                   const char *value, const char *flag, struct cx_err *err)
{
    for (size_t i = 0; i < cli->override_count; i++) {
        if (cli->overrides[i].key == app__key_id(key)) {
            return cx_err_set(err, CX_BAD_REQUEST, "%s.%s is given twice", key->section, key->name);
        }
    }
    CX_CHECK(cli->override_count < APP__OVERRIDES_MAX);
    cli->overrides[cli->override_count++] = (struct app__override){
        .key = app__key_id(key), .value = value, .flag = flag != NULL ? flag : "--set"
    };
    return CX_OK;
}

static enum cx_status unknown_flag(const char *arg, size_t name_len, struct cx_err *err)
{
    const char *known[CX_ARRAY_LEN(action_flags) + APP__KEY_COUNT + 6];
    size_t count = 0;
    for (size_t i = 0; i < CX_ARRAY_LEN(action_flags); i++) {
        known[count++] = action_flags[i].flag;
    }
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        if (app__keys[i].flag[0] != '\0') {
            known[count++] = app__keys[i].flag;
        }
    }
    known[count++] = "--config";
    known[count++] = "--port-file";
    known[count++] = "--set";
    known[count++] = "--verify-ledger";
    known[count++] = "--receipt";
    known[count++] = "--key";
    char name[100];
    snprintf(name, sizeof name, "%.*s", (int)(name_len < sizeof name ? name_len : sizeof name - 1),
             arg);
    const char *suggestion = app__suggest(name, known, count);
    return suggestion != NULL
               ? cx_err_set(err, CX_BAD_REQUEST, "unknown flag %s; did you mean %s?", name,
                            suggestion)
               : cx_err_set(err, CX_BAD_REQUEST, "unknown flag %s; --help names them", name);
}

bool app__cli_runs(const struct app__cli *cli)
{
    return cli->action == APP__ACTION_RUN || cli->action == APP__ACTION_REEMBED;
}

/* ---- Help -------------------------------------------------------------------------------------- */

void app__cli_help(struct cx_buf *out)
{
    cx_buf_puts(out,
                "Usage: cortexd [FLAG]...\n"
                "Cortex, a memory and state gateway for AI agents. Without a flag that asks for "
                "something else\nit serves, in the foreground, until SIGTERM; SIGHUP has it read "
                "its configuration again.\n\n");
    put_flag(out, "--config", "-c", "FILE",
             "the configuration file; else $CORTEX_CONFIG, else ~/.config/cortex/cortex.conf or "
             "/etc/cortex/cortex.conf where there is one");
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        if (app__keys[i].flag[0] != '\0') {
            char help[128];
            snprintf(help, sizeof help, "sets %s.%s", app__keys[i].section, app__keys[i].name);
            put_flag(out, app__keys[i].flag, NULL, "VALUE", help);
        }
    }
    put_flag(out, "--set", NULL, "SECTION.KEY=VALUE", "sets any key that is not a secret");
    put_flag(out, "--port-file", NULL, "FILE",
             "once ready, write the port of the first listener there (for port 0)");
    cx_buf_putc(out, '\n');
    put_flag(
        out, "--verify-ledger", NULL, "DIR",
        "verify the ledger in that folder, which needs nothing else: exit 0 whole, 65 damaged");
    put_flag(out, "--receipt", NULL, "FILE", "with it: the ledger must hold this receipt's entry");
    put_flag(out, "--key", NULL, "FILE", "with it: the public key that must have signed");
    for (size_t i = 0; i < CX_ARRAY_LEN(action_flags); i++) {
        put_flag(out, action_flags[i].flag, action_flags[i].short_flag, NULL, action_flags[i].help);
    }
    cx_buf_puts(
        out,
        "\nExit codes: 0 ended in order; 64 wrong flags; 65 no token was given, or a damaged "
        "ledger; 66 no such\nfile; 70 internal error; 73 cannot create; 74 input or output "
        "failed; 75 another daemon has the data\ndirectory or the port; 77 not permitted; 78 wrong "
        "configuration.\n");
}

static void put_flag(struct cx_buf *out, const char *flag, const char *short_flag,
                     const char *value, const char *help)
{
    char left[64];
    snprintf(left, sizeof left, "  %s%s%s%s%s", short_flag != NULL ? short_flag : "",
             short_flag != NULL ? ", " : "    ", flag, value != NULL ? " " : "",
             value != NULL ? value : "");
    cx_buf_printf(out, "%-*s", HELP_COLUMN, left);
    int column = HELP_COLUMN;
    if (strlen(left) >= HELP_COLUMN) {
        cx_buf_printf(out, "\n%*s", HELP_COLUMN, "");
    }
    while (*help != '\0') {
        const int len = (int)strcspn(help, " ");
        if (column > HELP_COLUMN && column + 1 + len > HELP_WIDTH) {
            cx_buf_printf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
            cx_buf_putc(out, ' ');
            column++;
        }
        cx_buf_append(out, help, (size_t)len);
        column += len;
        help += len + (help[len] == ' ' ? 1 : 0);
    }
    cx_buf_putc(out, '\n');
}
