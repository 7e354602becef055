/* SPDX-License-Identifier: MIT
 *
 * Where a server that speaks POST /embeddings is asked (openai.h), from what people write down: with or
 * without /v1, with a slash at the end, or the whole address with its query as Azure's portal shows it.
 * https://learn.microsoft.com/azure/ai-services/openai/reference#embeddings
 */
#include "openai.h"

#include <string.h>

#include "cortex/embed.h"

#define ADDRESS_MAX 2048
#define SOCKET_PATH_MAX 107

static void cut_path(struct cx_str *url, size_t path);
static bool is_plain(struct cx_str text);
static void put_deployment(const char *name, struct cx_buf *out);

enum cx_status embed__openai_address(const struct cx_embed_openai_options *o,
                                     struct embed__openai_address *out, struct cx_err *err)
{
    struct cx_str base = cx_str_of(o->base_url);
    const bool is_unix = strncmp(o->base_url, "unix:/", 6) == 0 && base.len > 6;
    const bool is_http = strncmp(o->base_url, "http://", 7) == 0 && base.len > 7;
    const bool is_https = strncmp(o->base_url, "https://", 8) == 0 && base.len > 8;
    if (!is_unix && !is_http && !is_https) {
        return cx_err_set(err, CX_INVALID,
                          "the embedding service's base URL must begin with http://, https:// or "
                          "unix:/");
    }
    if (base.len > ADDRESS_MAX || (is_unix && base.len - 5 > SOCKET_PATH_MAX)) {
        return cx_err_set(err, CX_INVALID, "the embedding service's base URL is too long");
    }
    const char *mark = is_unix ? NULL : memchr(base.p, '?', base.len);
    const char *end = base.p + base.len;
    const struct cx_str query =
        mark != NULL ? (struct cx_str){ mark + 1, (size_t)(end - mark) - 1 } : CX_STR("");
    base.len = mark != NULL ? (size_t)(mark - base.p) : base.len;
    const char *version = o->api_version != NULL ? o->api_version : "";
    if (!is_plain(cx_str_of(version)) || (!is_unix && memchr(base.p, '#', base.len) != NULL)) {
        return cx_err_set(
            err, CX_INVALID,
            "the embedding service's base URL or API version holds bytes that have no "
            "place there");
    }
    if (version[0] != '\0' && mark != NULL && strstr(mark, "api-version=") != NULL) {
        return cx_err_set(err, CX_INVALID,
                          "the embedding service's base URL names an API version already");
    }
    struct cx_buf url;
    cx_buf_init(&url, 4 * (size_t)ADDRESS_MAX);
    if (is_unix) {
        out->unix_socket = cx_strndup(base.p + 5, base.len - 5);
        base = CX_STR("http://localhost");
    }
    const size_t scheme = is_https ? 8 : 7;
    const char *slash = memchr(base.p + scheme, '/', base.len - scheme);
    const size_t host_end = slash != NULL ? (size_t)(slash - base.p) : base.len;
    cut_path(&base, host_end);
    cx_buf_put_str(&url, base);
    if (base.len == host_end) {
        if (o->azure && !is_unix && version[0] != '\0') {
            put_deployment(o->model, &url);
        } else {
            cx_buf_puts(&url, o->azure && !is_unix ? "/openai/v1" : "/v1");
        }
    }
    cx_buf_puts(&url, "/embeddings");
    if (query.len > 0) {
        cx_buf_putc(&url, '?');
        cx_buf_put_str(&url, query);
    }
    if (version[0] != '\0') {
        cx_buf_printf(&url, "%capi-version=%s", query.len > 0 ? '&' : '?', version);
    }
    cx_buf_putc(&url, '\0');
    CX_CHECK(!url.failed);
    size_t len = 0;
    out->url = cx_buf_take(&url, &len);
    return CX_OK;
}

/* Of slashes and one /embeddings at its end. */
static void cut_path(struct cx_str *url, size_t path)
{
    const struct cx_str end = CX_STR("/embeddings");
    for (int i = 0; i < 2; i++) {
        while (url->len > path && url->p[url->len - 1] == '/') {
            url->len--;
        }
        if (i == 0 && url->len >= path + end.len &&
            memcmp(url->p + url->len - end.len, end.p, end.len) == 0) {
            url->len -= end.len;
        }
    }
}

/* Of a version ("2024-10-21", "preview"): nothing that would begin something else in a query. */
static bool is_plain(struct cx_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.p[i];
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
        if (!plain) {
            return false;
        }
    }
    return text.len <= 64;
}

/* A deployment's name stands in a path. */
static void put_deployment(const char *name, struct cx_buf *out)
{
    cx_buf_puts(out, "/openai/deployments/");
    for (const char *c = name; *c != '\0'; c++) {
        if (is_plain((struct cx_str){ c, 1 })) {
            cx_buf_putc(out, *c);
        } else {
            cx_buf_printf(out, "%%%02X", (unsigned)(unsigned char)*c);
        }
    }
}
