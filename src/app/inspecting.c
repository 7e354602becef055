/* SPDX-License-Identifier: MIT
 *
 * What the configuration lets agents look into: the roots and services of its sections with names,
 * handed to the inspect module.
 */
#include "app/app_internal.h"

#include <stdlib.h>

static void make_files(struct app *app);
static enum cx_status make_services(struct app *app, struct cx_err *err);

enum cx_status app__make_inspect(struct app *app, struct cx_err *err)
{
    make_files(app);
    return make_services(app, err);
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
