/* SPDX-License-Identifier: MIT
 *
 * Inside the app room: the running daemon, shared by app.c (the program), rooms.c (who makes and ends the
 * rooms, with the files named below) and life.c (what happens in between: signals, reload, drain, watchdog).
 */
#ifndef CORTEX_APP_INTERNAL_H
#define CORTEX_APP_INTERNAL_H

#include "app/config.h"
#include "cortex/api.h"
#include "app/notify.h"

enum app__phase { APP_STARTING, APP_RUNNING, APP_DRAINING, APP_ABORTING, APP_STOPPED };

struct app {
    const struct app__cli *cli;
    struct cx_config *config;
    enum app__phase phase;
    int exit_code;
    bool reembedded; /* --reembed: all is done */
    int port;        /* of the first listener */

    struct cx_loop *loop;
    struct cx_lane *write_lane;
    struct cx_lane *read_lane;
    struct cx_lane *cpu_lane;
    struct cx_lane *inspect_lane;
    struct cx_lane *ledger_lane;
    struct cx_store *store;
    struct cx_signer *signer;
    struct cx_audit *audit;
    struct cx_events *events;
    struct cx_fetch *fetch;
    struct cx_embedder *embedder;
    struct cx_chroma *chroma; /* or */
    struct cx_vector_store *vector;
    struct cx_files *files;
    struct cx_databases *databases;
    struct cx_services *services;
    struct cx_api *api;
    struct cx_http *http;
    struct app__notify *notify;

    struct cx_signal *terminate;
    struct cx_signal *interrupt;
    struct cx_signal *hangup;
    struct cx_timer *pulse;
    struct cx_timer *drain_check;
    struct cx_timer *drain_limit;
    struct app__reload *reload; /* under way, or NULL */
    bool reload_asked;          /* while it could not be: it comes later */
};

/* The rate limit that the configuration asks for. */
static inline struct cx_http_rate app__rate(const struct cx_config *config)
{
    return (struct cx_http_rate){ .per_second = config->rate_per_second,
                                  .burst = config->rate_burst,
                                  .buckets_max = config->rate_buckets };
}

static inline bool app__has_vector_store(const struct app *app)
{
    return app->config->vector_backend != APP__BACKEND_NONE;
}

/* rooms.c. On failure what was made stays for app__end_rooms, once the loop has run dry. */
enum cx_status app__make_rooms(struct app *app, struct cx_err *err);
void app__end_rooms(struct app *app);

/* listening.c. Opens every listener and sets app->port. */
enum cx_status app__listen(struct app *app, struct cx_err *err);

/* opening.c. Begins to read the vector store; app__life_ready when that is done, app__drain when it fails. */
enum cx_status app__open_vector(struct app *app, struct cx_err *err);

/* embedding.c. Leaves app->embedder NULL where there is no vector store. */
enum cx_status app__make_embedder(struct app *app, struct cx_err *err);
/* Tokens of a text in cl100k_base, for snapshots. Any thread. */
bool app__count_tokens(void *ctx, struct cx_str text, int64_t *out);

/* chroma.c. Leaves app->chroma NULL where the vector store is not one of Chroma. */
enum cx_status app__make_chroma(struct app *app, struct cx_err *err);

/* inspecting.c: what the configuration lets agents look into. */
enum cx_status app__make_inspect(struct app *app, struct cx_err *err);
void app__stop_inspect(struct app *app); /* begins no more probes */
void app__end_inspect(struct app *app);

/* life.c: from listening to the end of the loop. Loop thread. */
enum cx_status app__life_start(struct app *app, struct cx_err *err);
/* The vector store is open (or there is none): the daemon is ready. */
void app__life_ready(struct app *app);
/* Ends the daemon in an orderly way with this exit code; a second call changes nothing. */
void app__drain(struct app *app, int exit_code);
void app__life_end(struct app *app);

#endif
