/* SPDX-License-Identifier: MIT
 *
 * Safetensors: numbers of each type, several files, and every way in which a file can be wrong.
 */
#include "test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "embed/half.h"
#include "embed/model_file.h"
#include "embed/safetensors.h"

static void write_file(const char *name, const char *header, const void *data, size_t len)
{
    char path[4096];
    uint8_t prefix[8] = { 0 };
    (void)snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    FILE *file = fopen(path, "wb");
    CX_CHECK(file != NULL);
    for (size_t i = 0; i < 8; i++) {
        prefix[i] = (uint8_t)(strlen(header) >> (8 * i));
    }
    (void)fwrite(prefix, 1, sizeof prefix, file);
    (void)fwrite(header, 1, strlen(header), file);
    (void)fwrite(data, 1, len, file);
    (void)fclose(file);
}

static struct embed__tensors *open_here(struct cx_err *err)
{
    struct embed__tensors *t = NULL;
    return embed__tensors_open(test_dir(), &t, err) == CX_OK ? t : NULL;
}

TEST(safetensors_of_three_types_become_floats)
{
    const uint8_t data[] = { 0,   0,  128, 63, 0, 0,    0,    192,  /* 1, -2: F32 */
                             0,   60, 1,   0,  0, 0xC4, 0xFF, 0x7B, /* 1, 2^-24, -4, 65504: F16 */
                             128, 63, 0,   192 };                   /* 1, -2: BF16 */
    write_file("model.safetensors",
               "{\"__metadata__\":{\"format\":\"pt\"},"
               "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
               "\"b\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[8,16]},"
               "\"c\":{\"dtype\":\"BF16\",\"shape\":[1,2],\"data_offsets\":[16,20]}}   ",
               data, sizeof data);
    struct embed__tensors *t = open_here(NULL);
    REQUIRE(t != NULL);
    float out[4] = { 0 };
    const uint64_t two[] = { 2, 2 };
    REQUIRE(embed__tensors_read(t, "a", two, 1, out, NULL) == CX_OK);
    EXPECT(out[0] == 1.0F && out[1] == -2.0F);
    REQUIRE(embed__tensors_read(t, "b", two, 2, out, NULL) == CX_OK);
    EXPECT(out[0] == 1.0F && out[1] == 0x1p-24F && out[2] == -4.0F && out[3] == 65504.0F);
    const uint64_t row[] = { 1, 2 };
    REQUIRE(embed__tensors_read(t, "c", row, 2, out, NULL) == CX_OK);
    EXPECT(out[0] == 1.0F && out[1] == -2.0F);
    EXPECT(embed__tensors_has(t, "a"));
    EXPECT(!embed__tensors_has(t, "__metadata__"));
    EXPECT_STR(embed__tensors_name(t, 1), "b");
    EXPECT(embed__tensors_name(t, 3) == NULL);

    struct cx_err err = { "" };
    EXPECT_INT(embed__tensors_read(t, "b", row, 2, out, &err), CX_INVALID);
    EXPECT(strstr(err.text, "tensor b is of shape 2×2, and config.json says 1×2") != NULL);
    EXPECT_INT(embed__tensors_read(t, "d", two, 1, out, &err), CX_INVALID);
    EXPECT(strstr(err.text, "model.safetensors: tensor d is missing") != NULL);
    embed__tensors_free(&t);
}

/* Every value that binary16 has, by its definition. */
TEST(halves_are_what_they_stand_for)
{
    size_t wrong = 0;
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        const float got = embed__float_of_half((uint16_t)bits);
        const int exponent = (int)(bits >> 10 & 31);
        const float fraction = (float)(bits & 0x3FF);
        float want = exponent == 0 ? fraction * 0x1p-24F : (1024.0F + fraction) * 0x1p-25F;
        for (int i = 0; i < exponent; i++) {
            want *= exponent > 0 ? 2.0F : 1.0F;
        }
        if (exponent == 31) {
            wrong += (fraction == 0.0F) != (got == (bits < 0x8000 ? 1.0F : -1.0F) / 0.0F);
        } else {
            wrong += got != (bits < 0x8000 ? want : -want);
        }
    }
    EXPECT_INT(wrong, 0);
}

TEST(safetensors_in_several_files)
{
    const float data[] = { 1.0F, 2.0F };
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/model.safetensors.index.json", test_dir());
    FILE *file = fopen(path, "w");
    REQUIRE(file != NULL);
    (void)fputs("{\"weight_map\": {\"a\": \"x.safetensors\", \"b\": \"y.safetensors\"}}", file);
    (void)fclose(file);
    write_file("x.safetensors", "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}",
               data, 4);
    struct cx_err err = { "" };
    EXPECT(open_here(&err) == NULL);
    EXPECT(strstr(err.text, "y.safetensors is missing, which holds tensor b") != NULL);
    write_file("y.safetensors", "{\"c\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
               data + 1, 4);
    EXPECT(open_here(&err) == NULL);
    EXPECT(strstr(err.text, "y.safetensors: lacks tensor b") != NULL);
    write_file("y.safetensors", "{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
               data + 1, 4);
    struct embed__tensors *t = open_here(&err);
    REQUIRE(t != NULL);
    const uint64_t one[] = { 1 };
    float out = 0.0F;
    EXPECT_INT(embed__tensors_read(t, "a", NULL, 0, &out, NULL), CX_OK);
    EXPECT(out == 1.0F);
    EXPECT_INT(embed__tensors_read(t, "b", one, 1, &out, NULL), CX_OK);
    EXPECT(out == 2.0F);
    embed__tensors_free(&t);

    file = fopen(path, "w");
    REQUIRE(file != NULL);
    (void)fputs("{\"weight_map\": {\"a\": \"../x.safetensors\"}}", file);
    (void)fclose(file);
    EXPECT(open_here(&err) == NULL);
    EXPECT(strstr(err.text, "is no file name") != NULL);
}

static void expect_broken(const char *header, size_t len, const char *words)
{
    static const float data[8] = { 0 };
    struct cx_err err = { "" };
    write_file("model.safetensors", header, data, len);
    struct embed__tensors *t = open_here(&err);
    EXPECT(t == NULL);
    embed__tensors_free(&t);
    if (strstr(err.text, words) == NULL || strstr(err.text, "model.safetensors") == NULL) {
        EXPECT_STR(err.text, words);
    }
}

TEST(broken_safetensors_are_refused_by_name)
{
    expect_broken("{\"a\":", 0, "its header is broken: byte 5");
    expect_broken("[]", 0, "no JSON object");
    expect_broken("{\"a\":1}", 0, "tensor a has no type");
    expect_broken("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "tensor a has no type");
    expect_broken(
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
        "tensor a has no type, or no shape of at most 8");
    expect_broken("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4,
                  "tensor a has a shape that cannot be");
    expect_broken(
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
        "tensor a has a shape that cannot be");
    expect_broken(
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0,
        "do not fit its shape");
    expect_broken("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4,
                  "no data_offsets in order");
    expect_broken("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4,
                  "no data_offsets in order");
    expect_broken("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,1e30]}}", 4,
                  "no data_offsets in order");
    expect_broken(
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,9223372036854775807]}}", 4,
        "reaches beyond the end");
    expect_broken("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7,
                  "tensor a reaches beyond the end of the file, which is cut");
    expect_broken("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4,
                  "do not fit its shape and type");
    expect_broken("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 5,
                  "take 4 bytes, and it has 5");
    expect_broken("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                  "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                  4, "repeated");
}

TEST(cut_safetensors_are_refused_at_every_length)
{
    const float data[] = { 1.0F };
    char path[4096];
    write_file("model.safetensors",
               "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", data, 4);
    (void)snprintf(path, sizeof path, "%s/model.safetensors", test_dir());
    struct stat info;
    REQUIRE(stat(path, &info) == 0);
    size_t taken = 0;
    for (off_t len = info.st_size - 1; len >= 0; len--) {
        REQUIRE(truncate(path, len) == 0);
        struct cx_err err = { "" };
        struct embed__tensors *t = open_here(&err);
        taken += t != NULL;
        embed__tensors_free(&t);
        EXPECT(strstr(err.text, "model.safetensors") != NULL);
    }
    EXPECT_INT(taken, 0);
}

/* A file that is cut while it is open: an error, no signal. */
TEST(safetensors_that_shrink_are_an_error)
{
    const float data[] = { 1.0F };
    char path[4096];
    write_file("model.safetensors",
               "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", data, 4);
    struct embed__tensors *t = open_here(NULL);
    REQUIRE(t != NULL);
    (void)snprintf(path, sizeof path, "%s/model.safetensors", test_dir());
    REQUIRE(truncate(path, 20) == 0);
    const uint64_t one[] = { 1 };
    float out = 0.0F;
    struct cx_err err = { "" };
    EXPECT_INT(embed__tensors_read(t, "a", one, 1, &out, &err), CX_INVALID);
    EXPECT(strstr(err.text, "is cut") != NULL);
    embed__tensors_free(&t);
}

TEST(tensors_that_cannot_be_used_are_refused)
{
    const uint8_t data[] = { 0, 0, 192, 127, 1, 0, 0, 0 }; /* no number; an integer */
    write_file("model.safetensors",
               "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
               "\"b\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
               data, sizeof data);
    struct embed__tensors *t = open_here(NULL);
    REQUIRE(t != NULL);
    const uint64_t one[] = { 1 };
    float out = 0.0F;
    struct cx_err err = { "" };
    EXPECT_INT(embed__tensors_read(t, "a", one, 1, &out, &err), CX_INVALID);
    EXPECT(strstr(err.text, "tensor a holds numbers that are not finite") != NULL);
    EXPECT_INT(embed__tensors_read(t, "b", one, 1, &out, &err), CX_INVALID);
    EXPECT(strstr(err.text, "tensor b is of type I32; F32, F16 and BF16 are read") != NULL);
    embed__tensors_free(&t);
}

TEST(no_safetensors_says_what_was_looked_for)
{
    struct cx_err err = { "" };
    struct embed__tensors *t = NULL;
    EXPECT_INT(embed__tensors_open(test_dir(), &t, &err), CX_NOT_FOUND);
    EXPECT(strstr(err.text, "neither model.safetensors nor model.safetensors.index.json") != NULL);
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/model.safetensors", test_dir());
    REQUIRE(mkfifo(path, 0600) == 0);
    EXPECT_INT(embed__tensors_open(test_dir(), &t, &err), CX_INVALID);
    EXPECT(strstr(err.text, "no regular file") != NULL);
}
