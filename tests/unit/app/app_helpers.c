/* SPDX-License-Identifier: MIT
 *
 * See app_helpers.h.
 */
#include "app_helpers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cli.h"
#include "test.h"

const char *in_dir(const char *name)
{
    static char paths[16][512]; /* enough for what one expression needs */
    static unsigned next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s", test_dir(), name);
    return path;
}

const char *put_file(const char *name, const char *text)
{
    const char *path = in_dir(name);
    FILE *file = fopen(path, "we");
    CX_CHECK(file != NULL);
    CX_CHECK(fwrite(text, 1, strlen(text), file) == strlen(text));
    CX_CHECK(fclose(file) == 0);
    return path;
}

void read_back(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");
    text[0] = '\0';
    if (file != NULL) {
        text[fread(text, 1, size - 1, file)] = '\0';
        (void)fclose(file);
    }
}

struct loaded load(const char *file, const char *const *env, const char *const *args)
{
    return reload(NULL, file, env, args);
}

struct loaded reload(const struct cx_config *running, const char *file, const char *const *env,
                     const char *const *args)
{
    struct loaded l = { .status = CX_OK };
    char *argv[64] = { (char *)"cortexd" };
    int argc = 1;
    if (file != NULL) {
        argv[argc++] = (char *)"--config";
        argv[argc++] = (char *)put_file("cortex.conf", file);
    }
    for (size_t i = 0; args != NULL && args[i] != NULL; i++) {
        argv[argc++] = (char *)args[i];
    }
    size_t count = 0;
    while (env != NULL && env[count] != NULL) {
        count++;
    }
    l.env = cx_realloc_array(NULL, count + 2, sizeof *l.env);
    for (size_t i = 0; i < count; i++) {
        l.env[i] = cx_strdup(env[i]);
    }
    char home[600];
    snprintf(home, sizeof home, "HOME=%s", test_dir());
    l.env[count] = cx_strdup(home);
    l.env[count + 1] = NULL;
    struct app__cli cli;
    char *given[64];
    memcpy(given, l.env, (count + 1) * sizeof *given);
    l.status = app__cli_parse(argc, argv, &cli, &l.err);
    if (l.status == CX_OK) {
        l.status = app__config_load(&cli, l.env, running, &l.config, &l.err);
    }
    /* What was taken out of the environment is ours to free, and must have been overwritten. */
    for (size_t i = 0; i <= count; i++) {
        bool left = false;
        for (char **e = l.env; *e != NULL; e++) {
            left = left || *e == given[i];
        }
        if (!left) {
            EXPECT(strchr(given[i], '=')[1] == '\0');
            free(given[i]);
        }
    }
    return l;
}

void unload(struct loaded *l)
{
    app__config_free(&l->config);
    for (char **e = l->env; *e != NULL; e++) {
        free(*e);
    }
    free(l->env);
}

const char *sentence(const struct loaded *l)
{
    static char text[sizeof l->err.text];
    const size_t dir = strlen(test_dir());
    size_t len = 0;
    for (const char *c = l->status == CX_OK ? "" : l->err.text; *c != '\0'; c++) {
        if (strncmp(c, test_dir(), dir) == 0 && c[dir] == '/') {
            c += dir;
            continue;
        }
        text[len++] = *c;
    }
    text[len] = '\0';
    return text;
}
