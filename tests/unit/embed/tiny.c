/* SPDX-License-Identifier: MIT
 *
 * Copies of the small model (tiny.h).
 */
#include "tiny.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "embed/model_file.h"
#include "test.h"

static const char *const FILES[] = {
    "config.json",           "modules.json",          "sentence_bert_config.json",
    "tokenizer.json",        "tokenizer_config.json", "config_sentence_transformers.json",
    "1_Pooling/config.json", "model.safetensors",
};

static void copy_file(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb");
    FILE *out = fopen(to, "wb");
    CX_CHECK(in != NULL && out != NULL);
    char bytes[65536];
    size_t len = 0;
    while ((len = fread(bytes, 1, sizeof bytes, in)) > 0) {
        CX_CHECK(fwrite(bytes, 1, len, out) == len);
    }
    (void)fclose(in);
    CX_CHECK(fclose(out) == 0);
}

const char *tiny_copy(void)
{
    (void)mkdir(tiny_path("1_Pooling"), 0700);
    for (size_t i = 0; i < CX_ARRAY_LEN(FILES); i++) {
        char from[4096];
        (void)snprintf(from, sizeof from, "%s/%s", TINY, FILES[i]);
        copy_file(from, tiny_path(FILES[i]));
    }
    return test_dir();
}

const char *tiny_path(const char *name)
{
    static char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", test_dir(), name);
    return path;
}

void tiny_remove(const char *name)
{
    CX_CHECK(unlink(tiny_path(name)) == 0);
}

void tiny_cut(const char *name, long bytes)
{
    struct stat info;
    CX_CHECK(stat(tiny_path(name), &info) == 0);
    CX_CHECK(truncate(tiny_path(name), info.st_size - bytes) == 0);
}

void tiny_put(const char *name, const char *text)
{
    FILE *out = fopen(tiny_path(name), "w");
    CX_CHECK(out != NULL && fputs(text, out) >= 0 && fclose(out) == 0);
}

void tiny_set(const char *name, const char *path, json_t *value)
{
    json_t *root = NULL;
    CX_CHECK(embed__file_read_json(test_dir(), name, &root, NULL) == CX_OK);
    char copy[256];
    (void)snprintf(copy, sizeof copy, "%s", path);
    json_t *at = root;
    char *member = copy;
    for (char *dot = strchr(member, '.'); dot != NULL; dot = strchr(member, '.')) {
        *dot = '\0';
        at = json_is_array(at) ? json_array_get(at, (size_t)atoi(member))
                               : json_object_get(at, member);
        member = dot + 1;
    }
    CX_CHECK(at != NULL);
    if (value != NULL) {
        CX_CHECK(json_object_set_new(at, member, value) == 0);
    } else {
        CX_CHECK(json_object_del(at, member) == 0);
    }
    CX_CHECK(json_dump_file(root, tiny_path(name), 0) == 0);
    json_decref(root);
}
