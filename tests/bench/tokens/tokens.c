/* SPDX-License-Identifier: MIT
 *
 * Speed of counting tokens, in MB/s: texts in pieces of 4 KB, as documents come, and in one. The
 * figure is of the quickest of the rounds for each piece, so that a busy machine matters less. Built
 * by hand:
 *
 *   B=build/release; cc -std=c11 -O2 -D_GNU_SOURCE -Iinclude tests/bench/tokens/tokens.c
 *     -o $B/tokens $B/src/libcx_context.a $B/third_party/bpe/libcx_bpe.a $B/src/libcx_base.a -lz
 *   $B/tokens FILE…      # UTF-8; rivals.mjs beside this file measures others on the same files
 */
#include <stdio.h>
#include <stdlib.h>

#include "cortex/context.h"

#define PIECE_BYTES 4096
#define ROUNDS 20

static struct cx_str read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    struct cx_buf buf;
    cx_buf_init(&buf, (size_t)1 << 30);
    char block[65536];
    size_t got = 0;
    while ((got = fread(block, 1, sizeof block, file)) > 0) {
        cx_buf_append(&buf, block, got);
    }
    fclose(file);
    size_t len = 0;
    char *data = cx_buf_take(&buf, &len);
    if (data == NULL) {
        fprintf(stderr, "%s: too large\n", path);
        exit(1);
    }
    return (struct cx_str){ data, len };
}

static double measure(enum cx_encoding encoding, struct cx_str text, size_t piece_bytes,
                      size_t *tokens)
{
    const size_t pieces = text.len / (piece_bytes - 3) + 1;
    uint64_t *best = cx_alloc(pieces * sizeof *best);
    for (int round = 0; round < ROUNDS; round++) {
        *tokens = 0;
        size_t number = 0;
        for (size_t at = 0; at < text.len; number++) {
            struct cx_str piece = { text.p + at, text.len - at };
            piece.len = cx_utf8_cut(piece, piece_bytes);
            size_t count = 0;
            const uint64_t start = cx_clock_mono_ns();
            if (cx_bpe_count(encoding, piece, &count) != CX_OK) {
                exit(1);
            }
            const uint64_t took = cx_clock_mono_ns() - start;
            best[number] = round == 0 || took < best[number] ? took : best[number];
            *tokens += count;
            at += piece.len;
        }
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < pieces; i++) {
        sum += best[i];
    }
    free(best);
    return (double)text.len * 1e3 / (double)sum;
}

int main(int argc, char **argv)
{
    uint64_t start = cx_clock_mono_ns();
    size_t count = 0;
    if (cx_bpe_count(CX_ENCODING_CL100K, CX_STR("first"), &count) != CX_OK) {
        return 1;
    }
    printf("first call: %.0f microseconds\n", (double)(cx_clock_mono_ns() - start) / 1e3);
    for (int i = 1; i < argc; i++) {
        const struct cx_str text = read_file(argv[i]);
        for (int encoding = 0; encoding < CX_ENCODING_COUNT && text.len > 0; encoding++) {
            size_t tokens = 0;
            const double small = measure((enum cx_encoding)encoding, text, PIECE_BYTES, &tokens);
            const double whole = measure((enum cx_encoding)encoding, text, text.len + 4, &tokens);
            printf("%s %s: %zu tokens, %.1f MB/s in pieces of 4 KB, %.1f MB/s in one\n", argv[i],
                   cx_encoding_name((enum cx_encoding)encoding), tokens, small, whole);
        }
        free((void *)text.p);
    }
    return 0;
}
