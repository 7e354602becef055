/* SPDX-License-Identifier: MIT
 *
 * Added tokens (added_tokens.h).
 */
#include "added_tokens.h"

#include <stdlib.h>

#include "bert_text.h"

static bool find_next(struct embed__added_walk *walk, size_t *start);
static bool stands_alone(const struct embed__added_walk *walk, size_t start, size_t end);
static size_t before_spaces(const struct embed__added_walk *walk, size_t end);
static size_t behind_spaces(struct embed__added_walk *walk, size_t start);
static size_t start_of_last(struct cx_str text);

bool embed__added_put(struct embed__added *added, struct cx_str content,
                      const struct embed__added_token *token)
{
    if (embed__trie_find(&added->trie, content) != EMBED__TRIE_NONE) {
        return true; /* the first of equal ones counts */
    }
    if (content.len == 0 || content.len > EMBED__ADDED_BYTES_MAX ||
        added->count == EMBED__ADDED_MAX ||
        !embed__trie_put(&added->trie, content, (int32_t)added->count)) {
        return false;
    }
    added->tokens = cx_realloc_array(added->tokens, added->count + 1, sizeof *added->tokens);
    added->tokens[added->count++] = *token;
    added->first[(unsigned char)content.p[0]] = true;
    return true;
}

void embed__added_free(struct embed__added *added)
{
    embed__trie_free(&added->trie);
    free(added->tokens);
    *added = (struct embed__added){ 0 };
}

void embed__added_begin(struct embed__added_walk *walk, const struct embed__added *added,
                        struct cx_str text)
{
    *walk = (struct embed__added_walk){ .added = added, .text = text };
}

bool embed__added_next(struct embed__added_walk *walk, struct embed__added_piece *out)
{
    if (walk->next != NULL) {
        *out = (struct embed__added_piece){ .token = walk->next };
        walk->next = NULL;
        walk->given = walk->next_end;
        return true;
    }
    if (walk->given >= walk->text.len && walk->at >= walk->text.len) {
        return false;
    }
    size_t start = walk->text.len;
    const bool found = find_next(walk, &start);
    const size_t from = walk->given;
    if (!found) {
        walk->given = walk->text.len;
    }
    if (from < start) {
        *out = (struct embed__added_piece){ .text = { walk->text.p + from, start - from } };
        return true;
    }
    return found && embed__added_next(walk, out);
}

/* The next token with what it takes in: *start is where, next and next_end the rest. */
static bool find_next(struct embed__added_walk *walk, size_t *start)
{
    const struct embed__added *added = walk->added;
    while (walk->at < walk->text.len) {
        const size_t at = walk->at;
        size_t len = 0;
        int32_t index = EMBED__TRIE_NONE;
        if (added->first[(unsigned char)walk->text.p[at]]) {
            const struct cx_str rest = { walk->text.p + at, walk->text.len - at };
            index = embed__trie_longest(&added->trie, EMBED__TRIE_ROOT, rest, &len);
        }
        if (index == EMBED__TRIE_NONE) {
            walk->at++;
            continue;
        }
        walk->at = at + len; /* also past one that does not count */
        const struct embed__added_token *token = &added->tokens[index];
        if (token->single_word && !stands_alone(walk, at, at + len)) {
            continue;
        }
        *start = token->strip_left ? before_spaces(walk, at) : at;
        walk->next = token;
        walk->next_end = token->strip_right ? behind_spaces(walk, at + len) : at + len;
        return true;
    }
    return false;
}

static bool stands_alone(const struct embed__added_walk *walk, size_t start, size_t end)
{
    uint32_t code = 0;
    const struct cx_str left = { walk->text.p, start };
    const struct cx_str right = { walk->text.p + end, walk->text.len - end };
    const size_t last = start_of_last(left);
    if (start > 0 && cx_utf8_decode((struct cx_str){ left.p + last, start - last }, &code) > 0 &&
        cx_unicode_is_word(code)) {
        return false;
    }
    return right.len == 0 || cx_utf8_decode(right, &code) == 0 || !cx_unicode_is_word(code);
}

static size_t before_spaces(const struct embed__added_walk *walk, size_t end)
{
    while (end > walk->given) {
        const struct cx_str left = { walk->text.p, end };
        const size_t last = start_of_last(left);
        uint32_t code = 0;
        if (cx_utf8_decode((struct cx_str){ left.p + last, end - last }, &code) == 0 ||
            (embed__class_of(code) & EMBED__SPACE) == 0) {
            break;
        }
        end = last;
    }
    return end > walk->given ? end : walk->given;
}

/* Each space is looked at once, however many tokens lie among them. */
static size_t behind_spaces(struct embed__added_walk *walk, size_t start)
{
    if (start < walk->spaces_end) {
        return walk->spaces_end;
    }
    while (start < walk->text.len) {
        const struct cx_str rest = { walk->text.p + start, walk->text.len - start };
        uint32_t code = 0;
        const size_t unit = cx_utf8_decode(rest, &code);
        if (unit == 0 || (embed__class_of(code) & EMBED__SPACE) == 0) {
            break;
        }
        start += unit;
    }
    walk->spaces_end = start;
    return start;
}

static size_t start_of_last(struct cx_str text)
{
    size_t at = text.len > 0 ? text.len - 1 : 0;
    while (at > 0 && text.len - at < CX_UTF8_BYTES_MAX &&
           ((unsigned char)text.p[at] & 0xC0) == 0x80) {
        at--;
    }
    return at;
}
