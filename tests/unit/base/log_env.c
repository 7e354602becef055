/* SPDX-License-Identifier: MIT
 *
 * What the tests of the log and of the checks share.
 */
#include "log_env.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int swap_stderr(int fd)
{
    const int saved = dup(STDERR_FILENO);
    CX_CHECK(saved >= 0 && dup2(fd, STDERR_FILENO) == STDERR_FILENO);
    return saved;
}

void restore_stderr(int saved)
{
    CX_CHECK(dup2(saved, STDERR_FILENO) == STDERR_FILENO);
    (void)close(saved);
}

void read_all(int fd, struct cx_buf *out)
{
    char bytes[4096];
    ssize_t got = 0;
    while ((got = read(fd, bytes, sizeof bytes)) > 0) {
        cx_buf_append(out, bytes, (size_t)got);
    }
}

void make_pipe(int ends[2])
{
    CX_CHECK(pipe2(ends, O_CLOEXEC) == 0);
    (void)fcntl(ends[1], F_SETPIPE_SZ, 4096);
}

int run_child(int fd, void (*body)(void))
{
    const pid_t child = fork();
    CX_CHECK(child >= 0);
    if (child == 0) {
        if (fd >= 0) {
            (void)dup2(fd, STDERR_FILENO);
        } else {
            (void)close(STDERR_FILENO);
        }
        body();
        _exit(0);
    }
    int status = -1;
    CX_CHECK(waitpid(child, &status, 0) == child);
    return status;
}

struct talker {
    pthread_t thread;
    int number;
    int lines;
};

static void *talk(void *arg)
{
    const struct talker *t = arg;
    char text[200];
    memset(text, 'a' + t->number, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < t->lines; i++) {
        CX_LOG(CX_LOG_INFO, "talk", CX_I("thread", t->number), CX_I("n", i), CX_S("text", text));
    }
    return NULL;
}

void talk_all(int lines)
{
    struct talker talkers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        talkers[i] = (struct talker){ .number = i, .lines = lines };
        CX_CHECK(pthread_create(&talkers[i].thread, NULL, talk, &talkers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(talkers[i].thread, NULL);
    }
}

static const char *skip_json_string(const char *at)
{
    if (*at++ != '"') {
        return NULL;
    }
    while (*at != '"') {
        if ((unsigned char)*at < 0x20) {
            return NULL;
        }
        if (*at == '\\') {
            at++;
            if (*at == 'u') {
                if (strspn(at + 1, "0123456789abcdef") < 4) {
                    return NULL;
                }
                at += 4;
            } else if (*at == '\0' || strchr("\"\\nrt", *at) == NULL) {
                return NULL;
            }
        }
        at++;
    }
    return at + 1;
}

bool is_json_line(const char *at, const char **end)
{
    char separator = '{';
    do {
        if (*at++ != separator || (at = skip_json_string(at)) == NULL || *at++ != ':') {
            return false;
        }
        if (*at == '"') {
            at = skip_json_string(at);
            if (at == NULL) {
                return false;
            }
        } else {
            const size_t len = strspn(at, "0123456789+-.enultr");
            if (len == 0) {
                return false;
            }
            at += len;
        }
        separator = ',';
    } while (*at == ',');
    if (at[0] != '}' || at[1] != '\n') {
        return false;
    }
    *end = at + 2;
    return true;
}
