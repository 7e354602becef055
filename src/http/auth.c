/* SPDX-License-Identifier: MIT
 *
 * Bearer tokens. Only digests are kept; a presented token is hashed and compared with all of them
 * in constant time, so neither time nor memory tells anything of the others.
 */
#include "http/auth.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cortex/crypto.h"

struct cx_tokens {
    struct cx_token *list; /* names owned */
    size_t count;
};

static const struct {
    const char *word;
    unsigned scope;
} scope_words[] = {
    { "context", CX_SCOPE_CONTEXT },   { "vector", CX_SCOPE_VECTOR },
    { "database", CX_SCOPE_DATABASE }, { "filesystem", CX_SCOPE_FILESYSTEM },
    { "services", CX_SCOPE_SERVICES }, { "state", CX_SCOPE_STATE },
    { "audit", CX_SCOPE_AUDIT },       { "*", CX_SCOPE_ALL },
};

bool cx_scope_parse(struct cx_str word, unsigned *out)
{
    for (size_t i = 0; i < CX_ARRAY_LEN(scope_words); i++) {
        if (cx_str_eq(cx_str_of(scope_words[i].word), word)) {
            *out = scope_words[i].scope;
            return true;
        }
    }
    return false;
}

const char *cx_scope_name(enum cx_scope scope)
{
    for (size_t i = 0; i < CX_ARRAY_LEN(scope_words); i++) {
        if (scope_words[i].scope == (unsigned)scope) {
            return scope_words[i].word;
        }
    }
    return "none";
}

void cx_tokens_new(struct cx_tokens **out)
{
    *out = cx_alloc(sizeof **out);
}

void cx_tokens_add(struct cx_tokens *t, const struct cx_token *token)
{
    t->list = cx_realloc_array(t->list, t->count + 1, sizeof *t->list);
    t->list[t->count] = *token;
    t->list[t->count].name = cx_strdup(token->name != NULL ? token->name : "");
    t->count++;
}

size_t cx_tokens_count(const struct cx_tokens *t)
{
    return t->count;
}

void cx_tokens_free(struct cx_tokens **t)
{
    if (*t == NULL) {
        return;
    }
    for (size_t i = 0; i < (*t)->count; i++) {
        free((char *)(*t)->list[i].name);
    }
    free((*t)->list);
    free(*t);
    *t = NULL;
}

struct cx_str auth__bearer(struct cx_str authorization)
{
    if (authorization.len < 7 || strncasecmp(authorization.p, "Bearer ", 7) != 0) {
        return (struct cx_str){ NULL, 0 };
    }
    return cx_str_trim((struct cx_str){ authorization.p + 7, authorization.len - 7 });
}

enum auth_verdict auth__check(const struct cx_tokens *tokens, struct cx_str presented,
                              int64_t now_us, const struct cx_token **out)
{
    if (presented.p == NULL || presented.len == 0) {
        return AUTH_MISSING;
    }
    uint8_t digest[CX_SHA256_BYTES];
    cx_sha256(presented, digest);
    const struct cx_token *found = NULL;
    for (size_t i = 0; tokens != NULL && i < tokens->count; i++) {
        if (cx_equal_constant_time(tokens->list[i].sha256, digest, sizeof digest)) {
            found = &tokens->list[i];
        }
    }
    if (found == NULL) {
        return AUTH_INVALID;
    }
    *out = found;
    return found->expires_us != 0 && found->expires_us <= now_us ? AUTH_EXPIRED : AUTH_OK;
}
