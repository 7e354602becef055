/* SPDX-License-Identifier: MIT
 *
 * The encoder under the stop watch: reads commands from standard input, answers each with one line of
 * JSON. `speed` beside this file builds it, writes the weights and asks rivals in the same minute.
 *
 *   encoder WEIGHTS                     a file of `speed`: shape, then float32 in a fixed order
 *   load PRECISION KERNEL               float32, bfloat16 or int8; a kernel's name or "best"
 *   time THREADS TOKENS TEXTS SECONDS   each thread embeds batches of TEXTS × TOKENS until then
 *   embed TEXTS LENGTHS IDS OUT         lengths and ids (int32) from files, vectors into another
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "embed/encoder.h"

#define GROUP_TOKENS 512
#define CALLS_MAX 100000

struct weights_file {
    const float *at;
    struct embed__bert_shape shape;
    struct embed__bert_weights weights;
    struct embed__bert_layer layers[EMBED__LAYERS_MAX];
    void *map;
    size_t bytes;
};
struct timing {
    const struct embed__encoder *encoder;
    size_t tokens;
    size_t texts;
    uint64_t end_ns;
    size_t calls;
    uint64_t *took_ns;
    uint64_t cpu_ns; /* the least of a call */
    float *out;
};

static void fail(const char *what)
{
    fprintf(stderr, "encoder: %s: %s\n", what, strerror(errno));
    exit(1);
}

static const float *take(struct weights_file *f, size_t count)
{
    const float *at = f->at;
    f->at += count;
    if ((size_t)((const char *)f->at - (const char *)f->map) > f->bytes) {
        errno = EINVAL;
        fail("the file of weights is too short");
    }
    return at;
}

static struct embed__linear take_linear(struct weights_file *f, size_t out, size_t in)
{
    struct embed__linear linear = { take(f, out * in), NULL };
    linear.bias = take(f, out);
    return linear;
}

static struct embed__norm take_norm(struct weights_file *f)
{
    struct embed__norm norm = { take(f, f->shape.hidden), NULL };
    norm.bias = take(f, f->shape.hidden);
    return norm;
}

static void map_weights(const char *path, struct weights_file *f)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        fail(path);
    }
    f->bytes = (size_t)st.st_size;
    f->map = mmap(NULL, f->bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (f->map == MAP_FAILED) {
        fail(path);
    }
    close(fd);
    const int64_t *n = f->map;
    f->shape = (struct embed__bert_shape){ .layers = (size_t)n[0],
                                           .hidden = (size_t)n[1],
                                           .heads = (size_t)n[2],
                                           .intermediate = (size_t)n[3],
                                           .positions = (size_t)n[4],
                                           .vocabulary = (size_t)n[5],
                                           .token_types = (size_t)n[6],
                                           .layer_norm_eps = 1e-12F };
    f->at = (const float *)(n + 8);
    const struct embed__bert_shape *s = &f->shape;
    f->weights.word = take(f, s->vocabulary * s->hidden);
    f->weights.position = take(f, s->positions * s->hidden);
    f->weights.token_type = take(f, s->token_types * s->hidden);
    f->weights.norm = take_norm(f);
    f->weights.layers = f->layers;
    for (size_t i = 0; i < s->layers; i++) {
        struct embed__bert_layer *layer = &f->layers[i];
        layer->query = take_linear(f, s->hidden, s->hidden);
        layer->key = take_linear(f, s->hidden, s->hidden);
        layer->value = take_linear(f, s->hidden, s->hidden);
        layer->attention = take_linear(f, s->hidden, s->hidden);
        layer->attention_norm = take_norm(f);
        layer->intermediate = take_linear(f, s->intermediate, s->hidden);
        layer->output = take_linear(f, s->hidden, s->intermediate);
        layer->output_norm = take_norm(f);
    }
}

static uint64_t cpu_clock_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void *embed_until(void *context)
{
    struct timing *t = context;
    const size_t total = t->tokens * t->texts;
    int32_t *ids = malloc(total * sizeof *ids);
    size_t *offsets = malloc((t->texts + 1) * sizeof *offsets);
    for (size_t i = 0; i < total; i++) {
        ids[i] = (int32_t)(1000 + (i * 7919) % 20000);
    }
    for (size_t i = 0; i <= t->texts; i++) {
        offsets[i] = i * t->tokens;
    }
    struct embed__scratch *scratch = NULL;
    embed__scratch_new(t->encoder, GROUP_TOKENS, &scratch);
    uint64_t now = cx_clock_mono_ns();
    t->cpu_ns = UINT64_MAX;
    while (now < t->end_ns && t->calls < CALLS_MAX) {
        const uint64_t cpu = cpu_clock_ns();
        embed__encoder_run(t->encoder, scratch, ids, offsets, t->texts, EMBED__MEAN, true, t->out);
        const uint64_t spent = cpu_clock_ns() - cpu;
        t->cpu_ns = spent < t->cpu_ns ? spent : t->cpu_ns;
        const uint64_t then = now;
        now = cx_clock_mono_ns();
        t->took_ns[t->calls++] = now - then;
    }
    embed__scratch_free(&scratch);
    free(ids);
    free(offsets);
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* texts_per_s: of all threads; cpu_ms (the least), best_ms and median_ms: of a call of the first. */
static void time_threads(const struct embed__encoder *e, size_t threads, size_t tokens,
                         size_t texts, double seconds)
{
    struct timing timing[8];
    pthread_t ids[8];
    const uint64_t start = cx_clock_mono_ns();
    for (size_t i = 0; i < threads; i++) {
        timing[i] = (struct timing){ .encoder = e,
                                     .tokens = tokens,
                                     .texts = texts,
                                     .end_ns = start + (uint64_t)(seconds * 1e9) };
        timing[i].took_ns = malloc(CALLS_MAX * sizeof(uint64_t));
        timing[i].out = malloc(texts * embed__encoder_dimension(e) * sizeof(float));
        if (pthread_create(&ids[i], NULL, embed_until, &timing[i]) != 0) {
            fail("pthread_create");
        }
    }
    double rate = 0;
    for (size_t i = 0; i < threads; i++) {
        (void)pthread_join(ids[i], NULL);
        uint64_t sum = 0;
        for (size_t j = 0; j < timing[i].calls; j++) {
            sum += timing[i].took_ns[j];
        }
        rate += (double)(timing[i].calls * texts) / ((double)sum / 1e9);
        qsort(timing[i].took_ns, timing[i].calls, sizeof(uint64_t), by_size);
    }
    printf("{\"texts_per_s\":%.3f,\"cpu_ms\":%.4f,\"best_ms\":%.4f,\"median_ms\":%.4f}\n", rate,
           (double)timing[0].cpu_ns / 1e6, (double)timing[0].took_ns[0] / 1e6,
           (double)timing[0].took_ns[timing[0].calls / 2] / 1e6);
    for (size_t i = 0; i < threads; i++) {
        free(timing[i].took_ns);
        free(timing[i].out);
    }
}

static void read_numbers(const char *path, int32_t *out, size_t count)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fread(out, sizeof *out, count, file) != count) {
        fail(path);
    }
    fclose(file);
}

static void embed_file(const struct embed__encoder *e, size_t texts, const char *lengths_path,
                       const char *ids_path, const char *out_path)
{
    int32_t *lengths = malloc(texts * sizeof *lengths);
    size_t *offsets = malloc((texts + 1) * sizeof *offsets);
    read_numbers(lengths_path, lengths, texts);
    offsets[0] = 0;
    for (size_t i = 0; i < texts; i++) {
        offsets[i + 1] = offsets[i] + (size_t)lengths[i];
    }
    int32_t *ids = malloc(offsets[texts] * sizeof *ids);
    read_numbers(ids_path, ids, offsets[texts]);
    const size_t numbers = texts * embed__encoder_dimension(e);
    float *out = malloc(numbers * sizeof *out);
    struct embed__scratch *scratch = NULL;
    embed__scratch_new(e, GROUP_TOKENS, &scratch);
    embed__encoder_run(e, scratch, ids, offsets, texts, EMBED__MEAN, true, out);
    embed__scratch_free(&scratch);
    FILE *file = fopen(out_path, "wb");
    if (file == NULL || fwrite(out, sizeof *out, numbers, file) != numbers || fclose(file) != 0) {
        fail(out_path);
    }
    printf("{\"texts\":%zu}\n", texts);
    free(lengths);
    free(ids);
    free(offsets);
    free(out);
}

static void load(const struct weights_file *f, const char *precision, const char *kernel,
                 struct embed__encoder **encoder)
{
    embed__encoder_free(encoder);
    struct cx_err err = { "" };
    const enum embed__precision wanted = strcmp(precision, "int8") == 0       ? EMBED__INT8
                                         : strcmp(precision, "bfloat16") == 0 ? EMBED__BFLOAT16
                                                                              : EMBED__FLOAT32;
    const uint64_t start = cx_clock_mono_ns();
    if (embed__encoder_new(&f->shape, &f->weights, wanted,
                           strcmp(kernel, "best") == 0 ? NULL : kernel, encoder, &err) != CX_OK) {
        printf("{\"error\":\"no such kernel here\"}\n");
        return;
    }
    printf("{\"kernel\":\"%s\",\"load_ms\":%.2f,\"bytes\":%zu}\n", embed__encoder_kernel(*encoder),
           (double)(cx_clock_mono_ns() - start) / 1e6, embed__encoder_bytes(*encoder));
}

int main(int argc, char **argv)
{
    static struct weights_file f;
    if (argc != 2) {
        fprintf(stderr, "usage: encoder WEIGHTS\n");
        return 64;
    }
    map_weights(argv[1], &f);
    struct embed__encoder *e = NULL;
    char line[16384];
    while (fgets(line, sizeof line, stdin) != NULL) {
        char a[4096];
        char b[4096];
        char c[4096];
        size_t threads = 0;
        size_t tokens = 0;
        size_t texts = 0;
        double seconds = 0;
        if (sscanf(line, "load %15s %31s", a, b) == 2) {
            load(&f, a, b, &e);
        } else if (e != NULL &&
                   sscanf(line, "time %zu %zu %zu %lf", &threads, &tokens, &texts, &seconds) == 4 &&
                   threads >= 1 && threads <= 8) {
            time_threads(e, threads, tokens, texts, seconds);
        } else if (e != NULL &&
                   sscanf(line, "embed %zu %4095s %4095s %4095s", &texts, a, b, c) == 4) {
            embed_file(e, texts, a, b, c);
        } else {
            printf("{\"error\":\"not understood\"}\n");
        }
        fflush(stdout);
    }
    embed__encoder_free(&e);
    return 0;
}
