/* SPDX-License-Identifier: MIT
 *
 * Packing: counts the items, puts them in order, and lets one of the two strategies choose.
 *
 * Threads: a worker.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/context.h"
#include "similar.h"

struct ranked {
    double priority;
    size_t index;
};
struct run {
    struct cx_packing *packing;
    struct ranked *ranked; /* all items, by falling priority */
    /* Of the items that later ones are compared with, in the order in which they came to be so. */
    struct context__sketch *sketches;
    size_t *sketched;
    size_t sketch_count;
    uint8_t key[16];
};

const char *cx_packing_reason_name(enum cx_packing_reason reason)
{
    static const char *const names[] = { [CX_PACKING_KEPT] = "kept",
                                         [CX_PACKING_NO_ROOM] = "no_room",
                                         [CX_PACKING_DUPLICATE] = "duplicate",
                                         [CX_PACKING_NO_GAIN] = "no_gain" };
    CX_CHECK((size_t)reason < CX_ARRAY_LEN(names));
    return names[reason];
}

static enum cx_status count_items(struct cx_packing *packing, struct cx_err *err);
static enum cx_status run_init(struct run *run, struct cx_packing *packing, struct cx_err *err);
static enum cx_status pack_greedy(struct run *run, struct cx_err *err);
static enum cx_status pack_knapsack(struct run *run, struct cx_err *err);
static void collect(struct run *run);
static void run_free(struct run *run);

enum cx_status cx_packing_run(struct cx_packing *packing, struct cx_err *err)
{
    CX_CHECK(packing->count <= CX_PACKING_ITEMS_MAX && packing->budget <= CX_PACKING_BUDGET_MAX);
    packing->kept = 0;
    packing->total_tokens = 0;
    struct run run = { .packing = packing };
    enum cx_status status = count_items(packing, err);
    if (status == CX_OK) {
        status = run_init(&run, packing, err);
    }
    if (status == CX_OK) {
        status = packing->strategy == CX_PACKING_KNAPSACK ? pack_knapsack(&run, err)
                                                          : pack_greedy(&run, err);
    }
    if (status == CX_OK) {
        collect(&run);
    }
    run_free(&run);
    return status;
}

static enum cx_status no_memory(struct cx_err *err)
{
    return cx_err_set(err, CX_NO_MEMORY, "%s", cx_status_text(CX_NO_MEMORY));
}

static enum cx_status count_items(struct cx_packing *packing, struct cx_err *err)
{
    for (size_t i = 0; i < packing->count; i++) {
        struct cx_packing_item *item = &packing->items[i];
        item->reason = CX_PACKING_NO_ROOM;
        if (cx_token_cache_count(packing->cache, packing->encoding, item->content, &item->tokens) !=
            CX_OK) {
            return no_memory(err);
        }
    }
    return CX_OK;
}

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a;
    const struct ranked *y = b;
    if (x->priority < y->priority || x->priority > y->priority) {
        return x->priority > y->priority ? -1 : 1;
    }
    return (x->index > y->index) - (x->index < y->index);
}

static enum cx_status run_init(struct run *run, struct cx_packing *packing, struct cx_err *err)
{
    run->ranked = cx_alloc((packing->count + 1) * sizeof *run->ranked);
    for (size_t i = 0; i < packing->count; i++) {
        run->ranked[i] = (struct ranked){ packing->items[i].priority, i };
    }
    qsort(run->ranked, packing->count, sizeof *run->ranked, by_rank);
    if (packing->similarity > 0) {
        cx_random_bytes(run->key, sizeof run->key);
        run->sketches = malloc((packing->count + 1) * sizeof *run->sketches);
        run->sketched = cx_alloc((packing->count + 1) * sizeof *run->sketched);
        if (run->sketches == NULL) {
            return no_memory(err);
        }
    }
    return CX_OK;
}

static void run_free(struct run *run)
{
    free(run->ranked);
    free(run->sketches);
    free(run->sketched);
}

/* Whether the item is like one that it is compared with; its sketch then stands behind theirs. */
static enum cx_status check_duplicate(struct run *run, size_t index, struct cx_err *err)
{
    struct cx_packing *packing = run->packing;
    if (run->sketches == NULL) {
        return CX_OK;
    }
    struct context__sketch *mine = &run->sketches[run->sketch_count];
    const enum cx_status status =
        context__sketch(run->key, packing->items[index].content, mine, err);
    for (size_t i = 0; i < run->sketch_count && status == CX_OK; i++) {
        const struct context__sketch *other = &run->sketches[i];
        if (packing->similarity < 1 ? context__similarity(mine, other) >= packing->similarity
                                    : context__same(mine, other)) {
            packing->items[index].reason = CX_PACKING_DUPLICATE;
            packing->items[index].duplicate_of = run->sketched[i];
            break;
        }
    }
    return status;
}

/* The item whose sketch was made last is one that later ones are compared with. */
static void keep_sketch(struct run *run, size_t index)
{
    if (run->sketches != NULL) {
        run->sketched[run->sketch_count++] = index;
    }
}

static enum cx_status pack_greedy(struct run *run, struct cx_err *err)
{
    struct cx_packing *packing = run->packing;
    size_t left = packing->budget;
    for (size_t i = 0; i < packing->count && packing->budget > 0; i++) {
        const size_t index = run->ranked[i].index;
        struct cx_packing_item *item = &packing->items[index];
        const enum cx_status status = check_duplicate(run, index, err);
        if (status != CX_OK) {
            return status;
        }
        if (item->reason != CX_PACKING_DUPLICATE && item->tokens <= left) {
            item->reason = CX_PACKING_KEPT;
            left -= item->tokens;
            keep_sketch(run, index);
        }
    }
    return CX_OK;
}

/* ---- Knapsack ---- */

struct knapsack {
    size_t *items; /* indices of those that are to be chosen from */
    size_t count;
    double *best;    /* of each number of tokens: the highest sum with the items so far */
    uint64_t *taken; /* a row of bits an item: whether best got better with it */
    size_t row_words;
};

static enum cx_status sort_out(struct run *run, struct knapsack *k, struct cx_err *err);
static enum cx_status choose(struct cx_packing *packing, struct knapsack *k, struct cx_err *err);
static void fill_up(struct run *run);

static enum cx_status pack_knapsack(struct run *run, struct cx_err *err)
{
    struct cx_packing *packing = run->packing;
    struct knapsack k = { .count = 0 };
    k.items = cx_alloc((packing->count + 1) * sizeof *k.items);
    enum cx_status status = sort_out(run, &k, err);
    if (status == CX_OK && packing->budget > 0) {
        status = choose(packing, &k, err);
    }
    if (status == CX_OK && packing->budget > 0) {
        fill_up(run);
    }
    free(k.items);
    free(k.best);
    free(k.taken);
    return status;
}

/* Duplicates and items without gain are out; those with gain that could fit are to be chosen from. */
static enum cx_status sort_out(struct run *run, struct knapsack *k, struct cx_err *err)
{
    struct cx_packing *packing = run->packing;
    for (size_t i = 0; i < packing->count; i++) {
        const size_t index = run->ranked[i].index;
        struct cx_packing_item *item = &packing->items[index];
        if (item->priority < 0) {
            item->reason = CX_PACKING_NO_GAIN;
            continue;
        }
        const enum cx_status status = check_duplicate(run, index, err);
        if (status != CX_OK) {
            return status;
        }
        if (item->reason == CX_PACKING_DUPLICATE) {
            continue;
        }
        keep_sketch(run, index);
        if (item->priority > 0 && item->tokens <= packing->budget) {
            k->items[k->count++] = index;
        }
    }
    return CX_OK;
}

static void add_row(const struct cx_packing_item *item, struct knapsack *k, size_t row,
                    size_t budget);

static enum cx_status choose(struct cx_packing *packing, struct knapsack *k, struct cx_err *err)
{
    k->row_words = packing->budget / 64 + 1;
    k->best = calloc(packing->budget + 1, sizeof *k->best);
    k->taken = calloc(k->count * k->row_words + 1, sizeof *k->taken);
    if (k->best == NULL || k->taken == NULL) {
        return no_memory(err);
    }
    for (size_t row = 0; row < k->count; row++) {
        add_row(&packing->items[k->items[row]], k, row, packing->budget);
    }
    size_t at = packing->budget;
    while (at > 0 && k->best[at - 1] >= k->best[packing->budget]) {
        at--; /* the same sum with fewer tokens */
    }
    for (size_t row = k->count; row-- > 0;) {
        if ((k->taken[row * k->row_words + at / 64] >> (at % 64) & 1) != 0) {
            struct cx_packing_item *item = &packing->items[k->items[row]];
            item->reason = CX_PACKING_KEPT;
            at -= item->tokens;
        }
    }
    return CX_OK;
}

static void add_row(const struct cx_packing_item *item, struct knapsack *k, size_t row,
                    size_t budget)
{
    uint64_t *bits = k->taken + row * k->row_words;
    for (size_t at = budget + 1; at-- > item->tokens;) {
        const double with = k->best[at - item->tokens] + item->priority;
        if (with > k->best[at]) {
            k->best[at] = with;
            bits[at / 64] |= (uint64_t)1 << (at % 64);
        }
    }
}

static void fill_up(struct run *run)
{
    struct cx_packing *packing = run->packing;
    size_t left = packing->budget;
    for (size_t i = 0; i < packing->count; i++) {
        left -= packing->items[i].reason == CX_PACKING_KEPT ? packing->items[i].tokens : 0;
    }
    for (size_t i = 0; i < packing->count; i++) {
        struct cx_packing_item *item = &packing->items[run->ranked[i].index];
        if (item->reason == CX_PACKING_NO_ROOM && fpclassify(item->priority) == FP_ZERO &&
            item->tokens <= left) {
            item->reason = CX_PACKING_KEPT;
            left -= item->tokens;
        }
    }
}

static void collect(struct run *run)
{
    struct cx_packing *packing = run->packing;
    for (size_t i = 0; i < packing->count; i++) {
        const size_t index = run->ranked[i].index;
        if (packing->items[index].reason == CX_PACKING_KEPT) {
            packing->order[packing->kept++] = index;
            packing->total_tokens += packing->items[index].tokens;
        }
    }
}
