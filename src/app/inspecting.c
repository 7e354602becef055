/* SPDX-License-Identifier: MIT
 *
 * What the configuration lets agents look into: the roots, databases and services of its sections with
 * names, handed to the inspect module. How to connect to a database is a secret, read once, at start.
 */
#include "app/app_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/config_table.h"
#include "app/secret_file.h"

#define OWN_TIMEOUT_MS 2000
#define DSN_MAX_BYTES 4096

static void make_files(struct app *app);
static enum cx_status make_databases(struct app *app, struct cx_err *err);
static enum cx_status make_services(struct app *app, struct cx_err *err);

enum cx_status app__make_inspect(struct app *app, struct cx_err *err)
{
    make_files(app);
    const enum cx_status status = make_databases(app, err);
    return status == CX_OK ? make_services(app, err) : status;
}

void app__stop_inspect(struct app *app)
{
    if (app->services != NULL) {
        cx_services_stop(app->services);
    }
}

void app__end_inspect(struct app *app)
{
    cx_files_free(&app->files);
    cx_databases_free(&app->databases);
    cx_services_free(&app->services);
}

static void make_files(struct app *app)
{
    const struct cx_config *c = app->config;
    struct cx_root *roots = cx_alloc((c->named_count + 1) * sizeof *roots);
    size_t count = 0;
    for (size_t i = 0; i < c->named_count; i++) {
        if (c->named[i].kind == APP__NAMED_root) {
            roots[count++] = (struct cx_root){ .name = c->named[i].name,
                                               .path = c->named[i].path,
                                               .hidden = c->named[i].hidden,
                                               .exclude = c->named[i].exclude };
        }
    }
    cx_files_new(roots, count, &app->files);
    free(roots);
}

static enum cx_status read_database(const struct app__named *named, struct cx_arena *arena,
                                    struct cx_database_options *out, struct cx_err *err);

static enum cx_status make_databases(struct app *app, struct cx_err *err)
{
    const struct cx_config *c = app->config;
    struct cx_database_options *databases = cx_alloc((c->named_count + 1) * sizeof *databases);
    struct cx_arena arena;
    size_t count = 0;
    enum cx_status status = CX_OK;
    cx_arena_init(&arena, (size_t)4 << 20);
    for (size_t i = 0; i < c->named_count && status == CX_OK; i++) {
        if (c->named[i].kind == APP__NAMED_database) {
            status = read_database(&c->named[i], &arena, &databases[count++], err);
        }
    }
    databases[count++] = (struct cx_database_options){ .name = "cortex",
                                                       .engine = CX_DATABASE_SQLITE,
                                                       .path = c->data_database,
                                                       .dsn_ref = "sqlite:cortex",
                                                       .timeout_ms = OWN_TIMEOUT_MS };
    if (status == CX_OK) {
        status = cx_databases_new(databases, count, &app->databases, err);
    }
    for (size_t i = 0; i < count; i++) {
        if (databases[i].dsn != NULL) {
            cx_wipe((char *)databases[i].dsn, strlen(databases[i].dsn));
        }
    }
    for (size_t i = 0; i < c->named_count; i++) { /* two databases may have one between them */
        if (c->named[i].kind == APP__NAMED_database && c->named[i].dsn_env != NULL) {
            app__env_take_out(environ, c->named[i].dsn_env);
        }
    }
    cx_arena_free(&arena);
    free(databases);
    return status;
}

static enum cx_status read_dsn(const struct app__named *named, struct cx_arena *arena,
                               const char **out, struct cx_err *err);

static enum cx_status read_database(const struct app__named *named, struct cx_arena *arena,
                                    struct cx_database_options *out, struct cx_err *err)
{
    const bool sqlite = named->engine == APP__ENGINE_SQLITE;
    *out = (struct cx_database_options){
        .name = named->name,
        .engine = sqlite ? CX_DATABASE_SQLITE : CX_DATABASE_POSTGRESQL,
        .path = named->path,
        .timeout_ms = named->timeout_ms,
        .dsn_ref = sqlite                   ? cx_arena_printf(arena, "sqlite:%s", named->name)
                   : named->dsn_env != NULL ? cx_arena_printf(arena, "env:%s", named->dsn_env)
                                            : "file",
    };
    return sqlite ? CX_OK : read_dsn(named, arena, &out->dsn, err);
}

static enum cx_status read_dsn(const struct app__named *named, struct cx_arena *arena,
                               const char **out, struct cx_err *err)
{
    if (named->dsn_env != NULL) {
        const char *value = getenv(named->dsn_env);
        *out = value != NULL ? cx_arena_strdup(arena, value) : NULL;
        return *out != NULL ? CX_OK
                            : cx_err_set(err, CX_INVALID,
                                         "database \"%s\": there is no %s in the environment",
                                         named->name, named->dsn_env);
    }
    struct cx_buf text;
    struct cx_err why = { "" };
    bool others = false;
    cx_buf_init(&text, DSN_MAX_BYTES + 1);
    const enum cx_status status =
        app__file_read(named->dsn_file, DSN_MAX_BYTES, &text, &others, &why);
    if (status != CX_OK) {
        cx_wipe(text.data, text.cap);
        cx_buf_free(&text);
        return cx_err_set(err, status, "database \"%s\": %s", named->name, why.text);
    }
    if (others) {
        CX_LOG(CX_LOG_WARN, "others than its owner may read how to connect to a database",
               CX_S("database", named->name));
    }
    struct cx_str dsn = { text.data, text.len };
    while (dsn.len > 0 && (dsn.p[dsn.len - 1] == '\n' || dsn.p[dsn.len - 1] == '\r')) {
        dsn.len--;
    }
    *out = cx_arena_strndup(arena, dsn.p != NULL ? dsn.p : "", dsn.len);
    cx_wipe(text.data, text.cap);
    cx_buf_free(&text);
    return CX_OK;
}

static enum cx_status make_services(struct app *app, struct cx_err *err)
{
    const struct cx_config *c = app->config;
    struct cx_service_options *services = cx_alloc((c->named_count + 1) * sizeof *services);
    size_t count = 0;
    for (size_t i = 0; i < c->named_count; i++) {
        const struct app__named *named = &c->named[i];
        if (named->kind == APP__NAMED_service) {
            services[count++] = (struct cx_service_options){ .name = named->name,
                                                             .kind = named->service_kind,
                                                             .url = named->url,
                                                             .interval_ms = named->interval_ms,
                                                             .timeout_ms = named->probe_timeout_ms,
                                                             .expect = (int)named->expect,
                                                             .version = named->version,
                                                             .git_sha = named->git_sha,
                                                             .deployed_at = named->deployed_at };
        }
    }
    const enum cx_status status =
        cx_services_new(app->loop, app->fetch, services, count, &app->services, err);
    free(services);
    return status;
}
