/* SPDX-License-Identifier: MIT
 *
 * The treap of hot state. Depth is logarithmic but for bad luck that nobody can arrange.
 */
#include "hot_tree.h"

#include <string.h>

static int compare_bytes(struct cx_str a, struct cx_str b)
{
    const size_t len = a.len < b.len ? a.len : b.len;
    const int order = len > 0 ? memcmp(a.p, b.p, len) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare(const struct hot__entry *e, struct cx_str space, struct cx_str key)
{
    const int order = compare_bytes(hot__name(e->space), space);
    return order != 0 ? order : compare_bytes(hot__key(e), key);
}

/* All entries before `at` to the left, the others to the right. */
static void split(struct hot__entry *tree, const struct hot__entry *at, struct hot__entry **left,
                  struct hot__entry **right)
{
    while (tree != NULL) {
        if (compare(tree, hot__name(at->space), hot__key(at)) < 0) {
            *left = tree;
            left = &tree->right;
            tree = tree->right;
        } else {
            *right = tree;
            right = &tree->left;
            tree = tree->left;
        }
    }
    *left = NULL;
    *right = NULL;
}

/* The place that points to the entry, or where it would stand. */
static struct hot__entry **place_of(struct hot__entry **root, const struct hot__entry *entry,
                                    bool heavier_only)
{
    struct hot__entry **place = root;
    while (*place != NULL && *place != entry &&
           (!heavier_only || (*place)->weight >= entry->weight)) {
        place = compare(*place, hot__name(entry->space), hot__key(entry)) < 0 ? &(*place)->right
                                                                              : &(*place)->left;
    }
    return place;
}

void hot__tree_insert(struct hot__entry **root, struct hot__entry *entry)
{
    struct hot__entry **place = place_of(root, entry, true);
    struct hot__entry *below = *place;
    split(below, entry, &entry->left, &entry->right);
    *place = entry;
}

void hot__tree_remove(struct hot__entry **root, struct hot__entry *entry)
{
    struct hot__entry **place = place_of(root, entry, false);
    CX_CHECK(*place == entry);
    struct hot__entry *left = entry->left;
    struct hot__entry *right = entry->right;
    while (left != NULL && right != NULL) {
        if (left->weight >= right->weight) {
            *place = left;
            place = &left->right;
            left = left->right;
        } else {
            *place = right;
            place = &right->left;
            right = right->left;
        }
    }
    *place = left != NULL ? left : right;
}

struct hot__entry *hot__tree_seek(struct hot__entry *root, struct cx_str space, struct cx_str key,
                                  bool past)
{
    struct hot__entry *found = NULL;
    while (root != NULL) {
        const int order = compare(root, space, key);
        if (order > 0 || (order == 0 && !past)) {
            found = root;
            root = root->left;
        } else {
            root = root->right;
        }
    }
    return found;
}

struct hot__entry *hot__tree_next_space(struct hot__entry *root, struct cx_str space)
{
    struct hot__entry *found = NULL;
    while (root != NULL) {
        if (compare_bytes(hot__name(root->space), space) > 0) {
            found = root;
            root = root->left;
        } else {
            root = root->right;
        }
    }
    return found;
}
