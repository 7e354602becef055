/* SPDX-License-Identifier: MIT
 *
 * cortexd --hash-token: a token from a terminal or a pipe, its digest for the configuration file.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cortex/crypto.h"
#include "app/tokens.h"

#define TOKEN_MAX_BYTES 4096

static enum cx_status read_hidden(int in, int prompt, struct cx_buf *line, struct cx_err *err);
static enum cx_status read_line(int in, const sigset_t *wait_mask, struct cx_buf *line,
                                struct cx_err *err);
static void on_signal(int number);

enum cx_status app__hash_token(int in, int prompt, struct cx_buf *out, struct cx_err *err)
{
    struct cx_buf line;
    cx_buf_init(&line, TOKEN_MAX_BYTES + 2);
    enum cx_status status =
        isatty(in) ? read_hidden(in, prompt, &line, err) : read_line(in, NULL, &line, err);
    struct cx_str token = { line.data, line.len };
    token.len -= token.len > 0 && token.p[token.len - 1] == '\r' ? 1 : 0;
    if (status == CX_OK && token.len > TOKEN_MAX_BYTES) {
        status = cx_err_set(err, CX_INVALID, "a token has at most %d bytes", TOKEN_MAX_BYTES);
    }
    if (status == CX_OK && token.len == 0) {
        status = cx_err_set(err, CX_INVALID, "no token was given on standard input");
    }
    for (size_t i = 0; i < token.len && status == CX_OK; i++) {
        if ((unsigned char)token.p[i] <= ' ' || (unsigned char)token.p[i] >= 0x7f) {
            status = cx_err_set(err, CX_INVALID, "a token is printable ASCII without blanks");
        }
    }
    if (status == CX_OK) {
        uint8_t digest[CX_SHA256_BYTES];
        char hex[CX_SHA256_HEX_BYTES];
        cx_sha256(token, digest);
        cx_buf_printf(out, "sha256 = %s\n", cx_hex(digest, sizeof digest, hex));
    }
    if (line.data != NULL) {
        cx_wipe(line.data, line.cap);
    }
    cx_buf_free(&line);
    return status;
}

/* Signals are let in only while we wait, so that the terminal is put back before one takes effect. */
static enum cx_status read_hidden(int in, int prompt, struct cx_buf *line, struct cx_err *err)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
    static const char question[] = "Token (not shown): ";
    struct sigaction before[CX_ARRAY_LEN(numbers)];
    const struct sigaction noted = { .sa_handler = on_signal };
    struct termios shown;
    sigset_t blocked;
    sigset_t mask;
    if (tcgetattr(in, &shown) != 0) {
        return cx_err_set(err, CX_IO_ERROR, "standard input: %s", strerror(errno));
    }
    sigemptyset(&blocked);
    for (size_t i = 0; i < CX_ARRAY_LEN(numbers); i++) {
        sigaddset(&blocked, numbers[i]);
    }
    sigprocmask(SIG_BLOCK, &blocked, &mask);
    for (size_t i = 0; i < CX_ARRAY_LEN(numbers); i++) {
        sigaction(numbers[i], &noted, &before[i]);
    }
    struct termios hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(in, TCSAFLUSH, &hidden);
    (void)!write(prompt, question, sizeof question - 1);
    const enum cx_status status = read_line(in, &mask, line, err);
    tcsetattr(in, TCSAFLUSH, &shown);
    (void)!write(prompt, "\n", 1);
    for (size_t i = 0; i < CX_ARRAY_LEN(numbers); i++) {
        sigaction(numbers[i], &before[i], NULL);
    }
    sigprocmask(SIG_SETMASK, &mask, NULL);
    return status;
}

/* Its only work is to end ppoll. */
static void on_signal(int number)
{
    (void)number;
}

/* Up to a newline or the end, which is left out. wait_mask: see read_hidden. */
static enum cx_status read_line(int in, const sigset_t *wait_mask, struct cx_buf *line,
                                struct cx_err *err)
{
    while (line->len <= TOKEN_MAX_BYTES + 1) {
        struct pollfd waiting = { .fd = in, .events = POLLIN };
        if (ppoll(&waiting, 1, NULL, wait_mask) < 0) {
            if (wait_mask != NULL && errno == EINTR) {
                return cx_err_set(err, CX_CANCELLED, "interrupted");
            }
            continue;
        }
        char c = 0;
        const ssize_t n = read(in, &c, 1);
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            return cx_err_set(err, CX_IO_ERROR, "standard input: %s", strerror(errno));
        }
        if (n == 0 || c == '\n') {
            return CX_OK;
        }
        if (n > 0) {
            cx_buf_putc(line, c);
        }
    }
    return CX_OK; /* too long, which the caller sees */
}
