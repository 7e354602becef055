/* SPDX-License-Identifier: MIT
 *
 * The ids of the index: set, changed, dropped, in any order; and what is dropped is nowhere any more.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "vector/index.h"

#define COUNT 1500 /* more than a block */
#define ID_BYTES 64

struct ids {
    struct vector__index index;
    char (*truth)[ID_BYTES];
};

static void put_id(struct ids *s, size_t at, const char *id)
{
    struct vector__entry entry = { .rowid = (int64_t)at + 1,
                                   .doc_id = cx_strdup(id),
                                   .pending = true };
    snprintf(s->truth[at], ID_BYTES, "%s", id);
    vector__index_set(&s->index, &entry);
}

static void remove_id(struct ids *s, size_t at)
{
    vector__index_remove(&s->index, (int64_t)at + 1);
    s->truth[at][0] = '\0';
}

static void expect_ids(const struct ids *s)
{
    size_t bytes = 0;
    for (size_t i = 0; i < COUNT; i++) {
        const size_t slot = vector__index_find(&s->index, (int64_t)i + 1);
        EXPECT((slot != VECTOR__NO_SLOT) == (s->truth[i][0] != '\0'));
        if (slot != VECTOR__NO_SLOT) {
            EXPECT_STR(vector__index_id(&s->index, slot), s->truth[i]);
        }
        bytes += strlen(s->truth[i]) + 1;
    }
    EXPECT(s->index.extra_bytes <= 4 * bytes + 4096);
}

/* In the memory of the ids of all blocks. */
static bool is_anywhere(const struct ids *s, const char *text)
{
    for (size_t i = 0; i < s->index.block_count; i++) {
        const struct vector__id_texts *ids = &s->index.blocks[i]->ids;
        if (ids->text != NULL && memmem(ids->text, ids->room, text, strlen(text)) != NULL) {
            return true;
        }
    }
    return false;
}

TEST(ids_come_change_and_go)
{
    struct ids s = { .truth = calloc(COUNT, sizeof *s.truth) };
    struct cx_err err = { "" };
    vector__index_init(&s.index);
    vector__index_set_dimension(&s.index, 4);
    REQUIRE(vector__index_reserve(&s.index, COUNT, &err) == CX_OK);
    uint64_t state = 9;
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 400; i++) {
            const size_t at = draw(&state) % COUNT;
            char id[ID_BYTES];
            snprintf(id, sizeof id, "%.*s%zu-%d", (int)(draw(&state) % 30),
                     "a long beginning of an id .....", at, i % 3);
            if (draw(&state) % 3 == 0) {
                remove_id(&s, at);
            } else {
                put_id(&s, at, id);
            }
        }
        expect_ids(&s);
    }
    put_id(&s, 7, "a secret");
    EXPECT(is_anywhere(&s, "a secret"));
    put_id(&s, 7, "another");
    EXPECT(!is_anywhere(&s, "a secret"));
    remove_id(&s, 7);
    EXPECT(!is_anywhere(&s, "another"));
    for (size_t i = 0; i < COUNT; i++) {
        remove_id(&s, i);
    }
    expect_ids(&s);
    EXPECT_INT(s.index.extra_bytes, 0);
    vector__index_free(&s.index);
    free(s.truth);
}
