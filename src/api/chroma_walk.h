/* SPDX-License-Identifier: MIT
 *
 * chroma_walk: all documents of a collection that a Chroma server keeps, in a lasting order: some parts' ids
 * (cx_chroma_part), then their documents by these ids, a page at a time. Whatever comes and goes meanwhile, a
 * document that is there all along is met once. Steps of an exchange whose state begins with the walk.
 */
#ifndef CORTEX_API_CHROMA_WALK_H
#define CORTEX_API_CHROMA_WALK_H

#include "api/chroma_ask.h"

struct api__walk {
    struct cx_api *api;
    struct cx_str collection; /* from here on set by who walks: borrowed */
    struct cx_str after;      /* begins behind this document; p NULL = with the first; borrowed */
    size_t ids_wanted;        /* about, at a time: no more is found while more than some wait */
    size_t ids_enough;
    unsigned include; /* of the documents */

    unsigned part;  /* the next that is not found yet … */
    unsigned parts; /* … and how many at a time */
    json_t *ids;    /* found, and from `at` on not read */
    size_t at;
    size_t page; /* documents at once */
    struct cx_str *page_ids;
    struct api__ask ask; /* the documents of a page, when they are read */
};
/* Waits: Chroma: how many documents there are; 404. */
enum cx_step_result api__walk_count(struct cx_exchange *x);
/* Waits: Chroma: the ids of some parts, unless there are enough … */
enum cx_step_result api__walk_find(struct cx_exchange *x);
/* … or back to it, where there is more to find. */
enum cx_step_result api__walk_found(struct cx_exchange *x);
/* Waits: Chroma: a page of at most so many documents. Only where ids are left. */
enum cx_step_result api__walk_read(struct cx_exchange *x, size_t most);
/* In the next step, which is one that runs after a failure: CX_STEP_NEXT: the page is in ask.op.answer. Less is
 * asked for at once where the answer was too large: then *again, and it is to be read again. */
enum cx_step_result api__walk_judge(struct cx_exchange *x, bool *again);
size_t api__walk_left(const struct api__walk *w);
/* The last id of the page that was read. */
struct cx_str api__walk_last(const struct api__walk *w);
bool api__walk_ended(const struct api__walk *w); /* nothing is left to find or to read */
void api__walk_release(struct api__walk *w);

#endif
