/* SPDX-License-Identifier: MIT
 *
 * A semantic search that takes others along in its pass over the rows (share.h).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "best.h"
#include "share.h"

#define OTHERS_MAX (VECTOR__PASSES_MAX - 1)

/* What is done for one that was taken along. */
struct other {
    struct cx_vector_ask *ask;
    struct vector__scan scan;
    struct vector__floor floor;
    struct vector__possibles possibles;
    bool ready;
};

static void prepare(struct other *other, const struct cx_vector *v,
                    const struct vector__allowed *all, struct cx_err *err);
static void score(struct other *other);

void vector__rank_shared(struct cx_vector *v, const struct vector__pass *own)
{
    static const struct vector__allowed all = { .all = true };
    struct cx_vector_ask *asks[OTHERS_MAX];
    const size_t count = vector__share_take(v, OTHERS_MAX, asks);
    struct other others[OTHERS_MAX];
    struct vector__pass passes[VECTOR__PASSES_MAX] = { *own };
    size_t pass_count = 1;
    struct cx_err err = { "" };
    for (size_t i = 0; i < count; i++) {
        others[i] = (struct other){ .ask = asks[i] };
        prepare(&others[i], v, &all, &err);
        if (others[i].ready) {
            passes[pass_count++] = (struct vector__pass){ &others[i].scan, &others[i].floor,
                                                          &others[i].possibles, NULL };
        }
    }
    vector__scan_cosines(passes, pass_count);
    for (size_t i = 0; i < count; i++) {
        if (others[i].ready) {
            score(&others[i]);
        }
        vector__possibles_free(&others[i].possibles);
        vector__floor_free(&others[i].floor);
        vector__scan_free(&others[i].scan);
    }
    if (count > 0) {
        vector__share_done(&v->share, asks, count);
    }
}

static void prepare(struct other *other, const struct cx_vector *v,
                    const struct vector__allowed *all, struct cx_err *err)
{
    struct cx_vector_ask *ask = other->ask;
    ask->found = malloc(ask->most * sizeof *ask->found);
    const bool made = vector__scan_init(&other->scan, v, ask->query, all, err) == CX_OK;
    other->ready =
        made && ask->found != NULL && vector__floor_init(&other->floor, ask->most, ask->least);
}

static void score(struct other *other)
{
    struct cx_vector_ask *ask = other->ask;
    struct vector__best best = { .items = ask->found, .most = ask->most };
    vector__possibles_sort(&other->possibles);
    for (size_t i = 0;
         i < other->possibles.count && vector__best_wants(&best, other->possibles.items[i].upper);
         i++) {
        const uint32_t at = other->possibles.items[i].slot;
        const struct vector__slot *slot = vector__index_slot(other->scan.index, at);
        const double cosine = vector__scan_exact(&other->scan, at);
        if (cosine >= ask->least) {
            const struct vector__candidate candidate = { .score = cosine,
                                                         .semantic = cosine,
                                                         .rowid = slot->rowid,
                                                         .doc_id = vector__index_id(
                                                             other->scan.index, at) };
            vector__best_offer(&best, &candidate);
        }
    }
    vector__best_sort(&best);
    for (size_t i = 0; i < best.count; i++) {
        ask->found[i].doc_id = NULL;
    }
    ask->found_count = best.count;
    ask->good = !other->scan.buffer->failed;
}
