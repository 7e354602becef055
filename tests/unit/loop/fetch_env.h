/* SPDX-License-Identifier: MIT
 *
 * A loop, a fetch and a scripted upstream for one test, and calls that remember how they ended.
 */
#ifndef CORTEX_LOOP_FETCH_ENV_H
#define CORTEX_LOOP_FETCH_ENV_H

#include "names.h"
#include "test.h"
#include "upstream.h"

struct world {
    struct cx_loop *loop;
    struct cx_fetch *fetch;
    struct upstream upstream;
    unsigned started;
    unsigned done;
    unsigned wanted; /* the loop stops when so many are done */
    bool starting;   /* within cx_fetch_start or cx_call_cancel */
};

struct probe { /* one call */
    struct world *world;
    struct cx_call *call;
    enum cx_fetch_outcome outcome;
    int status;
    unsigned completions;
    bool within_start;
    char body[4096];
    size_t body_len;
    char word[64]; /* of the header X-Word */
    char headers[1024];
    char reason[sizeof(struct cx_err)]; /* or why it was refused */
};

void world_open(struct world *w);
void world_open_with(struct world *w, const struct cx_fetch_options *options,
                     const char *unix_path);
void world_close(struct world *w);              /* checks that every call has completed once */
void world_run(struct world *w, unsigned done); /* until so many calls are done in all */

/* A GET of path at the upstream, 10 s, 64 KiB. */
struct cx_fetch_request world_request(struct world *w, const char *path, char url[128]);
enum cx_status probe_start(struct world *w, struct probe *p,
                           const struct cx_fetch_request *request);
void probe_get(struct world *w, struct probe *p,
               const char *path); /* starts it, which must succeed */
void probe_cancel(struct probe *p);
/* Starts it and runs until it is done. */
void probe_run(struct world *w, struct probe *p, const struct cx_fetch_request *request);

#endif
