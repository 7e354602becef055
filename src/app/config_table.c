/* SPDX-License-Identifier: MIT
 *
 * The rows of config.def, once as an array.
 */
#include "app/config_table.h"

#include <stdio.h>
#include <string.h>

const struct app__key app__keys[APP__KEY_COUNT] = {
#define CX_SECTION(section, help)
#define CX_KEY(section_, key_, field_, type_, default_, min_, max_, words_, env_, flag_, traits_,  \
               help_)                                                                              \
    { .section = #section_,                                                                        \
      .name = #key_,                                                                               \
      .type = APP__##type_,                                                                        \
      .offset = offsetof(struct cx_config, field_),                                                \
      .fallback = (default_),                                                                      \
      .min = (min_),                                                                               \
      .max = (max_),                                                                               \
      .words = (words_),                                                                           \
      .env = (env_),                                                                               \
      .flag = (flag_),                                                                             \
      .traits = APP__##traits_,                                                                    \
      .help = (help_) },
#include "app/config.def"
#undef CX_SECTION
#undef CX_KEY
};

const struct app__section app__sections[] = {
#define CX_SECTION(section_, help_) { .name = #section_, .help = (help_) },
#define CX_KEY(...)
#include "app/config.def"
#undef CX_SECTION
#undef CX_KEY
};
const size_t app__section_count = CX_ARRAY_LEN(app__sections);

const struct app__key *app__key_find(const char *section, const char *name)
{
    for (size_t i = 0; i < APP__KEY_COUNT; i++) {
        if (strcmp(app__keys[i].section, section) == 0 && strcmp(app__keys[i].name, name) == 0) {
            return &app__keys[i];
        }
    }
    return NULL;
}

enum app__key_id app__key_id(const struct app__key *key)
{
    return (enum app__key_id)(key - app__keys);
}

char *app__key_env(const struct app__key *key, char name[APP__ENV_NAME_BYTES])
{
    const int len = snprintf(name, APP__ENV_NAME_BYTES, "CORTEX_%s_%s", key->section, key->name);
    CX_CHECK(len > 0 && len < APP__ENV_NAME_BYTES);
    for (char *c = name; *c != '\0'; c++) {
        if (*c >= 'a' && *c <= 'z') {
            *c = (char)(*c - 'a' + 'A');
        }
    }
    return name;
}
