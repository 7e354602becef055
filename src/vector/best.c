/* SPDX-License-Identifier: MIT
 *
 * The heap of the best (best.h).
 */
#include "best.h"

#include <string.h>

static bool is_better(const struct vector__candidate *a, const struct vector__candidate *b);
static void sift_down(struct vector__best *best, size_t at);

void vector__best_offer(struct vector__best *best, const struct vector__candidate *candidate)
{
    if (best->count < best->most) {
        size_t at = best->count++;
        while (at > 0 && is_better(&best->items[(at - 1) / 2], candidate)) {
            best->items[at] = best->items[(at - 1) / 2];
            at = (at - 1) / 2;
        }
        best->items[at] = *candidate;
    } else if (best->most > 0 && is_better(candidate, &best->items[0])) {
        best->items[0] = *candidate;
        sift_down(best, 0);
    }
}

/* Takes the worst away again and again: what is left behind is sorted. */
void vector__best_sort(struct vector__best *best)
{
    const size_t count = best->count;
    while (best->count > 1) {
        best->count--;
        const struct vector__candidate worst = best->items[0];
        best->items[0] = best->items[best->count];
        best->items[best->count] = worst;
        sift_down(best, 0);
    }
    best->count = count;
}

static bool is_better(const struct vector__candidate *a, const struct vector__candidate *b)
{
    if (a->score != b->score) {
        return a->score > b->score;
    }
    return strcmp(a->doc_id, b->doc_id) < 0;
}

static void sift_down(struct vector__best *best, size_t at)
{
    const struct vector__candidate moved = best->items[at];
    while (true) {
        size_t child = 2 * at + 1;
        if (child >= best->count) {
            break;
        }
        if (child + 1 < best->count && is_better(&best->items[child], &best->items[child + 1])) {
            child++;
        }
        if (!is_better(&moved, &best->items[child])) {
            break;
        }
        best->items[at] = best->items[child];
        at = child;
    }
    best->items[at] = moved;
}
