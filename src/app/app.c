/* SPDX-License-Identifier: MIT
 *
 * The program: what was asked on the command line, and the life of one daemon from its log and its
 * data directory's lock over the rooms (rooms.c) to its exit code. Main thread, which becomes the loop
 * thread; before the loop runs and after it has stopped, blocking is allowed.
 */
#include "app/app_internal.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "cortex/app.h"
#include "app/cli.h"
#include "app/lock.h"
#include "app/tokens.h"

#define LARGE_ALLOCATION_BYTES (256 * 1024)
#define ARENAS 2

static int run(const struct app__cli *cli, struct cx_config *config);

int cx_app_main(int argc, char **argv)
{
    struct app__cli cli;
    struct cx_config *config = NULL;
    struct cx_err err = { "" };
    enum cx_status status = app__cli_parse(argc, argv, &cli, &err);
    if (status == CX_OK && !app__cli_runs(&cli)) {
        return app__cli_answer(&cli, environ);
    }
    if (status == CX_OK) {
        status = app__config_load(&cli, environ, NULL, &config, &err);
    }
    if (status != CX_OK) {
        fprintf(stderr, "cortexd: %s\n", err.text);
        return app__exit_code(status);
    }
    const int exit_code = run(&cli, config);
    app__config_free(&config);
    return exit_code;
}

static void prepare_process(void);
static enum cx_status take_data_dir(const struct app *app, struct app__lock **lock,
                                    struct cx_err *err);

static int run(const struct app__cli *cli, struct cx_config *config)
{
    struct app app = { .cli = cli, .config = config };
    struct app__lock *lock = NULL;
    struct cx_err err = { "" };
    prepare_process();
    cx_log_start((enum cx_log_level)config->log_level, (enum cx_log_format)config->log_format);
    CX_LOG(CX_LOG_INFO, "starting", CX_S("version", CORTEX_VERSION), CX_I("pid", getpid()),
           CX_S("data_dir", config->data_dir));
    for (size_t i = 0; i < config->warning_count; i++) {
        CX_LOG(CX_LOG_WARN, config->warnings[i]);
    }
    enum cx_status status = take_data_dir(&app, &lock, &err);
    if (status == CX_OK) {
        status = app__make_rooms(&app, &err);
    }
    if (status != CX_OK) {
        CX_LOG(CX_LOG_ERROR, "cannot start", CX_S("error", err.text));
        app__drain(&app, app__exit_code(status));
    }
    if (app.loop != NULL) {
        cx_loop_run(app.loop);
    }
    if (cli->action == APP__ACTION_REEMBED && !app.reembedded && app.exit_code == 0) {
        app.exit_code =
            app__exit_code(CX_OVERLOADED); /* interrupted: the next run goes on with it */
    }
    app__end_rooms(&app);
    app__lock_release(&lock);
    CX_LOG(CX_LOG_INFO, "stopped", CX_I("exit_code", app.exit_code));
    cx_log_stop();
    return app.exit_code;
}

static void prepare_process(void)
{
    umask(077);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    /* A fixed threshold: large bodies are mapped by themselves and given back when they are freed,
     * where glibc would otherwise learn to keep them. */
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_ALLOCATION_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, 2 * LARGE_ALLOCATION_BYTES);
    /* Small pieces freed one by one are joined at once: else a larger one, some time later, joins tens of
     * thousands of them while the loop waits 10 ms. */
    (void)mallopt(M_MXFAST, 0);
    /* Each thread would get a heap of its own, with gaps of its own. */
    (void)mallopt(M_ARENA_MAX, ARENAS);
    json_object_seed(0); /* before there are threads: the seed is jansson's one global */
    /* A reload that is asked for before there is someone to hear of it waits, rather than ending
     * us. */
    sigset_t hangup;
    (void)sigemptyset(&hangup);
    (void)sigaddset(&hangup, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &hangup, NULL);
}

/* The data directory with its lock, and in it the keys and tokens that are not configured. */
static enum cx_status take_data_dir(const struct app *app, struct app__lock **lock,
                                    struct cx_err *err)
{
    const struct app__cli *cli = app->cli;
    enum cx_status status = app__prepare_data_dir(app->config->data_dir, err);
    if (status == CX_OK) {
        status = app__lock_take(app->config->data_dir, lock, err);
        if (status == CX_CONFLICT && cli->action == APP__ACTION_REEMBED) {
            status = cx_err_set(err, status,
                                "%s: ask that daemon, by POST /vector/collections/NAME/reembed",
                                err->text);
        }
    }
    if (status != CX_OK) {
        return status;
    }
    if (cli->port_file != NULL) {
        (void)unlink(cli->port_file); /* what an earlier daemon has left says nothing of this one */
    }
    return app__first_start(app->config, err);
}
