/* SPDX-License-Identifier: MIT
 *
 * The store's life, its names, and the collections whose ids are known (chroma_internal.h). Loop thread.
 */
#include "chroma_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_PERCENT 20
#define RETRY_RESERVE 10
#define SUCCESSES_TO_CLOSE 1

static enum cx_status check(const struct cx_chroma_options *o, struct cx_err *err);
static char *make_base(const struct cx_chroma_options *o);
static char *make_token_header(const struct cx_chroma_options *o);

enum cx_status cx_chroma_new(const struct cx_chroma_options *options, struct cx_chroma **out,
                             struct cx_err *err)
{
    const enum cx_status status = check(options, err);
    if (status != CX_OK) {
        return status;
    }
    struct cx_chroma *c = cx_alloc(sizeof *c);
    c->options = *options;
    c->base = make_base(options);
    c->prefix = cx_strdup(options->collection);
    c->token_header = make_token_header(options);
    c->provider = cx_strdup(options->provider);
    c->model = cx_strdup(options->model);
    c->fingerprint = cx_strdup(options->fingerprint);
    cx_breaker_init(&c->breaker, options->breaker_failures, SUCCESSES_TO_CLOSE,
                    options->breaker_open_ms);
    cx_retry_budget_init(&c->budget, RETRY_PERCENT, RETRY_RESERVE, cx_loop_now_ms(options->loop));
    cx_random_init(&c->random);
    c->ok = cx_metrics_series(CX_M_CHROMA_REQUESTS, "outcome=\"ok\"");
    c->failed = cx_metrics_series(CX_M_CHROMA_REQUESTS, "outcome=\"failed\"");
    c->refused = cx_metrics_series(CX_M_CHROMA_REQUESTS, "outcome=\"refused\"");
    c->retries = cx_metrics_series(CX_M_CHROMA_RETRIES, "");
    c->circuit = cx_metrics_series(CX_M_CHROMA_CIRCUIT, "");
    c->seconds = cx_metrics_series(CX_M_CHROMA_SECONDS, "");
    *out = c;
    return CX_OK;
}

static enum cx_status check(const struct cx_chroma_options *o, struct cx_err *err)
{
    const bool http = strncmp(o->url, "http://", 7) == 0 && o->url[7] != '\0';
    const bool https = strncmp(o->url, "https://", 8) == 0 && o->url[8] != '\0';
    if ((!http && !https) || strpbrk(o->url, "?#") != NULL) {
        return cx_err_set(err, CX_INVALID,
                          "chroma.url must begin with http:// or https://, and have no ? or #");
    }
    if (o->tenant[0] == '\0' || o->database[0] == '\0') {
        return cx_err_set(err, CX_INVALID, "chroma.tenant and chroma.database must not be empty");
    }
    if (!chroma__name_valid(o->collection) || strlen(o->collection) > 128) {
        return cx_err_set(err, CX_INVALID,
                          "chroma.collection must have 3 to 128 letters, digits, '.', '_' or '-', "
                          "begin and end with a letter or a digit, and have no \"..\"");
    }
    for (const char *t = o->token; t != NULL && *t != '\0'; t++) {
        if (*t <= ' ' || *t > '~') {
            return cx_err_set(err, CX_INVALID, "chroma.token holds bytes that no token has");
        }
    }
    return CX_OK;
}

static void put_segment(struct cx_buf *out, const char *text)
{
    for (const char *t = text; *t != '\0'; t++) {
        const bool plain = (*t >= 'a' && *t <= 'z') || (*t >= 'A' && *t <= 'Z') ||
                           (*t >= '0' && *t <= '9') || *t == '-' || *t == '_';
        if (plain) {
            cx_buf_putc(out, *t);
        } else {
            cx_buf_printf(out, "%%%02X", (unsigned)(unsigned char)*t);
        }
    }
}

static char *make_base(const struct cx_chroma_options *o)
{
    struct cx_buf url;
    cx_buf_init(&url, 16384);
    size_t len = strlen(o->url);
    while (len > 0 && o->url[len - 1] == '/') {
        len--;
    }
    cx_buf_put_str(&url, (struct cx_str){ o->url, len });
    cx_buf_puts(&url, "/api/v2/tenants/");
    put_segment(&url, o->tenant);
    cx_buf_puts(&url, "/databases/");
    put_segment(&url, o->database);
    cx_buf_puts(&url, "/collections");
    CX_CHECK(!url.failed);
    return cx_buf_take(&url, NULL);
}

static char *make_token_header(const struct cx_chroma_options *o)
{
    if (o->token == NULL || o->token[0] == '\0') {
        return NULL;
    }
    const char *name = o->bearer ? "Authorization: Bearer " : "X-Chroma-Token: ";
    const size_t size = strlen(name) + strlen(o->token) + 1;
    char *header = cx_alloc(size);
    (void)snprintf(header, size, "%s%s", name, o->token);
    return header;
}

void cx_chroma_free(struct cx_chroma **chroma)
{
    struct cx_chroma *c = *chroma;
    if (c == NULL) {
        return;
    }
    CX_CHECK(c->active == 0);
    if (c->token_header != NULL) {
        cx_wipe(c->token_header, strlen(c->token_header));
    }
    free(c->token_header);
    free(c->base);
    free(c->prefix);
    free(c->provider);
    free(c->model);
    free(c->fingerprint);
    free(c->known);
    free(c);
    *chroma = NULL;
}

size_t cx_chroma_active(const struct cx_chroma *chroma)
{
    return chroma->active;
}

enum cx_circuit cx_chroma_circuit(const struct cx_chroma *chroma)
{
    return chroma->breaker.state;
}

void chroma__circuit_told(struct cx_chroma *c, enum cx_circuit before)
{
    if (c->breaker.state == before) {
        return;
    }
    cx_gauge_set(c->circuit, (double)c->breaker.state);
    if (c->options.on_circuit != NULL) {
        c->options.on_circuit(c->options.circuit_ctx, c->breaker.state);
    }
}

/* ---- Names ---- */

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* As Chroma checks them: 3 to 512 of [a-zA-Z0-9._-], a letter or a digit at both ends, no "..". */
bool chroma__name_valid(const char *name)
{
    const size_t len = strlen(name);
    if (len < 3 || len > CHROMA__NAME_BYTES || !is_letter_or_digit(name[0]) ||
        !is_letter_or_digit(name[len - 1]) || strstr(name, "..") != NULL) {
        return false;
    }
    for (const char *c = name; *c != '\0'; c++) {
        if (!is_letter_or_digit(*c) && strchr("._-", *c) == NULL) {
            return false;
        }
    }
    return true;
}

enum cx_status chroma__name_of(const struct cx_chroma *c, struct cx_str collection,
                               char name[CHROMA__NAME_BYTES + 1], struct cx_err *err)
{
    const bool is_default = cx_str_eq(collection, CX_STR("default"));
    const int len = is_default ? snprintf(name, CHROMA__NAME_BYTES + 1, "%s", c->prefix)
                               : snprintf(name, CHROMA__NAME_BYTES + 1, "%s.%.*s", c->prefix,
                                          (int)collection.len, collection.p);
    if (collection.len > 128 || len < 0 || len > CHROMA__NAME_BYTES || !chroma__name_valid(name)) {
        return cx_err_set(
            err, CX_INVALID,
            "collection must have 1 to 128 letters, digits, '.', '_' or '-', end with a "
            "letter or a digit, and not begin with '.' or have \"..\": Chroma has no "
            "other names");
    }
    return CX_OK;
}

enum cx_status cx_chroma_check_name(const struct cx_chroma *chroma, struct cx_str collection,
                                    struct cx_err *err)
{
    char name[CHROMA__NAME_BYTES + 1];
    return chroma__name_of(chroma, collection, name, err);
}

/* FNV-1a, its halves folded. */
unsigned cx_chroma_part(struct cx_str doc_id)
{
    uint32_t hash = UINT32_C(2166136261);
    for (size_t i = 0; i < doc_id.len; i++) {
        hash = (hash ^ (uint8_t)doc_id.p[i]) * UINT32_C(16777619);
    }
    return (hash ^ (hash >> 16)) % CX_CHROMA_PARTS;
}

/* ---- Collections whose ids are known ---- */

struct chroma__collection *chroma__known(struct cx_chroma *c, const char *name)
{
    for (size_t i = 0; i < c->known_count; i++) {
        if (strcmp(c->known[i].name, name) == 0) {
            return &c->known[i];
        }
    }
    return NULL;
}

void chroma__remember(struct cx_chroma *c, const struct chroma__collection *collection)
{
    chroma__forget(c, collection->name);
    if (c->known_count == CHROMA__COLLECTIONS_MAX) {
        c->known_count = 0;
    }
    c->known = cx_realloc_array(c->known, c->known_count + 1, sizeof *c->known);
    c->known[c->known_count++] = *collection;
}

void chroma__forget(struct cx_chroma *c, const char *name)
{
    struct chroma__collection *found = chroma__known(c, name);
    if (found != NULL) {
        *found = c->known[--c->known_count];
    }
}
