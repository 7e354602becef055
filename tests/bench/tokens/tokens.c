/* SPDX-License-Identifier: MIT
 *
 * CPU time of counting tokens: MB/s of files, in pieces of 4 KB, as documents come, and in one; and
 * milliseconds for megabytes that are made to take long. Of each the quickest of the rounds. `run`
 * beside this file builds it and measures other tokenizers (rivals.mjs) on the same files.
 *
 *   tokens FILE…      # UTF-8
 *   tokens hostile
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cortex/context.h"

#define PIECE_BYTES 4096
#define ROUNDS 20
#define HOSTILE_ROUNDS 5
#define HOSTILE_BYTES ((size_t)1 << 20)

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

static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Milliseconds of the quickest round. */
static double measure(enum cx_encoding encoding, struct cx_str text, size_t piece_bytes, int rounds,
                      size_t *tokens)
{
    double best = 0;
    for (int round = 0; round < rounds; round++) {
        *tokens = 0;
        const double start = cpu_ms();
        for (size_t at = 0; at < text.len;) {
            struct cx_str piece = { text.p + at, text.len - at };
            piece.len = cx_utf8_cut(piece, piece_bytes);
            size_t count = 0;
            if (cx_bpe_count(encoding, piece, &count) != CX_OK) {
                exit(1);
            }
            *tokens += count;
            at += piece.len;
        }
        const double took = cpu_ms() - start;
        best = round == 0 || took < best ? took : best;
    }
    return best;
}

static void measure_file(const char *path)
{
    const struct cx_str text = read_file(path);
    for (int encoding = 0; encoding < CX_ENCODING_COUNT && text.len > 0; encoding++) {
        size_t tokens = 0;
        const double whole =
            measure((enum cx_encoding)encoding, text, text.len + 4, ROUNDS, &tokens);
        const double small =
            measure((enum cx_encoding)encoding, text, PIECE_BYTES, ROUNDS, &tokens);
        printf("%s cortex %s: %zu tokens, %.1f MB/s in pieces of 4 KB, %.1f MB/s in one\n", path,
               cx_encoding_name((enum cx_encoding)encoding), tokens, (double)text.len / small / 1e3,
               (double)text.len / whole / 1e3);
    }
    free((void *)text.p);
}

static uint32_t random_below(uint64_t *state, uint32_t limit)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)((*state >> 11) % limit);
}

static size_t put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = { 0, 0, 0xC0, 0xE0, 0xF0 };
    for (size_t i = len; i-- > 1; code >>= 6) {
        out[i] = (char)(0x80 | (code & 0x3F));
    }
    out[0] = (char)(leads[len] | code);
    return len;
}

/* `count` characters from `first` on, at random; every `word`th a space, 0 = none. */
struct hostile {
    const char *name;
    uint32_t first;
    uint32_t count;
    size_t word;
};
static const struct hostile hostiles[] = {
    { "one letter", 'a', 1, 0 },
    { "spaces", ' ', 1, 0 },
    { "line feeds", '\n', 1, 0 },
    { "one combining mark", 0x301, 1, 0 },
    { "combining marks", 0x300, 0x70, 0 },
    { "random Unicode", 1, 0x10FFFF, 0 },
    { "two letters, one word", 'a', 2, 0 },
    { "all letters, one word", 'a', 26, 0 },
    { "words of 8 letters", 'a', 26, 9 },
    { "words of 16 letters", 'a', 26, 17 },
    { "words of 63 letters", 'a', 26, 64 },
    { "words of 65 letters", 'a', 26, 66 },
    { "punctuation", '!', 15, 0 },
    { "Han, one word", 0x4E00, 0x5000, 0 },
    { "kana, one word", 0x3042, 80, 0 },
    { "emoji", 0x1F300, 0x300, 0 },
};

static void measure_hostile(const struct hostile *kind, char *text)
{
    uint64_t state = UINT64_C(88172645463325252);
    size_t len = 0;
    for (size_t n = 1; len + 4 <= HOSTILE_BYTES; n++) {
        const uint32_t code = kind->word != 0 && n % kind->word == 0
                                  ? ' '
                                  : kind->first + random_below(&state, kind->count);
        if ((code & 0xFFFFF800u) != 0xD800) {
            len += put_utf8(text + len, code);
        }
    }
    for (int encoding = 0; encoding < CX_ENCODING_COUNT; encoding++) {
        size_t tokens = 0;
        const double took = measure((enum cx_encoding)encoding, (struct cx_str){ text, len }, len,
                                    HOSTILE_ROUNDS, &tokens);
        printf("%-24s %-12s %8zu tokens %8.1f ms\n", kind->name,
               cx_encoding_name((enum cx_encoding)encoding), tokens, took);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "hostile") == 0) {
        char *text = cx_alloc(HOSTILE_BYTES);
        for (size_t i = 0; i < CX_ARRAY_LEN(hostiles); i++) {
            measure_hostile(&hostiles[i], text);
        }
        free(text);
        return 0;
    }
    for (int i = 1; i < argc; i++) {
        measure_file(argv[i]);
    }
    return 0;
}
