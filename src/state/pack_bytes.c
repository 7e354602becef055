/* SPDX-License-Identifier: MIT
 *
 * A pack's bytes: its signature over the canonical form of what it says, and the ready bodies for
 * each freshness. Any thread.
 */
#include "pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cortex/json.h"

/* What stands in a body beside resources, facts and summary is well below. */
#define FRAME_BYTES 4096
#define GZIP_LEVEL 6

static void write_head(const struct pack__draft *draft, struct cx_buf *out);
static void write_tail(const struct pack__draft *draft, struct cx_buf *out);
static size_t longest_freshness(void);
static size_t body_ceiling(const struct cx_pack_options *options);
static bool render_one(const struct cx_buf *head, const struct cx_buf *tail,
                       enum cx_freshness freshness, size_t ceiling, struct cx_pack *pack);

void cx_key_id(struct cx_str signing_key, char id[17])
{
    const struct cx_str parts[] = { CX_STR("cortex-key-id:"), signing_key };
    uint8_t digest[CX_SHA256_BYTES];
    cx_sha256_parts(parts, CX_ARRAY_LEN(parts), digest);
    (void)cx_hex(digest, 8, id);
}

const char *cx_freshness_name(enum cx_freshness f)
{
    static const char *const names[CX_FRESHNESS_COUNT] = {
        [CX_FRESH] = "fresh",
        [CX_CACHED] = "cached",
        [CX_RESTORED] = "restored",
        [CX_STALE] = "stale",
    };
    CX_CHECK((size_t)f < CX_FRESHNESS_COUNT);
    return names[f];
}

void cx_pack_free(struct cx_pack **at)
{
    struct cx_pack *pack = *at;
    if (pack == NULL) {
        return;
    }
    *at = NULL;
    for (size_t i = 0; i < CX_FRESHNESS_COUNT; i++) {
        free((char *)pack->body[i].p);
        free((char *)pack->gzip[i].p);
    }
    free(pack);
}

void pack__draft_init(struct pack__draft *draft, json_t *content,
                      const struct cx_pack_options *options)
{
    *draft = (struct pack__draft){
        .content = content,
        .resources = json_object_get(content, "resources"),
        .facts = json_object_get(content, "hot_facts"),
        .counted = options->count_tokens != NULL,
        .signer = options->signer,
    };
    memset(draft->signature, '0', sizeof draft->signature - 1);
    memset(draft->public_signature, '0', sizeof draft->public_signature - 1);
    cx_key_id(options->signing_key, draft->key_id);
}

void pack__draft_free(struct pack__draft *draft)
{
    json_decref(draft->content);
    draft->content = NULL;
}

enum cx_status pack__sign(struct pack__draft *draft, const struct cx_pack_options *options,
                          struct cx_err *err)
{
    struct cx_buf canonical;
    cx_buf_init(&canonical, 2 * body_ceiling(options));
    enum cx_status status = cx_json_write_canonical(draft->content, &canonical, err);
    if (status == CX_OK && canonical.failed) {
        status = cx_err_set(err, CX_TOO_LARGE, "The snapshot is too large to be signed");
    }
    if (status == CX_OK) {
        const struct cx_str bytes = { canonical.data, canonical.len };
        uint8_t digest[CX_SHA256_BYTES];
        struct cx_hmac *hmac = NULL;
        cx_hmac_new(options->signing_key, &hmac);
        cx_hmac_sign(hmac, bytes, digest);
        cx_hmac_free(&hmac);
        (void)cx_hex(digest, sizeof digest, draft->signature);
        if (draft->signer != NULL) {
            uint8_t signature[CX_ED25519_SIGNATURE_BYTES];
            cx_signer_sign(draft->signer, bytes, signature);
            (void)cx_hex(signature, sizeof signature, draft->public_signature);
        }
        draft->counted =
            options->count_tokens != NULL &&
            options->count_tokens(options->count_tokens_ctx, bytes, &draft->token_count);
    }
    cx_buf_free(&canonical);
    return status;
}

size_t pack__body_bytes(const struct pack__draft *draft, const struct cx_pack_options *options)
{
    struct cx_buf text;
    cx_buf_init(&text, body_ceiling(options));
    write_head(draft, &text);
    write_tail(draft, &text);
    const size_t bytes = text.failed ? 0 : text.len + longest_freshness();
    cx_buf_free(&text);
    return bytes;
}

enum cx_status pack__render(const struct pack__draft *draft, const struct cx_pack_options *options,
                            struct cx_pack *pack, struct cx_err *err)
{
    const size_t ceiling = body_ceiling(options);
    struct cx_buf head;
    struct cx_buf tail;
    cx_buf_init(&head, ceiling);
    cx_buf_init(&tail, FRAME_BYTES);
    write_head(draft, &head);
    write_tail(draft, &tail);
    bool ok = !head.failed && !tail.failed;
    for (size_t i = 0; ok && i < CX_FRESHNESS_COUNT; i++) {
        ok = render_one(&head, &tail, (enum cx_freshness)i, ceiling, pack);
    }
    cx_buf_free(&head);
    cx_buf_free(&tail);
    if (!ok) {
        return cx_err_set(err, CX_TOO_LARGE, "The snapshot is too large");
    }
    (void)snprintf(pack->etag, sizeof pack->etag, "W/\"%s\"", draft->signature);
    return CX_OK;
}

static void write_head(const struct pack__draft *draft, struct cx_buf *out)
{
    static const char *const members[] = { "generated_at", "ttl_seconds", "summary", "resources",
                                           "hot_facts" };
    for (size_t i = 0; i < CX_ARRAY_LEN(members); i++) {
        cx_buf_printf(out, "%c\"%s\":", i == 0 ? '{' : ',', members[i]);
        cx_json_write(json_object_get(draft->content, members[i]), out);
    }
    if (draft->counted) {
        cx_buf_puts(out, ",\"token_count\":");
        cx_buf_put_i64(out, draft->token_count);
    }
    cx_buf_puts(out, ",\"freshness\":\"");
}

static void write_tail(const struct pack__draft *draft, struct cx_buf *out)
{
    cx_buf_printf(out,
                  "\",\"signature\":\"%s\",\"signature_algorithm\":\"" PACK__SIGNATURE_ALGORITHM
                  "\",\"key_id\":\"%s\"",
                  draft->signature, draft->key_id);
    if (draft->signer != NULL) {
        cx_buf_printf(out, ",\"signature_ed25519\":\"%s\",\"key_id_ed25519\":\"%s\"",
                      draft->public_signature, cx_signer_key_id(draft->signer));
    }
    cx_buf_putc(out, '}');
}

static size_t longest_freshness(void)
{
    size_t longest = 0;
    for (size_t i = 0; i < CX_FRESHNESS_COUNT; i++) {
        const size_t len = strlen(cx_freshness_name((enum cx_freshness)i));
        longest = len > longest ? len : longest;
    }
    return longest;
}

static size_t body_ceiling(const struct cx_pack_options *options)
{
    return options->size_cap + FRAME_BYTES + (size_t)8 * CX_SUMMARY_MAX_BYTES +
           (size_t)8 * CX_RESOURCE_MAX_BYTES;
}

static bool render_one(const struct cx_buf *head, const struct cx_buf *tail,
                       enum cx_freshness freshness, size_t ceiling, struct cx_pack *pack)
{
    struct cx_buf body;
    cx_buf_init(&body, ceiling);
    cx_buf_append(&body, head->data, head->len);
    cx_buf_puts(&body, cx_freshness_name(freshness));
    cx_buf_append(&body, tail->data, tail->len);
    struct cx_buf packed;
    cx_buf_init(&packed, ceiling);
    const bool ok =
        !body.failed && cx_gzip((struct cx_str){ body.data, body.len }, GZIP_LEVEL, &packed);
    if (ok) {
        pack->body[freshness].p = cx_buf_take(&body, &pack->body[freshness].len);
        pack->gzip[freshness].p = cx_buf_take(&packed, &pack->gzip[freshness].len);
    }
    cx_buf_free(&body);
    cx_buf_free(&packed);
    return ok;
}
