/* SPDX-License-Identifier: MIT
 *
 * A pack under a fixed key and a fixed time has exactly the bytes of tests/golden/snapshot*.json,
 * which tests/golden/verify_snapshot.py verifies by other means. CORTEX_WRITE_GOLDEN=1 writes the
 * files anew: then read the difference before you keep it.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define GOLDEN_FOLDER CORTEX_SOURCE_DIR "/tests/golden/"
/* As in verify_snapshot.py. */
#define GOLDEN_KEY "golden key, not a secret: \xc3\xa4\xe2\x82\xac"

/* Every kind of value that a signature meets: numbers at the edges of their printing, keys that
 * sort differently by UTF-16 and by UTF-8, control characters, characters beyond the first
 * plane. */
static const char edges[] =
    "{\"numbers\":[0,-1,9007199254740991,-9007199254740991,0.1,-0.0,1.5e300,5e-324,1e21,1e20,"
    "1.2345678901234568e20,1e-6,1e-7,0.000001234,4.35,333333333.33333329,5.6843418860808015e-14,"
    "1.7976931348623157e308,100.0],"
    "\"\\ufb33\":\"after\",\"\\ud83d\\ude00\":\"before\",\"\\u20ac\":\"euro\",\"\\r\":\"return\","
    "\"1\":\"one\",\"\\u00f6\":\"o\",\"\\u0080\":\"control\",\"\":\"empty\","
    "\"text\":\"\\u0001\\u001f\\b\\t\\n\\f\\r\\\"\\\\/\\u007f\\u2028\\ud834\\udd1e\","
    "\"words\":[true,false,null,[],{},[[]]],\"B\":1,\"a\":2,\"A\":3,\"aa\":4}";

static bool count_quarters(void *ctx, struct cx_str text, int64_t *out)
{
    (void)ctx;
    *out = (int64_t)(text.len / 4);
    return true;
}

static void expect_golden(struct fixture *f, const char *name)
{
    struct cx_pack *pack = NULL;
    REQUIRE(cx_pack_build(f->db, &f->options, CX_STR("golden"), &pack, NULL) == CX_OK);
    const struct cx_str got = pack->body[CX_FRESH];
    char path[512];
    snprintf(path, sizeof path, "%s%s", GOLDEN_FOLDER, name);
    if (getenv("CORTEX_WRITE_GOLDEN") != NULL) {
        FILE *file = fopen(path, "wb");
        REQUIRE(file != NULL);
        EXPECT(fwrite(got.p, 1, got.len, file) == got.len);
        EXPECT_INT(fclose(file), 0);
    }
    FILE *file = fopen(path, "rb");
    REQUIRE(file != NULL);
    char want[16384];
    const size_t len = fread(want, 1, sizeof want, file);
    EXPECT_INT(fclose(file), 0);
    EXPECT_BYTES(got.p, got.len, want, len);
    cx_pack_free(&pack);
}

TEST(pack_has_the_golden_bytes)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    f.options.signing_key = CX_STR(GOLDEN_KEY);
    f.options.count_tokens = count_quarters;
    EXPECT_INT(fixture_put(&f, "edges", edges), CX_OK);
    EXPECT_INT(fixture_put(&f, "\xc3\xa9tage", "{}"), CX_OK);
    EXPECT_INT(fixture_fact(&f, "Paris is the capital of France.", 10, 0), CX_OK);
    EXPECT_INT(fixture_fact(&f, "\"quoted\" and \xf0\x9f\x98\x80\nand a second line", 5, 0), CX_OK);
    expect_golden(&f, "snapshot.json");
    fixture_close(&f);
}

/* The same, signed by an Ed25519 key beside, whose public half is in verify_snapshot.py. */
TEST(pack_of_two_signatures_has_the_golden_bytes)
{
    static const uint8_t seed[CX_ED25519_SEED_BYTES] = "golden seed, not a secret 012345";
    struct fixture f;
    struct cx_signer *signer = NULL;
    REQUIRE(fixture_open(&f));
    cx_signer_new(seed, &signer);
    f.options.signing_key = CX_STR(GOLDEN_KEY);
    f.options.signer = signer;
    EXPECT_INT(fixture_put(&f, "edges", edges), CX_OK);
    EXPECT_INT(fixture_fact(&f, "Paris is the capital of France.", 10, 0), CX_OK);
    expect_golden(&f, "snapshot_ed25519.json");
    cx_signer_free(&signer);
    fixture_close(&f);
}

/* Nothing in it that simple tools get wrong: what the shell of docs/verify-snapshot.md can
 * verify. */
TEST(plain_pack_has_the_golden_bytes)
{
    struct fixture f;
    REQUIRE(fixture_open(&f));
    f.options.signing_key = CX_STR(GOLDEN_KEY);
    EXPECT_INT(fixture_put(&f, "db:main", "{\"tables\":12,\"engine\":\"sqlite\"}"), CX_OK);
    EXPECT_INT(fixture_fact(&f,
                            "Stra\xc3\x9f"
                            "e \"quoted\"",
                            0, 0),
               CX_OK);
    expect_golden(&f, "snapshot_plain.json");
    fixture_close(&f);
}
