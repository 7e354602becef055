/* SPDX-License-Identifier: MIT
 *
 * What a first start makes, the data directory and its lock, and --hash-token.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "app/cli.h"
#include "app/lock.h"
#include "app/secret_file.h"
#include "app/tokens.h"
#include "app_helpers.h"
#include "cortex/crypto.h"
#include "test.h"

static mode_t mode_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? info.st_mode & 07777 : 0;
}

TEST(first_start_makes_and_keeps)
{
    cx_log_set_level(CX_LOG_ERROR);
    const mode_t mask = umask(0277); /* not even a hostile one decides about the files' modes */
    struct loaded l = load(NULL, NULL, NULL);
    REQUIRE(l.status == CX_OK);
    struct cx_config *c = l.config;
    umask(022);
    struct cx_err err = { .text = "" };
    EXPECT(app__prepare_data_dir(c->data_dir, &err) == CX_OK);
    EXPECT_INT(mode_of(c->data_dir), 0700);
    umask(0277);
    const enum cx_status status = app__first_start(c, &err);
    umask(mask);
    EXPECT_STR(err.text, "");
    REQUIRE(status == CX_OK && c->token_count == 1);
    const char *token_path = in_dir(".local/state/cortex/token");
    const char *key_path = in_dir(".local/state/cortex/signing_key");
    EXPECT_INT(mode_of(token_path), 0600);
    EXPECT_INT(mode_of(key_path), 0600);
    char token[128];
    char key[128];
    read_back(token_path, token, sizeof token);
    read_back(key_path, key, sizeof key);
    EXPECT(strncmp(token, "cx_", 3) == 0 && strlen(token) == 3 + 43 + 1 && token[46] == '\n');
    EXPECT(strlen(key) == 44 && key[43] == '\n');
    token[46] = '\0';
    key[43] = '\0';
    uint8_t digest[32];
    cx_sha256(cx_str_of(token), digest);
    EXPECT_BYTES(c->tokens[0].sha256, 32, digest, 32);
    EXPECT_INT(c->tokens[0].scopes, CX_SCOPE_ALL);
    EXPECT_STR(c->state_signing_key, key);
    /* No listener elsewhere is opened with what was made for this machine alone. */
    EXPECT(app__config_allows_remote(c, "0.0.0.0:1", &err) == CX_INVALID);

    /* The next start uses the same, a reload keeps them, a configured token replaces it. */
    struct loaded next = load(NULL, NULL, NULL);
    REQUIRE(next.status == CX_OK);
    EXPECT(app__first_start(next.config, &err) == CX_OK);
    EXPECT_BYTES(next.config->tokens[0].sha256, 32, digest, 32);
    EXPECT_STR(next.config->state_signing_key, key);
    unload(&next);
    next = reload(c, NULL, NULL, NULL);
    REQUIRE(next.status == CX_OK && next.config->token_count == 1);
    EXPECT_BYTES(next.config->tokens[0].sha256, 32, digest, 32);
    EXPECT_STR(next.config->state_signing_key, key);
    unload(&next);
    next = reload(c,
                  "[token \"a\"]\nscopes = *\nsha256 = "
                  "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n",
                  NULL, NULL);
    REQUIRE(next.status == CX_OK && next.config->token_count == 1);
    EXPECT_STR(next.config->tokens[0].name, "a");
    unload(&next);
    unload(&l);
    cx_log_set_level(CX_LOG_INFO);
}

TEST(first_start_leaves_what_is_configured)
{
    put_file("cortex.conf", "");
    CX_CHECK(chmod(in_dir("cortex.conf"), 0600) == 0);
    struct loaded l =
        load("[state]\nsigning_key = mine\n", LIST("CORTEX_TOKENS=mine-0123456789012"),
             LIST("--data-dir", test_dir()));
    REQUIRE(l.status == CX_OK);
    EXPECT(app__first_start(l.config, NULL) == CX_OK);
    EXPECT_INT(l.config->token_count, 1);
    EXPECT_STR(l.config->state_signing_key, "mine");
    EXPECT(!app__file_is_there(in_dir("token")) && !app__file_is_there(in_dir("signing_key")));
    unload(&l);
}

TEST(first_start_refuses_a_strange_token)
{
    static const char *const strange[] = { "", "\n", "mine\n", "cx_short\n" };
    for (size_t i = 0; i < CX_ARRAY_LEN(strange); i++) {
        char after[64];
        uint8_t digest[32];
        bool created = false;
        struct cx_err err = { .text = "" };
        put_file("token", strange[i]);
        EXPECT(app__ensure_token(test_dir(), digest, &created, &err) == CX_INVALID);
        EXPECT(err.text[0] != '\0' && (i < 2 || strstr(err.text, "mine") == NULL));
        read_back(in_dir("token"), after, sizeof after);
        EXPECT_STR(after, strange[i]); /* not replaced */
    }
}

/* A start that was cut off while it wrote leaves a file that is not there under its own name. */
TEST(first_start_after_a_cut)
{
    uint8_t digest[32];
    bool created = false;
    put_file(".token.new", "cx_half");
    REQUIRE(app__ensure_token(test_dir(), digest, &created, NULL) == CX_OK);
    EXPECT(created && !app__file_is_there(in_dir(".token.new")));
    char token[128];
    read_back(in_dir("token"), token, sizeof token);
    EXPECT_INT(strlen(token), 47);
    /* Nor is it written through a link that somebody put there. */
    CX_CHECK(unlink(in_dir("token")) == 0);
    put_file("victim", "untouched");
    CX_CHECK(symlink(in_dir("victim"), in_dir(".token.new")) == 0);
    REQUIRE(app__ensure_token(test_dir(), digest, &created, NULL) == CX_OK);
    read_back(in_dir("victim"), token, sizeof token);
    EXPECT_STR(token, "untouched");
}

TEST(first_start_cannot_write)
{
    struct cx_err err = { .text = "" };
    uint8_t digest[32];
    bool created = false;
    EXPECT(app__ensure_token(in_dir("nowhere"), digest, &created, &err) == CX_NOT_FOUND);
    EXPECT(strstr(err.text, "nowhere") != NULL);
    put_file("file", "");
    EXPECT(app__prepare_data_dir(in_dir("file"), &err) == CX_IO_ERROR);
    EXPECT(app__prepare_data_dir(in_dir("file/below"), &err) == CX_IO_ERROR);
    EXPECT(app__prepare_data_dir(in_dir("a/b/c"), &err) == CX_OK);
    EXPECT(app__prepare_data_dir(in_dir("a/b/c"), &err) == CX_OK);
    EXPECT_INT(mode_of(in_dir("a")), 0700);
}

/* ---- Lock -------------------------------------------------------------------------------------- */

/* Another process takes the lock, tells its result by its exit code, and is gone. */
static int lock_in_child(char *sentence, size_t size)
{
    int ends[2];
    CX_CHECK(pipe(ends) == 0);
    const pid_t child = fork();
    CX_CHECK(child >= 0);
    if (child == 0) {
        struct app__lock *lock = NULL;
        struct cx_err err = { .text = "" };
        const enum cx_status status = app__lock_take(test_dir(), &lock, &err);
        (void)!write(ends[1], err.text, strlen(err.text));
        _exit((int)status);
    }
    close(ends[1]);
    const ssize_t n = read(ends[0], sentence, size - 1);
    sentence[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    int status = 0;
    CX_CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

TEST(lock_refuses_a_second_process)
{
    char got[600];
    char want[600];
    struct app__lock *lock = NULL;
    REQUIRE(app__lock_take(test_dir(), &lock, NULL) == CX_OK);
    EXPECT_INT(lock_in_child(got, sizeof got), CX_CONFLICT);
    snprintf(want, sizeof want, "process %d has the data directory %s", (int)getpid(), test_dir());
    EXPECT_STR(got, want);
    EXPECT_INT(app__exit_code(CX_CONFLICT), 75);
    /* Opening and closing the same file elsewhere in this process does not let it go. */
    close(open(in_dir("lock"), O_RDWR | O_CLOEXEC));
    EXPECT_INT(lock_in_child(got, sizeof got), CX_CONFLICT);
    app__lock_release(&lock);
    EXPECT(lock == NULL);
    EXPECT_INT(lock_in_child(got, sizeof got), CX_OK);
    /* That process ended without letting go: the kernel did. */
    REQUIRE(app__lock_take(test_dir(), &lock, NULL) == CX_OK);
    char text[32];
    read_back(in_dir("lock"), text, sizeof text);
    EXPECT_INT(strtol(text, NULL, 10), getpid());
    EXPECT_INT(mode_of(in_dir("lock")), 0600);
    app__lock_release(&lock);
    app__lock_release(&lock);
}

TEST(lock_of_a_process_without_a_name)
{
    struct cx_err err = { .text = "" };
    struct app__lock *lock = NULL;
    struct app__lock *second = NULL;
    REQUIRE(app__lock_take(test_dir(), &lock, NULL) == CX_OK);
    CX_CHECK(truncate(in_dir("lock"), 0) == 0);
    EXPECT(app__lock_take(test_dir(), &second, &err) == CX_CONFLICT);
    EXPECT(strncmp(err.text, "another process has the data directory ", 39) == 0);
    app__lock_release(&lock);
    EXPECT(app__lock_take(in_dir("nowhere"), &second, &err) == CX_IO_ERROR);
    CX_CHECK(unlink(in_dir("lock")) == 0 && symlink("/dev/null", in_dir("lock")) == 0);
    EXPECT(app__lock_take(test_dir(), &second, &err) == CX_IO_ERROR);
}

/* ---- --hash-token ------------------------------------------------------------------------------ */

static enum cx_status hash_text(const char *text, size_t len, struct cx_buf *out,
                                struct cx_err *err)
{
    int ends[2];
    CX_CHECK(pipe(ends) == 0);
    CX_CHECK(write(ends[1], text, len) == (ssize_t)len);
    close(ends[1]);
    cx_buf_init(out, 256);
    const enum cx_status status = app__hash_token(ends[0], STDERR_FILENO, out, err);
    close(ends[0]);
    return status;
}

TEST(hash_token_from_a_pipe)
{
    static const char want[] =
        "sha256 = 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n";
    static const char *const same[] = { "test", "test\n", "test\r\n", "test\nmore" };
    static const char *const bad[] = { "", "\n", "te st\n", "t\tx", "t\xc3\xa4\n", "\x01" };
    struct cx_buf out;
    struct cx_err err;
    for (size_t i = 0; i < CX_ARRAY_LEN(same); i++) {
        EXPECT(hash_text(same[i], strlen(same[i]), &out, NULL) == CX_OK);
        EXPECT_STR(out.data, want);
        cx_buf_free(&out);
    }
    for (size_t i = 0; i < CX_ARRAY_LEN(bad); i++) {
        err.text[0] = '\0';
        EXPECT(hash_text(bad[i], strlen(bad[i]), &out, &err) == CX_INVALID);
        EXPECT(err.text[0] != '\0' && out.len == 0);
        cx_buf_free(&out);
    }
    static char longest[5000];
    memset(longest, 'a', sizeof longest);
    EXPECT(hash_text(longest, 4096, &out, NULL) == CX_OK);
    cx_buf_free(&out);
    EXPECT(hash_text(longest, 4097, &out, NULL) == CX_INVALID);
    cx_buf_free(&out);
    EXPECT(hash_text(longest, sizeof longest, &out, NULL) == CX_INVALID);
    cx_buf_free(&out);
}

/* On a terminal: it asks, shows nothing of what is typed, and puts the terminal back. */
static void hash_on_terminal(bool interrupt)
{
    const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0) {
        fprintf(stderr, "hash_token_on_a_terminal: skipped, there are no terminals here\n");
        return;
    }
    REQUIRE(grantpt(master) == 0 && unlockpt(master) == 0);
    char name[64];
    REQUIRE(ptsname_r(master, name, sizeof name) == 0);
    int answer[2];
    REQUIRE(pipe(answer) == 0);
    const pid_t child = fork();
    CX_CHECK(child >= 0);
    if (child == 0) {
        (void)setsid();
        const int tty = open(name, O_RDWR); /* becomes our terminal, so that ^C reaches us */
        struct cx_buf out;
        cx_buf_init(&out, 256);
        const enum cx_status status = app__hash_token(tty, tty, &out, NULL);
        struct termios after;
        const bool shown = tcgetattr(tty, &after) == 0 && (after.c_lflag & ECHO) != 0;
        if (out.len > 0) {
            (void)!write(answer[1], out.data, out.len);
        }
        _exit(shown ? (int)status : 99);
    }
    close(answer[1]);
    char seen[256] = "";
    size_t len = 0;
    while (strstr(seen, "Token (not shown): ") == NULL && len < sizeof seen - 1) {
        const ssize_t n = read(master, seen + len, sizeof seen - 1 - len);
        CX_CHECK(n > 0);
        len += (size_t)n;
        seen[len] = '\0';
    }
    const char *typed = interrupt ? "te\x03" : "test\n";
    CX_CHECK(write(master, typed, strlen(typed)) == (ssize_t)strlen(typed));
    char got[256];
    const ssize_t n = read(answer[0], got, sizeof got - 1);
    got[n > 0 ? n : 0] = '\0';
    int status = 0;
    CX_CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    EXPECT_INT(WEXITSTATUS(status), interrupt ? CX_CANCELLED : CX_OK);
    EXPECT_STR(got,
               interrupt
                   ? ""
                   : "sha256 = 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n");
    CX_CHECK(fcntl(master, F_SETFL, O_NONBLOCK) == 0);
    while (len < sizeof seen - 1) {
        const ssize_t more = read(master, seen + len, sizeof seen - 1 - len);
        if (more <= 0) {
            break;
        }
        len += (size_t)more;
        seen[len] = '\0';
    }
    EXPECT(strstr(seen, "te") == NULL);
    close(answer[0]);
    close(master);
}

TEST(hash_token_on_a_terminal)
{
    hash_on_terminal(false);
    hash_on_terminal(true);
}
