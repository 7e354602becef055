/* SPDX-License-Identifier: MIT
 *
 * Where the server listens: on the sockets that systemd hands over, else on the configured addresses.
 * Loop thread, before the loop runs.
 */
#include "app/app_internal.h"

#include <string.h>
#include <unistd.h>

#include "app/cli.h"

static enum cx_status listen_handed_over(struct app *app, int fd, struct cx_err *err);

enum cx_status app__listen(struct app *app, struct cx_err *err)
{
    if (app->cli->action == APP__ACTION_REEMBED) {
        return CX_OK;
    }
    unsigned handed_over = 0;
    enum cx_status status = app__listen_fds(environ, &handed_over, err);
    for (unsigned i = 0; i < handed_over && status == CX_OK; i++) {
        status = listen_handed_over(app, APP__LISTEN_FDS_START + (int)i, err);
    }
    if (handed_over > 0 || status != CX_OK) {
        return status;
    }
    size_t bound = 0;
    for (const char *const *a = app->config->http_listen; *a != NULL; a++) {
        int port = 0;
        struct cx_err why = { "" };
        status = cx_http_listen(app->http, *a, &port, &why);
        if (status != CX_OK) {
            /* A machine without IPv6 must not keep the default pair of loopback addresses from
             * serving. */
            if (app->config->origins[APP__KEY_http_listen].kind != APP__FROM_DEFAULT ||
                bound == 0) {
                return cx_err_set(err, status, "%s: %s", *a, why.text);
            }
            CX_LOG(CX_LOG_WARN, "not listening", CX_S("address", *a), CX_S("error", why.text));
            status = CX_OK;
            continue;
        }
        CX_LOG(CX_LOG_INFO, "listening", CX_S("address", *a), CX_I("port", port));
        app->port = bound++ == 0 ? port : app->port;
    }
    return status;
}

static enum cx_status listen_handed_over(struct app *app, int fd, struct cx_err *err)
{
    char address[APP__SOCKET_TEXT_BYTES];
    if (!app__socket_is_local(fd, address)) {
        const enum cx_status allowed = app__config_allows_remote(app->config, address, err);
        if (allowed != CX_OK) {
            return allowed;
        }
    }
    CX_LOG(CX_LOG_INFO, "listening", CX_S("socket", address));
    const char *colon = strrchr(address, ':');
    uint64_t port = 0;
    if (app->port == 0 && colon != NULL && cx_parse_u64(cx_str_of(colon + 1), &port)) {
        app->port = (int)port;
    }
    return cx_http_listen_fd(app->http, fd, err);
}
