/* SPDX-License-Identifier: MIT
 *
 * Merging as tiktoken defines it: begin with single bytes; as long as there is a pair of neighbours
 * that make a token, join the pair whose token has the lowest rank, the leftmost of equal ones.
 *
 * A short piece is scanned for that pair again and again. A longer one keeps its pairs in a heap. A
 * piece longer than a window is done in windows, so that memory stays on the stack and time linear:
 *
 *   A run of tokens is the encoding of its bytes exactly when each two neighbours are the encoding of
 *   theirs. (Any stretch of an encoding is one, since merges within it happen in the same order
 *   whatever surrounds it. And were the whole different although each two neighbours are right, take
 *   the first merge across a border: up to it the two tokens beside the border look as they do when
 *   they are encoded by themselves, so that there too this pair would be the lowest and be joined.)
 *
 * So a window's tokens are kept except for the last few, the next window begins where they end, and
 * the two tokens at the seam are encoded by themselves. Where they come out differently, which only
 * text made for it can bring about, the piece is begun again with a window of four times the size,
 * on the heap: at the latest one that holds the whole piece has no seam.
 */
#include "merge.h"

#include <stdbool.h>
#include <stdlib.h>

#define SHORT_BYTES 64
#define WINDOW_BYTES 1024
#define WINDOW_GROWTH 4
#define MARGIN_BYTES 160
#define NONE VOCABULARY_NONE

/* Pairs that can be joined are ordered as numbers: rank << 32 | where the left one begins. */
#define NO_ENTRY UINT64_MAX

/* A part of a piece, named by where it begins. */
struct part {
    uint32_t len;    /* 0 = has become part of the one before it */
    uint32_t before; /* bytes of the part before it */
    uint32_t id;
    uint32_t rank; /* of the token that it would be together with the part after it; or NONE */
};

/* Room for a window of `capacity` bytes. An entry of the heap is out of date when its part has
 * another rank by now. */
struct window {
    struct part *parts;
    uint64_t *heap; /* 2 * capacity */
    size_t capacity;
    size_t margin; /* bytes at its end whose tokens may still change */
};

static void merge_short(const struct vocabulary *v, const unsigned char *piece, size_t len,
                        const unsigned char *end, struct sink *sink);
static inline uint64_t lowest_of(const uint64_t *pairs, size_t len);
static inline uint64_t entry_of(uint32_t rank, size_t at);
static bool merge_in_windows(const struct vocabulary *v, const unsigned char *piece, size_t len,
                             const unsigned char *end, const struct window *window,
                             struct sink *sink);
static void merge_window(const struct vocabulary *v, const unsigned char *piece, size_t len,
                         const unsigned char *end, const struct window *window);
static void heap_sift_down(uint64_t *heap, size_t count, size_t at, uint64_t entry);
static void heap_push(uint64_t *heap, size_t *count, uint64_t entry);

enum cx_status context__merge(const struct vocabulary *v, const unsigned char *piece, size_t len,
                              const unsigned char *end, struct sink *sink)
{
    if (len <= SHORT_BYTES) {
        merge_short(v, piece, len, end, sink);
        return CX_OK;
    }
    return context__merge_long(v, piece, len, end, WINDOW_BYTES, MARGIN_BYTES, sink);
}

static void merge_short(const struct vocabulary *v, const unsigned char *piece, size_t len,
                        const unsigned char *end, struct sink *sink)
{
    uint64_t pairs[SHORT_BYTES + 1]; /* the part that begins at i, with the one after it */
    uint32_t ids[SHORT_BYTES];       /* of parts of more than one byte */
    uint8_t before[SHORT_BYTES + 1];
    uint8_t after[SHORT_BYTES];
    for (size_t i = 0; i < len; i++) {
        before[i + 1] = (uint8_t)i;
        after[i] = (uint8_t)(i + 1);
        const uint32_t rank = i + 1 < len ? vocabulary_pair(v, piece + i) : NONE;
        pairs[i] = entry_of(rank, i);
    }
    pairs[len] = NO_ENTRY;
    for (;;) {
        const uint64_t lowest = lowest_of(pairs, len);
        if (lowest == NO_ENTRY) {
            break;
        }
        const size_t at = lowest & UINT32_MAX;
        const size_t joined = after[at];
        const size_t next = after[joined];
        ids[at] = (uint32_t)(lowest >> 32);
        after[at] = (uint8_t)next;
        before[next] = (uint8_t)at;
        pairs[joined] = NO_ENTRY;
        pairs[at] = NO_ENTRY;
        if (next < len) {
            pairs[at] = entry_of(vocabulary_find(v, piece + at, after[next] - at, end), at);
        }
        if (at > 0) {
            const size_t previous = before[at];
            pairs[previous] =
                entry_of(vocabulary_find(v, piece + previous, next - previous, end), previous);
        }
    }
    for (size_t i = 0; i < len; i = after[i]) {
        const size_t size = after[i] - i;
        sink_emit(sink, size == 1 ? vocabulary_single(v, piece + i) : ids[i], size);
    }
}

/* In two strands without a branch, since which is lower cannot be foretold. */
static inline uint64_t lowest_of(const uint64_t *pairs, size_t len)
{
    uint64_t even = NO_ENTRY;
    uint64_t odd = NO_ENTRY;
    for (size_t i = 0; i < len; i += 2) {
        even = pairs[i] < even ? pairs[i] : even;
        odd = pairs[i + 1] < odd ? pairs[i + 1] : odd;
    }
    return even < odd ? even : odd;
}

static inline uint64_t entry_of(uint32_t rank, size_t at)
{
    return rank == NONE ? NO_ENTRY : (uint64_t)rank << 32 | at;
}

enum cx_status context__merge_long(const struct vocabulary *v, const unsigned char *piece,
                                   size_t len, const unsigned char *end, size_t window_bytes,
                                   size_t margin_bytes, struct sink *sink)
{
    struct part parts[WINDOW_BYTES];
    uint64_t heap[2 * WINDOW_BYTES];
    struct window window = { parts, heap, window_bytes, margin_bytes };
    CX_CHECK(window_bytes >= 2 * v->longest && window_bytes <= WINDOW_BYTES);
    CX_CHECK(margin_bytes > 0 && margin_bytes < window_bytes);
    const struct sink before = *sink;
    if (merge_in_windows(v, piece, len, end, &window, sink)) {
        return CX_OK;
    }
    for (;;) {
        *sink = before;
        window.capacity *= WINDOW_GROWTH;
        if (window.capacity > len) {
            window.capacity = len;
        }
        if (window.capacity > UINT32_MAX) {
            return CX_NO_MEMORY;
        }
        window.parts = calloc(window.capacity, sizeof *window.parts);
        window.heap = calloc(2 * window.capacity, sizeof *window.heap);
        const bool is_there = window.parts != NULL && window.heap != NULL;
        const bool is_done = is_there && merge_in_windows(v, piece, len, end, &window, sink);
        free(window.parts);
        free(window.heap);
        if (!is_there) {
            return CX_NO_MEMORY;
        }
        if (is_done) {
            return CX_OK;
        }
    }
}

/* False where a seam does not hold. */
static bool merge_in_windows(const struct vocabulary *v, const unsigned char *piece, size_t len,
                             const unsigned char *end, const struct window *window,
                             struct sink *sink)
{
    size_t at = 0;
    size_t last_len = 0; /* of the token in front of the window */
    while (at < len) {
        const size_t size = len - at < window->capacity ? len - at : window->capacity;
        const bool is_last = at + size == len;
        merge_window(v, piece + at, size, end, window);
        const size_t first_len = window->parts[0].len;
        const size_t keep = is_last ? size : size - window->margin;
        size_t done = 0;
        struct part kept = { 0, 0, 0, 0 };
        while (done < keep) {
            kept = window->parts[done];
            sink_emit(sink, kept.id, kept.len);
            done += kept.len;
        }
        if (last_len > 0) {
            /* The parts are no longer needed: the seam is encoded in their place. */
            const unsigned char *seam = piece + at - last_len;
            merge_window(v, seam, last_len + first_len, end, window);
            if (window->parts[0].len != last_len || window->parts[last_len].len != first_len) {
                return false;
            }
        }
        last_len = kept.len;
        at += done;
        if (sink->limit > 0 && sink->count > sink->limit) {
            break; /* a cut needs no more of it */
        }
    }
    return true;
}

/* Leaves the tokens in window->parts. */
static void merge_window(const struct vocabulary *v, const unsigned char *piece, size_t len,
                         const unsigned char *end, const struct window *window)
{
    struct part *parts = window->parts;
    uint64_t *heap = window->heap;
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        parts[i].len = 1;
        parts[i].before = 1;
        parts[i].id = vocabulary_single(v, piece + i);
        parts[i].rank = i + 1 < len ? vocabulary_pair(v, piece + i) : NONE;
        if (parts[i].rank != NONE) {
            heap[count++] = (uint64_t)parts[i].rank << 32 | i;
        }
    }
    for (size_t i = count / 2; i-- > 0;) {
        heap_sift_down(heap, count, i, heap[i]);
    }
    while (count > 0) {
        const size_t at = heap[0] & UINT32_MAX;
        const uint32_t rank = (uint32_t)(heap[0] >> 32);
        count--;
        heap_sift_down(heap, count, 0, heap[count]);
        struct part *part = &parts[at];
        if (part->len == 0 || part->rank != rank) {
            continue;
        }
        const size_t joined = at + part->len;
        part->id = rank;
        part->len += parts[joined].len;
        parts[joined].len = 0;
        const size_t after = at + part->len;
        part->rank = NONE;
        if (after < len) {
            parts[after].before = part->len;
            part->rank = vocabulary_find(v, piece + at, part->len + parts[after].len, end);
            if (part->rank != NONE) {
                heap_push(heap, &count, (uint64_t)part->rank << 32 | at);
            }
        }
        if (at > 0) {
            const size_t previous = at - part->before;
            parts[previous].rank =
                vocabulary_find(v, piece + previous, part->before + part->len, end);
            if (parts[previous].rank != NONE) {
                heap_push(heap, &count, (uint64_t)parts[previous].rank << 32 | previous);
            }
        }
    }
}

/* Puts an entry in the place of the one at `at`. heap has room for one more, which ends it. */
static void heap_sift_down(uint64_t *heap, size_t count, size_t at, uint64_t entry)
{
    heap[count] = NO_ENTRY;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) {
            break;
        }
        /* Added and not branched on, since which is lower cannot be foretold. */
        child += (size_t)(heap[child + 1] < heap[child]);
        if (entry <= heap[child]) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = entry;
}

static void heap_push(uint64_t *heap, size_t *count, uint64_t entry)
{
    size_t at = (*count)++;
    while (at > 0 && heap[(at - 1) / 2] > entry) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = entry;
}
