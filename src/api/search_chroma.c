/* SPDX-License-Identifier: MIT
 *
 * A search where a Chroma server keeps the vectors. It ranks by vectors alone: a search for keywords is
 * refused, and a hybrid one answers by vectors and says so where it was asked for by name.
 */
#include "api/search_request.h"

void api__search_read_where(struct cx_reader *r, struct api__search_request *q)
{
    if (q->what.mode == CX_SEARCH_KEYWORD) {
        cx_read_fault(r, "mode", "value",
                      "must be semantic or hybrid: Chroma ranks by vectors only");
    }
    if (q->what.exact) {
        cx_read_fault(r, "exact", "value", "must be false: Chroma's index is approximate");
    }
    if (q->fusion_given) {
        cx_read_fault(
            r, "fusion", "value",
            "must be left out: Chroma ranks by vectors only, and there is nothing to fuse");
    }
    if (q->filter != NULL) {
        json_t *loc = json_deep_copy(r->loc);
        json_array_append_new(loc, json_string(q->filter_name));
        (void)!cx_vector_filter_flat(q->filter, loc, r->faults, &q->where);
        json_decref(loc);
    }
}

enum cx_step_result api__search_ask_chroma(struct cx_exchange *x)
{
    struct api__search_run *s = cx_exchange_state(x);
    const struct cx_search *what = &s->q.what;
    s->asked_ns = cx_clock_mono_ns();
    if (s->q.mode_given && what->mode == CX_SEARCH_HYBRID) {
        s->degraded = "no_keyword_ranking";
    }
    s->ask.op = (struct cx_chroma_op){
        .verb = CX_CHROMA_QUERY,
        .collection = s->q.collection,
        .vectors = what->own_vector ? CX_CHROMA_CLIENTS : CX_CHROMA_OURS,
        .dimension = what->dimension,
        .query = what->vector,
        .where = s->q.where,
        .limit = what->top_k,
        .include = ((what->include & CX_INCLUDE_CONTENT) != 0 ? CX_CHROMA_WITH_CONTENT : 0U) |
                   ((what->include & CX_INCLUDE_VECTOR) != 0 ? CX_CHROMA_WITH_VECTOR : 0U),
    };
    return api__chroma_ask(x, &s->ask);
}

json_t *api__search_chroma_hits(struct api__search_run *s)
{
    const struct cx_search *what = &s->q.what;
    json_t *hits = json_array();
    for (size_t i = 0; i < json_array_size(s->ask.op.answer); i++) {
        json_t *hit = json_array_get(s->ask.op.answer, i);
        json_t *score = json_object_get(hit, "score");
        if (what->has_min_score && json_real_value(score) < what->min_score) {
            break;
        }
        if ((what->include & CX_INCLUDE_SCORES) != 0) {
            json_object_set_new(hit, "scores", json_pack("{sOsn}", "semantic", score, "keyword"));
        }
        json_array_append(hits, hit);
    }
    return hits;
}
