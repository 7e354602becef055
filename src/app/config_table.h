/* SPDX-License-Identifier: MIT
 *
 * The rows of config.def as data, and how one value is read, checked and written: for the files that
 * make up config.h's functions.
 */
#ifndef CORTEX_APP_CONFIG_TABLE_H
#define CORTEX_APP_CONFIG_TABLE_H

#include "app/config.h"
#include "app/ini.h"

enum app__type {
    APP__STRING,
    APP__SECRET,
    APP__URL,      /* of something beneath it: a slash at its end does not count */
    APP__ENDPOINT, /* of one thing: as it stands, without a query */
    APP__PATH,
    APP__DATA_PATH,
    APP__INT,
    APP__REAL,
    APP__BOOL,
    APP__DURATION,
    APP__BYTES,
    APP__WORD,
    APP__LISTEN,
    APP__NAMES,
    APP__ORIGINS,
    APP__ADDRESSES,
    APP__LIST
};
enum app__trait { APP__NONE = 0, APP__RELOAD = 1 << 0, APP__SECONDS = 1 << 1 };

struct app__key {
    const char *section;
    const char *name;
    enum app__type type;
    unsigned traits; /* of enum app__trait */
    size_t offset;   /* of the field in struct cx_config */
    const char *fallback;
    uint64_t min;
    uint64_t max;
    const char *words;
    const char *env;
    const char *flag;
    const char *help;
};
struct app__section {
    const char *name;
    const char *help;
};
extern const struct app__key app__keys[APP__KEY_COUNT];
extern const struct app__section app__sections[];
extern const size_t app__section_count;

/* NULL where there is none. */
const struct app__key *app__key_find(const char *section, const char *name);
enum app__key_id app__key_id(const struct app__key *key);
#define APP__ENV_NAME_BYTES 64
/* "CORTEX_HTTP_LISTEN", which every key has. Returns name. */
char *app__key_env(const struct app__key *key, char name[APP__ENV_NAME_BYTES]);

/* ---- Sections with names -------------------------------------------------------------------------
 * Their keys are rows of the same kind; the fields are those of config->draft.
 */
extern const struct app__section app__named_sections[APP__NAMED_KIND_COUNT];
extern const struct app__key app__named_keys[];
extern const size_t app__named_key_count;
/* config->draft becomes such a section with its defaults. */
void app__named_begin(struct cx_config *config, enum app__named_kind kind, const char *name,
                      unsigned line);
/* The draft is whole: it is added. CX_INVALID where something is missing, or the name is taken. */
enum cx_status app__named_end(struct cx_config *config, struct cx_err *err) CX_MUST_CHECK;
/* As it would stand in the file, under a comment that says where it came from. */
void app__named_print(const struct cx_config *config, const struct app__named *named,
                      struct cx_buf *out);
bool app__named_same(const struct cx_config *a, const struct cx_config *b,
                     enum app__named_kind kind);

/* ---- Values ------------------------------------------------------------------------------------ */
struct app__value_source {
    const char *base_dir; /* what a relative path is taken from; NULL = the working directory */
    bool plain_seconds;   /* a duration without a unit means seconds */
};
/* Reads text into the key's field; err->text is a sentence without a place in front. */
enum cx_status app__value_set(struct cx_config *config, const struct app__key *key,
                              const char *text, const struct app__value_source *source,
                              struct cx_err *err) CX_MUST_CHECK;
/* As it would stand in the file; a secret as it is: masking is the caller's. */
void app__value_format(const struct cx_config *config, const struct app__key *key,
                       struct cx_buf *out);
/* A text field (STRING, SECRET, URL, PATH, DATA_PATH). */
const char **app__value_text(struct cx_config *config, const struct app__key *key);
/* " value", in quotes where it needs them; nothing where it is empty. */
void app__put_value(const char *text, struct cx_buf *out);
#define APP__MASK "********"

/* Items between commas, or blanks, or both; an empty item is an error. */
enum cx_status app__list_parse(struct cx_arena *arena, const char *text, const char *const **out,
                               size_t *count, struct cx_err *err) CX_MUST_CHECK;

/* Whether a text is what its type says: config_syntax.c. */
enum cx_status app__url_check(const char *text, struct cx_err *err) CX_MUST_CHECK;
enum cx_status app__item_check(enum app__type type, const char *item,
                               struct cx_err *err) CX_MUST_CHECK;

#define APP__ARENA_MAX_BYTES ((size_t)16 << 20)

/* ---- Parts of loading -------------------------------------------------------------------------- */
void app__config_warn(struct cx_config *config, const char *format, ...) CX_PRINTF(2, 3);
/* The place of a key's value: "default", "/etc/cortex/cortex.conf:12", "environment CORTEX_PORT". */
void app__origin_format(const struct cx_config *config, const struct app__key *key,
                        const struct app__origin *origin, struct cx_buf *out);
/* Adds a token (copies); CX_INVALID where its digest or name is there already. */
enum cx_status app__config_add_token(struct cx_config *config, const struct app__token *token,
                                     struct cx_err *err) CX_MUST_CHECK;

/* The configuration file's entries. */
enum cx_status app__config_read_text(struct cx_config *config, const char *path, struct cx_str text,
                                     struct cx_err *err) CX_MUST_CHECK;
/* Values and tokens of the environment; wipes its secrets. */
enum cx_status app__config_read_env(struct cx_config *config, char **environment,
                                    struct cx_err *err) CX_MUST_CHECK;
const char *app__env_get(char *const *environment, const char *name); /* NULL when unset or empty */
/* Overwrites the values of all variables of that name and takes them out. */
void app__env_take_out(char **environment, const char *name);
/* What one value alone cannot show: ranges against each other, tokens for remote listeners. */
enum cx_status app__config_check(const struct cx_config *config, struct cx_err *err) CX_MUST_CHECK;

#endif
