/* SPDX-License-Identifier: MIT
 *
 * Walking through a collection of a Chroma server. Loop thread.
 */
#include "api/chroma_walk.h"

#include <stdlib.h>

#define IDS_MAX ((size_t)16384) /* at once; of one part as many as there are */
#define PART_IDS_MAX ((size_t)1000000)
#define PAGE_FIRST 64
#define PAGE_MAX 1024
#define PAGE_BYTES                                                                                 \
    ((size_t)16 * 1024 * 1024) /* of an answer: beyond it fewer are asked for at once */
#define PAGE_BYTES_SMALL ((size_t)512 * 1024) /* below it more are */

enum cx_step_result api__walk_count(struct cx_exchange *x)
{
    struct api__walk *w = cx_exchange_state(x);
    w->ids = json_array();
    w->page = w->page > 0 ? w->page : PAGE_FIRST;
    w->part = w->after.p != NULL ? cx_chroma_part(w->after) : 0;
    w->ask = (struct api__ask){ .op = { .verb = CX_CHROMA_COUNT, .collection = w->collection } };
    return api__chroma_ask(x, &w->ask);
}

/* ---- Ids ---- */

static bool finds_more(const struct api__walk *w)
{
    return w->part < CX_CHROMA_PARTS && api__walk_left(w) < w->ids_enough;
}

enum cx_step_result api__walk_find(struct cx_exchange *x)
{
    struct api__walk *w = cx_exchange_state(x);
    if (w->parts == 0) { /* it is counted */
        const size_t documents = w->ask.op.count > 0 ? w->ask.op.count : 1;
        const size_t parts = w->ids_wanted * CX_CHROMA_PARTS / documents;
        w->parts = parts < 1 ? 1 : parts < CX_CHROMA_PARTS ? (unsigned)parts : CX_CHROMA_PARTS;
    }
    if (!finds_more(w)) {
        return CX_STEP_NEXT;
    }
    const unsigned left = CX_CHROMA_PARTS - w->part;
    cx_chroma_op_end(&w->ask.op);
    w->ask = (struct api__ask){ .op = { .verb = CX_CHROMA_WALK,
                                        .collection = w->collection,
                                        .part = w->part,
                                        .parts = w->parts < left ? w->parts : left,
                                        .after = w->after,
                                        .limit = w->parts > 1 ? IDS_MAX : PART_IDS_MAX } };
    return api__chroma_ask(x, &w->ask);
}

enum cx_step_result api__walk_found(struct cx_exchange *x)
{
    struct api__walk *w = cx_exchange_state(x);
    const struct cx_chroma_op *op = &w->ask.op;
    if (op->verb != CX_CHROMA_WALK) {
        return CX_STEP_NEXT; /* there were enough */
    }
    if (op->count == op->limit && op->parts > 1) {
        w->parts = op->parts / 8 > 1 ? op->parts / 8 : 1; /* it has grown since it was counted */
    } else {
        if (api__walk_left(w) == 0) {
            json_array_clear(w->ids);
            w->at = 0;
        }
        (void)json_array_extend(w->ids, op->answer);
        w->part += op->parts;
    }
    cx_chroma_op_end(&w->ask.op);
    w->ask.op.verb = CX_CHROMA_COUNT; /* it is taken */
    if (finds_more(w)) {
        cx_exchange_go_to(x, api__walk_find);
    }
    return CX_STEP_NEXT;
}

size_t api__walk_left(const struct api__walk *w)
{
    return json_array_size(w->ids) - w->at;
}

bool api__walk_ended(const struct api__walk *w)
{
    return w->part == CX_CHROMA_PARTS && api__walk_left(w) == 0;
}

/* ---- Documents ---- */

enum cx_step_result api__walk_read(struct cx_exchange *x, size_t most)
{
    struct api__walk *w = cx_exchange_state(x);
    size_t count = api__walk_left(w);
    count = count < w->page ? count : w->page;
    count = count < most ? count : most;
    w->page_ids = cx_realloc_array(w->page_ids, count + 1, sizeof *w->page_ids);
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_array_get(w->ids, w->at + i);
        w->page_ids[i] = (struct cx_str){ json_string_value(id), json_string_length(id) };
    }
    cx_chroma_op_end(&w->ask.op);
    w->ask = (struct api__ask){ .op = { .verb = CX_CHROMA_GET,
                                        .collection = w->collection,
                                        .ids = w->page_ids,
                                        .id_count = count,
                                        .include = w->include,
                                        .answer_bytes_max = count > 1 ? PAGE_BYTES : 0 } };
    return api__chroma_ask(x, &w->ask);
}

enum cx_step_result api__walk_judge(struct cx_exchange *x, bool *again)
{
    struct api__walk *w = cx_exchange_state(x);
    const char *detail = NULL;
    const enum cx_status outcome = cx_exchange_outcome(x, &detail);
    *again = outcome == CX_TOO_LARGE && w->ask.op.id_count > 1;
    if (*again) {
        w->page = w->ask.op.id_count / 2;
        return CX_STEP_NEXT;
    }
    if (outcome != CX_OK) {
        return cx_exchange_fail(x, outcome, "%s",
                                detail != NULL ? detail : cx_status_text(outcome));
    }
    w->at += w->ask.op.id_count;
    if (w->ask.op.answer_bytes < PAGE_BYTES_SMALL && w->ask.op.id_count == w->page) {
        w->page = 2 * w->page < PAGE_MAX ? 2 * w->page : PAGE_MAX;
    }
    return CX_STEP_NEXT;
}

struct cx_str api__walk_last(const struct api__walk *w)
{
    const json_t *id = json_array_get(w->ids, w->at - 1);
    return (struct cx_str){ json_string_value(id), json_string_length(id) };
}

void api__walk_release(struct api__walk *w)
{
    if (w->ask.op.answer != NULL) {
        api__discard(w->api, w->ask.op.answer, w->ask.op.answer_bytes);
        w->ask.op.answer = NULL;
    }
    cx_chroma_op_end(&w->ask.op);
    json_decref(w->ids);
    free(w->page_ids);
}
