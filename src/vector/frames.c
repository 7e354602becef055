/* SPDX-License-Identifier: MIT
 *
 * Frames (frames.h).
 */
#include "frames.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cortex/crypto.h"

static bool start(struct vector__frames *f, const char *path, int flags);
static void digest_of(const struct vector__frames *f, uint8_t digest[CX_SHA256_BYTES]);
static bool write_all(int fd, const void *data, size_t len);
static bool read_all(int fd, void *data, size_t len);

bool vector__frames_create(struct vector__frames *f, const char *path)
{
    return start(f, path, O_WRONLY | O_CREAT | O_TRUNC);
}

bool vector__frames_open(struct vector__frames *f, const char *path)
{
    return start(f, path, O_RDONLY);
}

static bool start(struct vector__frames *f, const char *path, int flags)
{
    *f = (struct vector__frames){ .fd =
                                      open(path, flags | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0600) };
    if (f->fd < 0) {
        return false;
    }
    f->payload = cx_realloc_array(NULL, VECTOR__FRAME_MAX, 1);
    return true;
}

void vector__frames_close(struct vector__frames *f)
{
    if (f->fd >= 0) {
        (void)close(f->fd);
    }
    free(f->payload);
    *f = (struct vector__frames){ .fd = -1 };
}

void vector__frames_put(struct vector__frames *f, const void *data, size_t len)
{
    CX_CHECK(len <= VECTOR__FRAME_MAX - f->len);
    memcpy(f->payload + f->len, data, len);
    f->len += len;
}

bool vector__frames_write(struct vector__frames *f)
{
    const uint32_t len = (uint32_t)f->len;
    uint8_t digest[CX_SHA256_BYTES];
    digest_of(f, digest);
    const bool written = write_all(f->fd, &len, sizeof len) &&
                         write_all(f->fd, f->payload, f->len) &&
                         write_all(f->fd, digest, sizeof digest);
    f->number++;
    f->len = 0;
    return written;
}

bool vector__frames_read(struct vector__frames *f, size_t len)
{
    uint32_t stored = 0;
    uint8_t digest[CX_SHA256_BYTES];
    uint8_t expected[CX_SHA256_BYTES];
    if (!read_all(f->fd, &stored, sizeof stored) || stored != len || len > VECTOR__FRAME_MAX ||
        !read_all(f->fd, f->payload, len) || !read_all(f->fd, digest, sizeof digest)) {
        return false;
    }
    f->len = len;
    digest_of(f, expected);
    f->number++;
    return memcmp(digest, expected, sizeof digest) == 0;
}

bool vector__frames_at_end(const struct vector__frames *f)
{
    uint8_t byte;
    return read(f->fd, &byte, 1) == 0;
}

static void digest_of(const struct vector__frames *f, uint8_t digest[CX_SHA256_BYTES])
{
    const uint32_t len = (uint32_t)f->len;
    const struct cx_str parts[] = { { (const char *)&f->number, sizeof f->number },
                                    { (const char *)&len, sizeof len },
                                    { (const char *)f->payload, f->len } };
    cx_sha256_parts(parts, CX_ARRAY_LEN(parts), digest);
}

static bool write_all(int fd, const void *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        const ssize_t n = write(fd, (const char *)data + done, len - done);
        if (n <= 0 && !(n < 0 && errno == EINTR)) {
            return false;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool read_all(int fd, void *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        const ssize_t n = read(fd, (char *)data + done, len - done);
        if (n <= 0 && !(n < 0 && errno == EINTR)) {
            return false;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}
